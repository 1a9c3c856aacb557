"""Simulator: a complete DPF site without hardware, for tests and for development without DPUs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from typing import Any, Final, Literal, Self

import anyio

from dpf_async import DPFClient, crds
from dpf_async._api.config import Kubeconfig
from dpf_async._specs import DeviceSpec, GroupSpec, HostSpec, ServiceSpec, SiteSpec
from dpf_async._transitions.levels import (
    Level,
    external_reboot_required,
    node_effect_held,
    ready,
    services_ready,
)
from dpf_async._transitions.views import NodeView
from dpf_async.errors import NotFound, UsageError
from dpf_async.models import (
    DPU,
    BFBSpec,
    DPUDeployment,
    DPUFlavorSpec,
    DPUNode,
    DPUPhase,
    DPUService,
    HelmChart,
    HelmSource,
    known,
)
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.sim.external_server import ExternalServer
from dpf_async.sim.operator import Operator, OperatorProcess, Profile, Trouble, Troubles
from dpf_async.sim.operator.hardware.profiles import profile_of
from dpf_async.sim.operator.hardware.troubles import SERVER_TROUBLE
from dpf_async.sim.operator.process.bootstrap import install

GROUP: Final = "compute"
"""The group of the minimal site."""

PASSWORD: Final = "correct horse battery staple"  # noqa: S105  of simulated BMCs

_NODE_LABELS: Final = {known.DPU_ENABLED_LABEL: "true", known.CARBIDE_CONTROLLED_NODE_LABEL: "true"}
_NEWER_PHASE: Final = "newer_phase"


class Simulator(anyio.AsyncContextManagerMixin):
    """async with Simulator() as sim, sim.client() as dpf: runs a DPF site with an API server at sim.url.

    Args:
        profile: the durations: "instant", "demo", "realistic", or a Profile.
        troubles: troubles from the start: "bmc_password_wrong", "reboots=3@node-1"; see `trouble`.
        watch_lag: seconds by which every watch event is delayed.
        tokens: bearer tokens and their users; None disables authentication.
        namespace: of DPF.
        port: of the API server; 0 chooses a free one.
        operator: True runs it in this event loop, "process" in a separate process; with False there is no operator, and
            objects stay as they are written.
        crds: CustomResourceDefinition manifests to serve; by default those of `python -m dpf_async.crds`.
        kubeconfig: path or content, of an API server to use in place of the embedded one.
        context: of that kubeconfig; None means its current one.

    The site has the objects of a DPF installation: CRDs, the namespace, the DPFOperatorConfig `dpfoperatorconfig`, and
    a DPUCluster. An exception in the operator ends the block, and so the test that entered it.

    With a kubeconfig, the CRDs (`python -m dpf_async.crds | kubectl apply -f -`) and the namespace must exist, and no
    other operator may run in it; for the trouble "newer_phase" the CRD of DPU must allow that phase. Objects remain
    after the block. Options of the embedded server (crds, watch_lag, tokens, port, the trouble "watch_lag") are then a
    UsageError.

    Attributes:
        operator: the operator with its hardware if it runs in this event loop; otherwise None.
    """

    def __init__(
        self,
        *,
        profile: str | Profile = "instant",
        troubles: Iterable[str] = (),
        watch_lag: float = 0.0,
        tokens: Mapping[str, str] | None = None,
        namespace: str = known.DPF_NAMESPACE,
        port: int = 0,
        operator: bool | Literal["process"] = True,
        crds: Iterable[Mapping[str, Any]] | None = None,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
    ) -> None:
        self.namespace = namespace
        self.operator: Operator | None = None
        self._troubles = Troubles(troubles)
        self._has_newer_phase = self._troubles.anywhere(_NEWER_PHASE)
        self._token = secrets.token_urlsafe() if tokens is not None else None
        self._server: EmbeddedServer | ExternalServer
        if kubeconfig is None:
            self._server = EmbeddedServer(
                crds=_manifests(crds, newer=self._has_newer_phase),
                namespaces=dict.fromkeys(("default", namespace)),
                port=port,
                tokens=None
                if tokens is None or self._token is None
                else {**tokens, self._token: "dpf-operator"},
            )
        else:
            unsupported = {
                "watch_lag": watch_lag,
                "tokens": tokens is not None,
                "port": port,
                "crds": crds is not None,
                f"the trouble {SERVER_TROUBLE}": self._troubles.anywhere(SERVER_TROUBLE),
            }
            for option in (option for option, wanted in unsupported.items() if wanted):
                raise _only_embedded(option)
            self._server = ExternalServer(kubeconfig, context, namespace=namespace)
        self._watch_lag = watch_lag
        self._troubles.listen(self._update_watch_lag)
        self._update_watch_lag()
        self._with_operator = operator
        self._running: Operator | OperatorProcess | None = None
        self._profile = profile_of(profile)
        self._dpf: DPFClient | None = None
        self._hosts = 0
        self._is_defined = False

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with AsyncExitStack() as stack:
            if isinstance(self._server, EmbeddedServer):
                await stack.enter_async_context(self._server)
            self._dpf = await stack.enter_async_context(self._client(self._token))
            await install(self._dpf, now=datetime.now(UTC))
            match self._with_operator:
                case "process":
                    process = OperatorProcess(**self._access(self._token), **self._operator_options)
                    self._running = await stack.enter_async_context(process)
                case True:
                    operator = Operator(**self._access(self._token), **self._operator_options)
                    self._running = self.operator = await stack.enter_async_context(operator)
                    await self.operator.idle()
            try:
                yield self
            finally:
                self._dpf = self.operator = self._running = None

    @property
    def server(self) -> EmbeddedServer:
        """The embedded API server, with its faults.

        Raises:
            UsageError: the site uses another API server.
        """
        if not isinstance(self._server, EmbeddedServer):
            raise _only_embedded("the attribute server")
        return self._server

    @property
    def url(self) -> str:
        """The URL of the API server, after entering."""
        return self._server.url

    def kubeconfig(self, *, token: str | None = None) -> dict[str, Any]:
        """A kubeconfig for the site; token: of the user, by default the first of `tokens`."""
        return self._server.kubeconfig(token=token, namespace=self.namespace)

    def write_kubeconfig(self, path: str | os.PathLike[str], *, token: str | None = None) -> None:
        """Write the kubeconfig to a file that only its owner can read."""
        self._server.write_kubeconfig(path, token=token, namespace=self.namespace)

    def client(self, *, token: str | None = None, **options: Any) -> DPFClient:
        """A client of the site, not entered; options are those of DPFClient."""
        return self._client(token, **options)

    async def settled(self, timeout: float | None = 60.0) -> None:
        """Wait until the site has nothing left to do.

        After it returns: the operator has received and handled everything that was written, and will not write without
        an event. A pending request (hold, reboot) and a timeout that has not expired do not count as work. Clients may
        not have received all watch events. Without an operator, only the embedded server is waited for.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: work remains; the message describes it.
        """
        if self._running is not None:
            await self._running.settled(timeout)
        elif isinstance(self._server, EmbeddedServer):
            with anyio.fail_after(timeout):
                await self._server.settled()

    # Troubles.

    def trouble(
        self,
        name: str,
        *,
        device: str | None = None,
        node: str | None = None,
        value: float | None = None,
    ) -> Trouble:
        """Switch a trouble on.

        Args:
            name: of the trouble, or "name=value@target".
            device: only for this DPUDevice.
            node: only for this DPUNode.
            value: of a trouble that has one.

        Raises:
            UsageError: no trouble has this name, or it cannot be switched on now.
        """
        setting = name if value is None else f"{name}={value:g}"
        target = device or node
        trouble = Trouble.parse(setting if target is None else f"{setting}@{target}")
        if isinstance(self._server, ExternalServer) and trouble.name == SERVER_TROUBLE:
            raise _only_embedded(f"the trouble {trouble.name}")
        if trouble.name == _NEWER_PHASE and not self._has_newer_phase:
            raise UsageError(
                "newer_phase requires the CRDs of a newer release: pass it to Simulator(troubles=…) at the start"
            )
        return self._troubles.add(trouble)

    def repair(self, name: str | None = None, *, device: str | None = None, node: str | None = None) -> None:
        """Switch a trouble off, or all of them; for this device or node, or for any target.

        Raises:
            UsageError: no trouble has this name.
        """
        self._troubles.remove(name, device or node)

    # Initial states of tests.

    async def define_site(self) -> SiteSpec:
        """Create the minimal site and wait until the operator has accepted it.

        It has one group "compute" with one BFB, one DPUFlavor, and one service "dts", which is labelled as critical.
        """
        dpf, site = self._entered, minimal_site()
        await dpf.create_initialization_objects(site, bmc_password=PASSWORD)
        if self._running is not None:
            await dpf.site_accepted(site, timeout=60)
            label = {"metadata": {"labels": {known.CRITICAL_SERVICE_LABEL: ""}}}
            for service in (await dpf.resource(DPUService).list()).items:
                await dpf.resource(DPUService).patch(service.name, label)
            await self.settled()
        return site

    def host(self, name: str | None = None, devices: int = 1) -> HostSpec:
        """A host of the minimal site, a different one for each call. Nothing is sent."""
        self._hosts += 1
        number = self._hosts
        return HostSpec(
            name=name or f"node-02-00-00-00-{number >> 8:02x}-{number & 0xFF:02x}",
            labels={**_NODE_LABELS, known.CARBIDE_HOST_BMC_IP_LABEL: str(IPv4Address("10.0.0.0") + number)},
            devices=tuple(_device(number, position) for position in range(1, devices + 1)),
        )

    async def register_host(self, name: str | None = None, devices: int = 1) -> HostSpec:
        """Register a host. Does not wait for the operator."""
        host = self.host(name, devices)
        await self._entered.create_dpu_node(host.name, host.devices, labels=host.labels)
        return host

    async def node_waiting_for_hold(self, devices: int = 1, *, timeout: float = 60.0) -> NodeView:
        """A new host whose DPUs all wait for the release of the hold. Defines the minimal site if there is none."""
        name = await self._held_host(devices, timeout)
        return await self._settled_view(name, timeout)

    async def node_waiting_for_external_reboot(self, devices: int = 1, *, timeout: float = 60.0) -> NodeView:
        """A new host for which the operator requests an external reboot."""
        dpf = self._entered
        name = await self._held_host(devices, timeout)
        await dpf.mark_dpu_node_ready_for_maintenance(name)
        await dpf.node(name).until(external_reboot_required, timeout=timeout)
        return await self._settled_view(name, timeout)

    async def ready_node(self, devices: int = 1, *, timeout: float = 60.0) -> NodeView:
        """A new host whose DPUs and their services are all ready."""
        dpf = self._entered
        name = await self._held_host(devices, timeout)
        await dpf.mark_dpu_node_ready_for_maintenance(name)
        node = dpf.node(name)
        done = ready & services_ready
        while not done.holds(await node.until(done | external_reboot_required, timeout=timeout)):
            await dpf.mark_dpu_node_rebooted(name)
        return await self._settled_view(name, timeout)

    async def _held_host(self, devices: int, timeout: float) -> str:
        """Register a host and wait until all its DPUs wait for the release of the hold; return its name."""
        dpf = self._entered
        if not self._is_defined:
            try:
                await dpf.resource(DPUDeployment).get(GROUP)
            except NotFound:
                await self.define_site()
            self._is_defined = True
        host = await self.register_host(devices=devices)
        await dpf.node(host.name).until(node_effect_held, timeout=timeout)
        if devices > 1:
            # The first DPU requests the hold; the others join it a moment later.
            await self.settled(timeout)
        return host.name

    async def _settled_view(self, name: str, timeout: float) -> NodeView:
        """The view of a node after the site has settled, current with the server."""
        await self.settled(timeout)
        dpf = self._entered
        node = await dpf.resource(DPUNode).get(name)
        dpus = [dpu for dpu in (await dpf.resource(DPU).list()).items if dpu.spec.dpu_node_name == name]
        versions = {obj.name: obj.metadata.resource_version for obj in (node, *dpus)}

        def is_shown(view: NodeView) -> bool:
            shown = [] if view.node is None else [view.node, *(dpu.state for dpu in view.dpus)]
            return {state.name: state.resource_version for state in shown} == versions

        shown: Level[NodeView] = Level("shown", is_shown, survives_failure=True)
        return await dpf.node(name).until(shown, timeout=timeout)

    # Internals.

    @property
    def _entered(self) -> DPFClient:
        if self._dpf is None:
            raise UsageError("this Simulator is not entered: use it with `async with Simulator() as sim:`")
        return self._dpf

    def _access(self, token: str | None) -> dict[str, Any]:  # Any: arguments by name
        """Arguments of a client for access to the API server."""
        if isinstance(self._server, ExternalServer) and token is None:
            # Passed unchanged: a client renews credentials from a file or a plugin.
            return {"kubeconfig": self._server.source, "context": self._server.context}
        return {"kubeconfig": self.kubeconfig(token=token)}

    @property
    def _operator_options(self) -> dict[str, Any]:  # Any: arguments by name
        """Arguments of the operator."""
        return {"namespace": self.namespace, "profile": self._profile, "troubles": self._troubles}

    def _client(self, token: str | None, **options: Any) -> DPFClient:
        options.setdefault("namespace", self.namespace)
        return DPFClient(**self._access(token), **options)

    def _update_watch_lag(self) -> None:
        if isinstance(self._server, EmbeddedServer):
            trouble = self._troubles.find(SERVER_TROUBLE)
            lag = self._watch_lag if trouble is None or trouble.value is None else trouble.value
            self._server.faults.watch_lag = lag


def minimal_site() -> SiteSpec:
    """The minimal site that the operator accepts."""
    chart = HelmChart(
        source=HelmSource(repo_url="https://helm.example.com/dts", version="1.22.1", chart="dts")
    )
    return SiteSpec(
        bfbs={"bf-bundle": BFBSpec(url="https://bfb.example.com/bf-bundle.bfb")},
        flavors={"dpu-flavor": DPUFlavorSpec(dpu_mode="zero-trust")},
        services={"dts": ServiceSpec(chart=chart)},
        groups={
            GROUP: GroupSpec(
                bfb="bf-bundle", flavor="dpu-flavor", node_labels=_NODE_LABELS, services=("dts",)
            )
        },
    )


def _only_embedded(option: str) -> UsageError:
    return UsageError(
        f"{option} requires the embedded API server: remove it, or the kubeconfig of another API server"
    )


def _device(host: int, position: int) -> DeviceSpec:
    number = host * 100 + position
    return DeviceSpec(
        name=f"device-02-00-00-{position:02x}-{host >> 8:02x}-{host & 0xFF:02x}",
        serial_number=f"MT2500XZ{number:04d}",
        bmc_ip=str(IPv4Address("10.1.0.0") + number),
        labels={
            known.CARBIDE_CONTROLLED_DEVICE_LABEL: "true",
            known.CARBIDE_IS_PRIMARY_DPU_LABEL: "true" if position == 1 else "false",
        },
    )


@cache
def _generated_manifests() -> str:
    """The CRDs of this library as JSON; generated once per process."""
    return json.dumps(crds.manifests())


def _manifests(crd_manifests: Iterable[Mapping[str, Any]] | None, *, newer: bool) -> list[dict[str, Any]]:
    """The CRDs as plain JSON; with newer, the CRD of DPU allows a phase of a later release."""
    manifests: list[dict[str, Any]] = json.loads(
        _generated_manifests() if crd_manifests is None else json.dumps(list(crd_manifests))
    )
    if newer:
        for manifest in manifests:
            if manifest["spec"]["names"]["kind"] == DPU.KIND:
                (version,) = manifest["spec"]["versions"]
                status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
                for key in ("phase", "previousPhase"):
                    status[key]["enum"].append(str(DPUPhase.UPDATE_FIRMWARE))
    return manifests

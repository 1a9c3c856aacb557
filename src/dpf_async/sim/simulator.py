"""Simulator: a whole DPF site without hardware, for tests and for whoever has no DPUs."""

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
from dpf_async.sim.operator.hardware.troubles import OF_THE_SERVER
from dpf_async.sim.operator.process.bootstrap import install

GROUP: Final = "compute"
"""The one group of the minimal site."""

PASSWORD: Final = "correct horse battery staple"  # noqa: S105  of BMCs that do not exist

_NODE_LABELS: Final = {known.DPU_ENABLED_LABEL: "true", known.CARBIDE_CONTROLLED_NODE_LABEL: "true"}
_NEWER: Final = "newer_phase"


class Simulator(anyio.AsyncContextManagerMixin):
    """async with Simulator() as sim, sim.client() as dpf: a DPF site, with its API server at sim.url.

    Args:
        profile: how long things take: "instant", "demo", "realistic", or a Profile.
        troubles: what goes wrong from the beginning: "bmc_password_wrong", "reboots=3@node-1"; see `trouble`.
        watch_lag: seconds by which every watch event is late.
        tokens: bearer tokens and their users; None lets everybody in.
        namespace: where DPF is.
        port: of the API server; 0 chooses a free one.
        operator: True runs it in this event loop, "process" in a process of its own; False leaves it out: objects stay
            as they are written.
        crds: CustomResourceDefinition manifests to serve; by default those of `python -m dpf_async.crds`.
        kubeconfig: path or content, of an API server to use in place of the embedded one.
        context: context of that kubeconfig; None means its current one.

    It has what an installation of DPF has: CRDs, namespace, DPFOperatorConfig `dpfoperatorconfig`, and a DPUCluster.
    Entered in the body of a test, any bug in it ends the test at once.

    With a kubeconfig, the CRDs (`python -m dpf_async.crds | kubectl apply -f -`) and the namespace must be there
    already, and no other operator for it; for the trouble "newer_phase" its CRD of DPU must know that phase. All that
    is written there stays when the block is left. What the embedded server alone can do (crds, watch_lag, tokens, port,
    the trouble "watch_lag") is then a UsageError.

    Attributes:
        operator: the operator, with its hardware, as far as it runs in this event loop; otherwise None.
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
        self._newer = self._troubles.anywhere(_NEWER)
        self._token = secrets.token_urlsafe() if tokens is not None else None
        self._server: EmbeddedServer | ExternalServer
        if kubeconfig is None:
            self._server = EmbeddedServer(
                crds=_manifests(crds, newer=self._newer),
                namespaces=dict.fromkeys(("default", namespace)),
                port=port,
                tokens=None
                if tokens is None or self._token is None
                else {**tokens, self._token: "dpf-operator"},
            )
        else:
            unable = {
                "watch_lag": watch_lag,
                "tokens": tokens is not None,
                "port": port,
                "crds": crds is not None,
                f"the trouble {OF_THE_SERVER}": self._troubles.anywhere(OF_THE_SERVER),
            }
            for option in (option for option, wanted in unable.items() if wanted):
                raise _only_embedded(option)
            self._server = ExternalServer(kubeconfig, context, namespace=namespace)
        self._watch_lag = watch_lag
        self._troubles.listen(self._lag)
        self._lag()
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
                    process = OperatorProcess(**self._access(self._token), **self._conduct)
                    self._running = await stack.enter_async_context(process)
                case True:
                    operator = Operator(**self._access(self._token), **self._conduct)
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
            UsageError: the site is on another one.
        """
        if not isinstance(self._server, EmbeddedServer):
            raise _only_embedded("the attribute server")
        return self._server

    @property
    def url(self) -> str:
        """Where the API server is, once entered."""
        return self._server.url

    def kubeconfig(self, *, token: str | None = None) -> dict[str, Any]:
        """A kubeconfig for the site; token: of the user to be, by default the first one given."""
        return self._server.kubeconfig(token=token, namespace=self.namespace)

    def write_kubeconfig(self, path: str | os.PathLike[str], *, token: str | None = None) -> None:
        """Write the kubeconfig to a file that only its owner can read."""
        self._server.write_kubeconfig(path, token=token, namespace=self.namespace)

    def client(self, *, token: str | None = None, **options: Any) -> DPFClient:
        """A client of the site, not entered yet; options are those of DPFClient."""
        return self._client(token, **options)

    async def settled(self, timeout: float | None = 60.0) -> None:
        """Wait until the site has nothing left to do for now.

        True when it returns: the operator has seen all that was written and done what it does about it, and nothing
        will happen by itself. What waits for an answer from outside (a hold, a reboot) counts as done, and so does a
        bound that has not run out. Watches of clients may still be on their way. Without an operator, only the embedded
        server has anything to do.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: it goes on; the message says what with.
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
        """Have something go wrong from now on.

        Args:
            name: of the trouble, also as "name=value@target".
            device: only for this DPUDevice.
            node: only for this DPUNode.
            value: of a trouble that has one.

        Raises:
            UsageError: there is no such trouble, or it cannot be switched on now.
        """
        said = name if value is None else f"{name}={value:g}"
        target = device or node
        trouble = Trouble.parse(said if target is None else f"{said}@{target}")
        if isinstance(self._server, ExternalServer) and trouble.name == OF_THE_SERVER:
            raise _only_embedded(f"the trouble {trouble.name}")
        if trouble.name == _NEWER and not self._newer:
            raise UsageError(
                "newer_phase needs the CRDs of a newer release: give it to Simulator(troubles=…) at the start"
            )
        return self._troubles.add(trouble)

    def heal(self, name: str | None = None, *, device: str | None = None, node: str | None = None) -> None:
        """Have it go right again: this trouble, or all of them; of this device or node, or wherever it is.

        Raises:
            UsageError: there is no such trouble.
        """
        self._troubles.remove(name, device or node)

    # States to begin a test with.

    async def define_site(self) -> SiteSpec:
        """Create the smallest site there is, and wait until the operator has accepted it.

        One group "compute", with one BFB, one flavor, and one service "dts", which is labelled critical.
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
        """A host that belongs to the minimal site, another one with each call. Nothing is sent."""
        self._hosts += 1
        number = self._hosts
        return HostSpec(
            name=name or f"node-02-00-00-00-{number >> 8:02x}-{number & 0xFF:02x}",
            labels={**_NODE_LABELS, known.CARBIDE_HOST_BMC_IP_LABEL: str(IPv4Address("10.0.0.0") + number)},
            devices=tuple(_device(number, position) for position in range(1, devices + 1)),
        )

    async def register_host(self, name: str | None = None, devices: int = 1) -> HostSpec:
        """Tell DPF of a host. Does not wait for anything to come of it."""
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
        """The view of a node once nothing happens any more, as new as the server's own state."""
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

    # Inside.

    @property
    def _entered(self) -> DPFClient:
        if self._dpf is None:
            raise UsageError("this Simulator is not entered: use it with `async with Simulator() as sim:`")
        return self._dpf

    def _access(self, token: str | None) -> dict[str, Any]:  # Any: arguments by name
        """How a client gets to the API server."""
        if isinstance(self._server, ExternalServer) and token is None:
            # As it was given: a client renews what it has from a file or a plugin.
            return {"kubeconfig": self._server.source, "context": self._server.context}
        return {"kubeconfig": self.kubeconfig(token=token)}

    @property
    def _conduct(self) -> dict[str, Any]:  # Any: arguments by name
        """What an operator is told to do."""
        return {"namespace": self.namespace, "profile": self._profile, "troubles": self._troubles}

    def _client(self, token: str | None, **options: Any) -> DPFClient:
        options.setdefault("namespace", self.namespace)
        return DPFClient(**self._access(token), **options)

    def _lag(self) -> None:
        if isinstance(self._server, EmbeddedServer):
            trouble = self._troubles.find(OF_THE_SERVER)
            lag = self._watch_lag if trouble is None or trouble.value is None else trouble.value
            self._server.faults.watch_lag = lag


def minimal_site() -> SiteSpec:
    """The smallest site that the operator accepts."""
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


def _only_embedded(what: str) -> UsageError:
    return UsageError(
        f"{what} is only for the embedded API server, and this Simulator was given the kubeconfig of another one"
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


def _manifests(given: Iterable[Mapping[str, Any]] | None, *, newer: bool) -> list[dict[str, Any]]:
    """The CRDs, as plain JSON; with newer, the one of DPU knows a phase of a later release."""
    manifests: list[dict[str, Any]] = json.loads(
        _generated_manifests() if given is None else json.dumps(list(given))
    )
    if newer:
        for manifest in manifests:
            if manifest["spec"]["names"]["kind"] == DPU.KIND:
                (version,) = manifest["spec"]["versions"]
                status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
                for key in ("phase", "previousPhase"):
                    status[key]["enum"].append(str(DPUPhase.UPDATE_FIRMWARE))
    return manifests

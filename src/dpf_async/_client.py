"""The door: one client for one DPF, with everything a worker needs behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from dpf_async._api.config import Kubeconfig, load
from dpf_async._api.resource import FIELD_MANAGER
from dpf_async._api.transport import USER_AGENT, Timeouts, Transport
from dpf_async._base.names import validate_name
from dpf_async._base.tasks import background_tasks
from dpf_async._diagnostics import compatibility, permissions
from dpf_async._diagnostics.compatibility import Compatibility
from dpf_async._diagnostics.permissions import Access, Role
from dpf_async._diagnostics.snapshot import HostReport, report_of
from dpf_async._handshakes.claims import Claims
from dpf_async._hosts import deletion, forced_deletion, registration, reprovisioning
from dpf_async._hosts.fault_grace import GRACE, FaultGrace
from dpf_async._hosts.forced_deletion import ForcedDeletion
from dpf_async._readers.health_stream import HealthStream, damping
from dpf_async._readers.progress import ProgressListener, ProgressReporter
from dpf_async._readers.transition_stream import NodeTransitionStream
from dpf_async._readers.waits import Deadline
from dpf_async._rollout import deployments
from dpf_async._rollout.deployments import DeploymentChange
from dpf_async._rollout.outdated import OutdatedDPU, find_outdated
from dpf_async._session.dpu_handle import DPUHandle
from dpf_async._session.handles import ObjectHandle
from dpf_async._session.lookup_hints import lookup_hint
from dpf_async._session.node_handle import NodeHandle
from dpf_async._session.reflectors import SharedReflectors
from dpf_async._session.resources import Resources
from dpf_async._session.session import Session
from dpf_async._site import acceptance, apply, plan
from dpf_async._site.apply import SiteObject
from dpf_async._site.bmc_password import REFRESH_INTERVAL, BMCPassword, Password, PasswordProvider
from dpf_async._site.labels import LabelMismatch, verify_labels
from dpf_async._site.plan import SitePlan
from dpf_async._site.service_versions import ServiceVersion, service_versions
from dpf_async._transitions.levels import discovered
from dpf_async._transitions.views import (
    DeploymentView,
    DPUView,
    NodeView,
)
from dpf_async._watch.policy import WatchPolicy
from dpf_async._watch.reflector import CacheHealth
from dpf_async.errors import NotFound, UsageError
from dpf_async.models import DPU, DPUDeployment, DPUDevice, DPUNode, Resource, Secret, known

if TYPE_CHECKING:
    from dpf_async._hosts.registration import IfTerminating
    from dpf_async._hosts.reprovisioning import IfInstalling
    from dpf_async._hosts.stale_holds import IfReleased
    from dpf_async._specs import DeviceSpec, HostSpec, SiteSpec

T = TypeVar("T", bound=Resource)

FORCE_GRACE_PERIOD = 60.0
"""Seconds a forced deletion gives the orderly way first (chosen: many reconciles of the operator, 5 to 30 s each)."""


class DPFClient(anyio.AsyncContextManagerMixin):
    """One client for the DPF of one namespace. Use it with `async with`; leaving the block ends all that it started.

    Workers share it: pictures, watches and locks exist once per client, however many wait.

    Args:
        namespace: where DPF and its objects are.
        kubeconfig: path, or content as a dict; None means $KUBECONFIG, else ~/.kube/config, else the files of a pod.
        context: context of the kubeconfig; None means its current one.
        allow_insecure: accept a kubeconfig that says insecure-skip-tls-verify.
        allow_exec: run the exec plugin that a kubeconfig names; None means if it is a file, not if it is a dict.
        policy: how patient watches are.
        timeouts: how long requests may take.
        field_manager: who we are in managedFields, and in the User-Agent.
        claims: claim a node before working on what DPF asks about it, so that of several processes that do, one at a
            time works on it, and each request is answered once; None for a process that is alone.

    Entering it finds the server and the credentials, and sends nothing yet; it raises UsageError if there is no
    kubeconfig or it cannot be used. A watch that the server will never accept ends the block with that error.
    """

    def __init__(
        self,
        *,
        namespace: str = known.DPF_NAMESPACE,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
        allow_insecure: bool = False,
        allow_exec: bool | None = None,
        policy: WatchPolicy | None = None,
        timeouts: Timeouts | None = None,
        field_manager: str = FIELD_MANAGER,
        claims: Claims | None = None,
    ) -> None:
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._context = context
        self._allow_insecure = allow_insecure
        self._allow_exec = allow_exec
        self._policy = policy or WatchPolicy()
        self._timeouts = timeouts
        self._field_manager = field_manager
        self._claims = claims
        self._connection: Session | None = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        credentials = await load(
            self._kubeconfig,
            self._context,
            allow_insecure=self._allow_insecure,
            allow_exec=self._allow_exec,
        )
        async with (
            Transport(
                credentials, self._timeouts, user_agent=f"{USER_AGENT} ({self._field_manager})"
            ) as transport,
            background_tasks() as tasks,
            AsyncExitStack() as stack,
        ):
            reflectors = SharedReflectors(transport, tasks, self._policy)
            self._connection = Session(
                transport,
                reflectors,
                stack,
                self.namespace,
                field_manager=self._field_manager,
                claims=self._claims,
            )
            try:
                yield self
            finally:
                self._connection = None

    # Looking, waiting, following.

    def resource(self, kind: type[T]) -> Resources[T]:
        """Typed objects of any kind: get, list, create, apply, patch, delete, watch."""
        return self._entered.resource(kind)

    def node(self, name: str) -> NodeHandle:
        """The handle on a host, by the name of its DPUNode. Raises UsageError for what cannot be a name."""
        return self._entered.node(validate_name(DPUNode, name))

    def dpu(self, name: str) -> DPUHandle:
        """The handle on a DPU. Raises UsageError for what cannot be a name."""
        return self._entered.dpu(validate_name(DPU, name))

    def deployment(self, name: str) -> ObjectHandle[DeploymentView]:
        """The handle on a DPUDeployment."""
        return self.handle(DPUDeployment, name)

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """The handle on an object of any kind; its views are Snapshots where the kind has none of its own."""
        return self._entered.handle(kind, validate_name(kind, name))

    def transitions(
        self, *, label_selector: str = "", since: Mapping[str, Any] | None = None
    ) -> NodeTransitionStream:
        """What happens to every host of the site: `async with … as stream: async for transition in stream`.

        The reader is first told of everything that stands; see NodeHandle.transitions.

        Args:
            label_selector: only hosts whose DPUNode matches, as Kubernetes takes it. One that stops matching is told
                as gone.
            since: a checkpoint of such a stream with the same selector: the reader is told what changed for each host
                since then, and nothing else.

        Raises:
            UsageError: since is no checkpoint of such a stream, or one of another release.
        """
        return self._entered.transitions(label_selector, since)

    def health_transitions(
        self,
        *,
        label_selector: str = "",
        down_after: float = 0.0,
        up_after: float = 0.0,
        still_after: float | None = None,
    ) -> HealthStream:
        """How the health of DPUs changes, and which hosts can be used: `async with … as stream: async for … in stream`.

        The reader is first told of everything that stands. It is told of each DPU what goes wrong and what is right
        again, and of each host whether it can be used. Within a host the problems are told first, NodeUsable or
        NodeUnusable after them.

        That a DPU enters Node Effect or Error, or is deleted, is told at once, whatever the arguments. Everything else
        may flap and is damped on request; see docs/how-to/monitor.md.

        Args:
            label_selector: only hosts whose DPUNode matches. One that stops matching is told as gone.
            down_after: seconds that a problem must stand before it is told; shorter ones are only counted.
            up_after: seconds that a problem must be gone before that is told, and before it counts as gone at all.
            still_after: seconds after which a problem that stands is told once more (StillUnhealthy); None never does.

        Raises:
            UsageError: a number of seconds is below 0.

        Source: dpf-facts 11; requirement, flow 5.
        """
        health_damping = damping(down_after=down_after, up_after=up_after, still_after=still_after)
        return self._entered.health_transitions(label_selector, health_damping)

    async def snapshot(self, node: str) -> HostReport:
        """Everything DPF knows of one host at one moment: what a support ticket needs.

        Every object with its identity, phase, conditions, labels, annotations, and what it waits for; those that cannot
        be read are named. Everything this client wrote is in it. What may hold passwords is not.

        Args:
            node: name of the DPUNode. The node itself may be gone, as long as something refers to it.

        Raises:
            NotFound: DPF knows nothing of a host of this name.
            Unauthorized, Forbidden, KindNotServed: it cannot be looked at until somebody repairs something.
        """
        caches = self._entered.caches
        site = await caches.site()
        # The same reflector as the site's: readers of one selection share one.
        devices = (await caches.objects(DPUDevice)).reflector.store
        await caches.refresh_site()
        # No await from here: the report shows one moment.
        report = report_of(
            site.view(validate_name(DPUNode, node)),
            devices,
            reflectors=caches.site_reflectors,
            namespace=self.namespace,
            now=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if report is None:
            raise NotFound(
                f"DPF knows nothing of a host {node}: there is no DPUNode of this name, and nothing refers to one; look"
                " at the names with resource(DPUNode).list()",
                status=404,
                reason="NotFound",
                object=f"DPUNode {node}",
            )
        return report

    @property
    def health(self) -> Mapping[str, CacheHealth]:
        """How each picture is kept, by what it shows: "dpus in namespace …"."""
        return self._entered.reflectors.health

    @property
    def claims(self) -> Claims | None:
        """How nodes are claimed before they are worked on; None if they are not."""
        return self._claims

    async def server_version(self) -> str:
        """The version of the API server, such as "v1.34.1": the cheapest way to learn whether it can be reached.

        Raises:
            ConnectionFailed, Unauthorized: it cannot be reached, or does not know us.
        """
        return await self._entered.server_version()

    async def check_access(
        self, role: Role = "operator", *, operations: Iterable[str] | None = None
    ) -> Access:
        """Learn which permissions are missing, before anything is tried. Changes nothing, and reads no object.

        Args:
            role: "observer" looks on; "operator" does everything that this library does.
            operations: these instead of the role's, by their public names: "reprovision_dpu", "provision".

        Returns:
            What is missing, and for which operations. Its text is a sentence for whoever grants permissions.

        Raises:
            UsageError: there is no such role or operation.
            Unauthorized, Forbidden: the server does not know us, or does not even let us ask.
            APIError, ConnectionFailed: it could not be asked.
        """
        return await permissions.check_access(self._entered.transport, self.namespace, role, operations)

    async def check_compatibility(self) -> Compatibility:
        """Learn what of this library will fail for what the cluster's kinds have become, before it is met (flow 12).

        Compares the schemas that the API server publishes with the models: kinds that are missing, fields that are gone
        or required now, values that are refused. Any user who is authenticated may ask; nothing is changed.

        Raises:
            APIError, ConnectionFailed, DecodeError: the server could not be asked.

        Source: Kubernetes, "The Kubernetes API", OpenAPI V3; dpf-facts 13, flow 12.
        """
        return await compatibility.check_compatibility(self._entered.transport)

    # The requirement's methods.

    async def plan_site(self, site: SiteSpec) -> SitePlan:
        """Learn what `create_initialization_objects` would do with a site, object by object. Changes nothing.

        The server itself is asked, by dry runs: its rules, defaults and field managers count as they will.

        Returns:
            The plan; `str(plan)` is for a person. Values that may hold passwords are not in it.

        Raises:
            DecodeError: an object of the site's is there and cannot be read.
            NotFound: the site says `operator_bfcfg`, and there is no DPFOperatorConfig.
            APIError, ConnectionFailed: it could not be found out.
        """
        return await plan.plan_site(self, site)

    async def create_initialization_objects(
        self,
        site: SiteSpec,
        *,
        bmc_password: str | None = None,
        update: bool = False,
        force: bool = False,
        progress: ProgressListener | None = None,
    ) -> tuple[SiteObject, ...]:
        """Create everything a site consists of before there are hosts; nothing happens to what is there as described.

        Everything is planned first, as by `plan_site`; of a plan that cannot be done, or that has changes which nobody
        asked for, nothing is done. Cut off on the way, it is called again and goes on from there. Objects that the site
        does not name any more stay; the plan lists them.

        Args:
            site: the definition.
            bmc_password: of the DPUs' BMCs, for the Secret that DPF reads; None leaves the Secret alone.
            update: change what is there and differs. What can never be changed is refused all the same.
            force: take fields over that another field manager owns.
            progress: is told each object and what was done about it.

        Returns:
            Each object, and whether it was created, changed, or unchanged.

        Raises:
            SiteDiffers: objects are there and differ, and update is False; it has the plan.
            Invalid: the server refuses objects, or a BFB or DPUFlavor of that name is another one. `.causes` has all.
            AlreadyExists: an object of that name is being deleted.
            Conflict: another field manager owns a field that would be changed, and force is False.
            NotFound: the site says `operator_bfcfg`, and there is no DPFOperatorConfig.
            UsageError: bmc_password is empty, or no text.
            APIError, ConnectionFailed: it failed on the way; a note says what exists by then.
        """
        password = None if bmc_password is None else Password(bmc_password)
        bmc_password = None  # so that it is in no frame of a traceback
        if password is not None:
            password.usable()
        reporter = ProgressReporter("create_initialization_objects", progress)
        return await apply.apply_site(self, site, password, update=update, force=force, reporter=reporter)

    async def site_accepted(
        self, site: SiteSpec, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> Mapping[str, DeploymentView]:
        """Wait until the operator has taken a site's definition over.

        That is: every BFB is downloaded, and every DPUDeployment is reconciled at its present generation. An object
        that does not exist yet is waited for.

        Args:
            site: the definition.
            timeout: seconds from the call; None leaves it to the caller's cancel scope; 0 looks once.
            progress: is told what each object is waiting for, as it changes.

        Returns:
            The DPUDeployments by name, in the views in which they were accepted.

        Raises:
            WaitTimeout: it says of every object that is late what it is waiting for.
            SiteFailed: a BFB could not be downloaded, or a DPUDeployment has a condition that only a user can do
                something about; or one of the two is being deleted.
            ObjectReplaced: one was deleted meanwhile, or another one has its name.
        """
        reporter = ProgressReporter("site_accepted", progress)
        return await acceptance.until_accepted(self, site, timeout=timeout, reporter=reporter)

    def bmc_password(self, provider: PasswordProvider, *, every: float = REFRESH_INTERVAL) -> BMCPassword:
        """Keep the Secret with the DPUs' BMC password what provider says: `async with dpf.bmc_password(provider):`.

        When the block is entered, the Secret has been written. From then on the provider is asked again and again, and
        another password is written when it tells one. A provider that raises, and a server that cannot for now, are
        logged and tried again with backoff, before the block as well as in it; `.health` says so. The Secret is never
        read, and the password is in no log, message or traceback.

        Args:
            provider: tells the password as it is now.
            every: seconds between two questions, about.

        Raises:
            Forbidden, Invalid, NotFound: the write is refused; raised out of the block if it comes later.
            UsageError: the provider told something that is no password; raised out of the block as well.
        """
        return BMCPassword(lambda: self.resource(Secret), provider, every=every)

    async def create_dpu_node(
        self,
        name: str,
        devices: Sequence[DeviceSpec],
        *,
        labels: Mapping[str, str] | None = None,
        if_terminating: IfTerminating = "refuse",
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> NodeView:
        """Tell DPF of a host and its DPUs. What is there as described is left alone; what may change is made so.

        Everything is looked at before anything is written: where it is refused, everything is as it was. Labels may
        change, and so may a BMC's address and the list of devices. A label by which a group selects hosts moves
        the host to another group, and its DPUs are made anew.

        Args:
            name: of the DPUNode.
            devices: its DPUs.
            labels: for the DPUNode; labels of others stay.
            if_terminating: where an object of the same name is being deleted, "refuse" raises, "wait" waits until it is
                gone.
            timeout: seconds for that; None leaves it to the caller's cancel scope.
            progress: hears of what is written and waited for.

        Returns:
            The node with what DPF knows of it by now. Wait for more with `host_discovered` or `node(name).until(…)`.

        Raises:
            UsageError: the description breaks a rule; nothing was sent.
            AlreadyExists: the node or a device of that name is being deleted (`.terminating`).
            WaitTimeout: it is still being deleted.
            Invalid: one exists with a value that cannot be changed; the message has both values.
            APIError, ConnectionFailed: it failed on the way; a note says what was written by then.
        """
        await registration.register(
            self,
            name,
            devices,
            labels or {},
            if_terminating=if_terminating,
            deadline=Deadline(timeout),
            reporter=ProgressReporter("create_dpu_node", progress),
        )
        return await self.node(name).view()

    async def host_discovered(
        self,
        name: str,
        *,
        grace: float | None = GRACE,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> NodeView:
        """Wait until DPF has taken a host up, and found every DPU of it to be as it was registered.

        Args:
            name: of the DPUNode; one that does not exist yet is waited for.
            grace: seconds for which a device may be faulty before that ends the wait; the operator tries every 30 s
                or so. None waits as long as there is time.
            timeout: seconds; None leaves it to the caller's cancel scope.
            progress: hears of what is waited for.

        Returns:
            The view in which the DPUNode was taken up and every DPUDevice was Ready.

        Raises:
            DeviceFailed: a device was faulty for the grace: a refused password, another serial number.
            WaitTimeout: with the last view; the message says what is missing.
            ObjectReplaced: the DPUNode was deleted meanwhile.
        """
        reporter = ProgressReporter("host_discovered", progress)
        deadline = Deadline(timeout)
        return await FaultGrace(self.node(name), grace=grace, reporter=reporter, deadline=deadline).until(
            discovered
        )

    async def verify_labels(
        self, host: HostSpec, *, owned: Callable[[str], bool] | None = None, repair: bool = False
    ) -> tuple[LabelMismatch, ...]:
        """Compare the labels of a host's DPUNode, DPUDevices and DPUs with those it should have.

        Args:
            host: with its labels, as `label_host` gives them.
            owned: says of a key whether it is ours alone, as ResourceLabeler.owns does: a label of such a key that is
                not wanted is stale. None takes no label for stale.
            repair: make the labels of DPUNode and DPUDevices as wanted, and take stale ones away. Those of DPUs are
                copies, and are only told: a DPU gets its labels when it is made. Mind that DPF deletes the DPUs of a
                host that its group does not select any more.

        Returns:
            Every label that was not as it should be; none if all were.

        Raises:
            NotFound: the DPUNode or a DPUDevice is not registered.
            APIError, ConnectionFailed: it could not be read, or repaired.
        """
        return await verify_labels(self, host, owned=owned, repair=repair)

    async def mark_dpu_node_ready_for_maintenance(
        self, name: str, *, in_advance: bool = False, timeout: float | None = None
    ) -> bool:
        """Release the hold on a node: it may be disturbed.

        Args:
            name: of the DPUNode.
            in_advance: release it even if DPF has not asked yet, but is about to: the hold is there, and waits for
                other DPUs of the host to join it.
            timeout: seconds to wait until DPF has taken the release; None does not wait.

        Returns:
            True if this released it, False if it was released already.

        Raises:
            NotFound: there is no such DPUNode, or it is not held; the message says which.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).release_hold(in_advance=in_advance, timeout=timeout)

    async def mark_dpu_node_rebooted(self, name: str, *, timeout: float | None = None) -> bool:
        """Tell DPF that a host has been rebooted.

        Args:
            name: of the DPUNode.
            timeout: seconds to wait until DPF has taken it; None does not wait.

        Returns:
            True if a request stood and is answered now, False if none stood.

        Raises:
            NotFound: there is no such DPUNode, or it was replaced meanwhile.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).confirm_reboot(timeout=timeout)

    async def reprovision_dpu(
        self,
        name: str,
        *,
        uid: str | None = None,
        if_installing: IfInstalling = "wait",
        if_released: IfReleased = "request_again",
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DPUView:
        """Have a DPU made anew: delete its DPU object and wait for the one that takes its place.

        Args:
            name: of the DPU.
            uid: of the one that is meant. Given again after a restart, it makes the call know what was done already.
            if_installing: where it is being installed, which DPF does not delete, "wait" waits until that is over (up
                to 45 min), "refuse" raises before anything is deleted.
            if_released: where a release of the hold would be left over, on which the new DPU would pass without asking
                (dpf-facts 5), "request_again" has DPF ask again, "refuse" raises before anything is deleted, "accept"
                goes on. All of them tell.
            timeout: seconds; None leaves it to the caller's cancel scope.
            progress: hears of what is done and waited for.

        Returns:
            The new DPU. It is provisioned from the beginning, its hold included.

        Raises:
            NotFound: there is no such DPU, and no uid was given.
            Conflict: the server keeps refusing the deletion, though the DPU is still the one meant.
            DPUInstalling: it is being installed, and that is refused.
            StaleRelease: a release would be left over, and that is refused, or it is too late to have DPF ask again.
            WaitTimeout: the old one is still there, or no new one came; the message says why.
        """
        with lookup_hint(DPU, name):
            return await reprovisioning.reprovision(
                self,
                name,
                uid=uid,
                if_installing=if_installing,
                if_released=if_released,
                deadline=Deadline(timeout),
                reporter=ProgressReporter("reprovision_dpu", progress),
            )

    async def is_dpu_node_waiting_for_reboot(self, name: str) -> bool:
        """Whether DPF waits for this host to be rebooted, asked of the server itself.

        Raises:
            NotFound: there is no such DPUNode.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).is_waiting_for_reboot()

    async def is_dpu_ready(self, name: str) -> bool:
        """Whether the DPU of this name is ready, asked of the server itself; one that is being deleted is not.

        Raises:
            NotFound: there is no such DPU.
        """
        with lookup_hint(DPU, name):
            return await self.dpu(name).is_ready()

    async def update_dpu_deployment_bfb(
        self,
        name: str,
        bfb: str,
        *,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DeploymentChange:
        """Have a DPUDeployment install another BFB. With OnDelete a DPU gets it when it is reprovisioned.

        Args:
            name: of the DPUDeployment.
            bfb: name of the BFB; it must be Ready.
            timeout: seconds to wait until the operator has accepted it; None does not wait.
            progress: is told what the DPUDeployment is waiting for, as it changes.

        Returns:
            Whether it was changed, what it said before, and which of its DPUs are outdated.

        Raises:
            NotFound: there is no such DPUDeployment or BFB.
            UsageError: the BFB is not Ready, or one of the two is being deleted.
            WaitTimeout: it was written, and is not accepted yet; the message says what is waited for.
            SiteFailed: it was written, and cannot be accepted until somebody does something.
        """
        deadline = None if timeout is None else Deadline(timeout)
        reporter = ProgressReporter("update_dpu_deployment_bfb", progress)
        return await deployments.change(self, name, bfb=bfb, deadline=deadline, reporter=reporter)

    async def update_dpu_deployment_configuration(
        self,
        name: str,
        flavor: str,
        *,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DeploymentChange:
        """Have a DPUDeployment configure DPUs by another DPUFlavor. With OnDelete a DPU gets it when reprovisioned.

        Args:
            name: of the DPUDeployment.
            flavor: name of the DPUFlavor.
            timeout: seconds to wait until the operator has accepted it; None does not wait.
            progress: is told what the DPUDeployment is waiting for, as it changes.

        Returns:
            Whether it was changed, what it said before, and which of its DPUs are outdated.

        Raises:
            NotFound: there is no such DPUDeployment or DPUFlavor.
            UsageError: one of the two is being deleted.
            WaitTimeout: it was written, and is not accepted yet; the message says what is waited for.
            SiteFailed: it was written, and cannot be accepted until somebody does something.
        """
        deadline = None if timeout is None else Deadline(timeout)
        reporter = ProgressReporter("update_dpu_deployment_configuration", progress)
        return await deployments.change(self, name, flavor=flavor, deadline=deadline, reporter=reporter)

    async def outdated_dpus(
        self, deployments: Iterable[str] | None = None, *, label_selector: str = ""
    ) -> tuple[OutdatedDPU, ...]:
        """Learn which DPUs were made with another BFB or DPUFlavor than their DPUDeployment says now.

        Args:
            deployments: names of DPUDeployments; None means all.
            label_selector: only DPUs that match, as Kubernetes takes it.

        Returns:
            Them, by DPUDeployment, DPUNode and name. One that is being deleted counts until it is gone.

        Raises:
            NotFound: there is no such DPUDeployment.
            DecodeError: an object that matters cannot be read; it is not left out in silence.
        """
        return await find_outdated(self, deployments, label_selector=label_selector)

    async def service_versions(
        self, expected: SiteSpec | Mapping[str, str] | None = None
    ) -> tuple[ServiceVersion, ...]:
        """Learn the chart version of every service of every DPUDeployment, as its DPUServiceTemplate says.

        Args:
            expected: a site, with which the services of its groups are compared; or versions by name of service.

        Returns:
            The services by DPUDeployment and name; those that are expected and not there as well.

        Raises:
            DecodeError: an object that matters cannot be read.
        """
        return await service_versions(self, expected)

    async def delete_dpu(
        self, device: str, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> None:
        """Take a DPU away for good: its DPUDevice, its DPU, and its entry in the DPUNode. Gone already is success.

        When it was the last DPU of its host, the node effect that was asked for on its behalf ends as well. Cut off on
        the way, it is called again and goes on from there. A DPU is not deleted while its OS is being installed: DPF
        lets go of it when that is over or has timed out, by default after 45 min.

        Args:
            device: name of the DPUDevice.
            timeout: seconds; None leaves it to the caller's cancel scope; 0 asks for it and looks once.
            progress: is told of each object what it waits for, as it changes.

        Raises:
            WaitTimeout: something still holds objects; the message says which, and in what state each is.
            UsageError: there is nothing of that name, and it is the name of a DPU or a DPUNode, or cannot be a name.
            Conflict: somebody else keeps writing an object that has to be changed.
            DecodeError: an object cannot be read, and may belong to what is deleted.
            APIError, ConnectionFailed: it failed on the way; a note says what was done by then.
        """
        reporter = ProgressReporter("delete_dpu", progress)
        await deletion.delete_dpu(self, device, timeout=timeout, reporter=reporter)

    async def force_delete_dpu(
        self,
        device: str,
        *,
        grace_period: float = FORCE_GRACE_PERIOD,
        progress: ProgressListener | None = None,
    ) -> ForcedDeletion:
        """The same; if it is not over after `grace_period` seconds, take off the finalizers of DPF that still hold.

        Args:
            device: name of the DPUDevice.
            grace_period: seconds for the orderly way, and once more for what goes by itself after the force.
            progress: is told of each object what is done about it, the force included.

        Returns:
            What was forced, and what may be left behind for somebody to clean up. Logged as it happens, too.

        Raises:
            WaitTimeout: somebody else's finalizer holds an object; notes say what was forced by then.
            UsageError, Conflict, DecodeError: as for `delete_dpu`.
            APIError, ConnectionFailed: it failed on the way; notes say what was done and forced by then.
        """
        reporter = ProgressReporter("force_delete_dpu", progress)
        return await forced_deletion.force_delete_dpu(
            self, device, grace_period=grace_period, reporter=reporter
        )

    async def delete_dpu_node(
        self, name: str, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> None:
        """Take a host away: its DPUNode, and with it its DPUs, DPUDevices and maintenances. Gone already is success.

        Cut off on the way, it is called again and goes on from there. See `delete_dpu` for DPUs that are installed.

        Args:
            name: of the DPUNode.
            timeout: seconds; None leaves it to the caller's cancel scope; 0 asks for it and looks once.
            progress: is told of each object what it waits for, as it changes.

        Raises:
            WaitTimeout: something still holds objects; the message says which, and in what state each is.
            UsageError: there is nothing of that name, and it is the name of a DPU or DPUDevice, or cannot be a name.
            Conflict: somebody else keeps writing an object that has to be changed.
            DecodeError: an object cannot be read, and may belong to what is deleted.
            APIError, ConnectionFailed: it failed on the way; a note says what was done by then.
        """
        reporter = ProgressReporter("delete_dpu_node", progress)
        await deletion.delete_dpu_node(self, name, timeout=timeout, reporter=reporter)

    async def force_delete_dpu_node(
        self, name: str, *, grace_period: float = FORCE_GRACE_PERIOD, progress: ProgressListener | None = None
    ) -> ForcedDeletion:
        """The same; if it is not over after `grace_period` seconds, take off the finalizers of DPF that still hold.

        Args:
            name: of the DPUNode.
            grace_period: seconds for the orderly way, and once more for what goes by itself after the force.
            progress: is told of each object what is done about it, the force included.

        Returns:
            What was forced, and what may be left behind for somebody to clean up. Logged as it happens, too.

        Raises:
            WaitTimeout: somebody else's finalizer holds an object; notes say what was forced by then.
            UsageError, Conflict, DecodeError: as for `delete_dpu_node`.
            APIError, ConnectionFailed: it failed on the way; notes say what was done and forced by then.
        """
        reporter = ProgressReporter("force_delete_dpu_node", progress)
        return await forced_deletion.force_delete_dpu_node(
            self, name, grace_period=grace_period, reporter=reporter
        )

    @property
    def _entered(self) -> Session:
        if self._connection is None:
            raise UsageError("this DPFClient is not entered: use it with `async with DPFClient() as dpf:`")
        return self._connection

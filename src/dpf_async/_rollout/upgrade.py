"""Upgrades: a DPUDeployment gets another BFB or DPUFlavor, and its hosts follow, one after the other (flow 6).

What stands in the cluster is all that an upgrade knows. Which DPUs are outdated is seen from what they were made with;
that a host was begun is said by an annotation on its DPUNode, written before the first of its DPUs is deleted and taken
off when all of them are Ready again. So a call after a restart goes on: what is up to date is not touched, and what was
begun is continued.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import anyio

from dpf_async._hosts.provisioning import Work, reprovision
from dpf_async._log import log
from dpf_async._readers.progress import ProgressListener, ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._rollout import deployments
from dpf_async._rollout.deployments import DeploymentChange
from dpf_async._rollout.outdated import OutdatedDPU, Owners, References, find_outdated, judge, states_of
from dpf_async._session.failures import dpu_failed
from dpf_async._site.acceptance import until_deployment_accepted
from dpf_async._transitions.levels import Level, external_reboot_required, node_effect_held
from dpf_async._transitions.views import DPUView, NodeView, describe
from dpf_async.errors import Conflict, DPFError, NotFound, UpgradeFailed, UsageError, WaitTimeout
from dpf_async.models import DPU, DPUDeployment, DPUNode

if TYPE_CHECKING:
    from dpf_async._client import DPFClient

BEGUN_PREFIX: Final = "dpf-async/upgrade-"
"""DPUNode annotation, by this library, with the name of the DPUDeployment at its end: the host was begun."""

OnFailure = Literal["stop", "continue"]
"""What to do when a host fails: begin no other one; go on with the others. Both end in UpgradeFailed."""

Outcome = Literal["upgraded", "skipped", "failed", "left"]
"""What became of a host: it is Ready and up to date; it was declined, or is gone; it failed; it was not begun."""


@dataclass(frozen=True, slots=True)
class HostUpgrade:
    """A host whose turn it is.

    Attributes:
        node: name of the DPUNode.
        deployment: name of the DPUDeployment that is upgraded.
        dpus: its outdated DPUs of this DPUDeployment. With OnDelete they are deleted, and made anew.
        failed: names of its DPUs of this DPUDeployment in phase Error: made anew as well, since nothing else helps.
        begun: the host was begun before, by an earlier call.
        view: the host as it is.
    """

    node: str
    deployment: str
    dpus: tuple[OutdatedDPU, ...]
    failed: tuple[str, ...]
    begun: bool
    view: NodeView = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class HostOutcome:
    """What became of a host.

    Attributes:
        node: name of the DPUNode.
        outcome: in a word.
        reason: why, where that is a question.
        error: what it failed with.
    """

    node: str
    outcome: Outcome
    reason: str = ""
    error: Exception | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"DPUNode {self.node}: {self.outcome}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """What an upgrade did.

    Attributes:
        deployment: name of the DPUDeployment.
        changed: this call changed its references; False if they were so already.
        references: what it says now.
        previous: what it said before its last change, which `rollback` returns to; None if that is not known.
        hosts: every host that had something to be done, in the order in which that was found out.
        outdated: the DPUs that are outdated in the end.
    """

    deployment: str
    changed: bool
    references: References
    previous: References | None
    hosts: tuple[HostOutcome, ...]
    outdated: tuple[OutdatedDPU, ...]

    @property
    def upgraded(self) -> tuple[HostOutcome, ...]:
        """The hosts that were brought up to date."""
        return self._with("upgraded")

    @property
    def skipped(self) -> tuple[HostOutcome, ...]:
        """The hosts that were declined, or gone when it was their turn."""
        return self._with("skipped")

    @property
    def failed(self) -> tuple[HostOutcome, ...]:
        """The hosts that failed, the first failure first."""
        return self._with("failed")

    @property
    def left(self) -> tuple[HostOutcome, ...]:
        """The hosts that were not begun."""
        return self._with("left")

    def _with(self, outcome: Outcome) -> tuple[HostOutcome, ...]:
        return tuple(host for host in self.hosts if host.outcome == outcome)

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(hosts)} {outcome}" for outcome in get_args(Outcome) if (hosts := self._with(outcome))
        )
        return f"DPUDeployment {self.deployment}, {self.references}: hosts: {counts or 'nothing to do'}"


Approve = Callable[[HostUpgrade], Awaitable[bool]]
"""Asked before a host is disturbed, of one host at a time; False leaves it as it is."""

Order = Callable[[HostUpgrade], Any] | Sequence[str]
"""A key to sort hosts by, or names of DPUNodes; those not named come last. Any: whatever can be compared."""


async def upgrade(
    dpf: DPFClient,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    approve: Approve,
    reboot: Work,
    node_effect: Work | None = None,
    max_parallel: int = 1,
    order: Order | None = None,
    on_failure: OnFailure = "stop",
    host_timeout: float | None = None,
    progress: ProgressListener | None = None,
    timeout: float | None = None,
) -> UpgradeReport:
    """Have a DPUDeployment make DPUs with another BFB or DPUFlavor, and bring its hosts up to date one by one.

    Called again, after whatever happened, it goes on: what is up to date is not touched, and a host that was begun is
    continued before others begin. Run one upgrade of a DPUDeployment at a time.

    With OnDelete this deletes the outdated DPUs of a host, all at a time, once it was approved. With RollingUpdate DPF
    itself deletes them, which and how many it decides (dpf-facts 7.2): approve is asked when DPF first wants something
    of a host, and max_parallel bounds how many are attended at a time. A hold that was declined stands, and DPF goes no
    further: the upgrade ends when the hosts in progress are done.

    Args:
        dpf: an entered client.
        deployment: name of the DPUDeployment.
        bfb: name of the BFB, which must be Ready; None leaves the reference as it is.
        flavor: name of the DPUFlavor; None leaves the reference as it is.
        approve: whether a host may be upgraded now. Not asked again about one that was begun, unless a DPU of it is in
            phase Error by now.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        max_parallel: hosts in progress at a time, at most.
        order: in which hosts have their turn; by default by name.
        on_failure: when a host fails, "stop" begins no other one, and "continue" goes on.
        host_timeout: seconds for the waiting for one host; None leaves it to timeout.
        progress: hears of each host what is done and waited for.
        timeout: seconds for all the waiting; approve, reboot and node_effect are not cut short by it.

    Returns:
        What became of each host. None failed; some may have been skipped.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor; nothing was done.
        UsageError: the BFB is not Ready, one of them is being deleted, or an argument makes no sense; nothing was done.
        WaitTimeout, SiteFailed, ObjectReplaced: the change was written, and DPF did not accept it; no host was touched.
        UpgradeFailed: hosts failed, the time was over, or somebody changed the references meanwhile. What was in
            progress is finished first.
    """
    if max_parallel < 1:
        raise UsageError(f"max_parallel={max_parallel}: at least one host at a time")
    if on_failure not in get_args(OnFailure):
        raise UsageError(f"on_failure={on_failure!r}: say one of {', '.join(get_args(OnFailure))}")
    deadline = Deadline(timeout)
    reporter = ProgressReporter("upgrade", progress)
    referred = await deployments.refer(dpf, deployment, bfb=bfb, flavor=flavor, reporter=reporter)
    # Before that a deleted DPU would be made anew with what it had.
    await until_deployment_accepted(dpf, deployment, deadline=deadline, reporter=reporter)
    run = _Run(
        dpf,
        deployment,
        referred.references,
        approve=approve,
        reboot=reboot,
        node_effect=node_effect,
        order=order,
        stops=on_failure == "stop",
        host_timeout=host_timeout,
        deadline=deadline,
        reporter=reporter,
    )
    await (run.rolling(max_parallel) if referred.rolling else run.on_delete(max_parallel))
    await run.is_wanted()
    report = UpgradeReport(
        deployment,
        referred.changed,
        referred.references,
        referred.previous,
        run.results(),
        await find_outdated(dpf, [deployment]),
    )
    first = report.failed[0] if report.failed else None
    if first is not None or run.interrupted:
        why = "; ".join(
            [str(host) for host in report.failed] + ([run.interrupted] if run.interrupted else [])
        )
        raise UpgradeFailed(
            f"{report}; {why}; put that right and call upgrade() again, which goes on from here, or rollback()",
            report=report,
            node=first.node if first is not None else "",
        ) from (first.error if first is not None else run.error)
    return report


async def rollback(
    dpf: DPFClient,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    progress: ProgressListener | None = None,
    timeout: float | None = None,
) -> DeploymentChange:
    """Have a DPUDeployment say again what it said before its last change, and tell which DPUs are outdated by that.

    An upgrade that runs begins no other host. With OnDelete no DPU is touched: `upgrade` without bfb and flavor brings
    those that were upgraded back. Called again, it changes nothing.

    Args:
        dpf: an entered client.
        deployment: name of the DPUDeployment.
        bfb: name of the BFB to go back to, as UpgradeReport.previous has it.
        flavor: name of the DPUFlavor to go back to. With neither, it is what the DPUDeployment's annotation
            `dpf-async/previous-references` says: what it said before the last change by this library.
        progress: hears of what is done and waited for.
        timeout: seconds to wait until the operator has accepted it.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor.
        UsageError: it is not known what it said before; or the BFB is not Ready, or one of them is being deleted.
        WaitTimeout, SiteFailed, ObjectReplaced: it was written, and DPF did not accept it.
    """
    if bfb is None and flavor is None:
        previous = await deployments.kept(dpf, deployment)
        bfb, flavor = previous.bfb, previous.flavor
    return await deployments.change(
        dpf,
        deployment,
        bfb=bfb,
        flavor=flavor,
        # Kept as it is: going back twice would be going forth again.
        keep=False,
        deadline=Deadline(timeout),
        reporter=ProgressReporter("rollback", progress),
    )


class _Run:
    """One upgrade under way."""

    def __init__(
        self,
        dpf: DPFClient,
        deployment: str,
        wanted: References,
        *,
        approve: Approve,
        reboot: Work,
        node_effect: Work | None,
        order: Order | None,
        stops: bool,
        host_timeout: float | None,
        deadline: Deadline,
        reporter: ProgressReporter,
    ) -> None:
        self.interrupted = ""
        """Why no other host is begun, where that is no host's fault."""
        self.error: Exception | None = None
        """What that was, where it was an error."""
        self._dpf = dpf
        self._deployment = deployment
        self._wanted = wanted
        self._approve = approve
        self._reboot = reboot
        self._node_effect = node_effect
        self._order = order
        self._stops = stops
        self._host_timeout = host_timeout
        self._deadline = deadline
        self._reporter = reporter
        self._mark = f"{BEGUN_PREFIX}{deployment}"
        self._owners = Owners({})
        self._planned: dict[str, HostUpgrade] = {}
        self._outcomes: dict[str, HostOutcome] = {}
        self._turn = anyio.Lock()
        self._is_stopped = False
        self._waiting: set[anyio.CancelScope] = set()
        """Waits for hosts that are not in progress."""

    def results(self) -> tuple[HostOutcome, ...]:
        """What became of each host; the first failure is the first of the failed ones."""
        untouched = [HostOutcome(node, "left") for node in self._planned if node not in self._outcomes]
        return (*self._outcomes.values(), *untouched)

    # With OnDelete.

    async def on_delete(self, max_parallel: int) -> None:
        """Upgrade hosts, so many at a time, until none is left or something stops it."""
        queue: list[HostUpgrade] = []

        async def work() -> None:
            while True:
                # One at a time, so that hosts are asked about, and begun, in their order.
                async with self._turn:
                    host = await self._next_or_none(queue)
                if host is None:
                    return
                await self._attempt(host, self._renew)

        async with anyio.create_task_group() as tasks:
            for _ in range(max_parallel):
                tasks.start_soon(work)

    async def _next_or_none(self, queue: list[HostUpgrade]) -> HostUpgrade | None:
        """The next host that may be begun; None if there is none, or none may be begun any more."""
        try:
            return await self._next(queue)
        except DPFError as error:
            # The hosts in progress are finished first.
            self._interrupt(str(error), error)
            return None

    async def _next(self, queue: list[HostUpgrade]) -> HostUpgrade | None:
        while not self._is_stopped:
            if not queue:
                queue += await self._plan(rolling=False)
                if not queue:
                    return None
            planned = queue.pop(0)
            view = await self._dpf.node(planned.node).view()
            if not view.exists or view.terminating:
                self._note(planned.node, "skipped", "its DPUNode is gone, or being deleted")
                continue
            # As it is now: hours may have passed since it was planned.
            host = self._host_of(view)
            if host is not None and await self._may_begin(host):
                return host
            if host is None:
                self._planned.pop(planned.node)
        return None

    async def _may_begin(self, host: HostUpgrade) -> bool:
        """Ask for approval where that is due; and look whether the upgrade is still wanted."""
        if (not host.begun or host.failed) and not await self._approved(host):
            return False
        if self._deadline.remaining == 0:
            self._interrupt("its time is over")
        return not self._is_stopped and await self.is_wanted()

    async def is_wanted(self) -> bool:
        """Whether the DPUDeployment still says what this is for; if it does not, no other host is begun."""
        try:
            present = await deployments.references(self._dpf, self._deployment)
        except (NotFound, UsageError) as error:
            self._interrupt(str(error), error)
            return False
        if present != self._wanted:
            self._interrupt(f"somebody changed it meanwhile, from {self._wanted} to {present}")
            return False
        return True

    async def _renew(self, host: HostUpgrade) -> None:
        """Have the DPUs of a host made anew, and wait until it is up to date."""
        view = await self._dpf.node(host.node).view()
        await self._mark_begun(view)
        replacing = {dpu.name: dpu.uid for dpu in host.dpus}
        replacing |= {dpu.name: dpu.uid for dpu in view.dpus if dpu.name in host.failed and dpu.failed}
        self._tell(host.node, f"makes {', '.join(replacing)} anew" if replacing else "is continued")
        view = await self._until_ready(host, replacing, Deadline(self._host_timeout))
        if (still := next(filter(None, map(self._outdated, view.dpus)), None)) is not None:
            # As far as it can be known, the DPUSet had not heard of the change yet, or not any more.
            self._failed(host.node, f"{still}, although it was made anew")
            return
        await self._done(view)

    # With RollingUpdate.

    async def rolling(self, max_parallel: int) -> None:
        """Attend hosts as DPF gets at them, so many at a time, until none is outdated or something stops it."""
        places = anyio.CapacityLimiter(max_parallel)
        hosts = await self._plan(rolling=True)
        async with anyio.create_task_group() as tasks:
            for host in hosts:
                tasks.start_soon(self._attempt, host, lambda host: self._follow(host, places))

    async def _follow(self, host: HostUpgrade, places: anyio.CapacityLimiter) -> None:
        approved = host.begun
        deadline = Deadline(self._host_timeout)
        while True:
            view = await self._until_something(host.node)
            if view is None:
                return
            if self._is_current(view):
                await self._done(view)
                return
            async with places:
                if not approved:
                    async with self._turn:
                        if self._is_stopped:
                            return
                        if not await self._approved(self._host_of(view, anyway=True) or host):
                            # DPF does not go on past a host that is held.
                            self._stop()
                            return
                    approved = True
                    await self._mark_begun(view)
                await self._until_ready(host, {}, deadline)

    async def _until_something(self, node: str) -> NodeView | None:
        """The view in which a host is up to date, or DPF wants something of it; None if the upgrade was stopped.

        Raises:
            DPUFailed: a DPU that was made with what is wanted is in phase Error; one that was not is made anew by DPF.
        """

        def failed(view: NodeView) -> DPUView | None:
            return next((dpu for dpu in view.failed_dpus if self._outdated(dpu) is None), None)

        level = Level[NodeView](
            "up to date",
            lambda view: (
                self._is_current(view)
                or external_reboot_required.holds(view)
                or node_effect_held.holds(view)
                or failed(view) is not None
            ),
            survives_failure=True,
        )
        found: NodeView | None = None
        began = anyio.current_time()
        wait = self._reporter.until(level, f"{DPUNode.KIND} {node}", describe)
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            if self._is_stopped:
                scope.cancel()
            try:
                found = await self._dpf.node(node).until(wait, timeout=self._deadline.remaining)
            except WaitTimeout:
                self._interrupt("its time is over")
            finally:
                self._waiting.discard(scope)
        if found is not None and (dpu := failed(found)) is not None:
            raise dpu_failed(dpu, level, found, anyio.current_time() - began)
        return found

    # With either.

    async def _attempt(self, host: HostUpgrade, work: Callable[[HostUpgrade], Awaitable[None]]) -> None:
        """Do the work on a host, and note what became of it."""
        try:
            await work(host)
        except Exception as error:  # noqa: BLE001
            # Whatever it was, the caller's own reboot included, it is this host's failure: the others are finished, and
            # it is raised in the end, as the cause of UpgradeFailed.
            self._failed(host.node, _words(error), error)

    async def _approved(self, host: HostUpgrade) -> bool:
        self._tell(host.node, "waits for approval")
        try:
            approved = await self._approve(host)
        except Exception as error:  # noqa: BLE001
            # The caller's own: nothing was done to this host, and others may be in progress.
            self._failed(host.node, _words(error), error)
            return False
        if not approved:
            self._note(host.node, "skipped", "declined")
        return approved

    async def _until_ready(self, host: HostUpgrade, replacing: dict[str, str], of_host: Deadline) -> NodeView:
        """Have these DPUs made anew, if any, and answer for the host until it is Ready; tell how it goes."""
        left = [one for one in (self._deadline.remaining, of_host.remaining) if one is not None]

        def tell(view: NodeView) -> bool:
            self._tell(host.node, describe(view))
            return False

        listening = Level[NodeView]("told", tell, survives_failure=True)
        async with self._dpf.node(host.node).observe(listening):
            return await reprovision(
                self._dpf,
                host.node,
                reboot=self._reboot,
                node_effect=self._node_effect,
                replacing=replacing,
                timeout=min(left) if left else None,
            )

    async def _plan(self, *, rolling: bool) -> list[HostUpgrade]:
        """The hosts that have something to be done and were not planned yet: those begun first, then in order."""
        dpus = await states_of(self._dpf, DPU)
        self._owners = await Owners.of(self._dpf, dpus)
        ours = {view.node for view in map(DPUView, dpus) if self._is_ours(view)}
        marked = {
            str(state.name)
            for state in await states_of(self._dpf, DPUNode)
            if self._mark in state.annotations
        }
        hosts: list[HostUpgrade] = []
        for node in sorted(ours | marked):
            view = await self._dpf.node(node).view()
            # DPF deletes by itself: who is not Ready may be on the way.
            host = self._host_of(view, anyway=rolling and view.exists and not view.ready)
            if host is not None and node not in self._planned:
                hosts.append(host)
        hosts.sort(key=self._key())
        self._planned |= {host.node: host for host in hosts}
        return hosts

    def _key(self) -> Callable[[HostUpgrade], Any]:  # Any: whatever the caller's key gives
        order = self._order
        if order is None:
            return lambda host: (not host.begun, host.node)
        if callable(order):
            return lambda host: (not host.begun, order(host))
        places = {node: place for place, node in enumerate(order)}
        return lambda host: (not host.begun, places.get(host.node, len(places)), host.node)

    def _host_of(self, view: NodeView, *, anyway: bool = False) -> HostUpgrade | None:
        """What is to be done about a host; None if it is up to date, and nobody began with it."""
        ours = [dpu for dpu in view.dpus if self._is_ours(dpu)]
        outdated = tuple(one for one in map(self._outdated, ours) if one is not None)
        begun = view.node is not None and self._mark in view.node.annotations
        if not (outdated or begun or anyway):
            return None
        failed = tuple(dpu.name for dpu in ours if dpu.failed)
        return HostUpgrade(view.name, self._deployment, outdated, failed, begun, view)

    def _is_ours(self, dpu: DPUView) -> bool:
        return self._owners.deployment(dpu.state) == self._deployment

    def _outdated(self, dpu: DPUView) -> OutdatedDPU | None:
        return judge(dpu, self._deployment, self._wanted) if self._is_ours(dpu) else None

    def _is_current(self, view: NodeView) -> bool:
        return view.ready and all(self._outdated(dpu) is None for dpu in view.dpus)

    # Notes, here and in the cluster.

    async def _mark_begun(self, view: NodeView) -> None:
        if view.node is not None and self._mark not in view.node.annotations:
            annotations = {self._mark: str(self._wanted)}
            await self._dpf.resource(DPUNode).patch(
                view.name, {"metadata": {"annotations": annotations}}, uid=view.uid
            )

    async def _done(self, view: NodeView) -> None:
        """The host is Ready and up to date."""
        try:
            await self._dpf.resource(DPUNode).patch(
                view.name, {"metadata": {"annotations": {self._mark: None}}}, uid=view.uid
            )
        except (NotFound, Conflict):
            log.info("node_gone_after_upgrade", node=view.name)
        self._note(view.name, "upgraded")

    def _tell(self, node: str, doing: str) -> None:
        self._reporter.report(f"{DPUNode.KIND} {node}", doing)

    def _note(self, node: str, outcome: Outcome, reason: str = "", error: Exception | None = None) -> None:
        self._outcomes[node] = HostOutcome(node, outcome, reason, error)
        self._tell(node, f"{outcome}{f': {reason}' if reason else ''}")

    def _failed(self, node: str, reason: str, error: Exception | None = None) -> None:
        self._note(node, "failed", reason, error)
        log.warning("host_upgrade_failed", deployment=self._deployment, node=node, reason=reason)
        if self._stops:
            self._stop()

    def _interrupt(self, reason: str, error: Exception | None = None) -> None:
        if not self.interrupted:
            self.interrupted = f"{DPUDeployment.KIND} {self._deployment}: {reason}"
            self.error = error
        self._stop()

    def _stop(self) -> None:
        """Begin no other host."""
        self._is_stopped = True
        for scope in self._waiting:
            scope.cancel()


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, DPFError) else f"{type(error).__name__}: {error}"

"""One upgrade in progress: approve, upgrade and record each host, with OnDelete or RollingUpdate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import anyio

from dpf_async._base.concurrency import wait_all, wait_any
from dpf_async._hosts.provisioning import reprovision
from dpf_async._hosts.request_loop import Work
from dpf_async._log import log
from dpf_async._readers.waits import Deadline
from dpf_async._rollout import deployments
from dpf_async._rollout.upgrade_report import HostOutcome, HostUpgrade
from dpf_async._session.failures import dpu_failed
from dpf_async._transitions.levels import Level, external_reboot_required, node_effect_held
from dpf_async._transitions.views import DPUView, NodeView, describe
from dpf_async.errors import DPFError, NotFound, UsageError, WaitTimeout
from dpf_async.models import DPUDeployment, DPUNode

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._rollout.upgrade_plan import UpgradePlan
    from dpf_async._rollout.upgrade_report import Outcome
    from dpf_async._session.client import Client

Approve = Callable[[HostUpgrade], Awaitable[bool]]
"""Called before a host is disrupted, for one host at a time; False leaves the host unchanged."""


class UpgradeRun:
    """One upgrade in progress.

    Args:
        dpf: the client.
        plan: the hosts to upgrade.
        approve: whether a host may be upgraded now.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        stop_on_failure: start no other host after one failed.
        host_timeout: seconds for the waits of one host; None sets no limit.
        deadline: of all waits together.
        reporter: receives what is done to each host, and what it waits for.
    """

    def __init__(
        self,
        dpf: Client,
        plan: UpgradePlan,
        *,
        approve: Approve,
        reboot: Work,
        node_effect: Work | None,
        stop_on_failure: bool,
        host_timeout: float | None,
        deadline: Deadline,
        reporter: ProgressReporter,
    ) -> None:
        self.interruption = ""
        """Why no other host is started, if the reason is not the failure of a host."""
        self.error: Exception | None = None
        """The error that interrupted the upgrade, if there was one."""
        self._dpf = dpf
        self._plan = plan
        self._approve = approve
        self._reboot = reboot
        self._node_effect = node_effect
        self._stop_on_failure = stop_on_failure
        self._host_timeout = host_timeout
        self._deadline = deadline
        self._reporter = reporter
        self._planned: dict[str, HostUpgrade] = {}
        self._outcomes: dict[str, HostOutcome] = {}
        self._turn = anyio.Lock()
        """Held while a host is approved, so that hosts are approved one at a time and in their order."""
        self._stopped = anyio.Event()

    def results(self) -> tuple[HostOutcome, ...]:
        """The outcome of each host, in the order in which they ended; hosts that were not started come last."""
        remaining = [HostOutcome(node, "not_started") for node in self._planned if node not in self._outcomes]
        return (*self._outcomes.values(), *remaining)

    # OnDelete.

    async def on_delete(self, max_parallel: int) -> None:
        """Upgrade at most max_parallel hosts at a time, until none is left or the upgrade is stopped."""
        queue: list[HostUpgrade] = []

        async def work() -> None:
            while (host := await self._next(queue)) is not None:
                await self._attempt(host, self._replace_dpus)

        await wait_all(dict.fromkeys(range(max_parallel), work))

    async def _next(self, queue: list[HostUpgrade]) -> HostUpgrade | None:
        """The next approved host; None if there is none or the upgrade is stopped."""
        async with self._turn:
            try:
                return await self._next_approved(queue)
            except DPFError as error:
                # The upgrade is not cancelled: hosts in progress are finished first.
                self._interrupt(str(error), error)
                return None

    async def _next_approved(self, queue: list[HostUpgrade]) -> HostUpgrade | None:
        while not self._stopped.is_set():
            if not queue:
                queue += await self._plan_hosts(rolling=False)
                if not queue:
                    return None
            planned = queue.pop(0)
            view = await self._dpf.node(planned.node).view()
            if not view.exists or view.terminating:
                self._record(planned.node, "skipped", "its DPUNode is deleted or being deleted")
                continue
            # Compared again: hours may have passed since the host was planned.
            host = self._plan.host(view)
            if host is not None and await self._may_start(host):
                return host
            if host is None:
                self._planned.pop(planned.node)
        return None

    async def _may_start(self, host: HostUpgrade) -> bool:
        """Get the approval for a host if it is needed, and check that the upgrade is still wanted."""
        if (not host.started or host.failed) and not await self._is_approved(host):
            return False
        if self._deadline.remaining == 0:
            self._interrupt("the timeout has expired")
        return not self._stopped.is_set() and await self.is_wanted()

    async def is_wanted(self) -> bool:
        """Whether the DPUDeployment still has the wanted references; if not, no other host is started."""
        try:
            present = await deployments.current_references(self._dpf, self._plan.deployment)
        except (NotFound, UsageError) as error:
            self._interrupt(str(error), error)
            return False
        if present != self._plan.wanted:
            self._interrupt(f"another client changed the references from {self._plan.wanted} to {present}")
            return False
        return True

    async def _replace_dpus(self, host: HostUpgrade) -> None:
        """Reprovision the outdated and failed DPUs of a host."""
        view = await self._dpf.node(host.node).view()
        await self._plan.mark_started(view)
        replacing = {dpu.name: dpu.uid for dpu in host.dpus}
        replacing |= {dpu.name: dpu.uid for dpu in view.dpus if dpu.name in host.failed and dpu.failed}
        self._report(host.node, f"reprovisioning {', '.join(replacing)}" if replacing else "continuing")
        view = await self._until_ready(host.node, replacing, Deadline(self._host_timeout))
        if (outdated := next(filter(None, map(self._plan.outdated, view.dpus)), None)) is not None:
            # A possible cause: the DPUSet did not have the change yet, or not any more, when it created the DPU.
            self._record_failure(host.node, f"{outdated}, although it was reprovisioned")
            return
        await self._finish(view)

    # RollingUpdate.

    async def rolling(self, max_parallel: int) -> None:
        """Answer the requests of at most max_parallel hosts at a time, as DPF replaces their DPUs."""
        places = anyio.CapacityLimiter(max_parallel)
        hosts = await self._plan_hosts(rolling=True)
        follow = partial(self._follow, places=places)
        await wait_all({host.node: partial(self._attempt, host, follow) for host in hosts})

    async def _follow(self, host: HostUpgrade, *, places: anyio.CapacityLimiter) -> None:
        approved = host.started
        deadline = Deadline(self._host_timeout)
        while (view := await self._until_current_or_requesting(host.node)) is not None:
            if self._plan.is_current(view):
                await self._finish(view)
                return
            async with places:
                if not approved:
                    if not await self._approve_rolling(view, host):
                        return
                    approved = True
                    await self._plan.mark_started(view)
                await self._until_ready(host.node, {}, deadline)

    async def _approve_rolling(self, view: NodeView, host: HostUpgrade) -> bool:
        async with self._turn:
            if self._stopped.is_set():
                return False
            approved = await self._is_approved(self._plan.host(view, always=True) or host)
            if not approved:
                # The hold of this host is not released, and DPF replaces no DPU of another host before that.
                self._stop()
            return approved

    async def _until_current_or_requesting(self, node: str) -> NodeView | None:
        """Wait until a host is up to date, or DPF has a request for it; return None if the upgrade is stopped.

        Raises:
            DPUFailed: a DPU with the wanted references is in phase Error; DPF replaces a failed DPU that is outdated.
        """
        if self._stopped.is_set():
            return None

        def failed(view: NodeView) -> DPUView | None:
            return next((dpu for dpu in view.failed_dpus if self._plan.outdated(dpu) is None), None)

        level = Level[NodeView](
            "up to date",
            lambda view: (
                self._plan.is_current(view)
                or external_reboot_required.holds(view)
                or node_effect_held.holds(view)
                or failed(view) is not None
            ),
            survives_failure=True,
        )
        wait: Callable[[], Awaitable[NodeView | None]] = partial(
            self._reporter.wait_for,
            self._dpf.node(node),
            level,
            subject=f"{DPUNode.KIND} {node}",
            describe=describe,
            timeout=self._deadline.remaining,
        )
        began = anyio.current_time()
        try:
            view = await wait_any(wait, self._stopped.wait)
        except WaitTimeout:
            self._interrupt("the timeout has expired")
            return None
        if view is not None and (dpu := failed(view)) is not None:
            raise dpu_failed(dpu, level, view, anyio.current_time() - began)
        return view

    # Both strategies.

    async def _plan_hosts(self, *, rolling: bool) -> list[HostUpgrade]:
        """The hosts to upgrade that were not planned before."""
        hosts = await self._plan.hosts(rolling=rolling, without=self._planned)
        self._planned |= {host.node: host for host in hosts}
        return hosts

    async def _attempt(self, host: HostUpgrade, upgrade: Callable[[HostUpgrade], Awaitable[None]]) -> None:
        """Upgrade a host, and record any error as its failure."""
        try:
            await upgrade(host)
        except Exception as error:  # noqa: BLE001
            # Also an error of the caller's reboot: the other hosts are finished, and UpgradeFailed has it as its cause.
            self._record_failure(host.node, _message(error), error)

    async def _is_approved(self, host: HostUpgrade) -> bool:
        self._report(host.node, "waiting for approval")
        try:
            approved = await self._approve(host)
        except Exception as error:  # noqa: BLE001
            # An error of the caller: this host is unchanged, and others may be in progress.
            self._record_failure(host.node, _message(error), error)
            return False
        if not approved:
            self._record(host.node, "skipped", "declined")
        return approved

    async def _until_ready(
        self, node: str, replacing: Mapping[str, str], host_deadline: Deadline
    ) -> NodeView:
        """Replace DPUs, if any, and answer requests until the host is Ready; report its states."""
        limits = [limit for limit in (self._deadline.remaining, host_deadline.remaining) if limit is not None]
        async with self._reporter.following(self._dpf.node(node).views(), f"{DPUNode.KIND} {node}", describe):
            return await reprovision(
                self._dpf,
                node,
                reboot=self._reboot,
                node_effect=self._node_effect,
                replacing=replacing,
                timeout=min(limits, default=None),
            )

    async def _finish(self, view: NodeView) -> None:
        await self._plan.mark_done(view)
        self._record(view.name, "upgraded")

    def _report(self, node: str, doing: str) -> None:
        self._reporter.report(f"{DPUNode.KIND} {node}", doing)

    def _record(self, node: str, outcome: Outcome, reason: str = "", error: Exception | None = None) -> None:
        self._outcomes[node] = HostOutcome(node, outcome, reason, error)
        self._report(node, self._outcomes[node].summary)

    def _record_failure(self, node: str, reason: str, error: Exception | None = None) -> None:
        self._record(node, "failed", reason, error)
        log.warning("host_upgrade_failed", deployment=self._plan.deployment, node=node, reason=reason)
        if self._stop_on_failure:
            self._stop()

    def _interrupt(self, reason: str, error: Exception | None = None) -> None:
        if not self.interruption:
            self.interruption = f"{DPUDeployment.KIND} {self._plan.deployment}: {reason}"
            self.error = error
        self._stop()

    def _stop(self) -> None:
        """Start no other host, and end the waits for hosts that are not in progress."""
        self._stopped.set()


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, DPFError) else f"{type(error).__name__}: {error}"

"""Whole roads: a host from unknown to discovered, from there to Ready, and from Ready to Ready again.

A flow keeps nothing that the cluster does not have. A worker that is killed and started again calls the flow again, and
it goes on where things stand: what was answered is not asked any more, what was not stands (dpf-facts 13, flows 2, 3,
4, 11).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import anyio

from dpf_async._base.error_notes import progress_note
from dpf_async._base.tasks import background_tasks
from dpf_async._hosts import registration, reprovisioning, stale_holds
from dpf_async._hosts.fault_grace import GRACE, FaultGrace, faults_in_the_way
from dpf_async._hosts.registration import IfTerminating
from dpf_async._hosts.reprovisioning import IfInstalling
from dpf_async._hosts.stale_holds import IfReleased
from dpf_async._readers.progress import ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._session.failures import dpu_failed
from dpf_async._transitions.levels import (
    Level,
    discovered,
    external_reboot_required,
    node_effect_held,
    ready,
    services_ready,
)
from dpf_async._transitions.released_holds import stale_release
from dpf_async._transitions.views import NodeView
from dpf_async.errors import ClaimLost, NotFound
from dpf_async.models import DPUPhase

if TYPE_CHECKING:
    from dpf_async._client import DPFClient
    from dpf_async._readers.progress import ProgressListener
    from dpf_async._specs import HostSpec

Work = Callable[[str], Awaitable[object]]
"""Something done to a host, given the name of its DPUNode. What it raises ends the flow, and DPF is told nothing."""

IfFailed = Literal["raise", "finish_others"]
"""What to do when a DPU is in phase Error: raise at once; bring the others as far as they get, and raise then."""


async def discover(
    dpf: DPFClient,
    host: HostSpec,
    *,
    if_terminating: IfTerminating = "refuse",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Tell DPF of a host, and wait until it has found every DPU of it to be as it was registered.

    Called again, it writes nothing, and waits for what is still missing.

    Args:
        dpf: an entered client.
        host: what the site explorer found.
        if_terminating: where an object of the same name is being deleted, "refuse" raises, "wait" waits until it is
            gone.
        grace: seconds for which a device may be faulty before that ends the wait; the operator tries every 30 s or so.
            None waits as long as there is time.
        timeout: seconds for all of it.
        progress: hears of what is written and waited for.

    Returns:
        The view in which the DPUNode was taken up and every DPUDevice was Ready.

    Raises:
        DeviceFailed: a device was faulty for the grace: a refused password, another serial number.
        AlreadyExists: an object of the same name is being deleted, and that is refused.
        Invalid: one exists with a value that cannot be changed; the message has both.
        UsageError: the description breaks a rule.
        WaitTimeout: not all of it came about in time; the message says what is missing.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("discover", progress)
    await _register(dpf, host, if_terminating, deadline, reporter)
    fault_grace = FaultGrace(dpf.node(host.name), grace=grace, reporter=reporter, deadline=deadline)
    return await fault_grace.until(discovered)


async def provision(
    dpf: DPFClient,
    host: HostSpec,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    services: bool = False,
    if_terminating: IfTerminating = "refuse",
    if_released: IfReleased = "request_again",
    if_failed: IfFailed = "raise",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Bring a host from unknown to Ready: register it, give it free when DPF asks, reboot it as often as DPF asks.

    Works for one DPU or several, with or without a hold, for no reboot or many, in any order. Called again for a host
    that is on its way, it goes on; for one that is Ready, it returns at once.

    Args:
        dpf: an entered client.
        host: what the site explorer found.
        reboot: reboots the host; a power cycle serves every kind of reboot DPF may need (dpf-facts 10).
        node_effect: makes the host free to be disturbed, such as draining its tenants; None says that it is.
        services: wait until the services on the DPUs are ready as well.
        if_terminating: where an object of the same name is being deleted, "refuse" raises, "wait" waits until it is
            gone.
        if_released: where the hold was released before a DPU asked (dpf-facts 5), "request_again" has DPF ask again,
            "refuse" raises, "accept" goes on. All of them tell.
        if_failed: when a DPU is in phase Error, "raise" does so at once, and "finish_others" when the other DPUs are
            Ready, or wait for nothing but the failed one.
        grace: seconds for which a device may be faulty while its DPU waits for it; None leaves it to the timeout.
        timeout: seconds for the waiting; reboot and node_effect are not cut short by it.
        progress: hears of what is done and waited for.

    Returns:
        The view in which every DPU of the host was ready.

    Raises:
        WaitTimeout: the host is not Ready in time; the message says where each DPU is, and which services are missing.
        DPUFailed: a DPU is in phase Error; the message says why, and where the others are.
        DeviceFailed: a DPU cannot be installed, since its device is faulty: a refused password, another serial number.
        StaleRelease: a hold was released before a DPU asked, and that is refused, or it is too late to ask again.
        AlreadyExists, Invalid, UsageError: as for `discover`.
        Exception: whatever reboot or node_effect raised; the request it was for stands.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("provision", progress)
    await _register(dpf, host, if_terminating, deadline, reporter)
    fault_grace = FaultGrace(
        dpf.node(host.name), grace=grace, reporter=reporter, deadline=deadline, faults=faults_in_the_way
    )
    attendance = _Attendance(
        dpf, fault_grace, reboot=reboot, node_effect=node_effect, if_released=if_released
    )
    with progress_note(
        [f"DPUNode {host.name}"], how="registered", then="provision it again to go on from there"
    ):
        return await attendance.until(_goal(services=services), if_failed)


async def reprovision(
    dpf: DPFClient,
    node: str,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    replacing: Mapping[str, str] | None = None,
    services: bool = False,
    if_installing: IfInstalling = "wait",
    if_released: IfReleased = "request_again",
    if_failed: IfFailed = "raise",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Make the DPUs of a host anew, and bring it to Ready again.

    Args:
        dpf: an entered client.
        node: name of the DPUNode.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        replacing: the DPUs that are to be replaced, name and uid, as NodeView.uids has them. Store it before the first
            call: with it, a call after a restart knows which DPUs are old. None means every DPU there is now.
        services: as for `provision`.
        if_installing: where a DPU is being installed, which DPF does not delete, "wait" waits until that is over (up to
            45 min), "refuse" raises before anything is deleted.
        if_released: as for `provision`; "refuse" raises before anything is deleted.
        if_failed: as for `provision`; a DPU that is replaced may well be in phase Error.
        grace: as for `provision`.
        timeout: seconds for the waiting.
        progress: hears of what is done and waited for.

    Returns:
        The view in which every DPU of the host was ready; none of them is one of `replacing`.

    Raises:
        NotFound: there is no such DPUNode.
        UsageError: one of `replacing` is a DPU of another host; nothing was deleted.
        DPUInstalling: a DPU is being installed, and that is refused; nothing was deleted.
        WaitTimeout, DPUFailed, DeviceFailed, StaleRelease, Exception: as for `provision`.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("reprovision", progress)
    view = await dpf.node(node).view()
    if not view.exists:
        raise NotFound(
            f"there is no DPUNode {node}: nothing was deleted; provision() registers a host and brings it to Ready",
            status=404,
            reason="NotFound",
            object=f"DPUNode {node}",
        )
    if replacing is None:
        replacing = view.uids
    meant = await reprovisioning.those_meant(dpf, node, replacing)
    reprovisioning.refuse_while_installing(meant, if_installing)
    leaving = {dpu.name for dpu in meant if not dpu.terminating}
    if leaving:
        await stale_holds.before_deletion(dpf, await dpf.node(node).view(), leaving, if_released, reporter)

    async def replace(name: str, uid: str, done: anyio.Event) -> None:
        await reprovisioning.replace(dpf, name, uid, deadline, reporter)
        done.set()

    async with background_tasks() as tasks:
        replaced = {name: anyio.Event() for name in replacing}
        for name, uid in replacing.items():
            tasks.start_soon(replace, name, uid, replaced[name])
        for event in replaced.values():
            await event.wait()
    fault_grace = FaultGrace(
        dpf.node(node), grace=grace, reporter=reporter, deadline=deadline, faults=faults_in_the_way
    )
    attendance = _Attendance(
        dpf, fault_grace, reboot=reboot, node_effect=node_effect, if_released=if_released
    )
    with reprovisioning.after_deletion([f"DPU {name}" for name in replacing]):
        return await attendance.until(_goal(services=services), if_failed)


async def _register(
    dpf: DPFClient,
    host: HostSpec,
    if_terminating: IfTerminating,
    deadline: Deadline,
    reporter: ProgressReporter,
) -> None:
    await registration.register(
        dpf,
        host.name,
        host.devices,
        host.labels,
        if_terminating=if_terminating,
        deadline=deadline,
        reporter=reporter,
    )


def _goal(*, services: bool) -> Level[NodeView]:
    return ready & services_ready if services else ready


class _Attendance:
    """Answers whatever DPF asks about a host until every DPU of it is where it should be."""

    def __init__(
        self,
        dpf: DPFClient,
        fault_grace: FaultGrace,
        *,
        reboot: Work,
        node_effect: Work | None,
        if_released: IfReleased,
    ) -> None:
        self._dpf = dpf
        self._fault_grace = fault_grace
        self._node = fault_grace.node
        self._deadline = fault_grace.deadline
        self._reporter = fault_grace.reporter
        self._subject = f"DPUNode {fault_grace.node.name}"
        self._reboot = reboot
        self._node_effect = node_effect
        self._if_released = if_released
        self._accepted: set[str] = set()
        """Uids of released maintenances that may be passed on."""

    async def until(self, goal: Level[NodeView], if_failed: IfFailed) -> NodeView:
        """Attend the host until the goal holds."""
        began = anyio.current_time()
        finish = if_failed == "finish_others"
        asked = goal | external_reboot_required | node_effect_held | self._stale
        if finish:
            asked = asked | _over
        # Under the name of the goal: that is what a timeout is about.
        asked = Level(goal.name, asked.holds, survives_failure=finish)
        while True:
            view = await self._fault_grace.until(asked)
            if self._stale.holds(view):
                await self._resolve(view)
            elif view.hold is not None or view.external_reboot_required:
                # A claim that was lost is another client's, which answers, or dies as well: look again.
                with suppress(ClaimLost):
                    await (self._give_free() if view.hold is not None else self._have_rebooted())
            elif goal.holds(view):
                return view
            else:
                raise dpu_failed(view.failed_dpus[0], goal, view, anyio.current_time() - began)

    @property
    def _stale(self) -> Level[NodeView]:
        def holds(view: NodeView) -> bool:
            stale = stale_release(view)
            return stale is not None and stale.maintenance.uid not in self._accepted

        return Level("released before it was asked for", holds)

    async def _resolve(self, view: NodeView) -> None:
        stale = stale_release(view)
        await stale_holds.on_sight(self._dpf, view, self._if_released, self._reporter)
        if stale is not None and self._if_released == "accept":
            self._accepted.add(stale.maintenance.uid)

    async def _give_free(self) -> None:
        # Several workers may attend one host: whoever comes second finds the question answered.
        async with self._node.node_effect_hold(
            unless=~node_effect_held, timeout=self._deadline.remaining
        ) as hold:
            if hold is None:
                return
            if self._node_effect is not None:
                self._reporter.report(self._subject, "is made free to be disturbed")
                await self._node_effect(self._node.name)
            self._reporter.report(self._subject, f"may be disturbed; releases {hold.maintenance}")

    async def _have_rebooted(self) -> None:
        async with self._node.external_reboot(
            unless=~external_reboot_required, timeout=self._deadline.remaining
        ) as request:
            if request is None:
                return
            self._reporter.report(self._subject, f"is rebooted for {', '.join(request.dpus)}")
            await self._reboot(self._node.name)
            self._reporter.report(self._subject, "was rebooted")


def _as_far_as_it_gets(view: NodeView) -> bool:
    """A DPU failed, and the others are Ready or held up by nothing but its services (dpf-facts 10)."""
    others = [dpu for dpu in view.dpus if not dpu.failed]
    return bool(view.failed_dpus) and all(
        dpu.ready or dpu.phase == DPUPhase.NODE_EFFECT_REMOVAL for dpu in others
    )


_over: Level[NodeView] = Level("over", _as_far_as_it_gets, survives_failure=True)

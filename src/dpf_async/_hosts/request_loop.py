"""The loop of the flows: answer each request of the operator for one host until a level holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import anyio

from dpf_async._hosts import stale_holds
from dpf_async._hosts.fault_grace import FaultGrace, faults_before_installation
from dpf_async._session.failures import dpu_failed
from dpf_async._transitions.levels import Level, external_reboot_required, node_effect_held
from dpf_async._transitions.released_holds import stale_release
from dpf_async.errors import ClaimLost
from dpf_async.models import DPUPhase

if TYPE_CHECKING:
    from dpf_async._hosts.stale_holds import IfReleased
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.client import Client
    from dpf_async._transitions.views import NodeView

Work = Callable[[str], Awaitable[object]]
"""Work on a host, called with the name of its DPUNode. An exception ends the flow, and the request remains pending."""

IfFailed = Literal["raise", "finish_others"]
"""When a DPU in phase Error ends the flow: at once; after the other DPUs have made all the progress they can."""


class RequestLoop:
    """Answers the requests of the operator for one host.

    Args:
        dpf: the client.
        node: name of the DPUNode.
        reboot: reboots the host.
        node_effect: makes sure that the host can be disrupted; None if it always can be.
        if_released: what to do about a hold that was released before a DPU requested it.
        if_failed: when to raise for a DPU in phase Error.
        grace: seconds for which a device may be faulty while its DPU needs it.
        deadline: of all waits together.
        reporter: receives what is done and waited for.
    """

    def __init__(
        self,
        dpf: Client,
        node: str,
        *,
        reboot: Work,
        node_effect: Work | None,
        if_released: IfReleased,
        if_failed: IfFailed,
        grace: float | None,
        deadline: Deadline,
        reporter: ProgressReporter,
    ) -> None:
        self._dpf = dpf
        self._node = dpf.node(node)
        self._subject = f"DPUNode {node}"
        self._reboot = reboot
        self._node_effect = node_effect
        self._if_released = if_released
        self._finish_others = if_failed == "finish_others"
        self._deadline = deadline
        self._reporter = reporter
        self._waits = FaultGrace(
            self._node,
            grace=grace,
            reporter=reporter,
            deadline=deadline,
            faults=faults_before_installation,
        )
        self._accepted: set[str] = set()
        """Uids of the maintenances whose stale release was accepted."""

    async def until(self, goal: Level[NodeView]) -> NodeView:
        """Answer requests until the goal holds and no request is pending; return the view."""
        began = anyio.current_time()

        def is_step_due(view: NodeView) -> bool:
            return (
                goal.holds(view)
                or external_reboot_required.holds(view)
                or node_effect_held.holds(view)
                or self._has_stale_release(view)
                or (self._finish_others and others_are_finished(view))
            )

        # It has the name of the goal, for progress and for the message of a timeout.
        step_due = Level(goal.name, is_step_due, survives_failure=self._finish_others)
        while True:
            view = await self._waits.until(step_due)
            if self._has_stale_release(view):
                await self._resolve_stale_release(view)
            elif view.hold is not None or view.external_reboot_required:
                # After ClaimLost, the client that took the claim answers the request; if it ends, this one does.
                with suppress(ClaimLost):
                    await (self._release_hold() if view.hold is not None else self._confirm_reboot())
            elif goal.holds(view):
                return view
            else:
                raise dpu_failed(view.failed_dpus[0], goal, view, anyio.current_time() - began)

    def _has_stale_release(self, view: NodeView) -> bool:
        stale = stale_release(view)
        return stale is not None and stale.maintenance.uid not in self._accepted

    async def _resolve_stale_release(self, view: NodeView) -> None:
        stale = stale_release(view)
        await stale_holds.resolve(self._dpf, view, self._if_released, self._reporter)
        if stale is not None and self._if_released == "accept":
            self._accepted.add(stale.maintenance.uid)

    async def _release_hold(self) -> None:
        # Another worker for the same host may have answered while this one waited for its turn: then hold is None.
        async with self._node.node_effect_hold(
            unless=~node_effect_held, timeout=self._deadline.remaining
        ) as hold:
            if hold is None:
                return
            if self._node_effect is not None:
                self._reporter.report(self._subject, "preparing the host for disruption")
                await self._node_effect(self._node.name)
            self._reporter.report(self._subject, f"can be disrupted; releasing {hold.maintenance}")

    async def _confirm_reboot(self) -> None:
        async with self._node.external_reboot(
            unless=~external_reboot_required, timeout=self._deadline.remaining
        ) as request:
            if request is None:
                return
            self._reporter.report(self._subject, f"rebooting the host for {', '.join(request.dpus)}")
            await self._reboot(self._node.name)
            self._reporter.report(self._subject, "was rebooted")


def others_are_finished(view: NodeView) -> bool:
    """Whether a DPU failed, and each other one is Ready or waits only for its services (docs/dpf/reboot.md#repeats)."""
    others = [dpu for dpu in view.dpus if not dpu.failed]
    return bool(view.failed_dpus) and all(
        dpu.ready or dpu.phase == DPUPhase.NODE_EFFECT_REMOVAL for dpu in others
    )

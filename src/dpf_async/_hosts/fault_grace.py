"""Waiting for a host whose devices may be faulty: a fault ends the wait once it has stood for a while.

The operator tries again for ever, every 30 s or so, and says on every look what went wrong (dpf-facts 4). A BMC that
was just busy heals by itself; a wrong password does not. Nothing tells them apart but time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import anyio

from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import BEFORE_INSTALLATION, NodeView, describe
from dpf_async.errors import DeviceFailed
from dpf_async.models import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.node_handle import NodeHandle
    from dpf_async._transitions.views import DeviceFault

GRACE: Final = 300.0
"""Seconds for which a device may be faulty before that ends a wait (chosen: ten attempts of the operator, which cover a
BMC that is reset or given new firmware)."""

_NEXT_STEP: Final = {
    known.DPUDeviceCondition.INITIALIZED: (
        "see that its BMC answers at the address that is registered, and that Secret"
        f" {known.BMC_PASSWORD_SECRET} has its password"
    ),
    known.DPUDeviceCondition.DISCOVERED: (
        "compare what is registered with the hardware; a serial number cannot be changed: delete_dpu, then register"
        " again"
    ),
}


def all_faults(view: NodeView) -> tuple[DeviceFault, ...]:
    """Every fault of the node's devices."""
    return view.device_faults


def faults_in_the_way(view: NodeView) -> tuple[DeviceFault, ...]:
    """Faults of devices whose DPU is not there yet, or cannot be installed because of them."""
    beyond = {dpu.device.lower() for dpu in view.dpus if dpu.phase not in BEFORE_INSTALLATION}
    return tuple(fault for fault in view.device_faults if fault.device.lower() not in beyond)


class FaultGrace:
    """The faults of one host's devices, and since when they are known to stand.

    Args:
        node: the host.
        grace: seconds that a fault may stand; None ends no wait.
        reporter: hears of everything that is waited for.
        deadline: when waiting is over.
        faults: those that count.
    """

    def __init__(
        self,
        node: NodeHandle,
        *,
        grace: float | None,
        reporter: ProgressReporter,
        deadline: Deadline,
        faults: Callable[[NodeView], Iterable[DeviceFault]] = all_faults,
    ) -> None:
        self.node = node
        self.reporter = reporter
        self.deadline = deadline
        self._grace = math.inf if grace is None else grace
        self._faults = faults
        self._since: dict[str, float] = {}
        self._seen: NodeView | None = None

    async def until(self, level: Level[NodeView]) -> NodeView:
        """Wait until level holds, and tell of what it takes.

        Raises:
            DeviceFailed: a device was faulty for longer than the grace.
            WaitTimeout, ObjectReplaced, DPUFailed: as for NodeHandle.until.
        """
        told = self.reporter.until(level, f"DPUNode {self.node.name}", describe)
        news: Level[NodeView] = Level(
            level.name,
            # Both are asked of every view: what was seen last has to be known.
            lambda view: self._differ(view) | told.holds(view),
            survives_failure=level.survives_failure,
        )
        began = anyio.current_time()
        while True:
            with anyio.move_on_after(self._left):
                view = await self.node.until(news, timeout=self.deadline.remaining)
                if level.holds(view):
                    return view
            if self._seen is not None:
                self._take(self._seen)
            if self._left == 0 and self._seen is not None:
                raise self._failure(level, self._seen, began)

    @property
    def _left(self) -> float | None:
        """Seconds until the oldest fault has stood for too long; None if none ever will."""
        end = min(self._since.values(), default=math.inf) + self._grace
        return None if math.isinf(end) else max(0.0, end - anyio.current_time())

    def _differ(self, view: NodeView) -> bool:
        self._seen = view
        return {fault.device for fault in self._faults(view)} != self._since.keys()

    def _take(self, view: NodeView) -> None:
        now = anyio.current_time()
        self._since = {fault.device: self._since.get(fault.device, now) for fault in self._faults(view)}

    def _failure(self, level: Level[NodeView], view: NodeView, began: float) -> DeviceFailed:
        now = anyio.current_time()
        fault = min(self._faults(view), key=lambda fault: self._since[fault.device])
        step = _NEXT_STEP.get(fault.type, "see what its BMC says")
        return DeviceFailed(
            f"{fault}; it has stood for {now - self._since[fault.device]:.0f} s, and the operator goes on trying:"
            f" {step}",
            device=fault.device,
            reason=fault.reason,
            detail=fault.message,
            condition=level.name,
            view=view,
            waited=now - began,
        )

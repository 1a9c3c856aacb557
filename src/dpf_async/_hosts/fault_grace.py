"""Waits for a host whose DPUDevices may be faulty: a fault fails the wait once it has lasted for a grace period.

The operator retries without end, every 30 s or so, and reports in a condition what failed each time
(docs/dpf/discovery.md#retries). A BMC that is busy recovers; a wrong password does not. Only the duration of the fault
distinguishes them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import anyio

from dpf_async._base.concurrency import wait_any
from dpf_async._transitions.views import BEFORE_INSTALLATION, NodeView, describe
from dpf_async.errors import DeviceFailed
from dpf_async.models import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.node_handle import NodeHandle
    from dpf_async._transitions.levels import Level
    from dpf_async._transitions.views import DeviceFault

GRACE: Final = 300.0
"""Seconds for which a DPUDevice may be faulty before that fails a wait (chosen: ten attempts of the operator, which
cover a reset or a firmware update of the BMC)."""

_NEXT_STEP: Final = {
    known.DPUDeviceCondition.INITIALIZED: (
        "check that its BMC answers at the registered address, and that Secret"
        f" {known.BMC_PASSWORD_SECRET} has its password"
    ),
    known.DPUDeviceCondition.DISCOVERED: (
        "compare the registered values with the hardware; a serial number cannot be changed: delete_dpu, then register"
        " the DPU again"
    ),
}


def all_faults(view: NodeView) -> tuple[DeviceFault, ...]:
    """Every fault of the node's DPUDevices."""
    return view.device_faults


def faults_before_installation(view: NodeView) -> tuple[DeviceFault, ...]:
    """Faults of DPUDevices whose DPU does not exist yet, or cannot be installed because of them."""
    installed = {dpu.device.lower() for dpu in view.dpus if dpu.phase not in BEFORE_INSTALLATION}
    return tuple(fault for fault in view.device_faults if fault.device.lower() not in installed)


class FaultGrace:
    """Waits for one host. A fault that lasts over several waits counts from the first view that had it.

    Args:
        node: the host.
        grace: seconds for which a fault may last; None fails no wait.
        reporter: receives each state that is waited for.
        deadline: of all waits together.
        faults: the faults in a view that count.
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
        self._node = node
        self._reporter = reporter
        self._deadline = deadline
        self._grace = grace
        self._faults = faults
        self._since: Mapping[str, float] = {}
        """When the fault of each faulty DPUDevice was first read."""

    async def until(self, level: Level[NodeView]) -> NodeView:
        """Wait until level holds, and report the states in which it does not.

        Raises:
            DeviceFailed: a DPUDevice was faulty for longer than the grace period.
            WaitTimeout, ObjectReplaced, DPUFailed: as for NodeHandle.until.
        """
        wait = partial(
            self._reporter.wait_for,
            self._node,
            level,
            subject=f"DPUNode {self._node.name}",
            describe=describe,
            timeout=self._deadline.remaining,
        )
        if self._grace is None:
            return await wait()
        return await wait_any(wait, partial(self._fail_after_grace, level, self._grace))

    async def _fail_after_grace(self, level: Level[NodeView], grace: float) -> NoReturn:
        """Raise DeviceFailed once a fault has lasted for the grace period and the level does not hold."""
        began = anyio.current_time()
        async with self._node.views() as views:
            view = await anext(views)
            while True:
                self._since = _still_faulty(self._faults(view), self._since)
                remaining = min(self._since.values(), default=math.inf) + grace - anyio.current_time()
                if remaining <= 0 and not level.holds(view):
                    raise self._failure(level, view, began)
                # If the level holds, the wait for it ends, and with it this one.
                with anyio.move_on_after(remaining if 0 < remaining < math.inf else None):
                    view = await anext(views)

    def _failure(self, level: Level[NodeView], view: NodeView, began: float) -> DeviceFailed:
        now = anyio.current_time()
        fault = min(self._faults(view), key=lambda fault: self._since[fault.device])
        step = _NEXT_STEP.get(fault.type, "check the BMC")
        return DeviceFailed(
            f"{fault}; the fault has lasted for {now - self._since[fault.device]:.0f} s, and the operator keeps"
            f" retrying: {step}",
            device=fault.device,
            reason=fault.reason,
            detail=fault.message,
            condition=level.name,
            view=view,
            waited=now - began,
        )


def _still_faulty(faults: Iterable[DeviceFault], since: Mapping[str, float]) -> Mapping[str, float]:
    """When the fault of each DPUDevice was first read: as before, or now."""
    now = anyio.current_time()
    return {fault.device: since.get(fault.device, now) for fault in faults}

"""The conditions of a DPUNode that summarize its node effect and its reboot. Pure."""

from __future__ import annotations

from dpf_async.models import DPUNodeStatus, known
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed

_Condition = known.DPUNodeCondition


def effect_in_progress(status: DPUNodeStatus, *, now: str) -> DPUNodeStatus:
    """The status with the condition that a node effect is in progress, and the summary."""
    reason = known.DPUNodeReason.NODE_EFFECT_IN_PROGRESS
    return with_summary(
        with_condition(status, _Condition.NODE_EFFECT_IN_PROGRESS, conditions.TRUE, reason, now=now), now=now
    )


def with_summary(status: DPUNodeStatus, *, now: str) -> DPUNodeStatus:
    """The status with Ready: False during a node effect or a reboot. It does not depend on the DPUs."""
    message = ""
    if conditions.is_true(status.conditions, _Condition.NODE_EFFECT_IN_PROGRESS):
        message = "node effect is in progress"
    elif conditions.is_true(status.conditions, _Condition.REBOOT_IN_PROGRESS):
        message = "reboot is in progress"
    value = conditions.FALSE if message else conditions.TRUE
    return with_condition(status, _Condition.READY, value, known.DPUNodeReason.READY, message, now=now)


def with_condition(
    status: DPUNodeStatus, type_: str, value: str, reason: str, message: str = "", *, now: str
) -> DPUNodeStatus:
    """The status with one condition written."""
    return changed(
        status,
        conditions=conditions.with_condition(status.conditions, type_, value, reason, message, now=now),
    )


def without_condition(status: DPUNodeStatus, type_: str) -> DPUNodeStatus:
    """The status without one condition."""
    return changed(status, conditions=conditions.without(status.conditions, type_))

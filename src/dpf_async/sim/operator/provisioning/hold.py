"""The steps of a DPUNodeMaintenance: waiting for all DPUs of the host, the node effect, and the hold. Pure.

Source: docs/dpf/hold.md#hold-sequence, docs/dpf/hold.md#node-effects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dpf_async.models import (
    DPUNodeMaintenance,
    DPUNodeMaintenanceStatus,
    NodeEffect,
    find_condition,
    format_time,
    known,
    parse_time,
)
from dpf_async.sim.operator.hardware.settings import Settings
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed

_APPLIED: Final = known.DPUNodeMaintenanceCondition.NODE_EFFECT_APPLIED
_Reason = known.DPUNodeMaintenanceReason

WAITING_FOR_EXTERNAL: Final = (
    "Node effect is being applied: DPUNodeMaintenance is in waiting for external node effect"
)

_BOOLS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""The values that Go's strconv.ParseBool accepts."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The writes for a maintenance.

    Attributes:
        status: to write.
        started: the effect has started, so the DPUNode must have the condition NodeEffectInProgress.
        annotate: the hold annotation must be added.
        left: seconds until the state will have changed; infinite if only an event can change it.
    """

    status: DPUNodeMaintenanceStatus
    started: bool = False
    annotate: bool = False
    left: float = math.inf


def applied(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the effect was applied, which is final."""
    return conditions.is_true(maintenance.conditions, _APPLIED)


def step(
    maintenance: DPUNodeMaintenance,
    *,
    devices: int,
    unavailable: int,
    action_left: float,
    settings: Settings,
    now: datetime,
) -> Effect:
    """The next step of a maintenance that is not applied.

    Args:
        maintenance: in its present state.
        devices: how many the node lists.
        unavailable: other nodes with a node effect. They count only before this effect has started: it continues even
            if the limit is lowered afterwards.
        action_left: seconds until a custom action completes.
        settings: of the operator.
        now: current time.
    """
    effect = maintenance.spec.node_effect or NodeEffect()
    time = format_time(now)
    status = changed(
        maintenance.status,
        max_unavailable_dpu_nodes=settings.max_unavailable_nodes,
        multi_dpu_operations_sync_wait_time=settings.sync_wait_text,
    )
    if not effect.force and not _has_started(maintenance) and unavailable >= settings.max_unavailable_nodes:
        message = (
            f"{unavailable} nodes are unavailable, and no more than {settings.max_unavailable_nodes} may be"
        )
        return Effect(_waiting(status, _Reason.PENDING, message, time))
    started = status.node_effect_sync_start_time or time
    status = changed(status, node_effect_sync_start_time=started)
    if devices > 1 and not effect.force:
        left = settings.sync_wait - _seconds_since(started, now)
        if left > 0:
            message = "waiting for other DPUs of the node"
            return Effect(_waiting(status, _Reason.NODE_EFFECT_SYNC_IN_PROGRESS, message, time), left=left)
    return _apply(maintenance, effect, status, action_left, time)


def _apply(
    maintenance: DPUNodeMaintenance,
    effect: NodeEffect,
    status: DPUNodeMaintenanceStatus,
    action_left: float,
    time: str,
) -> Effect:
    if effect.custom_action is not None and action_left > 0:
        message = f"Node effect is being applied: custom action {effect.custom_action}"
        waiting = _waiting(status, _Reason.NODE_EFFECT_IS_PROCESSING, message, time)
        return Effect(waiting, started=True, left=action_left)
    if effect.hold:
        annotation = maintenance.metadata.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT)
        if annotation is not None and annotation not in _BOOLS:
            message = f"{known.WAIT_FOR_EXTERNAL_NODE_EFFECT}: {annotation!r} is neither true nor false"
            return Effect(_waiting(status, _Reason.ERROR, message, time), started=True)
        if annotation is None or _BOOLS[annotation]:
            waiting = _waiting(status, _Reason.NODE_EFFECT_IS_PROCESSING, WAITING_FOR_EXTERNAL, time)
            return Effect(waiting, started=True, annotate=annotation is None)
    updated = conditions.with_condition(
        status.conditions, _APPLIED, conditions.TRUE, _Reason.SUCCESS, now=time
    )
    return Effect(changed(status, conditions=updated), started=True)


def _has_started(maintenance: DPUNodeMaintenance) -> bool:
    condition = find_condition(maintenance.conditions, _APPLIED)
    return condition is not None and condition.reason in (_Reason.NODE_EFFECT_IS_PROCESSING, _Reason.ERROR)


def _waiting(
    status: DPUNodeMaintenanceStatus, reason: str, message: str, time: str
) -> DPUNodeMaintenanceStatus:
    updated = conditions.with_condition(
        status.conditions, _APPLIED, conditions.FALSE, reason, message, now=time
    )
    return changed(status, conditions=updated)


def _seconds_since(text: str, now: datetime) -> float:
    moment = parse_time(text)
    return 0.0 if moment is None else (now - moment).total_seconds()

"""Writes conditions as DPF's controllers do: one entry per type, in the order of their first write. Pure.

Source: docs/dpf/conditions.md#writing-rules; lastTransitionTime: Kubernetes API conventions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dpf_async.models import Condition, find_condition, known

Conditions = tuple[Condition, ...]

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"

SUCCESS: Final = known.CommonReason.SUCCESS
PENDING: Final = known.CommonReason.PENDING


def with_condition(
    conditions: Iterable[Condition],
    type_: str,
    status: str,
    reason: str = "",
    message: str = "",
    *,
    now: str,
    generation: int | None = None,
) -> Conditions:
    """The conditions with one of them written.

    Args:
        conditions: the present conditions.
        type_: of the condition; a new type is appended.
        status: "True", "False" or "Unknown".
        reason: the type if empty.
        message: for users.
        now: RFC 3339; becomes lastTransitionTime only if the status changes.
        generation: its observedGeneration, which DPU, DPUDevice, DPUNode and DPUNodeMaintenance do not set.
    """
    present = tuple(conditions)
    before = find_condition(present, type_)
    if before is not None and _is_written(before, status, reason or type_, message, generation):
        return present
    time = before.last_transition_time if before is not None and before.status == status else now
    written = Condition(
        type=type_,
        status=status,
        reason=reason or type_,
        message=message,
        last_transition_time=time,
        **({} if generation is None else {"observed_generation": generation}),
    )
    if before is None:
        return (*present, written)
    return tuple(written if one.type == type_ else one for one in present)


def _is_written(before: Condition, status: str, reason: str, message: str, generation: int | None) -> bool:
    """Whether a condition already has these values and no others."""
    values = (before.status, before.reason, before.message, before.observed_generation)
    return values == (status, reason, message, generation) and not before.model_extra


def without(conditions: Iterable[Condition], *types: str) -> Conditions:
    """The conditions without these types."""
    return tuple(one for one in conditions if one.type not in types)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition of that type has status True."""
    found = find_condition(conditions, type_)
    return found is not None and found.is_true


def status_of(conditions: Iterable[Condition], type_: str) -> str | None:
    """The status of the condition of that type; None if it does not exist."""
    found = find_condition(conditions, type_)
    return None if found is None else found.status


def with_missing(
    conditions: Iterable[Condition], types: Iterable[str], *, now: str, generation: int
) -> Conditions:
    """The conditions, with missing ones of these types added as Unknown in this order.

    Source: docs/dpf/conditions.md#deployment-conditions.
    """
    present = tuple(conditions)
    for type_ in types:
        if find_condition(present, type_) is None:
            present = with_condition(present, type_, UNKNOWN, PENDING, now=now, generation=generation)
    return present


def with_summary(conditions: Iterable[Condition], summary: str, *, now: str, generation: int) -> Conditions:
    """The conditions with the summary of all others, True if all of them are True.

    Source: docs/dpf/conditions.md#observed-generation.
    """
    present = tuple(conditions)
    waiting = [one.type for one in present if one.type != summary and not one.is_true]
    if not waiting:
        return with_condition(present, summary, TRUE, SUCCESS, now=now, generation=generation)
    message = f"The following conditions are not ready: {', '.join(waiting)}"
    return with_condition(present, summary, FALSE, PENDING, message, now=now, generation=generation)

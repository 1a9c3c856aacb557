"""Writing conditions as DPF's controllers do: in the order of first writing, one entry per type. Pure.

Source: dpf-facts 2.3 (condition mechanics); lastTransitionTime: Kubernetes API conventions.
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


def said(
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
        conditions: what stands.
        type_: of the condition; a new one goes to the end.
        status: "True", "False" or "Unknown".
        reason: empty means that it is the type itself.
        message: for people.
        now: RFC 3339; becomes lastTransitionTime only if the status changes.
        generation: the generation it speaks of; DPU, DPUDevice, DPUNode and DPUNodeMaintenance do not say.
    """
    standing = tuple(conditions)
    before = find_condition(standing, type_)
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
        return (*standing, written)
    return tuple(written if one.type == type_ else one for one in standing)


def without(conditions: Iterable[Condition], *types: str) -> Conditions:
    """The conditions but for those of these types."""
    return tuple(one for one in conditions if one.type not in types)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether there is one of that type, with status True."""
    found = find_condition(conditions, type_)
    return found is not None and found.is_true


def status_of(conditions: Iterable[Condition], type_: str) -> str | None:
    """The status of the one of that type; None if it was never written."""
    found = find_condition(conditions, type_)
    return None if found is None else found.status


def ensured(
    conditions: Iterable[Condition], types: Iterable[str], *, now: str, generation: int
) -> Conditions:
    """The conditions with those of these types that are missing, as Unknown, in this order (dpf-facts 14.2a)."""
    standing = tuple(conditions)
    for type_ in types:
        if find_condition(standing, type_) is None:
            standing = said(standing, type_, UNKNOWN, PENDING, now=now, generation=generation)
    return standing


def summarised(conditions: Iterable[Condition], summary: str, *, now: str, generation: int) -> Conditions:
    """The conditions with the summary over all others written: True if they all are (dpf-facts 7.3)."""
    standing = tuple(conditions)
    waiting = [one.type for one in standing if one.type != summary and not one.is_true]
    if not waiting:
        return said(standing, summary, TRUE, SUCCESS, now=now, generation=generation)
    message = f"The following conditions are not ready: {', '.join(waiting)}"
    return said(standing, summary, FALSE, PENDING, message, now=now, generation=generation)

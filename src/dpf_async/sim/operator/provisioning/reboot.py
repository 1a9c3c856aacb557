"""The reboot of a host: when it is asked for, of whom, and what the answer means. Pure.

The question is an annotation on the DPUNode; its absence, while the node's condition says that a reboot is in progress,
is the answer. Source: dpf-facts 3.4, 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dpf_async.models import DPU, Condition, DPUNode, DPUPhase, find_condition, known
from dpf_async.sim.operator.runtime import conditions

_REBOOTED: Final = known.DPUCondition.REBOOTED
_IN_PROGRESS: Final = known.DPUNodeCondition.REBOOT_IN_PROGRESS
_Reason = known.DPUNodeReason

DEFERRING: Final = frozenset(
    (
        DPUPhase.PREPARE_BFB,
        DPUPhase.CONFIG_FW_PARAMETERS,
        DPUPhase.INITIALIZE_INTERFACE,
        DPUPhase.OS_INSTALLING,
    )
)
"""Phases in which a DPU must not lose its power: the reboot for its sibling waits (dpf-facts 3.4)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the node's condition DPUNodeRebootInProgress is to say."""

    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the reboot of a host, in this order.

    Attributes:
        waiting: DPUs that are told that they wait for a reboot.
        rebooted: DPUs that are told that it is over.
        annotate: ask whoever is outside.
        verdict: for the node's condition; None leaves it.
        forget: the node's condition goes.
        deferred_by: siblings that must not lose their power now.
    """

    waiting: tuple[DPU, ...] = ()
    rebooted: tuple[DPU, ...] = ()
    annotate: bool = False
    verdict: Verdict | None = None
    forget: bool = False
    deferred_by: tuple[DPU, ...] = ()


_STARTED: Final = Verdict(conditions.TRUE, _Reason.REBOOT_IN_PROGRESS)
_WAITING: Final = Verdict(conditions.TRUE, _Reason.WAIT_FOR_EXTERNAL_REBOOT)
_OVER: Final = Verdict(conditions.FALSE, _Reason.REBOOT_IN_PROGRESS)


def plan(node: DPUNode, dpus: Iterable[DPU], *, asking: bool = False) -> Plan:
    """What comes next for a node that is rebooted from outside.

    The first look at a DPU that needs a reboot asks, the next one says that it waits. A DPU that needs one while the
    question stands shares it; one that comes later asks anew.

    Args:
        node: in its present state.
        dpus: all of the node.
        asking: the annotation was written, though the node's condition does not say so yet.
    """
    present = tuple(dpus)
    if not present:
        return Plan(forget=True)
    needing = _needing(present)
    told = tuple(dpu for dpu in needing if find_condition(dpu.conditions, _REBOOTED) is not None)
    asked = known.EXTERNAL_REBOOT_REQUIRED in node.metadata.annotations
    said = find_condition(node.conditions, _IN_PROGRESS)
    in_progress = asking or (said is not None and said.is_true)
    if in_progress and not asked:
        # Only those that were part of the question: one that came since must be asked for by itself.
        return Plan(rebooted=told, verdict=_OVER)
    if in_progress:
        late = needing if len(told) < len(needing) else ()
        return Plan(waiting=late, verdict=None if _says(said, _WAITING) else _WAITING)
    if not needing:
        return Plan()
    if deferring := _deferring(node, present):
        return Plan(deferred_by=deferring)
    return Plan(waiting=needing, annotate=not asked, verdict=_STARTED)


def by_itself(node: DPUNode, dpus: Iterable[DPU]) -> tuple[DPU, ...]:
    """The DPUs for which host agent or script reboot the host now; none while a sibling must not lose its power."""
    present = tuple(dpus)
    if _deferring(node, present):
        return ()
    return _needing(present)


def _needing(dpus: tuple[DPU, ...]) -> tuple[DPU, ...]:
    return tuple(
        dpu
        for dpu in dpus
        if dpu.status.phase == DPUPhase.REBOOTING
        and not dpu.terminating
        and not conditions.is_true(dpu.conditions, _REBOOTED)
    )


def _deferring(node: DPUNode, dpus: tuple[DPU, ...]) -> tuple[DPU, ...]:
    if len(node.spec.dpus) < 2:
        return ()
    return tuple(dpu for dpu in dpus if dpu.status.phase in DEFERRING)


def _says(condition: Condition | None, verdict: Verdict) -> bool:
    return condition is not None and (condition.status, condition.reason) == (verdict.status, verdict.reason)

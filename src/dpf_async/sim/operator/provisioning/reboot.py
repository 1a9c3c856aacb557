"""The reboot of a host: when it is requested, and when it is confirmed. Pure.

The request is an annotation of the DPUNode. While the condition of the node is True, the absence of the annotation
confirms the reboot. Source: docs/dpf/reboot.md#external-sequence, docs/dpf/reboot.md#repeats.
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
"""Phases in which a DPU must not lose power: the reboot for another DPU of the host is deferred.

Source: docs/dpf/reboot.md#deferral.
"""


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """Status and reason of the condition DPUNodeRebootInProgress of the node."""

    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes for the reboot of a host, in this order.

    Attributes:
        waiting: DPUs to set Rebooted False.
        rebooted: DPUs to set Rebooted True.
        annotate: add the annotation that requests an external reboot.
        condition: of the node; None leaves it unchanged.
        remove_condition: remove the condition of the node.
        deferred_by: other DPUs of the host that must not lose power now.
    """

    waiting: tuple[DPU, ...] = ()
    rebooted: tuple[DPU, ...] = ()
    annotate: bool = False
    condition: NodeCondition | None = None
    remove_condition: bool = False
    deferred_by: tuple[DPU, ...] = ()


_STARTED: Final = NodeCondition(conditions.TRUE, _Reason.REBOOT_IN_PROGRESS)
_WAITING: Final = NodeCondition(conditions.TRUE, _Reason.WAIT_FOR_EXTERNAL_REBOOT)
_OVER: Final = NodeCondition(conditions.FALSE, _Reason.REBOOT_IN_PROGRESS)


def plan(node: DPUNode, dpus: Iterable[DPU], *, requested: bool = False) -> Plan:
    """The next writes for a node with external reboots.

    The first reconcile of a DPU that requires a reboot adds the request, the next one reports that it is pending. A DPU
    that requires a reboot while a request is pending shares it; a later one requires another request.

    Args:
        node: in its present state.
        dpus: all of the node.
        requested: the annotation was written, but the condition of the node was not.
    """
    present = tuple(dpus)
    if not present:
        return Plan(remove_condition=True)
    needing = _needing(present)
    waiting = tuple(dpu for dpu in needing if find_condition(dpu.conditions, _REBOOTED) is not None)
    annotated = known.EXTERNAL_REBOOT_REQUIRED in node.metadata.annotations
    present_condition = find_condition(node.conditions, _IN_PROGRESS)
    in_progress = requested or (present_condition is not None and present_condition.is_true)
    if in_progress and not annotated:
        # Only DPUs that were part of the request: a later one requires another request.
        return Plan(rebooted=waiting, condition=_OVER)
    if in_progress:
        late = needing if len(waiting) < len(needing) else ()
        return Plan(waiting=late, condition=None if _matches(present_condition, _WAITING) else _WAITING)
    if not needing:
        return Plan()
    if deferring := _deferring(node, present):
        return Plan(deferred_by=deferring)
    return Plan(waiting=needing, annotate=not annotated, condition=_STARTED)


def rebooted_by_host(node: DPUNode, dpus: Iterable[DPU]) -> tuple[DPU, ...]:
    """The DPUs for which host agent or script reboot the host now; none while another DPU must not lose power."""
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


def _matches(condition: Condition | None, expected: NodeCondition) -> bool:
    return condition is not None and (condition.status, condition.reason) == (
        expected.status,
        expected.reason,
    )

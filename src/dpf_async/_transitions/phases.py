"""The usual order of a DPU's phases: for progress and for naming phases that may have been skipped.

Never used to reject a transition. Source: docs/dpf/phases.md#phase-order, the phases of v26.4 when installing by
Redfish, as Carbide does.
"""

from __future__ import annotations

from typing import Final

from dpf_async.models import DPUPhase

PHASE_ORDER: Final = (
    DPUPhase.INITIALIZING,
    DPUPhase.PENDING,
    DPUPhase.NODE_EFFECT,
    DPUPhase.INITIALIZE_INTERFACE,
    DPUPhase.CONFIG_FW_PARAMETERS,
    DPUPhase.PREPARE_BFB,
    DPUPhase.OS_INSTALLING,
    DPUPhase.DPU_CONFIG,
    DPUPhase.REBOOTING,
    DPUPhase.DPU_CLUSTER_CONFIG,
    DPUPhase.NODE_EFFECT_REMOVAL,
    DPUPhase.READY,
)
"""From a new DPU to a Ready one. DPU Config and Rebooting may repeat; Rebooting may be absent."""

_POSITION: Final = {phase: position for position, phase in enumerate(PHASE_ORDER)}


def progress(phase: DPUPhase) -> float | None:
    """The position of a phase in the usual order, from 0 to 1; None for a phase that is not part of it."""
    position = _POSITION.get(phase)
    return None if position is None else position / (len(PHASE_ORDER) - 1)


def phases_between(before: DPUPhase, after: DPUPhase) -> tuple[DPUPhase, ...] | None:
    """The phases between two in the usual order; None if one is not part of it, or if `after` comes first."""
    start, end = _POSITION.get(before), _POSITION.get(after)
    if start is None or end is None or end < start:
        return None
    return PHASE_ORDER[start + 1 : end]

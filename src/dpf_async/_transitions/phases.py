"""In which order a DPU goes through its phases: for explaining what a jump may have skipped, never for refusing one.

Source: dpf-facts 2.2, the road of v26.4 when installing by Redfish, which is how Carbide installs.
"""

from __future__ import annotations

from typing import Final

from dpf_async.models import DPUPhase

ROAD: Final = (
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
"""The road from a new DPU to a Ready one. DPU Config and Rebooting may repeat, Rebooting may not occur."""

_POSITION: Final = {phase: position for position, phase in enumerate(ROAD)}


def progress(phase: DPUPhase) -> float | None:
    """How far along the road a phase is, from 0 to 1; None for a phase that is not on it."""
    position = _POSITION.get(phase)
    return None if position is None else position / (len(ROAD) - 1)


def possibly_skipped(before: DPUPhase, after: DPUPhase) -> tuple[DPUPhase, ...] | None:
    """The phases that lie between two on the road; None if one of them is not on it, or the way leads back."""
    start, end = _POSITION.get(before), _POSITION.get(after)
    if start is None or end is None or end < start:
        return None
    return ROAD[start + 1 : end]

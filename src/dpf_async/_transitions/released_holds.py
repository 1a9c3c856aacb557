"""Releases that stand from before: a hold that was released already when a DPU has not asked yet. Pure.

A DPUNodeMaintenance is shared by the DPUs of a node, is never armed again once it was applied, and lives as long as
anybody is among its requestors. When a DPU is deleted on its way to Ready its services stay there, so the DPU that
takes its place finds a maintenance that is applied, joins it, and is installed without asking (dpf-facts 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dpf_async.models import DPUPhase

if TYPE_CHECKING:
    from collections.abc import Collection

    from dpf_async._transitions.view import DPUView, MaintenanceView, NodeView

_BEFORE_ASKING: Final = frozenset(("", DPUPhase.INITIALIZING, DPUPhase.PENDING, DPUPhase.NODE_EFFECT))
_DONE: Final = frozenset((DPUPhase.READY, DPUPhase.ERROR, DPUPhase.DELETING))


class Standing(NamedTuple):
    """A release that nobody gave to these DPUs.

    Attributes:
        maintenance: the released hold.
        dpus: names of the DPUs that would be installed on the strength of it.
    """

    maintenance: MaintenanceView
    dpus: tuple[str, ...]


def stale_release(view: NodeView) -> Standing | None:
    """The release on which DPUs of this node are about to pass without asking; None if there is none.

    As long as another DPU is under way that was there to be asked for, the host is disturbed with permission, and who
    joins it needs no other one: so it is for siblings (dpf-facts 10).
    """
    for maintenance in view.maintenances:
        if not _is_given(maintenance) or not maintenance.requestors:
            continue
        dpus = tuple(
            dpu.name
            for dpu in view.dpus
            if not dpu.terminating and dpu.phase in _BEFORE_ASKING and dpu.name not in maintenance.requestors
        )
        if dpus and not _is_in_use(maintenance, view, without=()):
            return Standing(maintenance, dpus)
    return None


def release_left_by(view: NodeView, leaving: Collection[str]) -> Standing | None:
    """The release that would be left over if these DPUs were deleted now; None if none would be.

    Args:
        view: of their node.
        leaving: names of the DPUs.
    """
    for maintenance in view.maintenances:
        if not _is_given(maintenance) or _is_in_use(maintenance, view, without=leaving):
            continue
        if any(requestor not in leaving for requestor in maintenance.requestors):
            return Standing(maintenance, tuple(sorted(leaving)))
    return None


def _is_given(maintenance: MaintenanceView) -> bool:
    return (
        maintenance.is_hold
        and not maintenance.state.terminating
        and (maintenance.released or maintenance.applied)
    )


def _is_in_use(maintenance: MaintenanceView, view: NodeView, *, without: Collection[str]) -> bool:
    """Another DPU is being provisioned on the strength of it."""
    return any(
        _is_under_way(dpu, maintenance)
        for dpu in view.dpus
        if dpu.name not in without and not dpu.terminating
    )


def _is_under_way(dpu: DPUView, maintenance: MaintenanceView) -> bool:
    return dpu.name in maintenance.requestors or dpu.phase not in _BEFORE_ASKING | _DONE

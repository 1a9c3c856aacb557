"""Released holds that let DPUs pass Node Effect without a request: the release was given for earlier DPUs. Pure.

A DPUNodeMaintenance is shared by the DPUs of a host. Once it was applied, its hold has no effect any more, and it
exists until its last requestor is removed. When a DPU is deleted before it was Ready, services remain requestors. The
DPU that replaces it then finds an applied maintenance, joins it, and is installed without a request
(docs/dpf/hold.md#stale-release).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dpf_async.models import DPUPhase

if TYPE_CHECKING:
    from collections.abc import Collection

    from dpf_async._transitions.views import DPUView, MaintenanceView, NodeView

_BEFORE_REQUEST: Final = frozenset(("", DPUPhase.INITIALIZING, DPUPhase.PENDING, DPUPhase.NODE_EFFECT))
_DONE: Final = frozenset((DPUPhase.READY, DPUPhase.ERROR, DPUPhase.DELETING))


class ReleasedHold(NamedTuple):
    """A released hold, and DPUs for which the release was not given.

    Attributes:
        maintenance: the released hold.
        dpus: names of the DPUs that the operator would install because of it.
    """

    maintenance: MaintenanceView
    dpus: tuple[str, ...]


def stale_release(view: NodeView) -> ReleasedHold | None:
    """The released hold with which DPUs of this host would pass Node Effect without a request; None if none exists.

    A release is not stale while another DPU for which it was given is being provisioned: the host is disrupted with
    permission already, and DPUs that join need no release of their own, as for siblings (docs/dpf/hold.md#sharing).
    """
    for maintenance in view.maintenances:
        if not _is_released(maintenance) or not maintenance.requestors:
            continue
        dpus = tuple(
            dpu.name
            for dpu in view.dpus
            if not dpu.terminating and dpu.phase in _BEFORE_REQUEST and dpu.name not in maintenance.requestors
        )
        if dpus and not _is_in_use(maintenance, view, without=()):
            return ReleasedHold(maintenance, dpus)
    return None


def release_left_by(view: NodeView, leaving: Collection[str]) -> ReleasedHold | None:
    """The released hold that would remain if these DPUs were deleted now; None if none would.

    Args:
        view: of their host.
        leaving: names of the DPUs.
    """
    for maintenance in view.maintenances:
        if not _is_released(maintenance) or _is_in_use(maintenance, view, without=leaving):
            continue
        if any(requestor not in leaving for requestor in maintenance.requestors):
            return ReleasedHold(maintenance, tuple(sorted(leaving)))
    return None


def _is_released(maintenance: MaintenanceView) -> bool:
    return (
        maintenance.is_hold
        and not maintenance.state.terminating
        and (maintenance.released or maintenance.applied)
    )


def _is_in_use(maintenance: MaintenanceView, view: NodeView, *, without: Collection[str]) -> bool:
    """A DPU other than those in `without` is being provisioned with this release."""
    return any(
        _is_provisioned_with(dpu, maintenance)
        for dpu in view.dpus
        if dpu.name not in without and not dpu.terminating
    )


def _is_provisioned_with(dpu: DPUView, maintenance: MaintenanceView) -> bool:
    return dpu.name in maintenance.requestors or dpu.phase not in _BEFORE_REQUEST | _DONE

"""The questions of the requirement, and the answers, as plain calls: asked of the server itself, not of a picture.

Methods MarkDPUNodeAsReadyForMaintenance, MarkDPUNodeAsRebooted, IsDPUNodeWaitingForReboot, IsDPUReady. A worker that
waits uses the handles; these are for state machines that come by and look. Operations: dpf-facts 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async._transitions.levels import Level
from dpf_async._transitions.view import DPUView, MaintenanceView, NodeView
from dpf_async.errors import Conflict, NotFound
from dpf_async.models import DPU, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._api.resource import ResourceClient
    from dpf_async._session.handles import ObjectHandle

T = TypeVar("T", bound=Resource)


class Client(Protocol):
    """What these calls need."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """A handle on one object."""


async def is_dpu_ready(dpf: Client, dpu: str) -> bool:
    """Whether the DPU that has this name now is ready; see DPUView.ready. A DPU being deleted is not."""
    return DPUView(await dpf.resource(DPU).snapshot(dpu)).ready


async def is_waiting_for_reboot(dpf: Client, node: str) -> bool:
    """Whether DPF waits for this host to be rebooted; see NodeView.external_reboot_required."""
    state = await dpf.resource(DPUNode).snapshot(node)
    return NodeView(name=node, node=state, devices=(), dpus=(), maintenances=()).external_reboot_required


async def confirm_rebooted(dpf: Client, node: str, *, timeout: float | None) -> bool:
    """Take the request for a reboot off the DPUNode; False if none stood."""
    nodes = dpf.resource(DPUNode)
    state = await nodes.snapshot(node)
    if known.EXTERNAL_REBOOT_REQUIRED not in state.annotations:
        return False
    patch = {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: None}}}
    try:
        await nodes.patch(node, patch, uid=state.uid)
    except Conflict as error:
        raise NotFound(
            f"DPUNode {node} was deleted and created again meanwhile; the reboot of the old one cannot be confirmed",
            status=404,
            reason="NotFound",
            object=f"DPUNode {node}",
        ) from error
    if timeout is not None:
        taken = Level[Any]("taking the reboot for done", _reboot_is_over)
        await dpf.handle(DPUNode, node).until(taken, timeout=timeout)
    return True


async def release_hold(dpf: Client, node: str, *, in_advance: bool, timeout: float | None) -> bool:
    """Release the hold that stands on a node; False if it was released already.

    Raises:
        NotFound: there is no hold to release: it is released once DPF asks, not in advance unless that is what the
            caller wants, since a permission that nobody asked for would be taken for the next question as well
            (dpf-facts 12.3 #2).
    """
    maintenances = dpf.resource(DPUNodeMaintenance)
    found = [await maintenances.snapshot(name) for name in await _holds_of(dpf, node)]
    holds = [view for view in map(MaintenanceView, found) if view.is_hold and not view.state.terminating]
    standing = next((view for view in holds if view.held), None)
    if standing is None and in_advance:
        standing = next((view for view in holds if not (view.released or view.applied)), None)
    if standing is None:
        if any(view.released or view.applied for view in holds):
            return False
        # One that is not there would never be held: that is another mistake.
        await dpf.resource(DPUNode).snapshot(node)
        about = "waits for its DPUs to gather before it asks" if holds else "has not asked"
        raise NotFound(
            f"DPUNode {node} is not held: there is nothing to release; DPF {about}; it does so when a DPU of the node"
            " has reached the phase Node Effect",
            status=404,
            reason="NotFound",
            object=f"DPUNodeMaintenance of DPUNode {node}",
        )
    annotations = {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "false"}
    await maintenances.patch(standing.name, {"metadata": {"annotations": annotations}}, uid=standing.uid)
    if timeout is not None:
        applied = Level[Any]("applied", lambda state: MaintenanceView(state).applied)
        await dpf.handle(DPUNodeMaintenance, standing.name).until(applied, timeout=timeout)
    return True


async def _holds_of(dpf: Client, node: str) -> list[str]:
    """Names of the maintenances that refer to a node: by reference, not by composing another controller's names."""
    listed = await dpf.resource(DPUNodeMaintenance).list()
    return [maintenance.name for maintenance in listed.items if maintenance.spec.dpu_node_name == node]


def _reboot_is_over(state: Any) -> bool:  # Any: ObjectState[DPUNode]; handles of any kind share one type
    condition = state.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
    asked = known.EXTERNAL_REBOOT_REQUIRED in state.annotations
    return not asked and (condition is None or condition.status != "True")

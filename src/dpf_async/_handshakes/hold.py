"""The node effect hold: a DPUNodeMaintenance waits for the permission to disrupt the host.

Source: docs/dpf/hold.md#hold-sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpf_async._handshakes.handshake import Handshake, at_version
from dpf_async._handshakes.requests import HoldRequest
from dpf_async._transitions.levels import Level, node_effect_held
from dpf_async._transitions.views import MaintenanceView, NodeView
from dpf_async.errors import Conflict, NotFound
from dpf_async.models import DPUNode, DPUNodeMaintenance, known

if TYPE_CHECKING:
    from dpf_async._handshakes.handshake import Objects


class HoldHandshake(Handshake[HoldRequest]):
    """The request that a host may be disrupted."""

    name = "node effect hold"
    pending = node_effect_held

    def __init__(self, maintenances: Objects[DPUNodeMaintenance]) -> None:
        self._maintenances = maintenances

    def request(self, view: NodeView) -> HoldRequest | None:
        held = view.hold
        if held is None:
            return None
        dpus = tuple(dpu.name for dpu in view.dpus)
        return HoldRequest(node=view.name, maintenance=held.name, dpus=dpus, view=view)

    def withdrawn(self, request: HoldRequest) -> Level[NodeView]:
        uid = self.identity(request)

        def withdrawn(view: NodeView) -> bool:
            return not any(held.uid == uid and held.held for held in view.maintenances) and not any(
                obj.uid == uid for obj in view.unreadable
            )

        return Level("hold withdrawn", withdrawn)

    def identity(self, request: HoldRequest) -> str:
        held = request.view.hold
        return held.uid if held is not None else ""

    async def latest(self, request: HoldRequest) -> str | None:
        uid = self.identity(request)
        state = await self._maintenances.latest_state(request.maintenance, uid)
        if state is None or state.uid != uid or not MaintenanceView(state).held:
            return None
        return state.resource_version

    async def answer(self, request: HoldRequest, version: str | None) -> None:
        """Set the annotation of this DPUNodeMaintenance to "false": removing it would set it again.

        Source: docs/dpf/keys.md#hold-annotation.
        """
        patch = {"metadata": {"annotations": _RELEASED, **at_version(version)}}
        try:
            await self._maintenances.patch(request.maintenance, patch, uid=self.identity(request))
        except (NotFound, Conflict):
            if version is not None:
                raise


async def release_hold(
    nodes: Objects[DPUNode], maintenances: Objects[DPUNodeMaintenance], node: str, *, in_advance: bool
) -> str | None:
    """Release the pending hold of a node.

    A hold is released when DPF waits for it, and earlier only if the caller wants that: DPF would also apply a release
    that was not requested to the next maintenance (docs/dpf/sdk.md#unconditional-release).

    Returns:
        The name of the DPUNodeMaintenance; None if the hold was released before.

    Raises:
        NotFound: there is no hold to release, or no such DPUNode.
    """
    names = [one.name for one in (await maintenances.list()).items if one.spec.dpu_node_name == node]
    found = [MaintenanceView(await maintenances.get_state(name)) for name in names]
    holds = [view for view in found if view.is_hold and not view.state.terminating]
    pending = next((view for view in holds if view.held), None)
    if pending is None and in_advance:
        pending = next((view for view in holds if not (view.released or view.applied)), None)
    if pending is None:
        if any(view.released or view.applied for view in holds):
            return None
        # A missing DPUNode is reported as such: it would never be held.
        await nodes.get_state(node)
        reason = "waits for other DPUs of the node to request it" if holds else "has not requested a release"
        raise NotFound(
            f"DPUNode {node} is not held: there is nothing to release; DPF {reason}; it does so when a DPU of the node"
            " has reached the phase Node Effect",
            status=404,
            reason="NotFound",
            object=f"DPUNodeMaintenance of DPUNode {node}",
        )
    await maintenances.patch(pending.name, {"metadata": {"annotations": _RELEASED}}, uid=pending.uid)
    return pending.name


_RELEASED: Final = {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "false"}

hold_applied: Level[Any] = Level("applied", lambda state: MaintenanceView(state).applied)
"""DPF has accepted the release of a DPUNodeMaintenance. Any: the view of that kind is its ObjectState."""

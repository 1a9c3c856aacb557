"""The external reboot: an annotation on the DPUNode requests it, and its removal confirms it.

Source: docs/dpf/reboot.md#external-sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpf_async._handshakes.handshake import Handshake, at_version
from dpf_async._handshakes.requests import RebootRequest
from dpf_async._transitions.levels import Level, external_reboot_required
from dpf_async._transitions.views import NodeView
from dpf_async.errors import Conflict, NotFound
from dpf_async.models import DPUNode, DPUPhase, known

if TYPE_CHECKING:
    from dpf_async._handshakes.handshake import Objects


class RebootHandshake(Handshake[RebootRequest]):
    """The request that a host is rebooted from outside."""

    name = "external reboot"
    pending = external_reboot_required

    def __init__(self, nodes: Objects[DPUNode]) -> None:
        self._nodes = nodes

    def request(self, view: NodeView) -> RebootRequest | None:
        if not view.external_reboot_required:
            return None
        rebooting = tuple(dpu.name for dpu in view.dpus if dpu.phase == DPUPhase.REBOOTING)
        return RebootRequest(node=view.name, dpus=rebooting, view=view)

    def withdrawn(self, request: RebootRequest) -> Level[NodeView]:
        # Not external_reboot_required: its condition may be rewritten while a request is pending
        # (docs/dpf/reboot.md#answering-a-request).
        uid = request.view.uid
        return Level(
            "request withdrawn",
            lambda view: (
                view.uid != uid
                or (view.node is not None and known.EXTERNAL_REBOOT_REQUIRED not in view.node.annotations)
            ),
        )

    def identity(self, request: RebootRequest) -> str:
        # DPF does not number its requests; each sets the condition to True again, to the second
        # (docs/dpf/reboot.md#request-identity).
        node = request.view.node
        condition = None if node is None else node.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
        since = "" if condition is None else condition.last_transition_time or ""
        return f"{request.view.uid} {since}"

    async def latest(self, request: RebootRequest) -> str | None:
        uid = request.view.uid
        state = await self._nodes.latest_state(request.node, uid)
        if state is None or state.uid != uid or known.EXTERNAL_REBOOT_REQUIRED not in state.annotations:
            return None
        return state.resource_version

    async def answer(self, request: RebootRequest, version: str | None) -> None:
        """Remove the annotation from this DPUNode. If it was deleted or replaced, there is nothing to answer."""
        patch = {"metadata": {"annotations": _CONFIRMED, **at_version(version)}}
        try:
            await self._nodes.patch(request.node, patch, uid=request.view.uid)
        except (NotFound, Conflict):
            if version is not None:
                raise


async def is_waiting_for_reboot(nodes: Objects[DPUNode], node: str) -> bool:
    """Whether DPF waits for an external reboot of this host, according to the API server."""
    state = await nodes.get_state(node)
    return NodeView(name=node, node=state, devices=(), dpus=(), maintenances=()).external_reboot_required


async def confirm_reboot(nodes: Objects[DPUNode], node: str) -> bool:
    """Remove the request for a reboot from the DPUNode; False if none is pending.

    Raises:
        NotFound: there is no such DPUNode, or it was replaced meanwhile.
    """
    state = await nodes.get_state(node)
    if known.EXTERNAL_REBOOT_REQUIRED not in state.annotations:
        return False
    try:
        await nodes.patch(node, {"metadata": {"annotations": _CONFIRMED}}, uid=state.uid)
    except Conflict as error:
        raise NotFound(
            f"DPUNode {node} was deleted and created again meanwhile; the reboot of the old one cannot be confirmed",
            status=404,
            reason="NotFound",
            object=f"DPUNode {node}",
        ) from error
    return True


_CONFIRMED: Final = {known.EXTERNAL_REBOOT_REQUIRED: None}


def _reboot_is_over(state: Any) -> bool:  # Any: ObjectState[DPUNode]; handles of any kind share one type
    condition = state.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
    pending = known.EXTERNAL_REBOOT_REQUIRED in state.annotations
    return not pending and (condition is None or condition.status != "True")


reboot_accepted: Level[Any] = Level("done with the reboot", _reboot_is_over)
"""DPF has treated the reboot of a DPUNode as done."""

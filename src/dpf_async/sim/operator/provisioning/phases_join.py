"""The phases after the installation: reboots, the DPUCluster, giving the host back; and the two ends. Pure.

Source: dpf-facts 2.3, for Redfish.
"""

from __future__ import annotations

from typing import Final

from dpf_async.models import DPUAddress, DPUPhase, find_condition, known
from dpf_async.sim.operator.hardware.hardware import node_labels
from dpf_async.sim.operator.hardware.hardware_view import DPU_MODE
from dpf_async.sim.operator.provisioning.reconcile_input import (
    ChangeMode,
    CleanUp,
    Draft,
    LabelNode,
    LeaveMaintenance,
    Release,
    ReleaseDevice,
    World,
)
from dpf_async.sim.operator.runtime.conditions import is_true

_Condition = known.DPUCondition
_Reason = known.DPUReason

_BY_ITSELF: Final = frozenset((known.RebootMethod.FIRMWARE_RESET, known.RebootMethod.DPU_WARM_REBOOT))
"""Reboots that a DPU sees to itself (dpf-facts 2.3)."""


def dpu_config(world: World, draft: Draft) -> None:
    """Wait for the agent to say, after its latest start, which reboot is needed. Writes no condition."""
    agent = world.status.agent_status
    if agent is None or agent.reboot_method in (None, known.RebootMethod.UNKNOWN):
        return
    if agent.last_startup_time is None or agent.last_startup_time == world.status.agent_last_startup_time:
        return
    draft.set(agent_last_startup_time=agent.last_startup_time)
    if agent.reboot_method == known.RebootMethod.NO_ACTION:
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    elif agent.reboot_method not in _BY_ITSELF:
        draft.forget(_Condition.REBOOTED)
        draft.enter(DPUPhase.REBOOTING)


def rebooting(world: World, draft: Draft) -> None:
    """Wait until the DPUNode's controller says that the host was rebooted."""
    if not world.is_true(_Condition.REBOOTED):
        return
    before, agent = world.status.previous_phase, world.status.agent_status
    if before == DPUPhase.INITIALIZE_INTERFACE:
        draft.do(ChangeMode(DPU_MODE))
        draft.forget(_Condition.INTERFACE_INITIALIZED, _Condition.REBOOTED)
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)
    elif (
        before == DPUPhase.DPU_CONFIG
        and agent is not None
        and is_true(agent.conditions, known.AgentCondition.REBOOT_METHOD_DISCOVERY)
    ):
        draft.enter(DPUPhase.DPU_CONFIG)
    else:
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)


def dpu_cluster_config(world: World, draft: Draft) -> None:
    """Wait for the DPU as a ready Node, and give that its labels."""
    about, node, name = _Condition.DPU_CLUSTER_READY, world.board.node, world.dpu.name
    if node is None:
        draft.false(about, _Reason.NODE_NOT_FOUND, f'Node "{name}" not found')
        draft.wait(world.profile.join_cluster - world.board.worked)
    elif not node.ready:
        draft.false(about, _Reason.NODE_NOT_READY, f"DPU's Node {name} is not Ready")
    else:
        draft.do(LabelNode(node_labels(world.dpu)))
        draft.true(about, message="cluster configured")
        draft.enter(DPUPhase.NODE_EFFECT_REMOVAL)
        if world.maintenance is not None:
            _report_removal(draft)


def node_effect_removal(world: World, draft: Draft) -> None:
    """Leave the DPUNodeMaintenance, and wait until all others have left it as well."""
    about, maintenance = _Condition.NODE_EFFECT_REMOVED, world.maintenance
    if _labels_differ(world):
        draft.forget(about)
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    elif maintenance is None:
        draft.true(about)
        draft.enter(DPUPhase.READY)
    elif _removal_timed_out(world):
        draft.false(about, _Reason.NODE_EFFECT_REMOVAL_TIMEOUT, "node effect removal took too long")
        draft.enter(DPUPhase.ERROR)
    else:
        _leave(world, draft)
        _report_removal(draft)
        if (timeout := world.settings.node_effect_removal_timeout) is not None:
            draft.bound(timeout - world.seconds_since(about))


def _report_removal(draft: Draft) -> None:
    message = "node effect removal is in progress"
    draft.false(_Condition.NODE_EFFECT_REMOVED, _Reason.NODE_EFFECT_REMOVAL_IN_PROGRESS, message)


def ready(world: World, draft: Draft) -> None:
    """Nothing to do but to look after labels and the Node. The phase stays, whatever becomes of the Node."""
    about, node, effect = _Condition.READY, world.board.node, world.dpu.spec.node_effect
    if node is None:
        name = world.dpu.name
        draft.false(about, _Reason.GET_NODE_FROM_DPU_CLUSTER_ERROR, f'Node "{name}" not found')
    elif _labels_differ(world):
        if effect is not None and effect.apply_on_label_change:
            draft.set(post_provisioning_node_effect=True)
            draft.enter(DPUPhase.NODE_EFFECT)
        else:
            draft.forget(_Condition.NODE_EFFECT_REMOVED)
            draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    else:
        draft.set(addresses=_addresses(world))
        if node.ready:
            draft.true(about, _Reason.DPU_READY)
        else:
            draft.false(about, _Reason.NODE_NOT_READY, f"DPU's Node {world.dpu.name} is not Ready")


def error(world: World, draft: Draft) -> None:
    """The end, but for deletion. The siblings need not wait for this DPU; for its services they do."""
    _leave(world, draft)


def deleting(world: World, draft: Draft) -> None:
    """Let go of everything; the DPU itself only on a look that finds nothing left of it."""
    device, board = world.device, world.board
    if device is not None and known.DPUDEVICE_FINALIZER in device.metadata.finalizers:
        draft.do(ReleaseDevice())
    _leave(world, draft)
    if board.unreachable:
        message = f'Node "{world.dpu.name}": the DPUCluster cannot be reached'
        draft.false(_Condition.DELETING, _Reason.DELETE_NODE_ERROR, message)
    elif not board.remains:
        draft.do(Release())
    elif (left := world.profile.clean_up - board.worked) > 0:
        draft.wait(left)
    else:
        draft.do(CleanUp())
        draft.wait(0)


def _leave(world: World, draft: Draft) -> None:
    if world.maintenance is not None and world.dpu.name in world.maintenance.spec.requestor:
        draft.do(LeaveMaintenance())


def _labels_differ(world: World) -> bool:
    node = world.board.node
    return node is not None and node.labels != dict(node_labels(world.dpu))


def _removal_timed_out(world: World) -> bool:
    timeout, about = world.settings.node_effect_removal_timeout, _Condition.NODE_EFFECT_REMOVED
    if timeout is None or world.is_true(about):
        return False
    has_waited = find_condition(world.status.conditions, about) is not None
    return has_waited and world.seconds_since(about) >= timeout


def _addresses(world: World) -> tuple[DPUAddress, ...]:
    hostname = DPUAddress(type="Hostname", address=world.dpu.name)
    if not world.board.address:
        return (hostname,)
    return (DPUAddress(type="InternalIP", address=world.board.address), hostname)

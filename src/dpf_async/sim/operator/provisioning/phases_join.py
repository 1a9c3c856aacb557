"""The phases after installation: reboot, DPUCluster, Node Effect Removal, Ready; Error and Deleting. Pure.

Source: docs/dpf/phases.md#phase-steps, for Redfish.
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
    ReconcileInput,
    Release,
    ReleaseDevice,
)
from dpf_async.sim.operator.runtime.conditions import is_true

_Condition = known.DPUCondition
_Reason = known.DPUReason

_BY_AGENT: Final = frozenset((known.RebootMethod.FIRMWARE_RESET, known.RebootMethod.DPU_WARM_REBOOT))
"""Reboots that the agent performs itself (docs/dpf/phases.md#phase-steps)."""


def dpu_config(inputs: ReconcileInput, draft: Draft) -> None:
    """Wait until the agent, after its latest start, reports the required reboot. Writes no condition."""
    agent = inputs.status.agent_status
    if agent is None or agent.reboot_method in (None, known.RebootMethod.UNKNOWN):
        return
    if agent.last_startup_time is None or agent.last_startup_time == inputs.status.agent_last_startup_time:
        return
    draft.set(agent_last_startup_time=agent.last_startup_time)
    if agent.reboot_method == known.RebootMethod.NO_ACTION:
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    elif agent.reboot_method not in _BY_AGENT:
        draft.remove(_Condition.REBOOTED)
        draft.enter(DPUPhase.REBOOTING)


def rebooting(inputs: ReconcileInput, draft: Draft) -> None:
    """Wait until the controller of the DPUNode sets Rebooted to True."""
    if not inputs.is_true(_Condition.REBOOTED):
        return
    before, agent = inputs.status.previous_phase, inputs.status.agent_status
    if before == DPUPhase.INITIALIZE_INTERFACE:
        draft.do(ChangeMode(DPU_MODE))
        draft.remove(_Condition.INTERFACE_INITIALIZED, _Condition.REBOOTED)
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)
    elif (
        before == DPUPhase.DPU_CONFIG
        and agent is not None
        and is_true(agent.conditions, known.AgentCondition.REBOOT_METHOD_DISCOVERY)
    ):
        draft.enter(DPUPhase.DPU_CONFIG)
    else:
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)


def dpu_cluster_config(inputs: ReconcileInput, draft: Draft) -> None:
    """Wait until the DPU is a ready Node, and set the labels of the Node."""
    type_, node, name = _Condition.DPU_CLUSTER_READY, inputs.hardware.node, inputs.dpu.name
    if node is None:
        draft.false(type_, _Reason.NODE_NOT_FOUND, f'Node "{name}" not found')
        draft.wait(inputs.profile.join_cluster - inputs.hardware.worked)
    elif not node.ready:
        draft.false(type_, _Reason.NODE_NOT_READY, f"DPU's Node {name} is not Ready")
    else:
        draft.do(LabelNode(node_labels(inputs.dpu)))
        draft.true(type_, message="cluster configured")
        draft.enter(DPUPhase.NODE_EFFECT_REMOVAL)
        if inputs.maintenance is not None:
            _report_removal(draft)


def node_effect_removal(inputs: ReconcileInput, draft: Draft) -> None:
    """Leave the DPUNodeMaintenance, and wait until it is deleted after all other requestors left."""
    type_, maintenance = _Condition.NODE_EFFECT_REMOVED, inputs.maintenance
    if _labels_differ(inputs):
        draft.remove(type_)
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    elif maintenance is None:
        draft.true(type_)
        draft.enter(DPUPhase.READY)
    elif _removal_timed_out(inputs):
        draft.false(type_, _Reason.NODE_EFFECT_REMOVAL_TIMEOUT, "node effect removal timed out")
        draft.enter(DPUPhase.ERROR)
    else:
        _leave(inputs, draft)
        _report_removal(draft)
        if (timeout := inputs.settings.node_effect_removal_timeout) is not None:
            draft.bound(timeout - inputs.seconds_since(type_))


def _report_removal(draft: Draft) -> None:
    message = "node effect removal is in progress"
    draft.false(_Condition.NODE_EFFECT_REMOVED, _Reason.NODE_EFFECT_REMOVAL_IN_PROGRESS, message)


def ready(inputs: ReconcileInput, draft: Draft) -> None:
    """Keep labels and the condition Ready current. The phase does not depend on the Node."""
    type_, node, effect = _Condition.READY, inputs.hardware.node, inputs.dpu.spec.node_effect
    if node is None:
        name = inputs.dpu.name
        draft.false(type_, _Reason.GET_NODE_FROM_DPU_CLUSTER_ERROR, f'Node "{name}" not found')
    elif _labels_differ(inputs):
        if effect is not None and effect.apply_on_label_change:
            draft.set(post_provisioning_node_effect=True)
            draft.enter(DPUPhase.NODE_EFFECT)
        else:
            draft.remove(_Condition.NODE_EFFECT_REMOVED)
            draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    else:
        draft.set(addresses=_addresses(inputs))
        if node.ready:
            draft.true(type_, _Reason.DPU_READY)
        else:
            draft.false(type_, _Reason.NODE_NOT_READY, f"DPU's Node {inputs.dpu.name} is not Ready")


def error(inputs: ReconcileInput, draft: Draft) -> None:
    """Final except for deletion. The DPU leaves the maintenance, but its services remain requestors."""
    _leave(inputs, draft)


def deleting(inputs: ReconcileInput, draft: Draft) -> None:
    """Release all objects; the DPU itself only in a reconcile in which nothing of it remains."""
    device, hardware = inputs.device, inputs.hardware
    if device is not None and known.DPUDEVICE_FINALIZER in device.metadata.finalizers:
        draft.do(ReleaseDevice())
    _leave(inputs, draft)
    if hardware.unreachable:
        message = f'Node "{inputs.dpu.name}": the DPUCluster cannot be reached'
        draft.false(_Condition.DELETING, _Reason.DELETE_NODE_ERROR, message)
    elif not hardware.remains:
        draft.do(Release())
    elif (left := inputs.profile.clean_up - hardware.worked) > 0:
        draft.wait(left)
    else:
        draft.do(CleanUp())
        draft.wait(0)


def _leave(inputs: ReconcileInput, draft: Draft) -> None:
    if inputs.maintenance is not None and inputs.dpu.name in inputs.maintenance.spec.requestor:
        draft.do(LeaveMaintenance())


def _labels_differ(inputs: ReconcileInput) -> bool:
    node = inputs.hardware.node
    return node is not None and node.labels != dict(node_labels(inputs.dpu))


def _removal_timed_out(inputs: ReconcileInput) -> bool:
    timeout, type_ = inputs.settings.node_effect_removal_timeout, _Condition.NODE_EFFECT_REMOVED
    if timeout is None or inputs.is_true(type_):
        return False
    has_waited = find_condition(inputs.status.conditions, type_) is not None
    return has_waited and inputs.seconds_since(type_) >= timeout


def _addresses(inputs: ReconcileInput) -> tuple[DPUAddress, ...]:
    hostname = DPUAddress(type="Hostname", address=inputs.dpu.name)
    if not inputs.hardware.address:
        return (hostname,)
    return (DPUAddress(type="InternalIP", address=inputs.hardware.address), hostname)

"""The state machine of a DPU: computes the next step from the state of the DPU and of related objects. Pure.

The order of phases is that of DPF v26.4 with Redfish (docs/dpf/phases.md#phase-order, docs/dpf/phases.md#phase-steps).
This module has the table, the handling of deletion, and the phases before installation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dpf_async.models import BFBPhase, DPUPhase, NodeEffect, known
from dpf_async.sim.operator.hardware.settings import REDFISH
from dpf_async.sim.operator.provisioning import phases_install, phases_join
from dpf_async.sim.operator.provisioning.reconcile_input import (
    CreateMaintenance,
    Draft,
    GiveCluster,
    JoinMaintenance,
    ReconcileInput,
    Step,
)
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.conditions import is_true

_Condition = known.DPUCondition
_Reason = known.DPUReason

INSTALLING: Final = frozenset(
    (
        DPUPhase.NODE_EFFECT,
        DPUPhase.INITIALIZE_INTERFACE,
        DPUPhase.PERFORM_ARM_FORCE_RESTART,
        DPUPhase.CONFIG_FW_PARAMETERS,
        DPUPhase.UPDATE_FIRMWARE,
        DPUPhase.PREPARE_BFB,
        DPUPhase.OS_INSTALLING,
    )
)
"""Phases in which a DPU uses one of the slots of parallel installations (docs/dpf/phases.md#installation-slots)."""

_DELETION_IGNORED: Final = frozenset((DPUPhase.PREPARE_BFB, DPUPhase.OS_INSTALLING, DPUPhase.DELETING))
"""Phases in which DPF ignores deletion, and the phase of deletion (docs/dpf/phases.md#ignored-deletion)."""

_BEFORE_INSTALLATION: Final = frozenset(
    (DPUPhase.INITIALIZING, DPUPhase.PENDING, DPUPhase.NODE_EFFECT, DPUPhase.INITIALIZE_INTERFACE)
)


def step(inputs: ReconcileInput) -> Step:
    """Compute the next step of a DPU."""
    draft = Draft(inputs)
    phase = inputs.status.phase
    if inputs.dpu.terminating and phase not in _DELETION_IGNORED:
        draft.enter(DPUPhase.DELETING)
        return draft.step()
    if phase in _BEFORE_INSTALLATION:
        _copy_hardware(inputs, draft)
    if (handler := _PHASES.get(phase)) is not None:
        handler(inputs, draft)
    return draft.step()


def supports(phase: str) -> bool:
    """Whether this operator handles a phase. A DPU stays in any other phase."""
    return phase in _PHASES


def _copy_hardware(inputs: ReconcileInput, draft: Draft) -> None:
    """Copy the discovered data of the DPUDevice."""
    if inputs.device is None:
        return
    found = inputs.device.status
    draft.set(dpu_type=found.dpu_type, dpu_mode=found.dpu_mode)
    if found.secure_boot is not None:
        draft.set(secure_boot=found.secure_boot)


def _initializing(inputs: ReconcileInput, draft: Draft) -> None:
    """Three reconciles: the install interface, the DPUCluster, then phase Pending."""
    node, device, type_ = inputs.node, inputs.device, _Condition.INITIALIZED
    if device is None:
        message = f'DPUDevice "{inputs.dpu.spec.dpu_device_name}" not found'
        draft.false(type_, _Reason.DPU_DEVICE_NOT_FOUND, message)
    elif known.SKIP_PROVISIONING_LABEL in device.metadata.labels:
        draft.true(type_, _Reason.SKIPPED)
        draft.enter(DPUPhase.READY)
    elif node is None:
        message = f'DPUNode "{inputs.dpu.spec.dpu_node_name}" not found'
        draft.false(type_, _Reason.DPU_NODE_NOT_FOUND, message)
    elif (interface := node.status.dpu_install_interface) is None:
        message = f'DPUNode "{node.name}" has no status.dpuInstallInterface'
        draft.false(type_, _Reason.DPU_INSTALL_INTERFACE_NOT_PROVIDED, message)
    elif inputs.status.dpu_install_interface != interface:
        draft.set(dpu_install_interface=interface)
    elif interface != REDFISH:
        message = f"{interface}: this operator supports only the install interface {REDFISH}"
        draft.false(type_, _Reason.INVALID_DPU_INSTALL_INTERFACE, message)
        draft.enter(DPUPhase.ERROR)
    elif device.spec.bmc_ip is None:
        draft.false(type_, _Reason.BMC_IP_NOT_VALID, f'DPUDevice "{device.name}" has no bmcIp')
        draft.enter(DPUPhase.ERROR)
    else:
        _join_cluster(inputs, draft)


def _join_cluster(inputs: ReconcileInput, draft: Draft) -> None:
    type_ = _Condition.INITIALIZED
    assigned = inputs.dpu.spec.cluster
    if assigned is None or not assigned.name:
        if inputs.free_cluster is None:
            draft.false(type_, _Reason.DPU_CLUSTER_NOT_ALLOCATED, "no DPUCluster has room for this DPU")
        else:
            draft.do(GiveCluster(inputs.free_cluster.name, inputs.free_cluster.namespace))
    elif inputs.cluster is None:
        draft.false(type_, _Reason.DPU_CLUSTER_NOT_FOUND, f'DPUCluster "{assigned.name}" not found')
    elif inputs.cluster.terminating:
        draft.false(type_, _Reason.DPU_CLUSTER_DELETING, f'DPUCluster "{assigned.name}" is being deleted')
    else:
        draft.set(dpf_version=naming.DPF_VERSION)
        draft.true(_Condition.INITIALIZED)
        draft.enter(DPUPhase.PENDING)


def _pending(inputs: ReconcileInput, draft: Draft) -> None:
    bfb = inputs.bfb
    if bfb is None:
        draft.false(_Condition.BFB_READY, _Reason.BFB_NOT_FOUND, f'BFB "{inputs.dpu.spec.bfb}" not found')
        return
    if bfb.status.phase != BFBPhase.READY:
        draft.false(_Condition.BFB_READY, _Reason.BFB_IS_NOT_READY, "BFB is not ready")
        return
    draft.true(_Condition.BFB_READY)
    if inputs.flavor is None:
        message = f'DPUFlavor "{inputs.dpu.spec.dpu_flavor}" not found'
        draft.false(_Condition.DPU_FLAVOR_EXISTS, _Reason.DPU_FLAVOR_NOT_FOUND, message)
        return
    draft.true(_Condition.DPU_FLAVOR_EXISTS)
    limit = inputs.settings.max_parallel_installations
    if inputs.installing >= limit:
        draft.false(_Condition.PENDING, _Reason.CANNOT_PROCEED, f"{limit} DPUs are being installed already")
        return
    draft.true(_Condition.PENDING)
    draft.set(bfb_file=f"/bfb/{bfb.status.file_name}")
    draft.enter(DPUPhase.NODE_EFFECT)


def _node_effect(inputs: ReconcileInput, draft: Draft) -> None:
    type_ = _Condition.NODE_EFFECT_READY
    node, effect, maintenance = inputs.node, inputs.dpu.spec.node_effect, inputs.maintenance
    if node is None:
        draft.false(type_, _Reason.DPU_NODE_NOT_FOUND, f'DPUNode "{inputs.dpu.spec.dpu_node_name}" not found')
    elif effect is None or (needs_kubernetes_node(effect) and node.status.kube_node_ref is None):
        message = "drain, taint and customLabel need a DPUNode that is a Kubernetes node"
        draft.false(type_, _Reason.INVALID_NODE_EFFECT, message)
    elif maintenance is None:
        draft.do(CreateMaintenance())
        missing = f'DPUNodeMaintenance.provisioning.dpu.nvidia.com "{inputs.maintenance_name}" not found'
        draft.false(type_, _Reason.CREATED_DPU_NODE_MAINTENANCE, missing)
    elif maintenance.terminating or not maintenance.spec.requestor:
        # One without requestors will be deleted, so the DPU must not join it. One that a user deleted stays while this
        # DPU is a requestor, and the DPU waits until it is deleted: a deadlock that DPF has as well.
        message = f'DPUNodeMaintenance "{maintenance.name}" is being deleted'
        draft.false(type_, _Reason.DPU_NODE_MAINTENANCE_DELETING, message)
    else:
        if not {inputs.dpu.name, *inputs.services} <= {*maintenance.spec.requestor}:
            draft.do(JoinMaintenance())
        if is_true(maintenance.conditions, known.DPUNodeMaintenanceCondition.NODE_EFFECT_APPLIED):
            _effect_applied(inputs, draft)
        else:
            draft.false(type_, _Reason.NODE_EFFECT_IN_PROGRESS, "node effect is in progress")


def _effect_applied(inputs: ReconcileInput, draft: Draft) -> None:
    draft.true(_Condition.NODE_EFFECT_READY, _Reason.NODE_EFFECT_COMPLETED)
    if inputs.status.post_provisioning_node_effect:
        draft.set(post_provisioning_node_effect=None)
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    else:
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)


def needs_kubernetes_node(effect: NodeEffect) -> bool:
    """Whether an effect changes the Kubernetes node of the host (docs/dpf/hold.md#node-changes)."""
    return effect.taint is not None or bool(effect.custom_label) or effect.drain is not None


_PHASES: Final[Mapping[str, Callable[[ReconcileInput, Draft], None]]] = {
    DPUPhase.INITIALIZING: _initializing,
    DPUPhase.PENDING: _pending,
    DPUPhase.NODE_EFFECT: _node_effect,
    DPUPhase.INITIALIZE_INTERFACE: phases_install.initialize_interface,
    DPUPhase.PERFORM_ARM_FORCE_RESTART: phases_install.perform_arm_force_restart,
    DPUPhase.CONFIG_FW_PARAMETERS: phases_install.config_fw_parameters,
    DPUPhase.UPDATE_FIRMWARE: phases_install.update_firmware,
    DPUPhase.PREPARE_BFB: phases_install.prepare_bfb,
    DPUPhase.OS_INSTALLING: phases_install.os_installing,
    DPUPhase.DPU_CONFIG: phases_join.dpu_config,
    DPUPhase.REBOOTING: phases_join.rebooting,
    DPUPhase.DPU_CLUSTER_CONFIG: phases_join.dpu_cluster_config,
    DPUPhase.NODE_EFFECT_REMOVAL: phases_join.node_effect_removal,
    DPUPhase.READY: phases_join.ready,
    DPUPhase.ERROR: phases_join.error,
    DPUPhase.DELETING: phases_join.deleting,
}

"""The road of a DPU, phase by phase: what the next step is, given what is known. Pure.

The order is the one of DPF v26.4 with Redfish (dpf-facts 2.2, 2.3). Here are the table, the rule about deletion, and
the phases in which nothing is disturbed yet.
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
    Step,
    World,
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
"""Phases in which a DPU has one of the places among the parallel installations (dpf-facts 2.3)."""

_DEAF: Final = frozenset((DPUPhase.PREPARE_BFB, DPUPhase.OS_INSTALLING, DPUPhase.DELETING))
"""Phases that do not look whether the DPU is being deleted: two of them, and the deletion itself (dpf-facts 2.2)."""

_BEFORE_INSTALLATION: Final = frozenset(
    (DPUPhase.INITIALIZING, DPUPhase.PENDING, DPUPhase.NODE_EFFECT, DPUPhase.INITIALIZE_INTERFACE)
)


def step(world: World) -> Step:
    """The next step of a DPU."""
    draft = Draft(world)
    phase = world.status.phase
    if world.dpu.terminating and phase not in _DEAF:
        draft.enter(DPUPhase.DELETING)
        return draft.step()
    if phase in _BEFORE_INSTALLATION:
        _copy_hardware(world, draft)
    if (handler := _PHASES.get(phase)) is not None:
        handler(world, draft)
    return draft.step()


def supports(phase: str) -> bool:
    """Whether this operator knows what to do in a phase. A DPU in any other one stays in it."""
    return phase in _PHASES


def _copy_hardware(world: World, draft: Draft) -> None:
    """What the DPUDevice has found out by now."""
    if world.device is None:
        return
    found = world.device.status
    draft.set(dpu_type=found.dpu_type, dpu_mode=found.dpu_mode)
    if found.secure_boot is not None:
        draft.set(secure_boot=found.secure_boot)


def _initializing(world: World, draft: Draft) -> None:
    """Three looks: the way of installing, then a DPUCluster, then it is done."""
    node, device, wrong = world.node, world.device, _Condition.INITIALIZED
    if device is None:
        message = f'DPUDevice "{world.dpu.spec.dpu_device_name}" not found'
        draft.false(wrong, _Reason.DPU_DEVICE_NOT_FOUND, message)
    elif known.SKIP_PROVISIONING_LABEL in device.metadata.labels:
        draft.true(wrong, _Reason.SKIPPED)
        draft.enter(DPUPhase.READY)
    elif node is None:
        message = f'DPUNode "{world.dpu.spec.dpu_node_name}" not found'
        draft.false(wrong, _Reason.DPU_NODE_NOT_FOUND, message)
    elif (interface := node.status.dpu_install_interface) is None:
        message = f'DPUNode "{node.name}" does not say how its DPUs are installed'
        draft.false(wrong, _Reason.DPU_INSTALL_INTERFACE_NOT_PROVIDED, message)
    elif world.status.dpu_install_interface != interface:
        draft.set(dpu_install_interface=interface)
    elif interface != REDFISH:
        message = f"{interface}: this operator installs DPUs by {REDFISH} only"
        draft.false(wrong, _Reason.INVALID_DPU_INSTALL_INTERFACE, message)
        draft.enter(DPUPhase.ERROR)
    elif device.spec.bmc_ip is None:
        draft.false(wrong, _Reason.BMC_IP_NOT_VALID, f'DPUDevice "{device.name}" has no bmcIp')
        draft.enter(DPUPhase.ERROR)
    else:
        _join_cluster(world, draft)


def _join_cluster(world: World, draft: Draft) -> None:
    wrong = _Condition.INITIALIZED
    given = world.dpu.spec.cluster
    if given is None or not given.name:
        if world.free_cluster is None:
            draft.false(wrong, _Reason.DPU_CLUSTER_NOT_ALLOCATED, "no DPUCluster has room for this DPU")
        else:
            draft.do(GiveCluster(world.free_cluster.name, world.free_cluster.namespace))
    elif world.cluster is None:
        draft.false(wrong, _Reason.DPU_CLUSTER_NOT_FOUND, f'DPUCluster "{given.name}" not found')
    elif world.cluster.terminating:
        draft.false(wrong, _Reason.DPU_CLUSTER_DELETING, f'DPUCluster "{given.name}" is being deleted')
    else:
        draft.set(dpf_version=naming.DPF_VERSION)
        draft.true(_Condition.INITIALIZED)
        draft.enter(DPUPhase.PENDING)


def _pending(world: World, draft: Draft) -> None:
    bfb = world.bfb
    if bfb is None:
        draft.false(_Condition.BFB_READY, _Reason.BFB_NOT_FOUND, f'BFB "{world.dpu.spec.bfb}" not found')
        return
    if bfb.status.phase != BFBPhase.READY:
        draft.false(_Condition.BFB_READY, _Reason.BFB_IS_NOT_READY, "BFB is not ready")
        return
    draft.true(_Condition.BFB_READY)
    if world.flavor is None:
        message = f'DPUFlavor "{world.dpu.spec.dpu_flavor}" not found'
        draft.false(_Condition.DPU_FLAVOR_EXISTS, _Reason.DPU_FLAVOR_NOT_FOUND, message)
        return
    draft.true(_Condition.DPU_FLAVOR_EXISTS)
    limit = world.settings.max_parallel_installations
    if world.installing >= limit:
        draft.false(_Condition.PENDING, _Reason.CANNOT_PROCEED, f"{limit} DPUs are being installed already")
        return
    draft.true(_Condition.PENDING)
    draft.set(bfb_file=f"/bfb/{bfb.status.file_name}")
    draft.enter(DPUPhase.NODE_EFFECT)


def _node_effect(world: World, draft: Draft) -> None:
    about = _Condition.NODE_EFFECT_READY
    node, effect, maintenance = world.node, world.dpu.spec.node_effect, world.maintenance
    if node is None:
        draft.false(about, _Reason.DPU_NODE_NOT_FOUND, f'DPUNode "{world.dpu.spec.dpu_node_name}" not found')
    elif effect is None or (needs_kubernetes_node(effect) and node.status.kube_node_ref is None):
        message = "drain, taint and customLabel need a DPUNode that is a Kubernetes node"
        draft.false(about, _Reason.INVALID_NODE_EFFECT, message)
    elif maintenance is None:
        draft.do(CreateMaintenance())
        missing = f'DPUNodeMaintenance.provisioning.dpu.nvidia.com "{world.maintenance_name}" not found'
        draft.false(about, _Reason.CREATED_DPU_NODE_MAINTENANCE, missing)
    elif maintenance.terminating or not maintenance.spec.requestor:
        # One without requestors is about to be deleted: whoever joined it now would go down with it. One that somebody
        # deleted by hand stays as long as this DPU asks for it, and this DPU waits for it to go: so it does with DPF.
        message = f'DPUNodeMaintenance "{maintenance.name}" is being deleted'
        draft.false(about, _Reason.DPU_NODE_MAINTENANCE_DELETING, message)
    else:
        if not {world.dpu.name, *world.services} <= {*maintenance.spec.requestor}:
            draft.do(JoinMaintenance())
        if is_true(maintenance.conditions, known.DPUNodeMaintenanceCondition.NODE_EFFECT_APPLIED):
            _effect_applied(world, draft)
        else:
            draft.false(about, _Reason.NODE_EFFECT_IN_PROGRESS, "node effect is in progress")


def _effect_applied(world: World, draft: Draft) -> None:
    draft.true(_Condition.NODE_EFFECT_READY, _Reason.NODE_EFFECT_COMPLETED)
    if world.status.post_provisioning_node_effect:
        draft.set(post_provisioning_node_effect=None)
        draft.enter(DPUPhase.DPU_CLUSTER_CONFIG)
    else:
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)


def needs_kubernetes_node(effect: NodeEffect) -> bool:
    """Whether an effect is something done to the host's Kubernetes node (dpf-facts 6)."""
    return effect.taint is not None or bool(effect.custom_label) or effect.drain is not None


_PHASES: Final[Mapping[str, Callable[[World, Draft], None]]] = {
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

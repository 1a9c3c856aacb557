"""NodeView: the frozen state of one host, its DPUNode with every object that refers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._api.records import ConditionRecord, DPUNodeRecord
from dpf_async._transitions.views.device_faults import DeviceFault, device_fault, device_ready
from dpf_async._transitions.views.dpu_view import DPUView
from dpf_async._transitions.views.maintenance_view import MaintenanceView
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUPhase, known

if TYPE_CHECKING:
    from collections.abc import Mapping


class NodeView(msgspec.Struct, frozen=True, gc=False):
    """One host: its DPUNode, and every object that refers to it.

    Attributes:
        name: of the DPUNode.
        node: the DPUNode; None if no DPUNode of this name exists.
        devices: the DPUDevices in spec.dpus of the DPUNode that exist, in that order.
        dpus: the DPUs with this spec.dpuNodeName, by name.
        maintenances: the DPUNodeMaintenances with this spec.dpuNodeName, by name.
        unreadable: those of all these objects that exist and cannot be decoded; they are in none of the other fields.
            A DPU or DPUNodeMaintenance of which no state could be decoded so far is missing: its node is not known.
    """

    name: str
    node: ObjectState[DPUNode] | None
    devices: tuple[ObjectState[DPUDevice], ...]
    dpus: tuple[DPUView, ...]
    maintenances: tuple[MaintenanceView, ...]
    unreadable: tuple[Undecodable, ...] = ()

    @property
    def exists(self) -> bool:
        """A DPUNode of this name exists, decodable or not."""
        return self.uid != ""

    @property
    def uid(self) -> str:
        """metadata.uid of the DPUNode; empty if it does not exist."""
        if self.node is not None:
            return self.node.uid
        return next((obj.uid for obj in self.unreadable if obj.kind is DPUNode), "")

    @property
    def terminating(self) -> bool:
        """metadata.deletionTimestamp is set: its DPUs and DPUDevices are deleted with the DPUNode.

        Source: docs/dpf/deletion.md#dpunode.
        """
        return self.node is not None and self.node.terminating

    @property
    def device_names(self) -> tuple[str, ...]:
        """spec.dpus: the names of the DPUDevices that the DPUNode lists."""
        return device_names(self.node) if self.node is not None else ()

    @property
    def uids(self) -> Mapping[str, str]:
        """Uid of each DPU, by its name: `reprovision` takes it to distinguish old DPUs from new ones."""
        return {dpu.name: dpu.uid for dpu in self.dpus}

    @property
    def ready(self) -> bool:
        """Every device that the DPUNode lists has a DPU, and all DPUs are ready."""
        node = self.node
        if node is None or node.terminating or any(obj.kind is DPU for obj in self.unreadable):
            return False
        wanted = {name.lower() for name in device_names(node)}
        ready = {dpu.device.lower() for dpu in self.dpus if dpu.ready}
        return bool(wanted) and wanted <= ready and all(dpu.ready for dpu in self.dpus)

    @property
    def discovered(self) -> bool:
        """The operator has reconciled the DPUNode, and every DPUDevice that it lists is Ready.

        Condition Ready of the DPUNode must be present and may be False: that only means that a DPU requests a node
        effect (docs/dpf/conditions.md#dpunode-conditions).
        """
        node = self.node
        if node is None or node.terminating or node.condition(known.DPUNodeCondition.READY) is None:
            return False
        return len(self.devices) == len(self.device_names) and all(map(device_ready, self.devices))

    @property
    def device_faults(self) -> tuple[DeviceFault, ...]:
        """The faults that the operator reports for the devices of the host."""
        return tuple(fault for fault in map(device_fault, self.devices) if fault is not None)

    @property
    def services_ready(self) -> bool:
        """The host has DPUs, and every one of them reports all its services ready."""
        unreadable = any(obj.kind is DPU for obj in self.unreadable)
        return bool(self.dpus) and not unreadable and all(dpu.services_ready for dpu in self.dpus)

    @property
    def external_reboot_required(self) -> bool:
        """The operator waits for a reboot of the host.

        The annotation and the condition must both be set. The presence of the annotation is the request. The operator
        writes the condition later, and only from then on notices that the annotation was removed
        (docs/dpf/reboot.md#request-window).
        """
        node = self.node
        if node is None or node.terminating or known.EXTERNAL_REBOOT_REQUIRED not in node.annotations:
            return False
        condition = node.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
        return (
            condition is not None
            and condition.status == "True"
            and condition.reason == known.DPUNodeReason.WAIT_FOR_EXTERNAL_REBOOT
        )

    @property
    def hold(self) -> MaintenanceView | None:
        """The maintenance whose hold waits for its release; None if no hold does."""
        return next((maintenance for maintenance in self.maintenances if maintenance.held), None)

    @property
    def failed_dpus(self) -> tuple[DPUView, ...]:
        """The DPUs in phase Error that are not being deleted."""
        return tuple(dpu for dpu in self.dpus if dpu.failed)

    @property
    def phases(self) -> Mapping[str, DPUPhase]:
        """Phase of each DPU, by its name."""
        return {dpu.name: dpu.phase for dpu in self.dpus}

    def dpu(self, name: str) -> DPUView | None:
        """The DPU of this name."""
        return next((dpu for dpu in self.dpus if dpu.name == name), None)

    def dpu_of(self, device: str) -> DPUView | None:
        """The DPU on a DPUDevice; None until the operator has created it."""
        return next((dpu for dpu in self.dpus if dpu.device == device), None)

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of this type of the DPUNode."""
        return self.node.condition(type_) if self.node is not None else None

    @property
    def object(self) -> DPUNode | None:
        """The full model of the DPUNode, decoded on each access; None if it does not exist.

        Raises:
            DecodeError: a field does not match the model.
        """
        return self.node.object if self.node is not None else None


def as_last_read(before: NodeView | None, after: NodeView) -> NodeView:
    """The later view, with the last readable state of each object that cannot be decoded now."""
    if before is None or not after.unreadable:
        return after
    uids = {obj.uid for obj in after.unreadable}
    return NodeView(
        name=after.name,
        node=before.node if before.uid in uids else after.node,
        devices=(*after.devices, *(device for device in before.devices if device.uid in uids)),
        dpus=(*after.dpus, *(dpu for dpu in before.dpus if dpu.uid in uids)),
        maintenances=(*after.maintenances, *(one for one in before.maintenances if one.uid in uids)),
        unreadable=after.unreadable,
    )


def device_names(state: ObjectState[DPUNode]) -> tuple[str, ...]:
    """spec.dpus of a DPUNode: the names of its DPUDevices."""
    record = state.record
    spec = record.spec if isinstance(record, DPUNodeRecord) else None
    return tuple(reference.name for reference in (spec.dpus or ())) if spec is not None else ()

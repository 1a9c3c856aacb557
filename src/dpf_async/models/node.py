"""DPUNode, DPUDevice and DPUNodeMaintenance: a host, its DPUs, and a node effect on it.

Source of the schemas: DPF v26.4 dpunodes, dpudevices and dpunodemaintenances CRDs.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    Bool,
    Int,
    Int32,
    at_least,
    format_of,
    min_length,
    one_of,
    pattern,
    server_default,
)
from dpf_async.models.meta import Condition, PrinterColumn, Resource
from dpf_async.models.names import PROVISIONING_GROUP, DeviceName, MaintenanceName, NodeName
from dpf_async.models.node_effect import NodeEffect
from dpf_async.models.rules import Rules, exactly_one_of, immutable, name_at_most
from dpf_async.models.wire import ListOf, Wire

__all__ = [
    "DPUDevice",
    "DPUDeviceSpec",
    "DPUDeviceStatus",
    "DPUNode",
    "DPUNodeMaintenance",
    "DPUNodeMaintenanceSpec",
    "DPUNodeMaintenanceStatus",
    "DPUNodeSpec",
    "DPUNodeStatus",
    "DPURef",
    "InstallInterfaceName",
    "NodeDMSAddress",
    "NodeRebootMethod",
    "RebootByExternal",
    "RebootByGNOI",
    "RebootByHostAgent",
    "RebootByScript",
    "SecureBoot",
]

InstallInterfaceName = Annotated[str, one_of("gNOI", "hostAgent", "redfish")]
"""The install interface of the DPUs of a node; a setting of the operator."""
DPUType = Annotated[str, one_of("Unknown", "BlueField2", "BlueField3", "BlueField4")]
DPUMode = Annotated[str, one_of("dpu", "nic")]
_PSID = pattern("^MT_?[A-Z0-9]+$")


class RebootByExternal(Wire):
    """An external component reboots the host when DPF requests it by an annotation.

    Source: docs/dpf/reboot.md#answering-a-request.
    """


class RebootByHostAgent(Wire):
    """DPF's agent on the host reboots it."""


class RebootByGNOI(Wire):
    """The older name of the host agent."""


class RebootByScript(Wire):
    """A Job reboots the host."""

    name: Annotated[str, min_length(1)]
    """ConfigMap with the template of the Job in key pod-template."""


class NodeRebootMethod(Wire):
    """The component that reboots the host."""

    RULES: ClassVar[Rules] = (exactly_one_of(("hostAgent", "gNOI"), "external", "script"),)

    external: RebootByExternal | None = None
    script: RebootByScript | None = None
    host_agent: RebootByHostAgent | None = None
    gnoi: Annotated[RebootByGNOI | None, Field(alias="gNOI")] = None

    @classmethod
    def by_host_agent(cls) -> NodeRebootMethod:
        """The default of a DPUNode."""
        return cls(host_agent=RebootByHostAgent())

    @classmethod
    def by_external(cls) -> NodeRebootMethod:
        """DPF requests reboots by an annotation on the DPUNode, and an external component performs them."""
        return cls(external=RebootByExternal())


class DPURef(Wire):
    """A DPU of a host, by the name of its DPUDevice."""

    name: Annotated[DeviceName, min_length(1)]


class NodeDMSAddress(Wire):
    """Address of the service that older releases installed DPUs through; v26.4 does not read it."""

    ip: Annotated[str, format_of("ipv4")]
    port: Annotated[Int, at_least(1)]


class DPUNodeSpec(Wire):
    """The DPUs of the host, and its reboot method."""

    dpus: ListOf[DPURef] = ()
    node_reboot_method: Annotated[NodeRebootMethod, server_default({"hostAgent": {}})] = Field(
        default_factory=NodeRebootMethod.by_host_agent
    )
    node_dms_address: Annotated[NodeDMSAddress | None, Field(alias="nodeDMSAddress")] = None


class DPUNodeStatus(Wire):
    """The observed host; independent of the health of the DPUs (docs/dpf/conditions.md#dpunode-conditions)."""

    conditions: ListOf[Condition] = ()
    dpu_install_interface: InstallInterfaceName | None = None
    kube_node_ref: Annotated[str, immutable("the Kubernetes node of a DPUNode")] | None = None
    """Name of the host's Kubernetes node, if it is one."""
    reboot_in_progress: Bool | None = None
    """No writer is known; read the condition DPUNodeRebootInProgress instead.

    Source: docs/dpf/conditions.md#dpunode-conditions.
    """


class DPUNode(Resource):
    """A host with DPUs. Its creation starts their provisioning; its deletion deletes them."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUNode"
    PLURAL: ClassVar[str] = "dpunodes"
    RULES: ClassVar[Rules] = (name_at_most(48),)

    spec: DPUNodeSpec = Field(default_factory=DPUNodeSpec)
    status: DPUNodeStatus = Field(default_factory=DPUNodeStatus)

    @property
    def name(self) -> NodeName:
        """metadata.name."""
        return NodeName(self.metadata.name)


class SecureBoot(Wire):
    """UEFI Secure Boot of a DPU."""

    enabled: Bool | None = None


class DPUDeviceSpec(Wire):
    """The serial number of the DPU, and the address of its BMC."""

    serial_number: Annotated[str, min_length(1), immutable("the serial number")]
    """Compared with that of the BMC; after a mismatch the device does not become Ready.

    Source: docs/dpf/discovery.md#serial-number.
    """
    bmc_ip: Annotated[str, format_of("ipv4")] | None = None
    bmc_port: Annotated[Int32, at_least(1), immutable("the BMC port")] = 443
    number_of_pfs: Annotated[Int, at_least(1), immutable("the number of PFs"), Field(alias="numberOfPFs")] = 1
    psid: Annotated[str, _PSID, immutable("the PSID")] | None = None
    """Deprecated: the operator writes it to status."""
    opn: (
        Annotated[str, pattern(r"^\d{3}-[A-Z0-9]{5}-[A-Z0-9]{4}-[A-Z0-9]{3}$"), immutable("the OPN")] | None
    ) = None
    """Deprecated: the operator writes it to status."""
    pf0_name: Annotated[str, immutable("the name of PF0")] | None = None
    """Deprecated: the operator writes it to status."""


class DPUDeviceStatus(Wire):
    """The observed DPU, and the progress of the operator with its BMC."""

    conditions: ListOf[Condition] = ()
    bmc_ip: Annotated[str, format_of("ipv4")] | None = None
    bmc_port: Annotated[Int32, at_least(1)] = 443
    dpu_mode: DPUMode = "dpu"
    dpu_type: DPUType = "Unknown"
    opn: str | None = None
    pci_address: str | None = None
    pf0_mac: Annotated[str, pattern("^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$")] | None = None
    pf0_name: str | None = None
    psid: Annotated[str, _PSID] | None = None
    """Some operator releases write the serial number here (docs/dpf/discovery.md#psid)."""
    secure_boot: SecureBoot | None = None
    serial_number: str | None = None


class DPUDevice(Resource):
    """One physical DPU. The operator ignores it until a DPUNode lists it."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUDevice"
    PLURAL: ClassVar[str] = "dpudevices"
    # No controller writes this type, so the column is empty; it is the same in DPF's CRD
    # (docs/dpf/objects.md#printer-columns).
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Ready", ".status.conditions[?(@.type=='ConditionDpuDeviceReady')].status"),
    )
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUDeviceSpec
    status: DPUDeviceStatus = Field(default_factory=DPUDeviceStatus)

    @property
    def name(self) -> DeviceName:
        """metadata.name."""
        return DeviceName(self.metadata.name)


class DPUNodeMaintenanceSpec(Wire):
    """The host, its node effect, and the requestors."""

    dpu_node_name: NodeName
    node_effect: NodeEffect | None = None
    requestor: ListOf[str] = ()
    """DPUs and services that still need the node effect; the object is deleted after the last one released it."""


class DPUNodeMaintenanceStatus(Wire):
    """Whether the node effect is applied."""

    conditions: ListOf[Condition] = ()
    node_effect_sync_start_time: Annotated[str, format_of("date-time")] | None = None
    """Start of the wait for sibling DPUs."""
    multi_dpu_operations_sync_wait_time: Annotated[
        str | None, Field(alias="multiDPUOperationsSyncWaitTime")
    ] = None
    """Duration of the wait for sibling DPUs, as a Go duration."""
    max_unavailable_dpu_nodes: Annotated[
        Annotated[Int32, at_least(1)] | None, Field(alias="maxUnavailableDPUNodes")
    ] = None


class DPUNodeMaintenance(Resource):
    """One node effect on a host; created and deleted by the operator (docs/dpf/hold.md#maintenance-object)."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUNodeMaintenance"
    PLURAL: ClassVar[str] = "dpunodemaintenances"
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUNodeMaintenanceSpec
    status: DPUNodeMaintenanceStatus = Field(default_factory=DPUNodeMaintenanceStatus)

    @property
    def name(self) -> MaintenanceName:
        """metadata.name."""
        return MaintenanceName(self.metadata.name)

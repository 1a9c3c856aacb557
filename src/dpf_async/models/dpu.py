"""DPU and DPUSet: the installation of one DPU, and the object from which the operator creates DPUs.

Source of the schemas: DPF v26.4 dpus and dpusets CRDs.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    INT_OR_STRING,
    REQUIRED,
    Bool,
    Int,
    Int32,
    Int64,
    at_least,
    format_of,
    map_list,
    min_length,
    one_of,
    pattern,
    server_default,
)
from dpf_async.models.meta import (
    AGE,
    READY,
    Condition,
    LabelSelector,
    PrinterColumn,
    Resource,
    find_condition,
)
from dpf_async.models.names import PROVISIONING_GROUP, DeviceName, DPUName, NodeName
from dpf_async.models.node import DPUMode, DPUType, InstallInterfaceName, SecureBoot
from dpf_async.models.node_effect import NodeEffect
from dpf_async.models.phases import DPUPhase
from dpf_async.models.rules import Rules, immutable, name_at_most, not_both
from dpf_async.models.wire import ListOf, MapOf, StringMap, Wire

__all__ = [
    "DPU",
    "AgentStatus",
    "BFBRef",
    "ClusterRef",
    "ClusterTemplate",
    "DPUAddress",
    "DPUFirmware",
    "DPUSet",
    "DPUSetSpec",
    "DPUSetStatus",
    "DPUSetStrategy",
    "DPUSpec",
    "DPUStatus",
    "DPUTemplate",
    "DPUTemplateSpec",
    "MaxUnavailable",
    "PendingNVConfig",
    "PendingNVConfigDevice",
    "PendingNVConfigEntry",
    "RollingUpdate",
]

MaxUnavailable = Annotated[Int | str, INT_OR_STRING]
"""A number, or a percentage as text."""


class ClusterTemplate(Wire):
    """The selection of the DPUCluster of a DPU, and the labels of its Node there."""

    selector: LabelSelector | None = None
    node_labels: StringMap = Field(default_factory=dict)


class ClusterRef(ClusterTemplate):
    """The DPUCluster of a DPU, selected by the operator in phase Initializing."""

    name: Annotated[str, immutable("the DPUCluster of a DPU")] | None = None
    namespace: Annotated[str, immutable("the DPUCluster of a DPU")] | None = None


class DPUSpec(Wire):
    """The DPU, and its image and configuration. Written by the DPUSet controller."""

    dpu_node_name: Annotated[NodeName, immutable("the DPUNode of a DPU")]
    dpu_device_name: Annotated[DeviceName, min_length(1), immutable("the DPUDevice of a DPU")]
    serial_number: Annotated[str, min_length(1), immutable("the serial number")]
    dpu_flavor: Annotated[str, min_length(1), immutable("the DPUFlavor of a DPU")]
    bfb: Annotated[str | None, REQUIRED] = None
    """Name of the BFB. Releases after v26.4 may have blueFieldSoftware instead (docs/dpf/objects.md#image-field)."""
    blue_field_software: str | None = None
    node_effect: Annotated[NodeEffect | None, REQUIRED] = None
    """Required since v26.4 (docs/dpf/objects.md#required-fields)."""
    cluster: ClusterRef | None = None
    bmc_ip: Annotated[str | None, Field(alias="bmcIP")] = None
    """Deprecated, and not set by the operator: the address is in the DPUDevice.

    Source: docs/dpf/deployments.md#dpu-creation.
    """
    pci_address: Annotated[str, pattern("^([0-9a-fA-F]{4}[-])?[0-9a-fA-F]{2}[-][0-9a-fA-F]{2}$")] | None = (
        None
    )
    secure_boot: Annotated[Bool, immutable("secureBoot of a DPU")] | None = None


class DPUAddress(Wire):
    """An address of the DPU as a Node: Hostname, InternalIP or ExternalIP."""

    type: str
    address: str


class DPUFirmware(Wire):
    """Versions of firmware on the DPU."""

    bmc: str | None = None
    nic: str | None = None
    uefi: str | None = None


class PendingNVConfigEntry(Wire):
    """A firmware parameter whose value changes at the next boot."""

    name: str | None = None
    default: str | None = None
    current: str | None = None
    next_boot: Annotated[str | None, Field(alias="next_boot")] = None


class PendingNVConfigDevice(Wire):
    """The pending parameters of one device."""

    device: str | None = None
    entries: Annotated[ListOf[PendingNVConfigEntry], REQUIRED] = ()


class PendingNVConfig(Wire):
    """The pending firmware parameters at the last check of the agent, for its own use."""

    boot_id: Annotated[str | None, Field(alias="bootID")] = None
    devices: ListOf[PendingNVConfigDevice] = ()


class AgentStatus(Wire):
    """The report of the agent on the DPU."""

    conditions: ListOf[Condition] = ()
    initial_boot_id: Annotated[str | None, Field(alias="initialBootID")] = None
    kubelet_version: str | None = None
    last_observed_pending_nvconfig: PendingNVConfig | None = None
    last_startup_time: Annotated[str, format_of("date-time")] | None = None
    reboot_method: (
        Annotated[
            str,
            one_of(
                "Unknown",
                "NoAction",
                "PowerCycle",
                "SystemReboot",
                "SystemLevelReset",
                "FirmwareReset",
                "DPUWarmReboot",
            ),
        ]
        | None
    ) = None
    """The reboot that this DPU needs; absent before the first check of the agent.

    Source: docs/dpf/conditions.md#agent-conditions.
    """
    reboot_sequence_count: Annotated[Int32, at_least(0)] | None = None
    """Number of consecutive requests of the agent for a reboot."""


class DPUStatus(Wire):
    """The progress of the installation. Base decisions on phase, uid and deletionTimestamp.

    Source: docs/dpf/conditions.md#what-to-trust.
    """

    phase: Annotated[DPUPhase, REQUIRED] = DPUPhase.INITIALIZING
    previous_phase: DPUPhase | None = None
    conditions: ListOf[Condition] = ()
    """The result of each phase. Conditions of earlier passes through a phase remain, Ready among them."""
    operational_conditions: Annotated[ListOf[Condition], map_list("type")] = ()
    """Health of the services and of the Node, independent of the phase."""
    observed_generation: Int64 | None = None
    post_provisioning_node_effect: Bool | None = None
    """The phase Node Effect was entered for a change of services; no installation follows.

    Source: docs/dpf/services.md#disruptive-changes.
    """
    addresses: ListOf[DPUAddress] = ()
    agent_last_startup_time: Annotated[str, format_of("date-time")] | None = None
    agent_status: AgentStatus | None = None
    bf_cfg_file: Annotated[str | None, Field(alias="bfCFGFile")] = None
    bfb_file: str | None = None
    bfb_version: str | None = None
    dpf_version: Annotated[str, immutable("the DPF version a DPU was installed with")] | None = None
    dpu_install_interface: InstallInterfaceName | None = None
    dpu_mode: DPUMode = "dpu"
    dpu_type: DPUType = "Unknown"
    firmware: DPUFirmware | None = None
    pci_device: str | None = None
    redfish_task_id: str | None = None
    required_reset: Bool | None = None
    secure_boot: SecureBoot | None = None


class DPU(Resource):
    """One installation of a DPU. After its deletion the operator creates another with the same name and a new uid."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPU"
    PLURAL: ClassVar[str] = "dpus"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (
        READY,
        PrinterColumn("Operational", ".status.operationalConditions[?(@.type=='OperationalReady')].status"),
        PrinterColumn("Phase", ".status.phase"),
        AGE,
    )

    spec: DPUSpec
    status: Annotated[DPUStatus, server_default({"phase": "Initializing"})] = Field(default_factory=DPUStatus)

    @property
    def name(self) -> DPUName:
        """metadata.name."""
        return DPUName(self.metadata.name)

    def operational_condition(self, type: str) -> Condition | None:  # noqa: A002  Kubernetes' word
        """The condition of this type in status.operationalConditions; None if no controller has written it."""
        return find_condition(self.status.operational_conditions, type)


class RollingUpdate(Wire):
    """Limits of a rolling update."""

    max_unavailable: MaxUnavailable | None = None


class DPUSetStrategy(Wire):
    """The effect of a change of the template on existing DPUs (docs/dpf/deployments.md#strategies)."""

    type: Annotated[str, one_of("OnDelete", "RollingUpdate")]
    """OnDelete: existing DPUs are unchanged until they are deleted."""
    rolling_update: RollingUpdate | None = None


class BFBRef(Wire):
    """A BFB, by name."""

    name: Annotated[str, min_length(1)] | None = None


class DPUTemplateSpec(Wire):
    """The part of the spec that all DPUs of the set share."""

    bfb: BFBRef | None = None
    dpu_flavor: Annotated[str, min_length(1)]
    node_effect: Annotated[NodeEffect | None, REQUIRED] = None
    """Required since v26.4 (docs/dpf/objects.md#required-fields)."""
    cluster: ClusterTemplate | None = None
    secure_boot: Bool | None = None


class DPUTemplate(Wire):
    """The template of the DPUs of a set."""

    annotations: StringMap = Field(default_factory=dict)
    spec: DPUTemplateSpec | None = None


class DPUSetSpec(Wire):
    """The selection of DPUNodes and DPUDevices, and the template of their DPUs."""

    RULES: ClassVar[Rules] = (not_both("dpuSelector", "dpuDeviceSelector"),)

    dpu_template: DPUTemplate
    strategy: Annotated[DPUSetStrategy | None, REQUIRED] = None
    """Required since v26.4 (docs/dpf/objects.md#required-fields)."""
    dpu_node_selector: LabelSelector | None = None
    dpu_device_selector: LabelSelector | None = None
    dpu_selector: StringMap = Field(default_factory=dict)
    """Deprecated: use dpuDeviceSelector."""


class DPUSetStatus(Wire):
    """The number of DPUs."""

    conditions: ListOf[Condition] = ()
    dpu_statistics: MapOf[Int] = Field(default_factory=dict)
    """Number of DPUs by phase, without those being deleted."""
    observed_generation: Int64 | None = None


class DPUSet(Resource):
    """The operator creates one DPU for each selected DPUDevice of a selected DPUNode."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUSet"
    PLURAL: ClassVar[str] = "dpusets"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, AGE)
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUSetSpec
    status: DPUSetStatus = Field(default_factory=DPUSetStatus)

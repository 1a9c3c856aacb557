"""DPUServiceNAD and DPUServiceIPAM: the networks and the addresses of the interfaces of services.

Source of the schemas: DPF v26.4 dpuservicenads and dpuserviceipams CRDs.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import Bool, Int, Int32, one_of
from dpf_async.models.deployment import ServiceMTU
from dpf_async.models.interface import ClusterSelecting, NetworkStatus, TemplateMeta
from dpf_async.models.meta import AGE, READY, Condition, LabelSelector, PrinterColumn, Resource, ready_reason
from dpf_async.models.names import SVC_GROUP
from dpf_async.models.rules import Rules, name_at_most
from dpf_async.models.service import FreeForm, NodeSelector
from dpf_async.models.wire import ListOf, StringMap, Wire

__all__ = [
    "ChainedCNI",
    "DPUServiceIPAM",
    "DPUServiceIPAMSpec",
    "DPUServiceNAD",
    "DPUServiceNADSpec",
    "DPUServiceNADStatus",
    "IPRange",
    "IPv4Network",
    "IPv4Subnet",
    "Route",
]


class ChainedCNI(Wire):
    """A further CNI plugin for the interface."""

    type: Annotated[str, one_of("rdma")]
    config: FreeForm = Field(default_factory=dict)


class DPUServiceNADSpec(Wire):
    """The type of interface that a service gets."""

    resource_type: Annotated[str, one_of("vf", "sf", "veth")]
    bridge: str | None = None
    chained_cnis: Annotated[ListOf[ChainedCNI], Field(alias="chainedCNIs")] = ()
    dpu_cluster_selector: LabelSelector | None = None
    ipam: Bool | None = None
    """Addresses come from a DPUServiceIPAM."""
    service_mtu: Annotated[ServiceMTU, Field(alias="serviceMTU")] = 1500


class DPUServiceNADStatus(Wire):
    """Whether the operator has created the network."""

    conditions: ListOf[Condition] = ()


class DPUServiceNAD(Resource):
    """A network attachment for services on DPUs."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceNAD"
    PLURAL: ClassVar[str] = "dpuservicenads"
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUServiceNADSpec
    status: DPUServiceNADStatus = Field(default_factory=DPUServiceNADStatus)


class IPRange(Wire):
    """A range of addresses, first and last included."""

    start_ip: Annotated[str, Field(alias="startIP")]
    end_ip: Annotated[str, Field(alias="endIP")]


class Route(Wire):
    """A route of the pods through the gateway."""

    dst: str


class IPv4Network(Wire):
    """A network that is divided into one subnet per DPU."""

    network: str
    prefix_size: Int32
    allocations: StringMap = Field(default_factory=dict)
    """Fixed subnets, by DPU."""
    default_gateway: Bool | None = None
    exclude_ranges: ListOf[IPRange] = ()
    exclusions: ListOf[str] = ()
    """Deprecated: use excludeRanges."""
    gateway_index: Int32 | None = None
    routes: ListOf[Route] = ()


class IPv4Subnet(Wire):
    """A subnet of which each DPU gets a number of addresses."""

    subnet: str
    gateway: str
    per_node_ip_count: Annotated[Int, Field(alias="perNodeIPCount")]
    default_gateway: Bool | None = None
    exclude_ranges: ListOf[IPRange] = ()
    routes: ListOf[Route] = ()


class DPUServiceIPAMSpec(ClusterSelecting):
    """The addresses, and the DPUs that they are for."""

    metadata: TemplateMeta | None = None
    ipv4_network: IPv4Network | None = None
    ipv4_subnet: IPv4Subnet | None = None
    node_selector: NodeSelector | None = None


class DPUServiceIPAM(Resource):
    """Addresses for services on DPUs."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceIPAM"
    PLURAL: ClassVar[str] = "dpuserviceipams"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, ready_reason("Phase"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUServiceIPAMSpec
    status: NetworkStatus = Field(default_factory=NetworkStatus)

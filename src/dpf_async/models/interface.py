"""DPUServiceInterface: an interface of DPUs, and models that it shares with DPUServiceChain.

Source of the schema: DPF v26.4 dpuserviceinterfaces CRD.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import Int, Int64, max_length, min_length, one_of
from dpf_async.models.meta import AGE, READY, Condition, LabelSelector, PrinterColumn, Resource, ready_reason
from dpf_async.models.names import SVC_GROUP
from dpf_async.models.rules import Rule, Rules, TransitionRule, has, name_at_most
from dpf_async.models.wire import ListOf, StringMap, Wire

__all__ = [
    "ClusterSelecting",
    "DPUServiceInterface",
    "DPUServiceInterfaceSpec",
    "InterfaceService",
    "NetworkStatus",
    "OVNInterface",
    "PFInterface",
    "PatchInterface",
    "PhysicalInterface",
    "ServiceInterfaceSet",
    "ServiceInterfaceSetTemplate",
    "ServiceInterfaceSpec",
    "ServiceInterfaceTemplate",
    "TemplateMeta",
    "VFInterface",
    "VLANInterface",
]


class TemplateMeta(Wire):
    """Labels and annotations of the objects that are created from a template."""

    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)


class NetworkStatus(Wire):
    """Whether it was created on the selected DPUs."""

    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None


class ClusterSelecting(Wire):
    """The selection of DPUClusters."""

    dpu_cluster_selector: LabelSelector | None = None
    cluster_selector: LabelSelector | None = None
    """Deprecated: use dpuClusterSelector."""


_VIRTUAL_NETWORK_STAYS = TransitionRule(
    cel=(
        "has(self.virtualNetwork) == has(oldSelf.virtualNetwork)"
        " && (!has(self.virtualNetwork) || self.virtualNetwork == oldSelf.virtualNetwork)"
    ),
    message="virtualNetwork cannot be changed, added or removed",
    allows=lambda old, new: old.virtual_network == new.virtual_network,
)


class PhysicalInterface(Wire):
    """A port of the DPU, such as p0."""

    interface_name: str


class PFInterface(Wire):
    """A physical function of the host."""

    RULES: ClassVar[Rules] = (_VIRTUAL_NETWORK_STAYS,)

    pf_id: Annotated[Int, Field(alias="pfID")]
    virtual_network: str | None = None


class VFInterface(Wire):
    """A virtual function of the host."""

    RULES: ClassVar[Rules] = (_VIRTUAL_NETWORK_STAYS,)

    pf_id: Annotated[Int, Field(alias="pfID")]
    vf_id: Annotated[Int, Field(alias="vfID")]
    virtual_network: str | None = None
    parent_interface_ref: str | None = None
    """Deprecated."""


class VLANInterface(Wire):
    """A VLAN on another interface."""

    vlan_id: Annotated[Int, Field(alias="vlanID")]
    parent_interface_ref: str


class OVNInterface(Wire):
    """A patch between the service bridge and OVN's."""

    external_bridge: str = "br-ovn"


class PatchInterface(Wire):
    """A patch between the service bridge and another."""

    peer_bridge: str
    peer_patch_name: str | None = None
    peer_external_ids: Annotated[StringMap, Field(alias="peerExternalIDs")] = Field(default_factory=dict)


class InterfaceService(Wire):
    """An interface of a service."""

    RULES: ClassVar[Rules] = (_VIRTUAL_NETWORK_STAYS,)

    service_id: Annotated[str, Field(alias="serviceID")]
    network: str
    """A DPUServiceNAD, as namespace/name or name."""
    interface_name: Annotated[str, min_length(1), max_length(15)]
    virtual_network: str | None = None


_TYPES = ("vlan", "physical", "pf", "vf", "ovn", "patch", "service")
_TYPES_WITH_A_FIELD = tuple(kind for kind in _TYPES if kind != "ovn")  # ovn is optional


class ServiceInterfaceSpec(Wire):
    """One interface on one DPU: its type, and the field with the name of the type."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel="".join(
                f"self.interfaceType == '{kind}' ? has(self.{kind}) : " for kind in _TYPES_WITH_A_FIELD
            )
            + "self.interfaceType == 'ovn'",
            message="the field with the name of interfaceType must be set",
            holds=lambda spec: (
                spec.interface_type == "ovn"
                or (spec.interface_type in _TYPES_WITH_A_FIELD and has(spec, spec.interface_type))
            ),
        ),
    )

    interface_type: Annotated[str, one_of(*_TYPES)]
    node: str | None = None
    vlan: VLANInterface | None = None
    physical: PhysicalInterface | None = None
    pf: PFInterface | None = None
    vf: VFInterface | None = None
    ovn: OVNInterface | None = None
    patch: PatchInterface | None = None
    service: InterfaceService | None = None


class ServiceInterfaceTemplate(Wire):
    """The template of the interface on each DPU."""

    metadata: TemplateMeta | None = None
    spec: ServiceInterfaceSpec


class ServiceInterfaceSet(Wire):
    """The interface on the selected DPUs of a cluster."""

    node_selector: LabelSelector | None = None
    template: ServiceInterfaceTemplate


class ServiceInterfaceSetTemplate(Wire):
    """The template of the object in each DPUCluster."""

    metadata: TemplateMeta | None = None
    spec: ServiceInterfaceSet


class DPUServiceInterfaceSpec(ClusterSelecting):
    """An interface on the selected DPUs of the selected DPUClusters."""

    template: ServiceInterfaceSetTemplate


class DPUServiceInterface(Resource):
    """An interface of DPUs that chains can connect."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceInterface"
    PLURAL: ClassVar[str] = "dpuserviceinterfaces"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("IfType", ".spec.template.spec.template.spec.interfaceType"),
        PrinterColumn("IfName", ".spec.template.spec.template.spec['service','physical'].interfaceName"),
        READY,
        ready_reason("Reason"),
        AGE,
    )
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUServiceInterfaceSpec
    status: NetworkStatus = Field(default_factory=NetworkStatus)

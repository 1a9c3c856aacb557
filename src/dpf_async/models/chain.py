"""DPUServiceChain: the connections between interfaces of DPUs.

Source of the schema: DPF v26.4 dpuservicechains CRD.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import max_items, min_items
from dpf_async.models.deployment import ChainInterfaceRef, ServiceMTU
from dpf_async.models.interface import ClusterSelecting, NetworkStatus, TemplateMeta
from dpf_async.models.meta import AGE, READY, LabelSelector, PrinterColumn, Resource, ready_reason
from dpf_async.models.names import SVC_GROUP
from dpf_async.models.rules import Rules, name_at_most
from dpf_async.models.wire import ListOf, Wire

__all__ = [
    "ChainPort",
    "ChainSwitch",
    "DPUServiceChain",
    "DPUServiceChainSpec",
    "ServiceChainSet",
    "ServiceChainSetTemplate",
    "ServiceChainSpec",
    "ServiceChainTemplate",
]


class ChainPort(Wire):
    """A port of a switch."""

    service_interface: ChainInterfaceRef


class ChainSwitch(Wire):
    """A set of ports that are connected with each other."""

    ports: Annotated[ListOf[ChainPort], min_items(1), max_items(50)]
    service_mtu: Annotated[ServiceMTU, Field(alias="serviceMTU")] = 1500


class ServiceChainSpec(Wire):
    """The chain on one DPU."""

    switches: Annotated[ListOf[ChainSwitch], min_items(1), max_items(50)]
    node: str | None = None


class ServiceChainTemplate(Wire):
    """The template of the chain on each DPU."""

    metadata: TemplateMeta | None = None
    spec: ServiceChainSpec


class ServiceChainSet(Wire):
    """The chain on the selected DPUs of a cluster."""

    node_selector: LabelSelector | None = None
    template: ServiceChainTemplate


class ServiceChainSetTemplate(Wire):
    """The template of the object in each DPUCluster."""

    metadata: TemplateMeta | None = None
    spec: ServiceChainSet


class DPUServiceChainSpec(ClusterSelecting):
    """A chain on the selected DPUs of the selected DPUClusters."""

    template: ServiceChainSetTemplate


class DPUServiceChain(Resource):
    """The connections between interfaces of DPUs, created from a DPUDeployment."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceChain"
    PLURAL: ClassVar[str] = "dpuservicechains"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, ready_reason("Reason"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUServiceChainSpec
    status: NetworkStatus = Field(default_factory=NetworkStatus)

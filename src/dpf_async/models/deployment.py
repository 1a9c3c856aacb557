"""DPUDeployment: a group of DPUs and the services on them.

Source of the schema: DPF v26.4 dpudeployments CRD; the objects that the operator creates from it:
docs/dpf/deployments.md#creation-order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    REQUIRED,
    Bool,
    Int,
    Int32,
    Int64,
    at_least,
    at_most,
    max_items,
    max_length,
    max_properties,
    min_items,
    min_length,
    min_properties,
    server_default,
)
from dpf_async.models.dpu import DPUSetStrategy
from dpf_async.models.meta import AGE, READY, Condition, LabelSelector, PrinterColumn, Resource, ready_reason
from dpf_async.models.names import SVC_GROUP, DeploymentName
from dpf_async.models.node_effect import DeploymentNodeEffect
from dpf_async.models.rules import Rule, Rules, exactly_one_of, name_at_most, not_both
from dpf_async.models.wire import ListOf, MapOf, StringMap, Wire

__all__ = [
    "ChainIPAM",
    "ChainInterfaceRef",
    "DPUDeployment",
    "DPUDeploymentSpec",
    "DPUDeploymentStatus",
    "DPUSetTemplate",
    "DPUsTemplate",
    "DeploymentPort",
    "DeploymentServiceChains",
    "DeploymentSwitch",
    "ServiceDependency",
    "ServicePortRef",
    "ServiceRefs",
    "UpgradePolicy",
    "belongs_to_dpf",
]

ServiceMTU = Annotated[Int, at_least(1280), at_most(9216)]
_Selecting = Annotated[StringMap, min_properties(1), max_properties(50)]

# The keys that are reserved for DPF, in CEL and in Python.
_BELONGS_TO_DPF = "(key.contains('dpu.nvidia.com/') || key.endsWith('dpu.nvidia.com'))"


def belongs_to_dpf(key: str) -> bool:
    """Whether a label or annotation key is reserved for DPF."""
    return "dpu.nvidia.com/" in key or key.endswith("dpu.nvidia.com")


def _has_no_key_of_dpf(dpu_set: DPUSetTemplate) -> bool:
    keys = dpu_set.dpu_annotations
    return all(key.startswith("noderesources.dpu.nvidia.com") or not belongs_to_dpf(key) for key in keys)


class UpgradePolicy(Wire):
    """The effect of a change of a service or a chain on the DPUs that run it."""

    apply_node_effect: Bool = True
    """The change is disruptive: Ready DPUs go through the node effect for it.

    Source: docs/dpf/services.md#disruptive-changes.
    """


class DPUSetTemplate(Wire):
    """A selection of DPUs; the operator creates one DPUSet from it, named `<deployment>-<nameSuffix>`."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel=(
                "!has(self.dpuAnnotations) || self.dpuAnnotations.all(key, "
                f"key.startsWith('noderesources.dpu.nvidia.com') || !{_BELONGS_TO_DPF})"
            ),
            message="dpuAnnotations must not have keys of dpu.nvidia.com",
            holds=_has_no_key_of_dpf,
        ),
        not_both("nodeSelector", "dpuNodeSelector"),
        not_both("dpuSelector", "dpuDeviceSelector"),
    )

    name_suffix: Annotated[str, min_length(1), max_length(24)]
    dpu_node_selector: LabelSelector | None = None
    dpu_device_selector: LabelSelector | None = None
    dpu_cluster_selector: StringMap = Field(default_factory=dict)
    dpu_annotations: Annotated[StringMap, max_properties(50)] = Field(default_factory=dict)
    node_selector: LabelSelector | None = None
    """Deprecated: use dpuNodeSelector."""
    dpu_selector: StringMap = Field(default_factory=dict)
    """Deprecated: use dpuDeviceSelector."""


_SUFFIXES_DIFFER = Rule(
    cel="self.all(one, self.filter(other, other.nameSuffix == one.nameSuffix).size() == 1)",
    message="nameSuffix must be unique",
    holds=lambda dpu_sets: len({dpu_set.name_suffix for dpu_set in dpu_sets}) == len(dpu_sets),
)


class DPUsTemplate(Wire):
    """The image, the flavor and the selection of the DPUs."""

    bfb: Annotated[str | None, REQUIRED] = None
    """Name of the BFB. Releases after v26.4 may have another image instead (docs/dpf/objects.md#image-field)."""
    flavor: str
    """Name of the DPUFlavor."""
    dpu_set_strategy: Annotated[DPUSetStrategy | None, REQUIRED] = None
    """Required since v26.4 (docs/dpf/objects.md#required-fields)."""
    node_effect: Annotated[DeploymentNodeEffect | None, REQUIRED] = None
    """Required since v26.4 (docs/dpf/objects.md#required-fields)."""
    dpu_sets: Annotated[ListOf[DPUSetTemplate], min_items(1), max_items(50), _SUFFIXES_DIFFER] = ()
    secure_boot: Bool | None = None


class ServiceDependency(Wire):
    """Another service of the same DPUDeployment."""

    name: str


class ServiceRefs(Wire):
    """A service: the names of its DPUServiceTemplate and DPUServiceConfiguration."""

    service_template: str
    service_configuration: str
    depends_on: Annotated[ListOf[ServiceDependency], min_items(1)] = ()


class ChainIPAM(Wire):
    """The DPUServiceIPAM that allocates the addresses."""

    match_labels: _Selecting
    default_gateway: Bool | None = None
    set_default_route: Bool | None = None


class ServicePortRef(Wire):
    """An interface of a service, by its name in the DPUServiceConfiguration."""

    name: Annotated[str, min_length(1), max_length(28)]
    """The service."""
    interface: Annotated[str, min_length(1), max_length(15)]
    ipam: ChainIPAM | None = None


class ChainInterfaceRef(Wire):
    """A DPUServiceInterface, by its labels."""

    match_labels: _Selecting
    ipam: ChainIPAM | None = None


class DeploymentPort(Wire):
    """A port of a switch: an interface of a service, or another interface."""

    RULES: ClassVar[Rules] = (exactly_one_of("service", "serviceInterface"),)

    service: ServicePortRef | None = None
    service_interface: ChainInterfaceRef | None = None


class DeploymentSwitch(Wire):
    """A set of ports that are connected with each other."""

    ports: Annotated[ListOf[DeploymentPort], min_items(1), max_items(50)]
    service_mtu: Annotated[ServiceMTU, Field(alias="serviceMTU")] = 1500


class DeploymentServiceChains(Wire):
    """The connections between services; the operator creates one DPUServiceChain from it."""

    switches: Annotated[ListOf[DeploymentSwitch], min_items(1), max_items(50)]
    upgrade_policy: Annotated[UpgradePolicy, REQUIRED, server_default({})] = Field(
        default_factory=UpgradePolicy
    )


def _has_short_names(services: Mapping[str, ServiceRefs]) -> bool:
    return all(len(name) <= 28 for name in services)


_SHORT_NAMES = Rule(
    cel="self.all(name, size(name) <= 28)",
    message="names of services must have at most 28 characters",
    holds=_has_short_names,
)


class DPUDeploymentSpec(Wire):
    """The DPUs, the services, and the connections between services."""

    dpus: DPUsTemplate
    services: Annotated[MapOf[ServiceRefs], min_properties(1), max_properties(50), _SHORT_NAMES]
    """By name; the deploymentServiceName of template and configuration must be this name."""
    service_chains: DeploymentServiceChains | None = None
    revision_history_limit: Annotated[Int32, at_least(1)] = 10
    """Maximum number of revisions of a disruptive service that exist at the same time."""


class DPUDeploymentStatus(Wire):
    """The progress of the operator (docs/dpf/conditions.md#deployment-conditions)."""

    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None


class DPUDeployment(Resource):
    """The object from which the operator creates the DPUs and services of one group."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUDeployment"
    PLURAL: ClassVar[str] = "dpudeployments"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, ready_reason("Phase"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(20),)

    spec: DPUDeploymentSpec
    status: DPUDeploymentStatus = Field(default_factory=DPUDeploymentStatus)

    @property
    def name(self) -> DeploymentName:
        """metadata.name."""
        return DeploymentName(self.metadata.name)

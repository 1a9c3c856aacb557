"""DPUServiceTemplate, DPUServiceConfiguration and DPUService: the services on DPUs.

Source of the schemas: DPF v26.4 dpuservicetemplates, dpuserviceconfigurations and dpuservices CRDs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    ATOMIC_LIST,
    INT_OR_STRING,
    PRESERVE_UNKNOWN,
    REQUIRED,
    Bool,
    Int,
    Int64,
    Quantity,
    max_items,
    max_length,
    max_properties,
    min_items,
    min_length,
    one_of,
    pattern,
    server_default,
)
from dpf_async.models.deployment import UpgradePolicy, belongs_to_dpf
from dpf_async.models.meta import (
    AGE,
    READY,
    Condition,
    LabelSelector,
    LabelSelectorRequirement,
    PrinterColumn,
    Resource,
    ready_reason,
)
from dpf_async.models.names import SVC_GROUP
from dpf_async.models.rules import Rule, Rules, has, immutable, name_at_most
from dpf_async.models.wire import ListOf, MapOf, StringMap, Wire

__all__ = [
    "ConfigPort",
    "ConfigPorts",
    "ConfiguredDaemonSet",
    "ConfiguredInterface",
    "DPUService",
    "DPUServiceConfiguration",
    "DPUServiceConfigurationSpec",
    "DPUServiceConfigurationStatus",
    "DPUServiceSpec",
    "DPUServiceStatus",
    "DPUServiceTemplate",
    "DPUServiceTemplateSpec",
    "DPUServiceTemplateStatus",
    "DaemonSetRollingUpdate",
    "DaemonSetUpdateStrategy",
    "HelmChart",
    "HelmSource",
    "HelmValues",
    "NodeSelector",
    "NodeSelectorTerm",
    "ServiceConfiguration",
    "ServiceDaemonSet",
]

FreeForm = Annotated[MapOf[Any], PRESERVE_UNKNOWN]  # Any: JSON of another schema
_ServiceName = Annotated[str, min_length(1), max_length(28)]


class HelmSource(Wire):
    """The location of a Helm chart."""

    repo_url: Annotated[str, pattern("^(oci://|https://).+$"), Field(alias="repoURL")]
    version: Annotated[str, min_length(1)]
    chart: str | None = None
    path: str | None = None
    release_name: str | None = None


class HelmChart(Wire):
    """A Helm chart and its values."""

    source: HelmSource
    values: FreeForm = Field(default_factory=dict, repr=False)


class DPUServiceTemplateSpec(Wire):
    """The chart of a service, and the resources that it needs."""

    deployment_service_name: _ServiceName
    helm_chart: HelmChart
    resource_requirements: MapOf[Quantity] = Field(default_factory=dict)


class DPUServiceTemplateStatus(Wire):
    """Whether the operator could load the chart."""

    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None
    versions: StringMap = Field(default_factory=dict)
    """Versions that the chart requires, by component."""


class DPUServiceTemplate(Resource):
    """The installation of a service. By convention it is not changed: create another template instead."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceTemplate"
    PLURAL: ClassVar[str] = "dpuservicetemplates"

    spec: DPUServiceTemplateSpec
    status: DPUServiceTemplateStatus = Field(default_factory=DPUServiceTemplateStatus)


class ConfigPort(Wire):
    """A port for the configuration of a service."""

    name: Annotated[str, min_length(1), pattern("^[a-z0-9-]+$")]
    port: Int
    protocol: Annotated[str, one_of("TCP", "UDP")]
    node_port: Int | None = None


class ConfigPorts(Wire):
    """The ports, and the type of the Kubernetes Service for them."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel="self.serviceType == 'NodePort' || self.ports.all(port, !has(port.nodePort))",
            message="nodePort needs serviceType NodePort",
            holds=lambda config: (
                config.service_type == "NodePort" or not any(has(port, "nodePort") for port in config.ports)
            ),
        ),
    )

    ports: ListOf[ConfigPort]
    service_type: Annotated[
        str, one_of("NodePort", "ClusterIP", "None"), REQUIRED, immutable("serviceType")
    ] = "NodePort"


class DaemonSetRollingUpdate(Wire):
    """Limits of a rolling update: numbers, or percentages as text."""

    max_surge: Annotated[Int | str, INT_OR_STRING] | None = None
    max_unavailable: Annotated[Int | str, INT_OR_STRING] | None = None


class DaemonSetUpdateStrategy(Wire):
    """The update strategy of the pods of a service: OnDelete or RollingUpdate."""

    type: str | None = None
    rolling_update: DaemonSetRollingUpdate | None = None


class _DaemonSet(Wire):
    """Fields of both DaemonSet models."""

    resources: MapOf[Quantity] = Field(default_factory=dict)
    update_strategy: DaemonSetUpdateStrategy | None = None


def _has_no_labels_of_dpf(daemon_set: ConfiguredDaemonSet) -> bool:
    # A search, in which dots match any character, as CEL's `matches` does.
    custom_flows = re.compile("svc.dpu.nvidia.com/custom-flows")
    return all(not belongs_to_dpf(key) or custom_flows.search(key) for key in daemon_set.labels)


def _has_no_annotations_of_dpf(daemon_set: ConfiguredDaemonSet) -> bool:
    return not any(belongs_to_dpf(key) for key in daemon_set.annotations)


class ConfiguredDaemonSet(_DaemonSet):
    """The settings of the DaemonSet of a service by the user."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel=(
                "!has(self.labels) || self.labels.all(key, key.matches('svc.dpu.nvidia.com/custom-flows')"
                " || !(key.contains('dpu.nvidia.com/') || key.endsWith('dpu.nvidia.com')))"
            ),
            message="labels must not have keys of dpu.nvidia.com",
            holds=_has_no_labels_of_dpf,
        ),
        Rule(
            cel=(
                "!has(self.annotations) || self.annotations.all(key, "
                "!(key.contains('dpu.nvidia.com/') || key.endsWith('dpu.nvidia.com')))"
            ),
            message="annotations must not have keys of dpu.nvidia.com",
            holds=_has_no_annotations_of_dpf,
        ),
    )

    labels: Annotated[StringMap, max_properties(50)] = Field(default_factory=dict)
    annotations: Annotated[StringMap, max_properties(50)] = Field(default_factory=dict)


class HelmValues(Wire):
    """Values for a Helm chart; they override those of the template."""

    values: FreeForm = Field(default_factory=dict, repr=False)


class ServiceConfiguration(Wire):
    """The settings of a service."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel="!has(self.configPorts) || !has(self.deployInCluster) || !self.deployInCluster",
            message="configPorts are for services on DPUs: deployInCluster must not be true",
            holds=lambda config: not (has(config, "configPorts") and config.deploy_in_cluster),
        ),
    )

    deploy_in_cluster: Bool | None = None
    """Run in the cluster of DPF instead of on DPUs."""
    helm_chart: HelmValues | None = None
    config_ports: ConfigPorts | None = None
    service_daemon_set: ConfiguredDaemonSet | None = None


class ConfiguredInterface(Wire):
    """An interface of a service; the operator creates a DPUServiceInterface from it."""

    name: Annotated[str, min_length(1), max_length(15)]
    network: str
    """A DPUServiceNAD, as namespace/name or name."""
    virtual_network: str | None = None


def _has_interfaces_on_dpus_only(spec: DPUServiceConfigurationSpec) -> bool:
    config = spec.service_configuration
    return not (has(spec, "interfaces") and config is not None and config.deploy_in_cluster)


class DPUServiceConfigurationSpec(Wire):
    """The settings of a service, its interfaces and its upgrade policy."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel=(
                "!has(self.interfaces) || !has(self.serviceConfiguration)"
                " || !has(self.serviceConfiguration.deployInCluster)"
                " || !self.serviceConfiguration.deployInCluster"
            ),
            message="interfaces are for services on DPUs: deployInCluster must not be true",
            holds=_has_interfaces_on_dpus_only,
        ),
    )

    deployment_service_name: _ServiceName
    service_configuration: ServiceConfiguration | None = None
    interfaces: Annotated[ListOf[ConfiguredInterface], min_items(1), max_items(50)] = ()
    upgrade_policy: Annotated[UpgradePolicy, REQUIRED, server_default({})] = Field(
        default_factory=UpgradePolicy
    )


class DPUServiceConfigurationStatus(Wire):
    """Empty: the schema has no fields."""


class DPUServiceConfiguration(Resource):
    """The settings of a service in addition to its DPUServiceTemplate."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUServiceConfiguration"
    PLURAL: ClassVar[str] = "dpuserviceconfigurations"

    spec: DPUServiceConfigurationSpec
    status: DPUServiceConfigurationStatus = Field(default_factory=DPUServiceConfigurationStatus)


class NodeSelectorTerm(Wire):
    """Selects Nodes that meet all requirements, by label and by field."""

    ATOMIC: ClassVar[bool] = True

    match_expressions: Annotated[ListOf[LabelSelectorRequirement], ATOMIC_LIST] = ()
    match_fields: Annotated[ListOf[LabelSelectorRequirement], ATOMIC_LIST] = ()


class NodeSelector(Wire):
    """Selects Nodes that meet at least one term. Source: Kubernetes' core/v1 NodeSelector."""

    ATOMIC: ClassVar[bool] = True

    node_selector_terms: Annotated[ListOf[NodeSelectorTerm], ATOMIC_LIST]


class ServiceDaemonSet(_DaemonSet):
    """The settings of the DaemonSet of a service by the operator."""

    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    node_selector: NodeSelector | None = None


def _unless_in_cluster(wire_name: str) -> Rule:
    return Rule(
        cel=f"!has(self.{wire_name}) || !has(self.deployInCluster) || !self.deployInCluster",
        message=f"{wire_name} is for services on DPUs: deployInCluster must not be true",
        holds=lambda spec: not (has(spec, wire_name) and spec.deploy_in_cluster),
    )


class DPUServiceSpec(Wire):
    """A deployed service, created from template and configuration."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel="!has(self.interfaces) || has(self.serviceID)",
            message="interfaces need a serviceID",
            holds=lambda spec: not has(spec, "interfaces") or has(spec, "serviceID"),
        ),
        _unless_in_cluster("configPorts"),
        _unless_in_cluster("dpuClusterSelector"),
    )

    helm_chart: HelmChart
    service_id: Annotated[str | None, Field(alias="serviceID")] = None
    interfaces: Annotated[ListOf[str], min_items(1), max_items(50)] = ()
    """Names of DPUServiceInterfaces."""
    deploy_in_cluster: Bool | None = None
    """Run in the cluster of DPF instead of on DPUs."""
    dpu_cluster_selector: LabelSelector | None = None
    config_ports: ConfigPorts | None = None
    service_daemon_set: ServiceDaemonSet | None = None
    paused: Bool | None = None
    """The operator does not reconcile it."""


class DPUServiceStatus(Wire):
    """Whether the service runs on the selected DPUs."""

    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None
    service_id: Annotated[str | None, Field(alias="serviceID")] = None
    config_ports: MapOf[ListOf[ConfigPort]] = Field(default_factory=dict)
    """The assigned ports, by DPUCluster."""


class DPUService(Resource):
    """A service on DPUs or in the cluster of DPF, created from a DPUDeployment."""

    GROUP: ClassVar[str] = SVC_GROUP
    KIND: ClassVar[str] = "DPUService"
    PLURAL: ClassVar[str] = "dpuservices"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, ready_reason("Phase"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUServiceSpec
    status: DPUServiceStatus = Field(default_factory=DPUServiceStatus)

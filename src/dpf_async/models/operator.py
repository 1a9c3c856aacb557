"""DPFOperatorConfig: the settings of the operator that the flows and the simulated operator read.

Source of the schema: DPF v26.4 dpfoperatorconfigs CRD. Fields that are not modeled are kept unchanged.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    Bool,
    Int,
    Int32,
    Int64,
    at_least,
    at_most,
    format_of,
    min_length,
    one_of,
    pattern,
)
from dpf_async.models.meta import AGE, READY, Condition, PrinterColumn, Resource, ready_reason
from dpf_async.models.names import OPERATOR_GROUP
from dpf_async.models.rules import Rule, Rules, exactly_one_of, has
from dpf_async.models.wire import ListOf, Wire

__all__ = [
    "BFBRegistry",
    "DPFOperatorConfig",
    "DPFOperatorConfigSpec",
    "DPFOperatorConfigStatus",
    "InstallInterface",
    "InstallViaGNOI",
    "InstallViaHostAgent",
    "InstallViaRedfish",
    "ProvisioningController",
]

Duration = Annotated[str, pattern("^([0-9]+(h|m|s|ms|us|µs|ns))+$"), format_of("duration")]
"""A Go duration; see `times.duration_seconds`."""


class InstallViaHostAgent(Wire):
    """DPUs are installed by DPF's agent on the host."""


class InstallViaGNOI(Wire):
    """The older name of the host agent."""


class BFBRegistry(Wire):
    """The server on the cluster's nodes from which BMCs download the image."""

    disable: Bool | None = None
    port: Int | None = None


class InstallViaRedfish(Wire):
    """DPUs are installed through their BMCs (zero trust)."""

    bfb_registry: BFBRegistry | None = None
    bfb_registry_address: Annotated[str, min_length(1)] | None = None
    skip_dpu_node_discovery: Annotated[Bool, Field(alias="skipDPUNodeDiscovery")] = True


class InstallInterface(Wire):
    """The install interface of DPUs."""

    RULES: ClassVar[Rules] = (exactly_one_of(("installViaHostAgent", "installViaGNOI"), "installViaRedfish"),)

    install_via_redfish: InstallViaRedfish | None = None
    install_via_host_agent: InstallViaHostAgent | None = None
    install_via_gnoi: Annotated[InstallViaGNOI | None, Field(alias="installViaGNOI")] = None


class ProvisioningController(Wire):
    """Settings of the controllers that provision DPUs."""

    OPEN: ClassVar[bool] = True
    RULES: ClassVar[Rules] = (
        Rule(
            cel=(
                "!has(self.bfCFGTemplateConfigMap) || !has(self.enableDynamicBFCFGTemplates)"
                " || !self.enableDynamicBFCFGTemplates"
            ),
            message="bfCFGTemplateConfigMap excludes enableDynamicBFCFGTemplates",
            holds=lambda settings: (
                not (has(settings, "bfCFGTemplateConfigMap") and settings.enable_dynamic_bf_cfg_templates)
            ),
        ),
    )

    bf_cfg_template_config_map: Annotated[str | None, Field(alias="bfCFGTemplateConfigMap")] = None
    """ConfigMap with the template of bf.cfg. Carbide removes it, so that flavors apply (docs/dpf/carbide.md#set-up)."""
    enable_dynamic_bf_cfg_templates: Annotated[Bool | None, Field(alias="enableDynamicBFCFGTemplates")] = None
    install_interface: InstallInterface | None = None
    bfb_pvc_name: Annotated[str | None, Field(alias="bfbPVCName")] = None
    """Volume for images."""
    custom_ca_secret_name: Annotated[str | None, Field(alias="customCASecretName")] = None
    disable: Bool | None = None
    dms_timeout: Annotated[Int, at_least(1)] | None = None
    """Seconds."""
    host_agent_dns_policy: Annotated[
        Annotated[str, one_of("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")] | None,
        Field(alias="hostAgentDNSPolicy"),
    ] = None
    max_dpu_parallel_installations: Annotated[
        Int32, at_least(1), Field(alias="maxDPUParallelInstallations")
    ] = 50
    """DPUs beyond these wait in phase Pending."""
    max_unavailable_dpu_nodes: Annotated[Int32, at_least(1), Field(alias="maxUnavailableDPUNodes")] = 50
    """Hosts beyond these wait for their node effect."""
    multi_dpu_operations_sync_wait_time: Annotated[
        Duration, Field(alias="multiDPUOperationsSyncWaitTime")
    ] = "30s"
    """How long the node effect of a host waits for sibling DPUs to join."""
    node_effect_removal_timeout: Duration = "0s"
    """After this time a DPU in Node Effect Removal enters Error; "0s" means never."""
    os_install_timeout: Duration = "45m"
    """After this time a DPU in OS Installing enters Error."""
    replicas: Annotated[Int32, at_least(1), at_most(3)] = 2


class DPFOperatorConfigSpec(Wire):
    """The operator's settings."""

    OPEN: ClassVar[bool] = True

    provisioning_controller: ProvisioningController


class DPFOperatorConfigStatus(Wire):
    """Whether the components of the operator are installed."""

    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None
    version: str | None = None


class DPFOperatorConfig(Resource):
    """The settings of the operator; one object in its namespace."""

    GROUP: ClassVar[str] = OPERATOR_GROUP
    KIND: ClassVar[str] = "DPFOperatorConfig"
    PLURAL: ClassVar[str] = "dpfoperatorconfigs"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (READY, ready_reason("Phase"), AGE)

    spec: DPFOperatorConfigSpec
    status: DPFOperatorConfigStatus = Field(default_factory=DPFOperatorConfigStatus)

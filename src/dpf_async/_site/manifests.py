"""Build the Kubernetes objects of a site and of its hosts from their descriptions. Pure.

Which objects exist, and in which order they are created: docs/dpf/deployments.md#set-up-order,
docs/dpf/operations.md#methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dpf_async.models import (
    BFB,
    ChainInterfaceRef,
    DeploymentPort,
    DeploymentServiceChains,
    DeploymentSwitch,
    DeviceName,
    DPUDeployment,
    DPUDeploymentSpec,
    DPUDevice,
    DPUDeviceSpec,
    DPUFlavor,
    DPUNode,
    DPUNodeSpec,
    DPURef,
    DPUServiceConfiguration,
    DPUServiceConfigurationSpec,
    DPUServiceInterface,
    DPUServiceInterfaceSpec,
    DPUServiceNAD,
    DPUServiceTemplate,
    DPUServiceTemplateSpec,
    DPUSetStrategy,
    DPUSetTemplate,
    DPUsTemplate,
    LabelSelector,
    NodeRebootMethod,
    ObjectMeta,
    Resource,
    Secret,
    ServiceDependency,
    ServiceInterfaceSet,
    ServiceInterfaceSetTemplate,
    ServiceInterfaceTemplate,
    ServicePortRef,
    ServiceRefs,
    TemplateMeta,
    UpgradePolicy,
    known,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dpf_async._specs import DeviceSpec, GroupSpec, PortSpec, ServiceSpec, SiteSpec


def bmc_secret(password: bytes) -> Secret:
    """The Secret with the password of the DPUs' BMCs."""
    return Secret(
        metadata=ObjectMeta(name=known.BMC_PASSWORD_SECRET),
        type="Opaque",
        data={known.BMC_PASSWORD_KEY: Secret.encoded(password)},
    )


def immutable_objects(site: SiteSpec) -> list[Resource]:
    """The BFBs and DPUFlavors, which cannot change: an existing one is used, and must be equal to its description."""
    return [
        *(BFB(metadata=ObjectMeta(name=name), spec=spec) for name, spec in site.bfbs.items()),
        *(DPUFlavor(metadata=ObjectMeta(name=name), spec=spec) for name, spec in site.flavors.items()),
    ]


def applied_objects(site: SiteSpec) -> list[Resource]:
    """All other objects in the order of their dependencies: networks, interfaces, services, groups."""
    objects: list[Resource] = [
        DPUServiceNAD(metadata=ObjectMeta(name=name), spec=spec) for name, spec in site.networks.items()
    ]
    for name, interface in site.interfaces.items():
        objects.append(
            DPUServiceInterface(
                metadata=ObjectMeta(name=name),
                spec=DPUServiceInterfaceSpec(
                    template=ServiceInterfaceSetTemplate(
                        spec=ServiceInterfaceSet(
                            node_selector=_selector(interface.node_labels),
                            template=ServiceInterfaceTemplate(
                                metadata=TemplateMeta(labels=interface.labels), spec=interface.interface
                            ),
                        )
                    )
                ),
            )
        )
    for name, service in site.services.items():
        objects += [_template(name, service), _configuration(name, service)]
    objects += [deployment(name, group, site) for name, group in site.groups.items()]
    return objects


def deployment(name: str, group: GroupSpec, site: SiteSpec) -> DPUDeployment:
    """The DPUDeployment of a group."""
    chains = None
    if group.chains:
        chains = DeploymentServiceChains(
            upgrade_policy=UpgradePolicy(apply_node_effect=group.disruptive_chains),
            switches=tuple(
                DeploymentSwitch(ports=tuple(map(_port, switch.ports)), service_mtu=switch.mtu)
                for switch in group.chains
            ),
        )
    return DPUDeployment(
        metadata=ObjectMeta(name=name),
        spec=DPUDeploymentSpec(
            dpus=DPUsTemplate(
                bfb=group.bfb,
                flavor=group.flavor,
                dpu_set_strategy=DPUSetStrategy(type=group.strategy),
                node_effect=group.node_effect,
                secure_boot=group.secure_boot,
                dpu_sets=(
                    DPUSetTemplate(
                        name_suffix=group.suffix,
                        dpu_node_selector=LabelSelector(match_labels=group.node_labels),
                        dpu_device_selector=_selector(group.device_labels),
                        **_non_empty(
                            dpu_cluster_selector=group.cluster_labels, dpu_annotations=group.dpu_annotations
                        ),
                    ),
                ),
            ),
            services={site.name_of(name): _refs(name, group, site) for name in group.services},
            service_chains=chains,
            **_non_empty(revision_history_limit=group.revisions),
        ),
    )


def device(spec: DeviceSpec) -> DPUDevice:
    """The DPUDevice of a DPU."""
    return DPUDevice(
        metadata=ObjectMeta(name=spec.name, labels=spec.labels),
        spec=DPUDeviceSpec(
            serial_number=spec.serial_number,
            bmc_ip=spec.bmc_ip,
            bmc_port=spec.bmc_port,
            number_of_pfs=spec.number_of_pfs,
            psid=spec.psid,
            opn=spec.opn,
            pf0_name=spec.pf0_name,
        ),
    )


def node(name: str, devices: Sequence[DeviceSpec], labels: Mapping[str, str]) -> DPUNode:
    """The DPUNode of a host, with external reboots: only Carbide reboots hosts."""
    return DPUNode(
        metadata=ObjectMeta(name=name, labels=dict(labels)),
        spec=DPUNodeSpec(
            dpus=tuple(DPURef(name=DeviceName(spec.name)) for spec in devices),
            node_reboot_method=NodeRebootMethod.by_external(),
        ),
    )


def _template(name: str, service: ServiceSpec) -> DPUServiceTemplate:
    return DPUServiceTemplate(
        metadata=ObjectMeta(name=name),
        spec=DPUServiceTemplateSpec(
            deployment_service_name=service.service or name,
            helm_chart=service.chart,
            resource_requirements=service.resources,
        ),
    )


def _configuration(name: str, service: ServiceSpec) -> DPUServiceConfiguration:
    spec = DPUServiceConfigurationSpec(
        deployment_service_name=service.service or name,
        service_configuration=service.configuration,
        upgrade_policy=UpgradePolicy(apply_node_effect=service.disruptive),
    )
    if service.interfaces:
        spec = spec.model_copy(update={"interfaces": tuple(service.interfaces)})
    return DPUServiceConfiguration(metadata=ObjectMeta(name=name), spec=spec)


def _refs(name: str, group: GroupSpec, site: SiteSpec) -> ServiceRefs:
    needed = group.depends_on.get(site.name_of(name), ())
    return ServiceRefs(
        service_template=name,
        service_configuration=name,
        **_non_empty(depends_on=tuple(ServiceDependency(name=service) for service in needed)),
    )


def _selector(labels: Mapping[str, str]) -> LabelSelector | None:
    return LabelSelector(match_labels=labels) if labels else None


def _non_empty(**fields: Any) -> dict[str, Any]:  # Any: values of fields
    """The fields that have a value; an empty list or map is omitted, so that this client does not own the field."""
    return {name: value for name, value in fields.items() if value}


def _port(port: PortSpec) -> DeploymentPort:
    if port.service is not None and port.interface is not None:
        return DeploymentPort(
            service=ServicePortRef(name=port.service, interface=port.interface, ipam=port.ipam)
        )
    return DeploymentPort(service_interface=ChainInterfaceRef(match_labels=port.labels or {}, ipam=port.ipam))

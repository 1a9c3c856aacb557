"""From descriptions to the objects that are created. Pure.

Which objects, and in which order they have to exist: dpf-facts 7.1 and 13 (methods 1 and 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    from dpf_async._sdk.specs import DeviceSpec, GroupSpec, PortSpec, ServiceSpec, SiteSpec


def bmc_secret(password: str) -> Secret:
    """The Secret with the password of the DPUs' BMCs."""
    return Secret(
        metadata=ObjectMeta(name=known.BMC_PASSWORD_SECRET),
        type="Opaque",
        data={known.BMC_PASSWORD_KEY: Secret.encoded(password.encode())},
    )


def immutable_objects(site: SiteSpec) -> list[Resource]:
    """BFBs and DPUFlavors: what is there is used, and must be what was asked for."""
    return [
        *(BFB(metadata=ObjectMeta(name=name), spec=spec) for name, spec in site.bfbs.items()),
        *(DPUFlavor(metadata=ObjectMeta(name=name), spec=spec) for name, spec in site.flavors.items()),
    ]


def applied_objects(site: SiteSpec) -> list[Resource]:
    """Everything else, in the order in which it is needed: networks, interfaces, services, and the groups last."""
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
                            template=ServiceInterfaceTemplate(
                                metadata=TemplateMeta(labels=interface.labels), spec=interface.interface
                            )
                        )
                    )
                ),
            )
        )
    for name, service in site.services.items():
        objects += [_template(name, service), _configuration(name, service)]
    objects += [deployment(name, group) for name, group in site.groups.items()]
    return objects


def deployment(name: str, group: GroupSpec) -> DPUDeployment:
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
                        dpu_device_selector=(
                            LabelSelector(match_labels=group.device_labels) if group.device_labels else None
                        ),
                    ),
                ),
            ),
            services={service: _refs(service, group) for service in group.services},
            service_chains=chains,
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
    """The DPUNode of a host, rebooted from outside: Carbide alone reboots hosts."""
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
            deployment_service_name=name,
            helm_chart=service.chart,
            resource_requirements=service.resources,
        ),
    )


def _configuration(name: str, service: ServiceSpec) -> DPUServiceConfiguration:
    spec = DPUServiceConfigurationSpec(
        deployment_service_name=name,
        service_configuration=service.configuration,
        upgrade_policy=UpgradePolicy(apply_node_effect=service.disruptive),
    )
    if service.interfaces:
        spec = spec.model_copy(update={"interfaces": tuple(service.interfaces)})
    return DPUServiceConfiguration(metadata=ObjectMeta(name=name), spec=spec)


def _refs(service: str, group: GroupSpec) -> ServiceRefs:
    needed = group.depends_on.get(service, ())
    if needed:
        return ServiceRefs(
            service_template=service,
            service_configuration=service,
            depends_on=tuple(ServiceDependency(name=name) for name in needed),
        )
    return ServiceRefs(service_template=service, service_configuration=service)


def _port(port: PortSpec) -> DeploymentPort:
    if port.service is not None and port.interface is not None:
        return DeploymentPort(
            service=ServicePortRef(name=port.service, interface=port.interface, ipam=port.ipam)
        )
    return DeploymentPort(service_interface=ChainInterfaceRef(match_labels=port.labels or {}, ipam=port.ipam))

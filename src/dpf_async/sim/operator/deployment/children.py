"""The objects of a DPUDeployment: services, interfaces, a chain, and DPUSets. Pure.

Each change of a disruptive service creates another object, and a label of the Nodes names the one that they run; any
other service keeps its object. Source: docs/dpf/hold.md#requestors, docs/dpf/services.md#revisions,
docs/dpf/services.md#disruptive-changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dpf_async.models import (
    DeploymentPort,
    DPUDeployment,
    DPUService,
    DPUServiceChain,
    DPUServiceConfiguration,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUSet,
    DPUSetTemplate,
    Resource,
    ServicePortRef,
    as_stored,
    known,
)
from dpf_async.sim.operator.runtime import naming

JSON = dict[str, Any]  # Any: JSON

_INTERFACE_LABEL: Final = "svc.dpu.nvidia.com/interface"
_SERVICE_LABEL: Final = "svc.dpu.nvidia.com/service"


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """A service of a deployment: its template and its configuration."""

    template: DPUServiceTemplate
    configuration: DPUServiceConfiguration

    @property
    def disruptive(self) -> bool:
        """Whether a change goes through Node Effect."""
        return self.configuration.spec.upgrade_policy.apply_node_effect


@dataclass(frozen=True, slots=True)
class Children:
    """The objects that are applied for a DPUDeployment."""

    services: tuple[DPUService, ...]
    interfaces: tuple[DPUServiceInterface, ...]
    chains: tuple[DPUServiceChain, ...]
    sets: tuple[DPUSet, ...]


def children(deployment: DPUDeployment, parts: Mapping[str, ServiceParts]) -> Children:
    """Compute the objects of a DPUDeployment.

    Args:
        deployment: with a uid.
        parts: its services by name.
    """
    names = {name: _service_name(deployment, name, part) for name, part in parts.items()}
    services, interfaces = [], []
    for name, part in parts.items():
        attached = [
            _interface(deployment, name, one, names[name]) for one in part.configuration.spec.interfaces
        ]
        interfaces += attached
        services.append(_service(deployment, name, part, names[name], [one.name for one in attached]))
    chain = _chain(deployment)
    chains = () if chain is None else (chain,)
    labels = _version_labels(deployment, parts, names, chain)
    requestors = [naming.requestor(deployment, one.name) for one in services]
    if known.SKIP_CHAIN_REQUESTOR not in deployment.metadata.annotations:
        requestors += [naming.requestor(deployment, one.name) for one in chains]
    return Children(
        tuple(services),
        tuple(interfaces),
        chains,
        tuple(_dpu_set(deployment, one, labels, requestors) for one in deployment.spec.dpus.dpu_sets),
    )


def service_id(deployment: DPUDeployment, service: str) -> str:
    """The serviceID, which all revisions of a service share."""
    return f"dpudeployment_{deployment.name}_{service}"


def version_label(service: str) -> str:
    """Label of Nodes with the revision of a disruptive service that they run."""
    return f"svc.dpu.nvidia.com/dpuservice-{service}-version"


CHAIN_VERSION_LABEL: Final = "svc.dpu.nvidia.com/dpuservicechain-version"


def _service_name(deployment: DPUDeployment, service: str, part: ServiceParts) -> str:
    seed: list[Any] = [deployment.uid, service]
    if part.disruptive:
        seed += [_spec(part.template), _spec(part.configuration)]
    return naming.child((service,), seed)


def _chain_name(deployment: DPUDeployment) -> str:
    chains = deployment.spec.service_chains
    assert chains is not None, "called only for deployments with chains"  # noqa: S101
    seed: list[Any] = [deployment.uid, "chain"]
    if chains.upgrade_policy.apply_node_effect:
        seed.append(as_stored(chains))
    return naming.child((deployment.name,), seed)


def _version_labels(
    deployment: DPUDeployment,
    parts: Mapping[str, ServiceParts],
    names: Mapping[str, str],
    chain: DPUServiceChain | None,
) -> dict[str, str]:
    labels = {version_label(name): names[name] for name, part in parts.items() if part.disruptive}
    chains = deployment.spec.service_chains
    if chain is not None and chains is not None and chains.upgrade_policy.apply_node_effect:
        labels[CHAIN_VERSION_LABEL] = chain.name
    return labels


def _service(
    deployment: DPUDeployment, service: str, part: ServiceParts, name: str, interfaces: list[str]
) -> DPUService:
    template, configured = _spec(part.template), _spec(part.configuration).get("serviceConfiguration", {})
    in_cluster = bool(configured.get("deployInCluster"))
    spec: JSON = {"helmChart": _merged(template["helmChart"], configured.get("helmChart", {}))}
    spec["serviceID"] = service_id(deployment, service)
    if interfaces:
        spec["interfaces"] = interfaces
    if in_cluster:
        spec["deployInCluster"] = True
    else:
        spec["serviceDaemonSet"] = {
            **configured.get("serviceDaemonSet", {}),
            "nodeSelector": _node_selector(
                deployment, version_label(service), name if part.disruptive else ""
            ),
        }
    if "configPorts" in configured:
        spec["configPorts"] = configured["configPorts"]
    return DPUService.from_wire(_owned(deployment, DPUService, name, spec))


def _interface(deployment: DPUDeployment, service: str, one: Any, revision: str) -> DPUServiceInterface:
    network = one.network if "/" in one.network else f"{deployment.namespace}/{one.network}"
    inner: JSON = {
        "serviceID": service_id(deployment, service),
        "network": network,
        "interfaceName": one.name,
    }
    if one.virtual_network is not None:
        inner["virtualNetwork"] = one.virtual_network
    spec = _on_every_dpu(
        deployment,
        {
            "metadata": {
                "labels": {_INTERFACE_LABEL: one.name, _SERVICE_LABEL: service_id(deployment, service)}
            },
            "spec": {"interfaceType": "service", "service": inner},
        },
    )
    name = naming.child((service, one.name), [revision, one.name])
    return DPUServiceInterface.from_wire(_owned(deployment, DPUServiceInterface, name, spec))


def _chain(deployment: DPUDeployment) -> DPUServiceChain | None:
    chains = deployment.spec.service_chains
    if chains is None:
        return None
    switches = [
        {
            "serviceMTU": switch.service_mtu,
            "ports": [{"serviceInterface": _end(deployment, port)} for port in switch.ports],
        }
        for switch in chains.switches
    ]
    name = _chain_name(deployment)
    disruptive = chains.upgrade_policy.apply_node_effect
    spec = _on_every_dpu(
        deployment, {"spec": {"switches": switches}}, CHAIN_VERSION_LABEL, name if disruptive else ""
    )
    return DPUServiceChain.from_wire(_owned(deployment, DPUServiceChain, name, spec))


def _end(deployment: DPUDeployment, port: DeploymentPort) -> JSON:
    if port.service is None:
        return port.service_interface.to_wire() if port.service_interface is not None else {}
    end: ServicePortRef = port.service
    labels = {_INTERFACE_LABEL: end.interface, _SERVICE_LABEL: service_id(deployment, end.name)}
    return {"matchLabels": labels, **({"ipam": end.ipam.to_wire()} if end.ipam is not None else {})}


def _dpu_set(
    deployment: DPUDeployment, group: DPUSetTemplate, labels: Mapping[str, str], requestors: list[str]
) -> DPUSet:
    dpus, configured = deployment.spec.dpus, as_stored(group)
    effect = as_stored(dpus.node_effect) if dpus.node_effect is not None else {}
    template: JSON = {
        "bfb": {"name": dpus.bfb},
        "dpuFlavor": dpus.flavor,
        "nodeEffect": {
            **effect,
            "applyOnLabelChange": bool(labels),
            "nodeMaintenanceAdditionalRequestors": requestors,
        },
        "cluster": {
            "nodeLabels": {known.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_label(deployment), **labels}
        },
    }
    if dpus.secure_boot is not None:
        template["secureBoot"] = dpus.secure_boot
    if group.dpu_cluster_selector:
        template["cluster"]["selector"] = {"matchLabels": dict(group.dpu_cluster_selector)}
    spec: JSON = {"dpuTemplate": {"spec": template}, "strategy": as_stored(dpus.dpu_set_strategy)}
    if group.dpu_annotations:
        spec["dpuTemplate"]["annotations"] = dict(group.dpu_annotations)
    for source, target in (
        ("nodeSelector", "dpuNodeSelector"),
        ("dpuNodeSelector", "dpuNodeSelector"),
        ("dpuDeviceSelector", "dpuDeviceSelector"),
        ("dpuSelector", "dpuSelector"),
    ):
        if source in configured:
            spec[target] = configured[source]
    return DPUSet.from_wire(_owned(deployment, DPUSet, f"{deployment.name}-{group.name_suffix}", spec))


def _on_every_dpu(deployment: DPUDeployment, template: JSON, version: str = "", value: str = "") -> JSON:
    """The spec of an interface or a chain: templates for clusters, for Nodes, and for the object."""
    return {
        "template": {
            "spec": {
                "nodeSelector": {"matchExpressions": _terms(deployment, version, value)},
                "template": template,
            }
        }
    }


def _node_selector(deployment: DPUDeployment, version: str, value: str) -> JSON:
    return {"nodeSelectorTerms": [{"matchExpressions": _terms(deployment, version, value)}]}


def _terms(deployment: DPUDeployment, version: str, value: str) -> list[JSON]:
    wanted = {known.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_label(deployment)}
    if value:
        wanted[version] = value
    return [{"key": key, "operator": "In", "values": [one]} for key, one in wanted.items()]


def _owned(deployment: DPUDeployment, kind: type[Resource], name: str, spec: JSON) -> JSON:
    return {
        "apiVersion": kind.API_VERSION,
        "kind": kind.KIND,
        "metadata": {
            "name": name,
            "labels": {known.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_label(deployment)},
            "ownerReferences": [naming.controlled_by(deployment).to_wire()],
        },
        "spec": spec,
    }


def _spec(obj: Resource) -> JSON:
    spec: JSON = as_stored(obj)["spec"]
    return spec


def _merged(template: JSON, configuration: JSON) -> JSON:
    """Merge the values of the configuration into those of the template; the configuration takes precedence."""
    merged = dict(template)
    for key, value in configuration.items():
        present = merged.get(key)
        both = isinstance(present, dict) and isinstance(value, dict)
        merged[key] = _merged(present, value) if both and present is not None else value
    return merged

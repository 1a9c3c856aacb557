"""Descriptions of a site and of its hosts, from which objects are created.

Construction validates types, names and their limits, addresses and references. A SiteSpec that can be constructed can
also be applied, except for problems that only the cluster can detect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from dpf_async.models import (
    BFBSpec,
    ChainIPAM,
    ConfiguredInterface,
    DeploymentNodeEffect,
    DPUFlavorSpec,
    DPUServiceNADSpec,
    HelmChart,
    ServiceConfiguration,
    ServiceInterfaceSpec,
    Wire,
)

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
"""DNS subdomain names as Kubernetes defines them, without the length limit."""


def _name_of_at_most(limit: int) -> AfterValidator:
    """Validate a Kubernetes name of at most `limit` characters (docs/dpf/objects.md#name-limits)."""

    def check(name: str) -> str:
        if len(name) > limit:
            raise PydanticCustomError(
                "name",
                "the name has {length} characters; at most {limit} are allowed",
                {"length": len(name), "limit": limit},
            )
        if not _NAME.fullmatch(name):
            raise PydanticCustomError(
                "name",
                "a name has only lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit",
            )
        return name

    return AfterValidator(check)


NodeNameText = Annotated[str, _name_of_at_most(48)]
DeviceNameText = Annotated[str, _name_of_at_most(63)]
DeploymentNameText = Annotated[str, _name_of_at_most(20)]
SERVICE_NAME_LIMIT: Final = 28
"""Characters of a deploymentServiceName (docs/dpf/objects.md#name-limits)."""
ServiceNameText = Annotated[str, _name_of_at_most(SERVICE_NAME_LIMIT)]
ObjectNameText = Annotated[str, _name_of_at_most(63)]
BFBNameText = Annotated[str, _name_of_at_most(187)]


def without_unknown_keys(value: Any) -> Any:  # Any: a model of the API, or a container of them
    """Reject unknown keys: API models keep them for newer servers, but in a description they are typing errors."""
    refuse((where, "unknown key") for where in _unknown_keys(value, ()))
    return value


def _unknown_keys(value: Any, where: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, Wire):
        for key in value.model_extra or {}:
            yield (*where, key)
        for name, field in type(value).model_fields.items():
            yield from _unknown_keys(getattr(value, name), (*where, field.alias or name))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _unknown_keys(item, (*where, position))


Known = AfterValidator(without_unknown_keys)


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise PydanticCustomError("address", "is not an IPv4 address such as 10.0.0.1") from None


class Spec(BaseModel):
    """Base of the descriptions: frozen, camelCase in files, unknown keys rejected."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class DeviceSpec(Spec):
    """One DPU of a host, as discovered by Carbide's site explorer.

    Attributes:
        name: name of its DPUDevice; Carbide uses `device-<MAC of the DPU's BMC>`.
        serial_number: DPF compares it with the one that the BMC reports, and rejects a DPU with another
            (docs/dpf/discovery.md#serial-number).
        bmc_ip: IPv4 address of the BMC of the DPU.
        bmc_port: port of its Redfish service.
        labels: labels of its DPUDevice; the operator copies them to the DPU.
    """

    name: DeviceNameText
    serial_number: Annotated[str, StringConstraints(min_length=1)]
    bmc_ip: Annotated[str, AfterValidator(_ipv4)]
    bmc_port: Annotated[int, Field(ge=1, le=65535)] = 443
    number_of_pfs: Annotated[int, Field(ge=1, alias="numberOfPFs")] = 1
    psid: Annotated[str, StringConstraints(pattern=r"^MT_?[A-Z0-9]+$")] | None = None
    opn: Annotated[str, StringConstraints(pattern=r"^\d{3}-[A-Z0-9]{5}-[A-Z0-9]{4}-[A-Z0-9]{3}$")] | None = (
        None
    )
    pf0_name: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class HostSpec(Spec):
    """One host with its DPUs.

    Attributes:
        name: name of its DPUNode; Carbide uses `node-<MAC of the host's BMC>`.
        devices: its DPUs; at least one.
        labels: labels of its DPUNode, including those that the selector of its group requires.
    """

    name: NodeNameText
    devices: Annotated[Sequence[DeviceSpec], Field(min_length=1)]
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _devices_differ(self) -> Self:
        refuse(duplicates((("devices", position), device) for position, device in enumerate(self.devices)))
        return self


DPF_NETWORKS: Final = frozenset({"mybrhbn", "mybrsfc"})
"""Networks that DPF creates on DPUs, in addition to those of the site."""


class ServiceSpec(Spec):
    """A service that DPUs of a site can run: its chart and its settings.

    Attributes:
        chart: the Helm chart, with default values.
        service: its deploymentServiceName, by which groups, chains and charts refer to it; None: the name in the site.
            If two groups configure the same service differently, the site has two entries with the same `service`.
        configuration: where and how it runs; its values override those of the chart.
        interfaces: its interfaces on the DPU, each on a network.
        resources: its requirements by resource name, as Kubernetes quantities.
        disruptive: a change may disrupt the host: Ready DPUs go through Node Effect again
            (docs/dpf/services.md#disruptive-changes). False by default, as in Carbide.
    """

    chart: Annotated[HelmChart, Known]
    service: ServiceNameText | None = None
    configuration: Annotated[ServiceConfiguration, Known] | None = None
    interfaces: Annotated[Sequence[Annotated[ConfiguredInterface, Known]], Field(max_length=50)] = ()
    resources: dict[str, str | int] = Field(default_factory=dict)
    disruptive: bool = False


class InterfaceSpec(Spec):
    """An interface that does not belong to a service, such as a physical port.

    Attributes:
        labels: labels by which chains select it.
        interface: its type, and the settings of that type.
        node_labels: only DPUs whose Node in the DPUCluster has these labels get it; empty means all.
    """

    labels: Annotated[dict[str, str], Field(min_length=1)]
    interface: Annotated[ServiceInterfaceSpec, Known]
    node_labels: dict[str, str] = Field(default_factory=dict)


class PortSpec(Spec):
    """One port of a switch: an interface of a service, or any interface with these labels."""

    service: ServiceNameText | None = None
    interface: Annotated[str, StringConstraints(min_length=1, max_length=15)] | None = None
    labels: dict[str, str] | None = None
    ipam: Annotated[ChainIPAM, Known] | None = None

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        if (self.service is None) == (self.labels is None):
            refuse([((), "must have exactly one of service and labels")])
        if (self.service is None) != (self.interface is None):
            refuse([((), "service and interface require each other")])
        return self


class SwitchSpec(Spec):
    """Ports of a service chain that are connected to each other."""

    ports: Annotated[Sequence[PortSpec], Field(min_length=1, max_length=50)]
    mtu: Annotated[int, Field(ge=1280, le=9216)] = 1500


class GroupSpec(Spec):
    """DPUs with the same image, configuration and services: one DPUDeployment.

    Attributes:
        bfb: name of one of the site's BFBs.
        flavor: name of one of the site's flavors.
        node_labels: DPUNodes with these labels belong to the group.
        device_labels: only DPUDevices with these labels; empty means all devices of those nodes.
        cluster_labels: only DPUClusters with these labels accept the DPUs; empty means any.
        dpu_annotations: annotations of the DPUs.
        services: names of the site's services that run on these DPUs.
        depends_on: for each service the services that must run before it starts, by deploymentServiceName.
        chains: how the services are connected.
        disruptive_chains: a change of the chains may disrupt the host (docs/dpf/services.md#disruptive-changes).
        node_effect: what the operator does before a host is disrupted; with a hold it waits for Carbide's permission.
        strategy: with OnDelete, a DPU gets a changed BFB or flavor only when Carbide reprovisions it
            (docs/dpf/deployments.md#strategies).
        revisions: how many revisions of a disruptive service may exist at a time; None: DPF's default, 10.
        suffix: the DPUSet is named `<group>-<suffix>`.
        secure_boot: whether Secure Boot is enabled; None does not change it.
    """

    bfb: BFBNameText
    flavor: ObjectNameText
    node_labels: Annotated[dict[str, str], Field(min_length=1)]
    device_labels: dict[str, str] = Field(default_factory=dict)
    cluster_labels: dict[str, str] = Field(default_factory=dict)
    dpu_annotations: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    services: Annotated[Sequence[ObjectNameText], Field(min_length=1, max_length=50)]
    depends_on: dict[ServiceNameText, Sequence[ServiceNameText]] = Field(default_factory=dict)
    chains: Annotated[Sequence[SwitchSpec], Field(max_length=50)] = ()
    disruptive_chains: bool = False
    node_effect: Annotated[DeploymentNodeEffect, Known] = Field(
        default_factory=lambda: DeploymentNodeEffect(hold=True)
    )
    strategy: Literal["OnDelete", "RollingUpdate"] = "OnDelete"
    revisions: Annotated[int, Field(ge=1)] | None = None
    suffix: Annotated[str, StringConstraints(min_length=1, max_length=24, pattern=rf"^{_LABEL}$")] = "default"
    secure_boot: bool | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> Self:
        # The API server accepts an invalid combination here; the operator fails on it later
        # (docs/dpf/objects.md#one-node-effect).
        effects = {"hold", "no_effect", "custom_action", "drain", "taint", "custom_label"}
        chosen = sorted(effects & self.node_effect.model_fields_set)
        if len(chosen) != 1:
            present = " and ".join(to_camel(effect) for effect in chosen) or "none"
            refuse([(("nodeEffect",), f"must have exactly one effect, not {present}")])
        return self


class SiteSpec(Spec):
    """A site: its groups of DPUs, and the images, flavors, services and networks that they share.

    Attributes:
        bfbs: OS images by name.
        flavors: DPUFlavors by name. A DPUFlavor is immutable: a change needs another name.
        services: services by name; the name is also the deploymentServiceName, unless `service` sets another.
        interfaces: interfaces that do not belong to a service, by name.
        networks: networks to which interfaces of services are attached (DPUServiceNADs), by name.
        groups: groups by name, which is also the name of the DPUDeployment.
        operator_bfcfg: False makes the operator use its own bf.cfg template instead of a ConfigMap, as Carbide does;
            None does not change its configuration.
    """

    bfbs: dict[BFBNameText, Annotated[BFBSpec, Known]]
    flavors: dict[ObjectNameText, Annotated[DPUFlavorSpec, Known]]
    services: dict[ObjectNameText, ServiceSpec]
    interfaces: dict[ObjectNameText, InterfaceSpec] = Field(default_factory=dict)
    networks: dict[ObjectNameText, Annotated[DPUServiceNADSpec, Known]] = Field(default_factory=dict)
    groups: Annotated[dict[DeploymentNameText, GroupSpec], Field(min_length=1)]
    operator_bfcfg: Literal[False] | None = None

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        problems = [problem for name, group in self.groups.items() for problem in self._missing(name, group)]
        for name, service in self.services.items():
            if service.service is None and len(name) > SERVICE_NAME_LIMIT:
                text = f"a service name has at most {SERVICE_NAME_LIMIT} characters; set `service` to a shorter one"
                problems.append((("services", name), text))
        for name, service in self.services.items():
            for position, interface in enumerate(service.interfaces):
                # With a slash in the name, or if the site defines no networks, the network is defined elsewhere.
                known_here = self.networks.keys() | DPF_NETWORKS
                if self.networks and "/" not in interface.network and interface.network not in known_here:
                    where = ("services", name, "interfaces", position, "network")
                    problems.append((where, f"network {interface.network} does not exist"))
        refuse(problems)
        return self

    def _missing(self, name: str, group: GroupSpec) -> Iterator[Problem]:
        at = ("groups", name)
        if group.bfb not in self.bfbs:
            yield (*at, "bfb"), f"BFB {group.bfb} does not exist"
        if group.flavor not in self.flavors:
            yield (*at, "flavor"), f"flavor {group.flavor} does not exist"
        entries: dict[str, str] = {}
        for position, service in enumerate(group.services):
            where = (*at, "services", position)
            if service not in self.services:
                yield where, f"service {service} does not exist"
            if service in group.services[:position]:
                yield where, f"{service} occurs twice"
            else:
                first = entries.setdefault(self.name_of(service), service)
                if first != service:
                    yield where, f"{service} and {first} are the same service {self.name_of(service)}"
        for number, switch in enumerate(group.chains):
            for position, port in enumerate(switch.ports):
                if port.service is not None and port.service not in entries:
                    at_port = (*at, "chains", number, "ports", position, "service")
                    yield at_port, f"{port.service} is not among the services of the group"
        for service, needed in group.depends_on.items():
            for missing in sorted({service, *needed} - entries.keys()):
                yield (*at, "dependsOn", service), f"{missing} is not among the services of the group"

    def name_of(self, service: str) -> str:
        """The deploymentServiceName of one of the site's services."""
        spec = self.services.get(service)
        return service if spec is None or spec.service is None else spec.service


Problem = tuple[tuple[str | int, ...], str]
"""The place of a problem in a description, and its text."""


def refuse(problems: Iterable[Problem]) -> None:
    """Raise all problems in one error, each with its path; do nothing if there are none.

    Raises:
        pydantic.ValidationError: with one error per problem.
    """
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("rule", "{problem}", {"problem": problem}), loc=where, input=None
        )
        for where, problem in problems
    ]
    if errors:
        raise ValidationError.from_exception_data("description", errors, hide_input=True)


def duplicates(devices: Iterable[tuple[tuple[str | int, ...], DeviceSpec]]) -> Iterator[Problem]:
    """Report devices that share a name, serial number or BMC address with an earlier one."""
    seen: dict[tuple[str, str], tuple[str | int, ...]] = {}
    for where, device in devices:
        for key, value in (
            ("name", device.name),
            ("serialNumber", device.serial_number),
            ("bmcIp", f"{device.bmc_ip}:{device.bmc_port}" if device.bmc_port != 443 else device.bmc_ip),
        ):
            first = seen.setdefault((key, value), where)
            if first != where:
                yield (*where, key), f"{value} is already the {key} of {path_of(first)}"


def path_of(where: Iterable[str | int]) -> str:
    """The text form of a place: hosts[0].devices[1].name."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


def node_name(host_bmc_mac: str) -> str:
    """The name that Carbide gives a DPUNode: `node-` and the MAC address of the host's BMC.

    Raises:
        ValueError: the argument is not a MAC address.

    Source: docs/dpf/discovery.md#carbide-names.
    """
    return f"node-{_dashed(host_bmc_mac)}"


def device_name(dpu_bmc_mac: str) -> str:
    """The name that Carbide gives a DPUDevice: `device-` and the MAC address of the DPU's BMC.

    Raises:
        ValueError: the argument is not a MAC address.

    Source: docs/dpf/discovery.md#carbide-names.
    """
    return f"device-{_dashed(dpu_bmc_mac)}"


def bmc_mac_of(name: str) -> str:
    """The MAC address in the name of a DPUNode or DPUDevice; the inverse of `node_name` and `device_name`.

    Raises:
        ValueError: the name does not have their form.
    """
    prefix, _, dashed = name.partition("-")
    mac = dashed.replace("-", ":")
    if prefix not in {"node", "device"} or ":" in dashed or not _MAC.fullmatch(mac):
        raise ValueError(f"{name!r} is not a name such as node-02-00-00-00-0a-01 or device-02-00-00-00-0b-01")
    return mac.lower()


def _dashed(mac: str) -> str:
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{mac!r} is not a MAC address such as 02:00:00:00:0a:01")
    return mac.lower().replace(":", "-")

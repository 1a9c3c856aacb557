"""What a person or a bare-metal manager says about a site and its hosts, before any object exists.

Everything is checked when it is built: types, names and their limits, addresses, references between the parts. A
SiteSpec that could be built can be created, as far as that can be known without the cluster.
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
"""Kubernetes' DNS subdomain names, without their limit."""


def _named(limit: int) -> AfterValidator:
    """A name as Kubernetes takes it, of at most `limit` characters (dpf-facts 1.3 #3)."""

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
                "a name has lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit",
            )
        return name

    return AfterValidator(check)


NodeNameText = Annotated[str, _named(48)]
DeviceNameText = Annotated[str, _named(63)]
DeploymentNameText = Annotated[str, _named(20)]
SERVICE_NAME_LIMIT: Final = 28
"""Characters of a deploymentServiceName (dpf-facts 1.3 #13)."""
ServiceNameText = Annotated[str, _named(SERVICE_NAME_LIMIT)]
ObjectNameText = Annotated[str, _named(63)]
BFBNameText = Annotated[str, _named(187)]


def without_unknown_keys(value: Any) -> Any:  # Any: a model of the API, or a container of them
    """Models of the API keep unknown fields for the server's sake; in a description they are typing errors."""
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
    """Base of the descriptions: frozen, camelCase in files, unknown keys refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class DeviceSpec(Spec):
    """One DPU in a host, as the site explorer found it.

    Attributes:
        name: of its DPUDevice; Carbide's are `device-<MAC of the DPU's BMC>`.
        serial_number: DPF compares it with what the BMC says, and refuses another (dpf-facts 4).
        bmc_ip: IPv4 address of the DPU's own BMC.
        bmc_port: port of its Redfish service.
        labels: for its DPUDevice; they are copied to the DPU.
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
        name: of its DPUNode; Carbide's are `node-<MAC of the host's BMC>`.
        devices: its DPUs; at least one.
        labels: for its DPUNode: those that its group's selector asks for, at least.
    """

    name: NodeNameText
    devices: Annotated[Sequence[DeviceSpec], Field(min_length=1)]
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _devices_differ(self) -> Self:
        refuse(duplicates((("devices", position), device) for position, device in enumerate(self.devices)))
        return self


DPF_NETWORKS: Final = frozenset({"mybrhbn", "mybrsfc"})
"""Networks that DPF itself brings to DPUs; a site that defines others uses them beside those."""


class ServiceSpec(Spec):
    """A service that DPUs of a site can run: its chart, and what the site chooses about it.

    Attributes:
        chart: the helm chart, with default values.
        service: its deploymentServiceName: what groups, chains and charts call it. None: as the site names it. Two
            groups that run the same service in different ways have two entries with the same `service`.
        configuration: where and how it runs; values in it win over the chart's.
        interfaces: its interfaces on the DPU, each on a network.
        resources: what it needs of a DPU, by resource name, as Kubernetes quantities.
        disruptive: a change of it may disturb the host: Ready DPUs go through the node effect again (dpf-facts 11).
            Off by default, as Carbide has it.
    """

    chart: Annotated[HelmChart, Known]
    service: ServiceNameText | None = None
    configuration: Annotated[ServiceConfiguration, Known] | None = None
    interfaces: Annotated[Sequence[Annotated[ConfiguredInterface, Known]], Field(max_length=50)] = ()
    resources: dict[str, str | int] = Field(default_factory=dict)
    disruptive: bool = False


class InterfaceSpec(Spec):
    """An interface that is not a service's own, such as a physical port, found by its labels.

    Attributes:
        labels: by which chains find it.
        interface: its type, and what goes with that.
        node_labels: only DPUs whose Node in the DPUCluster has these labels get it; none means all.
    """

    labels: Annotated[dict[str, str], Field(min_length=1)]
    interface: Annotated[ServiceInterfaceSpec, Known]
    node_labels: dict[str, str] = Field(default_factory=dict)


class PortSpec(Spec):
    """One end of a switch: an interface of a service, or any interface with these labels."""

    service: ServiceNameText | None = None
    interface: Annotated[str, StringConstraints(min_length=1, max_length=15)] | None = None
    labels: dict[str, str] | None = None
    ipam: Annotated[ChainIPAM, Known] | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.service is None) == (self.labels is None):
            refuse([((), "must have exactly one of service and labels")])
        if (self.service is None) != (self.interface is None):
            refuse([((), "service and interface belong together")])
        return self


class SwitchSpec(Spec):
    """Ports of a service chain that are connected with each other."""

    ports: Annotated[Sequence[PortSpec], Field(min_length=1, max_length=50)]
    mtu: Annotated[int, Field(ge=1280, le=9216)] = 1500


class GroupSpec(Spec):
    """DPUs that get the same: one DPUDeployment.

    Attributes:
        bfb: name of one of the site's BFBs.
        flavor: name of one of the site's flavors.
        node_labels: DPUNodes with these labels belong to the group.
        device_labels: and of those only DPUDevices with these; none means all.
        cluster_labels: only DPUClusters with these labels take the DPUs; none means any.
        dpu_annotations: for the DPUs.
        services: names of the site's services that run on these DPUs.
        depends_on: services that start only after others, as the group calls them.
        chains: how the services are connected.
        disruptive_chains: a change of the chains may disturb the host (dpf-facts 11).
        node_effect: what happens before a host is disturbed. A hold: Carbide decides.
        strategy: OnDelete: a changed BFB or flavor reaches a DPU only when Carbide reprovisions it (dpf-facts 7.2).
        revisions: how many revisions of a disruptive service may exist side by side; None: as DPF has it, 10.
        suffix: the DPUSet is named `<group>-<suffix>`.
        secure_boot: whether the DPUs boot securely; None leaves them as they are.
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
        # The API server takes a wrong combination here, and the operator chokes on it later (dpf-facts 1.3 #10).
        effects = {"hold", "no_effect", "custom_action", "drain", "taint", "custom_label"}
        chosen = sorted(effects & self.node_effect.model_fields_set)
        if len(chosen) != 1:
            said = " and ".join(to_camel(effect) for effect in chosen) or "none"
            refuse([(("nodeEffect",), f"must have exactly one effect, not {said}")])
        return self


class SiteSpec(Spec):
    """A site: what its groups of DPUs get, and the parts they share. Each part is created once.

    Attributes:
        bfbs: OS images by name.
        flavors: settings for DPUs by name. A flavor never changes: another one is another name.
        services: what can run on DPUs, by name; the name is also the deploymentServiceName, unless it says another.
        interfaces: interfaces that are not a service's own, by name.
        networks: networks that services' interfaces attach to (DPUServiceNADs), by name.
        groups: the groups, each a DPUDeployment of that name.
        operator_bfcfg: False has the operator use its own bf.cfg template rather than a ConfigMap, as Carbide does;
            None leaves its configuration alone.
    """

    bfbs: dict[BFBNameText, Annotated[BFBSpec, Known]]
    flavors: dict[ObjectNameText, Annotated[DPUFlavorSpec, Known]]
    services: dict[ObjectNameText, ServiceSpec]
    interfaces: dict[ObjectNameText, InterfaceSpec] = Field(default_factory=dict)
    networks: dict[ObjectNameText, Annotated[DPUServiceNADSpec, Known]] = Field(default_factory=dict)
    groups: Annotated[dict[DeploymentNameText, GroupSpec], Field(min_length=1)]
    operator_bfcfg: Literal[False] | None = None

    @model_validator(mode="after")
    def _parts_exist(self) -> Self:
        problems = [problem for name, group in self.groups.items() for problem in self._missing(name, group)]
        for name, service in self.services.items():
            if service.service is None and len(name) > SERVICE_NAME_LIMIT:
                words = f"the name of a service has at most {SERVICE_NAME_LIMIT} characters; say `service` beside it"
                problems.append((("services", name), words))
        for name, service in self.services.items():
            for position, interface in enumerate(service.interfaces):
                # A name with a slash, or any name at a site that defines no networks, is somebody else's network.
                known_here = self.networks.keys() | DPF_NETWORKS
                if self.networks and "/" not in interface.network and interface.network not in known_here:
                    where = ("services", name, "interfaces", position, "network")
                    problems.append((where, f"there is no network {interface.network}"))
        refuse(problems)
        return self

    def _missing(self, name: str, group: GroupSpec) -> Iterator[Problem]:
        at = ("groups", name)
        if group.bfb not in self.bfbs:
            yield (*at, "bfb"), f"there is no BFB {group.bfb}"
        if group.flavor not in self.flavors:
            yield (*at, "flavor"), f"there is no flavor {group.flavor}"
        called: dict[str, str] = {}
        for position, service in enumerate(group.services):
            where = (*at, "services", position)
            if service not in self.services:
                yield where, f"there is no service {service}"
            if service in group.services[:position]:
                yield where, f"{service} is there already"
            else:
                first = called.setdefault(self.name_of(service), service)
                if first != service:
                    yield where, f"{service} and {first} are both the service {self.name_of(service)}"
        for turn, switch in enumerate(group.chains):
            for position, port in enumerate(switch.ports):
                if port.service is not None and port.service not in called:
                    at_port = (*at, "chains", turn, "ports", position, "service")
                    yield at_port, f"{port.service} is not among the services of the group"
        for service, needed in group.depends_on.items():
            for missing in sorted({service, *needed} - called.keys()):
                yield (*at, "dependsOn", service), f"{missing} is not among the services of the group"

    def name_of(self, service: str) -> str:
        """What groups call one of the site's services: its deploymentServiceName."""
        spec = self.services.get(service)
        return service if spec is None or spec.service is None else spec.service


Problem = tuple[tuple[str | int, ...], str]
"""Where in a description, and what is wrong there."""


def refuse(problems: Iterable[Problem]) -> None:
    """Raise all of them together, each with its path; nothing if there are none.

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
    """Devices are told apart by name, serial number and BMC address: those that are not, with their places."""
    seen: dict[tuple[str, str], tuple[str | int, ...]] = {}
    for where, device in devices:
        for key, value in (
            ("name", device.name),
            ("serialNumber", device.serial_number),
            ("bmcIp", f"{device.bmc_ip}:{device.bmc_port}" if device.bmc_port != 443 else device.bmc_ip),
        ):
            first = seen.setdefault((key, value), where)
            if first != where:
                yield (*where, key), f"{value} is the {key} of {path_of(first)} already"


def path_of(where: Iterable[str | int]) -> str:
    """A place in words: hosts[0].devices[1].name."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


def node_name(host_bmc_mac: str) -> str:
    """The name Carbide gives a DPUNode: `node-` and the MAC of the host's BMC (dpf-facts 4).

    Raises:
        ValueError: this is no MAC address.
    """
    return f"node-{_dashed(host_bmc_mac)}"


def device_name(dpu_bmc_mac: str) -> str:
    """The name Carbide gives a DPUDevice: `device-` and the MAC of the DPU's BMC (dpf-facts 4).

    Raises:
        ValueError: this is no MAC address.
    """
    return f"device-{_dashed(dpu_bmc_mac)}"


def bmc_mac_of(name: str) -> str:
    """The MAC of the BMC that a DPUNode or DPUDevice has its name from: what `node_name` and `device_name` were given.

    Raises:
        ValueError: it is no name of theirs.
    """
    prefix, _, dashed = name.partition("-")
    mac = dashed.replace("-", ":")
    if prefix not in {"node", "device"} or ":" in dashed or not _MAC.fullmatch(mac):
        raise ValueError(f"{name!r} is no name such as node-02-00-00-00-0a-01 or device-02-00-00-00-0b-01")
    return mac.lower()


def _dashed(mac: str) -> str:
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{mac!r} is not a MAC address such as 02:00:00:00:0a:01")
    return mac.lower().replace(":", "-")

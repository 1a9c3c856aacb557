"""Presets: the services, interfaces and chains that Carbide puts on DPUs, as descriptions to start from.

Each function returns a description with Carbide's own values, and every one of them can be said otherwise: by the
function's arguments, or by any field of the description as a further keyword. In a site file, `preset: hbn` stands for
the same; see docs/how-to/define-a-site.md.

Source of the values: what Carbide's set-up passes to DPF (dpf-facts 12.1; infra-controller, dpf_services.rs, sdk.rs).
Carbide's own charts have no public home and no fixed version, so those two are always the site's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dpf_async._specs import (
    GroupSpec,
    InterfaceSpec,
    PortSpec,
    ServiceSpec,
    SwitchSpec,
    without_unknown_keys,
)
from dpf_async.models import DPUFlavorSpec, DPUServiceNADSpec, known

__all__ = [
    "carbide_dhcp_server",
    "carbide_dpu_agent",
    "carbide_fmds",
    "carbide_otelcol",
    "chains",
    "dts",
    "flavor",
    "group",
    "hbn",
    "interfaces",
    "networks",
]

Values = Mapping[str, Any]  # Any: JSON of a helm chart's own schema

DOCA_CHARTS: Final = "https://helm.ngc.nvidia.com/nvidia/doca"
"""Where NVIDIA publishes the charts of DOCA's services."""

VFS: Final = 16
"""Virtual functions of a host's port, each with an interface in every chain."""

HBN: Final = "doca-hbn"
DHCP_SERVER: Final = "carbide-dhcp-server"
FMDS: Final = "carbide-fmds"

HBN_NETWORK: Final = "mybrhbn"
"""DPF's own."""
DHCP_NETWORK: Final = "mybrsfc-dhcp"
FMDS_NETWORK: Final = "mybrsfc-fmds"

_FIRMWARE: Final = (
    "PF_BAR2_ENABLE=0",
    "PER_PF_NUM_SF=1",
    "PF_SF_BAR_SIZE=10",
    "NUM_PF_MSIX_VALID=0",
    "PF_NUM_PF_MSIX_VALID=1",
    "PF_NUM_PF_MSIX=228",
    "INTERNAL_CPU_MODEL=1",
    "INTERNAL_CPU_OFFLOAD_ENGINE=0",
    "SRIOV_EN=1",
    "LAG_RESOURCE_ALLOCATION=1",
    "HIDE_PORT2_PF=True",
    "NUM_OF_PF=1",
    "LINK_TYPE_P1=2",
    "LINK_TYPE_P2=2",
)
"""Firmware parameters that every flavor of Carbide's has."""

ON_HOST_PORTS: Final = {DHCP_SERVER: "d_", FMDS: "f_"}
"""Services that have an interface on every port of the host, and what its name begins with."""


def hbn(
    *,
    version: str = "1.0.5",
    repository: str = DOCA_CHARTS,
    vfs: int = VFS,
    uplinks: Sequence[str] = ("p0",),
    network: str = HBN_NETWORK,
    memory: str = "6Gi",
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Host-based networking: the north/south network of a host, routed on its DPU.

    Args:
        version: of the chart doca-hbn.
        repository: of the chart.
        vfs: it has an interface for each virtual function of the host, as `interfaces` and `chains` have.
        uplinks: and one for each of these.
        network: that its interfaces are on.
        memory: what it needs, as a Kubernetes quantity.
        values: for the chart, merged over these.
        fields: of ServiceSpec, merged over the rest.
    """
    names = _host_ports(vfs)
    ports = [f"{name}_if" for name in (*uplinks, *names)]
    return _service(
        _source("doca-hbn", repository, version),
        merged({"resources": {"memory": memory, "nvidia.com/bf_sf": len(ports)}}, values),
        {
            "interfaces": [{"name": port, "network": network} for port in ports],
            "resources": {"memory": memory},
        },
        fields,
    )


def dts(
    *,
    version: str = "1.22.1",
    repository: str = DOCA_CHARTS,
    port: int = 9100,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """DOCA telemetry: metrics of the DPU, on a port of it.

    Args:
        version: of the chart doca-telemetry.
        repository: of the chart.
        port: where metrics are served.
        values: for the chart, merged over these.
        fields: of ServiceSpec, merged over the rest.
    """
    return _service(
        _source("doca-telemetry", repository, version), *_serving("httpserverport", port, values), fields
    )


def carbide_dpu_agent(
    *,
    version: str,
    repository: str,
    hbn: str = HBN,  # the same word, as the site calls the service
    dhcp_server: str = DHCP_SERVER,
    fmds: str = FMDS,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's agent: configures HBN, the DHCP server and the metadata service of its DPU.

    Args:
        version: of the chart.
        repository: of the chart.
        hbn: what the group calls HBN.
        dhcp_server: what the group calls Carbide's DHCP server.
        fmds: what the group calls Carbide's metadata service.
        values: for the chart, merged over these; the image and its pull secret among them.
        fields: of ServiceSpec, merged over the rest.
    """
    # The operator fills in what it calls a service; its name is not known before (DPF, DPUServiceConfiguration).
    services = {
        "dhcp_server": {
            "service_name": _name_of(dhcp_server),
            "interface_prepend": ON_HOST_PORTS[DHCP_SERVER],
        },
        "fmds": {"service_name": _name_of(fmds)},
        "hbn": {"nvue_https_address": _name_of(hbn)},
    }
    return _service(
        _source("carbide-dpu-agent", repository, version),
        merged({}, values),
        {"configuration": {"helmChart": {"values": services}}},
        fields,
    )


def carbide_dhcp_server(
    *,
    version: str,
    repository: str,
    vfs: int = VFS,
    network: str = DHCP_NETWORK,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's DHCP server: answers on every port of the host.

    Args:
        version: of the chart.
        repository: of the chart.
        vfs: it has an interface for each virtual function, as `interfaces` and `chains` have.
        network: that its interfaces are on; `networks` has it.
        values: for the chart, merged over these.
        fields: of ServiceSpec, merged over the rest.
    """
    more = {"interfaces": _on_host_ports(DHCP_SERVER, vfs, network)}
    return _service(_source("carbide-dhcp-server", repository, version), merged({}, values), more, fields)


def carbide_fmds(
    *,
    version: str,
    repository: str,
    vfs: int = VFS,
    network: str = FMDS_NETWORK,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's metadata service: answers on every port of the host.

    Args:
        version: of the chart.
        repository: of the chart.
        vfs: it has an interface for each virtual function, as `interfaces` and `chains` have.
        network: that its interfaces are on; `networks` has it.
        values: for the chart, merged over these.
        fields: of ServiceSpec, merged over the rest.
    """
    more = {"interfaces": _on_host_ports(FMDS, vfs, network)}
    return _service(_source("carbide-fmds", repository, version), merged({}, values), more, fields)


def carbide_otelcol(
    *,
    version: str,
    repository: str,
    port: int = 9999,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's collector: what the DPU's services measure, on a port of it.

    Args:
        version: of the chart.
        repository: of the chart.
        port: where metrics are served.
        values: for the chart, merged over these.
        fields: of ServiceSpec, merged over the rest.
    """
    return _service(
        _source("carbide-otelcol", repository, version), *_serving("prometheus", port, values), fields
    )


def interfaces(*, vfs: int = VFS, uplinks: Sequence[str] = ("p0",)) -> dict[str, InterfaceSpec]:
    """The ports of a DPU: its uplinks, the host's physical function, and the host's virtual functions.

    Args:
        vfs: how many virtual functions.
        uplinks: names of physical ports.
    """
    described: dict[str, Any] = {
        name: {"interfaceType": "physical", "physical": {"interfaceName": name}} for name in uplinks
    }
    pf, *others = _host_ports(vfs)
    described[pf] = {"interfaceType": "pf", "pf": {"pfID": 0}}
    for number, name in enumerate(others):
        described[name] = {"interfaceType": "vf", "vf": {"pfID": 0, "vfID": number}}
    return {
        name: InterfaceSpec.model_validate({"labels": {"interface": name}, "interface": interface})
        for name, interface in described.items()
    }


def networks(*, mtu: int = 1500) -> dict[str, DPUServiceNADSpec]:
    """The networks of Carbide's own services; HBN's is DPF's own.

    Args:
        mtu: bytes.
    """
    spec = DPUServiceNADSpec(resource_type="sf", bridge="br-sfc", ipam=False, service_mtu=mtu)
    return dict.fromkeys((DHCP_NETWORK, FMDS_NETWORK), spec)


def chains(
    *,
    vfs: int = VFS,
    uplinks: Sequence[str] = ("p0",),
    hbn: str = HBN,
    host_services: Mapping[str, str] = ON_HOST_PORTS,
    mtu: int = 1500,
) -> tuple[SwitchSpec, ...]:
    """How the services are connected: every uplink with HBN, every port of the host with HBN and Carbide's services.

    Args:
        vfs: how many virtual functions.
        uplinks: names of physical ports.
        hbn: what the group calls HBN.
        host_services: the other services on the host's ports, and what their interfaces' names begin with.
        mtu: bytes.
    """
    switches = [
        SwitchSpec(ports=(_port(name), PortSpec(service=hbn, interface=f"{name}_if")), mtu=mtu)
        for name in uplinks
    ]
    for name in _host_ports(vfs):
        others = (
            PortSpec(service=service, interface=f"{prefix}{name}_if")
            for service, prefix in host_services.items()
        )
        ports = (_port(name), PortSpec(service=hbn, interface=f"{name}_if"), *others)
        switches.append(SwitchSpec(ports=ports, mtu=mtu))
    return tuple(switches)


def flavor(*, vfs: int = VFS, scalable_functions: int | None = None, **fields: Any) -> DPUFlavorSpec:
    """Settings of a BlueField-3 with one port for the host, as HBN needs them.

    The bridges that its services are plugged into (br-sfc, br-hbn) are the site's to make, by `ovs`.

    Args:
        vfs: how many virtual functions the host gets.
        scalable_functions: how many interfaces of services fit; None: those that the presets for so many virtual
            functions have, and ten to spare.
        fields: of DPUFlavorSpec, under their wire names, merged over the rest.
    """
    if scalable_functions is None:
        scalable_functions = len(hbn(vfs=vfs).interfaces) + len(ON_HOST_PORTS) * len(_host_ports(vfs)) + 10
    described: DPUFlavorSpec = without_unknown_keys(
        DPUFlavorSpec.model_validate(
            merged(
                {
                    "dpuMode": "zero-trust",
                    "bfcfgParameters": ["UPDATE_ATF_UEFI=yes", "UPDATE_DPU_OS=yes", "WITH_NIC_FW_UPDATE=yes"],
                    # The wildcard is the only entry that takes all devices (dpf-facts 12.3 #21).
                    "nvconfig": [
                        {
                            "device": "*",
                            "parameters": [
                                *_FIRMWARE,
                                f"NUM_OF_VFS={vfs}",
                                f"PF_TOTAL_SF={scalable_functions}",
                            ],
                        }
                    ],
                },
                fields,
            )
        )
    )
    return described


def group(*, bfb: str, flavor: str, services: Sequence[str], **fields: Any) -> GroupSpec:
    """A group as Carbide has its one: hosts that are Carbide's, a hold before they are disturbed, OnDelete.

    Args:
        bfb: name of one of the site's BFBs.
        flavor: name of one of its flavors.
        services: names of its services.
        fields: of GroupSpec, merged over the rest; `node_labels` says which hosts, where there are several groups.
    """
    labels = {known.DPU_ENABLED_LABEL: "true", known.CARBIDE_CONTROLLED_NODE_LABEL: "true"}
    described = {"bfb": bfb, "flavor": flavor, "services": services, "nodeLabels": labels}
    return GroupSpec.model_validate(described | _aliased(GroupSpec, fields))


def merged(values: Values, over: Values | None) -> dict[str, Any]:
    """Values with others over them: maps are merged, anything else is replaced, None takes away (RFC 7386)."""
    result = dict(values)
    for key, value in (over or {}).items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            present = result.get(key)
            result[key] = merged(present if isinstance(present, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _source(chart: str, repository: str, version: str) -> dict[str, str]:
    return {"repoURL": repository, "chart": chart, "version": version}


def _service(source: Values, values: Values, more: Values, fields: Values) -> ServiceSpec:
    described: dict[str, Any] = {
        "chart": {"source": source},
        # As Carbide has it: a change of a service does not send Ready DPUs through the node effect (dpf-facts 11).
        "disruptive": False,
        **more,
    }
    if values:
        described["chart"]["values"] = values
    return ServiceSpec.model_validate(merged(described, _aliased(ServiceSpec, fields)))


def _serving(name: str, port: int, values: Values | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Chart values and description of a service that serves metrics on a port of the DPU."""
    ports = {"serviceType": "None", "ports": [{"name": name, "port": port, "protocol": "TCP"}]}
    return merged({"exposedPorts": {"ports": {name: True}}}, values), {
        "configuration": {"configPorts": ports}
    }


def _aliased(spec: type[ServiceSpec] | type[GroupSpec], fields: Values) -> dict[str, Any]:
    """Fields under the names that files use, so that they meet those they are merged over."""
    aliases = {name: field.alias or name for name, field in spec.model_fields.items()}
    return {aliases.get(name, name): _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:  # Any: a field's value
    return value.to_wire() if hasattr(value, "to_wire") else value


def _host_ports(vfs: int) -> list[str]:
    """Names of the host's ports as the DPU sees them: the physical function, then the virtual ones."""
    return ["pf0hpf", *(f"pf0vf{number}" for number in range(vfs))]


def _on_host_ports(service: str, vfs: int, network: str) -> list[dict[str, str]]:
    prefix = ON_HOST_PORTS[service]
    return [{"name": f"{prefix}{name}_if", "network": network} for name in _host_ports(vfs)]


def _port(name: str) -> PortSpec:
    return PortSpec(labels={"interface": name})


def _name_of(service: str) -> str:
    return f'{{{{ (index .Services "{service}").Name }}}}'

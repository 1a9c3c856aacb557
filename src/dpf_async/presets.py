"""Presets: descriptions of the services, interfaces and chains that Carbide deploys on DPUs.

Each function returns a description with Carbide's values. Its arguments, and any field of the description as a further
keyword, override them. In a site file, `preset: hbn` has the same effect; see docs/how-to/define-a-site.md.

Source of the values: the objects that Carbide creates (docs/dpf/carbide.md#defaults; infra-controller, dpf_services.rs,
sdk.rs). Carbide's own charts are not published, so a site always specifies their repository and version.
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

Values = Mapping[str, Any]  # Any: JSON; each Helm chart has its own schema

DOCA_CHARTS: Final = "https://helm.ngc.nvidia.com/nvidia/doca"
"""The repository in which NVIDIA publishes the charts of DOCA services."""

VFS: Final = 16
"""Virtual functions per host port; each has one interface in every chain."""

HBN: Final = "doca-hbn"
DHCP_SERVER: Final = "carbide-dhcp-server"
FMDS: Final = "carbide-fmds"

HBN_NETWORK: Final = "mybrhbn"
"""Created by DPF."""
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
"""Firmware parameters of every flavor in Carbide."""

ON_HOST_PORTS: Final = {DHCP_SERVER: "d_", FMDS: "f_"}
"""Services with one interface per port of the host, and the prefix of the interface's name."""


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
    """Host-based networking: routes the north/south traffic of a host on its DPU.

    Args:
        version: version of the chart doca-hbn.
        repository: repository of the chart.
        vfs: number of virtual functions of the host; the service has an interface for each. The same number as in
            `interfaces` and `chains`.
        uplinks: physical ports; the service has an interface for each.
        network: the network of its interfaces.
        memory: its memory, as a Kubernetes quantity.
        values: chart values, merged over those of the preset.
        fields: fields of ServiceSpec, merged over the preset.
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
    """DOCA Telemetry Service: serves metrics of the DPU on one of its ports.

    Args:
        version: version of the chart doca-telemetry.
        repository: repository of the chart.
        port: the port of the metrics.
        values: chart values, merged over those of the preset.
        fields: fields of ServiceSpec, merged over the preset.
    """
    return _service(
        _source("doca-telemetry", repository, version), *_serving("httpserverport", port, values), fields
    )


def carbide_dpu_agent(
    *,
    version: str,
    repository: str,
    hbn: str = HBN,  # shadows the function: the name of the service in the site
    dhcp_server: str = DHCP_SERVER,
    fmds: str = FMDS,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's agent: configures HBN, the DHCP server and the metadata service of its DPU.

    Args:
        version: version of the chart.
        repository: repository of the chart.
        hbn: name of HBN in the group.
        dhcp_server: name of Carbide's DHCP server in the group.
        fmds: name of Carbide's metadata service in the group.
        values: chart values, merged over those of the preset, such as the image and its pull secret.
        fields: fields of ServiceSpec, merged over the preset.
    """
    # The operator generates the names of services and fills them in here (DPF, DPUServiceConfiguration).
    services = {
        "dhcp_server": {
            "service_name": _generated_name(dhcp_server),
            "interface_prepend": ON_HOST_PORTS[DHCP_SERVER],
        },
        "fmds": {"service_name": _generated_name(fmds)},
        "hbn": {"nvue_https_address": _generated_name(hbn)},
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
        version: version of the chart.
        repository: repository of the chart.
        vfs: number of virtual functions; the same as in `interfaces` and `chains`.
        network: the network of its interfaces, which `networks` defines.
        values: chart values, merged over those of the preset.
        fields: fields of ServiceSpec, merged over the preset.
    """
    source = _source("carbide-dhcp-server", repository, version)
    return _on_every_host_port(DHCP_SERVER, source, vfs=vfs, network=network, values=values, fields=fields)


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
        version: version of the chart.
        repository: repository of the chart.
        vfs: number of virtual functions; the same as in `interfaces` and `chains`.
        network: the network of its interfaces, which `networks` defines.
        values: chart values, merged over those of the preset.
        fields: fields of ServiceSpec, merged over the preset.
    """
    source = _source("carbide-fmds", repository, version)
    return _on_every_host_port(FMDS, source, vfs=vfs, network=network, values=values, fields=fields)


def carbide_otelcol(
    *,
    version: str,
    repository: str,
    port: int = 9999,
    values: Values | None = None,
    **fields: Any,  # Any: fields of ServiceSpec
) -> ServiceSpec:
    """Carbide's telemetry collector: serves the metrics of the services of the DPU on one of its ports.

    Args:
        version: version of the chart.
        repository: repository of the chart.
        port: the port of the metrics.
        values: chart values, merged over those of the preset.
        fields: fields of ServiceSpec, merged over the preset.
    """
    return _service(
        _source("carbide-otelcol", repository, version), *_serving("prometheus", port, values), fields
    )


def interfaces(*, vfs: int = VFS, uplinks: Sequence[str] = ("p0",)) -> dict[str, InterfaceSpec]:
    """The ports of a DPU: its uplinks, the host's physical function, and the host's virtual functions.

    Args:
        vfs: number of virtual functions.
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
    """The networks of Carbide's services; DPF creates that of HBN.

    Args:
        mtu: MTU in bytes.
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
    """The chains: each uplink is connected to HBN, each port of the host to HBN and Carbide's services.

    Args:
        vfs: number of virtual functions.
        uplinks: names of physical ports.
        hbn: name of HBN in the group.
        host_services: the other services on the host's ports, and the prefixes of their interfaces' names.
        mtu: MTU in bytes.
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
    """The DPUFlavor of a BlueField-3 with one port for the host, with the settings that HBN requires.

    It does not create the bridges to which services are connected (br-sfc, br-hbn); the site does, by `ovs`.

    Args:
        vfs: number of virtual functions of the host.
        scalable_functions: maximum number of interfaces of services; None: as many as the presets use with `vfs`
            virtual functions, and ten more.
        fields: fields of DPUFlavorSpec under their wire names, merged over the preset.
    """
    if scalable_functions is None:
        scalable_functions = len(hbn(vfs=vfs).interfaces) + len(ON_HOST_PORTS) * len(_host_ports(vfs)) + 10
    described: DPUFlavorSpec = without_unknown_keys(
        DPUFlavorSpec.model_validate(
            merged(
                {
                    "dpuMode": "zero-trust",
                    "bfcfgParameters": ["UPDATE_ATF_UEFI=yes", "UPDATE_DPU_OS=yes", "WITH_NIC_FW_UPDATE=yes"],
                    # Only the wildcard applies to all devices (docs/dpf/sdk.md#wildcard-device).
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
    """A group as in Carbide: hosts that Carbide controls, a hold before disruption, and strategy OnDelete.

    Args:
        bfb: name of one of the site's BFBs.
        flavor: name of one of its flavors.
        services: names of its services.
        fields: fields of GroupSpec, merged over the preset; with more than one group, `node_labels` selects the hosts.
    """
    labels = {known.DPU_ENABLED_LABEL: "true", known.CARBIDE_CONTROLLED_NODE_LABEL: "true"}
    described = {"bfb": bfb, "flavor": flavor, "services": services, "nodeLabels": labels}
    return GroupSpec.model_validate(described | _aliased(GroupSpec, fields))


def merged(values: Values, over: Values | None) -> dict[str, Any]:
    """Merge `over` into values: mappings are merged, other values replaced, None removes a key (RFC 7386)."""
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
        # As in Carbide: a change of a service does not cause a node effect for Ready DPUs
        # (docs/dpf/services.md#carbide-policy).
        "disruptive": False,
        **more,
    }
    if values:
        described["chart"]["values"] = values
    return ServiceSpec.model_validate(merged(described, _aliased(ServiceSpec, fields)))


def _serving(name: str, port: int, values: Values | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Chart values and fields of a service that serves metrics on a port of the DPU."""
    ports = {"serviceType": "None", "ports": [{"name": name, "port": port, "protocol": "TCP"}]}
    return merged({"exposedPorts": {"ports": {name: True}}}, values), {
        "configuration": {"configPorts": ports}
    }


def _aliased(spec: type[ServiceSpec] | type[GroupSpec], fields: Values) -> dict[str, Any]:
    """Fields under the names of the site file, so that merging finds the same keys."""
    aliases = {name: field.alias or name for name, field in spec.model_fields.items()}
    return {aliases.get(name, name): _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:  # Any: a field's value
    return value.to_wire() if hasattr(value, "to_wire") else value


def _host_ports(vfs: int) -> list[str]:
    """Names of the host's ports on the DPU: the physical function, then the virtual functions."""
    return ["pf0hpf", *(f"pf0vf{number}" for number in range(vfs))]


def _on_every_host_port(
    service: str, source: Values, *, vfs: int, network: str, values: Values | None, fields: Values
) -> ServiceSpec:
    """A service with one interface on each port of the host."""
    prefix = ON_HOST_PORTS[service]
    interfaces = [{"name": f"{prefix}{name}_if", "network": network} for name in _host_ports(vfs)]
    return _service(source, merged({}, values), {"interfaces": interfaces}, fields)


def _port(name: str) -> PortSpec:
    return PortSpec(labels={"interface": name})


def _generated_name(service: str) -> str:
    return f'{{{{ (index .Services "{service}").Name }}}}'

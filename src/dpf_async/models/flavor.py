"""DPUFlavor: the configuration that is written to a DPU during its installation.

Source of the schema: DPF v26.4 dpuflavors CRD.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import (
    ATOMIC_LIST,
    Bool,
    Int32,
    Quantity,
    at_least,
    at_most,
    max_items,
    max_length,
    min_items,
    one_of,
    pattern,
)
from dpf_async.models.meta import Resource
from dpf_async.models.names import PROVISIONING_GROUP
from dpf_async.models.rules import Rule, immutable
from dpf_async.models.wire import ListOf, MapOf, Wire

__all__ = [
    "OVS",
    "ConfigFile",
    "ContainerdConfig",
    "DPUFlavor",
    "DPUFlavorSpec",
    "Grub",
    "HostNetworkInterfaceConfig",
    "NVConfig",
    "Sysctl",
]

_Assignment = Annotated[str, max_length(200), pattern(r"^[^=\s]+=[^\s]*$")]


class NVConfig(Wire):
    """Firmware parameters, NAME=VALUE, for one port of the DPU or for all."""

    device: Annotated[str, one_of("*", "p0", "p1", "P0", "P1")] | None = None
    """The port; "*", or absent, for all."""
    parameters: Annotated[ListOf[_Assignment], min_items(1), max_items(32), ATOMIC_LIST] = ()


_DEVICE = "has(entry.device) ? entry.device.lowerAscii() : '*'"


def _device(entry: NVConfig) -> str:
    return (entry.device or "*").lower()


_WILDCARD_ALONE = Rule(
    cel="size(self) <= 1 || self.all(entry, !has(entry.device) || entry.device != '*')",
    message='an entry for device "*" must be the only one',
    holds=lambda entries: len(entries) <= 1 or all(entry.device != "*" for entry in entries),
)
_UNSPECIFIED_ALONE = Rule(
    cel="size(self) <= 1 || self.all(entry, has(entry.device))",
    message="an entry without device, which means all devices, must be the only one",
    holds=lambda entries: len(entries) <= 1 or all(entry.device is not None for entry in entries),
)
_ONCE_PER_DEVICE = Rule(
    cel=(f"self.map(entry, {_DEVICE}).all(device, self.filter(entry, ({_DEVICE}) == device).size() == 1)"),
    message="each device may have one entry; upper and lower case are the same device",
    holds=lambda entries: all(count == 1 for count in Counter(map(_device, entries)).values()),
)


class ConfigFile(Wire):
    """A file on the DPU."""

    path: str | None = None
    operation: Annotated[str, one_of("override", "append")] | None = None
    raw: str | None = Field(default=None, repr=False)
    """Content of the file."""
    permissions: str | None = None


class Grub(Wire):
    """The DPU's boot loader."""

    kernel_parameters: ListOf[str] = ()


class Sysctl(Wire):
    """Kernel settings of the DPU, name=value."""

    parameters: ListOf[str] = ()


class OVS(Wire):
    """Open vSwitch on the DPU."""

    raw_config_script: str | None = None


class ContainerdConfig(Wire):
    """The DPU's container runtime."""

    registry_endpoint: str | None = None


class HostNetworkInterfaceConfig(Wire):
    """A port of the DPU on the host."""

    port_number: Annotated[Int32, at_least(0), at_most(1)]
    dhcp: Bool | None = None
    mtu: Annotated[Int32, at_least(1280), at_most(9216)] | None = None
    nvconfig: NVConfig | None = None


class DPUFlavorSpec(Wire):
    """The configuration of a DPU. It is immutable: create another DPUFlavor for another configuration."""

    dpu_mode: Annotated[str, one_of("dpu", "zero-trust", "nic")] | None = None
    bfcfg_parameters: ListOf[str] = Field(default=(), repr=False)
    """Lines of bf.cfg, NAME=VALUE; may contain passwords."""
    config_files: ListOf[ConfigFile] = ()
    grub: Grub | None = None
    sysctl: Sysctl | None = None
    ovs: OVS | None = None
    containerd_config: ContainerdConfig | None = None
    nvconfig: Annotated[
        ListOf[NVConfig],
        max_items(3),
        ATOMIC_LIST,
        _WILDCARD_ALONE,
        _UNSPECIFIED_ALONE,
        _ONCE_PER_DEVICE,
    ] = ()
    host_network_interface_configs: ListOf[HostNetworkInterfaceConfig] = ()
    dpu_resources: MapOf[Quantity] = Field(default_factory=dict)
    """Resources of the DPU, by name; the services of a DPU must not need more."""
    system_reserved_resources: MapOf[Quantity] = Field(default_factory=dict)
    """The part of them that services cannot use."""


class DPUFlavor(Resource):
    """A configuration for DPUs; has no status and no controller."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUFlavor"
    PLURAL: ClassVar[str] = "dpuflavors"
    HAS_STATUS: ClassVar[bool] = False

    spec: Annotated[DPUFlavorSpec, immutable("the spec of a DPUFlavor")]

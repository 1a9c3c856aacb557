"""Specs: the parts of a site description. HostSpec, DeviceSpec and SiteSpec are in `dpf_async`."""

from __future__ import annotations

from dpf_async._site.labels import ResourceLabeler, label_host, label_site, selector_of
from dpf_async._specs import (
    GroupSpec,
    InterfaceSpec,
    PortSpec,
    ServiceSpec,
    SwitchSpec,
    bmc_mac_of,
    device_name,
    node_name,
)

__all__ = [
    "GroupSpec",
    "InterfaceSpec",
    "PortSpec",
    "ResourceLabeler",
    "ServiceSpec",
    "SwitchSpec",
    "bmc_mac_of",
    "device_name",
    "label_host",
    "label_site",
    "node_name",
    "selector_of",
]

"""Presets: the services, interfaces and chains that Carbide puts on DPUs, as specs to start from.

In a site file, `preset: hbn` names the same; see docs/how-to/define-a-site.md.
"""

from __future__ import annotations

from dpf_async._site.presets import (
    carbide_dhcp_server,
    carbide_dpu_agent,
    carbide_fmds,
    carbide_otelcol,
    chains,
    dts,
    flavor,
    group,
    hbn,
    interfaces,
    networks,
)

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

"""Levels: conditions on a view that `until` waits for. They compose with `|`, `&` and `~`."""

from __future__ import annotations

from dpf_async._transitions.levels import (
    Level,
    accepted,
    any_dpu_failed,
    discovered,
    external_reboot_required,
    healthy,
    node_effect_held,
    phase_is,
    ready,
    services_ready,
    terminating,
    usable,
)

__all__ = [
    "Level",
    "accepted",
    "any_dpu_failed",
    "discovered",
    "external_reboot_required",
    "healthy",
    "node_effect_held",
    "phase_is",
    "ready",
    "services_ready",
    "terminating",
    "usable",
]

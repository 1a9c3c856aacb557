"""Hosts, DPUs and transitions as JSON, with the same keys for every verb."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from dpf_async import DPUView, NodeView

JSON = Any  # a value as it is on the wire


def node_document(view: NodeView) -> dict[str, JSON]:
    """A host and its DPUs."""
    return {
        "node": view.name,
        "ready": view.ready,
        "services_ready": view.services_ready,
        "held": view.hold is not None,
        "external_reboot_required": view.external_reboot_required,
        "dpus": [dpu_document(dpu) for dpu in view.dpus],
    }


def dpu_document(dpu: DPUView) -> dict[str, JSON]:
    """A DPU."""
    return {
        "name": dpu.name,
        "uid": dpu.uid,
        "node": dpu.node,
        "device": dpu.device,
        "phase": str(dpu.phase),
        "ready": dpu.ready,
        "services_ready": dpu.services_ready,
        "bfb": dpu.bfb,
        "flavor": dpu.flavor,
    }


def transition_document(value: Any) -> JSON:  # Any: a transition, or the value of a field of one
    """A transition: its name and all its fields."""
    if is_dataclass(value):
        document = {field.name: transition_document(getattr(value, field.name)) for field in fields(value)}
        return {"transition": type(value).__name__, **document}
    if isinstance(value, tuple | list):
        return [transition_document(item) for item in value]
    return msgspec.to_builtins(value)

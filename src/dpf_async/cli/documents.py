"""Hosts, DPUs and transitions as JSON: the same words wherever a verb shows them."""

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


def transition_document(told: Any) -> JSON:  # Any: a transition, or what one has to say
    """A transition, by its name and with all that it says."""
    if is_dataclass(told):
        said = {field.name: transition_document(getattr(told, field.name)) for field in fields(told)}
        return {"transition": type(told).__name__, **said}
    if isinstance(told, tuple | list):
        return [transition_document(one) for one in told]
    return msgspec.to_builtins(told)

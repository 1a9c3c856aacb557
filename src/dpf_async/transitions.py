"""Transitions: what a transition stream yields, a closed union of frozen values."""

from __future__ import annotations

from dpf_async._transitions.transitions import (
    ConditionChanged,
    DPUAppeared,
    DPUGone,
    DPUReplaced,
    DPUTerminating,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeAppeared,
    NodeEffectHeld,
    NodeEffectReleased,
    NodeGone,
    PhaseChanged,
    Transition,
)

__all__ = [
    "ConditionChanged",
    "DPUAppeared",
    "DPUGone",
    "DPUReplaced",
    "DPUTerminating",
    "ExternalRebootDone",
    "ExternalRebootRequired",
    "NodeAppeared",
    "NodeEffectHeld",
    "NodeEffectReleased",
    "NodeGone",
    "PhaseChanged",
    "Transition",
]

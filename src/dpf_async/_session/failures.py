"""DPUFailed: the error of a wait for a DPU in phase Error, with the condition that failed and the next step."""

from __future__ import annotations

from typing import Any

from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.errors import DPUFailed


def dpu_failed(dpu: DPUView, condition: Level[Any], view: NodeView | DPUView, waited: float) -> DPUFailed:
    """The error for a DPU in phase Error.

    Args:
        dpu: the DPU.
        condition: what was waited for. Any: a level on either view.
        view: the view that the wait was about.
        waited: seconds.
    """
    failure = dpu.failure
    reason = (failure.reason or "") if failure is not None else ""
    detail = (failure.message or "") if failure is not None else ""
    cause = f"{failure.type} is False, {reason}: {detail}" if failure is not None else "no condition says why"
    return DPUFailed(
        f"DPU {dpu.name} is in phase Error: {cause}; repair the cause, then reprovision it{_siblings(dpu, view)}",
        dpu=dpu.name,
        reason=reason,
        detail=detail,
        condition=condition.name,
        view=view,
        waited=waited,
    )


def _siblings(dpu: DPUView, view: NodeView | DPUView) -> str:
    """The phases of the host's other DPUs: the failed one may keep them in Node Effect Removal.

    Source: docs/dpf/reboot.md#failed-sibling.
    """
    if isinstance(view, DPUView):
        return ""
    others = ", ".join(f"{other.name} {other.phase}" for other in view.dpus if other.uid != dpu.uid)
    return f"; the host's other DPUs, which may have to wait for that: {others}" if others else ""

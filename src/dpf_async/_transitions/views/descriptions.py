"""Descriptions of states: one clause for error messages and progress, the most urgent fact first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpf_async._api.codec import ObjectState
from dpf_async._api.records import ConditionRecord
from dpf_async._api.text import printable
from dpf_async._transitions.views.deployment_view import DeploymentView
from dpf_async._transitions.views.device_faults import device_fault, device_ready
from dpf_async._transitions.views.dpu_view import BEFORE_INSTALLATION, UNDELETABLE, DPUView
from dpf_async._transitions.views.maintenance_view import MaintenanceView
from dpf_async._transitions.views.node_view import NodeView
from dpf_async.models import DPUDevice, DPUNode, DPUNodeMaintenance, DPUPhase, Resource, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WITH_SERVICES: Final = frozenset((DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY))
"""Phases in which the description names services that are not ready.

Source: docs/dpf/phases.md#service-dependent-phases, docs/dpf/health.md#leaving-ready.
"""

_GOOD_WHEN_FALSE: Final[Mapping[type[Resource], frozenset[str]]] = {
    DPUNode: frozenset(
        (
            known.DPUNodeCondition.REBOOT_IN_PROGRESS,
            known.DPUNodeCondition.NODE_EFFECT_IN_PROGRESS,
            known.DPUNodeCondition.NEED_HOST_AGENT_UPGRADE,
        )
    ),
    DPUDevice: frozenset((known.DPUDeviceCondition.ERROR, known.DPUDeviceCondition.RESETTING_BMC)),
}
"""Conditions that report a fault or pending work when they are True (docs/dpf/conditions.md#inverted-conditions)."""


def describe(view: NodeView | DPUView) -> str:
    """The state of a host or DPU as one clause."""
    if isinstance(view, DPUView):
        return _describe_dpu(view)
    if not view.exists:
        return f"there is no DPUNode {view.name}"
    phases = ", ".join(f"{dpu.name} {_describe_dpu(dpu)}" for dpu in view.dpus) or "no DPUs yet"
    details = [
        f"{obj.kind.KIND} {obj.name} cannot be decoded: {printable(obj.error, 200)}"
        for obj in view.unreadable
    ]
    details += _describe_devices(view)
    details += _describe_requestors(view)
    if view.hold is not None:
        details.append("held, waiting for a release")
    if view.external_reboot_required:
        details.append("waiting for an external reboot")
    if view.terminating:
        details.append("being deleted")
    return "; ".join((f"phases: {phases}", *details))


def describe_deployment(view: DeploymentView) -> str:
    """The state of a DPUDeployment as one clause."""
    if view.terminating:
        return "it is being deleted"
    return f"it waits for {view.waiting_for}" if view.waiting_for else "it is accepted"


def describe_object(view: ObjectState[Resource]) -> str:
    """The state of an object of any kind as one clause."""
    phase = f"phase {view.phase}" if view.phase else "it exists"
    return phase + _unmet_condition(view) + _deletion(view)


def describe_maintenance(view: ObjectState[DPUNodeMaintenance]) -> str:
    """The state of a DPUNodeMaintenance as one clause, with the requestors that keep it from being deleted."""
    requestors = MaintenanceView(view).requestors
    requested = f"; requested by {', '.join(requestors)}" if requestors else "; no requestors left"
    return f"it exists{_unmet_condition(view)}{requested}{_deletion(view)}"


def unmet(state: ObjectState[Any]) -> ConditionRecord | None:
    """The last condition that reports unfinished work; None if no condition does."""
    good = _GOOD_WHEN_FALSE.get(state.kind, frozenset())
    return next((c for c in reversed(state.conditions) if c.status == "False" and c.type not in good), None)


def _describe_devices(view: NodeView) -> Iterator[str]:
    """Devices that are missing, or not Ready while their DPU still needs them."""
    installing = {dpu.device.lower() for dpu in view.dpus if dpu.phase not in BEFORE_INSTALLATION}
    found = {device.name.lower(): device for device in view.devices}
    for name in view.device_names:
        device = found.get(name.lower())
        if device is None and not any(obj.kind is DPUDevice for obj in view.unreadable):
            yield f"there is no DPUDevice {name}"
        elif device is None or name.lower() in installing:
            continue
        elif (fault := device_fault(device)) is not None:
            yield printable(str(fault), 300)
        elif device.terminating:
            yield f"DPUDevice {name}{_deletion(device)}"
        elif not device_ready(device):
            yield f"DPUDevice {name} is not Ready yet{_unmet_condition(device)}"


def _describe_requestors(view: NodeView) -> Iterator[str]:
    """Requestors that keep DPUs in Node Effect Removal; a service is named `<namespace>_<deployment>_<DPUService>`."""
    if all(dpu.phase != DPUPhase.NODE_EFFECT_REMOVAL for dpu in view.dpus):
        return
    for maintenance in view.maintenances:
        if maintenance.requestors:
            names = printable(", ".join(maintenance.requestors), 300)
            yield f"DPUNodeMaintenance {maintenance.name} is still needed by {names}"


def _describe_dpu(view: DPUView) -> str:
    phase = str(view.phase) or "without a phase"
    if view.terminating:
        reason = _deletion_ignored(view) if view.phase in UNDELETABLE else _unmet_condition(view.state)
        return phase + reason + _deletion(view.state)
    services = _describe_services(view) if view.phase in _WITH_SERVICES else ""
    return phase + _unmet_condition(view.state) + services


def _deletion_ignored(view: DPUView) -> str:
    prepared = view.condition(known.DPUCondition.BFB_PREPARED)
    is_prepared = prepared is not None and prepared.status == "True"
    since = f" after {prepared.last_transition_time}" if prepared is not None and is_prepared else ""
    return (
        " (DPF does not delete a DPU while it installs the OS; deletion continues when the installation has completed"
        f" or timed out, by default 45 min{since})"
    )


def _describe_services(view: DPUView) -> str:
    return "".join(
        f", {condition.type} is {condition.status} ({condition.reason}: {printable(condition.message or '', 200)})"
        for condition in view.operational_conditions
        if condition.status != "True" and condition.type != known.OperationalCondition.OPERATIONAL_READY
    )


def _unmet_condition(state: ObjectState[Any]) -> str:
    waiting = unmet(state)
    if waiting is None or not waiting.reason:
        return ""
    detail = f": {printable(waiting.message, 200)}" if state.terminating and waiting.message else ""
    return f" ({waiting.type}: {waiting.reason}{detail})"


def _deletion(state: ObjectState[Any]) -> str:
    if not state.terminating:
        return ""
    finalizers = ", ".join(state.record.metadata.finalizers or ())
    return f", being deleted, held by {finalizers}" if finalizers else ", being deleted"

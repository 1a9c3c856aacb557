"""HostReport: the state of one host and everything that refers to it, for analysis of a host that makes no progress.

Pure. The report is computed from one joined cache without an await, so all objects are of the same moment. It is meant
for support tickets: of specs it has only identifying fields, and nothing that may contain passwords.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dpf_async._api.codec import ObjectState, Undecodable, find_condition
from dpf_async._api.records import ConditionRecord
from dpf_async._api.text import printable
from dpf_async._transitions.views import DPUView, MaintenanceView, NodeView, device_names, unmet
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._watch.reflector import Reflector
    from dpf_async._watch.store import Store

JSON = Any  # a value as it is on the wire

_OURS: Final = re.compile(r"([a-z0-9-]+\.)*(nvidia\.com|feature\.node\.kubernetes\.io)/.*")
"""Keys of annotations of DPF and Carbide, whose values are not secret (docs/dpf/keys.md#known-annotations)."""

_USER: Final = re.compile(r"(?<=://)[^\s/@]+@")
_QUERY: Final = re.compile(r"(://[^\s?]+\?)[^\s\"')]+")

_FACTS: Final[Mapping[type[Resource], Mapping[str, str]]] = {
    DPUNode: {"install_interface": "status.dpuInstallInterface", "kube_node": "status.kubeNodeRef"},
    DPUDevice: {
        "serial_number": "spec.serialNumber",
        "found_serial_number": "status.serialNumber",
        "bmc_ip": "spec.bmcIp",
        "dpu_type": "status.dpuType",
        "dpu_mode": "status.dpuMode",
        "opn": "status.opn",
    },
    DPU: {
        "node": "spec.dpuNodeName",
        "device": "spec.dpuDeviceName",
        "bfb": "spec.bfb",
        "flavor": "spec.dpuFlavor",
        "cluster": "spec.cluster.name",
        "previous_phase": "status.previousPhase",
        "dpf_version": "status.dpfVersion",
        "reboot_method": "status.agentStatus.rebootMethod",
    },
    DPUNodeMaintenance: {"node": "spec.dpuNodeName"},
}
"""Fields that identify an object and what it refers to, by kind: the name in the report and the path."""


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One object of a host in one state.

    Attributes:
        kind: such as "DPU".
        name: metadata.name.
        uid: metadata.uid.
        resource_version: metadata.resourceVersion.
        created: metadata.creationTimestamp.
        deleting_since: metadata.deletionTimestamp; empty if it is not being deleted.
        finalizers: metadata.finalizers.
        phase: status.phase; empty if the kind has none.
        current: the status was computed from the current spec.
        conditions: status.conditions.
        operational_conditions: status.operationalConditions, which only a DPU has.
        labels: metadata.labels.
        annotations: metadata.annotations; values of annotations that are neither of DPF nor of Carbide are not shown.
        facts: identifying fields by name: "bfb", "serial_number", "requestors".
        waiting_for: a description; empty if the object waits for nothing.
    """

    kind: str
    name: str
    uid: str
    resource_version: str
    created: str
    deleting_since: str
    finalizers: tuple[str, ...]
    phase: str
    current: bool
    conditions: tuple[ConditionRecord, ...]
    operational_conditions: tuple[ConditionRecord, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    facts: Mapping[str, JSON]
    waiting_for: str

    def to_dict(self) -> dict[str, JSON]:
        """The same as JSON."""
        return _fields_to_json(self)


@dataclass(frozen=True, slots=True)
class UnreadableObject:
    """An object of a host that exists and cannot be decoded. Its content is omitted, since it may be confidential."""

    kind: str
    name: str
    uid: str
    error: str

    def to_dict(self) -> dict[str, JSON]:
        """The same as JSON."""
        return _fields_to_json(self)


@dataclass(frozen=True, slots=True)
class HostReport:
    """The state of one host at one moment. `to_dict` is for support tickets; it contains no secrets.

    Attributes:
        node: name of the DPUNode.
        namespace: the namespace of DPF.
        taken: the time by the clock of this machine, as RFC 3339.
        dpu_node: the DPUNode; None if there is none that can be decoded.
        devices: the DPUDevices that it lists, that have its label, or to which a DPU of it refers.
        dpus: the DPUs that refer to it.
        maintenances: the DPUNodeMaintenances that refer to it.
        missing_devices: the DPUDevices that it lists and that do not exist.
        unreadable: objects of the host that exist and cannot be decoded.
        versions: the resourceVersion of each cache from which the report was computed, by kind.
        watch_problems: why caches may be behind the server; empty if none is.
    """

    node: str
    namespace: str
    taken: str
    dpu_node: ObjectSummary | None
    devices: tuple[ObjectSummary, ...]
    dpus: tuple[ObjectSummary, ...]
    maintenances: tuple[ObjectSummary, ...]
    missing_devices: tuple[str, ...]
    unreadable: tuple[UnreadableObject, ...]
    versions: Mapping[str, str]
    watch_problems: tuple[str, ...]

    @property
    def waiting_for(self) -> Mapping[str, str]:
        """What the objects wait for, by "DPU node-1-device-1"; objects that wait for nothing are omitted."""
        objects = (
            *((self.dpu_node,) if self.dpu_node else ()),
            *self.devices,
            *self.dpus,
            *self.maintenances,
        )
        return {f"{one.kind} {one.name}": one.waiting_for for one in objects if one.waiting_for}

    def to_dict(self) -> dict[str, JSON]:
        """The same as JSON."""
        return {**_fields_to_json(self), "waiting_for": dict(self.waiting_for)}


def _fields_to_json(value: ObjectSummary | UnreadableObject | HostReport) -> dict[str, JSON]:
    return {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}


def _to_json(value: Any) -> JSON:
    match value:
        case Mapping():
            return {key: _to_json(one) for key, one in value.items()}
        case tuple():
            return [_to_json(one) for one in value]
        case ConditionRecord():
            return msgspec.structs.asdict(value)
        case ObjectSummary() | UnreadableObject():
            return _fields_to_json(value)
        case _:
            return value


def report_of(
    view: NodeView,
    devices: Store[DPUDevice],
    *,
    reflectors: Iterable[Reflector[Any]],  # Any: one of each kind
    namespace: str,
    now: str,
) -> HostReport | None:
    """Report a host; None if no object of it exists.

    Args:
        view: the current view of the host.
        devices: the current cache of DPUDevices.
        reflectors: the reflectors of both.
        namespace: the namespace of DPF.
        now: the current time, as RFC 3339.
    """
    listed = {name.lower(): name for name in view.device_names}
    wanted = {*listed, *(dpu.device.lower() for dpu in view.dpus)}
    found = [
        one for one in devices if one.name in wanted or one.labels.get(known.DPUNODE_NAME_LABEL) == view.name
    ]
    unreadable = {(obj.kind, obj.name): obj for obj in view.unreadable}
    unreadable |= {(DPUDevice, name): obj for name, obj in devices.unreadable.items() if name in wanted}
    if not (view.exists or found or view.dpus or view.maintenances or unreadable):
        return None
    existing = {one.name for one in found} | {name for kind, name in unreadable if kind is DPUDevice}
    healths = {reflector.feed.kind: reflector.health for reflector in reflectors}
    return HostReport(
        node=view.name,
        namespace=namespace,
        taken=now,
        dpu_node=None if view.node is None else _node(view, view.node),
        devices=tuple(_device(one) for one in sorted(found, key=lambda one: one.name)),
        dpus=tuple(_dpu(one) for one in view.dpus),
        maintenances=tuple(_maintenance(one) for one in view.maintenances),
        missing_devices=tuple(name for lower, name in listed.items() if lower not in existing),
        unreadable=tuple(map(_unreadable, unreadable.values())),
        versions=MappingProxyType({kind.KIND: health.resource_version for kind, health in healths.items()}),
        watch_problems=tuple(
            f"{kind.KIND}: the watch is {health.state}: {_shown(health.reason)}"
            for kind, health in healths.items()
            if health.reason
        ),
    )


# What each object waits for.


def _node(view: NodeView, state: ObjectState[DPUNode]) -> ObjectSummary:
    waiting = _deletion(state, "its DPUs and DPUDevices to be deleted")
    if not waiting and view.external_reboot_required:
        waiting = "an external reboot"
    facts = {
        "devices": device_names(state),
        "external_reboot_required": view.external_reboot_required,
    }
    return _summary(state, waiting or _unmet(state), facts)


def _device(state: ObjectState[DPUDevice]) -> ObjectSummary:
    waiting = _deletion(state, "its DPU to be deleted")
    ready = state.condition(known.DPUDeviceCondition.READY)
    if not waiting and (ready is None or ready.status != "True"):
        if known.DPUNODE_NAME_LABEL not in state.labels:
            waiting = "a DPUNode that lists it"
        waiting = _unmet(state) or waiting or "the operator to reconcile it"
    return _summary(state, waiting, {})


def _dpu(view: DPUView) -> ObjectSummary:
    waiting = _deletion(view.state, "the operator to remove what it created")
    if not waiting and not view.ready:
        waiting = f"{view.phase or 'a phase'}: {_unmet(view.state) or 'in progress'}"
    if not waiting and not view.services_ready:
        health = find_condition(view.operational_conditions, known.OperationalCondition.OPERATIONAL_READY)
        waiting = (
            _condition_text(health) if health is not None else known.OperationalCondition.OPERATIONAL_READY
        )
    return _summary(view.state, waiting, {"ready": view.ready, "services_ready": view.services_ready})


def _maintenance(view: MaintenanceView) -> ObjectSummary:
    requestors = f"{', '.join(view.requestors)} to release it" if view.requestors else ""
    waiting = _deletion(view.state, requestors or "its DPUNode to be deleted")
    if not waiting and view.held:
        waiting = "the release of the hold"
    if not waiting and not view.applied:
        waiting = _unmet(view.state) or "the operator to apply it"
    facts = {
        "requestors": view.requestors,
        "hold": view.is_hold,
        "held": view.held,
        "released": view.released,
        "applied": view.applied,
    }
    return _summary(view.state, waiting or requestors, facts)


def _deletion(state: ObjectState[Any], what: str) -> str:
    """What an object that is being deleted waits for; empty if it is not being deleted."""
    if not state.terminating:
        return ""
    held = ", ".join(state.record.metadata.finalizers or ())
    why = _unmet(state) if state.kind is DPU else ""
    return f"deletion: waits for {why or what}{f'; held by {held}' if held else ''}"


def _unmet(state: ObjectState[Any]) -> str:
    """A description of the condition that is not met; empty if there is none."""
    waiting = unmet(state)
    return _condition_text(waiting) if waiting is not None else ""


def _condition_text(one: ConditionRecord) -> str:
    if one.status == "True":
        return ""
    message = f": {_shown(one.message)}" if one.message else ""
    return f"{one.type} ({one.reason}{message})"


# What the report shows.


def _summary(state: ObjectState[Any], waiting: str, facts: Mapping[str, JSON]) -> ObjectSummary:
    meta, status = state.record.metadata, state.record.status
    document = json.loads(state.document)
    read = {name: _at(document, path) for name, path in _FACTS[state.kind].items()}
    return ObjectSummary(
        kind=state.kind.KIND,
        name=state.name,
        uid=state.uid,
        resource_version=state.resource_version,
        created=meta.creation_timestamp or "",
        deleting_since=meta.deletion_timestamp or "",
        finalizers=meta.finalizers or (),
        phase=state.phase,
        current=state.current,
        conditions=tuple(map(_clean, state.conditions)),
        operational_conditions=tuple(
            map(_clean, (status.operational_conditions or ()) if status is not None else ())
        ),
        labels=MappingProxyType(dict(state.labels)),
        annotations=MappingProxyType(
            {key: _annotation(key, text) for key, text in state.annotations.items()}
        ),
        facts=MappingProxyType({name: value for name, value in read.items() if value} | dict(facts)),
        waiting_for=waiting,
    )


def _unreadable(obj: Undecodable) -> UnreadableObject:
    return UnreadableObject(obj.kind.KIND, obj.name, obj.uid, printable(obj.error))


def _at(document: JSON, path: str) -> str:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return _shown(document) if isinstance(document, str) else ""


def _clean(one: ConditionRecord) -> ConditionRecord:
    return msgspec.structs.replace(one, message=None if one.message is None else _shown(one.message))


def _annotation(key: str, value: str) -> str:
    # kubectl stores complete objects in annotations, and other programs may store secrets.
    return _shown(value) if _OURS.fullmatch(key) else f"(not shown: {len(value)} characters)"


def _shown(text: str) -> str:
    """A text from another program, without the credentials of URLs."""
    return printable(_QUERY.sub(r"\1…", _USER.sub("…@", text)))

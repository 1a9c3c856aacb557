"""HostReport: everything DPF knows of one host at one moment, for whoever has to find out why it gets nowhere.

Pure. Taken from one joined picture between two awaits, so no object in it is of another moment than the others. Made to
be given away: of specs only what identifies things is here, and what may hold passwords is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dpf_async._api.codec import ObjectState, Undecodable, find_condition
from dpf_async._api.records import ConditionRecord
from dpf_async._api.text import printable
from dpf_async._transitions.view import DPUView, MaintenanceView, NodeView, device_names, unmet
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._watch.reflector import Reflector
    from dpf_async._watch.store import Store

JSON = Any  # a value as it is on the wire

_OURS: Final = re.compile(r"([a-z0-9-]+\.)*(nvidia\.com|feature\.node\.kubernetes\.io)/.*")
"""Keys of DPF's and Carbide's own annotations, whose values are known to be no secrets (dpf-facts 3.3)."""

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
"""What identifies an object and its surroundings, by kind: our name, and where it stands."""


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One object of a host in one state.

    Attributes:
        kind: such as "DPU".
        name: metadata.name.
        uid: metadata.uid.
        resource_version: metadata.resourceVersion.
        created: metadata.creationTimestamp.
        deleting_since: metadata.deletionTimestamp; empty if its deletion was not asked for.
        finalizers: what holds it.
        phase: status.phase; empty where the kind has none.
        current: the status speaks of the spec that stands.
        conditions: status.conditions.
        operational_conditions: status.operationalConditions, which only a DPU has.
        labels: metadata.labels.
        annotations: metadata.annotations; the values of those that are neither DPF's nor Carbide's are not shown.
        facts: what identifies it and its surroundings, by name: "bfb", "serial_number", "requestors".
        waiting_for: in words; empty if it waits for nothing.
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
        return {
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "resource_version": self.resource_version,
            "created": self.created,
            "deleting_since": self.deleting_since,
            "finalizers": list(self.finalizers),
            "phase": self.phase,
            "current": self.current,
            "conditions": [_condition(one) for one in self.conditions],
            "operational_conditions": [_condition(one) for one in self.operational_conditions],
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "facts": {
                name: list(fact) if isinstance(fact, tuple) else fact for name, fact in self.facts.items()
            },
            "waiting_for": self.waiting_for,
        }


@dataclass(frozen=True, slots=True)
class UnreadableObject:
    """An object of a host that exists and cannot be read. Its content is not here: nobody knows what is in it."""

    kind: str
    name: str
    uid: str
    error: str

    def to_dict(self) -> dict[str, JSON]:
        """The same as JSON."""
        return {"kind": self.kind, "name": self.name, "uid": self.uid, "error": self.error}


@dataclass(frozen=True, slots=True)
class HostReport:
    """Everything DPF knows of one host at one moment. `to_dict` is for a support ticket; no secrets are in it.

    Attributes:
        node: name of the DPUNode.
        namespace: where it is.
        taken: when, by the clock of this machine, as RFC 3339.
        dpu_node: the DPUNode; None if there is none that can be read.
        devices: the DPUDevices that it lists, that are labelled with it, or that a DPU of it refers to.
        dpus: the DPUs that refer to it.
        maintenances: the DPUNodeMaintenances that refer to it.
        missing_devices: the DPUDevices that it lists and that do not exist.
        unreadable: objects of it that exist and cannot be read.
        versions: of each picture this was taken from, by kind: the resourceVersion up to which it is complete.
        troubles: why pictures may be behind the server; empty if none is.
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
    troubles: tuple[str, ...]

    @property
    def waiting_for(self) -> Mapping[str, str]:
        """What the objects wait for, by "DPU node-1-device-1"; objects that wait for nothing are not here."""
        objects = (
            *((self.dpu_node,) if self.dpu_node else ()),
            *self.devices,
            *self.dpus,
            *self.maintenances,
        )
        return {f"{one.kind} {one.name}": one.waiting_for for one in objects if one.waiting_for}

    def to_dict(self) -> dict[str, JSON]:
        """The same as JSON."""
        return {
            "node": self.node,
            "namespace": self.namespace,
            "taken": self.taken,
            "dpu_node": self.dpu_node.to_dict() if self.dpu_node is not None else None,
            "devices": [one.to_dict() for one in self.devices],
            "dpus": [one.to_dict() for one in self.dpus],
            "maintenances": [one.to_dict() for one in self.maintenances],
            "missing_devices": list(self.missing_devices),
            "unreadable": [one.to_dict() for one in self.unreadable],
            "waiting_for": dict(self.waiting_for),
            "versions": dict(self.versions),
            "troubles": list(self.troubles),
        }


def take(
    view: NodeView,
    devices: Store[DPUDevice],
    *,
    pictures: Iterable[Reflector[Any]],  # Any: one of each kind
    namespace: str,
    now: str,
) -> HostReport | None:
    """The snapshot of a host; None if DPF knows nothing of it.

    Args:
        view: what refers to the host, as it is now.
        devices: all DPUDevices, as they are now.
        pictures: what both were taken from.
        namespace: where they are.
        now: the time.
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
    there = {one.name for one in found} | {name for kind, name in unreadable if kind is DPUDevice}
    kept = {picture.feed.kind: picture.health for picture in pictures}
    return HostReport(
        node=view.name,
        namespace=namespace,
        taken=now,
        dpu_node=None if view.node is None else _node(view, view.node),
        devices=tuple(_device(one) for one in sorted(found, key=lambda one: one.name)),
        dpus=tuple(_dpu(one) for one in view.dpus),
        maintenances=tuple(_maintenance(one) for one in view.maintenances),
        missing_devices=tuple(name for lower, name in listed.items() if lower not in there),
        unreadable=tuple(map(_unreadable, unreadable.values())),
        versions=MappingProxyType({kind.KIND: health.resource_version for kind, health in kept.items()}),
        troubles=tuple(
            f"{kind.KIND}: the watch is {health.state}: {_shown(health.reason)}"
            for kind, health in kept.items()
            if health.reason
        ),
    )


# What each waits for.


def _node(view: NodeView, state: ObjectState[DPUNode]) -> ObjectSummary:
    waiting = _leaving(state, "for its DPUs and DPUDevices to go")
    if not waiting and view.external_reboot_required:
        waiting = "an external reboot"
    facts = {
        "devices": device_names(state),
        "external_reboot_required": view.external_reboot_required,
    }
    return _summary(state, waiting or _unmet(state), facts)


def _device(state: ObjectState[DPUDevice]) -> ObjectSummary:
    waiting = _leaving(state, "for its DPU to go")
    ready = state.condition(known.DPUDeviceCondition.READY)
    if not waiting and (ready is None or ready.status != "True"):
        if known.DPUNODE_NAME_LABEL not in state.labels:
            waiting = "a DPUNode that lists it"
        waiting = _unmet(state) or waiting or "DPF to look at it"
    return _summary(state, waiting, {})


def _dpu(view: DPUView) -> ObjectSummary:
    waiting = _leaving(view.state, "for DPF to clean up after it")
    if not waiting and not view.ready:
        waiting = f"{view.phase or 'a phase'}: {_unmet(view.state) or 'under way'}"
    if not waiting and not view.services_ready:
        health = find_condition(view.operational_conditions, known.OperationalCondition.OPERATIONAL_READY)
        waiting = _told(health) if health is not None else known.OperationalCondition.OPERATIONAL_READY
    return _summary(view.state, waiting, {"ready": view.ready, "services_ready": view.services_ready})


def _maintenance(view: MaintenanceView) -> ObjectSummary:
    requestors = f"{', '.join(view.requestors)} to be done" if view.requestors else ""
    waiting = _leaving(view.state, requestors or "for its DPUNode's sake")
    if not waiting and view.held:
        waiting = "a release of the hold"
    if not waiting and not view.applied:
        waiting = _unmet(view.state) or "DPF to apply it"
    facts = {
        "requestors": view.requestors,
        "hold": view.is_hold,
        "held": view.held,
        "released": view.released,
        "applied": view.applied,
    }
    return _summary(view.state, waiting or requestors, facts)


def _leaving(state: ObjectState[Any], what: str) -> str:
    """What an object waits for that is being deleted; empty if it is not."""
    if not state.terminating:
        return ""
    held = ", ".join(state.record.metadata.finalizers or ())
    why = _unmet(state) if state.kind is DPU else ""
    return f"its deletion: {why or what}{f'; held by {held}' if held else ''}"


def _unmet(state: ObjectState[Any]) -> str:
    """The condition that is not as it should be, in words."""
    waiting = unmet(state)
    return _told(waiting) if waiting is not None else ""


def _told(one: ConditionRecord) -> str:
    if one.status == "True":
        return ""
    message = f": {_shown(one.message)}" if one.message else ""
    return f"{one.type} ({one.reason}{message})"


# What is shown.


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
    return ConditionRecord(
        type=one.type,
        status=one.status,
        reason=one.reason,
        message=None if one.message is None else _shown(one.message),
        last_transition_time=one.last_transition_time,
        observed_generation=one.observed_generation,
    )


def _condition(one: ConditionRecord) -> dict[str, JSON]:
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "last_transition_time": one.last_transition_time,
        "observed_generation": one.observed_generation,
    }


def _annotation(key: str, value: str) -> str:
    # kubectl keeps whole objects there, and nobody knows what others keep.
    return _shown(value) if _OURS.fullmatch(key) else f"(not shown: {len(value)} characters)"


def _shown(text: str) -> str:
    """A text by another hand, without the credentials that people put into URLs."""
    return printable(_QUERY.sub(r"\1…", _USER.sub("…@", text)))

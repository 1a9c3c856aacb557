"""Records: the fields of an object that every list and watch decodes.

A record has identity, versions, phase, conditions and the references between kinds, as the store, the views and the
transitions need them. One pass over the bytes decodes it; all other fields stay bytes until the caller requests the
full model. msgspec skips fields that are not declared here: an event of 5.7 kB takes 5 µs instead of 36 µs for the
full model (docs/watching.md#decoding). The garbage collector does not traverse records.

Decoding is lenient: a field may be absent or null. A declared field of another type makes the object undecodable.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec


class _Part(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """Base of the parts of a record: immutable, and not tracked by the garbage collector."""


class ConditionRecord(_Part, frozen=True, gc=False):
    """One entry of status.conditions or status.operationalConditions (metav1.Condition)."""

    type: str
    status: str = "Unknown"
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None
    observed_generation: int | None = None


class MetaRecord(_Part, frozen=True, gc=False):
    """The fields of metadata that identity, versions, selection and the two handshakes need."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class StatusRecord(_Part, frozen=True, gc=False):
    """The fields of status, of any kind, that a wait can depend on."""

    phase: str | None = None
    previous_phase: str | None = None
    conditions: tuple[ConditionRecord, ...] | None = None
    operational_conditions: tuple[ConditionRecord, ...] | None = None
    observed_generation: int | None = None
    post_provisioning_node_effect: bool | None = None


class Record(_Part, frozen=True, gc=False):
    """An object of any kind."""

    metadata: MetaRecord
    status: StatusRecord | None = None


class DPUSpecRecord(_Part, frozen=True, gc=False):
    """DPU.spec: its DPUNode and DPUDevice, and the BFB and flavor it was provisioned with."""

    dpu_node_name: str = ""
    dpu_device_name: str = ""
    bfb: str | None = None
    dpu_flavor: str | None = None


class DPURecord(Record, frozen=True, gc=False):
    """A DPU."""

    spec: DPUSpecRecord | None = None


class DeviceReference(_Part, frozen=True, gc=False):
    """One entry of DPUNode.spec.dpus."""

    name: str = ""


class DPUNodeSpecRecord(_Part, frozen=True, gc=False):
    """DPUNode.spec: the DPUDevices of the host."""

    dpus: tuple[DeviceReference, ...] | None = None


class DPUNodeRecord(Record, frozen=True, gc=False):
    """A DPUNode."""

    spec: DPUNodeSpecRecord | None = None


class NodeEffectRecord(_Part, frozen=True, gc=False):
    """DPUNodeMaintenance.spec.nodeEffect: whether it is a hold."""

    hold: bool | None = None


class MaintenanceSpecRecord(_Part, frozen=True, gc=False):
    """DPUNodeMaintenance.spec: the DPUNode, the node effect, and the DPUs that requested it."""

    dpu_node_name: str = ""
    node_effect: NodeEffectRecord | None = None
    requestor: tuple[str, ...] | None = None


class MaintenanceRecord(Record, frozen=True, gc=False):
    """A DPUNodeMaintenance."""

    spec: MaintenanceSpecRecord | None = None


RECORDS: Final[dict[str, type[Record]]] = {
    "DPU": DPURecord,
    "DPUNode": DPUNodeRecord,
    "DPUNodeMaintenance": MaintenanceRecord,
}
"""Kinds whose record has more fields than Record."""

R = TypeVar("R", bound=Record)


class Envelope(msgspec.Struct, Generic[R], gc=False, frozen=True):
    """One line of a watch."""

    type: str
    object: R

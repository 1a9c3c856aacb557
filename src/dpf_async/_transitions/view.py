"""What is true of a DPU, of a maintenance, of a node: frozen views over the states that the server has shown.

Pure. A view never mixes two incarnations: it holds the states themselves, each with its uid. Objects are joined by
reference (`spec.dpuNodeName`, `DPUNode.spec.dpus`), never by composing names that another controller makes up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from dpf_async._api.codec import ObjectState, Undecodable, find_condition
from dpf_async._api.records import ConditionRecord, DPUNodeRecord, DPURecord, MaintenanceRecord
from dpf_async._api.text import printable
from dpf_async.models import (
    BFB,
    DPU,
    BFBPhase,
    DPUDeployment,
    DPUDevice,
    DPUNode,
    DPUNodeMaintenance,
    DPUPhase,
    Resource,
    known,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FALSE_WORDS: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_TRUE_WORDS: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
"""What Go's strconv.ParseBool takes; the hold annotation is read with it (dpf-facts 3.3)."""


class DPUView(msgspec.Struct, frozen=True, gc=False):
    """One DPU in one state."""

    state: ObjectState[DPU]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.state.record.metadata.name

    @property
    def uid(self) -> str:
        """metadata.uid: a reprovisioned DPU has the same name and another uid."""
        return self.state.record.metadata.uid

    @property
    def node(self) -> str:
        """Name of the DPUNode it belongs to."""
        return node_of_dpu(self.state)

    @property
    def device(self) -> str:
        """Name of the DPUDevice it runs on."""
        record = self.state.record
        return record.spec.dpu_device_name if isinstance(record, DPURecord) and record.spec else ""

    @property
    def bfb(self) -> str:
        """Name of the BFB it was, or is being, provisioned with."""
        record = self.state.record
        return (record.spec.bfb or "") if isinstance(record, DPURecord) and record.spec else ""

    @property
    def flavor(self) -> str:
        """Name of the DPUFlavor it was, or is being, provisioned with."""
        record = self.state.record
        return (record.spec.dpu_flavor or "") if isinstance(record, DPURecord) and record.spec else ""

    @property
    def phase(self) -> DPUPhase:
        """status.phase; an unknown one is a value like any other."""
        return DPUPhase(self.state.phase)

    @property
    def previous_phase(self) -> DPUPhase:
        """status.previousPhase; empty if there is none."""
        status = self.state.record.status
        return DPUPhase((status.previous_phase or "") if status is not None else "")

    @property
    def conditions(self) -> tuple[ConditionRecord, ...]:
        """status.conditions, in the order of first writing."""
        return self.state.conditions

    @property
    def operational_conditions(self) -> tuple[ConditionRecord, ...]:
        """status.operationalConditions: the health of services, interfaces and chains, apart from the phase."""
        status = self.state.record.status
        return (status.operational_conditions or ()) if status is not None else ()

    @property
    def terminating(self) -> bool:
        """Deletion was asked for."""
        return self.state.terminating

    @property
    def ready(self) -> bool:
        """Provisioned and up, as the operator says of this very object and its present spec.

        The phase alone stays Ready when the DPU's Node fails, the condition alone stays True through later phases
        and through deletion (dpf-facts 2.3, key finding 9).
        """
        state = self.state
        if state.phase != DPUPhase.READY or state.terminating or not state.current:
            return False
        condition = state.condition(known.DPUCondition.READY)
        return condition is not None and condition.status == "True"

    @property
    def failed(self) -> bool:
        """In phase Error, from which only deletion leads, and not being deleted yet."""
        return self.state.phase == DPUPhase.ERROR and not self.state.terminating

    @property
    def failure(self) -> ConditionRecord | None:
        """The condition that tells why the DPU failed: the one the failed phase wrote, never `Error` itself.

        Conditions stand in the order of first writing, and everything before the failed phase succeeded
        (dpf-facts 2.3): the last False one is the cause.
        """
        if self.state.phase != DPUPhase.ERROR:
            return None
        found = None
        for condition in self.conditions:
            if condition.status == "False" and condition.type != known.DPUCondition.READY:
                found = condition
        return found

    @property
    def services_ready(self) -> bool:
        """OperationalReady is True: critical and other pods, interfaces, chains and the node's health."""
        condition = find_condition(self.operational_conditions, known.OperationalCondition.OPERATIONAL_READY)
        return condition is not None and condition.status == "True"

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of that type in status.conditions."""
        return self.state.condition(type_)

    @property
    def object(self) -> DPU:
        """The full model, decoded on each access.

        Raises:
            DecodeError: something in it is not what the model says.
        """
        return self.state.object


class MaintenanceView(msgspec.Struct, frozen=True, gc=False):
    """One DPUNodeMaintenance in one state: the node effect that the DPUs of a node share."""

    state: ObjectState[DPUNodeMaintenance]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.state.name

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self.state.uid

    @property
    def is_hold(self) -> bool:
        """The effect is a hold: somebody outside decides when the node may be disturbed."""
        record = self.state.record
        effect = record.spec.node_effect if isinstance(record, MaintenanceRecord) and record.spec else None
        return effect is not None and effect.hold is True

    @property
    def requestors(self) -> tuple[str, ...]:
        """spec.requestor: the DPUs and services that still need the effect; it ends when all have left."""
        record = self.state.record
        return (record.spec.requestor or ()) if isinstance(record, MaintenanceRecord) and record.spec else ()

    @property
    def applied(self) -> bool:
        """NodeEffectApplied is True. It stays so for the rest of the object's life (dpf-facts 5)."""
        condition = self.state.condition(known.DPUNodeMaintenanceCondition.NODE_EFFECT_APPLIED)
        return condition is not None and condition.status == "True"

    @property
    def held(self) -> bool:
        """The operator asks, and waits: may the node be disturbed?

        The annotation is there and true. Before the operator has put it there nobody has asked yet; once the effect
        was applied the annotation means nothing any more (dpf-facts 3.3, 5).
        """
        if not self.is_hold or self.state.terminating or self.applied:
            return False
        return self.state.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT) in _TRUE_WORDS

    @property
    def released(self) -> bool:
        """The answer was given: the annotation is there and false."""
        return self.state.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT) in _FALSE_WORDS

    @property
    def object(self) -> DPUNodeMaintenance:
        """The full model, decoded on each access.

        Raises:
            DecodeError: something in it is not what the model says.
        """
        return self.state.object


_ACCEPTED: Final = (
    known.DPUDeploymentCondition.PREREQUISITES_READY,
    known.DPUDeploymentCondition.RESOURCE_FITTING_READY,
    known.DPUDeploymentCondition.VERSION_MATCHING_READY,
    known.DPUDeploymentCondition.DPU_SERVICES_RECONCILED,
    known.DPUDeploymentCondition.DPU_SERVICE_INTERFACES_RECONCILED,
    known.DPUDeploymentCondition.DPU_SERVICE_CHAINS_RECONCILED,
    known.DPUDeploymentCondition.DPU_SETS_RECONCILED,
)
"""What must be True of a DPUDeployment before DPUs can come of it, in the operator's order (dpf-facts 7.1)."""


class DeploymentView(msgspec.Struct, frozen=True, gc=False):
    """One DPUDeployment in one state."""

    state: ObjectState[DPUDeployment]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.state.name

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self.state.uid

    @property
    def terminating(self) -> bool:
        """Deletion was asked for."""
        return self.state.terminating

    @property
    def accepted(self) -> bool:
        """The operator has made, of the spec that stands, everything that DPUs can come of.

        With no DPUNodes that is all there is to see: zero DPUs (dpf-facts 7.1).
        """
        return not self.state.terminating and self.waiting_for is None

    @property
    def ready(self) -> bool:
        """Its DPUs, services, interfaces and chains are all ready, as far as there are any."""
        return self.accepted and self._holds(known.DPUDeploymentCondition.READY)

    @property
    def waiting_for(self) -> str | None:
        """What stands between it and being accepted, in words; None if nothing does."""
        if not self.state.current or self.state.record.status is None:
            return "the operator to look at the present spec"
        for type_ in _ACCEPTED:
            if not self._holds(type_):
                condition = self.state.condition(type_)
                if condition is None:
                    return type_
                return f"{type_} ({condition.reason}{': ' + condition.message if condition.message else ''})"
        return None

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of that type."""
        return self.state.condition(type_)

    @property
    def object(self) -> DPUDeployment:
        """The full model, decoded on each access.

        Raises:
            DecodeError: something in it is not what the model says.
        """
        return self.state.object

    def _holds(self, type_: str) -> bool:
        condition = self.state.condition(type_)
        if condition is None or condition.status != "True":
            return False
        generation = self.state.record.metadata.generation
        seen = condition.observed_generation
        return seen is None or generation is None or seen >= generation


class BFBView(msgspec.Struct, frozen=True, gc=False):
    """One BFB in one state."""

    state: ObjectState[BFB]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.state.name

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self.state.uid

    @property
    def phase(self) -> BFBPhase:
        """status.phase."""
        return BFBPhase(self.state.phase)

    @property
    def ready(self) -> bool:
        """Downloaded, and not on its way out."""
        return self.state.phase == BFBPhase.READY and not self.state.terminating

    @property
    def failed(self) -> bool:
        """The download failed."""
        return self.state.phase == BFBPhase.ERROR


class DeviceFault(NamedTuple):
    """Why the operator cannot make a DPUDevice Ready, in its own words. It keeps trying (dpf-facts 4).

    `type` is the condition that says so, such as Initialized for a BMC that refuses the password, or Discovered for
    one that has another serial number.
    """

    device: str
    type: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"DPUDevice {self.device}: {self.type} failed, {self.reason}: {self.message}"


def device_ready(state: ObjectState[DPUDevice]) -> bool:
    """The operator has found a DPUDevice to be as it was registered, and can work with its BMC."""
    condition = state.condition(known.DPUDeviceCondition.READY)
    return condition is not None and condition.status == "True" and not state.terminating


def device_fault(state: ObjectState[DPUDevice]) -> DeviceFault | None:
    """What is wrong with a DPUDevice that is not Ready; None as long as it may just take its time."""
    if device_ready(state) or state.terminating:
        return None
    for type_, bad in _FAULTS:
        condition = state.condition(type_)
        if (
            condition is not None
            and condition.status == bad
            and condition.reason != known.CommonReason.PENDING
        ):
            return DeviceFault(state.name, type_, condition.reason or "", condition.message or "")
    return None


_FAULTS: Final = (
    (known.DPUDeviceCondition.INITIALIZED, "False"),
    (known.DPUDeviceCondition.DISCOVERED, "False"),
    (known.DPUDeviceCondition.ERROR, "True"),
    (known.DPUDeviceCondition.READY, "False"),
)
"""Conditions that say what is wrong with a device, the most telling first, and the status with which they do."""


class NodeView(msgspec.Struct, frozen=True, gc=False):
    """One host: its DPUNode, and everything that refers to it.

    Attributes:
        name: of the DPUNode.
        node: the DPUNode; None if there is none of that name.
        devices: the DPUDevices that its spec lists and that exist, in the order of the list.
        dpus: the DPUs whose spec.dpuNodeName it is, by name.
        maintenances: the DPUNodeMaintenances whose spec.dpuNodeName it is, by name.
        unreadable: those of all these that exist and cannot be read; they are in none of the other fields. A DPU or
            DPUNodeMaintenance that never could be read is not known to be of this node.
    """

    name: str
    node: ObjectState[DPUNode] | None
    devices: tuple[ObjectState[DPUDevice], ...]
    dpus: tuple[DPUView, ...]
    maintenances: tuple[MaintenanceView, ...]
    unreadable: tuple[Undecodable, ...] = ()

    @property
    def exists(self) -> bool:
        """There is a DPUNode of that name, be it one that cannot be read."""
        return self.uid != ""

    @property
    def uid(self) -> str:
        """metadata.uid of the DPUNode; empty if there is none."""
        if self.node is not None:
            return self.node.uid
        return next((obj.uid for obj in self.unreadable if obj.kind is DPUNode), "")

    @property
    def terminating(self) -> bool:
        """The DPUNode's deletion was asked for: its DPUs and DPUDevices go with it (dpf-facts 8)."""
        return self.node is not None and self.node.terminating

    @property
    def device_names(self) -> tuple[str, ...]:
        """spec.dpus: the names of the devices the node is said to carry."""
        return device_names(self.node) if self.node is not None else ()

    @property
    def uids(self) -> Mapping[str, str]:
        """Uid of each DPU, by its name: what `reprovision` is given to know which DPUs are the old ones."""
        return {dpu.name: dpu.uid for dpu in self.dpus}

    @property
    def ready(self) -> bool:
        """Every device of the node has a DPU, and every one of them is ready."""
        node = self.node
        if node is None or node.terminating or any(obj.kind is DPU for obj in self.unreadable):
            return False
        wanted = {name.lower() for name in device_names(node)}
        ready = {dpu.device.lower() for dpu in self.dpus if dpu.ready}
        return bool(wanted) and wanted <= ready and all(dpu.ready for dpu in self.dpus)

    @property
    def discovered(self) -> bool:
        """The operator has taken the DPUNode up, and every device that it lists is Ready.

        The DPUNode's own Ready need not be True: it is False as soon as a DPU asks whether the host may be disturbed,
        and says nothing else (dpf-facts 3.1).
        """
        node = self.node
        if node is None or node.terminating or node.condition(known.DPUNodeCondition.READY) is None:
            return False
        return len(self.devices) == len(self.device_names) and all(map(device_ready, self.devices))

    @property
    def device_faults(self) -> tuple[DeviceFault, ...]:
        """What is wrong with the node's devices, as far as the operator says so."""
        return tuple(fault for fault in map(device_fault, self.devices) if fault is not None)

    @property
    def services_ready(self) -> bool:
        """Every DPU of the node reports all its services ready."""
        unreadable = any(obj.kind is DPU for obj in self.unreadable)
        return bool(self.dpus) and not unreadable and all(dpu.services_ready for dpu in self.dpus)

    @property
    def external_reboot_required(self) -> bool:
        """The operator asks, and waits: reboot the host.

        Both signs must stand: the annotation, whose presence is the question, and the condition, which the operator
        writes once it will see the answer. With the annotation alone the operator may still be about to look
        (dpf-facts 3.4).
        """
        node = self.node
        if node is None or node.terminating or known.EXTERNAL_REBOOT_REQUIRED not in node.annotations:
            return False
        condition = node.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
        return (
            condition is not None
            and condition.status == "True"
            and condition.reason == known.DPUNodeReason.WAIT_FOR_EXTERNAL_REBOOT
        )

    @property
    def hold(self) -> MaintenanceView | None:
        """The maintenance that waits for a release; None if none does."""
        return next((maintenance for maintenance in self.maintenances if maintenance.held), None)

    @property
    def failed_dpus(self) -> tuple[DPUView, ...]:
        """The DPUs in phase Error."""
        return tuple(dpu for dpu in self.dpus if dpu.failed)

    @property
    def phases(self) -> Mapping[str, DPUPhase]:
        """Phase of each DPU, by its name."""
        return {dpu.name: dpu.phase for dpu in self.dpus}

    def dpu(self, name: str) -> DPUView | None:
        """The DPU of that name."""
        return next((dpu for dpu in self.dpus if dpu.name == name), None)

    def dpu_of(self, device: str) -> DPUView | None:
        """The DPU that DPF made of a DPUDevice; None as long as there is none."""
        return next((dpu for dpu in self.dpus if dpu.device == device), None)

    def condition(self, type_: str) -> ConditionRecord | None:
        """The DPUNode's condition of that type."""
        return self.node.condition(type_) if self.node is not None else None

    @property
    def object(self) -> DPUNode | None:
        """The DPUNode's full model, decoded on each access; None if there is none.

        Raises:
            DecodeError: something in it is not what the model says.
        """
        return self.node.object if self.node is not None else None


def as_last_read(before: NodeView | None, after: NodeView) -> NodeView:
    """The later view, with what cannot be read in it standing as it did before: nothing is known to have happened."""
    if before is None or not after.unreadable:
        return after
    uids = {obj.uid for obj in after.unreadable}
    return NodeView(
        name=after.name,
        node=before.node if before.uid in uids else after.node,
        devices=(*after.devices, *(device for device in before.devices if device.uid in uids)),
        dpus=(*after.dpus, *(dpu for dpu in before.dpus if dpu.uid in uids)),
        maintenances=(*after.maintenances, *(one for one in before.maintenances if one.uid in uids)),
        unreadable=after.unreadable,
    )


def node_of_dpu(state: ObjectState[DPU]) -> str:
    """The node a DPU refers to; empty if it refers to none."""
    record = state.record
    return record.spec.dpu_node_name if isinstance(record, DPURecord) and record.spec is not None else ""


def node_of_maintenance(state: ObjectState[DPUNodeMaintenance]) -> str:
    """The node a maintenance refers to; empty if it refers to none."""
    record = state.record
    return (
        record.spec.dpu_node_name if isinstance(record, MaintenanceRecord) and record.spec is not None else ""
    )


def device_names(state: ObjectState[DPUNode]) -> tuple[str, ...]:
    """The devices a node lists."""
    record = state.record
    spec = record.spec if isinstance(record, DPUNodeRecord) else None
    return tuple(reference.name for reference in (spec.dpus or ())) if spec is not None else ()


def describe(view: NodeView | DPUView) -> str:
    """One clause for messages: what a person on call wants to know first."""
    if isinstance(view, DPUView):
        return _describe_dpu(view)
    if not view.exists:
        return f"there is no DPUNode {view.name}"
    phases = ", ".join(f"{dpu.name} {_describe_dpu(dpu)}" for dpu in view.dpus) or "no DPUs yet"
    extra = "".join(
        f"; {obj.kind.KIND} {obj.name} cannot be read: {printable(obj.error, 200)}" for obj in view.unreadable
    )
    extra += "".join(f"; {words}" for words in _describe_devices(view))
    extra += "".join(f"; {words}" for words in _describe_requestors(view))
    if view.hold is not None:
        extra += "; held, waiting for a release"
    if view.external_reboot_required:
        extra += "; waiting for an external reboot"
    if view.terminating:
        extra += "; being deleted"
    return f"phases: {phases}{extra}"


def describe_deployment(view: DeploymentView) -> str:
    """The same for a DPUDeployment."""
    if view.terminating:
        return "it is being deleted"
    return f"it waits for {view.waiting_for}" if view.waiting_for else "it is accepted"


def describe_object(view: ObjectState[Resource]) -> str:
    """The same for an object of any kind."""
    words = f"phase {view.phase}" if view.phase else "it exists"
    return words + _because(view) + _leaving(view)


def describe_maintenance(view: ObjectState[DPUNodeMaintenance]) -> str:
    """The same for a DPUNodeMaintenance: whoever still asks for it keeps it."""
    requestors = MaintenanceView(view).requestors
    asked = f"; asked for by {', '.join(requestors)}" if requestors else "; nobody asks for it any more"
    return f"it exists{_because(view)}{asked}{_leaving(view)}"


def _describe_devices(view: NodeView) -> Iterator[str]:
    """What stands between devices and a DPU that can be installed; nothing of those whose DPU got beyond that."""
    beyond = {dpu.device.lower() for dpu in view.dpus if dpu.phase not in BEFORE_INSTALLATION}
    found = {device.name.lower(): device for device in view.devices}
    for name in view.device_names:
        device = found.get(name.lower())
        if device is None and not any(obj.kind is DPUDevice for obj in view.unreadable):
            yield f"there is no DPUDevice {name}"
        elif device is None or name.lower() in beyond:
            continue
        elif (fault := device_fault(device)) is not None:
            yield printable(str(fault), 300)
        elif device.terminating:
            yield f"DPUDevice {name}{_leaving(device)}"
        elif not device_ready(device):
            yield f"DPUDevice {name} is not Ready yet{_because(device)}"


def _describe_requestors(view: NodeView) -> Iterator[str]:
    """Who keeps DPUs from leaving Node Effect Removal; a service asks as `<namespace>_<deployment>_<DPUService>`."""
    if all(dpu.phase != DPUPhase.NODE_EFFECT_REMOVAL for dpu in view.dpus):
        return
    for maintenance in view.maintenances:
        if maintenance.requestors:
            names = printable(", ".join(maintenance.requestors), 300)
            yield f"DPUNodeMaintenance {maintenance.name} is still needed by {names}"


BEFORE_INSTALLATION: Final = frozenset(
    (
        "",
        DPUPhase.INITIALIZING,
        DPUPhase.PENDING,
        DPUPhase.NODE_EFFECT,
        DPUPhase.INITIALIZE_INTERFACE,
    )
)
"""Phases in which a DPU still needs its DPUDevice to become Ready (dpf-facts 2.3)."""


def _describe_dpu(view: DPUView) -> str:
    words = str(view.phase) or "without a phase"
    if view.terminating:
        waits = _busy_installing(view) if view.phase in UNDELETABLE else _because(view.state)
        return words + waits + _leaving(view.state)
    words += _because(view.state)
    return words + (_describe_services(view) if view.phase in _WITH_SERVICES else "")


def _busy_installing(view: DPUView) -> str:
    prepared = view.condition(known.DPUCondition.BFB_PREPARED)
    is_prepared = prepared is not None and prepared.status == "True"
    since = f" after {prepared.last_transition_time}" if prepared is not None and is_prepared else ""
    return (
        " (DPF deletes no DPU while it installs the OS: it goes when that is over, or has timed out,"
        f" by default 45 min{since})"
    )


UNDELETABLE: Final = frozenset((DPUPhase.PREPARE_BFB, DPUPhase.OS_INSTALLING))
"""Phases in which the operator does not act upon a DPU's deletion (dpf-facts 2.2, 8)."""


_WITH_SERVICES: Final = frozenset((DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY))
"""Phases in which it matters which services run (dpf-facts 2.3, 11)."""


def _describe_services(view: DPUView) -> str:
    ailing = [
        condition
        for condition in view.operational_conditions
        if condition.status != "True" and condition.type != known.OperationalCondition.OPERATIONAL_READY
    ]
    return "".join(
        f", {condition.type} is {condition.status} ({condition.reason}: {printable(condition.message or '', 200)})"
        for condition in ailing
    )


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
"""Conditions that tell of trouble by being True (dpf-facts 3.1, 4)."""


def unmet(state: ObjectState[Any]) -> ConditionRecord | None:
    """The condition that says what an object waits for: the last one that is not as it should be."""
    good = _GOOD_WHEN_FALSE.get(state.kind, frozenset())
    return next((c for c in reversed(state.conditions) if c.status == "False" and c.type not in good), None)


def _because(state: ObjectState[Any]) -> str:
    waiting = unmet(state)
    if waiting is None or not waiting.reason:
        return ""
    detail = f": {printable(waiting.message, 200)}" if state.terminating and waiting.message else ""
    return f" ({waiting.type}: {waiting.reason}{detail})"


def _leaving(state: ObjectState[Any]) -> str:
    if not state.terminating:
        return ""
    held = ", ".join(state.record.metadata.finalizers or ())
    return f", being deleted, held by {held}" if held else ", being deleted"

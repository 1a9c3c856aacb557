"""DPUView: the frozen state of one DPU."""

from __future__ import annotations

from typing import Final

import msgspec

from dpf_async._api.codec import ObjectState, find_condition
from dpf_async._api.records import ConditionRecord, DPURecord
from dpf_async.models import DPU, DPUPhase, known

BEFORE_INSTALLATION: Final = frozenset(
    (
        "",
        DPUPhase.INITIALIZING,
        DPUPhase.PENDING,
        DPUPhase.NODE_EFFECT,
        DPUPhase.INITIALIZE_INTERFACE,
    )
)
"""Phases in which a DPU still needs its DPUDevice to become Ready (docs/dpf/phases.md#device-dependent-phases)."""

UNDELETABLE: Final = frozenset((DPUPhase.PREPARE_BFB, DPUPhase.OS_INSTALLING))
"""Phases in which the operator ignores the deletion of a DPU (docs/dpf/phases.md#ignored-deletion)."""


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
        """spec.dpuNodeName: the DPUNode that it belongs to."""
        return node_of_dpu(self.state)

    @property
    def device(self) -> str:
        """spec.dpuDeviceName: the DPUDevice that it runs on."""
        record = self.state.record
        return record.spec.dpu_device_name if isinstance(record, DPURecord) and record.spec else ""

    @property
    def bfb(self) -> str:
        """spec.bfb: the BFB that it was, or is being, provisioned with."""
        record = self.state.record
        return (record.spec.bfb or "") if isinstance(record, DPURecord) and record.spec else ""

    @property
    def flavor(self) -> str:
        """spec.dpuFlavor: the DPUFlavor that it was, or is being, provisioned with."""
        record = self.state.record
        return (record.spec.dpu_flavor or "") if isinstance(record, DPURecord) and record.spec else ""

    @property
    def phase(self) -> DPUPhase:
        """status.phase; a phase that this release does not define is a value like any other."""
        return DPUPhase(self.state.phase)

    @property
    def previous_phase(self) -> DPUPhase:
        """status.previousPhase; empty if it is not set."""
        status = self.state.record.status
        return DPUPhase((status.previous_phase or "") if status is not None else "")

    @property
    def conditions(self) -> tuple[ConditionRecord, ...]:
        """status.conditions, in the order in which they were first written."""
        return self.state.conditions

    @property
    def operational_conditions(self) -> tuple[ConditionRecord, ...]:
        """status.operationalConditions: the health of services, interfaces and chains, independent of the phase."""
        status = self.state.record.status
        return (status.operational_conditions or ()) if status is not None else ()

    @property
    def terminating(self) -> bool:
        """metadata.deletionTimestamp is set."""
        return self.state.terminating

    @property
    def ready(self) -> bool:
        """In phase Ready with condition Ready True for the current generation, and not being deleted.

        The phase alone stays Ready when the DPU's Node fails; the condition alone stays True through later phases
        and through deletion (docs/dpf/conditions.md#what-to-trust, docs/dpf/conditions.md#osinstalled).
        """
        state = self.state
        if state.phase != DPUPhase.READY or state.terminating or not state.current:
            return False
        condition = state.condition(known.DPUCondition.READY)
        return condition is not None and condition.status == "True"

    @property
    def failed(self) -> bool:
        """In phase Error, which a DPU leaves only by deletion, and not being deleted yet."""
        return self.state.phase == DPUPhase.ERROR and not self.state.terminating

    @property
    def failure(self) -> ConditionRecord | None:
        """The condition that explains phase Error, written by the phase that failed; None in other phases.

        It is the last condition with status False: conditions are in the order in which they were first written, and
        all phases before the failed one succeeded (docs/dpf/conditions.md#cause-of-error).
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
        """The condition of this type in status.conditions."""
        return self.state.condition(type_)

    @property
    def object(self) -> DPU:
        """The full model, decoded on each access.

        Raises:
            DecodeError: a field does not match the model.
        """
        return self.state.object


def node_of_dpu(state: ObjectState[DPU]) -> str:
    """spec.dpuNodeName of a DPU; empty if it is not set."""
    record = state.record
    return record.spec.dpu_node_name if isinstance(record, DPURecord) and record.spec is not None else ""

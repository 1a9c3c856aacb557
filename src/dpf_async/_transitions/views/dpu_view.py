"""DPUView: the frozen state of one DPU."""

from __future__ import annotations

from typing import Final

from dpf_async._api.codec import ObjectState, find_condition
from dpf_async._api.records import ConditionRecord, DPURecord
from dpf_async._transitions.views.object_view import ObjectView
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


class DPUView(ObjectView[DPU], frozen=True, gc=False):
    """One DPU in one state."""

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
    def operational_conditions(self) -> tuple[ConditionRecord, ...]:
        """status.operationalConditions: the health of services, interfaces and chains, independent of the phase."""
        status = self.state.record.status
        return (status.operational_conditions or ()) if status is not None else ()

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


def node_of_dpu(state: ObjectState[DPU]) -> str:
    """spec.dpuNodeName of a DPU; empty if it is not set."""
    record = state.record
    return record.spec.dpu_node_name if isinstance(record, DPURecord) and record.spec is not None else ""

"""MaintenanceView: the frozen state of one DPUNodeMaintenance."""

from __future__ import annotations

from typing import Final

from dpf_async._api.codec import ObjectState
from dpf_async._api.records import MaintenanceRecord
from dpf_async._transitions.views.object_view import ObjectView
from dpf_async.models import DPUNodeMaintenance, known

_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
"""Values that Go's strconv.ParseBool accepts; the operator reads the hold annotation with it.

Source: docs/dpf/keys.md#hold-annotation.
"""


class MaintenanceView(ObjectView[DPUNodeMaintenance], frozen=True, gc=False):
    """One DPUNodeMaintenance in one state: the node effect that the DPUs of a host share."""

    @property
    def is_hold(self) -> bool:
        """spec.nodeEffect is a hold: an external client decides when the host may be disrupted."""
        record = self.state.record
        effect = record.spec.node_effect if isinstance(record, MaintenanceRecord) and record.spec else None
        return effect is not None and effect.hold is True

    @property
    def requestors(self) -> tuple[str, ...]:
        """spec.requestor: the DPUs and services that still need the effect.

        The object is deleted after the last one was removed.
        """
        record = self.state.record
        return (record.spec.requestor or ()) if isinstance(record, MaintenanceRecord) and record.spec else ()

    @property
    def applied(self) -> bool:
        """NodeEffectApplied is True. It stays True until the object is deleted (docs/dpf/hold.md#once-applied)."""
        condition = self.state.condition(known.DPUNodeMaintenanceCondition.NODE_EFFECT_APPLIED)
        return condition is not None and condition.status == "True"

    @property
    def held(self) -> bool:
        """The operator waits for the release of the hold before it disrupts the host.

        The annotation is set to true. While it is not set, the operator has not requested a release yet; once the
        effect was applied, the annotation has no effect (docs/dpf/keys.md#hold-annotation,
        docs/dpf/hold.md#once-applied).
        """
        if not self.is_hold or self.state.terminating or self.applied:
            return False
        return self.state.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT) in _TRUE

    @property
    def released(self) -> bool:
        """The hold was released: the annotation is set to false."""
        return self.state.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT) in _FALSE


def node_of_maintenance(state: ObjectState[DPUNodeMaintenance]) -> str:
    """spec.dpuNodeName of a DPUNodeMaintenance; empty if it is not set."""
    record = state.record
    return (
        record.spec.dpu_node_name if isinstance(record, MaintenanceRecord) and record.spec is not None else ""
    )

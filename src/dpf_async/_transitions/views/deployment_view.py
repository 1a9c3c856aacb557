"""DeploymentView and BFBView: the frozen states of one DPUDeployment and of one BFB."""

from __future__ import annotations

from typing import Final

from dpf_async._transitions.views.object_view import ObjectView
from dpf_async.models import BFB, BFBPhase, DPUDeployment, known

_ACCEPTED: Final = (
    known.DPUDeploymentCondition.PREREQUISITES_READY,
    known.DPUDeploymentCondition.RESOURCE_FITTING_READY,
    known.DPUDeploymentCondition.VERSION_MATCHING_READY,
    known.DPUDeploymentCondition.DPU_SERVICES_RECONCILED,
    known.DPUDeploymentCondition.DPU_SERVICE_INTERFACES_RECONCILED,
    known.DPUDeploymentCondition.DPU_SERVICE_CHAINS_RECONCILED,
    known.DPUDeploymentCondition.DPU_SETS_RECONCILED,
)
"""Conditions of a DPUDeployment that must be True before it creates DPUs, in the operator's order.

Source: docs/dpf/deployments.md#creation-order.
"""


class DeploymentView(ObjectView[DPUDeployment], frozen=True, gc=False):
    """One DPUDeployment in one state."""

    @property
    def accepted(self) -> bool:
        """The operator has created, from the current spec, every object that it creates DPUs from.

        A DPUDeployment that selects no DPUNodes is accepted with zero DPUs (docs/dpf/deployments.md#empty-site).
        """
        return not self.state.terminating and self.waiting_for is None

    @property
    def ready(self) -> bool:
        """Accepted, and all of its DPUs, services, interfaces and chains are ready; there may be zero of them."""
        return self.accepted and self._holds(known.DPUDeploymentCondition.READY)

    @property
    def waiting_for(self) -> str | None:
        """The first thing that is missing before it is accepted, as a phrase; None if nothing is missing."""
        if not self.state.current or self.state.record.status is None:
            return "the operator to reconcile the current spec"
        for type_ in _ACCEPTED:
            if not self._holds(type_):
                condition = self.state.condition(type_)
                if condition is None:
                    return type_
                return f"{type_} ({condition.reason}{': ' + condition.message if condition.message else ''})"
        return None

    def _holds(self, type_: str) -> bool:
        condition = self.state.condition(type_)
        if condition is None or condition.status != "True":
            return False
        generation = self.state.record.metadata.generation
        observed = condition.observed_generation
        return observed is None or generation is None or observed >= generation


class BFBView(ObjectView[BFB], frozen=True, gc=False):
    """One BFB in one state."""

    @property
    def phase(self) -> BFBPhase:
        """status.phase."""
        return BFBPhase(self.state.phase)

    @property
    def ready(self) -> bool:
        """Downloaded, and not being deleted."""
        return self.state.phase == BFBPhase.READY and not self.state.terminating

    @property
    def failed(self) -> bool:
        """The download failed."""
        return self.state.phase == BFBPhase.ERROR

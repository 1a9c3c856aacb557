"""ReconcileInput: the state from which the next step of a DPU is computed; Step: the result. Pure values.

`phases`, `phases_install` and `phases_join` compute the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dpf_async.models import (
    BFB,
    DPU,
    DPUCluster,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    DPUPhase,
    DPUStatus,
    find_condition,
    format_time,
    parse_time,
)
from dpf_async.sim.operator.hardware.hardware_view import HardwareView
from dpf_async.sim.operator.hardware.profiles import Profile
from dpf_async.sim.operator.hardware.settings import Settings
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed


@dataclass(frozen=True, slots=True)
class ReconcileInput:
    """The state of a DPU and of related objects at the start of a reconcile.

    Attributes:
        dpu: the DPU.
        node, device, bfb, flavor: the objects that the DPU references; None if they do not exist.
        cluster: the assigned DPUCluster.
        free_cluster: a DPUCluster that can be assigned.
        maintenance: the DPUNodeMaintenance of its node for its node effect.
        maintenance_name: the name of that object, whether it exists or not.
        hardware: state of its hardware.
        installing: number of other DPUs that are being installed.
        settings: of the operator.
        profile: durations.
        now: current time in UTC.
    """

    dpu: DPU
    node: DPUNode | None
    device: DPUDevice | None
    bfb: BFB | None
    flavor: DPUFlavor | None
    cluster: DPUCluster | None
    free_cluster: DPUCluster | None
    maintenance: DPUNodeMaintenance | None
    maintenance_name: str
    hardware: HardwareView
    installing: int
    settings: Settings
    profile: Profile
    now: datetime

    @property
    def status(self) -> DPUStatus:
        """The status of the DPU."""
        return self.dpu.status

    @property
    def services(self) -> tuple[str, ...]:
        """The requestors in addition to the DPU."""
        effect = self.dpu.spec.node_effect
        return effect.node_maintenance_additional_requestors if effect is not None else ()

    def is_true(self, type_: str) -> bool:
        """Whether a condition of the DPU is True."""
        return conditions.is_true(self.status.conditions, type_)

    def seconds_since(self, type_: str) -> float:
        """Seconds for which a condition of the DPU has had its status at least; 0 if it does not exist.

        Kubernetes truncates times to whole seconds: a transition at 10:00:00 may be almost a second later, which
        matters in fast profiles.
        """
        condition = find_condition(self.status.conditions, type_)
        since = parse_time(condition.last_transition_time) if condition is not None else None
        return 0.0 if since is None else max(0.0, (self.now - since).total_seconds() - 1.0)


# Actions in addition to the write of the status.


@dataclass(frozen=True, slots=True)
class GiveCluster:
    """Assign this DPUCluster to the DPU."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class CreateMaintenance:
    """Create the DPUNodeMaintenance for the node effect."""


@dataclass(frozen=True, slots=True)
class JoinMaintenance:
    """Add the DPU to the requestors of an existing DPUNodeMaintenance."""


@dataclass(frozen=True, slots=True)
class LeaveMaintenance:
    """Remove the DPU from the requestors; its services remain (docs/dpf/hold.md#removal)."""


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """Apply another mode, as the power cycle of the host does."""

    mode: str


@dataclass(frozen=True, slots=True)
class ChangeSecureBoot:
    """Apply another setting of Secure Boot, as restarts of the DPU do."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class Annotate:
    """Set an annotation of the DPU; None removes it."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class LabelNode:
    """Set the labels of the Node in the DPUCluster."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Delete what remains of the DPU in its DPUCluster."""


@dataclass(frozen=True, slots=True)
class ReleaseDevice:
    """Remove the finalizer of the DPUDevice."""


@dataclass(frozen=True, slots=True)
class Release:
    """Remove the finalizer of the DPU. Nothing is written after that."""


Action = (
    GiveCluster
    | CreateMaintenance
    | JoinMaintenance
    | LeaveMaintenance
    | ChangeMode
    | ChangeSecureBoot
    | Annotate
    | LabelNode
    | CleanUp
    | ReleaseDevice
    | Release
)


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one reconcile.

    Attributes:
        actions: performed first, in this order.
        status: the status to write after them.
        wait: seconds until the state will have changed; infinite if only an event can change it.
        bound: seconds until a timeout; infinite if there is none.
    """

    actions: tuple[Action, ...]
    status: DPUStatus
    wait: float
    bound: float


class Draft:
    """Collects the changes of one step; its conditions and fields are written with one patch."""

    def __init__(self, inputs: ReconcileInput) -> None:
        self._input = inputs
        self._now = format_time(inputs.now)
        self._conditions = inputs.status.conditions
        self._fields: dict[str, Any] = {}  # Any: values of DPUStatus
        self._actions: list[Action] = []
        self._wait = math.inf
        self._bound = math.inf

    def true(self, type_: str, reason: str = "", message: str = "") -> None:
        """Set a condition to True."""
        self._set_condition(type_, conditions.TRUE, reason, message)

    def false(self, type_: str, reason: str, message: str = "") -> None:
        """Set a condition to False."""
        self._set_condition(type_, conditions.FALSE, reason, message)

    def remove(self, *types: str) -> None:
        """Remove conditions."""
        self._conditions = conditions.without(self._conditions, *types)

    def enter(self, phase: DPUPhase) -> None:
        """Enter another phase."""
        self._fields |= {"phase": phase, "previous_phase": self._input.status.phase}

    def set(self, **fields: Any) -> None:
        """Set fields of the status; None removes a field."""
        self._fields |= fields

    def do(self, action: Action) -> None:
        """Perform an action before the status is written."""
        self._actions.append(action)

    def wait(self, seconds: float) -> None:
        """Reconcile again after these seconds, when the state will have changed."""
        self._wait = min(self._wait, seconds)

    def bound(self, seconds: float) -> None:
        """Reconcile again after these seconds, when a timeout has expired."""
        self._bound = min(self._bound, max(0.0, seconds))

    def step(self) -> Step:
        """The step with all collected changes."""
        generation = self._input.dpu.metadata.generation
        status = changed(
            self._input.status,
            conditions=self._conditions,
            observed_generation=generation,
            **self._fields,
        )
        return Step(tuple(self._actions), status, self._wait, self._bound)

    def _set_condition(self, type_: str, status: str, reason: str, message: str) -> None:
        self._conditions = conditions.with_condition(
            self._conditions, type_, status, reason, message, now=self._now
        )

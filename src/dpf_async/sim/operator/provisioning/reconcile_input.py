"""What a decision about a DPU is made from, and what it consists of. Pure values.

The decision itself is in `phases`, and what comes before and after in `installing` and `finishing`.
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
from dpf_async.sim.operator.hardware.hardware_view import Board
from dpf_async.sim.operator.hardware.profiles import Profile
from dpf_async.sim.operator.hardware.settings import Settings
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed


@dataclass(frozen=True, slots=True)
class World:
    """What the operator knows when it looks at a DPU.

    Attributes:
        dpu: the DPU.
        node, device, bfb, flavor: the objects it names, as far as they exist.
        cluster: the DPUCluster it was given.
        free_cluster: one it could be given.
        maintenance: the DPUNodeMaintenance of its node for its effect.
        maintenance_name: the name that one has, or would have.
        board: its hardware.
        installing: DPUs of the site that are being installed, this one aside.
        settings: of the operator.
        profile: how long things take.
        now: wall clock, in UTC.
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
    board: Board
    installing: int
    settings: Settings
    profile: Profile
    now: datetime

    @property
    def status(self) -> DPUStatus:
        """Of the DPU."""
        return self.dpu.status

    @property
    def services(self) -> tuple[str, ...]:
        """Requestors beside the DPU itself."""
        effect = self.dpu.spec.node_effect
        return effect.node_maintenance_additional_requestors if effect is not None else ()

    def is_true(self, type_: str) -> bool:
        """Whether a condition of the DPU is True."""
        return conditions.is_true(self.status.conditions, type_)

    def seconds_since(self, type_: str) -> float:
        """Seconds for which a condition of the DPU has had its status at least; 0 if it was never written.

        Kubernetes' times are cut to whole seconds: what is said to have happened at 10:00:00 may be a second younger,
        and on a fast clock that second is long.
        """
        condition = find_condition(self.status.conditions, type_)
        since = parse_time(condition.last_transition_time) if condition is not None else None
        return 0.0 if since is None else max(0.0, (self.now - since).total_seconds() - 1.0)


# What a decision does beside writing the status.


@dataclass(frozen=True, slots=True)
class GiveCluster:
    """Have the DPU join this DPUCluster."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class CreateMaintenance:
    """Ask for the node effect."""


@dataclass(frozen=True, slots=True)
class JoinMaintenance:
    """Ask for the node effect that somebody else asked for."""


@dataclass(frozen=True, slots=True)
class LeaveMaintenance:
    """The DPU does not need its node disturbed any more. Its services ask for themselves (dpf-facts 5)."""


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """The power cycle of the host has brought another mode into force."""

    mode: str


@dataclass(frozen=True, slots=True)
class ChangeSecureBoot:
    """The restarts of the DPU have brought another setting of Secure Boot into force."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class Annotate:
    """Change an annotation of the DPU; None takes it away."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class LabelNode:
    """Give the Node in the DPUCluster the labels of the DPU."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Take away what the DPU left in its DPUCluster."""


@dataclass(frozen=True, slots=True)
class ReleaseDevice:
    """Let the DPUDevice go, as far as this DPU is concerned."""


@dataclass(frozen=True, slots=True)
class Release:
    """Let the DPU itself go. Nothing is written after that."""


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
    """A decision.

    Attributes:
        actions: done first, in this order.
        status: what the DPU's status becomes then.
        wait: seconds until something will have happened; infinite if only news lead on.
        bound: seconds until it has taken too long; infinite if it cannot.
    """

    actions: tuple[Action, ...]
    status: DPUStatus
    wait: float
    bound: float


class Draft:
    """A decision in the making. What is written here goes into one status, with one patch."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = format_time(world.now)
        self._conditions = world.status.conditions
        self._fields: dict[str, Any] = {}  # Any: values of DPUStatus
        self._actions: list[Action] = []
        self._wait = math.inf
        self._bound = math.inf

    def true(self, type_: str, reason: str = "", message: str = "") -> None:
        """Write a condition True."""
        self._say(type_, conditions.TRUE, reason, message)

    def false(self, type_: str, reason: str, message: str = "") -> None:
        """Write a condition False."""
        self._say(type_, conditions.FALSE, reason, message)

    def forget(self, *types: str) -> None:
        """Remove conditions."""
        self._conditions = conditions.without(self._conditions, *types)

    def enter(self, phase: DPUPhase) -> None:
        """Go to another phase."""
        self._fields |= {"phase": phase, "previous_phase": self._world.status.phase}

    def set(self, **fields: Any) -> None:
        """Set fields of the status; None takes one away."""
        self._fields |= fields

    def do(self, action: Action) -> None:
        """Do something before the status is written."""
        self._actions.append(action)

    def wait(self, seconds: float) -> None:
        """Look again then: something will have happened."""
        self._wait = min(self._wait, seconds)

    def bound(self, seconds: float) -> None:
        """Look again then: if nothing has happened, it has taken too long."""
        self._bound = min(self._bound, max(0.0, seconds))

    def step(self) -> Step:
        """The decision."""
        generation = self._world.dpu.metadata.generation
        status = changed(
            self._world.status,
            conditions=self._conditions,
            observed_generation=generation,
            **self._fields,
        )
        return Step(tuple(self._actions), status, self._wait, self._bound)

    def _say(self, type_: str, status: str, reason: str, message: str) -> None:
        self._conditions = conditions.said(self._conditions, type_, status, reason, message, now=self._now)

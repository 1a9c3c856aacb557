"""BaseController, the context that all controllers share, and predicates that filter watch events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from dpf_async.models import DPU, DPFOperatorConfig, Resource, format_time, known
from dpf_async.sim.operator.hardware.hardware import Hardware
from dpf_async.sim.operator.hardware.profiles import Profile
from dpf_async.sim.operator.hardware.settings import Settings, settings_of
from dpf_async.sim.operator.hardware.troubles import Troubles
from dpf_async.sim.operator.runtime.cluster import Cluster
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue


@dataclass(frozen=True, slots=True)
class Context:
    """The state and the functions that all controllers share.

    Attributes:
        cluster: caches of all kinds, and writes.
        hardware: the simulated DPUs and BMCs.
        profile: durations.
        troubles: the simulated troubles.
        clock: returns the current time in UTC.
    """

    cluster: Cluster
    hardware: Hardware
    profile: Profile
    troubles: Troubles
    clock: Callable[[], datetime]

    @property
    def now(self) -> str:
        """The current time in RFC 3339."""
        return format_time(self.clock())

    @property
    def settings(self) -> Settings | None:
        """The settings of the operator; None while no DPFOperatorConfig exists."""
        config = self.cluster.get(DPFOperatorConfig, known.OPERATOR_CONFIG_NAME)
        return settings_of(config, self.profile)


class BaseController(ABC):
    """A controller of one kind."""

    name: ClassVar[str]
    kind: ClassVar[type[Resource]]

    def __init__(self, context: Context) -> None:
        self.context = context
        self.cluster: Cluster = context.cluster
        self.hardware: Hardware = context.hardware
        self.profile: Profile = context.profile

    @property
    @abstractmethod
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """The watched kinds, each with the function that maps an event to names to reconcile."""

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """Kinds whose changes only go into a summary, which is written when no controller is busy."""
        return ()

    @abstractmethod
    async def reconcile(self, name: str) -> Requeue | None:
        """Move one object closer to its desired state."""

    def names(self) -> Iterable[str]:
        """The names of all objects of the kind."""
        return [obj.name for obj in self.cluster.all(self.kind)]

    def map_to_all(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        """Map an event that concerns every object of the kind to all names."""
        return self.names()


def map_to_self(before: Any, after: Any) -> list[str]:  # Any: a Resource, or None
    """Map an event to the name of the changed object."""
    return [(after or before).name]


def spec_changed(before: Any, after: Any) -> bool:  # Any: a Resource, or None
    """Whether the object was created or deleted, or its generation, labels or deletionTimestamp changed."""
    if before is None or after is None:
        return True
    old, new = before.metadata, after.metadata
    return (old.generation, old.deletion_timestamp, old.labels) != (
        new.generation,
        new.deletion_timestamp,
        new.labels,
    )


def readiness_changed(before: Any, after: Any) -> bool:  # Any: a Resource, or None
    """As spec_changed; a change of the condition Ready counts as well."""
    return spec_changed(before, after) or before.condition("Ready") != after.condition("Ready")


def phase_changed(before: DPU | None, after: DPU | None) -> bool:
    """As spec_changed; a change of the phase counts as well."""
    return spec_changed(before, after) or (
        before is not None and after is not None and before.status.phase != after.status.phase
    )

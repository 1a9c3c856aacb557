"""What all controllers have: the site they work in, and the usual reasons to look again."""

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
from dpf_async.sim.operator.runtime.queue import Later, Mapper


@dataclass(frozen=True, slots=True)
class Site:
    """What the controllers share.

    Attributes:
        cluster: objects, and the way to write them.
        hardware: everything else.
        clock: wall clock, in UTC.
    """

    cluster: Cluster
    hardware: Hardware
    profile: Profile
    troubles: Troubles
    clock: Callable[[], datetime]

    @property
    def now(self) -> str:
        """RFC 3339."""
        return format_time(self.clock())

    @property
    def settings(self) -> Settings | None:
        """Of the operator; None while there is no DPFOperatorConfig."""
        config = self.cluster.get(DPFOperatorConfig, known.OPERATOR_CONFIG_NAME)
        return settings_of(config, self.profile)


class Base(ABC):
    """A controller of one kind."""

    name: ClassVar[str]
    kind: ClassVar[type[Resource]]

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cluster: Cluster = site.cluster
        self.hardware: Hardware = site.hardware
        self.profile: Profile = site.profile

    @property
    @abstractmethod
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """What it wants to know of."""

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """Kinds whose changes only go into a summary, which is written when no controller is busy."""
        return ()

    @abstractmethod
    async def reconcile(self, name: str) -> Later | None:
        """Bring one object closer to what it should be."""

    def names(self) -> Iterable[str]:
        """Every object of the kind."""
        return [obj.name for obj in self.cluster.all(self.kind)]

    def everything(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        """The same, as what to look at when something changes that concerns them all."""
        return self.names()


def itself(before: Any, after: Any) -> list[str]:  # Any: a Resource, or None
    """The object that changed."""
    return [(after or before).name]


def spec_changed(before: Any, after: Any) -> bool:  # Any: a Resource, or None
    """It came, went, is being deleted, or has another spec or other labels; its status does not count."""
    if before is None or after is None:
        return True
    old, new = before.metadata, after.metadata
    return (old.generation, old.deletion_timestamp, old.labels) != (
        new.generation,
        new.deletion_timestamp,
        new.labels,
    )


def readiness_changed(before: Any, after: Any) -> bool:  # Any: a Resource, or None
    """The same, or it says another thing about being ready."""
    return spec_changed(before, after) or before.condition("Ready") != after.condition("Ready")


def dpu_moved(before: DPU | None, after: DPU | None) -> bool:
    """The same for a DPU, or its phase is another."""
    return spec_changed(before, after) or (
        before is not None and after is not None and before.status.phase != after.status.phase
    )

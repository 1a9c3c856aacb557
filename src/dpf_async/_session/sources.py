"""Sources: where a handle gets the views of its object, how it describes them, and when a wait has failed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dpf_async._readers.object_cache import HasIdentity
from dpf_async._session.failures import dpu_failed
from dpf_async._transitions.views import (
    DPUView,
    NodeView,
    describe,
    describe_deployment,
    describe_maintenance,
    describe_object,
)
from dpf_async.models import BFB, DPU, DPUDeployment, DPUNode, DPUNodeMaintenance, Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import Undecodable
    from dpf_async._session.caches import Caches
    from dpf_async._transitions.hub import Hub
    from dpf_async._transitions.levels import Level
    from dpf_async._watch.reflector import Reflector
    from dpf_async.errors import WaitError

View = TypeVar("View", bound=HasIdentity)
Cached = TypeVar("Cached")
"""What the cache has for a name: a view, or None for an absent object of a kind whose absence has no view."""


class Source(ABC, Generic[View, Cached]):
    """The views of the objects of one kind, by name."""

    kind: str

    @abstractmethod
    async def hub(self) -> Hub[Cached]:
        """The hub that reports changes; it starts the cache and does not wait for it."""

    @abstractmethod
    async def sync(self) -> None:
        """Wait until the cache was read and shows everything that this client wrote."""

    @abstractmethod
    def existing(self, cached: Cached) -> View | None:
        """The view of an object; None if it has none, because the object is absent."""

    @abstractmethod
    def describe(self, view: View) -> str:
        """A description of the state in a view."""

    @abstractmethod
    def failure(self, view: View, condition: Level[Any], waited: float) -> WaitError | None:
        """The error if a level that does not hold in a view never will. Any: a level on views of this source."""

    @abstractmethod
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """What keeps the cache up to date; none before it was started. Any: of any kind."""

    @abstractmethod
    def undecodable(self, name: str) -> Undecodable | None:
        """The object of this name, if it exists and has no view because it cannot be decoded."""

    def interruption(self) -> str:
        """Why the cache may be outdated: the states and reasons of its watches; empty if they are all healthy."""
        problems = {
            f"{health.state}: {health.reason}"
            for reflector in self.reflectors()
            if (health := reflector.health).reason
        }
        return "; ".join(sorted(problems))


class ObjectSource(Source[View, View | None]):
    """The objects of one kind. An absent object has no view.

    Args:
        kind: of the objects.
        caches: of the session.
    """

    def __init__(self, kind: type[Resource], caches: Caches) -> None:
        self.kind = kind.KIND
        self._kind = kind
        self._caches = caches
        self._describe = _DESCRIPTIONS.get(kind, describe_object)
        self._reflector: Reflector[Any] | None = None

    async def hub(self) -> Hub[View | None]:
        cache = await self._caches.objects(self._kind)
        self._reflector = cache.reflector
        return cache.hub

    async def sync(self) -> None:
        for reflector in self.reflectors():
            await self._caches.sync(reflector)

    def existing(self, cached: View | None) -> View | None:
        return cached

    def describe(self, view: View) -> str:
        return self._describe(view)

    def failure(self, view: View, condition: Level[Any], waited: float) -> WaitError | None:
        if isinstance(view, DPUView) and view.failed and not condition.survives_failure:
            return dpu_failed(view, condition, view, waited)
        return None

    def reflectors(self) -> tuple[Reflector[Any], ...]:
        return () if self._reflector is None else (self._reflector,)

    def undecodable(self, name: str) -> Undecodable | None:
        return None if self._reflector is None else self._reflector.store.unreadable.get(name)


class NodeSource(Source[NodeView, NodeView]):
    """The nodes, each with everything that refers to it. The view of a missing node has `exists` False."""

    kind = DPUNode.KIND

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    async def hub(self) -> Hub[NodeView]:
        return (await self._caches.site()).hub

    async def sync(self) -> None:
        await self._caches.sync_site()

    def existing(self, cached: NodeView) -> NodeView:
        return cached

    def describe(self, view: NodeView) -> str:
        return describe(view)

    def failure(self, view: NodeView, condition: Level[Any], waited: float) -> WaitError | None:
        if view.failed_dpus and not condition.survives_failure:
            return dpu_failed(view.failed_dpus[0], condition, view, waited)
        return None

    def reflectors(self) -> tuple[Reflector[Any], ...]:
        return self._caches.site_reflectors

    def undecodable(self, name: str) -> Undecodable | None:  # noqa: ARG002
        return None  # it is listed in the view


_DESCRIPTIONS: Mapping[type[Resource], Callable[[Any], str]] = {
    DPU: describe,
    DPUDeployment: describe_deployment,
    BFB: lambda view: describe_object(view.state),
    DPUNodeMaintenance: describe_maintenance,
}
"""How each kind is described; the others by `describe_object`. Any: the view depends on the kind."""

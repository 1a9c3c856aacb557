"""The hosts that a stream reports: one, all, or those that a label selector matches; and the streams over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dpf_async._readers.health_stream import HealthStream
from dpf_async._readers.transition_stream import NodeTransitionStream
from dpf_async._transitions.hub import HubListener
from dpf_async._transitions.node_join import NodeJoin
from dpf_async._transitions.views import NodeView
from dpf_async.models import DPUNode

if TYPE_CHECKING:
    from dpf_async._session.caches import Caches
    from dpf_async._transitions.health_transitions import Damping
    from dpf_async._transitions.hub import Hub
    from dpf_async._watch.reflector import Reflector


def exists_or_is_referenced(view: NodeView) -> bool:
    """There is a state to report: the node exists, or an object refers to it."""
    return view.exists or bool(view.dpus or view.maintenances or view.unreadable)


class Hosts:
    """The hosts of one stream.

    Args:
        caches: of the session.
        name: of the only DPUNode; None for all.
    """

    def __init__(self, caches: Caches, name: str | None = None) -> None:
        self.name = name
        self._caches = caches
        self._site: NodeJoin

    @property
    def scope(self) -> dict[str, str]:
        """Distinguishes the checkpoints of streams over different hosts."""
        scope = {"namespace": self._caches.namespace}
        if self.name is not None:
            scope["node"] = self.name
        return scope

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[Hub[NodeView]]:
        """The hub that reports changes of hosts, synced, for as long as the stream is entered."""
        self._site = await self._caches.site()
        await self._caches.sync_site()
        yield self._site.hub

    def existing(self) -> Iterable[str]:
        """The names that exist, or are referred to, when the stream is entered."""
        return [self.name] if self.name is not None else sorted(self._site.names())

    def matches(self, view: NodeView) -> bool:
        """The stream reports this host."""
        return exists_or_is_referenced(view)


class MatchingHosts(Hosts):
    """The hosts whose DPUNode a label selector matches, as the API server evaluates it for a watch of its own."""

    def __init__(self, caches: Caches, label_selector: str) -> None:
        super().__init__(caches)
        self._label_selector = label_selector
        self._matching: Reflector[DPUNode]

    @property
    def scope(self) -> dict[str, str]:
        return {**super().scope, "label_selector": self._label_selector}

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[Hub[NodeView]]:
        async with (
            super().enter() as hub,
            self._caches.matching(DPUNode, self._label_selector) as reflector,
        ):
            self._matching = reflector
            listener: HubListener[DPUNode] = HubListener(hub)
            reflector.store.listen(listener)
            try:
                yield hub
            finally:
                reflector.store.unlisten(listener)

    def matches(self, view: NodeView) -> bool:
        store = self._matching.store
        return store.get(view.name) is not None or view.name in store.unreadable


def transition_stream(hosts: Hosts, since: Mapping[str, Any] | None) -> NodeTransitionStream:
    """The transitions of these hosts, since a checkpoint if one is given."""
    return NodeTransitionStream(
        hosts.enter,
        key=hosts.name,
        existing=hosts.existing,
        matches=hosts.matches,
        scope=hosts.scope,
        since=since,
    )


def health_stream(hosts: Hosts, damping: Damping) -> HealthStream:
    """The health transitions of these hosts."""
    return HealthStream(hosts.enter, damping, key=hosts.name, existing=hosts.existing, matches=hosts.matches)

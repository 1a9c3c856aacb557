"""Caches: one per kind, and the joined one of nodes. Each starts when it is first used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel

from dpf_async._handshakes.claims import CLAIM_SELECTOR
from dpf_async._readers.object_cache import ObjectCache
from dpf_async._transitions.node_join import NodeJoin
from dpf_async._transitions.views import BFBView, DeploymentView, DPUView
from dpf_async.models import BFB, DPU, DPUDeployment, DPUDevice, DPUNode, DPUNodeMaintenance, Lease, Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._session.reflectors import SharedReflectors
    from dpf_async._watch.reflector import Reflector

T = TypeVar("T", bound=Resource)

_VIEWS: Mapping[type[Resource], Callable[[Any], Any]] = {
    DPU: DPUView,
    DPUDeployment: DeploymentView,
    BFB: BFBView,
}
"""Kinds that have a view of their own; the view of the others is their ObjectState. Any: it depends on the kind."""


class Caches:
    """The caches of one namespace.

    Args:
        reflectors: keep them up to date.
        namespace: of the objects.
        stack: closed when the session ends.
    """

    def __init__(self, reflectors: SharedReflectors, namespace: str, stack: AsyncExitStack) -> None:
        self.reflectors = reflectors
        self.namespace = namespace
        self._stack = stack
        self._starting = anyio.Lock()
        self._objects: dict[type[Resource], ObjectCache[Any, Any]] = {}  # Any: by kind
        self._site: NodeJoin | None = None
        self._site_reflectors: tuple[Reflector[Any], ...] = ()
        self._claims: ObjectCache[Lease, ObjectState[Lease]] | None = None

    @property
    def site_reflectors(self) -> tuple[Reflector[Any], ...]:  # Any: one of each kind
        """The reflectors of the joined cache; none before it was started."""
        return self._site_reflectors

    async def objects(self, kind: type[T]) -> ObjectCache[T, Any]:  # Any: the view depends on the kind
        """The cache of a kind; it may not be synced yet."""
        if (started := self._objects.get(kind)) is not None:
            # Without the lock, which serves one task per iteration of the loop: many waits at once would queue.
            await anyio.lowlevel.checkpoint()
            return started
        async with self._starting:
            cache = self._objects.get(kind)
            if cache is None:
                reflector = await self._stack.enter_async_context(self.reflectors.of(kind, self.namespace))
                cache = self._objects[kind] = ObjectCache(reflector, _VIEWS.get(kind, _state))
            return cache

    async def site(self) -> NodeJoin:
        """The joined cache of nodes; it may not be synced yet."""
        if self._site is not None:
            await anyio.lowlevel.checkpoint()  # without the lock: see `objects`
            return self._site
        async with self._starting:
            if self._site is None:
                of, enter = self.reflectors.of, self._stack.enter_async_context
                nodes = await enter(of(DPUNode, self.namespace))
                devices = await enter(of(DPUDevice, self.namespace))
                dpus = await enter(of(DPU, self.namespace))
                maintenances = await enter(of(DPUNodeMaintenance, self.namespace))
                self._site_reflectors = (nodes, devices, dpus, maintenances)
                self._site = NodeJoin(nodes.store, devices.store, dpus.store, maintenances.store)
            return self._site

    async def claims(self) -> ObjectCache[Lease, ObjectState[Lease]]:
        """The cache of the Leases that are claims, of all clients; needed only when another client holds one."""
        async with self._starting:
            if self._claims is None:
                of = self.reflectors.of(Lease, self.namespace, label_selector=CLAIM_SELECTOR)
                self._claims = ObjectCache(await self._stack.enter_async_context(of), _state)
            return self._claims

    @asynccontextmanager
    async def matching(self, kind: type[T], label_selector: str) -> AsyncIterator[Reflector[T]]:
        """The synced reflector of a selection, for as long as the block runs.

        It does not wait for this client's own writes: a write to an object outside the selection never appears in it.
        """
        async with self.reflectors.of(kind, self.namespace, label_selector=label_selector) as reflector:
            await reflector.synced()
            yield reflector

    async def sync(self, reflector: Reflector[Any]) -> None:  # Any: of any kind
        """Wait until the objects of a whole kind were read and include everything that this client wrote.

        Raises:
            Unauthorized, Forbidden, KindNotServed: the kind cannot be listed until an administrator changes that.
        """
        await self.reflectors.sync(reflector, self.namespace)

    async def sync_site(self) -> None:
        """The same, for each kind of the joined cache."""
        for reflector in self._site_reflectors:
            await self.sync(reflector)


def _state(state: Any) -> Any:  # Any: the ObjectState of any kind is its own view
    return state

"""Session: what a client has while it is entered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio

from dpf_async._api.codec import ObjectState
from dpf_async._api.transport import Transport
from dpf_async._base.locks import Locks
from dpf_async._diagnostics import compatibility
from dpf_async._diagnostics.compatibility import Compatibility
from dpf_async._diagnostics.permissions import Access, Role, check_access
from dpf_async._diagnostics.snapshot import HostReport, report_of
from dpf_async._handshakes.claim_acquisition import ClaimAcquisition
from dpf_async._handshakes.claims import CLAIM_SELECTOR, Claims
from dpf_async._session.dpu_handle import DPUHandle
from dpf_async._session.handles import ObjectCache, ObjectHandle
from dpf_async._session.node_handle import NodeServices, Selection
from dpf_async._session.reflectors import SharedReflectors
from dpf_async._session.resources import Resources
from dpf_async._transitions.node_join import ListenerAdapter, Site
from dpf_async._transitions.views import (
    BFBView,
    DeploymentView,
    DPUView,
    NodeView,
    describe,
    describe_deployment,
    describe_maintenance,
    describe_object,
)
from dpf_async._watch.reflector import Reflector
from dpf_async.errors import NotFound
from dpf_async.models import BFB, DPU, DPUDeployment, DPUDevice, DPUNode, DPUNodeMaintenance, Lease, Resource

T = TypeVar("T", bound=Resource)

_VIEWS: Mapping[type[Resource], tuple[Callable[[Any], Any], Callable[[Any], str]]] = {
    DPU: (DPUView, describe),
    DPUDeployment: (DeploymentView, describe_deployment),
    BFB: (BFBView, lambda view: describe_object(view.state)),
    DPUNodeMaintenance: (lambda state: state, describe_maintenance),
}
"""Kinds that have a view of their own; the others are looked at as Snapshots. Any: the type hangs on the kind."""


class Session:
    """Shared reflectors, the joined cache of nodes, and the handles on it. A reflector starts when it is first used."""

    def __init__(
        self,
        transport: Transport,
        reflectors: SharedReflectors,
        stack: AsyncExitStack,
        namespace: str,
        *,
        field_manager: str,
        claims: Claims | None,
    ) -> None:
        self.reflectors = reflectors
        self._transport = transport
        self._stack = stack
        self._namespace = namespace
        self._field_manager = field_manager
        self._starting = anyio.Lock()
        self._objects: dict[type[Resource], ObjectCache[Any, Any]] = {}  # Any: by kind
        self._site: Site | None = None
        self._site_reflectors: list[Reflector[Any]] = []
        self._claims_picture: ObjectCache[Lease, Any] | None = None
        self.node_services = NodeServices(
            site=self.site,
            fresh=self.fresh_site,
            nodes=self.resource(DPUNode),
            maintenances=self.resource(DPUNodeMaintenance),
            locks=Locks(),
            claimant=ClaimAcquisition(claims, self.resource(Lease), self.claims_picture) if claims else None,
            latest=self.latest,
            health=lambda: [reflector.health for reflector in self._site_reflectors],
        )

    def resource(self, kind: type[T]) -> Resources[T]:
        return Resources(
            self._transport, kind, self._namespace, self.reflectors, field_manager=self._field_manager
        )

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        if kind is DPU:
            return self.dpu(name)
        _, words = _VIEWS.get(kind, (None, describe_object))
        return ObjectHandle(
            kind.KIND, name, picture=lambda: self.picture(kind), fresh=self.fresh, describe=words
        )

    def dpu(self, name: str) -> DPUHandle:
        return DPUHandle(name, picture=lambda: self.picture(DPU), fresh=self.fresh)

    async def picture(self, kind: type[T]) -> ObjectCache[T, Any]:
        """The picture of a kind, started if need be; it may not be synced yet."""
        async with self._starting:
            picture = self._objects.get(kind)
            if picture is None:
                reflector = await self._stack.enter_async_context(self.reflectors.of(kind, self._namespace))
                view_of, _ = _VIEWS.get(kind, (_itself, None))
                picture = self._objects[kind] = ObjectCache(reflector, view_of)
            return picture

    async def site(self) -> Site:
        """The joined picture of all hosts, started if need be; it may not be synced yet."""
        async with self._starting:
            if self._site is None:
                of, enter = self.reflectors.of, self._stack.enter_async_context
                nodes = await enter(of(DPUNode, self._namespace))
                devices = await enter(of(DPUDevice, self._namespace))
                dpus = await enter(of(DPU, self._namespace))
                maintenances = await enter(of(DPUNodeMaintenance, self._namespace))
                self._site_reflectors = [nodes, devices, dpus, maintenances]
                self._site = Site(nodes.store, devices.store, dpus.store, maintenances.store)
            return self._site

    async def claims_picture(self) -> ObjectCache[Lease, Any]:
        """The picture of the leases that are claims, whoever's; started when one of somebody else is in the way."""
        async with self._starting:
            if self._claims_picture is None:
                of = self.reflectors.of(Lease, self._namespace, label_selector=CLAIM_SELECTOR)
                self._claims_picture = ObjectCache(await self._stack.enter_async_context(of), _itself)
            return self._claims_picture

    async def latest(self, kind: type[T], name: str, uid: str) -> ObjectState[T] | None:
        """An object as the server has it at this moment, whoever wrote it; None if it is gone.

        Whatever is looked at later is at least as new.

        Args:
            kind: of the object.
            name: of the object.
            uid: of the one that a look may still show.
        """
        try:
            state = await self.resource(kind).get_state(name)
        except NotFound:
            self.reflectors.note_deletion(kind, self._namespace, name, uid)
            return None
        self.reflectors.note_write(kind, self._namespace, state.resource_version)
        return state

    async def fresh(self, reflector: Reflector[Any]) -> None:
        await self.reflectors.fresh(reflector, self._namespace)

    async def fresh_site(self) -> None:
        for reflector in self._site_reflectors:
            await self.fresh(reflector)

    async def snapshot(self, name: str) -> HostReport | None:
        """Everything known of a host; None if nothing is."""
        site = await self.site()
        # The same picture as the site's: one selection is kept once.
        devices = (await self.picture(DPUDevice)).reflector.store
        await self.fresh_site()
        # No await from here: all of it is of one moment.
        now = datetime.now(UTC).isoformat(timespec="seconds")
        view = site.view(name)
        return report_of(view, devices, reflectors=self._site_reflectors, namespace=self._namespace, now=now)

    def selection(self, label_selector: str) -> Selection:
        """The hosts that match: the server decides which do, in a watch of its own. All, without a selector."""
        if not label_selector:
            return Selection()
        selected: list[Reflector[DPUNode]] = []

        @asynccontextmanager
        async def choosing(site: Site) -> AsyncIterator[None]:
            async with self.reflectors.of(
                DPUNode, self._namespace, label_selector=label_selector
            ) as reflector:
                # Not past our own writes: one to a host outside the selection would never be seen here. Whatever a
                # write of ours changes about who matches is told when it is known.
                await reflector.synced()
                membership: ListenerAdapter[DPUNode] = ListenerAdapter(
                    lambda change: site.hub.notify(change.name, change.origin),
                    lambda obj: site.hub.notify(obj.name, "watch"),
                )
                selected.append(reflector)
                reflector.store.listen(membership)
                try:
                    yield
                finally:
                    reflector.store.unlisten(membership)

        def matches(view: NodeView) -> bool:
            store = selected[-1].store
            return store.get(view.name) is not None or view.name in store.unreadable

        return Selection(label_selector=label_selector, select=matches, beside=choosing)

    async def server_version(self) -> str:
        return await self.resource(DPU).server_version()

    async def check_compatibility(self) -> Compatibility:
        return await compatibility.check_compatibility(self._transport)

    async def check_access(self, role: Role, operations: Iterable[str] | None) -> Access:
        return await check_access(self._transport, self._namespace, role, operations)


def _itself(state: Any) -> Any:  # Any: a ObjectState of whatever kind is its own view
    return state

"""Resources: the typed objects of one kind, with a watch and with read-your-own-writes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dpf_async._api.resource import ResourceClient
from dpf_async._watch.stream import EventStream
from dpf_async.errors import NotFound
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from dpf_async._api.codec import ObjectState
    from dpf_async._api.transport import Transport
    from dpf_async._session.reflectors import SharedReflectors

T = TypeVar("T", bound=Resource)


class Resources(ResourceClient[T]):
    """The objects of one kind in one namespace. Get one from DPFClient.resource.

    Every later view and wait of the same client includes what is written here.
    """

    def __init__(
        self,
        transport: Transport,
        kind: type[T],
        namespace: str,
        reflectors: SharedReflectors,
        *,
        field_manager: str,
    ) -> None:
        super().__init__(transport, kind, namespace, field_manager=field_manager)
        self._reflectors = reflectors

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        return self._noted(await super().create(obj, dry_run=dry_run), dry_run=dry_run)

    async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
        return self._noted(await super().apply(obj, force=force, dry_run=dry_run), dry_run=dry_run)

    async def latest_state(self, name: str, uid: str) -> ObjectState[T] | None:
        """The state that the API server has now, with all clients' writes; None if there is no object of this name.

        Every later view of the same client is at least as new.

        Args:
            name: of the object.
            uid: of the object that the cache may still show.
        """
        try:
            state = await self.get_state(name)
        except NotFound:
            self._reflectors.note_deletion(self.kind, self.namespace, name, uid)
            return None
        self._reflectors.note_write(self.kind, self.namespace, state.resource_version)
        return state

    def watch(
        self, *, label_selector: str = "", field_selector: str = ""
    ) -> AbstractAsyncContextManager[EventStream[T]]:
        """The events of the objects that match: `async with … as stream: async for event in stream`.

        A new reader receives Added for every existing object, then Synced. The stream reconnects by itself and ends
        only with its block; every gap is reported. Readers of the same selection share one list and one watch.

        Args:
            label_selector: a Kubernetes label selector; an object that stops matching is reported as Deleted.
            field_selector: a Kubernetes field selector; metadata.name works for every kind.

        Raises:
            Unauthorized, Forbidden, KindNotServed: on entering, if the kind cannot be listed.
        """
        return self._watching(label_selector, field_selector)

    @asynccontextmanager
    async def _watching(self, label_selector: str, field_selector: str) -> AsyncIterator[EventStream[T]]:
        async with (
            self._reflectors.of(
                self.kind, self.namespace, label_selector=label_selector, field_selector=field_selector
            ) as reflector,
            EventStream(reflector) as stream,
        ):
            yield stream

    async def _delete(self, name: str, *, uid: str | None, dry_run: bool) -> tuple[T | None, str]:
        remaining, deleted_uid = await super()._delete(name, uid=uid, dry_run=dry_run)
        if remaining is not None:
            self._noted(remaining, dry_run=dry_run)
        elif deleted_uid and not dry_run:
            self._reflectors.note_deletion(self.kind, self.namespace, name, deleted_uid)
        return remaining, deleted_uid

    async def _patch(
        self,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        subresource: str,  # Any: JSON
    ) -> T:
        return self._noted(await super()._patch(name, patch, subresource), dry_run=False)

    def _noted(self, obj: T, *, dry_run: bool) -> T:
        if not dry_run and obj.metadata.resource_version:
            self._reflectors.note_write(self.kind, self.namespace, obj.metadata.resource_version)
        return obj

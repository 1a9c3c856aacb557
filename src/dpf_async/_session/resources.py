"""Typed objects of one kind, as a client offers them: create, read, update, delete, and a stream of what happens."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dpf_async._api.resource import ResourceClient
from dpf_async._watch.stream import EventStream
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from dpf_async._api.transport import Transport
    from dpf_async._session.reflectors import SharedReflectors

T = TypeVar("T", bound=Resource)


class Resources(ResourceClient[T]):
    """The objects of one kind in one namespace. Get one from DPFClient.resource.

    Whatever is written here is seen by every later look and wait of the same client (read your own writes).
    """

    def __init__(
        self,
        transport: Transport,
        kind: type[T],
        namespace: str,
        pictures: SharedReflectors,
        *,
        field_manager: str,
    ) -> None:
        super().__init__(transport, kind, namespace, field_manager=field_manager)
        self._pictures = pictures

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        return self._noted(await super().create(obj, dry_run=dry_run), dry_run=dry_run)

    async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
        return self._noted(await super().apply(obj, force=force, dry_run=dry_run), dry_run=dry_run)

    async def _delete(self, name: str, *, uid: str | None, dry_run: bool) -> tuple[T | None, str]:
        left, uid_of_it = await super()._delete(name, uid=uid, dry_run=dry_run)
        if left is not None:
            self._noted(left, dry_run=dry_run)
        elif uid_of_it and not dry_run:
            self._pictures.note_deletion(self.kind, self.namespace, name, uid_of_it)
        return left, uid_of_it

    async def _patch(
        self,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        subresource: str,  # Any: JSON
    ) -> T:
        return self._noted(await super()._patch(name, patch, subresource), dry_run=False)

    def watch(
        self, *, label_selector: str = "", field_selector: str = ""
    ) -> AbstractAsyncContextManager[EventStream[T]]:
        """What happens to the objects that match: `async with … as stream: async for event in stream`.

        The reader is first told Added for everything that stands, then Synced. The stream heals itself and ends only
        with its block; every discontinuity is told. Readers of the same selection share one list and one watch.

        Args:
            label_selector: as Kubernetes takes it; objects that stop matching are told as Deleted.
            field_selector: as Kubernetes takes it; metadata.name works for every kind.

        Raises:
            Unauthorized, Forbidden, KindNotServed: on entering, if the kind cannot be listed.
        """
        return self._watching(label_selector, field_selector)

    @asynccontextmanager
    async def _watching(self, label_selector: str, field_selector: str) -> AsyncIterator[EventStream[T]]:
        async with (
            self._pictures.of(
                self.kind, self.namespace, label_selector=label_selector, field_selector=field_selector
            ) as reflector,
            EventStream(reflector) as stream,
        ):
            yield stream

    def _noted(self, obj: T, *, dry_run: bool) -> T:
        if not dry_run and obj.metadata.resource_version:
            self._pictures.note_write(self.kind, self.namespace, obj.metadata.resource_version)
        return obj

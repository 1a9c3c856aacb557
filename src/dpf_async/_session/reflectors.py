"""SharedReflectors: one reflector per selection, shared by its users, and the writes that its cache must show.

A reflector starts with its first user and ends a while after its last one. A read after a write of this client waits
until the cache shows that write: decisions from an outdated cache are how one request becomes nine power cycles.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from dpf_async._api.feed import Feed
from dpf_async._watch.reflector import CacheHealth, Reflector
from dpf_async._watch.versions import newest
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from anyio.abc import TaskGroup

    from dpf_async._api.transport import Transport
    from dpf_async._watch.policy import WatchPolicy

T = TypeVar("T", bound=Resource)

LINGER: Final = 5.0
"""Seconds that a reflector runs without users, so that consecutive workers share one list.

Source: docs/watching.md#shared-caches.
"""

_Scope = tuple[type[Resource], str]
_Selection = tuple[type[Resource], str, str, str]


class _Shared:
    """A running reflector and the number of its users."""

    def __init__(self, reflector: Reflector[Any]) -> None:  # Any: of the kind in the key
        self.reflector = reflector
        self.users = 0
        self.unused = anyio.Event()


class SharedReflectors:
    """The reflectors of one client, in its task group."""

    def __init__(
        self, transport: Transport, tasks: TaskGroup, policy: WatchPolicy, *, linger: float = LINGER
    ) -> None:
        self._transport = transport
        self._tasks = tasks
        self._policy = policy
        self._linger = linger
        self._shared: dict[_Selection, _Shared] = {}
        self._written: dict[_Scope, str] = {}
        """The newest resourceVersion that this client wrote."""
        self._deleted: dict[_Scope, dict[str, str]] = {}
        """The objects that this client deleted, name by uid, while a cache may still show them."""

    @asynccontextmanager
    async def of(
        self, kind: type[T], namespace: str, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Reflector[T]]:
        """Use the reflector of a selection while the block runs. It may not have listed yet: see `synced`."""
        key = (kind, namespace, label_selector, field_selector)
        shared = self._shared.get(key)
        if shared is None:
            feed = Feed(
                self._transport,
                kind,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            reflector = Reflector(
                feed, self._policy, on_rewind=lambda: self._discard_writes((kind, namespace))
            )
            shared = self._shared[key] = _Shared(reflector)
            self._tasks.start_soon(self._run, key, shared)
        shared.users += 1
        try:
            yield shared.reflector
        finally:
            shared.users -= 1
            if shared.users == 0:
                shared.unused.set()

    def note_write(self, kind: type[Resource], namespace: str, resource_version: str) -> None:
        """This client wrote an object of this kind, which has this resourceVersion now."""
        key = (kind, namespace)
        self._written[key] = newest(self._written.get(key, ""), resource_version)

    def note_deletion(self, kind: type[Resource], namespace: str, name: str, uid: str) -> None:
        """This client deleted an object of this kind; the server returns no resourceVersion for that."""
        scope = (kind, namespace)
        noted = self._deleted.setdefault(scope, {})
        noted[uid] = name
        for known, of in list(noted.items()):
            if not any(shared.reflector.may_contain(of, known) for shared in self._of_scope(scope)):
                del noted[known]

    async def sync(self, reflector: Reflector[Any], namespace: str) -> None:  # Any: of any kind
        """Wait until a whole kind was listed and its cache shows everything that this client wrote.

        Not for a label or field selection: it never shows a write to an object outside of it.

        Raises:
            Unauthorized, Forbidden, KindNotServed: the kind cannot be listed until an administrator changes that.
        """
        scope = (reflector.feed.kind, namespace)
        await reflector.synced()
        if version := self._written.get(scope):
            await reflector.wait_for_version(version)
        for uid, name in list(self._deleted.get(scope, {}).items()):
            await reflector.wait_for_deletion(name, uid)

    @property
    def health(self) -> Mapping[str, CacheHealth]:
        """The health of each cache, by a description of its selection."""
        return {
            shared.reflector.feed.description: shared.reflector.health for shared in self._shared.values()
        }

    def _of_scope(self, scope: _Scope) -> Iterator[_Shared]:
        return (shared for key, shared in self._shared.items() if key[:2] == scope)

    def _discard_writes(self, scope: _Scope) -> None:
        """The server's history was rewound to before these writes."""
        self._written.pop(scope, None)
        self._deleted.pop(scope, None)

    async def _run(self, key: _Selection, shared: _Shared) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.reflector.run)
            while True:
                await shared.unused.wait()
                await anyio.sleep(self._linger)
                if shared.users == 0:
                    break
                shared.unused = anyio.Event()
            # No await between the count and this line: there is no new user.
            del self._shared[key]
            tasks.cancel_scope.cancel()

"""One reflector per selection, shared by everybody who asks for the same, and what we wrote ourselves.

A picture starts when somebody first wants it, and goes when nobody has wanted it for a while. Reading it after a write
of ours waits until it shows that write: a decision made from a picture that lags is how one request becomes nine
power cycles.
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
"""Seconds a picture is kept when nobody wants it: workers that come and go share one list (reliability 4.2)."""

_Scope = tuple[type[Resource], str]
_Selection = tuple[type[Resource], str, str, str]


class _Kept:
    """A reflector that runs, and how many want it."""

    def __init__(self, reflector: Reflector[Any]) -> None:  # Any: of whatever kind the key says
        self.reflector = reflector
        self.users = 0
        self.unwanted = anyio.Event()


class SharedReflectors:
    """The reflectors of one client, in its task group."""

    def __init__(
        self, transport: Transport, tasks: TaskGroup, policy: WatchPolicy, *, linger: float = LINGER
    ) -> None:
        self._transport = transport
        self._tasks = tasks
        self._policy = policy
        self._linger = linger
        self._kept: dict[_Selection, _Kept] = {}
        self._written: dict[_Scope, str] = {}
        """The newest version that we wrote."""
        self._deleted: dict[_Scope, dict[str, str]] = {}
        """What we deleted: the name, by uid; for as long as a picture may still show it."""

    @asynccontextmanager
    async def of(
        self, kind: type[T], namespace: str, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Reflector[T]]:
        """Want the picture of a selection for as long as the block lasts. It may not be there yet: see `synced`."""
        key = (kind, namespace, label_selector, field_selector)
        kept = self._kept.get(key)
        if kept is None:
            feed = Feed(
                self._transport,
                kind,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            reflector = Reflector(
                feed, self._policy, on_rewind=lambda: self._forget_writes((kind, namespace))
            )
            kept = self._kept[key] = _Kept(reflector)
            self._tasks.start_soon(self._keep, key, kept)
        kept.users += 1
        try:
            yield kept.reflector
        finally:
            kept.users -= 1
            if kept.users == 0:
                kept.unwanted.set()

    def note_write(self, kind: type[Resource], namespace: str, resource_version: str) -> None:
        """An object of this kind was written by us, and has this version now."""
        key = (kind, namespace)
        self._written[key] = newest(self._written.get(key, ""), resource_version)

    def note_deletion(self, kind: type[Resource], namespace: str, name: str, uid: str) -> None:
        """An object of this kind was deleted by us and is gone; no version tells since when."""
        scope = (kind, namespace)
        noted = self._deleted.setdefault(scope, {})
        noted[uid] = name
        for known, of in list(noted.items()):
            if not any(kept.reflector.may_show(of, known) for kept in self._of_scope(scope)):
                del noted[known]

    async def fresh(self, reflector: Reflector[Any], namespace: str) -> None:  # Any: of any kind
        """Wait until the picture of a whole kind is there and shows everything that we wrote.

        Not for a selection: what was written to an object outside of it is never shown by it.

        Raises:
            Unauthorized, Forbidden, KindNotServed: it cannot be read until somebody repairs something.
        """
        scope = (reflector.feed.kind, namespace)
        await reflector.synced()
        if version := self._written.get(scope):
            await reflector.reached(version)
        for uid, name in list(self._deleted.get(scope, {}).items()):
            await reflector.without(name, uid)

    @property
    def health(self) -> Mapping[str, CacheHealth]:
        """How each picture is kept, by what it shows."""
        return {kept.reflector.feed.description: kept.reflector.health for kept in self._kept.values()}

    def _of_scope(self, scope: _Scope) -> Iterator[_Kept]:
        return (kept for key, kept in self._kept.items() if key[:2] == scope)

    def _forget_writes(self, scope: _Scope) -> None:
        """The server's history went back, to before we wrote."""
        self._written.pop(scope, None)
        self._deleted.pop(scope, None)

    async def _keep(self, key: _Selection, kept: _Kept) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.reflector.run)
            while True:
                await kept.unwanted.wait()
                await anyio.sleep(self._linger)
                if kept.users == 0:
                    break
                kept.unwanted = anyio.Event()
            # No await between the count and this line: nobody can have come.
            del self._kept[key]
            tasks.cancel_scope.cancel()

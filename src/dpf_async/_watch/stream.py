"""EventStream: the events of one selection of one kind, for one reader.

It uses a cursor, not a queue: a slow reader costs memory per object, never per event. It receives the newest state of
each object, the number of states that it missed, and every deletion and re-creation. A new reader first receives every
object that exists.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._watch.cursor import Cursor, Missed
from dpf_async._watch.events import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from dpf_async._watch.store import Listener
from dpf_async.models import Resource

if TYPE_CHECKING:
    from types import TracebackType

    from dpf_async._watch.reflector import Reflector
    from dpf_async._watch.store import Change

T = TypeVar("T", bound=Resource)

_Marker = Gap | Resumed | Synced


class EventStream(Listener[T], Generic[T]):
    """`async with … as stream: async for event in stream`. Ends only when the block is left, never by the server."""

    def __init__(self, reflector: Reflector[T]) -> None:
        self._reflector = reflector
        self._cursor: Cursor[str] = Cursor()
        self._markers: dict[str, _Marker] = {}
        self._reported: dict[str, ObjectState[T] | Undecodable] = {}
        self._ready: deque[WatchEvent[T]] = deque()
        self._rewound = False
        """The history went back in an earlier gap that is reported together with the current one."""

    async def __aenter__(self) -> Self:
        await self._reflector.synced()
        store = self._reflector.store
        for obj in store:
            self._cursor.mark(obj.name, "initial")
        for unreadable in store.unreadable.values():
            self.undecodable(unreadable)
        self._mark("/synced", Synced())
        if store.gap:
            self.interrupted(store.gap)
        store.listen(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reflector.store.unlisten(self)
        self._ready.clear()
        self._cursor.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent[T]:
        """The next event. Waits without a limit while nothing changes; ends after the block was left."""
        while not self._ready:
            key, missed = await self._cursor.next()
            marker = self._markers.pop(key, None)
            if marker is not None:
                return marker
            self._ready.extend(self._derive(key, missed))
        return self._ready.popleft()

    # Methods of Listener, which the store calls.

    def changed(self, change: Change[T]) -> None:
        before, after = change.before, change.after
        name = change.name
        missed = self._cursor.mark(name, change.origin)
        if after is None and before is not None and missed.last is None:
            reported = self._reported.get(name)
            if reported is not None and reported.uid == before.uid:
                missed.last = change.last

    def undecodable(self, obj: Undecodable) -> None:
        self._cursor.mark(obj.name, "watch")

    def interrupted(self, reason: str) -> None:
        ended = self._markers.pop("/resumed", None)
        if isinstance(ended, Resumed):
            # The reader received, or will receive, the Gap before and not its end: the two gaps become one.
            self._cursor.discard("/resumed")
            self._rewound = ended.rewound
        else:
            self._mark("/gap", Gap(reason))

    def resumed(self, resource_version: str, *, rewound: bool) -> None:
        self._mark("/resumed", Resumed(resource_version, rewound or self._rewound))
        self._rewound = False

    def _mark(self, key: str, marker: _Marker) -> None:
        # Names of objects contain no slash (Kubernetes object names): markers and names share one cursor.
        self._markers[key] = marker
        self._cursor.mark(key, "watch")

    def _derive(self, name: str, missed: Missed) -> list[WatchEvent[T]]:
        """The events of one name: the difference between the last reported and the current state."""
        store = self._reflector.store
        before, now = self._reported.pop(name, None), store.get(name) or store.unreadable.get(name)
        if now is not None:
            self._reported[name] = now
        events: list[WatchEvent[T]] = []
        if before is not None and (now is None or now.uid != before.uid):
            final: ObjectState[T] | None = missed.last if isinstance(missed.last, ObjectState) else None
            events.append(
                Deleted(
                    final or before,
                    missed.origin,
                    final_state_known=final is not None,
                    reason="deleted" if now is None else "replaced",
                )
            )
            before = None
        if isinstance(now, Undecodable):
            events.append(now)
        elif now is None:
            pass
        elif not isinstance(before, ObjectState):
            events.append(Added(now, missed.origin))
        elif before.resource_version != now.resource_version:
            events.append(
                Updated(
                    before,
                    now,
                    missed.origin,
                    contiguous=missed.contiguous and missed.changes == 1,
                    coalesced=missed.changes - 1,
                )
            )
        return events

"""The events of one selection of one kind, for one reader.

A cursor, not a queue: a slow reader costs memory per object, never per event, and hears the newest state of each
object, how many it missed, and every deletion and new incarnation. A fresh reader is first told of all that stands.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._watch.cursor import Cursor, Missed
from dpf_async._watch.events import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from dpf_async.models import Resource

if TYPE_CHECKING:
    from types import TracebackType

    from dpf_async._watch.reflector import Reflector
    from dpf_async._watch.store import Change

T = TypeVar("T", bound=Resource)

_Marker = Gap | Resumed | Synced


class EventStream(Generic[T]):
    """`async with … as stream: async for event in stream`. Ends only with its block; the server cannot end it."""

    def __init__(self, reflector: Reflector[T]) -> None:
        self._reflector = reflector
        self._cursor: Cursor[str] = Cursor()
        self._markers: dict[str, _Marker] = {}
        self._told: dict[str, ObjectState[T] | Undecodable] = {}
        self._ready: deque[WatchEvent[T]] = deque()
        self._rewound = False
        """A gap that became part of the present one had a rewind in it."""

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
        """The next event. It waits for as long as nothing happens; once the block was left, there is none."""
        while not self._ready:
            key, missed = await self._cursor.next()
            marker = self._markers.pop(key, None)
            if marker is not None:
                return marker
            self._ready.extend(self._derive(key, missed))
        return self._ready.popleft()

    # What the store tells.

    def changed(self, change: Change[T]) -> None:
        """An object appeared, changed or went."""
        before, after = change.before, change.after
        name = change.name
        missed = self._cursor.mark(name, change.origin)
        if after is None and before is not None and missed.last is None:
            told = self._told.get(name)
            if told is not None and told.uid == before.uid:
                missed.last = change.last

    def undecodable(self, obj: Undecodable) -> None:
        """An object exists and cannot be read."""
        self._cursor.mark(obj.name, "watch")

    def vanished(self, obj: Undecodable) -> None:
        """An object that could not be read is gone."""
        self._cursor.mark(obj.name, "watch")

    def interrupted(self, reason: str) -> None:
        """From here to the next list, changes may have been missed."""
        ended = self._markers.pop("/resumed", None)
        if isinstance(ended, Resumed):
            # The reader has heard, or will hear first, of the gap before, and not of its end: the two are one to it.
            self._cursor.forget("/resumed")
            self._rewound = ended.rewound
        else:
            self._mark("/gap", Gap(reason))

    def list_begins(self) -> None:
        """Nothing: each object is told of for itself."""

    def list_ends(self) -> None:
        """Nothing."""

    def listed(self, resource_version: str, *, rewound: bool) -> None:
        """A list was taken."""
        self._mark("/resumed", Resumed(resource_version, rewound or self._rewound))
        self._rewound = False

    def _mark(self, key: str, marker: _Marker) -> None:
        # No object's name contains a slash (Kubernetes object names), so markers and names share one order.
        self._markers[key] = marker
        self._cursor.mark(key, "watch")

    def _derive(self, name: str, missed: Missed) -> list[WatchEvent[T]]:
        """What the reader has not heard of this name: from what it was told last, and what is true now."""
        store = self._reflector.store
        before, now = self._told.pop(name, None), store.get(name) or store.unreadable.get(name)
        if now is not None:
            self._told[name] = now
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

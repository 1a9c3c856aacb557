"""The store: objects, the global resourceVersion, and the history from which watches and exact lists are served.

The code is synchronous, so every write is atomic. Stored objects are never modified in place; a write replaces them.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.status import GroupResource

Key = tuple[str, str]  # namespace ("" for cluster scope) and name


def path_of(key: Key) -> str:
    """The path of a key below its kind in etcd, by which lists are ordered."""
    return f"{key[0]}/{key[1]}" if key[0] else key[1]


@dataclass(slots=True, eq=False)
class Event:
    """One change: the object after it (of a deletion, the last state) and before it."""

    type: str
    key: Key
    version: int
    obj: Obj
    old: Obj | None
    at: float = 0.0  # seconds of the monotonic clock
    encoded: dict[Any, bytes] = field(default_factory=dict)  # frames, shared by all watches


@dataclass(eq=False)
class Collection:
    """All objects of one kind."""

    objects: dict[Key, Obj] = field(default_factory=dict)
    paths: list[tuple[str, Key]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    first: int = 0  # position of events[0], counted from the first event of the kind
    floor: int = 0  # lower resourceVersions are expired
    watch_floor: int = 0  # lower resourceVersions are expired for watches, whose cache may be younger
    ended: bool = False  # its watches end when they have sent the pending events
    watchers: set[Callable[[], None]] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The position of the next event."""
        return self.first + len(self.events)

    def position_after(self, version: int) -> int:
        """The position of the first event newer than a resourceVersion."""
        return self.first + bisect_left(self.events, version + 1, key=lambda event: event.version)


class Store:
    """All objects of the server."""

    def __init__(self, *, history: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._history = history
        self._monotonic = monotonic
        self.revision: int = 1
        self.collections: dict[GroupResource, Collection] = {}
        self.by_uid: dict[str, tuple[GroupResource, Key]] = {}
        self.dependents: dict[str, set[tuple[GroupResource, Key]]] = {}
        self.listeners: list[Callable[[GroupResource, Event], None]] = []

    def time(self) -> float:
        """Seconds of the clock that Event.at is read from."""
        return self._monotonic()

    def collection(self, resource: GroupResource) -> Collection:
        """The objects of a kind; an unknown kind has no objects, and its history begins now."""
        known = self.collections.get(resource)
        if known is None:
            known = self.collections[resource] = Collection(floor=self.revision, watch_floor=self.revision)
        return known

    def get(self, resource: GroupResource, key: Key) -> Obj | None:
        """Read one object."""
        return self.collection(resource).objects.get(key)

    def next_revision(self) -> int:
        """Increase the global resourceVersion."""
        self.revision += 1
        return self.revision

    def put(self, resource: GroupResource, key: Key, obj: Obj) -> Obj:
        """Store an object with a new resourceVersion, and notify the watches."""
        collection = self.collection(resource)
        old = collection.objects.get(key)
        version = self.next_revision()
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        collection.objects[key] = obj
        if old is None:
            insort(collection.paths, (path_of(key), key))
        self._index(resource, key, old, obj)
        self._publish(resource, collection, Event("MODIFIED" if old else "ADDED", key, version, obj, old))
        return obj

    def delete(self, resource: GroupResource, key: Key) -> Obj:
        """Remove an object; its last state has the resourceVersion of the deletion."""
        collection = self.collection(resource)
        old = collection.objects.pop(key)
        del collection.paths[bisect_left(collection.paths, (path_of(key), key))]
        version = self.next_revision()
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(version)}}
        self._index(resource, key, old, None)
        self._publish(resource, collection, Event("DELETED", key, version, last, old))
        return last

    def list(
        self, resource: GroupResource, namespace: str, *, at: int | None = None
    ) -> Iterator[tuple[Key, Obj]]:
        """Iterate over a kind in etcd's order, now or at a resourceVersion that is not expired."""
        collection = self.collection(resource)
        undone: dict[Key, Obj | None] = {}
        if at is not None and at < self.revision:
            for event in reversed(collection.events[collection.position_after(at) - collection.first :]):
                undone[event.key] = event.old
        if not undone:
            paths = collection.paths
            start = bisect_left(paths, (f"{namespace}/",)) if namespace else 0
            for _, key in paths[start:]:
                if namespace and key[0] != namespace:
                    break
                yield key, collection.objects[key]
            return
        earlier = {**collection.objects, **undone}
        for key in sorted(earlier, key=path_of):
            obj = earlier[key]
            if obj is not None and (not namespace or key[0] == namespace):
                yield key, obj

    def count(self, resource: GroupResource) -> int:
        """Count the objects of a kind."""
        return len(self.collection(resource).objects)

    def restart(self, resource: GroupResource, reread: Callable[[Obj], Obj] = lambda obj: obj) -> None:
        """Restart the watch cache of a kind: running watches end cleanly, and watches of older resourceVersions expire.

        Lists at older resourceVersions remain possible, as in etcd. reread: converts an object to the new schema.
        """
        old = self.collection(resource)
        converted: dict[int, Obj] = {}

        def read(obj: Obj) -> Obj:
            if id(obj) not in converted:
                converted[id(obj)] = reread(obj)
            return converted[id(obj)]

        # Watches keep the old collection, so that they can send the pending events.
        self.collections[resource] = Collection(
            objects={key: read(obj) for key, obj in old.objects.items()},
            paths=old.paths,
            events=[
                Event(
                    event.type,
                    event.key,
                    event.version,
                    read(event.obj),
                    None if event.old is None else read(event.old),
                    event.at,
                )
                for event in old.events
            ],
            first=old.first,
            floor=old.floor,
            watch_floor=self.revision,
        )
        self._end(old)

    def compact(self) -> None:
        """Expire all history; running watches continue."""
        for collection in self.collections.values():
            collection.floor = collection.watch_floor = self.revision

    def drop(self, resource: GroupResource) -> None:
        """Remove a kind with its objects and history."""
        collection = self.collections.pop(resource, None)
        if collection is not None:
            self._end(collection)

    def _publish(self, resource: GroupResource, collection: Collection, event: Event) -> None:
        event.at = self._monotonic()
        collection.events.append(event)
        # Trimmed in slices: removing single events from the front would move the full list each time.
        excess = len(collection.events) - self._history
        if excess > max(64, self._history // 8):
            trimmed = collection.events[excess - 1].version
            collection.floor = max(collection.floor, trimmed)
            collection.watch_floor = max(collection.watch_floor, trimmed)
            del collection.events[:excess]
            collection.first += excess
        self._wake(collection)
        for listener in self.listeners:
            listener(resource, event)

    def _end(self, collection: Collection) -> None:
        collection.ended = True
        self._wake(collection)

    @staticmethod
    def _wake(collection: Collection) -> None:
        for wake in collection.watchers:
            wake()

    def _index(self, resource: GroupResource, key: Key, old: Obj | None, new: Obj | None) -> None:
        here = (resource, key)
        if old is not None:
            if new is None:
                self.by_uid.pop(old["metadata"].get("uid", ""), None)
            for uid in _owners(old):
                known = self.dependents.get(uid, set())
                known.discard(here)
                if not known:
                    self.dependents.pop(uid, None)
        if new is not None:
            self.by_uid[new["metadata"].get("uid", "")] = here
            for uid in _owners(new):
                self.dependents.setdefault(uid, set()).add(here)


def _owners(obj: Obj) -> list[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())]

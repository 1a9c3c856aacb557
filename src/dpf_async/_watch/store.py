"""Store: the objects of one cache, each in the newest state that the server returned.

Plain synchronous code. Every listener receives every change before the next event is applied, so that no wait misses a
state (docs/watching.md#every-state). The uid identifies an object; at most one existing object has a given name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._watch.versions import is_older, newest
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T", bound=Resource)

_TOMBSTONES: Final = 10_000
"""Tombstones kept per store, by which replayed events of deleted objects are ignored. A second connection replays
seconds of history; this is more deletions than the largest site makes in that time."""


class Change(msgspec.Struct, Generic[T], gc=False, frozen=True):
    """One object, before and after. Never both None; never two different uids.

    Attributes:
        before: the state stored before; None if the object was not stored.
        after: the state stored now; None if the object was deleted.
        last: the final state of a deleted object, if the server sent it.
        origin: "watch" if no state can have been missed since `before`; "relist" or "audit" if one can.
    """

    before: ObjectState[T] | None
    after: ObjectState[T] | None
    last: ObjectState[T] | None
    origin: str

    @property
    def name(self) -> str:
        """metadata.name of the object."""
        state = self.after if self.after is not None else self.before
        assert state is not None, "a change has a state"  # noqa: S101
        return state.record.metadata.name


class Listener(Generic[T]):
    """Receives every change of a store, synchronously. A method that a subclass does not override does nothing."""

    __slots__ = ()

    def changed(self, change: Change[T]) -> None:
        """An object was created, changed or deleted."""

    def undecodable(self, obj: Undecodable) -> None:
        """An object exists and cannot be decoded; it was removed from the store."""

    def undecodable_deleted(self, obj: Undecodable) -> None:
        """An object that could not be decoded was deleted. By default the same as `undecodable`."""
        self.undecodable(obj)

    def interrupted(self, reason: str) -> None:
        """Changes may be missed from here to the next list."""

    def list_begins(self) -> None:
        """The changes up to `list_ends` are the differences from one list, in no particular order."""

    def list_ends(self) -> None:
        """The store contains the state of the list."""

    def resumed(self, resource_version: str, *, rewound: bool) -> None:
        """A list of this version was applied after an interruption: the store is complete again.

        `rewound`: the server's history went back.
        """


class Store(Generic[T]):
    """The objects of one selection of one kind, by name.

    Attributes:
        duplicates: states dropped because they were stored already, or older.
        repairs: changes that an audit found before an event reported them.
        unreadable: the objects that exist and cannot be decoded, by name.
        gap: why changes may have been missed since the last list; empty if none can.
    """

    def __init__(self) -> None:
        self._objects: dict[str, ObjectState[T]] = {}
        self._tombstones: dict[str, str] = {}
        self._listeners: list[Listener[T]] = []
        self.duplicates: int = 0
        self.repairs: int = 0
        self.unreadable: dict[str, Undecodable] = {}
        self.gap: str = ""

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[ObjectState[T]]:
        return iter(self._objects.values())

    def get(self, name: str) -> ObjectState[T] | None:
        """The object that has this name."""
        return self._objects.get(name)

    def listen(self, listener: Listener[T]) -> None:
        """Call listener for every later change."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener[T]) -> None:
        """Stop calling listener; does nothing if it was not registered."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def apply(self, type_: str, state: ObjectState[T]) -> None:
        """Apply one ADDED, MODIFIED or DELETED event. A stored or older state is dropped and counted."""
        meta = state.record.metadata
        before = self._objects.get(meta.name)
        if self.unreadable and not self._is_stale(state):
            unreadable = self.unreadable.pop(meta.name, None)
            if unreadable is not None and (type_ == "DELETED" or unreadable.uid != meta.uid):
                self._delete_undecodable(unreadable, meta.resource_version)
                if type_ == "DELETED":
                    return
        if type_ == "DELETED":
            # Older: the object left the selection and returned, and this is a replay of the DELETED event.
            if (
                before is None
                or before.record.metadata.uid != meta.uid
                or is_older(meta.resource_version, than=before.record.metadata.resource_version)
            ):
                self.duplicates += 1
                return
            self._remove(before, state, "watch", meta.resource_version)
        elif before is None:
            if self._is_stale(state):
                self.duplicates += 1
                return
            self._put(None, state, "watch")
        else:
            known = before.record.metadata
            version = meta.resource_version
            if version == known.resource_version or is_older(version, than=known.resource_version):
                self.duplicates += 1
            elif known.uid == meta.uid:
                self._put(before, state, "watch")
            else:
                # The server sent no DELETED event for the old object; the new object under its name implies it.
                self._remove(before, None, "watch", version)
                self._put(None, state, "watch")

    def is_ahead_of(self, state: ObjectState[T], listed_at: str) -> bool:
        """The store has a newer state of the same object, which a list of this version should contain."""
        known = self._objects.get(state.name)
        return (
            known is not None
            and known.uid == state.uid
            and is_older(state.resource_version, than=known.resource_version)
            and not is_older(listed_at, than=known.resource_version)
        )

    def replace(
        self,
        items: Iterable[ObjectState[T]],
        undecodable: Iterable[Undecodable],
        resource_version: str,
        *,
        origin: str,
        rewound: bool,
    ) -> None:
        """Apply a complete list: make the store equal to it, and call listeners for the differences only.

        During an audit a watch is open as well; states that it sent after the version of the list are kept. After a
        rewind the list replaces every state, also newer ones.
        """
        listeners = tuple(self._listeners)
        for listener in listeners:
            listener.list_begins()
        try:
            self._apply_list(items, undecodable, resource_version, origin, rewound=rewound)
        finally:
            for listener in listeners:
                listener.list_ends()
        if origin != "audit":
            self.gap = ""
            for listener in tuple(self._listeners):
                listener.resumed(resource_version, rewound=rewound)

    def _apply_list(
        self,
        items: Iterable[ObjectState[T]],
        undecodable: Iterable[Undecodable],
        listed_at: str,
        origin: str,
        *,
        rewound: bool,
    ) -> None:
        unreadable_before = dict(self.unreadable)
        if rewound:
            self._tombstones.clear()
            self.unreadable.clear()
        missing = dict(self._objects)
        for state in items:
            if self._clear_undecodable(state, listed_at):
                del unreadable_before[state.name]
            self._compare(missing.pop(state.name, None), state, listed_at, origin, rewound=rewound)
        self._compare_unreadable(undecodable, unreadable_before, missing, listed_at, rewound=rewound)
        for known in missing.values():
            if rewound or not is_older(listed_at, than=known.resource_version):
                self._count_repair(origin)
                self._remove(known, None, origin, listed_at)

    def _clear_undecodable(self, state: ObjectState[T], listed_at: str) -> bool:
        """Remove the undecodable object of this name, if a list contains a newer state that can be decoded.

        Returns whether there was one.
        """
        unreadable = self.unreadable.get(state.name)
        if unreadable is None or self._is_stale(state):
            return False
        del self.unreadable[state.name]
        if unreadable.uid != state.uid:
            self._delete_undecodable(unreadable, listed_at)
        return True

    def _compare(
        self,
        known: ObjectState[T] | None,
        state: ObjectState[T],
        listed_at: str,
        origin: str,
        *,
        rewound: bool,
    ) -> None:
        """Compare one object of a list with the stored object of its name."""
        if known is None:
            # An object in a list existed at the version of the list: only a tombstone newer than the list applies.
            tombstone = self._tombstones.get(state.uid)
            if tombstone is not None and not is_older(listed_at, than=tombstone):
                del self._tombstones[state.uid]
            if not self._is_stale(state):
                self._found(None, state, origin)
            return
        if not rewound and is_older(state.resource_version, than=known.resource_version):
            return
        if known.uid != state.uid:
            self._remove(known, None, origin, listed_at)
            self._found(None, state, origin)
        elif known.resource_version != state.resource_version:
            self._found(known, state, origin)

    def _compare_unreadable(
        self,
        undecodable: Iterable[Undecodable],
        unlisted: dict[str, Undecodable],
        missing: dict[str, ObjectState[T]],
        listed_at: str,
        *,
        rewound: bool,
    ) -> None:
        """Store the undecodable objects of a list; delete those stored before that are not in the list."""
        for obj in undecodable:
            unlisted.pop(obj.name, None)
            missing.pop(obj.name, None)
            if rewound:
                self._objects.pop(obj.name, None)
            self.put_undecodable(obj)
        for obj in unlisted.values():
            if rewound or not is_older(listed_at, than=obj.resource_version):
                self.unreadable.pop(obj.name, None)
                readable = self._objects.get(obj.name)
                if readable is None or readable.uid != obj.uid:
                    self._delete_undecodable(obj, listed_at)

    def put_undecodable(self, obj: Undecodable) -> None:
        """Store an object that cannot be decoded, and remove its last decodable state, which is outdated."""
        readable = self._objects.get(obj.name)
        if self._is_stale(obj) or (
            readable is not None and is_older(obj.resource_version, than=readable.resource_version)
        ):
            self.duplicates += 1
            return
        if obj.deleted:
            self._apply_undecodable_deletion(obj, readable)
            return
        self.unreadable[obj.name] = obj
        self._objects.pop(obj.name, None)
        for listener in tuple(self._listeners):
            listener.undecodable(obj)

    def _apply_undecodable_deletion(self, obj: Undecodable, readable: ObjectState[T] | None) -> None:
        """Apply a DELETED event whose final state cannot be decoded."""
        unreadable = self.unreadable.get(obj.name)
        if unreadable is not None and unreadable.uid == obj.uid:
            del self.unreadable[obj.name]
            self._delete_undecodable(unreadable, obj.resource_version)
        elif readable is not None and readable.uid == obj.uid:
            self._remove(readable, None, "watch", obj.resource_version)
        else:
            self.duplicates += 1

    def interrupt(self, reason: str) -> None:
        """Record that changes may be missed from here to the next list, and call listeners."""
        self.gap = reason
        for listener in tuple(self._listeners):
            listener.interrupted(reason)

    def _found(self, before: ObjectState[T] | None, after: ObjectState[T], origin: str) -> None:
        self._count_repair(origin)
        self._put(before, after, origin)

    def _put(self, before: ObjectState[T] | None, after: ObjectState[T], origin: str) -> None:
        self._objects[after.record.metadata.name] = after
        change = Change(before, after, None, origin)
        for listener in self._listeners:
            listener.changed(change)

    def _remove(
        self, known: ObjectState[T], last: ObjectState[T] | None, origin: str, deleted_at: str
    ) -> None:
        # The tombstone has the version at which the object was surely deleted, not its own: a list may be ahead of the
        # watch, which then still sends states from before the deletion.
        meta = known.record.metadata
        del self._objects[meta.name]
        self._add_tombstone(meta.uid, newest(meta.resource_version, deleted_at))
        change = Change(known, None, last, origin)
        for listener in self._listeners:
            listener.changed(change)

    def _delete_undecodable(self, obj: Undecodable, deleted_at: str) -> None:
        self._add_tombstone(obj.uid, newest(obj.resource_version, deleted_at))
        for listener in tuple(self._listeners):
            listener.undecodable_deleted(obj)

    def _add_tombstone(self, uid: str, version: str) -> None:
        if len(self._tombstones) >= _TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[uid] = version

    def _is_stale(self, state: ObjectState[T] | Undecodable) -> bool:
        """The object was deleted, left the selection, or could not be decoded, at this version or a later one."""
        since = self._tombstones.get(state.uid, "")
        unreadable = self.unreadable.get(state.name)
        if unreadable is not None:
            since = newest(since, unreadable.resource_version)
        return since != "" and (
            since == state.resource_version or is_older(state.resource_version, than=since)
        )

    def _count_repair(self, origin: str) -> None:
        if origin == "audit":
            self.repairs += 1

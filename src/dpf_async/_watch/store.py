"""The picture: which objects exist, each in the newest state that the server has shown.

Plain synchronous code. Every change is told to every listener before the next event is looked at, so that nobody's
condition misses a state (G6). Identity is the uid; a name is only a label, and one name carries one live uid at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import msgspec

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._watch.versions import is_older, newest
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T", bound=Resource)

_GRAVES: Final = 10_000
"""Deletions remembered, so that a second connection that repeats the past raises no ghosts. A repeated stretch is
seconds long; this is more deletions than the largest site makes in one."""


class Change(msgspec.Struct, Generic[T], gc=False, frozen=True):
    """One object, before and after. Never both None; never two different uids.

    Attributes:
        before: the state known until now; None if the object was not known.
        after: the state now; None if the object is gone.
        last: the final state of a deleted object where the server told it.
        origin: "watch" if nothing can have been missed since `before`; "relist" or "audit" if something can.
    """

    before: ObjectState[T] | None
    after: ObjectState[T] | None
    last: ObjectState[T] | None
    origin: str

    @property
    def name(self) -> str:
        """metadata.name of the object."""
        state = self.after if self.after is not None else self.before
        assert state is not None, "a change is of something"  # noqa: S101
        return state.record.metadata.name


class Listener(Protocol[T]):
    """Somebody who is told of every change, at once and synchronously."""

    def changed(self, change: Change[T]) -> None:
        """An object appeared, changed or went."""

    def undecodable(self, obj: Undecodable) -> None:
        """An object exists and cannot be read; it is in the picture no longer."""

    def vanished(self, obj: Undecodable) -> None:
        """An object that could not be read is gone."""

    def interrupted(self, reason: str) -> None:
        """From here to the next list, changes may have been missed."""

    def list_begins(self) -> None:
        """What is told from here to list_ends are the differences to one moment, in no order that ever was."""

    def list_ends(self) -> None:
        """The picture is that of the list."""

    def listed(self, resource_version: str, *, rewound: bool) -> None:
        """A list was taken after an interruption: the picture is complete again.

        `rewound`: the server's history went back.
        """


class Store(Generic[T]):
    """The objects of one selection of one kind, by name.

    Attributes:
        duplicates: states dropped because they were known or older.
        repairs: changes that an audit found before an event told of them.
        unreadable: the objects that exist and cannot be decoded, by name.
        gap: why changes may have been missed since the last list; empty if none can.
    """

    def __init__(self) -> None:
        self._objects: dict[str, ObjectState[T]] = {}
        self._graves: dict[str, str] = {}
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
        """The object that has this name now."""
        return self._objects.get(name)

    def listen(self, listener: Listener[T]) -> None:
        """Tell listener of every change from now on."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener[T]) -> None:
        """Stop telling listener; nothing happens if it was not told."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def apply(self, type_: str, state: ObjectState[T]) -> None:
        """Take one ADDED, MODIFIED or DELETED. What is known already, or older, is dropped and counted."""
        meta = state.record.metadata
        before = self._objects.get(meta.name)
        if self.unreadable and not self._is_past(state):
            unreadable = self.unreadable.pop(meta.name, None)
            if unreadable is not None and (type_ == "DELETED" or unreadable.uid != meta.uid):
                self._vanish(unreadable, meta.resource_version)
                if type_ == "DELETED":
                    return
        if type_ == "DELETED":
            # Older: the object left the selection, came back, and is now told of a second time.
            if (
                before is None
                or before.record.metadata.uid != meta.uid
                or is_older(meta.resource_version, than=before.record.metadata.resource_version)
            ):
                self.duplicates += 1
                return
            self._remove(before, state, "watch", meta.resource_version)
        elif before is None:
            if self._is_past(state):
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
                # The server never told that the old one went; the new one's existence tells it.
                self._remove(before, None, "watch", version)
                self._put(None, state, "watch")

    def is_ahead_of(self, state: ObjectState[T], listed_at: str) -> bool:
        """The picture had the same object in a newer state already when the list at this version was made."""
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
        """Take a whole list: make the picture equal to it, and tell only what differs.

        A watch may be running beside an audit; whatever it has shown after the list was made stays. After a rewind
        the list is the truth, however old its versions are.
        """
        listeners = tuple(self._listeners)
        for listener in listeners:
            listener.list_begins()
        try:
            self._take(items, undecodable, resource_version, origin, rewound=rewound)
        finally:
            for listener in listeners:
                listener.list_ends()
        if origin != "audit":
            self.gap = ""
            for listener in tuple(self._listeners):
                listener.listed(resource_version, rewound=rewound)

    def _take(
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
            self._graves.clear()
            self.unreadable.clear()
        missing = dict(self._objects)
        for state in items:
            if self._reads_again(state, listed_at):
                del unreadable_before[state.name]
            self._compare(missing.pop(state.name, None), state, listed_at, origin, rewound=rewound)
        self._compare_unreadable(undecodable, unreadable_before, missing, listed_at, rewound=rewound)
        for known in missing.values():
            if rewound or not is_older(listed_at, than=known.resource_version):
                self._count_repair(origin)
                self._remove(known, None, origin, listed_at)

    def _reads_again(self, state: ObjectState[T], listed_at: str) -> bool:
        """An object of a list could not be read before, or another one of its name could not; now it can."""
        unreadable = self.unreadable.get(state.name)
        if unreadable is None or self._is_past(state):
            return False
        del self.unreadable[state.name]
        if unreadable.uid != state.uid:
            self._vanish(unreadable, listed_at)
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
        """One object of a list against what is known under its name."""
        if known is None:
            # What is in a list existed when the list was made: only what was seen to go after that is gone.
            if (grave := self._graves.get(state.uid)) is not None and not is_older(listed_at, than=grave):
                del self._graves[state.uid]
            if not self._is_past(state):
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
        gone: dict[str, Undecodable],
        missing: dict[str, ObjectState[T]],
        listed_at: str,
        *,
        rewound: bool,
    ) -> None:
        """The objects of a list that cannot be read; those known so before and not listed any more are gone."""
        for obj in undecodable:
            gone.pop(obj.name, None)
            missing.pop(obj.name, None)
            if rewound:
                self._objects.pop(obj.name, None)
            self.put_undecodable(obj)
        for obj in gone.values():
            if rewound or not is_older(listed_at, than=obj.resource_version):
                self.unreadable.pop(obj.name, None)
                readable = self._objects.get(obj.name)
                if readable is None or readable.uid != obj.uid:
                    self._vanish(obj, listed_at)

    def put_undecodable(self, obj: Undecodable) -> None:
        """An object cannot be read: it leaves the picture, since its last known state is not its state any more."""
        readable = self._objects.get(obj.name)
        if self._is_past(obj) or (
            readable is not None and is_older(obj.resource_version, than=readable.resource_version)
        ):
            self.duplicates += 1
            return
        if obj.deleted:
            self._unreadably_gone(obj, readable)
            return
        self.unreadable[obj.name] = obj
        self._objects.pop(obj.name, None)
        for listener in tuple(self._listeners):
            listener.undecodable(obj)

    def _unreadably_gone(self, obj: Undecodable, readable: ObjectState[T] | None) -> None:
        """The final state of an object cannot be read. That it is gone is plain."""
        unreadable = self.unreadable.get(obj.name)
        if unreadable is not None and unreadable.uid == obj.uid:
            del self.unreadable[obj.name]
            self._vanish(unreadable, obj.resource_version)
        elif readable is not None and readable.uid == obj.uid:
            self._remove(readable, None, "watch", obj.resource_version)
        else:
            self.duplicates += 1

    def interrupt(self, reason: str) -> None:
        """Tell that changes may be missed from here to the next list."""
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

    def _remove(self, known: ObjectState[T], last: ObjectState[T] | None, origin: str, gone_by: str) -> None:
        # Buried at the version by which it was surely gone, not at its own: a list may be ahead of the watch, which
        # then still tells of its last days.
        meta = known.record.metadata
        del self._objects[meta.name]
        self._bury(meta.uid, newest(meta.resource_version, gone_by))
        change = Change(known, None, last, origin)
        for listener in self._listeners:
            listener.changed(change)

    def _vanish(self, obj: Undecodable, gone_by: str) -> None:
        self._bury(obj.uid, newest(obj.resource_version, gone_by))
        for listener in tuple(self._listeners):
            listener.vanished(obj)

    def _bury(self, uid: str, version: str) -> None:
        if len(self._graves) >= _GRAVES:
            del self._graves[next(iter(self._graves))]
        self._graves[uid] = version

    def _is_past(self, state: ObjectState[T] | Undecodable) -> bool:
        """The object was deleted, left the selection, or could not be read, at this version or a later one."""
        since = self._graves.get(state.uid, "")
        unreadable = self.unreadable.get(state.name)
        if unreadable is not None:
            since = newest(since, unreadable.resource_version)
        return since != "" and (
            since == state.resource_version or is_older(state.resource_version, than=since)
        )

    def _count_repair(self, origin: str) -> None:
        if origin == "audit":
            self.repairs += 1

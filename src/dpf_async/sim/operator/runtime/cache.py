"""Cache: the objects of one kind, updated by a watch and by the responses to the operator's own writes.

The response to a write is newer than every event received so far, so a reconcile never misses an own write. The watch
delivers the same state again later; the cache ignores it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dpf_async._watch.versions import is_older
from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async import ObjectState

T = TypeVar("T", bound=Resource)

Listener = Callable[[Any, Any], None]
"""Receives an object before and after a change, None where it does not exist. Any: a Resource of the cache's kind."""

_MAX_TOMBSTONES: Final = 10_000
"""Tombstones kept, to ignore late events of deleted objects (chosen: more than any burst deletes)."""


class Cache(Generic[T]):
    """The objects of one kind, by name.

    Args:
        kind: of the objects.
        keys: returns the index keys of an object; see `select`.
    """

    def __init__(self, kind: type[T], keys: Callable[[T], Iterable[str]] | None = None) -> None:
        self.kind = kind
        self._keys = keys or (lambda _: ())
        self._objects: dict[str, T] = {}
        self._index: dict[str, dict[str, None]] = {}
        self._tombstones: dict[str, None] = {}
        self._listeners: list[Listener] = []

    def get(self, name: str) -> T | None:
        """The object of this name; None if there is none."""
        return self._objects.get(name)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def select(self, key: str) -> list[T]:
        """The objects with this index key, ordered by name."""
        return [self._objects[name] for name in sorted(self._index.get(key, ()))]

    def listen(self, listener: Listener) -> None:
        """Call listener on every change."""
        self._listeners.append(listener)

    def put(self, obj: T) -> None:
        """Store a state unless it is older than the stored one or equal to it."""
        if obj.terminating and not obj.metadata.finalizers:
            # This write removed the last finalizer: the object is deleted, although the answer still has it, with the
            # resourceVersion from before the write.
            self.remove(obj.name, obj.uid)
            return
        known = self._objects.get(obj.name)
        if not self._is_newer(obj.name, obj.uid, obj.metadata.resource_version):
            return
        if known is not None and known.uid != obj.uid:
            self.remove(known.name, known.uid)
            known = None
        self._store(known, obj)

    def update(self, state: ObjectState[T]) -> None:
        """Store a state of the watch, which is decoded only if it is newer.

        Raises:
            DecodeError: the state does not match the model.
        """
        if self._is_newer(state.name, state.uid, state.resource_version):
            self.put(state.object)

    def remove(self, name: str, uid: str) -> None:
        """Remove the object with this uid, and keep a tombstone."""
        if len(self._tombstones) >= _MAX_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[uid] = None
        known = self._objects.get(name)
        if known is not None and known.uid == uid:
            self._store(known, None)

    def _is_newer(self, name: str, uid: str, version: str) -> bool:
        if uid in self._tombstones:
            return False
        known = self._objects.get(name)
        return known is None or is_older(known.metadata.resource_version, than=version)

    def _store(self, before: T | None, after: T | None) -> None:
        if before is not None:
            del self._objects[before.name]
            for key in self._keys(before):
                self._index[key].pop(before.name, None)
                if not self._index[key]:
                    del self._index[key]
        if after is not None:
            self._objects[after.name] = after
            for key in self._keys(after):
                self._index.setdefault(key, {})[after.name] = None
        for listener in self._listeners:
            listener(before, after)

"""What the operator knows of the objects of one kind: fed by a watch, and by the answers to its own writes.

An answer to a write is newer than anything the watch has said so far, so a decision never overlooks what was just
written. The watch tells the same state once more, later; that one is known by then and dropped.
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
"""ListenerAdapter an object before and after; None where there is none. Any: a Resource of the cache's kind."""

_GRAVES: Final = 10_000
"""Deleted objects remembered, so that late news of them raises no ghosts (chosen: more than any burst deletes)."""


class Cache(Generic[T]):
    """The objects of one kind, by name.

    Args:
        kind: of the objects.
        keys: what else they are looked up by; see `select`.
    """

    def __init__(self, kind: type[T], keys: Callable[[T], Iterable[str]] | None = None) -> None:
        self.kind = kind
        self._keys = keys or (lambda _: ())
        self._objects: dict[str, T] = {}
        self._index: dict[str, dict[str, None]] = {}
        self._graves: dict[str, None] = {}
        self._listeners: list[Listener] = []

    def get(self, name: str) -> T | None:
        """The object of this name."""
        return self._objects.get(name)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def select(self, key: str) -> list[T]:
        """The objects that have this key, by name."""
        return [self._objects[name] for name in sorted(self._index.get(key, ()))]

    def listen(self, listener: Listener) -> None:
        """Tell listener of every change."""
        self._listeners.append(listener)

    def put(self, obj: T) -> None:
        """Take a state; what is known already, or older, is dropped."""
        if obj.terminating and not obj.metadata.finalizers:
            # This write removed the last finalizer: the object is deleted, although the answer still has it, with the
            # resourceVersion from before the write.
            self.bury(obj.name, obj.uid)
            return
        known = self._objects.get(obj.name)
        if not self._is_news(obj.name, obj.uid, obj.metadata.resource_version):
            return
        if known is not None and known.uid != obj.uid:
            self.bury(known.name, known.uid)
            known = None
        self._store(known, obj)

    def take(self, state: ObjectState[T]) -> None:
        """The same for a state of the watch, which is decoded only if it is news.

        Raises:
            DecodeError: it is not what the model says.
        """
        if self._is_news(state.name, state.uid, state.resource_version):
            self.put(state.object)

    def bury(self, name: str, uid: str) -> None:
        """This very object is gone."""
        if len(self._graves) >= _GRAVES:
            del self._graves[next(iter(self._graves))]
        self._graves[uid] = None
        known = self._objects.get(name)
        if known is not None and known.uid == uid:
            self._store(known, None)

    def _is_news(self, name: str, uid: str, version: str) -> bool:
        if uid in self._graves:
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

"""Hub: notifies the waits and the readers of a key when its view changed.

Generic over the key (a name) and its view. A wait is evaluated synchronously for every state, before the next event is
applied; a reader is only marked, and reads the current view when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from dpf_async._watch.cursor import Cursor
from dpf_async._watch.store import Listener
from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import Undecodable
    from dpf_async._transitions.levels import Level
    from dpf_async._watch.store import Change
    from dpf_async.errors import WaitError

T = TypeVar("T", bound=Resource)
V = TypeVar("V")

FailureCheck = Callable[[V], "WaitError | None"]
"""Checks a view in which the level does not hold; returns the error if the level cannot hold any more."""


class Wait(Generic[V]):
    """One wait for one level of one key. The first outcome is final."""

    __slots__ = ("_decided", "_failure_check", "_level", "_outcome")

    def __init__(self, level: Level[V], failure_check: FailureCheck[V]) -> None:
        self._level = level
        self._failure_check = failure_check
        self._decided = anyio.Event()
        self._outcome: tuple[V] | Exception | None = None

    @property
    def is_decided(self) -> bool:
        """The wait has an outcome."""
        return self._decided.is_set()

    def evaluate(self, view: V) -> bool:
        """Evaluate the level for this view; return True if the wait is over."""
        if self._decided.is_set():
            return True
        try:
            if self._level.holds(view):
                self._outcome = (view,)
            elif (error := self._failure_check(view)) is not None:
                self._outcome = error
            else:
                return False
        except Exception as error:  # noqa: BLE001  the caller's own predicate raised: the caller receives the error
            self._outcome = error
        self._decided.set()
        return True

    async def result(self) -> V:
        """Wait for the outcome; return the view in which the level held.

        Raises:
            WaitError: the level cannot hold any more.
            Exception: raised by the level itself.
        """
        await self._decided.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None, "a decided wait has an outcome"  # noqa: S101
        return self._outcome[0]


class Hub(Generic[V]):
    """The waits and the readers of one kind of view, by key."""

    __slots__ = ("_changed", "_paused", "_readers", "_unreadable", "_view_of", "_waits")

    def __init__(
        self, view_of: Callable[[str], V], unreadable: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Args: functions from a key to its current view, and to whether its object cannot be decoded.

        No wait is evaluated while the object cannot be decoded.
        """
        self._view_of = view_of
        self._unreadable = unreadable
        self._waits: dict[str, list[Wait[V]]] = {}
        self._readers: dict[str | None, list[Cursor[str]]] = {}
        self._paused = False
        self._changed: dict[str, None] = {}

    def view(self, key: str) -> V:
        """The current view of key."""
        return self._view_of(key)

    def is_unreadable(self, key: str) -> bool:
        """The object of this key exists and cannot be decoded."""
        return self._unreadable(key)

    def notify(self, key: str, origin: str) -> None:
        """The view of key changed: evaluate its waits, mark its readers."""
        if self._paused:
            self._changed[key] = None
        else:
            self._evaluate(key)
        if self._readers:
            for cursor in (*self._readers.get(key, ()), *self._readers.get(None, ())):
                cursor.mark(key, origin)

    def pause(self) -> None:
        """Evaluate no wait until `resume`: a list is being applied, and views mix its state with an older one."""
        self._paused = True

    def resume(self) -> None:
        """Evaluate the waits of every key that changed since `pause`, once."""
        self._paused = False
        changed, self._changed = self._changed, {}
        for key in changed:
            self._evaluate(key)

    def _evaluate(self, key: str) -> None:
        if (waits := self._waits.get(key)) is not None and not self._unreadable(key):
            view = self._view_of(key)
            for wait in waits:
                wait.evaluate(view)

    def add_wait(self, key: str, wait: Wait[V]) -> None:
        """Evaluate wait for every later view of key."""
        self._waits.setdefault(key, []).append(wait)

    def remove_wait(self, key: str, wait: Wait[V]) -> None:
        """Stop evaluating wait."""
        waits = self._waits[key]
        waits.remove(wait)
        if not waits:
            del self._waits[key]

    def add_reader(self, key: str | None, cursor: Cursor[str]) -> None:
        """Mark cursor for every change of key, or of any key if it is None."""
        self._readers.setdefault(key, []).append(cursor)

    def remove_reader(self, key: str | None, cursor: Cursor[str]) -> None:
        """Stop marking cursor."""
        readers = self._readers[key]
        readers.remove(cursor)
        if not readers:
            del self._readers[key]


class HubListener(Listener[T]):
    """Notifies a hub of every change of a store, with the name of the object as the key."""

    __slots__ = ("_notify",)

    def __init__(self, hub: Hub[Any]) -> None:  # Any: a hub of views of any type
        self._notify = hub.notify

    def changed(self, change: Change[T]) -> None:
        self._notify(change.name, change.origin)

    def undecodable(self, obj: Undecodable) -> None:
        self._notify(obj.name, "watch")

"""Who waits for what: wakes the waits and the readers that are concerned, and nobody else.

Generic over the key (a name) and the view of it. A wait is asked about every state, synchronously, before the next one
is looked at; a reader gets a mark, and looks when it comes by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from dpf_async._watch.cursor import Cursor

if TYPE_CHECKING:
    from dpf_async._transitions.levels import Level
    from dpf_async.errors import WaitError

V = TypeVar("V")

FailureCheck = Callable[[V], "WaitError | None"]
"""Looks at a view in which the level does not hold; returns the error if it never will."""


class Wait(Generic[V]):
    """One wait for one level of one key. Decided once; the first decision stands."""

    __slots__ = ("_decided", "_failure_check", "_level", "_outcome")

    def __init__(self, level: Level[V], failure_check: FailureCheck[V]) -> None:
        self._level = level
        self._failure_check = failure_check
        self._decided = anyio.Event()
        self._outcome: tuple[V] | Exception | None = None

    @property
    def is_decided(self) -> bool:
        """The wait was decided."""
        return self._decided.is_set()

    def evaluate(self, view: V) -> bool:
        """Ask the level about this view; True if the wait is over."""
        if self._decided.is_set():
            return True
        try:
            if self._level.holds(view):
                self._outcome = (view,)
            elif (error := self._failure_check(view)) is not None:
                self._outcome = error
            else:
                return False
        except Exception as error:  # noqa: BLE001  the caller's own question raised: it is the caller who hears of it
            self._outcome = error
        self._decided.set()
        return True

    async def result(self) -> V:
        """Wait for the decision: the view in which the level held.

        Raises:
            WaitError: it never will hold.
            Exception: whatever the level itself raised.
        """
        await self._decided.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None, "decided means an outcome"  # noqa: S101
        return self._outcome[0]


class Hub(Generic[V]):
    """The waits and the readers of one kind of view, by key."""

    __slots__ = ("_hidden", "_paused", "_readers", "_stirred", "_view", "_waits")

    def __init__(self, view: Callable[[str], V], hidden: Callable[[str], bool] = lambda _: False) -> None:
        """Args: look at a key; and whether what is there cannot be looked at now: no wait is decided by that."""
        self._view = view
        self._hidden = hidden
        self._waits: dict[str, list[Wait[V]]] = {}
        self._readers: dict[str | None, list[Cursor[str]]] = {}
        self._paused = False
        self._stirred: dict[str, None] = {}

    def view(self, key: str) -> V:
        """What is true of key now."""
        return self._view(key)

    def hidden(self, key: str) -> bool:
        """Something has this key, and nothing can be said of it."""
        return self._hidden(key)

    def notify(self, key: str, origin: str) -> None:
        """Something about key changed: ask its waits, mark its readers."""
        if self._paused:
            self._stirred[key] = None
        else:
            self._evaluate_waits(key)
        if self._readers:
            for cursor in (*self._readers.get(key, ()), *self._readers.get(None, ())):
                cursor.mark(key, origin)

    def pause(self) -> None:
        """Ask no wait until `resume`: what can be seen meanwhile is half of one moment and half of another."""
        self._paused = True

    def resume(self) -> None:
        """Ask the waits of every key that was stirred meanwhile, once."""
        self._paused = False
        stirred, self._stirred = self._stirred, {}
        for key in stirred:
            self._evaluate_waits(key)

    def _evaluate_waits(self, key: str) -> None:
        if (waits := self._waits.get(key)) is not None and not self._hidden(key):
            view = self._view(key)
            for wait in waits:
                wait.evaluate(view)

    def add_wait(self, key: str, wait: Wait[V]) -> None:
        """Ask wait about every state of key from now on."""
        self._waits.setdefault(key, []).append(wait)

    def remove_wait(self, key: str, wait: Wait[V]) -> None:
        """Stop asking it."""
        waits = self._waits[key]
        waits.remove(wait)
        if not waits:
            del self._waits[key]

    def add_reader(self, key: str | None, cursor: Cursor[str]) -> None:
        """Mark cursor for every change of key, or of any key if it is None."""
        self._readers.setdefault(key, []).append(cursor)

    def remove_reader(self, key: str | None, cursor: Cursor[str]) -> None:
        """Stop marking it."""
        readers = self._readers[key]
        readers.remove(cursor)
        if not readers:
            del self._readers[key]

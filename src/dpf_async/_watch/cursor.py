"""Cursor: the keys that changed since one reader read them, each with a summary of the changes. Not a queue.

Memory is one entry per key that changed, for any number of changes and for a reader of any speed. Keys are returned in
the order in which they first changed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import anyio

K = TypeVar("K", bound=Hashable)


class Missed:
    """The changes of one key since the reader last read it.

    Attributes:
        changes: the number of states.
        contiguous: no state was missed between them.
        origin: how the newest of them was received; "initial" remains until the key is read.
        last: the final state of the object that had the key when the reader last read it; None if it was not deleted.
    """

    __slots__ = ("changes", "contiguous", "last", "origin")

    def __init__(self, origin: str) -> None:
        self.changes = 0
        self.contiguous = True
        self.origin = origin
        self.last: object = None


class Cursor(Generic[K]):
    """The keys that one reader has to read."""

    __slots__ = ("_closed", "_missed", "_waiting")

    def __init__(self) -> None:
        self._missed: dict[K, Missed] = {}
        self._waiting: anyio.Event | None = None
        self._closed = False

    def mark(self, key: K, origin: str) -> Missed:
        """Record a change of key; return the summary that the reader will receive."""
        missed = self._missed.get(key)
        if missed is None:
            missed = self._missed[key] = Missed(origin)
            self._wake()
        missed.changes += 1
        if origin != "watch":
            missed.contiguous = False
        if missed.origin != "initial":
            missed.origin = origin
        return missed

    def discard(self, key: K) -> None:
        """Remove key from those to read; does nothing if it was not marked."""
        self._missed.pop(key, None)

    def close(self) -> None:
        """End the cursor: a pending `next` and each later one raise StopAsyncIteration."""
        self._closed = True
        self._wake()

    async def next(self) -> tuple[K, Missed]:
        """Wait for a key to change; remove and return it. If cancelled, nothing is removed.

        Raises:
            StopAsyncIteration: the cursor was closed.
        """
        while not self._missed and not self._closed:
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        if self._closed:
            raise StopAsyncIteration
        key = next(iter(self._missed))
        return key, self._missed.pop(key)

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

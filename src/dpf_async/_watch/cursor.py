"""What one reader has not heard yet: a set of keys, each with what happened to it since. Never a queue.

Memory is one entry per key that changed, however many changes there were and however slow the reader is. Keys come out
in the order in which they first changed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import anyio

K = TypeVar("K", bound=Hashable)


class Missed:
    """What happened to one key since the reader last heard of it.

    Attributes:
        changes: how many states there were.
        contiguous: nothing was missed between them.
        origin: how the newest of them was learnt.
        last: the final state of whatever carried the key when the reader last heard; None if that still stands.
    """

    __slots__ = ("changes", "contiguous", "last", "origin")

    def __init__(self, origin: str) -> None:
        self.changes = 0
        self.contiguous = True
        self.origin = origin
        self.last: object = None


class Cursor(Generic[K]):
    """The keys one reader has to look at again."""

    __slots__ = ("_closed", "_missed", "_waiting")

    def __init__(self) -> None:
        self._missed: dict[K, Missed] = {}
        self._waiting: anyio.Event | None = None
        self._closed = False

    def mark(self, key: K, origin: str) -> Missed:
        """Something happened to key; return what the reader will be handed for it."""
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

    def forget(self, key: K) -> None:
        """The reader need not look at key; nothing happens if it had not to."""
        self._missed.pop(key, None)

    def close(self) -> None:
        """There will be no more news: whoever waits for some, or asks for some, is told that this is the end."""
        self._closed = True
        self._wake()

    async def next(self) -> tuple[K, Missed]:
        """Wait for a key to change; take it. Cancelled, nothing is taken.

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

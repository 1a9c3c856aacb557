"""One answer at a time per node and question, within one client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Locks:
    """Locks by key; one that nobody holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[anyio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def holding(self, question: str, node: str) -> AsyncIterator[None]:
        """Hold the lock of one question about one node for as long as the block lasts.

        A free lock is taken without waiting for anything, be there ever so little time.
        """
        key = (question, node)
        lock, users = self._locks.setdefault(key, (anyio.Lock(), []))
        users.append(None)
        try:
            try:
                lock.acquire_nowait()
            except anyio.WouldBlock:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            users.pop()
            if not users:
                del self._locks[key]

"""Locks: mutual exclusion by key within one client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Locks:
    """Locks by purpose and node. A lock that no task holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[anyio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def held(self, purpose: str, node: str) -> AsyncIterator[None]:
        """Hold the lock of one purpose and one node while the block runs.

        A free lock is acquired without waiting, also in a scope whose deadline has passed.
        """
        key = (purpose, node)
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

"""The resourceVersions that the caches have received, to know whether the server has a newer state.

Every write of any object has a resourceVersion of its own, the next integer (etcd's revision). If the caches received
every version up to the one that the server reports, they have its present state. Versions of kinds that are not watched
never arrive; then all objects must be compared.
"""

from __future__ import annotations

from typing import Final

import anyio

_MAX_PENDING: Final = 10_000
"""Versions beyond the first missing one that are kept (chosen: more than any burst of the simulated sites writes)."""


class SeenVersions:
    """Every version up to one is received; later ones are kept until the versions before them arrive."""

    def __init__(self) -> None:
        self._complete: int | None = None
        self._pending: set[int] = set()
        self._changed = anyio.Event()

    def complete_until(self, version: str) -> None:
        """Every version up to this one is received or does not concern the caches."""
        number = _number(version)
        if number is None:
            return
        self._complete = number
        self._pending = {one for one in self._pending if one > number}
        self._advance()

    def add(self, version: str) -> None:
        """This version is received."""
        number = _number(version)
        if number is None or self._complete is None or number <= self._complete:
            return
        self._pending.add(number)
        self._advance()
        if len(self._pending) > _MAX_PENDING:
            self._complete = None
            self._pending.clear()

    async def wait_complete(self, *, until: str) -> None:
        """Wait until every version up to this one is received; without end if that cannot be known."""
        wanted = _number(until)
        while wanted is None or self._complete is None or self._complete < wanted:
            await self._changed.wait()

    def _advance(self) -> None:
        before = self._complete
        while self._complete is not None and self._complete + 1 in self._pending:
            self._complete += 1
            self._pending.discard(self._complete)
        if self._complete != before or not self._pending:
            self._changed.set()
            self._changed = anyio.Event()


def _number(version: str) -> int | None:
    """None for an opaque version, such as those of an aggregated API."""
    return int(version) if version.isascii() and version.isdigit() else None

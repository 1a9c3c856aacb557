"""Contention: what is written at the version it was read at is read and written anew when somebody else was faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from dpf_async.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

TRIES: Final = 5
"""Attempts at a write that somebody else keeps overtaking (chosen: the operator writes status every few seconds)."""


async def contend(attempt: Callable[[], Awaitable[T]], *, tries: int = TRIES, note: str = "") -> T:
    """Attempt it until nobody else was faster.

    Args:
        attempt: looks, decides by what it sees, and writes.
        tries: how often.
        note: for the error, if somebody else was faster each time.

    Raises:
        Conflict: somebody else was faster each time.
    """
    for _ in range(tries - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    try:
        return await attempt()
    except Conflict as error:
        if note:
            error.add_note(note)
        raise

"""Retries of writes: on a conflict, and on a transient error of the server or the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from dpf_async.errors import Conflict, ConnectionFailed, ServerError, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async.errors import DPFError

T = TypeVar("T")

TRIES: Final = 5
"""Attempts at a write that conflicts each time (chosen: the operator writes status every few seconds)."""

GRACE: Final = 5.0
"""Seconds for which a cancelled worker still retries its answer (chosen: the time of several requests, and less than
the 10 s or more that supervisors wait before they kill a process)."""

RETRY_INTERVAL: Final = 0.5
"""Seconds between attempts of `retry_transient`."""

TRANSIENT: Final = (ConnectionFailed, ServerError, TooManyRequests)
"""Errors after which the same write may succeed."""


async def retry_on_conflict(attempt: Callable[[], Awaitable[T]], *, tries: int = TRIES, note: str = "") -> T:
    """Run attempt again while it raises Conflict.

    Args:
        attempt: reads an object, decides from it, and writes with its resourceVersion.
        tries: how many attempts there are.
        note: added to the error of the last attempt.

    Raises:
        Conflict: every attempt conflicted.
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


async def retry_transient(write: Callable[[], Awaitable[T]], on_error: Callable[[DPFError], object]) -> T:
    """Retry a write on transient errors until the server accepts or rejects it.

    Args:
        write: an idempotent write.
        on_error: called with each transient error, before the next attempt.
    """
    while True:
        try:
            return await write()
        except TRANSIENT as error:
            on_error(error)
            await anyio.sleep(RETRY_INTERVAL)

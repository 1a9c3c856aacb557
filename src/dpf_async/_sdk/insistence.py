"""Insistence: what has to be told is told, as often as it takes until the server has taken it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from dpf_async.errors import ConnectionFailed, ServerError, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async.errors import DPFError

T = TypeVar("T")

GRACE: Final = 5.0
"""Seconds that an answer still has after its work was done and its worker was cancelled (chosen: several requests'
time, and less than the 10 s and more that supervisors wait before they kill)."""

RETRY: Final = 0.5
"""Seconds between attempts to write what the server could not take."""

PASSING: Final = (ConnectionFailed, ServerError, TooManyRequests)
"""Errors after which the same write may succeed."""


async def insist(write: Callable[[], Awaitable[T]], delayed: Callable[[DPFError], object]) -> T:
    """Write until it is taken or refused.

    Args:
        write: doing it twice is doing it once.
        delayed: hears of each error after which it is tried again.
    """
    while True:
        try:
            return await write()
        except PASSING as error:
            delayed(error)
            await anyio.sleep(RETRY)

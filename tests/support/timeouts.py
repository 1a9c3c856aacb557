"""Waits that are expected to time out, on machines of any speed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, overload

import anyio

from dpf_async.errors import WaitTimeout

__all__ = ["growing_timeouts", "outlast", "times_out", "with_enough_time"]

E = TypeVar("E", bound=Exception)


def growing_timeouts() -> Iterator[float]:
    """Timeouts in seconds: from the duration of a first read on an idle machine, fourfold each, to more than a busy
    machine needs.
    """
    seconds = 0.1
    while seconds <= 60:
        yield seconds
        seconds *= 4


async def outlast(seconds: float) -> None:
    """Wait for this time on the clock of the event loop, so that a deadline of the same length has expired."""
    with anyio.move_on_after(seconds):
        await anyio.sleep_forever()


@overload
async def times_out(ask: Callable[[float], Awaitable[object]], match: str) -> WaitTimeout: ...


@overload
async def times_out(ask: Callable[[float], Awaitable[object]], match: str, *, error: type[E]) -> E: ...


async def times_out(
    ask: Callable[[float], Awaitable[object]], match: str, *, error: type[Exception] = WaitTimeout
) -> Exception:
    """Wait with growing timeouts until the message or notes of the raised error match; return that error.

    A wait that timed out before its first read has a message without the state of the objects, and the duration of a
    read depends on the machine: a wait with another message is repeated with a longer timeout.

    Args:
        ask: waits with the timeout that it is given, in seconds.
        match: a regular expression.
        error: the expected exception.

    Raises:
        AssertionError: the wait did not time out, or no message matched.
    """
    message = ""
    for seconds in growing_timeouts():
        try:
            result = await ask(seconds)
        except error as raised:
            message = "\n".join([str(raised), *getattr(raised, "__notes__", [])])
            if re.search(match, message):
                return raised
        else:
            raise AssertionError(f"it did not time out: {result!r}")
    raise AssertionError(f"no match for {match!r} in: {message}")


async def with_enough_time(ask: Callable[[float], Awaitable[None]]) -> None:
    """Run `ask` with growing timeouts until one is long enough.

    Args:
        ask: waits with the timeout that it is given, in seconds.

    Raises:
        AssertionError: it timed out with every timeout.
    """
    message = ""
    for seconds in growing_timeouts():
        try:
            return await ask(seconds)
        except WaitTimeout as raised:
            message = str(raised)
    raise AssertionError(f"every timeout was too short: {message}")

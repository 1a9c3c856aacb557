"""Waits that are meant to end in a timeout, on machines of any speed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, overload

import anyio

from dpf_async.errors import WaitTimeout

__all__ = ["enough_time", "in_vain", "longer_than", "more_and_more"]

E = TypeVar("E", bound=Exception)


def more_and_more() -> Iterator[float]:
    """Seconds to try with, one after the other: from what a machine at leisure takes for a look, fourfold each time, to
    more than a busy one does.
    """
    seconds = 0.1
    while seconds <= 60:
        yield seconds
        seconds *= 4


async def longer_than(seconds: float) -> None:
    """Work that outlasts a deadline: waits for the deadline's own clock to have passed it."""
    with anyio.move_on_after(seconds):
        await anyio.sleep_forever()


@overload
async def in_vain(ask: Callable[[float], Awaitable[object]], match: str) -> WaitTimeout: ...


@overload
async def in_vain(ask: Callable[[float], Awaitable[object]], match: str, *, error: type[E]) -> E: ...


async def in_vain(
    ask: Callable[[float], Awaitable[object]], match: str, *, error: type[Exception] = WaitTimeout
) -> Exception:
    """Wait for what does not come; return what it raises for that, once its message or notes have match in them.

    A wait that was over before it had seen how things stand says just that, and how long a look takes is for the
    machine to say: a wait that says something else is tried again with more time.

    Args:
        ask: waits for the seconds it is given.
        match: a regular expression.
        error: what it raises.

    Raises:
        AssertionError: the wait was not in vain, or never said it.
    """
    said = ""
    for seconds in more_and_more():
        try:
            got = await ask(seconds)
        except error as over:
            said = "\n".join([str(over), *getattr(over, "__notes__", [])])
            if re.search(match, said):
                return over
        else:
            raise AssertionError(f"not in vain: {got!r}")
    raise AssertionError(f"expected {match!r}, but it says: {said}")


async def enough_time(ask: Callable[[float], Awaitable[None]]) -> None:
    """Have ask done in a time as short as this machine allows.

    Args:
        ask: is given the seconds it may take.

    Raises:
        AssertionError: no time was enough.
    """
    said = ""
    for seconds in more_and_more():
        try:
            return await ask(seconds)
        except WaitTimeout as over:
            said = str(over)
    raise AssertionError(f"no time was enough: {said}")

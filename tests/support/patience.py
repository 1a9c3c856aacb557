"""Waits that are meant to end in a timeout, on machines of any speed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

from dpf_async import WaitTimeout

__all__ = ["enough_time", "in_vain"]

_SHORTEST, _LONGEST = 0.1, 60.0
"""Seconds that a wait is given: what a machine at leisure takes for a look, and more than a busy one does."""

E = TypeVar("E", bound=Exception)


@overload
async def in_vain(ask: Callable[[float], Awaitable[object]], match: str = "") -> WaitTimeout: ...


@overload
async def in_vain(ask: Callable[[float], Awaitable[object]], match: str = "", *, error: type[E]) -> E: ...


async def in_vain(
    ask: Callable[[float], Awaitable[object]], match: str = "", *, error: type[Exception] = WaitTimeout
) -> Exception:
    """Wait for what does not come; return what it raises for that, once its message or notes have match in them.

    A wait that was over before it had seen how things stand says just that, and how long a look takes is for the
    machine to say: a wait that says something else is tried again with four times the time.

    Args:
        ask: waits for the seconds it is given.
        match: a regular expression.
        error: what it raises.

    Raises:
        AssertionError: the wait was not in vain, or never said it.
    """
    timeout = _SHORTEST
    while True:
        try:
            got = await ask(timeout)
        except error as over:
            said = "\n".join([str(over), *getattr(over, "__notes__", [])])
            if re.search(match, said):
                return over
            if (timeout := timeout * 4) > _LONGEST:
                raise AssertionError(f"expected {match!r}, but it says: {said}") from over
        else:
            raise AssertionError(f"not in vain: {got!r}")


async def enough_time(ask: Callable[[float], Awaitable[None]]) -> None:
    """Have ask done in a time as short as this machine allows.

    Args:
        ask: is given the seconds it may take.

    Raises:
        WaitTimeout: no time was enough.
    """
    timeout = _SHORTEST
    while True:
        try:
            await ask(timeout)
        except WaitTimeout:
            if (timeout := timeout * 4) > _LONGEST:
                raise
        else:
            return

"""How a wait goes: look first, then be asked about every state, and end in a view in which the level was seen to hold.

The end of a connection, a relist or a timeout never counts as success (G3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from dpf_async._transitions.hub import Hub, Objection, Wait
from dpf_async.errors import WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._transitions.levels import Level

V = TypeVar("V")

FIRST_LOOK: Final = 60.0
"""Seconds that a wait of no time at all still has for its one look: what a request may take."""


class Deadline:
    """A point in time from which several waits in a row take what is left. None means no end."""

    __slots__ = ("_at",)

    def __init__(self, timeout: float | None) -> None:
        self._at = math.inf if timeout is None else anyio.current_time() + timeout

    @property
    def left(self) -> float | None:
        """Seconds that are left, not below 0; None if there is no end."""
        return None if math.isinf(self._at) else max(0.0, self._at - anyio.current_time())


async def wait_for(
    hub: Hub[V],
    key: str,
    level: Level[V],
    *,
    fresh: Callable[[], Awaitable[None]],
    objection: Callable[[V, float], Objection[V]],
    timeout: float | None,
    words: Callable[[V | None, float], str],
) -> V:
    """Wait until level holds for key; return the view in which it did.

    Args:
        hub: where states of key are told.
        key: a name.
        level: what is waited for.
        fresh: makes sure that the first look sees everything we wrote ourselves.
        objection: given the first view and the time it began, looks at views in which the level does not hold.
        timeout: seconds; None waits for ever, 0 or less looks once.
        words: the message of a timeout, from the last view and the seconds waited.

    Raises:
        WaitTimeout: the time is over; with the last view.
        WaitError: it never will hold.
    """
    began = anyio.current_time()
    once = timeout is not None and timeout <= 0
    last: V | None = None
    with anyio.move_on_after(FIRST_LOOK if once else timeout):
        await fresh()
        first = hub.look(key)
        wait = Wait(level, objection(first, began))
        if wait.judge(first):
            return await wait.over()
        if not once:
            hub.add_wait(key, wait)
            try:
                return await wait.over()
            finally:
                hub.remove_wait(key, wait)
                last = hub.look(key)
        last = first
    waited = anyio.current_time() - began
    raise WaitTimeout(words(last, waited), condition=level.name, view=last, waited=waited)

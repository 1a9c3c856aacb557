"""How a wait goes: look first, then be asked about every state, and end in a view in which the level was seen to hold.

The end of a connection, a relist or a timeout never counts as success (G3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from dpf_async._transitions.hub import FailureCheck, Hub, Wait
from dpf_async.errors import WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._transitions.levels import Level

V = TypeVar("V")

FIRST_LOOK: Final = 60.0
"""Seconds that a wait of no time at all still has for its one look: what a request may take."""


class Deadline:
    """A point in time from which several waits in a row take what is left. None means no end."""

    __slots__ = ("_at", "checks_once")

    def __init__(self, timeout: float | None) -> None:
        self.checks_once: bool = timeout is not None and timeout <= 0
        """There never was any time to wait, only to look."""
        self._at = math.inf if timeout is None else anyio.current_time() + timeout

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, not below 0; None if there is no end."""
        return None if math.isinf(self._at) else max(0.0, self._at - anyio.current_time())

    @property
    def for_one_check(self) -> float | None:
        """Seconds that a look may take: what is left, but a request's time where there never was any time at all."""
        return FIRST_LOOK if self.checks_once else self.remaining


async def wait_for(
    hub: Hub[V],
    key: str,
    level: Level[V],
    *,
    fresh: Callable[[], Awaitable[None]],
    failure_check: Callable[[V, float], FailureCheck[V]],
    timeout: float | None,
    words: Callable[[V, float, bool], str],
) -> V:
    """Wait until level holds for key; return the view in which it did.

    Args:
        hub: where states of key are told.
        key: a name.
        level: what is waited for.
        fresh: makes sure that the first look sees everything we wrote ourselves.
        failure_check: given the first view and the time it began, looks at views in which the level does not hold.
        timeout: seconds; None waits for ever, 0 or less looks once.
        words: the message of a timeout, from the last view, the seconds waited, and whether it ever could look.

    Raises:
        WaitTimeout: the time is over; with the last view.
        WaitError: it never will hold.
    """
    began = anyio.current_time()
    deadline = Deadline(timeout)
    looked = False
    with anyio.move_on_after(deadline.for_one_check):
        await fresh()
        looked = True
        first = hub.view(key)
        wait = Wait(level, failure_check(first, began))
        if not hub.is_unreadable(key) and wait.evaluate(first):
            return await wait.result()
        if not deadline.checks_once:
            hub.add_wait(key, wait)
            try:
                return await wait.result()
            finally:
                hub.remove_wait(key, wait)
    waited = anyio.current_time() - began
    last = hub.view(key)
    raise WaitTimeout(words(last, waited, looked), condition=level.name, view=last, waited=waited)

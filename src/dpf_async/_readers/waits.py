"""Waits: check the current view first, then every later state, and return the view in which the level held.

The end of a connection, a relist or a timeout never counts as success (docs/watching.md#no-false-success).
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

ONE_CHECK: Final = 60.0
"""Seconds for the one check of a wait whose timeout is 0 or less: what a request may take."""


class Deadline:
    """A point in time that several consecutive waits share.

    Args:
        timeout: seconds from now; None has no end; 0 or less checks once and does not wait.
    """

    __slots__ = ("_at", "checks_once")

    def __init__(self, timeout: float | None) -> None:
        self.checks_once: bool = timeout is not None and timeout <= 0
        """The timeout was 0 or less: check once, do not wait."""
        self._at = math.inf if timeout is None else anyio.current_time() + timeout

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, not below 0; None if there is no end."""
        return None if math.isinf(self._at) else max(0.0, self._at - anyio.current_time())

    @property
    def for_one_check(self) -> float | None:
        """Seconds that one check may take: those that remain, but ONE_CHECK if the deadline only checks once."""
        return ONE_CHECK if self.checks_once else self.remaining


async def wait_for(
    hub: Hub[V],
    key: str,
    level: Level[V],
    *,
    sync: Callable[[], Awaitable[None]],
    failure_check: Callable[[V, float], FailureCheck[V]],
    timeout: float | None,
    timeout_message: Callable[[V, float, bool], str],
) -> V:
    """Wait until level holds for key; return the view in which it did.

    Args:
        hub: reports the states of key.
        key: a name.
        level: what is waited for.
        sync: returns when the hub shows everything that this client wrote.
        failure_check: gets the first view and the time at which the wait began; returns the check of every view in
            which the level does not hold.
        timeout: seconds; None waits without an end, 0 or less checks once.
        timeout_message: from the last view, the seconds waited, and whether the state could be read at all.

    Raises:
        WaitTimeout: the time is over; with the last view.
        WaitError: the failure check found that the level cannot hold any more.
    """
    began = anyio.current_time()
    deadline = Deadline(timeout)
    checked = False
    with anyio.move_on_after(deadline.for_one_check):
        await sync()
        checked = True
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
    raise WaitTimeout(timeout_message(last, waited, checked), condition=level.name, view=last, waited=waited)

"""Backoff: how long to wait before a request is retried. Pure: time and the source of jitter are arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_RECOVERY: Final = 7.5
"""Seconds that a connection may last without reducing the number of attempts. Chosen so that connections which always
fail sooner cost under 10 requests a minute, epoch checks included (docs/watching.md#watch-policy,
docs/watching.md#no-herd)."""


class Backoff:
    """Exponential backoff with full jitter, shared by all kinds of failure.

    The n-th consecutive attempt waits between 0 and min(cap, base * 2**n) seconds. Only the time for which a connection
    lasts counts as success: opening one does not reset anything (docs/watching.md#backoff).

    Attributes:
        attempt: consecutive failures since the last healthy period.
    """

    __slots__ = ("_base", "_cap", "_jitter", "_reset", "attempt")

    def __init__(self, *, base: float, cap: float, reset: float, jitter: Random) -> None:
        self._base = base
        self._cap = cap
        self._reset = reset
        self._jitter = jitter
        self.attempt = 0

    def next(self, *, at_least: float = 0.0) -> float:
        """Seconds to wait before the next attempt: `at_least`, which the server requested, plus the jitter."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self.attempt, 64))
        self.attempt += 1
        return at_least + self._jitter.uniform(0.0, ceiling)

    def survived(self, seconds: float) -> None:
        """Record how long a connection lasted. Each doubling removes one attempt; the reset time removes all."""
        if seconds >= self._reset:
            self.attempt = 0
        elif seconds > _RECOVERY:
            self.attempt = max(0, self.attempt - int(math.log2(seconds / _RECOVERY)))

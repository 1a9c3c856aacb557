"""How long to wait before asking again. Pure: time and chance are arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_FORGIVING: Final = 7.5
"""Seconds of life for which a connection takes no step back. Chosen so that connections that keep dying after less
than this cost under 10 requests a minute, epoch checks included (reliability 4.2, G11)."""


class Backoff:
    """Exponential, fully jittered, and one for all kinds of failure.

    The n-th attempt in a row waits between 0 and min(cap, base * 2**n) seconds. Only life counts as success: a
    connection that was merely opened wipes out nothing (reliability K2, K6).
    """

    __slots__ = ("_base", "_cap", "_chance", "_reset", "attempt")

    def __init__(self, *, base: float, cap: float, reset: float, chance: Random) -> None:
        self._base = base
        self._cap = cap
        self._reset = reset
        self._chance = chance
        self.attempt = 0

    def next(self, *, at_least: float = 0.0) -> float:
        """Seconds to wait before the next attempt; `at_least` is what the server asked for, the jitter comes on top."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self.attempt, 64))
        self.attempt += 1
        return at_least + self._chance.uniform(0.0, ceiling)

    def survived(self, seconds: float) -> None:
        """A connection lived so long. Twice the time takes back one more attempt; the reset time takes back all."""
        if seconds >= self._reset:
            self.attempt = 0
        elif seconds > _FORGIVING:
            self.attempt = max(0, self.attempt - int(math.log2(seconds / _FORGIVING)))

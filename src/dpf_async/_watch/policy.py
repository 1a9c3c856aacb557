"""WatchPolicy: the durations of a list and watch, in seconds unless stated otherwise.

Source: docs/watching.md#watch-policy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Timeouts, rotation and backoff of a watch.

    Attributes:
        silence: a watch that sends no byte for this long is replaced; the new watch is opened before the old one is
            closed. Longer than the 60 s between bookmarks, shorter than the 75 s of history that a server keeps.
        rotation: minimum and maximum time after which a watch is replaced, healthy or not: below the 4 minutes after
            which some load balancers drop idle connections, random so that many watches are not replaced together.
        overtime: added to the maximum rotation for `timeoutSeconds`, so that the server rarely ends a watch first.
        backoff_base, backoff_cap: the n-th consecutive attempt waits between 0 and min(cap, base * 2**n).
        backoff_reset: a connection that lasts this long resets the attempts to 0.
        audit: interval of a complete list that is compared with the cache, for events that the server lost.
        audit_spread: fraction of `audit` by which the interval varies, so that many audits do not run together.
        burst: events after which the reader yields to other tasks: a burst is in memory and would not wait for I/O.
    """

    silence: float = 65.0
    rotation: tuple[float, float] = (180.0, 230.0)
    overtime: float = 30.0
    backoff_base: float = 0.8
    backoff_cap: float = 30.0
    backoff_reset: float = 120.0
    audit: float = 600.0
    audit_spread: float = 0.2
    burst: int = 64

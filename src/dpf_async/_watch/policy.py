"""The numbers a watch lives by, in seconds unless said otherwise. All were chosen in reliability 4.2; each says why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """How patient a watch is.

    Attributes:
        silence: a watch that sends no byte for so long is replaced, the new one opened before the old one is dropped.
            Longer than the 60 s between bookmarks, shorter than the 75 s of history a server keeps.
        rotation: a watch is replaced after a time between these, healthy or not: below the 4 minutes after which some
            load balancers forget idle connections, spread so that many watches do not fall into step.
        overtime: asked of the server on top of the rotation, so that its own timeout is the exception.
        backoff_base, backoff_cap: the n-th attempt in a row waits between 0 and min(cap, base * 2**n).
        backoff_reset: a connection that lived so long wipes out all attempts before it.
        audit: the whole list is read and compared about this often, for what a server lost without telling.
        audit_spread: part of `audit` by which its time varies, so that many audits do not fall into step.
        burst: events after which the reader lets others run: a burst is in memory already and would never wait.
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

"""Meters: CPU time per watch event with woken waits, delivery latency, and the cost of a list."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGE = os.sysconf("SC_PAGE_SIZE")


class MeterError(Exception):
    """The run did not do the work that its figures are for, so there are no figures."""


def rss() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class WakeMeter:
    """CPU and wall time of a burst of events, from one woken wait to another.

    The client registers every wait first. The burst starts only then, so neither the list nor a wait that returns at
    once is measured. One marked event wakes a wait that calls `begin`, a later one a wait that calls `end`.

    Args:
        waits: the names of the objects that must have a pending wait before the burst starts.
        events: how many events the load generator sends between the two marks.
        due: how many of them end a wait.
    """

    def __init__(self, waits: Collection[str], *, events: int, due: int) -> None:
        self.events = events
        self.due = due
        self.woken = 0
        self.ended = asyncio.Event()
        self._unregistered = set(waits)
        self._all_registered = asyncio.Event()
        self._armed = self._running = False
        self._cpu = self._wall = 0.0

    def __str__(self) -> str:
        return (
            f"{len(self._unregistered)} waits not registered, burst {'' if self._armed else 'not '}started, "
            f"{self.woken} of {self.due} waits woken"
        )

    def register(self, name: str) -> None:
        """The wait for this object evaluates its first state and stays pending."""
        self._unregistered.discard(name)
        if not self._unregistered:
            self._all_registered.set()

    async def arm(self) -> None:
        """Wait until every wait is registered. The burst may start after this."""
        await self._all_registered.wait()
        await asyncio.sleep(
            0
        )  # the last wait becomes pending in the same turn of the loop in which it registers
        self._armed = True

    def wake(self, name: str) -> None:
        """The wait for this object ended.

        Raises:
            MeterError: it ended before the burst started, so no event woke it.
        """
        if not self._armed:
            raise MeterError(
                f"the wait for {name} ended before the burst started: it was not woken by an event"
            )
        if self._running:
            self.woken += 1

    def begin(self) -> None:
        """The first mark arrived: start the clocks.

        Raises:
            MeterError: not every wait was registered.
        """
        if not self._armed:
            raise MeterError(f"the burst started while {len(self._unregistered)} waits were not registered")
        self._running = True
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def end(self) -> None:
        """The second mark arrived: stop the clocks."""
        self._cpu = time.process_time() - self._cpu
        self._wall = time.perf_counter() - self._wall
        self._running = False
        self.ended.set()

    def result(self) -> dict[str, float]:
        """Events per second, CPU in µs per event, and waits woken.

        Raises:
            MeterError: the burst did not run to its end, or the number of woken waits is not the number due.
        """
        if not self.ended.is_set() or self._wall <= 0:
            raise MeterError(f"the burst did not run from its first mark to its last: {self}")
        if self.woken != self.due:
            raise MeterError(f"{self.woken} waits were woken, {self.due} were due")
        return {
            "events_per_s": self.events / self._wall,
            "cpu_us": self._cpu / self.events * 1e6,
            "woken": float(self.woken),
        }


class LatencyMeter:
    """Time from the sender's clock to the reader, for `count` events after `warmup` events."""

    def __init__(self, count: int, warmup: int) -> None:
        self._count = count
        self._warmup = warmup
        self._latencies: list[int] = []

    def stamp(self, sent_ns: str) -> bool:
        """The reader has the event that was sent at this time; True when enough events are measured."""
        now = time.monotonic_ns()
        if self._warmup:
            self._warmup -= 1
        else:
            self._latencies.append(now - int(sent_ns))
        return len(self._latencies) >= self._count

    def result(self) -> dict[str, float]:
        """Median and 99th percentile in µs."""
        ordered = sorted(self._latencies)
        return {
            "p50_us": statistics.median(ordered) / 1e3,
            "p99_us": ordered[int(len(ordered) * 0.99)] / 1e3,
        }


class ListMeter:
    """Wall and CPU seconds of a list, and the bytes per object that stay allocated."""

    def __enter__(self) -> Self:
        gc.collect()
        self._rss = rss()
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cpu = time.process_time() - self._cpu
        self._wall = time.perf_counter() - self._wall

    def result(self, objects: int) -> dict[str, float]:
        """Call it while the objects are still referenced."""
        gc.collect()
        return {
            "objects": float(objects),
            "wall_s": self._wall,
            "cpu_s": self._cpu,
            "bytes_per_object": (rss() - self._rss) / objects,
        }

"""Meters: what a burst costs per event, how long an event takes, what a list costs."""

from __future__ import annotations

import gc
import os
import statistics
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGE = os.sysconf("SC_PAGE_SIZE")


def rss() -> int:
    """Bytes of memory this process has resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class EventMeter:
    """Counts events; the clocks run from event `warmup` to event `warmup + count`."""

    def __init__(self, count: int, warmup: int) -> None:
        self.count = count
        self.warmup = warmup
        self.seen = 0
        self.woken = 0
        self.latencies: list[int] = []
        self._cpu = self._wall = 0.0
        self._woken = 0

    def tick(self) -> bool:
        """One more event; True when there are enough."""
        self.seen += 1
        if self.seen == self.warmup:
            self._cpu, self._wall, self._woken = time.process_time(), time.perf_counter(), self.woken
        if self.seen == self.warmup + self.count:
            self._cpu = time.process_time() - self._cpu
            self._wall = time.perf_counter() - self._wall
            self._woken = self.woken - self._woken
            return True
        return False

    def stamp(self, sent_ns: str) -> None:
        """An event that was sent at this time is with its reader now."""
        if self.seen > self.warmup:
            self.latencies.append(time.monotonic_ns() - int(sent_ns))

    def result(self) -> dict[str, float]:
        """Events per second, CPU in µs per event, waiters woken; latencies in µs where stamps were read."""
        found = {
            "events_per_s": self.count / self._wall,
            "cpu_us": self._cpu / self.count * 1e6,
            "woken": float(self._woken),
        }
        if self.latencies:
            ordered = sorted(self.latencies)
            found |= {
                "p50_us": statistics.median(ordered) / 1e3,
                "p99_us": ordered[int(len(ordered) * 0.99)] / 1e3,
            }
        return found


class ListMeter:
    """Wall and CPU seconds of a list, and the bytes per object that stay."""

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
        """Call it while the objects are still held."""
        gc.collect()
        return {
            "objects": float(objects),
            "wall_s": self._wall,
            "cpu_s": self._cpu,
            "bytes_per_object": (rss() - self._rss) / objects,
        }

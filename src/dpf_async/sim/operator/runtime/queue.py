"""Queue: runs the reconciles of one controller, one at a time per name, with requeues and retries.

Level-triggered: a reconcile receives only a name and reads everything else from the caches. Several changes of one
object before its reconcile starts cause one reconcile.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from dpf_async._log import log
from dpf_async.errors import AlreadyExists, Conflict, DPFError, NotFound, UsageError
from dpf_async.models import Resource

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

_OUTDATED: Final = (AlreadyExists, Conflict, NotFound)
"""Another client wrote first. The cache already has the present state: reconcile again."""

_QUIET_RETRIES: Final = 20
"""Consecutive conflicts of one name that are not logged."""

MAX_PARALLEL: Final = 16
"""Concurrent reconciles of one controller (chosen: more only wait for the connection pool)."""


SUMMARY_QUIET: Final = 0.1
"""Seconds without work after which a summary is written (chosen: a client answers a hold or a reboot in less)."""

SUMMARY_DELAY: Final = 2.0
"""Seconds after which a summary is written even while controllers are busy (chosen: a host needs less)."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Reconcile again after some seconds, unless an event arrives earlier.

    `expected`: the state will have changed by then. Otherwise it is a periodic reconcile in case an event was lost.
    """

    seconds: float
    expected: bool


def requeue_after(seconds: float) -> Requeue | None:
    """Reconcile again when the state will have changed; None, waiting for events only, if seconds is infinite."""
    return None if math.isinf(seconds) else Requeue(max(0.0, seconds), expected=True)


def poll(seconds: float) -> Requeue | None:
    """Reconcile again in case an event was lost; None if the profile does not poll."""
    return Requeue(seconds, expected=False) if seconds > 0 else None


Mapper = Callable[[Any, Any], Iterable[str]]
"""Maps an object before and after a change (None: it did not or does not exist) to names to reconcile."""


class Controller(Protocol):
    """Reconciles the objects of one kind."""

    @property
    def name(self) -> str:
        """The name in logs."""

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """The watched kinds, each with its mapper."""

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """Kinds whose changes only go into a summary, which is written when no controller is busy."""

    def names(self) -> Iterable[str]:
        """All names that it may have to reconcile."""

    async def reconcile(self, name: str) -> Requeue | None:
        """Move one object closer to its desired state.

        Raises:
            DPFError: the reconcile failed and is retried.
        """


class Queue:
    """The pending and running reconciles of one controller.

    Args:
        controller: reconciles.
        retry_base, retry_cap: seconds before the second attempt, doubled for each further one up to the cap.
        on_change: called whenever `idle` may have changed.
        quiet_seconds: returns for how long no controller was busy.
    """

    def __init__(
        self,
        controller: Controller,
        *,
        retry_base: float,
        retry_cap: float,
        on_change: Callable[[], None],
        quiet_seconds: Callable[[], float],
    ) -> None:
        self.controller = controller
        self._retry_base = retry_base
        self._retry_cap = retry_cap
        self._on_change = on_change
        self._quiet_seconds = quiet_seconds
        self._limit = anyio.Semaphore(MAX_PARALLEL, fast_acquire=True)
        self._tasks: TaskGroup | None = None
        self._waiting: dict[str, None] = {}
        self._running: set[str] = set()
        self._when_idle: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._timers = _Timers()

    async def run(self) -> None:
        """Run reconciles until cancelled.

        Raises:
            Exception: a reconcile raised something other than DPFError, which is a bug.
        """
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for name in self._waiting:
                    self._start(name)
                await self._timers.run(self._due)
        finally:
            # Caches may still notify this queue; it must not use a task group that has ended.
            self._tasks = None

    def add(self, name: str) -> None:
        """Reconcile this name as soon as possible."""
        self._timers.cancel(name)
        self._when_idle.pop(name, None)
        if name in self._waiting:
            return
        self._waiting[name] = None
        if name not in self._running:
            self._start(name)

    def add_when_idle(self, name: str) -> None:
        """Reconcile this name when no controller was busy for SUMMARY_QUIET, or after SUMMARY_DELAY seconds."""
        if name not in self._waiting and name not in self._when_idle:
            self._when_idle[name] = anyio.current_time() + SUMMARY_DELAY
            self._timers.set(name, Requeue(SUMMARY_QUIET, expected=True))

    def add_deferred(self) -> None:
        """Reconcile now what waits for a quiet moment."""
        for name in tuple(self._when_idle):
            self.add(name)

    @property
    def busy(self) -> bool:
        """Whether a reconcile is running or pending."""
        return bool(self._waiting or self._running)

    @property
    def idle(self) -> bool:
        """Whether no reconcile is running, pending or expected, apart from periodic ones."""
        return not (self._waiting or self._running or self._timers.expected)

    @property
    def activity(self) -> str:
        """Description of the reconciles because of which the queue is not idle; empty if it is."""
        due = [f"{name} in {left:.3g} s" for name, left in self._timers.expected.items()]
        parts = [*sorted({*self._waiting, *self._running}), *due]
        return f"{self.controller.name}: {', '.join(parts)}" if parts else ""

    def _due(self, name: str) -> None:
        latest = self._when_idle.get(name)
        if latest is not None:
            now = anyio.current_time()
            delay = min(SUMMARY_QUIET - self._quiet_seconds(), latest - now)
            # Not "delay > 0": added to a large clock value, a tiny delay is rounded away, and the timer is due forever.
            if now + delay > now:
                self._timers.set(name, Requeue(delay, expected=True))
                return
        self.add(name)

    def _start(self, name: str) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._run_one, name)

    async def _run_one(self, name: str) -> None:
        async with self._limit:
            self._waiting.pop(name, None)
            self._running.add(name)
            try:
                requeue = await self._reconcile(name)
            finally:
                self._running.discard(name)
        if name in self._waiting:
            self._start(name)
        elif requeue is not None:
            if requeue.seconds <= 0:
                self.add(name)
            elif name not in self._when_idle:
                self._timers.set(name, requeue)
        self._on_change()

    async def _reconcile(self, name: str) -> Requeue | None:
        try:
            requeue = await self.controller.reconcile(name)
        except UsageError:
            raise
        except DPFError as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            outdated = isinstance(error, _OUTDATED)
            if outdated and failures == 1:
                return Requeue(0.0, expected=True)
            if not outdated or failures > _QUIET_RETRIES:
                log.warning("reconcile_failed", controller=self.controller.name, name=name, reason=str(error))
            seconds = min(self._retry_cap, self._retry_base * 2 ** min(failures, 30))
            return Requeue(seconds, expected=True)
        self._failures.pop(name, None)
        return requeue


class _Timers:
    """One time per name at which it is reconciled again; the last one set counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._set: dict[str, tuple[int, float, bool]] = {}
        self._numbers = itertools.count()
        self._earlier = anyio.Event()

    async def run(self, due: Callable[[str], None]) -> None:
        """Call `due` with each name at its time, until cancelled."""
        while True:
            self._earlier = anyio.Event()
            with anyio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf):
                await self._earlier.wait()
            while self._heap and self._heap[0][0] <= anyio.current_time():
                _, number, name = heapq.heappop(self._heap)
                if name in self._set and self._set[name][0] == number:
                    del self._set[name]
                    due(name)

    def set(self, name: str, requeue: Requeue) -> None:
        """Set the time of a name, which replaces an earlier setting."""
        number, at = next(self._numbers), anyio.current_time() + requeue.seconds
        self._set[name] = (number, at, requeue.expected)
        heapq.heappush(self._heap, (at, number, name))
        if self._heap[0][1] == number:
            self._earlier.set()

    def cancel(self, name: str) -> None:
        """Remove the time of a name."""
        self._set.pop(name, None)

    @property
    def expected(self) -> dict[str, float]:
        """Seconds until each expected reconcile, by name."""
        now = anyio.current_time()
        return {name: at - now for name, (_, at, expected) in self._set.items() if expected}

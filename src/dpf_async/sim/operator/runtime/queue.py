"""What drives a controller: names to look at, one look per name at a time, again later, and again after an error.

Level-triggered: a look is told only a name, and reads everything else from the cluster's picture. Many changes of one
object before its turn are one look.
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

_OVERTAKEN: Final = (AlreadyExists, Conflict, NotFound)
"""Somebody else was faster. What there is now has been read by then: look again."""

_QUIET_RETRIES: Final = 20
"""Times in a row that being overtaken is nothing to speak of."""

MAX_PARALLEL: Final = 16
"""Looks of one controller at a time (chosen: more only queue up in the connection pool)."""


SUMMARY_QUIET: Final = 0.1
"""Seconds without work after which a summary is written (chosen: a client answers a hold or a reboot in less)."""

SUMMARY_DELAY: Final = 2.0
"""Seconds after which a summary is written even while controllers are busy (chosen: a host needs less)."""


@dataclass(frozen=True, slots=True)
class Later:
    """Look again after some seconds, if nothing happens before.

    `expected`: something will have happened by then. Otherwise it is a second look in case news got lost.
    """

    seconds: float
    expected: bool


def after(seconds: float) -> Later | None:
    """Look again then: something will have happened. None, waiting for news only, if it never will by itself."""
    return None if math.isinf(seconds) else Later(max(0.0, seconds), expected=True)


def poll(seconds: float) -> Later | None:
    """Look again then, in case news got lost. None if the profile does not poll."""
    return Later(seconds, expected=False) if seconds > 0 else None


Mapper = Callable[[Any, Any], Iterable[str]]
"""Which names to look at when an object changes, from the object before and after (None: it was not, is not, there)."""


class Controller(Protocol):
    """One kind of work."""

    @property
    def name(self) -> str:
        """What it is called in logs."""

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """What it wants to know of."""

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """Kinds whose changes only go into a summary, which is written when no controller is busy."""

    def names(self) -> Iterable[str]:
        """Everything it may have to look at."""

    async def reconcile(self, name: str) -> Later | None:
        """Bring one thing closer to what it should be.

        Raises:
            DPFError: it did not work out; it is tried again.
        """


class Queue:
    """The looks of one controller.

    Args:
        controller: who looks.
        retry_base, retry_cap: seconds before the second try, doubled up to the cap with each further one.
        on_change: called whenever the answer of `idle` may have changed.
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
        self._limit = anyio.CapacityLimiter(MAX_PARALLEL)
        self._tasks: TaskGroup | None = None
        self._waiting: dict[str, None] = {}
        self._running: set[str] = set()
        self._when_idle: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._timers = _Timers()

    async def run(self) -> None:
        """Look at what is asked for, until cancelled.

        Raises:
            Exception: a look failed in a way that trying again does not help: a bug.
        """
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for name in self._waiting:
                    self._start(name)
                await self._timers.run(self._due)
        finally:
            # Others may still have news; they must not find a task group that is over.
            self._tasks = None

    def add(self, name: str) -> None:
        """Look at this name soon."""
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
            self._timers.set(name, Later(SUMMARY_QUIET, expected=True))

    def add_deferred(self) -> None:
        """Reconcile now what waits for a quiet moment."""
        for name in tuple(self._when_idle):
            self.add(name)

    @property
    def busy(self) -> bool:
        """Something is being reconciled or is about to be."""
        return bool(self._waiting or self._running)

    @property
    def idle(self) -> bool:
        """Nothing is being looked at, and nothing will be by itself, apart from second looks."""
        return not (self._waiting or self._running or self._timers.expected)

    @property
    def business(self) -> str:
        """What keeps it from being idle, in words."""
        due = [f"{name} in {left:.3g} s" for name, left in self._timers.expected.items()]
        words = [*sorted({*self._waiting, *self._running}), *due]
        return f"{self.controller.name}: {', '.join(words)}" if words else ""

    def _due(self, name: str) -> None:
        latest = self._when_idle.get(name)
        if latest is not None:
            now = anyio.current_time()
            delay = min(SUMMARY_QUIET - self._quiet_seconds(), latest - now)
            # Not "delay > 0": added to a large clock value, a tiny delay is rounded away, and the timer is due forever.
            if now + delay > now:
                self._timers.set(name, Later(delay, expected=True))
                return
        self.add(name)

    def _start(self, name: str) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._look, name)

    async def _look(self, name: str) -> None:
        async with self._limit:
            self._waiting.pop(name, None)
            self._running.add(name)
            try:
                later = await self._reconcile(name)
            finally:
                self._running.discard(name)
        if name in self._waiting:
            self._start(name)
        elif later is not None:
            if later.seconds <= 0:
                self.add(name)
            elif name not in self._when_idle:
                self._timers.set(name, later)
        self._on_change()

    async def _reconcile(self, name: str) -> Later | None:
        try:
            later = await self.controller.reconcile(name)
        except UsageError:
            raise
        except DPFError as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            overtaken = isinstance(error, _OVERTAKEN)
            if overtaken and failures == 1:
                return Later(0.0, expected=True)
            if not overtaken or failures > _QUIET_RETRIES:
                log.warning("reconcile_failed", controller=self.controller.name, name=name, reason=str(error))
            seconds = min(self._retry_cap, self._retry_base * 2 ** min(failures, 30))
            return Later(seconds, expected=True)
        self._failures.pop(name, None)
        return later


class _Timers:
    """One moment per name at which it is looked at again; the last one set counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._set: dict[str, tuple[int, float, bool]] = {}
        self._numbers = itertools.count()
        self._earlier = anyio.Event()

    async def run(self, due: Callable[[str], None]) -> None:
        """Call `due` with each name when its moment has come, until cancelled."""
        while True:
            self._earlier = anyio.Event()
            with anyio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf):
                await self._earlier.wait()
            while self._heap and self._heap[0][0] <= anyio.current_time():
                _, number, name = heapq.heappop(self._heap)
                if name in self._set and self._set[name][0] == number:
                    del self._set[name]
                    due(name)

    def set(self, name: str, later: Later) -> None:
        """Have a name looked at then, and not when it was said before."""
        number, at = next(self._numbers), anyio.current_time() + later.seconds
        self._set[name] = (number, at, later.expected)
        heapq.heappush(self._heap, (at, number, name))
        if self._heap[0][1] == number:
            self._earlier.set()

    def cancel(self, name: str) -> None:
        """Forget the moment of a name."""
        self._set.pop(name, None)

    @property
    def expected(self) -> dict[str, float]:
        """Seconds until something is expected to have happened, by name."""
        now = anyio.current_time()
        return {name: at - now for name, (_, at, expected) in self._set.items() if expected}

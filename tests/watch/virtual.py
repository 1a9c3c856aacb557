"""A machine in virtual time: an hour of failures in a millisecond."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from dpf_async._watch.machine import (
    Cancel,
    Checked,
    CheckEpoch,
    Collected,
    Effect,
    Ended,
    Failed,
    Fault,
    FaultKind,
    Input,
    Machine,
    Opened,
    OpenWatch,
    ReadList,
    Start,
    Ticked,
)
from dpf_async._watch.policy import WatchPolicy

Requests = ReadList | CheckEpoch | OpenWatch

BROKEN = Fault(FaultKind.BROKEN, "reset by peer")
EXPIRED = Fault(FaultKind.EXPIRED, "too old resource version")
UNAVAILABLE = Fault(FaultKind.UNAVAILABLE, "etcdserver: leader changed")


class Virtual:
    """Runs a machine: answers its requests, and advances the time.

    `server` is called for every request; it returns the input that answers it, after `latency` seconds, or None for a
    request that remains unanswered.
    """

    def __init__(
        self,
        server: Callable[[Requests, float], Input | None],
        *,
        policy: WatchPolicy | None = None,
        jitter: Random | None = None,
        latency: float = 0.01,
    ) -> None:
        self.policy = policy or WatchPolicy()
        self.machine = Machine(self.policy, jitter or Random(7))
        self.now = 1000.0
        self.last_byte_at = self.now
        self.effects: list[tuple[float, Effect]] = []
        self._server = server
        self._latency = latency
        self._due: list[tuple[float, Input]] = []

    def start(self) -> None:
        self.feed(Start())

    def feed(self, input_: Input) -> list[Effect]:
        if isinstance(input_, Opened):
            self.last_byte_at = self.now
        effects = self.machine.step(input_, self.now)
        for effect in effects:
            self.effects.append((self.now, effect))
            if isinstance(effect, ReadList | CheckEpoch | OpenWatch):
                answer = self._server(effect, self.now)
                if answer is not None:
                    self._due.append((self.now + self._latency, answer))
        return effects

    def run(self, seconds: float) -> None:
        """Advance the time, from one event to the next."""
        end = self.now + seconds
        while True:
            times = [at for at, _ in self._due]
            if self.machine.wake_at is not None:
                times.append(self.machine.wake_at)
            upcoming = min(times, default=end + 1)
            if upcoming > end:
                self.now = end
                return
            self.now = max(self.now, upcoming)
            answers = [answer for at, answer in self._due if at <= self.now]
            if answers:
                self._due = [(at, answer) for at, answer in self._due if at > self.now]
                for answer in answers:
                    self.feed(answer)
            else:
                self.feed(Ticked(self.last_byte_at))

    def effects_of(self, kind: type[Effect]) -> list[Effect]:
        return [effect for _, effect in self.effects if isinstance(effect, kind)]

    def times(self, kind: type[Effect]) -> list[float]:
        return [at for at, effect in self.effects if isinstance(effect, kind)]

    @property
    def requests(self) -> list[float]:
        return [at for at, effect in self.effects if isinstance(effect, ReadList | CheckEpoch | OpenWatch)]


def healthy(request: Requests, now: float) -> Input | None:
    """A server that answers every request, without events."""
    match request:
        case ReadList(connection):
            return Collected(connection, "100", older=False)
        case CheckEpoch(connection):
            return Checked(connection, "100")
        case OpenWatch(connection):
            return Opened(connection)


__all__ = [
    "BROKEN",
    "EXPIRED",
    "UNAVAILABLE",
    "Cancel",
    "Ended",
    "Failed",
    "Requests",
    "Virtual",
    "healthy",
]

"""Simulated faults of the transport, switched on and off while the server runs.

server.faults.watch_lag = 0.2                                  # every watch event is sent 0.2 s late, in order
server.faults.answer(503, times=2, retry_after=1)              # the next two requests
server.faults.answer(500, verb="list", resource="dpus", times=1)
with server.faults.stalled(verb="watch"): ...                  # accepted, but never answered
server.faults.drop_watches(reset=True)                         # RST; without reset a clean end
server.faults.deny(user="robot", verb="delete", resource="dpus")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(frozen=True, slots=True)
class Request:
    """The attributes of a request that faults and permissions match; resource as in a URL, "dpus" or "dpus/status"."""

    user: str
    verb: str
    resource: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Matcher:
    user: str | None = None
    verb: str | None = None
    resource: str | None = None
    namespace: str | None = None

    def matches(self, request: Request) -> bool:
        return (
            self.user in (None, request.user)
            and self.verb in (None, request.verb)
            and self.resource in (None, request.resource)
            and self.namespace in (None, request.namespace)
        )


@dataclass(slots=True)
class Answer:
    """An answer that replaces the real one."""

    status: int
    body: str | None = None
    retry_after: float | None = None


@dataclass(slots=True)
class _PlannedAnswer:
    matcher: _Matcher
    answer: Answer
    remaining: int


@dataclass(slots=True)
class _Stall:
    matcher: _Matcher
    over: anyio.Event = field(default_factory=anyio.Event)


class Faults:
    """The faults of one server; all are off at first."""

    def __init__(self) -> None:
        self._watch_lag = 0.0
        self._lag_changed = anyio.Event()
        self._answers: list[_PlannedAnswer] = []
        self._stalls: list[_Stall] = []
        self._denied: dict[_Matcher, None] = {}
        self._droppers: set[Callable[[bool], None]] = set()

    @property
    def watch_lag(self) -> float:
        """Seconds by which every watch event is delayed; the order is kept."""
        return self._watch_lag

    @watch_lag.setter
    def watch_lag(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("watch_lag cannot be negative")
        self._watch_lag = seconds
        self._lag_changed.set()
        self._lag_changed = anyio.Event()

    def answer(
        self,
        status: int,
        *,
        times: int = 1,
        verb: str | None = None,
        resource: str | None = None,
        body: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Answer the next matching requests with a status instead of serving them.

        Args:
            status: HTTP status; the body is Kubernetes' Status for it.
            times: the number of requests.
            verb: only requests with this verb, as Kubernetes names verbs (list, watch, create, …).
            resource: only requests for this resource, "dpus" or "dpus/status".
            body: HTML to send instead, as a load balancer does.
            retry_after: seconds, sent in the Retry-After header.
        """
        matcher = _Matcher(verb=verb, resource=resource)
        self._answers.append(_PlannedAnswer(matcher, Answer(status, body, retry_after), times))

    @contextmanager
    def stalled(self, *, verb: str | None = None, resource: str | None = None) -> Iterator[None]:
        """Accept matching requests without answering them; matching watches that already run send nothing either."""
        stall = _Stall(_Matcher(verb=verb, resource=resource))
        self._stalls.append(stall)
        try:
            yield
        finally:
            self._stalls.remove(stall)
            stall.over.set()

    def drop_watches(self, *, reset: bool = False) -> int:
        """End every running watch, cleanly or with a TCP reset; return their number."""
        droppers = list(self._droppers)
        for drop in droppers:
            drop(reset)
        return len(droppers)

    def deny(
        self,
        *,
        user: str | None = None,
        verb: str | None = None,
        resource: str | None = None,
        namespace: str | None = None,
    ) -> None:
        """Answer matching requests with 403; watches that already run continue, as in Kubernetes."""
        self._denied[_Matcher(user, verb, resource, namespace)] = None

    def allow(
        self,
        *,
        user: str | None = None,
        verb: str | None = None,
        resource: str | None = None,
        namespace: str | None = None,
    ) -> None:
        """Revoke a deny() with the same arguments; without arguments, all of them."""
        matcher = _Matcher(user, verb, resource, namespace)
        if matcher == _Matcher():
            self._denied.clear()
        else:
            self._denied.pop(matcher, None)

    # For the server

    async def watch_lag_changed(self) -> None:
        """Wait until watch_lag is set again."""
        await self._lag_changed.wait()

    def denies(self, request: Request) -> bool:
        """Whether a request is forbidden."""
        return any(matcher.matches(request) for matcher in self._denied)

    def planned_answer(self, request: Request) -> Answer | None:
        """Return the answer planned for a request, if any, and count it."""
        for planned in self._answers:
            if planned.matcher.matches(request):
                planned.remaining -= 1
                if planned.remaining <= 0:
                    self._answers.remove(planned)
                return planned.answer
        return None

    def stalls(self, request: Request) -> bool:
        """Whether a request is stalled."""
        return any(stall.matcher.matches(request) for stall in self._stalls)

    async def wait_while_stalled(self, request: Request) -> None:
        """Wait until a request is not stalled."""
        while stall := next((stall for stall in self._stalls if stall.matcher.matches(request)), None):
            await stall.over.wait()

    @contextmanager
    def droppable(self, drop: Callable[[bool], None]) -> Iterator[None]:
        """Register a running watch for drop_watches()."""
        self._droppers.add(drop)
        try:
            yield
        finally:
            self._droppers.discard(drop)

"""Machine: decides what a list and watch requests next. Pure: inputs in, effects out; no I/O, no clock.

    IDLE ──Start──▶ LISTING ──Collected──▶ WATCHING ⟲  rotation, silence: a second watch opens, the first is cancelled
                      ▲                       │
                      └─────── PAUSED ◀───────┘ Ended, Failed
                   then: list, check the epoch, or resume the watch

Two rules:

1. A watch resumes from the last version that was *applied*, so that no event between two connections is lost or
   applied twice.
2. The list is read again only if the watch cannot be resumed (410), if the stream was not Kubernetes, or if the
   server's versions went back: after a restart of the API server, a thousand clients would relist at the same time.

Sources: docs/watching.md#server-behaviour (behaviour of servers), 4.4 (mechanisms).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, assert_never

from dpf_async._watch.backoff import Backoff
from dpf_async._watch.versions import is_older, newest

if TYPE_CHECKING:
    from random import Random

    from dpf_async._watch.policy import WatchPolicy

Connection = int
"""Identifies one request; never reused."""


class FaultKind(Enum):
    """Why a request failed."""

    EXPIRED = "the resourceVersion or continue token is too old"
    MALFORMED = "the response is not a Kubernetes response"
    THROTTLED = "the server limits the rate of requests"
    UNAVAILABLE = "the server is temporarily unavailable"
    UNAUTHORIZED = "the server rejected the credentials"
    FORBIDDEN = "permission is missing"
    KIND_ABSENT = "the kind is not served"
    REFUSED = "the server rejected the request as invalid"
    BROKEN = "the connection failed or could not be opened"


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure: its kind, a description for messages, and the seconds that the server requested to wait."""

    kind: FaultKind
    description: str
    retry_after: float = 0.0


class AfterPause(Enum):
    """The request that follows a pause."""

    LIST = "read the list"
    CHECK = "check whether the server's versions went back"
    WATCH = "resume the watch"


_AFTER_FAILED_WATCH: Final = {
    FaultKind.EXPIRED: AfterPause.LIST,
    FaultKind.MALFORMED: AfterPause.LIST,
    FaultKind.THROTTLED: AfterPause.WATCH,
    FaultKind.UNAVAILABLE: AfterPause.WATCH,
    FaultKind.UNAUTHORIZED: AfterPause.WATCH,
    FaultKind.FORBIDDEN: AfterPause.WATCH,
    FaultKind.KIND_ABSENT: AfterPause.WATCH,
    # An etcd restored from a backup accepts a watch from our version and then sends no events
    # (docs/watching.md#rewind).
    FaultKind.BROKEN: AfterPause.CHECK,
}
"""Without REFUSED: the server would reject a retry as well, so the machine gives up."""


class State(Enum):
    """The state of the machine."""

    IDLE = "idle"
    LISTING = "listing"
    CHECKING = "checking"
    WATCHING = "watching"
    PAUSED = "paused"
    CLOSED = "closed"


# Inputs.


@dataclass(frozen=True, slots=True)
class Start:
    """Begin."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A complete list was read and can be applied.

    Attributes:
        resource_version: of the list.
        older: it contains an older state of an object than the store.
    """

    connection: Connection
    resource_version: str
    older: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The current version of the server was read."""

    connection: Connection
    resource_version: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The response of a watch began."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Ended:
    """The server ended a watch without an error."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed, or a watch sent an ERROR event."""

    connection: Connection
    fault: Fault


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed. `last_byte_at` is when the watch last sent a byte."""

    last_byte_at: float


Input = Start | Collected | Checked | Opened | Ended | Failed | Ticked

# Effects.


@dataclass(frozen=True, slots=True)
class ReadList:
    """Read the complete list, in pages unless a continue token has expired; then step with Collected or Failed."""

    connection: Connection
    paged: bool


@dataclass(frozen=True, slots=True)
class CheckEpoch:
    """Read a list of at most one object for its version; then step with Checked or Failed."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Watch from resource_version; step with Opened, then Ended or Failed. The server receives timeout_seconds."""

    connection: Connection
    resource_version: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a request. Later inputs from it are ignored."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class ApplyList:
    """Apply the collected list to the store.

    Attributes:
        origin: "relist" or "audit"; the first list is a relist of an empty store.
        rewound: the server's history went back: older states replace newer ones.
    """

    connection: Connection
    origin: str
    rewound: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Report that changes may be missed from now on until the next list."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop: the server would reject a retry as well."""

    fault: Fault


Effect = ReadList | CheckEpoch | OpenWatch | Cancel | ApplyList | Interrupted | GiveUp


class Machine:
    """The state machine; see the module.

    Attributes:
        state: the current state.
        resume: the version that was applied last; set by the reflector after each event.
        fault: why the cache may be outdated; None while a watch is open, and between a list and its watch.
        wake_at: when the machine has to step with Ticked, at the latest; None if only another input can change it.
    """

    def __init__(self, policy: WatchPolicy, jitter: Random) -> None:
        self.state = State.IDLE
        self.resume = ""
        self.fault: Fault | None = None
        self.wake_at: float | None = None
        self._policy = policy
        self._jitter = jitter
        self._backoff = Backoff(
            base=policy.backoff_base, cap=policy.backoff_cap, reset=policy.backoff_reset, jitter=jitter
        )
        self._last_connection = 0
        self._current: Connection | None = None
        """The list, check or watch of the current state."""
        self._standby: Connection | None = None
        """A second watch, opened to replace the current one."""
        self._audit: Connection | None = None
        self._audited_from = ""
        """The version that was applied last when the audit began; its list must not be older."""
        self._after_pause = AfterPause.LIST
        self._paged = True
        self._rewind_suspected = False
        """The server's versions went back once. A second time they are accepted."""
        self._gap_reported = False
        """Interrupted was returned, and no list was applied since."""
        self._was_unreachable = False
        """A replacement of the watch failed because the server could not be reached."""
        self._opened_at: float | None = None
        """When the response of the current watch began; None before."""
        self._healthy_since: float | None = None
        """When the healthy period began: since then there was an open watch without a failure."""
        self._last_byte_at = 0.0
        self._resume_at = 0.0
        self._rotate_at = 0.0
        self._audit_at = 0.0

    @property
    def attempt(self) -> int:
        """Consecutive failures since the last healthy period."""
        return self._backoff.attempt

    def step(self, input_: Input, now: float) -> list[Effect]:
        """Process one input; return the effects to carry out, in order. `now` is seconds on any steady clock."""
        if self.state is State.CLOSED:
            return []
        effects = self._react(input_, now)
        self.wake_at = self._next_wake()
        return effects

    def is_active(self, connection: Connection) -> bool:
        """The request was neither cancelled nor completed: its inputs are processed."""
        return connection in (self._current, self._standby, self._audit)

    def _react(self, input_: Input, now: float) -> list[Effect]:
        match input_:
            case Start():
                self._audit_at = now + self._audit_interval()
                return self._list()
            case Ticked(last_byte_at):
                self._last_byte_at = last_byte_at
                return self._tick(now)
            case Collected() | Checked() | Opened() | Ended() | Failed() if not self.is_active(
                input_.connection
            ):
                return []
            case Collected():
                return self._collected(input_, now)
            case Checked():
                return self._checked(input_)
            case Opened(connection):
                return self._opened(connection, now)
            case Ended(connection):
                return self._ended(connection, now)
            case Failed(connection, fault):
                return self._failed(connection, fault, now)
            case _:
                assert_never(input_)

    # Lists.

    def _collected(self, collected: Collected, now: float) -> list[Effect]:
        audit = collected.connection == self._audit
        # During an audit the watch may advance past the version of its list: compare with the version before the audit.
        seen = self._audited_from if audit else self.resume
        backwards = collected.older or bool(seen and is_older(collected.resource_version, than=seen))
        if backwards and not (self._rewind_suspected and not audit):
            # A single older list may come from a replica that lags (docs/watching.md#replicas): do not apply it.
            self._rewind_suspected = True
            fault = Fault(
                FaultKind.MALFORMED, "the list is older than the cache; reading it again to confirm"
            )
            return self._interrupt(AfterPause.LIST, fault, now)
        self._paged = True
        rewound, self._rewind_suspected = backwards, False
        if audit:
            self._audit = None
            self._audit_at = now + self._audit_interval()
            return [ApplyList(collected.connection, "audit", rewound=False)]
        self.resume = collected.resource_version
        self.fault = None
        self._gap_reported = self._was_unreachable = False
        return [ApplyList(collected.connection, "relist", rewound), self._watch()]

    def _checked(self, checked: Checked) -> list[Effect]:
        if is_older(checked.resource_version, than=self.resume):
            self._rewind_suspected = True
            fault = Fault(FaultKind.EXPIRED, "the server's versions went back")
            return [*self._report_gap(fault), *self._list()]
        return [self._watch()]

    # Watches.

    def _opened(self, connection: Connection, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if connection == self._standby:
            if self._current is not None:
                effects.append(Cancel(self._current))
            self._current, self._standby = connection, None
            if self._was_unreachable:
                self._schedule_early_audit(now)
        self._opened_at = now
        if self._healthy_since is None:
            self._healthy_since = now
        self._rotate_at = now + self._jitter.uniform(*self._policy.rotation)
        self.fault = None
        return effects

    def _ended(self, connection: Connection, now: float) -> list[Effect]:
        fault = Fault(FaultKind.UNAVAILABLE, "the server ended the watch")
        if connection == self._standby:
            return self._standby_failed(fault, now)
        if self._standby is not None:
            return self._promote_standby()
        self._end_healthy_period(now)
        return self._pause(AfterPause.WATCH, fault, now)

    def _failed(self, connection: Connection, fault: Fault, now: float) -> list[Effect]:
        if connection == self._audit:
            self._audit = None
            self._audit_at = now + self._audit_interval()
            return []
        if fault.kind is FaultKind.REFUSED:
            self.state = State.CLOSED
            self.fault = fault
            return [*self._cancel_all(connection), GiveUp(fault)]
        if self.state is State.LISTING:
            return self._list_failed(fault, now)
        if self.state is State.CHECKING:
            return self._pause(AfterPause.CHECK, fault, now)
        return self._watch_failed(connection, fault, now)

    def _list_failed(self, fault: Fault, now: float) -> list[Effect]:
        if fault.kind is FaultKind.EXPIRED and self._paged:
            # Other pages would be of another version than the first: read the list without pages
            # (docs/watching.md#pages).
            self._paged = False
            return self._list()
        return self._pause(AfterPause.LIST, fault, now)

    def _watch_failed(self, connection: Connection, fault: Fault, now: float) -> list[Effect]:
        if connection == self._standby and fault.kind is not FaultKind.EXPIRED:
            return self._standby_failed(fault, now)
        if self._standby is not None and fault.kind is FaultKind.BROKEN:
            self._schedule_early_audit(now)
            return self._promote_standby()
        self._end_healthy_period(now)
        after = _AFTER_FAILED_WATCH[fault.kind]
        if after is AfterPause.LIST:
            return self._interrupt(after, fault, now, failed=connection)
        return [*self._cancel_all(connection), *self._pause(after, fault, now)]

    def _promote_standby(self) -> list[Effect]:
        """The watch failed while its replacement was being opened: the replacement becomes the watch."""
        self._current, self._standby = self._standby, None
        self._opened_at = None
        return []

    def _standby_failed(self, fault: Fault, now: float) -> list[Effect]:
        self._standby = None
        self._was_unreachable = self._was_unreachable or fault.kind is FaultKind.BROKEN
        self.fault = fault
        self._rotate_at = now + self._backoff.next(at_least=fault.retry_after)
        return []

    # Time.

    def _tick(self, now: float) -> list[Effect]:
        if self.state is State.PAUSED and now >= self._resume_at:
            match self._after_pause:
                case AfterPause.LIST:
                    return self._list()
                case AfterPause.CHECK:
                    return self._check()
                case AfterPause.WATCH:
                    return [self._watch()]
        if self.state is not State.WATCHING or self._opened_at is None or self._standby is not None:
            return []
        if self.fault is None and now >= self._silent_at(self._opened_at):
            self.fault = Fault(FaultKind.BROKEN, f"no byte for {self._policy.silence:g} s")
            self._rotate_at = now
        if now >= self._rotate_at:
            effects: list[Effect] = []
            if self._audit is not None:
                # At most two requests at a time; the audit is postponed.
                effects.append(Cancel(self._audit))
                self._audit, self._audit_at = None, now
            self._standby = self._connect()
            return [*effects, self._open(self._standby)]
        if now >= self._audit_at and self._audit is None:
            self._audit, self._audited_from = self._connect(), self.resume
            return [ReadList(self._audit, paged=True)]
        return []

    def _next_wake(self) -> float | None:
        if self.state is State.PAUSED:
            return self._resume_at
        if self.state is not State.WATCHING or self._opened_at is None or self._standby is not None:
            return None
        times = [self._rotate_at]
        if self.fault is None:
            # Bytes received since the last tick make this too early; the tick then sets a later time.
            times.append(self._silent_at(self._opened_at))
        if self._audit is None:
            times.append(self._audit_at)
        return min(times)

    def _silent_at(self, opened_at: float) -> float:
        return max(self._last_byte_at, opened_at) + self._policy.silence

    # Shared steps.

    def _list(self) -> list[Effect]:
        self.state = State.LISTING
        self._current = self._connect()
        return [ReadList(self._current, self._paged)]

    def _check(self) -> list[Effect]:
        self.state = State.CHECKING
        self._current = self._connect()
        return [CheckEpoch(self._current)]

    def _watch(self) -> Effect:
        self.state = State.WATCHING
        self._current = self._connect()
        self._opened_at = None
        return self._open(self._current)

    def _open(self, connection: Connection) -> OpenWatch:
        longest = self._policy.rotation[1] + self._policy.overtime
        return OpenWatch(connection, self.resume, timeout_seconds=max(1, round(longest)))

    def _interrupt(
        self, after: AfterPause, fault: Fault, now: float, *, failed: Connection | None = None
    ) -> list[Effect]:
        """Pause after a fault from which only a list recovers."""
        return [*self._report_gap(fault), *self._cancel_all(failed), *self._pause(after, fault, now)]

    def _report_gap(self, fault: Fault) -> list[Effect]:
        """Report that changes may be missed, once until the next list."""
        if self._gap_reported:
            return []
        self._gap_reported = True
        return [Interrupted(fault)]

    def _pause(self, after: AfterPause, fault: Fault, now: float) -> list[Effect]:
        self.state = State.PAUSED
        self.fault = fault
        self._after_pause = after
        self._current = None
        self._opened_at = None
        self._resume_at = now + self._backoff.next(at_least=fault.retry_after)
        return []

    def _cancel_all(self, failed: Connection | None = None) -> list[Effect]:
        """Cancel every active request except `failed`, which has ended."""
        active = (self._current, self._standby, self._audit)
        self._current = self._standby = self._audit = None
        return [
            Cancel(connection) for connection in active if connection is not None and connection != failed
        ]

    def _end_healthy_period(self, now: float) -> None:
        if self._healthy_since is not None:
            self._backoff.survived(now - self._healthy_since)
            self._healthy_since = None

    def _connect(self) -> Connection:
        self._last_connection += 1
        return self._last_connection

    def _schedule_early_audit(self, now: float) -> None:
        """Schedule an audit after a watch was replaced while the server could not be reached for some time.

        The server may have been restored from a backup and would send no events; unlike after a failed watch, its
        version was not checked. With a random delay, since all clients reconnect at the same time.
        Source: docs/watching.md#rewind-detection.
        """
        self._was_unreachable = False
        self._audit_at = min(self._audit_at, now + self._jitter.uniform(0, self._policy.backoff_cap))

    def _audit_interval(self) -> float:
        spread = self._policy.audit_spread
        return self._policy.audit * self._jitter.uniform(1 - spread, 1 + spread)


def applied(machine: Machine, resource_version: str) -> None:
    """Resume from this version, of an event or bookmark that was applied. Never goes back.

    Source: docs/watching.md#bookmarks.
    """
    machine.resume = newest(machine.resume, resource_version)

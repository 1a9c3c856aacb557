"""What a list-and-watch does next: a pure machine. Inputs in, effects out; no I/O, no clock, chance is an argument.

    IDLE ──Start──▶ LISTING ──Collected──▶ WATCHING ⟲  rotation, silence: a second one opens, then the first is dropped
                      ▲                       │
                      └─────── PAUSED ◀───────┘ Ended, Failed
                   then: list, or check the epoch, or watch from where we were

Two rules hold it together. A watch is resumed from the last version that was *applied*, so that nothing between two
connections is lost or told twice. And the list is read again only when resuming is impossible (410), pointless (the
stream was not Kubernetes) or suspect (the server's versions went backwards), because a relist is what a thousand
clients do at once when an API server restarts.

Sources: reliability 1 (what a server does), 4.4 (mechanisms).
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
"""Names one request that is under way; never used twice."""


class FaultKind(Enum):
    """Why a request did not do what it was for."""

    EXPIRED = "the resourceVersion or continue token is too old"
    MALFORMED = "the answer is not Kubernetes"
    THROTTLED = "the server asks to slow down"
    UNAVAILABLE = "the server cannot, for now"
    UNAUTHORIZED = "the credentials are not accepted"
    FORBIDDEN = "permission is missing"
    KIND_ABSENT = "the kind is not served"
    REFUSED = "the server does not accept the request"
    BROKEN = "the connection broke or could not be made"


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure: its kind, the words for people, and the seconds the server asked to wait."""

    kind: FaultKind
    words: str
    retry_after: float = 0.0


class Then(Enum):
    """What follows a pause."""

    LIST = "read the list"
    CHECK = "see whether the server's versions went backwards"
    WATCH = "watch from where we were"


_AFTER_FAILED_WATCH: Final = {
    FaultKind.EXPIRED: Then.LIST,
    FaultKind.MALFORMED: Then.LIST,
    FaultKind.THROTTLED: Then.WATCH,
    FaultKind.UNAVAILABLE: Then.WATCH,
    FaultKind.UNAUTHORIZED: Then.WATCH,
    FaultKind.FORBIDDEN: Then.WATCH,
    FaultKind.KIND_ABSENT: Then.WATCH,
    # An etcd restored from a backup would let a watch from our version succeed, and keep silent (reliability 0.1).
    FaultKind.BROKEN: Then.CHECK,
}
"""REFUSED is not here: asking again would be refused again, so the machine gives up."""


class State(Enum):
    """Where the machine is."""

    IDLE = "idle"
    LISTING = "listing"
    CHECKING = "checking"
    WATCHING = "watching"
    PAUSED = "paused"
    CLOSED = "closed"


# Inputs: what happened.


@dataclass(frozen=True, slots=True)
class Start:
    """Begin."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A whole list has been read and waits to be taken.

    Attributes:
        resource_version: of the list.
        older: it shows an object in an older state than we have seen.
    """

    connection: Connection
    resource_version: str
    older: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The server's newest version is known."""

    connection: Connection
    resource_version: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A watch's answer has begun."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Ended:
    """The server ended a watch in good order."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed, or a watch carried an ERROR."""

    connection: Connection
    fault: Fault


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed. `heard_at` is when the watch last sent a byte."""

    heard_at: float


Input = Start | Collected | Checked | Opened | Ended | Failed | Ticked

# Effects: what to do.


@dataclass(frozen=True, slots=True)
class ReadList:
    """Read the whole list, in pages unless a page's token expired before; then answer Collected or Failed."""

    connection: Connection
    paged: bool


@dataclass(frozen=True, slots=True)
class CheckEpoch:
    """Read a list of at most one object for its version; then answer Checked or Failed."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Watch from resource_version; answer Opened, then Ended or Failed. timeout_seconds is for the server."""

    connection: Connection
    resource_version: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Abandon a request. Nothing it still says counts."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Take:
    """Make the collected list the picture.

    Attributes:
        origin: "relist" or "audit"; the first list of all is a relist of an empty picture.
        rewound: the server's history went back: older states are the truth now.
    """

    connection: Connection
    origin: str
    rewound: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Say that something may be missed from here on, until the next list."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Asking again would not help."""

    fault: Fault


Effect = ReadList | CheckEpoch | OpenWatch | Drop | Take | Interrupted | GiveUp


class Machine:
    """Decides; see the module. `resume` is set by whoever applies events, to the version that was applied last."""

    def __init__(self, policy: WatchPolicy, chance: Random) -> None:
        self.state = State.IDLE
        self.resume = ""
        self.fault: Fault | None = None
        """Why the picture may be behind; None while a watch is live, and between a list and its watch."""
        self.wake_at: float | None = None
        """When Ticked is wanted next."""
        self._policy = policy
        self._chance = chance
        self._backoff = Backoff(
            base=policy.backoff_base, cap=policy.backoff_cap, reset=policy.backoff_reset, chance=chance
        )
        self._last_connection = 0
        self._current: Connection | None = None
        """The request that carries the state: list, check or watch."""
        self._standby: Connection | None = None
        """A second watch, to take over from the current one."""
        self._audit: Connection | None = None
        self._audited_from = ""
        """The version that was applied last when the audit began: its list cannot be older."""
        self._then = Then.LIST
        self._paged = True
        self._suspect = False
        """The server's versions were seen to go backwards once; a second time is believed."""
        self._gap = False
        """It was said that something may be missed, and no list has been taken since."""
        self._was_away = False
        """A watch could not be replaced, since the server could not be reached."""
        self._opened_at: float | None = None
        """When the current watch's answer began; None while it has not."""
        self._live_since: float | None = None
        """Since when one watch after the other was open, without a failure in between."""
        self._heard_at = 0.0
        self._resume_at = 0.0
        self._rotate_at = 0.0
        self._audit_at = 0.0

    @property
    def attempt(self) -> int:
        """Failures in a row that were not lived down yet."""
        return self._backoff.attempt

    def step(self, happened: Input, now: float) -> list[Effect]:
        """Take one input; return what to do, in this order. `now` is seconds on any steady clock."""
        if self.state is State.CLOSED:
            return []
        effects = self._react(happened, now)
        self.wake_at = self._next_wake()
        return effects

    def is_wanted(self, connection: Connection) -> bool:
        """What this request says still counts."""
        return connection in (self._current, self._standby, self._audit)

    def _react(self, happened: Input, now: float) -> list[Effect]:
        match happened:
            case Start():
                self._audit_at = now + self._vary_audit()
                return self._list()
            case Ticked(heard_at):
                self._heard_at = heard_at
                return self._tick(now)
            case Collected() | Checked() | Opened() | Ended() | Failed() if not self.is_wanted(
                happened.connection
            ):
                return []
            case Collected():
                return self._collected(happened, now)
            case Checked():
                return self._checked(happened)
            case Opened(connection):
                return self._opened(connection, now)
            case Ended(connection):
                return self._ended(connection, now)
            case Failed(connection, fault):
                return self._failed(connection, fault, now)
            case _:
                assert_never(happened)

    # Lists.

    def _collected(self, happened: Collected, now: float) -> list[Effect]:
        audit = happened.connection == self._audit
        # A watch beside the audit may have run ahead of its list meanwhile; that proves nothing.
        seen = self._audited_from if audit else self.resume
        backwards = happened.older or bool(seen and is_older(happened.resource_version, than=seen))
        if backwards and not (self._suspect and not audit):
            # Once may be a replica that lags (reliability A11); the view must not go back for that.
            self._suspect = True
            fault = Fault(
                FaultKind.MALFORMED, "the list is older than what was seen; reading it again to be sure"
            )
            return self._interrupt(Then.LIST, fault, now)
        self._paged = True
        rewound, self._suspect = backwards, False
        if audit:
            self._audit = None
            self._audit_at = now + self._vary_audit()
            return [Take(happened.connection, "audit", rewound=False)]
        self.resume = happened.resource_version
        self.fault = None
        self._gap = self._was_away = False
        return [Take(happened.connection, "relist", rewound), self._watch()]

    def _checked(self, happened: Checked) -> list[Effect]:
        if is_older(happened.resource_version, than=self.resume):
            self._suspect = True
            fault = Fault(FaultKind.EXPIRED, "the server's versions went back")
            return [*self._announce(fault), *self._list()]
        return [self._watch()]

    # Watches.

    def _opened(self, connection: Connection, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if connection == self._standby:
            if self._current is not None:
                effects.append(Drop(self._current))
            self._current, self._standby = connection, None
            if self._was_away:
                self._audit_soon(now)
        self._opened_at = now
        if self._live_since is None:
            self._live_since = now
        self._rotate_at = now + self._chance.uniform(*self._policy.rotation)
        self.fault = None
        return effects

    def _ended(self, connection: Connection, now: float) -> list[Effect]:
        fault = Fault(FaultKind.UNAVAILABLE, "the server ended the watch")
        if connection == self._standby:
            return self._standby_failed(fault, now)
        if self._standby is not None:
            return self._promote_standby()
        self._lived(now)
        return self._pause(Then.WATCH, fault, now)

    def _failed(self, connection: Connection, fault: Fault, now: float) -> list[Effect]:
        if connection == self._audit:
            self._audit = None
            self._audit_at = now + self._vary_audit()
            return []
        if fault.kind is FaultKind.REFUSED:
            self.state = State.CLOSED
            self.fault = fault
            return [*self._drop_all(connection), GiveUp(fault)]
        if self.state is State.LISTING:
            return self._list_failed(fault, now)
        if self.state is State.CHECKING:
            return self._pause(Then.CHECK, fault, now)
        return self._watch_failed(connection, fault, now)

    def _list_failed(self, fault: Fault, now: float) -> list[Effect]:
        if fault.kind is FaultKind.EXPIRED and self._paged:
            # The other pages would be from another moment than the first: read all in one piece (reliability 1.5).
            self._paged = False
            return self._list()
        return self._pause(Then.LIST, fault, now)

    def _watch_failed(self, connection: Connection, fault: Fault, now: float) -> list[Effect]:
        if connection == self._standby and fault.kind is not FaultKind.EXPIRED:
            return self._standby_failed(fault, now)
        if self._standby is not None and fault.kind is FaultKind.BROKEN:
            self._audit_soon(now)
            return self._promote_standby()
        self._lived(now)
        then = _AFTER_FAILED_WATCH[fault.kind]
        if then is Then.LIST:
            return self._interrupt(then, fault, now, failed=connection)
        return [*self._drop_all(connection), *self._pause(then, fault, now)]

    def _promote_standby(self) -> list[Effect]:
        """The replacement was on its way already when the watch broke: it becomes the watch."""
        self._current, self._standby = self._standby, None
        self._opened_at = None
        return []

    def _standby_failed(self, fault: Fault, now: float) -> list[Effect]:
        self._standby = None
        self._was_away = self._was_away or fault.kind is FaultKind.BROKEN
        self.fault = fault
        self._rotate_at = now + self._backoff.next(at_least=fault.retry_after)
        return []

    # Time.

    def _tick(self, now: float) -> list[Effect]:
        if self.state is State.PAUSED and now >= self._resume_at:
            match self._then:
                case Then.LIST:
                    return self._list()
                case Then.CHECK:
                    return self._check()
                case Then.WATCH:
                    return [self._watch()]
        if self.state is not State.WATCHING or self._opened_at is None or self._standby is not None:
            return []
        if self.fault is None and now >= self._silent_at(self._opened_at):
            self.fault = Fault(FaultKind.BROKEN, f"no byte for {self._policy.silence:g} s")
            self._rotate_at = now
        if now >= self._rotate_at:
            effects: list[Effect] = []
            if self._audit is not None:
                # Two requests are enough at a time, and an audit can wait.
                effects.append(Drop(self._audit))
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
            # Bytes may have come since the last tick; then this wakes early, and the tick asks for a later one.
            times.append(self._silent_at(self._opened_at))
        if self._audit is None:
            times.append(self._audit_at)
        return min(times)

    def _silent_at(self, opened_at: float) -> float:
        return max(self._heard_at, opened_at) + self._policy.silence

    # Steps that several inputs share.

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
        self, then: Then, fault: Fault, now: float, *, failed: Connection | None = None
    ) -> list[Effect]:
        """What comes next can only be learnt from a list."""
        return [*self._announce(fault), *self._drop_all(failed), *self._pause(then, fault, now)]

    def _announce(self, fault: Fault) -> list[Effect]:
        """Say that something may be missed, once until the next list."""
        if self._gap:
            return []
        self._gap = True
        return [Interrupted(fault)]

    def _pause(self, then: Then, fault: Fault, now: float) -> list[Effect]:
        self.state = State.PAUSED
        self.fault = fault
        self._then = then
        self._current = None
        self._opened_at = None
        self._resume_at = now + self._backoff.next(at_least=fault.retry_after)
        return []

    def _drop_all(self, failed: Connection | None = None) -> list[Effect]:
        """Abandon every request under way; `failed` has ended by itself."""
        under_way = (self._current, self._standby, self._audit)
        self._current = self._standby = self._audit = None
        return [
            Drop(connection) for connection in under_way if connection is not None and connection != failed
        ]

    def _lived(self, now: float) -> None:
        if self._live_since is not None:
            self._backoff.survived(now - self._live_since)
            self._live_since = None

    def _connect(self) -> Connection:
        self._last_connection += 1
        return self._last_connection

    def _audit_soon(self, now: float) -> None:
        """A watch took over from another one, and in between the server could not be reached.

        It may have been restored from a backup meanwhile, and would answer with silence: nobody has looked at its
        versions, as is done where a watch is opened again. Not at once, since all clients come back together.
        Source: reliability E1.
        """
        self._was_away = False
        self._audit_at = min(self._audit_at, now + self._chance.uniform(0, self._policy.backoff_cap))

    def _vary_audit(self) -> float:
        spread = self._policy.audit_spread
        return self._policy.audit * self._chance.uniform(1 - spread, 1 + spread)


def applied(machine: Machine, resource_version: str) -> None:
    """An event or bookmark of this version was applied: resume from here. Never goes back (reliability E13)."""
    machine.resume = newest(machine.resume, resource_version)

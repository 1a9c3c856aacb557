"""Keeps one picture true: does what the machine decides, over the wire, and feeds the store.

One reflector serves every reader of one selection. Its connections live in the task group of whoever runs it; a
reader that sleeps, fails or is cancelled never disturbs it.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Generic, TypeVar, assert_never

import anyio
import anyio.lowlevel

from dpf_async import errors
from dpf_async._api.codec import LIVE, Malformed, StatusEvent, Undecodable
from dpf_async._api.feed import PAGE_SIZE
from dpf_async._api.lines import LineSplitter
from dpf_async._api.records import Envelope
from dpf_async._api.status import retry_after
from dpf_async._api.text import printable
from dpf_async._log import log
from dpf_async._watch.machine import (
    Checked,
    CheckEpoch,
    Collected,
    Connection,
    Drop,
    Effect,
    Ended,
    Failed,
    Fault,
    FaultKind,
    GiveUp,
    Input,
    Interrupted,
    Machine,
    Opened,
    OpenWatch,
    ReadList,
    Start,
    State,
    Take,
    Ticked,
)
from dpf_async._watch.policy import WatchPolicy
from dpf_async._watch.store import Store
from dpf_async._watch.versions import is_older, newest
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dpf_async._api.codec import ObjectState
    from dpf_async._api.feed import Feed
    from dpf_async._api.transport import Stream


T = TypeVar("T", bound=Resource)

_FAULTS: Final[tuple[tuple[type[errors.DPFError], FaultKind], ...]] = (
    (errors.Gone, FaultKind.EXPIRED),
    (errors.Unauthorized, FaultKind.UNAUTHORIZED),
    (errors.Forbidden, FaultKind.FORBIDDEN),
    (errors.KindNotServed, FaultKind.KIND_ABSENT),
    (errors.NotFound, FaultKind.KIND_ABSENT),
    (errors.TooManyRequests, FaultKind.THROTTLED),
    (errors.BadRequest, FaultKind.REFUSED),
    (errors.Invalid, FaultKind.REFUSED),
    (errors.APIError, FaultKind.UNAVAILABLE),
    (errors.DecodeError, FaultKind.MALFORMED),
    (errors.DPFError, FaultKind.BROKEN),
)
"""Errors to faults, most specific first."""

_EVENT_CODES: Final = {
    401: FaultKind.UNAUTHORIZED,
    403: FaultKind.FORBIDDEN,
    410: FaultKind.EXPIRED,
    429: FaultKind.THROTTLED,
}
"""Codes of ERROR events that mean more than "the server could not" (reliability 1.2)."""

_LASTING: Final = frozenset(
    (FaultKind.UNAUTHORIZED, FaultKind.FORBIDDEN, FaultKind.KIND_ABSENT, FaultKind.REFUSED)
)
"""Faults of the very first list that somebody has to repair: whoever waits for the picture hears of them."""

_FORBIDDEN_FOR_A_MOMENT: Final = 1.0
"""Seconds for which "forbidden" is not believed. An API server that has just begun forbids everything to everybody but
administrators until it has read the roles, and does not say that it will not last: for 0.05 to 0.25 s after the first
answer of v1.37 (measured); a few times that."""


@dataclass(frozen=True, slots=True)
class CacheHealth:
    """How a picture is kept, for operators and for the messages of errors (G16).

    Attributes:
        state: "syncing", "live" or "degraded".
        reason: why it is degraded; empty otherwise.
        resource_version: what was applied last.
        objects: how many objects the picture has.
        silent_for: seconds since the watch last said something; lists are not counted.
        attempt: failures in a row that were not lived down yet.
        relists: lists read after the first one.
        reconnects: watches opened after the first one.
        duplicates: states dropped because they were known or older.
        repairs: changes that an audit found before an event told of them.
        unknown_events: events of a type that Kubernetes does not define.
        unreadable: objects that exist and cannot be decoded.
    """

    state: str
    reason: str
    resource_version: str
    objects: int
    silent_for: float
    attempt: int
    relists: int
    reconnects: int
    duplicates: int
    repairs: int
    unknown_events: int
    unreadable: int


class Reflector(Generic[T]):
    """The picture of one feed, kept true while `run` runs."""

    def __init__(
        self,
        feed: Feed[T],
        policy: WatchPolicy | None = None,
        chance: Random | None = None,
        *,
        on_rewind: Callable[[], None] | None = None,
    ) -> None:
        """`on_rewind` is told when the server's history went back: versions seen until then mean nothing any more."""
        self.feed = feed
        self.store: Store[T] = Store()
        self._policy = policy or WatchPolicy()
        self._machine = Machine(self._policy, chance or Random())  # noqa: S311  jitter, not secrets
        self._tasks: anyio.abc.TaskGroup | None = None
        self._scopes: dict[Connection, anyio.CancelScope] = {}
        self._collected: dict[Connection, tuple[list[ObjectState[T]], list[Undecodable], str]] = {}
        self._rearm = anyio.Event()
        self._news = anyio.Event()
        self._on_rewind = on_rewind
        self._own_awaited = 0
        """How many wait to see what they wrote."""
        self._rewinds = 0
        self._synced = False
        self._error: errors.DPFError | None = None
        self._forbidden_since: float | None = None
        """Since when the server has said nothing but that it is forbidden."""
        self._heard_at = 0.0
        self._lists = self._watches = self._unknown = 0

    async def run(self) -> None:
        """Keep the picture true until cancelled, or until the server says that it will never accept what is asked.

        That is the business of whoever asked: `synced` raises it, and other pictures go on.

        Raises:
            BadRequest, Invalid: the server accepts no longer what it has accepted: nobody could be told otherwise, and
                waits on this picture would never end.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._heard_at = anyio.current_time()
            self._step(Start())
            while True:
                self._rearm = anyio.Event()
                wake_at = self._machine.wake_at
                with anyio.CancelScope(deadline=math.inf if wake_at is None else wake_at):
                    await self._rearm.wait()
                if (due := self._machine.wake_at) is not None and anyio.current_time() >= due:
                    self._step(Ticked(self._heard_at))

    async def synced(self) -> None:
        """Wait until the first whole list is in, and until the server has said whether it may be watched from there.

        A first watch that fails for a passing reason is not waited for: the picture is true, and will be again.

        Raises:
            Unauthorized, Forbidden, KindNotServed: somebody has to repair something first; the reflector goes on
                trying meanwhile. Forbidden only after it was said for a second: a server that begins says it, too.
            BadRequest, Invalid: the server does not accept what we ask, and was not asked again.
        """
        while not self._watches:
            fault = self._machine.fault
            if fault is not None and self._error is not None:
                if self._will_last(fault):
                    # Also with a whole list: what may not be watched is never seen to change, and waits would not end.
                    # To each a copy: notes that one of them adds are not the others' business.
                    raise copy(self._error).with_traceback(self._error.__traceback__)
                if self._synced and fault.kind is not FaultKind.FORBIDDEN:
                    return
            await self._news.wait()

    def _will_last(self, fault: Fault) -> bool:
        if fault.kind is FaultKind.FORBIDDEN and self._forbidden_since is not None:
            return anyio.current_time() - self._forbidden_since >= _FORBIDDEN_FOR_A_MOMENT
        return fault.kind in _LASTING

    async def reached(self, resource_version: str) -> None:
        """Wait until the picture is at least as new as this version: what we wrote ourselves, for instance (G19).

        If the server's history goes back meanwhile, nothing will show that version: the wait is over.
        """
        await self._until_own(lambda: not is_older(self._machine.resume, than=resource_version))

    async def without(self, name: str, uid: str) -> None:
        """Wait until the picture does not have this very object any more: one that we deleted."""
        await self._until_own(lambda: not self.may_show(name, uid))

    def may_show(self, name: str, uid: str) -> bool:
        """The picture has this very object, or there is no picture yet, and a list under way may have it."""
        found = self.store.get(name) or self.store.unreadable.get(name)
        return not self._synced or (found is not None and found.uid == uid)

    async def _until_own(self, is_shown: Callable[[], bool]) -> None:
        rewinds = self._rewinds
        self._own_awaited += 1
        try:
            while not (self._synced and (is_shown() or self._rewinds != rewinds)):
                await self._news.wait()
        finally:
            self._own_awaited -= 1

    @property
    def health(self) -> CacheHealth:
        """How the picture is kept right now."""
        machine, store = self._machine, self.store
        if not self._synced:
            state = "syncing"
        else:
            state = "live" if machine.fault is None and machine.state is State.WATCHING else "degraded"
        return CacheHealth(
            state=state,
            reason=machine.fault.words if machine.fault is not None else "",
            resource_version=machine.resume,
            objects=len(store),
            silent_for=anyio.current_time() - self._heard_at,
            attempt=machine.attempt,
            relists=max(0, self._lists - 1),
            reconnects=max(0, self._watches - 1),
            duplicates=store.duplicates,
            repairs=store.repairs,
            unknown_events=self._unknown,
            unreadable=len(store.unreadable),
        )

    # What the machine decides.

    def _step(self, happened: Input) -> None:
        for effect in self._machine.step(happened, anyio.current_time()):
            self._do(effect)
        self._rearm.set()
        self._tell_waiting()

    def _do(self, effect: Effect) -> None:
        match effect:
            case ReadList(connection, paged):
                self._begin(connection, self._read_list, paged)
            case CheckEpoch(connection):
                self._begin(connection, self._check_epoch)
            case OpenWatch(connection, resource_version, timeout_seconds):
                self._begin(connection, self._watch, resource_version, timeout_seconds)
            case Drop(connection):
                self._collected.pop(connection, None)
                if scope := self._scopes.get(connection):
                    scope.cancel()
            case Take(connection, origin, rewound):
                self._take(connection, origin, rewound=rewound)
            case Interrupted(fault):
                log.info("watch_interrupted", feed=self.feed.description, reason=fault.words)
                self.store.interrupt(fault.words)
            case GiveUp(fault):
                if self._synced:
                    raise self._error or errors.UsageError(fault.words)
                assert self._tasks is not None, "a machine steps only while it runs"  # noqa: S101
                self._tasks.cancel_scope.cancel()
            case _:
                assert_never(effect)

    def _begin(self, connection: Connection, request: object, *details: object) -> None:
        # Any callable of this class that takes the connection first; typing it would say no more.
        assert self._tasks is not None, "a machine steps only while it runs"  # noqa: S101
        scope = self._scopes[connection] = anyio.CancelScope()
        self._tasks.start_soon(self._under, scope, connection, request, *details)

    async def _under(self, scope: anyio.CancelScope, connection: Connection, request, *details) -> None:  # type: ignore[no-untyped-def]
        with scope:
            try:
                await request(connection, *details)
            finally:
                self._scopes.pop(connection, None)
                self._collected.pop(connection, None)

    def _take(self, connection: Connection, origin: str, *, rewound: bool) -> None:
        items, undecodable, resource_version = self._collected.pop(connection)
        self._lists += origin == "relist"
        repairs = self.store.repairs
        if not self._synced:
            origin = "initial"
        self.store.replace(items, undecodable, resource_version, origin=origin, rewound=rewound)
        if self.store.repairs > repairs:
            log.warning(
                "lost_events_repaired", feed=self.feed.description, changes=self.store.repairs - repairs
            )
        if rewound:
            log.warning(
                "server_history_rewound", feed=self.feed.description, resource_version=resource_version
            )
            self._rewinds += 1
            if self._on_rewind is not None:
                self._on_rewind()
        self._synced = True

    def _tell_waiting(self) -> None:
        if self._news.statistics().tasks_waiting:
            self._news.set()
            self._news = anyio.Event()

    # What goes over the wire.

    async def _read_list(self, connection: Connection, paged: bool) -> None:
        items: list[ObjectState[T]] = []
        undecodable: list[Undecodable] = []
        continue_ = ""
        with self._failing(connection):
            while True:
                page = await self.feed.page(limit=PAGE_SIZE if paged else 0, continue_=continue_)
                items += page.items
                undecodable += page.undecodable
                continue_ = page.continue_
                if not continue_:
                    break
                await anyio.lowlevel.checkpoint()
            # Not a sign of life of a watch that is silent meanwhile: that one is judged by its own bytes.
            older = any(self.store.is_ahead_of(state, page.resource_version) for state in items)
            self._collected[connection] = (items, undecodable, page.resource_version)
            # What was wrong with the list is repaired. The machine keeps its fault until a watch is open; raised from
            # `synced`, it would be news of yesterday.
            self._error = self._forbidden_since = None
            self._step(Collected(connection, page.resource_version, older))

    async def _check_epoch(self, connection: Connection) -> None:
        with self._failing(connection):
            page = await self.feed.page(limit=1)
            self._step(Checked(connection, page.resource_version))

    async def _watch(self, connection: Connection, resource_version: str, timeout_seconds: int) -> None:
        with self._failing(connection):
            async with self.feed.watch(resource_version, timeout_seconds=timeout_seconds) as stream:
                self._heard_at = anyio.current_time()
                self._watches += 1
                self._error = self._forbidden_since = None
                self._step(Opened(connection))
                # Whoever waited for this looks at what the list showed, before the watch changes it: its first events
                # may have come with its head.
                await anyio.lowlevel.checkpoint()
                fault = await self._pump(stream)
            self._step(Ended(connection) if fault is None else Failed(connection, fault))

    async def _pump(self, stream: Stream) -> Fault | None:
        """Apply what a watch says until it ends; return why, or None for an end in good order.

        The hot path: one decode of each line, one look-up, one store, and whoever waits is awake.
        """
        splitter = LineSplitter()
        codec, store, machine = self.feed.codec, self.store, self._machine
        read, state_of, apply = codec.read, codec.state, store.apply
        read_chunk, feed, now = stream.read_chunk, splitter.feed, anyio.current_time
        burst, count = self._policy.burst, 0
        while chunk := await read_chunk():
            self._heard_at = now()
            lines = feed(chunk)
            if splitter.oversized:
                # Before what came after it is applied: that would be told as if nothing were missing.
                return Fault(FaultKind.MALFORMED, "an event is larger than this client takes")
            for line in lines:
                event = read(line)
                if event.__class__ is Envelope and event.type in LIVE and event.object.metadata.uid:
                    apply(event.type, state_of(event.object, line))
                    machine.resume = newest(machine.resume, event.object.metadata.resource_version)
                    if self._own_awaited:
                        self._tell_waiting()
                elif (fault := self._other(event)) is not None:
                    return fault
                count += 1
                if count % burst == 0:
                    await anyio.lowlevel.checkpoint()
        return self._rest(splitter.end())

    def _rest(self, rest: bytes) -> Fault | None:
        """The bytes after the last line feed: a document the server ended without one, or half of one."""
        if not rest:
            return None
        event = self.feed.codec.read(rest)
        if isinstance(event, Envelope) and event.type in LIVE and event.object.metadata.uid:
            self.store.apply(event.type, self.feed.codec.state(event.object, rest))
            self._machine.resume = newest(self._machine.resume, event.object.metadata.resource_version)
            return None
        if isinstance(event, Malformed):
            return Fault(FaultKind.BROKEN, "the watch ended in the middle of an event")
        return self._other(event)

    def _other(self, event: object) -> Fault | None:
        """Everything on a watch that is not the state of an object; a Fault if it ends the watch."""
        match event:
            case Envelope(type="BOOKMARK", object=record):
                if version := record.metadata.resource_version:
                    self._machine.resume = newest(self._machine.resume, version)
                    self._tell_waiting()
                return None
            case Envelope(type=type_) if type_ in LIVE:
                return Fault(FaultKind.MALFORMED, f"{type_} without an object that has a uid")
            case Envelope(type=type_):
                self._unknown += 1
                log.warning("unknown_event_skipped", feed=self.feed.description, type=printable(type_, 40))
                return None
            case Undecodable() as obj if obj.uid:
                log.warning(
                    "undecodable_object",
                    feed=self.feed.description,
                    name=obj.name,
                    error=printable(obj.error, 300),
                )
                self.store.put_undecodable(obj)
                self._machine.resume = newest(self._machine.resume, obj.resource_version)
                self._tell_waiting()
                return None
            case Undecodable() as obj:
                return Fault(FaultKind.MALFORMED, f"an object that cannot even be named: {obj.error}")
            case StatusEvent(code, reason, message, asked):
                kind = _EVENT_CODES.get(code, FaultKind.UNAVAILABLE)
                if reason in {"Expired", "Gone"}:
                    kind = FaultKind.EXPIRED
                words = printable(message) or f"ERROR {code} {printable(reason)}".strip()
                return Fault(kind, words, retry_after({}, asked))
            case Malformed(error):
                return Fault(FaultKind.MALFORMED, error)
        raise AssertionError(event)

    @contextmanager
    def _failing(self, connection: Connection) -> Iterator[None]:
        """Turn an error of the wire into an input of the machine."""
        try:
            yield
        except errors.UsageError:
            raise
        except errors.DPFError as error:
            self._error = error
            fault = _fault_of(error)
            if fault.kind is not FaultKind.FORBIDDEN:
                self._forbidden_since = None
            elif self._forbidden_since is None:
                self._forbidden_since = anyio.current_time()
            log.info("watch_failed", feed=self.feed.description, reason=fault.words)
            self._step(Failed(connection, fault))


def _fault_of(error: errors.DPFError) -> Fault:
    kind = next(kind for cls, kind in _FAULTS if isinstance(error, cls))
    if kind is FaultKind.REFUSED and isinstance(error, errors.APIError) and not error.reason:
        # Not the API server's verdict, which always has a reason: a proxy's page, and proxies come to their senses.
        kind = FaultKind.UNAVAILABLE
    return Fault(kind, str(error), error.retry_after if isinstance(error, errors.APIError) else 0.0)

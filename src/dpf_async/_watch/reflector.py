"""Reflector: keeps one cache current. It carries out the effects of the machine over HTTP and feeds the store.

One reflector serves every reader of one selection. Its connections run in the task group of the caller of `run`; a
reader that sleeps, fails or is cancelled has no effect on it.
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
    ApplyList,
    Cancel,
    Checked,
    CheckEpoch,
    Collected,
    Connection,
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
"""The kind of fault of each error class, most specific first."""

_EVENT_CODES: Final = {
    401: FaultKind.UNAUTHORIZED,
    403: FaultKind.FORBIDDEN,
    410: FaultKind.EXPIRED,
    429: FaultKind.THROTTLED,
}
"""Codes of ERROR events that mean something other than UNAVAILABLE (docs/watching.md#events)."""

_LASTING: Final = frozenset(
    (FaultKind.UNAUTHORIZED, FaultKind.FORBIDDEN, FaultKind.KIND_ABSENT, FaultKind.REFUSED)
)
"""Faults of the first list that an administrator has to repair: `synced` raises them."""

_FORBIDDEN_GRACE: Final = 1.0
"""Seconds for which Forbidden is treated as temporary. An API server that has just started forbids everything to all
but administrators until it has read the roles, and its response does not show that. With v1.37 this lasts 0.05 to
0.25 s after the first response (measured); the value is a few times that."""


@dataclass(frozen=True, slots=True)
class CacheHealth:
    """The state of one cache, for monitoring and for error messages (docs/watching.md#observability).

    Attributes:
        state: "syncing", "live" or "degraded".
        reason: why it is degraded; empty otherwise.
        resource_version: the version that was applied last.
        objects: number of objects in the cache.
        silent_for: seconds since the watch last sent a byte; lists are not counted.
        attempt: consecutive failures since the last healthy period.
        relists: lists applied after the first one, audits not included.
        reconnects: watches opened after the first one.
        duplicates: states dropped because they were stored already, or older.
        repairs: changes that an audit found before an event reported them.
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
    """The cache of one feed, kept current while `run` runs."""

    def __init__(
        self,
        feed: Feed[T],
        policy: WatchPolicy | None = None,
        jitter: Random | None = None,
        *,
        on_rewind: Callable[[], None] | None = None,
    ) -> None:
        """`on_rewind` is called when the server's history went back: earlier versions are not comparable any more."""
        self.feed = feed
        self.store: Store[T] = Store()
        self._policy = policy or WatchPolicy()
        self._machine = Machine(self._policy, jitter or Random())  # noqa: S311  jitter, not secrets
        self._tasks: anyio.abc.TaskGroup | None = None
        self._scopes: dict[Connection, anyio.CancelScope] = {}
        self._collected: dict[Connection, tuple[list[ObjectState[T]], list[Undecodable], str]] = {}
        self._rearm = anyio.Event()
        self._changed = anyio.Event()
        self._on_rewind = on_rewind
        self._own_write_waits = 0
        """Number of tasks that wait until the cache contains their own writes."""
        self._rewinds = 0
        self._synced = False
        self._error: errors.DPFError | None = None
        self._forbidden_since: float | None = None
        """When the current sequence of Forbidden responses began."""
        self._last_byte_at = 0.0
        self._lists = self._watches = self._unknown = 0

    async def run(self) -> None:
        """Keep the cache current until cancelled, or return when the server rejects the first list as invalid.

        `synced` raises that error to its callers; other caches are not affected.

        Raises:
            BadRequest, Invalid: the server rejects requests that it accepted before. Raised here because waits on this
                cache would never end.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._last_byte_at = anyio.current_time()
            self._step(Start())
            while True:
                self._rearm = anyio.Event()
                wake_at = self._machine.wake_at
                with anyio.CancelScope(deadline=math.inf if wake_at is None else wake_at):
                    await self._rearm.wait()
                if (due := self._machine.wake_at) is not None and anyio.current_time() >= due:
                    self._step(Ticked(self._last_byte_at))

    async def synced(self) -> None:
        """Wait until the first list was applied and the server has accepted or rejected the watch.

        A first watch that fails temporarily is not waited for: the cache has the state of the list.

        Raises:
            Unauthorized, Forbidden, KindNotServed: an administrator has to change something; the reflector keeps
                retrying. Forbidden only if it lasts for a second: a server that is starting returns it as well.
            BadRequest, Invalid: the server rejected the request, which was not retried.
        """
        while not self._watches:
            fault = self._machine.fault
            if fault is not None and self._error is not None:
                if self._is_lasting(fault):
                    # Also after a list: without permission to watch, the cache would not change and waits not end.
                    # A copy for each caller: one may add notes to it.
                    raise copy(self._error).with_traceback(self._error.__traceback__)
                if self._synced and fault.kind is not FaultKind.FORBIDDEN:
                    return
            await self._changed.wait()

    def _is_lasting(self, fault: Fault) -> bool:
        if fault.kind is FaultKind.FORBIDDEN and self._forbidden_since is not None:
            return anyio.current_time() - self._forbidden_since >= _FORBIDDEN_GRACE
        return fault.kind in _LASTING

    async def wait_for_version(self, resource_version: str) -> None:
        """Wait until the cache is at least as new as this version, such as the one of our own write.

        Returns as well if the server's history goes back, after which the version would never arrive.

        Source: docs/watching.md#own-writes.
        """
        await self._wait_for_own_write(lambda: not is_older(self._machine.resume, than=resource_version))

    async def wait_for_deletion(self, name: str, uid: str) -> None:
        """Wait until the cache does not contain the object with this uid any more, such as one that we deleted."""
        await self._wait_for_own_write(lambda: not self.may_contain(name, uid))

    def may_contain(self, name: str, uid: str) -> bool:
        """The cache contains the object with this uid, or the first list, which may contain it, was not applied yet."""
        found = self.store.get(name) or self.store.unreadable.get(name)
        return not self._synced or (found is not None and found.uid == uid)

    async def _wait_for_own_write(self, is_shown: Callable[[], bool]) -> None:
        rewinds = self._rewinds
        self._own_write_waits += 1
        try:
            while not (self._synced and (is_shown() or self._rewinds != rewinds)):
                await self._changed.wait()
        finally:
            self._own_write_waits -= 1

    @property
    def health(self) -> CacheHealth:
        """The current state of the cache."""
        machine, store = self._machine, self.store
        if not self._synced:
            state = "syncing"
        else:
            state = "live" if machine.fault is None and machine.state is State.WATCHING else "degraded"
        return CacheHealth(
            state=state,
            reason=machine.fault.description if machine.fault is not None else "",
            resource_version=machine.resume,
            objects=len(store),
            silent_for=anyio.current_time() - self._last_byte_at,
            attempt=machine.attempt,
            relists=max(0, self._lists - 1),
            reconnects=max(0, self._watches - 1),
            duplicates=store.duplicates,
            repairs=store.repairs,
            unknown_events=self._unknown,
            unreadable=len(store.unreadable),
        )

    # Effects of the machine.

    def _step(self, input_: Input) -> None:
        for effect in self._machine.step(input_, anyio.current_time()):
            self._do(effect)
        self._rearm.set()
        self._notify_waiting()

    def _do(self, effect: Effect) -> None:
        match effect:
            case ReadList(connection, paged):
                self._begin(connection, self._read_list, paged)
            case CheckEpoch(connection):
                self._begin(connection, self._check_epoch)
            case OpenWatch(connection, resource_version, timeout_seconds):
                self._begin(connection, self._watch, resource_version, timeout_seconds)
            case Cancel(connection):
                self._collected.pop(connection, None)
                if scope := self._scopes.get(connection):
                    scope.cancel()
            case ApplyList(connection, origin, rewound):
                self._apply_list(connection, origin, rewound=rewound)
            case Interrupted(fault):
                log.info("watch_interrupted", feed=self.feed.description, reason=fault.description)
                self.store.interrupt(fault.description)
            case GiveUp(fault):
                if self._synced:
                    raise self._error or errors.UsageError(fault.description)
                assert self._tasks is not None, "a machine steps only while it runs"  # noqa: S101
                self._tasks.cancel_scope.cancel()
            case _:
                assert_never(effect)

    def _begin(self, connection: Connection, request: object, *details: object) -> None:
        # Any callable of this class that takes the connection first; typing it would say no more.
        assert self._tasks is not None, "a machine steps only while it runs"  # noqa: S101
        scope = self._scopes[connection] = anyio.CancelScope()
        self._tasks.start_soon(self._run_request, scope, connection, request, *details)

    async def _run_request(self, scope: anyio.CancelScope, connection: Connection, request, *details) -> None:  # type: ignore[no-untyped-def]
        with scope:
            try:
                await request(connection, *details)
            finally:
                self._scopes.pop(connection, None)
                self._collected.pop(connection, None)

    def _apply_list(self, connection: Connection, origin: str, *, rewound: bool) -> None:
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

    def _notify_waiting(self) -> None:
        if self._changed.statistics().tasks_waiting:
            self._changed.set()
            self._changed = anyio.Event()

    # Requests.

    async def _read_list(self, connection: Connection, paged: bool) -> None:
        items: list[ObjectState[T]] = []
        undecodable: list[Undecodable] = []
        continue_ = ""
        with self._faults_as_input(connection):
            while True:
                page = await self.feed.page(limit=PAGE_SIZE if paged else 0, continue_=continue_)
                items += page.items
                undecodable += page.undecodable
                continue_ = page.continue_
                if not continue_:
                    break
                await anyio.lowlevel.checkpoint()
            # Does not set _last_byte_at: only bytes of the watch itself show that the watch is not silent.
            older = any(self.store.is_ahead_of(state, page.resource_version) for state in items)
            self._collected[connection] = (items, undecodable, page.resource_version)
            # The list succeeded: `synced` must not raise an earlier error, although the machine keeps its fault until a
            # watch is open.
            self._error = self._forbidden_since = None
            self._step(Collected(connection, page.resource_version, older))

    async def _check_epoch(self, connection: Connection) -> None:
        with self._faults_as_input(connection):
            page = await self.feed.page(limit=1)
            self._step(Checked(connection, page.resource_version))

    async def _watch(self, connection: Connection, resource_version: str, timeout_seconds: int) -> None:
        with self._faults_as_input(connection):
            async with self.feed.watch(resource_version, timeout_seconds=timeout_seconds) as stream:
                self._last_byte_at = anyio.current_time()
                self._watches += 1
                self._error = self._forbidden_since = None
                self._step(Opened(connection))
                # Tasks that waited for the list run before the watch changes its state: the first events may have
                # arrived together with the response headers.
                await anyio.lowlevel.checkpoint()
                fault = await self._pump(stream)
            self._step(Ended(connection) if fault is None else Failed(connection, fault))

    async def _pump(self, stream: Stream) -> Fault | None:
        """Apply the events of a watch until it ends; return the fault, or None if the server ended it without one.

        The hot path: for each line one decode, one lookup, one store, and one notification of waits.
        """
        splitter = LineSplitter()
        codec, store, machine = self.feed.codec, self.store, self._machine
        read, state_of, apply = codec.read, codec.state, store.apply
        read_chunk, feed, now = stream.read_chunk, splitter.feed, anyio.current_time
        burst, count = self._policy.burst, 0
        while chunk := await read_chunk():
            self._last_byte_at = now()
            lines = feed(chunk)
            if splitter.oversized:
                # Before later events are applied: they would be reported as contiguous.
                return Fault(FaultKind.MALFORMED, "an event exceeds the maximum size of a line")
            for line in lines:
                event = read(line)
                if event.__class__ is Envelope and event.type in LIVE and event.object.metadata.uid:
                    apply(event.type, state_of(event.object, line))
                    machine.resume = newest(machine.resume, event.object.metadata.resource_version)
                    if self._own_write_waits:
                        self._notify_waiting()
                elif (fault := self._process_other(event)) is not None:
                    return fault
                count += 1
                if count % burst == 0:
                    await anyio.lowlevel.checkpoint()
        return self._apply_rest(splitter.end())

    def _apply_rest(self, rest: bytes) -> Fault | None:
        """Apply the bytes after the last line feed: an event without its line feed, or a part of an event."""
        if not rest:
            return None
        event = self.feed.codec.read(rest)
        if isinstance(event, Envelope) and event.type in LIVE and event.object.metadata.uid:
            self.store.apply(event.type, self.feed.codec.state(event.object, rest))
            self._machine.resume = newest(self._machine.resume, event.object.metadata.resource_version)
            return None
        if isinstance(event, Malformed):
            return Fault(FaultKind.BROKEN, "the watch ended before an event was complete")
        return self._process_other(event)

    def _process_other(self, event: object) -> Fault | None:
        """Process everything on a watch that is not the state of an object; return a Fault if it ends the watch."""
        match event:
            case Envelope(type="BOOKMARK", object=record):
                if version := record.metadata.resource_version:
                    self._machine.resume = newest(self._machine.resume, version)
                    self._notify_waiting()
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
                self._notify_waiting()
                return None
            case Undecodable() as obj:
                return Fault(
                    FaultKind.MALFORMED, f"an object that cannot be decoded and has no uid: {obj.error}"
                )
            case StatusEvent(code, reason, message, requested):
                kind = _EVENT_CODES.get(code, FaultKind.UNAVAILABLE)
                if reason in {"Expired", "Gone"}:
                    kind = FaultKind.EXPIRED
                description = printable(message) or f"ERROR {code} {printable(reason)}".strip()
                return Fault(kind, description, retry_after({}, requested))
            case Malformed(error):
                return Fault(FaultKind.MALFORMED, error)
        raise AssertionError(event)

    @contextmanager
    def _faults_as_input(self, connection: Connection) -> Iterator[None]:
        """Translate an error of a request into an input of the machine."""
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
            log.info("watch_failed", feed=self.feed.description, reason=fault.description)
            self._step(Failed(connection, fault))


def _fault_of(error: errors.DPFError) -> Fault:
    kind = next(kind for cls, kind in _FAULTS if isinstance(error, cls))
    if kind is FaultKind.REFUSED and isinstance(error, errors.APIError) and not error.reason:
        # The API server always sends a reason: this is the response of a proxy, and temporary.
        kind = FaultKind.UNAVAILABLE
    return Fault(kind, str(error), error.retry_after if isinstance(error, errors.APIError) else 0.0)

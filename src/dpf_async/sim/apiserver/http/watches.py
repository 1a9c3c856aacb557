"""Watches: the event stream of one client.

A watch is a position in the history of its kind, not a queue, so a slow client costs no memory. If a client falls too
far behind, its watch ends cleanly, as in Kubernetes, and the client resumes from the last event that it read.
Source: docs/watching.md#versions, docs/watching.md#events, docs/watching.md#framing, docs/watching.md#crd-changes,
apiserver pkg/storage/cacher.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from dpf_async.sim.apiserver.cluster.cluster import Cluster
from dpf_async.sim.apiserver.cluster.requests import Target
from dpf_async.sim.apiserver.faults import Faults, Request
from dpf_async.sim.apiserver.http.options import ListOptions
from dpf_async.sim.apiserver.http.representations import Representation
from dpf_async.sim.apiserver.storage.store import Event
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Obj, encode, encode_in_order
from dpf_async.sim.apiserver.wire.selectors import Selection
from dpf_async.sim.apiserver.wire.status import StatusError

# Kubernetes sends a last bookmark this many seconds before a deadline it knows. Source: cacher.go.
_LAST_BOOKMARK = 2.0
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Seconds between bookmarks, and the number of events that a client may fall behind."""

    bookmark_interval: float
    buffer: int


class Watch:
    """One watch: it is notified of every change of its kind, and sends the events that its client selects."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        target: Target,
        options: ListOptions,
        selection: Selection,
        start: int | None,
        settings: WatchSettings,
        faults: Faults,
        request: Request,
        on_idle: Callable[[], None],
        representation: Representation | None = None,
        failure: StatusError | None = None,
    ) -> None:
        self._cluster = cluster
        self._target = target
        self._options = options
        self._selection = selection
        self._settings = settings
        self._faults = faults
        self._request = request
        self._on_idle = on_idle
        self._representation = representation
        self._failure = failure
        self._collection = cluster.store.collection(target.resource)
        self._position = self._collection.end
        self._after = 0  # events up to this resourceVersion are not sent
        self._resume_from(start)
        self._awake = anyio.Event()
        self._following = False
        self._sending = False
        self._scope = anyio.CancelScope()
        self._api_version = target.kind.api_version(target.version.name)

    def _resume_from(self, start: int | None) -> None:
        if start is None:
            return
        self._position = self._collection.position_after(start)
        self._after = start

    @property
    def caught_up(self) -> bool:
        """Whether every event has been written to the socket."""
        return self._following and not self._sending and self._position >= self._collection.end

    def end(self) -> None:
        """End the watch cleanly."""
        self._scope.cancel()

    async def run(self, send: Callable[[bytes], Awaitable[None]], *, timeout: float) -> None:
        """Send events until the timeout (seconds), the end of the kind's history, or end()."""
        self._scope.deadline = anyio.current_time() + timeout
        self._collection.watchers.add(self._wake)
        try:
            with self._scope:
                if not await self._begin(send):
                    return
                await self._follow(send)
        finally:
            self._collection.watchers.discard(self._wake)

    async def _begin(self, send: Callable[[bytes], Awaitable[None]]) -> bool:
        if self._failure is not None:
            await self._send(send, _frame("ERROR", encode_in_order(self._failure.status)))
            return False
        if self._expired():
            floor = self._collection.watch_floor
            expired = status.expired(f"too old resource version: {self._after} ({floor})")
            await self._send(send, _frame("ERROR", encode_in_order(expired.status)))
            return False
        if self._wants_state():
            await self._send_state(send)
        return True

    def _expired(self) -> bool:
        if not self._after or self._options.send_initial_events:
            return False
        return self._after < self._collection.watch_floor

    def _wants_state(self) -> bool:
        if self._options.send_initial_events is not None:
            return self._options.send_initial_events
        return not self._after

    async def _send_state(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._position = self._collection.end
        version = self._cluster.store.revision
        state = list(self._cluster.store.list(self._target.resource, self._target.namespace))
        for _, obj in state:
            shown = self._shown(obj)
            if self._selection.matches(shown):
                await self._send(send, self._frame("ADDED", shown))
        self._after = version
        if self._options.send_initial_events and self._options.bookmarks:
            await self._send(send, self._bookmark(version, _INITIAL_EVENTS_END))

    async def _follow(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._following = True
        next_bookmark = self._next_bookmark()
        while True:
            if self._collection.first > self._position:
                return  # events that it has not sent are no longer in the history
            while self._position < self._collection.end:
                event = self._collection.events[self._position - self._collection.first]
                await self._delay(event)
                if self._collection.first > self._position:
                    return
                if (frame := self._frame_for(event)) is not None:
                    await self._send(send, frame)
                self._position += 1
            if self._collection.ended:
                return
            if self._options.bookmarks and anyio.current_time() >= next_bookmark:
                await self._send(send, self._bookmark(self._cluster.store.revision))
                next_bookmark = self._next_bookmark()
                continue
            self._awake = anyio.Event()
            self._on_idle()
            with anyio.move_on_after(next_bookmark - anyio.current_time()):
                await self._awake.wait()

    def _next_bookmark(self) -> float:
        now = anyio.current_time()
        last = self._scope.deadline - _LAST_BOOKMARK
        regular = now + self._settings.bookmark_interval
        return min(regular, last) if last > now else regular

    async def _delay(self, event: Event) -> None:
        """Delay an event by the current watch_lag; when the lag is set to 0, delayed events are sent at once."""
        while (wait := event.at + self._faults.watch_lag - self._cluster.store.time()) > 0:
            with anyio.move_on_after(wait):
                await self._faults.watch_lag_changed()

    def _frame_for(self, event: Event) -> bytes | None:
        if event.version <= self._after:
            return None
        if self._target.namespace and event.key[0] != self._target.namespace:
            return None
        if not self._selection:
            return self._encoded(event, event.type)
        now = event.type != "DELETED" and self._selection.matches(self._shown(event.obj))
        before = event.old is not None and self._selection.matches(self._shown(event.old))
        if now:
            return self._encoded(event, "MODIFIED" if before else "ADDED")
        return self._encoded(event, "DELETED") if before else None

    def _encoded(self, event: Event, kind: str) -> bytes:
        """Encode an event once for all watches with the same representation."""
        key = (kind, self._api_version)
        frame = event.encoded.get(key) if self._representation is None else None
        if frame is None:
            obj = event.obj
            if kind == "DELETED" and event.type != "DELETED" and event.old is not None:
                # It no longer matches: the event has the last matching object, at the resourceVersion of the change.
                meta = {**event.old["metadata"], "resourceVersion": str(event.version)}
                obj = {**event.old, "metadata": meta}
            frame = self._frame(kind, self._shown(obj))
            if self._representation is None:
                event.encoded[key] = frame
        return frame

    def _shown(self, obj: Obj) -> Obj:
        return self._cluster.convert(self._target.kind, self._target.version, obj)

    def _bookmark(self, version: int, annotations: Obj | None = None) -> bytes:
        meta: Obj = {"resourceVersion": str(version)}
        if annotations:
            meta["annotations"] = annotations
        obj = {"apiVersion": self._api_version, "kind": self._target.kind.kind, "metadata": meta}
        return self._frame("BOOKMARK", obj)

    def _frame(self, kind: str, shown: Obj) -> bytes:
        if self._representation is not None:
            return _frame(kind, encode_in_order(self._representation.of_object(shown)))
        return _frame(kind, encode(shown))

    async def _send(self, send: Callable[[bytes], Awaitable[None]], frame: bytes) -> None:
        self._sending = True
        if self._faults.stalls(self._request):
            await self._faults.wait_while_stalled(self._request)
        await send(frame)
        self._sending = False

    def _wake(self) -> None:
        self._awake.set()
        if self._sending and self._collection.end - self._position > self._settings.buffer:
            self._scope.cancel()


def _frame(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + encoded[:-1] + b"}\n"

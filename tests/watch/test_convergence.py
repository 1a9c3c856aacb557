"""For any order of watches, rotations and audits, every listener receives consistent changes and the store converges.

A model of a server: a history of states, and connections that send it from the version at which they were opened.
hypothesis chooses the steps (N1 of the catalogue, on the store).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpf_async import ObjectState, Undecodable
from dpf_async._api.codec import Codec
from dpf_async._watch.store import Change, Listener, Store
from dpf_async.models import DPU
from dpf_async.watch import Added, Deleted, EventStream, Gap, Resumed, Synced, Updated, WatchEvent
from tests.support.objects import dpu
from tests.support.virtual_time import virtual_time

CODEC = Codec(DPU)
NAMES = ("a", "b")
FIRST = 10
"""resourceVersion of a server without any write."""


@dataclass(frozen=True)
class Written:
    """One event of the history; the version is its position in it."""

    type: str
    version: int
    name: str
    uid: str
    readable: bool = True

    @property
    def state(self) -> ObjectState[DPU]:
        return CODEC.read_object(json.dumps(dpu(self.name, FIRST + self.version, uid=self.uid)).encode())

    @property
    def undecodable(self) -> Undecodable:
        version = str(FIRST + self.version)
        return Undecodable(DPU, self.name, "dpf", self.uid, version, "phase", b"{}", self.type == "DELETED")


@dataclass
class Server:
    """A history of writes, from which lists and events are read."""

    history: list[Written] = field(default_factory=list)
    created: int = 0

    def write(self, name: str, kind: str) -> None:
        now = self.at(len(self.history)).get(name)
        version = len(self.history) + 1
        if now is None:
            self.created += 1
            self.history.append(
                Written("ADDED", version, name, f"u{self.created}", kind != "make undecodable")
            )
        elif kind.startswith("delete"):
            self.history.append(Written("DELETED", version, name, now.uid, kind == "delete"))
        else:
            self.history.append(Written("MODIFIED", version, name, now.uid, kind != "make undecodable"))

    def at(self, version: int) -> dict[str, Written]:
        """The objects in a list of this version."""
        shown: dict[str, Written] = {}
        for event in self.history[:version]:
            shown[event.name] = event
        return {name: event for name, event in shown.items() if event.type != "DELETED"}


class Witness(Listener[DPU]):
    """A listener that checks every call."""

    def __init__(self, store: Store[DPU]) -> None:
        self.shown: dict[str, ObjectState[DPU]] = {}
        self.newest: dict[str, int] = {}
        self.deleted: set[str] = set()
        store.listen(self)

    def changed(self, change: Change[DPU]) -> None:
        before, after = change.before, change.after
        assert before is self.shown.get(change.name), "before is the state that was reported last"
        if before is not None and after is None:
            self.deleted.add(before.uid)
            del self.shown[change.name]
        if after is not None:
            assert before is None or before.uid == after.uid, "two incarnations are never one change"
            assert after.uid not in self.deleted, "nothing is reported of a deleted object"
            assert int(after.resource_version) > self.newest.get(after.uid, 0), (
                "no state is reported twice, or late"
            )
            self.newest[after.uid] = int(after.resource_version)
            self.shown[change.name] = after

    def undecodable(self, obj: Undecodable) -> None:
        assert obj.uid not in self.deleted, "nothing is reported of a deleted object"
        assert int(obj.resource_version) > self.newest.get(obj.uid, 0), "no state is reported twice, or late"
        self.newest[obj.uid] = int(obj.resource_version)
        self.shown.pop(obj.name, None)

    def undecodable_deleted(self, obj: Undecodable) -> None:
        assert obj.uid not in self.deleted, "an object is deleted once"
        self.deleted.add(obj.uid)


class Reader:
    """Reads a stream from time to time, and checks every event against the history."""

    def __init__(self, server: Server, store: Store[DPU]) -> None:
        self.server = server
        self.shown: dict[str, ObjectState[DPU]] = {}
        self.existing: dict[str, str] = {}
        """Uid by name, of decodable and undecodable objects."""
        self.deleted: set[str] = set()
        self._stream: EventStream[DPU] = EventStream(_Reflector(store))  # type: ignore[arg-type]

    async def begin(self) -> None:
        await self._stream.__aenter__()

    async def read(self, count: int) -> None:
        """Read `count` events, or fewer if there are no more."""
        with anyio.move_on_after(0):
            for _ in range(count):
                self._check(await anext(self._stream))

    def _check(self, event: WatchEvent[DPU]) -> None:
        match event:
            case Added(obj):
                assert obj.name not in self.shown
                assert obj.uid not in self.deleted, "nothing is reported of a deleted object"
                assert self.existing.get(obj.name) in (None, obj.uid), (
                    "an incarnation is deleted before the next is added"
                )
                self.shown[obj.name] = obj
                self.existing[obj.name] = obj.uid
            case Updated(before, after, _, contiguous, _):
                assert self.shown[after.name] is before
                assert before.uid == after.uid
                between = self._between(after.uid, before.resource_version, after.resource_version)
                assert not (contiguous and between), "contiguous means that no state is in between"
                self.shown[after.name] = after
            case Deleted(last, _, final, _):
                assert self.existing.pop(last.name) == last.uid, "an incarnation is deleted once"
                self.shown.pop(last.name, None)
                deleted_at = [
                    str(FIRST + one.version) for one in self.server.history if one.type == "DELETED"
                ]
                assert not final or last.resource_version in deleted_at
                self.deleted.add(last.uid)
            case Undecodable(name=name, uid=uid):
                assert self.existing.get(name) in (None, uid), (
                    "an incarnation is deleted before the next is added"
                )
                self.existing[name] = uid
                self.shown.pop(name, None)
            case Gap() | Resumed() | Synced():
                pass

    def _between(self, uid: str, before: str, after: str) -> list[Written]:
        return [
            one
            for one in self.server.history
            if one.uid == uid and int(before) < FIRST + one.version < int(after)
        ]


class _Reflector:
    """The part of a reflector that a stream uses, with a store that is synced."""

    def __init__(self, store: Store[DPU]) -> None:
        self.store = store

    async def synced(self) -> None:
        """Return at once."""


class Client:
    """A store, the watch that feeds it, a second one during a rotation, and possibly an audit in progress."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store: Store[DPU] = Store()
        self.witness = Witness(self.store)
        self.reader = Reader(server, self.store)
        self.watches = [0]
        self.resume = 0
        self.audit: int | None = None

    def send(self, watch: int, count: int) -> None:
        for event in self.server.history[self.watches[watch] :][:count]:
            if event.readable:
                self.store.apply(event.type, event.state)
            else:
                self.store.put_undecodable(event.undecodable)
            self.watches[watch] += 1
            self.resume = max(self.resume, event.version)

    def rotate(self) -> None:
        """Open a second watch; or, if there is one, close the first."""
        if len(self.watches) == 1:
            self.watches.append(self.resume)
        else:
            del self.watches[0]

    def list(self) -> None:
        """Read a list for an audit; or, if one was read, apply it."""
        if self.audit is None:
            self.audit = len(self.server.history)
            return
        self.apply_list("audit", self.audit)
        self.audit = None

    def relist(self) -> None:
        """Lose all requests in progress, and begin again with a list."""
        self.audit = None
        self.resume = len(self.server.history)
        self.apply_list("relist", self.resume)
        self.watches = [self.resume]

    def apply_list(self, origin: str, version: int) -> None:
        shown = self.server.at(version).values()
        self.store.replace(
            [one.state for one in shown if one.readable],
            [one.undecodable for one in shown if not one.readable],
            str(FIRST + version),
            origin=origin,
            rewound=False,
        )


KINDS = ["update", "delete", "make undecodable", "delete undecodably"]

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sampled_from(NAMES),
            st.sampled_from(KINDS),
        ),
        st.tuples(st.just("send"), st.sampled_from([0, -1]), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["rotate", "list", "relist"])),
    ),
    max_size=40,
)


@pytest.mark.exhaustive
@settings(max_examples=300, deadline=None, derandomize=True)
@given(STEPS)
def test_n1_each_incarnation_is_reported_once_and_in_order_and_the_store_converges(
    steps: list[tuple[str | int, ...]],
) -> None:
    virtual_time(converge)(steps)


async def converge(steps: list[tuple[str | int, ...]]) -> None:
    server = Server()
    client = Client(server)
    await client.reader.begin()

    for step, *details in steps:
        match step, details:
            case "write", [str(name), str(kind)]:
                server.write(name, kind)
            case "send", [int(watch), int(count)]:
                client.send(watch, count)
            case "read", [int(count)]:
                await client.reader.read(count)
            case "rotate", []:
                client.rotate()
            case "list", []:
                client.list()
            case _:
                client.relist()
        assert {obj.name: obj for obj in client.store} == client.witness.shown
    client.watches = client.watches[-1:]
    client.send(0, len(server.history))
    await client.reader.read(1000)

    expected = server.at(len(server.history))
    assert {obj.name: obj.resource_version for obj in client.store} == {
        name: one.state.resource_version for name, one in expected.items() if one.readable
    }
    assert set(client.store.unreadable) == {name for name, one in expected.items() if not one.readable}
    assert {obj.name: obj for obj in client.store} == client.reader.shown

"""Whatever order watches, rotations and audits come in, every listener hears true lives and the picture ends up true.

A model of a server: a history of states, and connections that tell it from where they were opened. hypothesis decides
what happens next (N1 of the catalogue, on the store).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from dpf_async import ObjectState, Undecodable
from dpf_async._api.codec import Codec
from dpf_async._watch.store import Change, Store
from dpf_async.models import DPU
from dpf_async.watch import Added, Deleted, EventStream, Gap, Resumed, Synced, Updated, WatchEvent
from tests.support.objects import dpu
from tests.support.virtual_time import virtual_time

CODEC = Codec(DPU)
NAMES = ("a", "b")
FIRST = 10
"""resourceVersion of a server to which nothing has happened yet."""


@dataclass(frozen=True)
class ListenerAdapter:
    """One event of the history; the version is its place in it."""

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
    """Writes happen to it; lists and events are read from its history."""

    history: list[ListenerAdapter] = field(default_factory=list)
    lives: int = 0

    def write(self, name: str, kind: str) -> None:
        now = self.at(len(self.history)).get(name)
        version = len(self.history) + 1
        if now is None:
            self.lives += 1
            self.history.append(ListenerAdapter("ADDED", version, name, f"u{self.lives}", kind != "spoil"))
        elif kind.endswith("delete"):
            self.history.append(ListenerAdapter("DELETED", version, name, now.uid, kind == "delete"))
        else:
            self.history.append(ListenerAdapter("MODIFIED", version, name, now.uid, kind != "spoil"))

    def at(self, version: int) -> dict[str, ListenerAdapter]:
        """What a list of that version shows."""
        shown: dict[str, ListenerAdapter] = {}
        for told in self.history[:version]:
            shown[told.name] = told
        return {name: told for name, told in shown.items() if told.type != "DELETED"}


class Witness:
    """A listener that checks every word it hears."""

    def __init__(self, store: Store[DPU]) -> None:
        self.shown: dict[str, ObjectState[DPU]] = {}
        self.newest: dict[str, int] = {}
        self.dead: set[str] = set()
        store.listen(self)

    def changed(self, change: Change[DPU]) -> None:
        before, after = change.before, change.after
        assert before is self.shown.get(change.name), "what was is what was told last"
        if before is not None and after is None:
            self.dead.add(before.uid)
            del self.shown[change.name]
        if after is not None:
            assert before is None or before.uid == after.uid, "two lives are never one change"
            assert after.uid not in self.dead, "nothing is told of the dead"
            assert int(after.resource_version) > self.newest.get(after.uid, 0), (
                "no state is told twice, or late"
            )
            self.newest[after.uid] = int(after.resource_version)
            self.shown[change.name] = after

    def undecodable(self, obj: Undecodable) -> None:
        assert obj.uid not in self.dead, "nothing is told of the dead"
        assert int(obj.resource_version) > self.newest.get(obj.uid, 0), "no state is told twice, or late"
        self.newest[obj.uid] = int(obj.resource_version)
        self.shown.pop(obj.name, None)

    def vanished(self, obj: Undecodable) -> None:
        assert obj.uid not in self.dead, "nobody dies twice"
        self.dead.add(obj.uid)

    def interrupted(self, reason: str) -> None:
        """Nothing to check."""

    def list_begins(self) -> None:
        """Nothing to check."""

    def list_ends(self) -> None:
        """Nothing to check."""

    def listed(self, resource_version: str, *, rewound: bool) -> None:
        """Nothing to check."""


class Reader:
    """Reads a stream now and then, and checks every event against the history."""

    def __init__(self, server: Server, store: Store[DPU]) -> None:
        self.server = server
        self.shown: dict[str, ObjectState[DPU]] = {}
        self.alive: dict[str, str] = {}
        """Uid by name, of what can be read and of what cannot."""
        self.dead: set[str] = set()
        self._stream: EventStream[DPU] = EventStream(_Picture(store))  # type: ignore[arg-type]

    async def begin(self) -> None:
        await self._stream.__aenter__()

    async def read(self, count: int) -> None:
        """So many events, or fewer if there are no more."""
        with anyio.move_on_after(0):
            for _ in range(count):
                self._check(await anext(self._stream))

    def _check(self, event: WatchEvent[DPU]) -> None:
        match event:
            case Added(obj):
                assert obj.name not in self.shown
                assert obj.uid not in self.dead, "nothing is told of the dead"
                assert self.alive.get(obj.name) in (None, obj.uid), "one life ends before the next begins"
                self.shown[obj.name] = obj
                self.alive[obj.name] = obj.uid
            case Updated(before, after, _, contiguous, _):
                assert self.shown[after.name] is before
                assert before.uid == after.uid
                between = self._between(after.uid, before.resource_version, after.resource_version)
                assert not (contiguous and between), "contiguous means that nothing lies between"
                self.shown[after.name] = after
            case Deleted(last, _, final, _):
                assert self.alive.pop(last.name) == last.uid, "each life ends once"
                self.shown.pop(last.name, None)
                died_at = [
                    str(FIRST + told.version) for told in self.server.history if told.type == "DELETED"
                ]
                assert not final or last.resource_version in died_at
                self.dead.add(last.uid)
            case Undecodable(name=name, uid=uid):
                assert self.alive.get(name) in (None, uid), "one life ends before the next begins"
                self.alive[name] = uid
                self.shown.pop(name, None)
            case Gap() | Resumed() | Synced():
                pass

    def _between(self, uid: str, before: str, after: str) -> list[ListenerAdapter]:
        return [
            told
            for told in self.server.history
            if told.uid == uid and int(before) < FIRST + told.version < int(after)
        ]


class _Picture:
    """As much of a reflector as a stream needs: its store, which is there."""

    def __init__(self, store: Store[DPU]) -> None:
        self.store = store

    async def synced(self) -> None:
        """It is."""


class Client:
    """A store, the watch that feeds it, a second one during a rotation, and an audit that may be under way."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store: Store[DPU] = Store()
        self.witness = Witness(self.store)
        self.reader = Reader(server, self.store)
        self.watches = [0]
        self.resume = 0
        self.audit: int | None = None

    def tell(self, watch: int, count: int) -> None:
        for told in self.server.history[self.watches[watch] :][:count]:
            if told.readable:
                self.store.apply(told.type, told.state)
            else:
                self.store.put_undecodable(told.undecodable)
            self.watches[watch] += 1
            self.resume = max(self.resume, told.version)

    def rotate(self) -> None:
        """Open a second watch; or, if there is one, drop the first."""
        if len(self.watches) == 1:
            self.watches.append(self.resume)
        else:
            del self.watches[0]

    def list(self) -> None:
        """Have the server make a list for an audit; or, if there is one, take it."""
        if self.audit is None:
            self.audit = len(self.server.history)
            return
        self.take("audit", self.audit)
        self.audit = None

    def relist(self) -> None:
        """Lose everything under way, and begin again with a list."""
        self.audit = None
        self.resume = len(self.server.history)
        self.take("relist", self.resume)
        self.watches = [self.resume]

    def take(self, origin: str, version: int) -> None:
        shown = self.server.at(version).values()
        self.store.replace(
            [told.state for told in shown if told.readable],
            [told.undecodable for told in shown if not told.readable],
            str(FIRST + version),
            origin=origin,
            rewound=False,
        )


KINDS = ["update", "delete", "spoil", "spoil and delete"]

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sampled_from(NAMES),
            st.sampled_from(KINDS),
        ),
        st.tuples(st.just("tell"), st.sampled_from([0, -1]), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["rotate", "list", "relist"])),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(STEPS)
def test_n1_every_life_is_told_once_and_in_order_and_the_picture_becomes_true(
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
            case "tell", [int(watch), int(count)]:
                client.tell(watch, count)
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
    client.tell(0, len(server.history))
    await client.reader.read(1000)

    truth = server.at(len(server.history))
    assert {obj.name: obj.resource_version for obj in client.store} == {
        name: told.state.resource_version for name, told in truth.items() if told.readable
    }
    assert set(client.store.unreadable) == {name for name, told in truth.items() if not told.readable}
    assert {obj.name: obj for obj in client.store} == client.reader.shown

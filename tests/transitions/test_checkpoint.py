"""A reader that stops and goes on: what its checkpoint remembers, and what it is told afterwards."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, assert_never

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpf_async import Checkpoint, NodeTransitionStream, ObjectState
from dpf_async._api.codec import Codec
from dpf_async._api.records import ConditionRecord
from dpf_async._session.node_handle import is_something
from dpf_async._transitions.node_join import Site
from dpf_async.errors import UsageError
from dpf_async.models import DPUDevice, DPUNode, DPUNodeMaintenance, Resource
from dpf_async.transitions import (
    ConditionChanged,
    DPUAppeared,
    DPUGone,
    DPUReplaced,
    DPUTerminating,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeAppeared,
    NodeEffectHeld,
    NodeEffectReleased,
    NodeGone,
    PhaseChanged,
    Transition,
)
from tests.support.states import condition, device, dpu, maintenance, node
from tests.support.stores import Stores, listening

SCOPE = {"namespace": "dpf-operator-system"}
NODES = ("node-a", "node-b")


def a_stream(site: Site, since: Checkpoint | None = None) -> NodeTransitionStream:
    """A stream of everything, as the client makes it."""
    return NodeTransitionStream(
        lambda: listening(site),
        key=None,
        keys=lambda: sorted(site.names()),
        select=is_something,
        scope=SCOPE,
        since=since,
    )


async def take(stream: NodeTransitionStream, count: int | None = None) -> list[Transition]:
    """So many transitions, or as many as there are at the moment."""
    told: list[Transition] = []
    while count is None or len(told) < count:
        with anyio.move_on_after(0):
            told.append(await anext(stream))
            continue
        break
    return told


async def go_on(site: Site, stream: NodeTransitionStream) -> NodeTransitionStream:
    """Another process goes on where this one stopped."""
    await stream.__aexit__()
    return await a_stream(site, stored(stream)).__aenter__()


def stored(stream: NodeTransitionStream) -> Checkpoint:
    """A checkpoint that has been in a file."""
    read: Checkpoint = json.loads(json.dumps(stream.checkpoint()))
    return read


Said = tuple[str, str | None, str | None]


def said(record: ConditionRecord) -> Said:
    return (record.status, record.reason, record.last_transition_time)


@dataclass
class Picture:
    """A worker's own picture, made of what it was told. Hearing what it knows already, or cannot be, is a failure."""

    nodes: dict[str, str] = field(default_factory=dict)
    dpus: dict[tuple[str, str], tuple[str, str, bool]] = field(default_factory=dict)
    conditions: dict[tuple[str, str, str, str], dict[str, Said]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    rebooting: set[str] = field(default_factory=set)

    def hear(self, told: Transition) -> None:
        match told:
            case NodeAppeared():
                assert told.node not in self.nodes
                self.nodes[told.node] = told.uid
            case NodeGone():
                assert self.nodes.pop(told.node) == told.uid
                self.conditions.pop((told.node, "DPUNode", told.node, told.uid), None)
            case ExternalRebootRequired():
                assert told.node not in self.rebooting
                self.rebooting.add(told.node)
            case ExternalRebootDone():
                self.rebooting.remove(told.node)
            case NodeEffectHeld():
                assert told.node not in self.held
                self.held[told.node] = told.maintenance
            case NodeEffectReleased():
                assert self.held.pop(told.node) == told.maintenance
            case ConditionChanged():
                self._hear_condition(told)
            case DPUAppeared() | DPUReplaced() | DPUGone() | DPUTerminating() | PhaseChanged():
                self._hear_dpu(told)
            case _:
                assert_never(told)

    def _hear_dpu(self, told: DPUAppeared | DPUReplaced | DPUGone | DPUTerminating | PhaseChanged) -> None:
        key = (told.node, told.dpu)
        before = self.dpus.pop(key, None)
        match told:
            case DPUAppeared():
                assert before is None
                self.dpus[key] = (told.uid, told.phase, False)
            case DPUReplaced():
                assert before is not None
                assert before[0] == told.old_uid != told.new_uid
                self.conditions.pop((told.node, "DPU", told.dpu, told.old_uid), None)
                self.dpus[key] = (told.new_uid, told.phase, False)
            case DPUGone():
                assert before is not None
                assert before[:2] == (told.uid, told.phase)
                self.conditions.pop((told.node, "DPU", told.dpu, told.uid), None)
            case DPUTerminating():
                assert before is not None
                assert (before[0], before[2]) == (told.uid, False)
                self.dpus[key] = (*before[:2], True)
            case PhaseChanged():
                assert before is not None
                assert before[:2] == (told.uid, told.before)
                assert told.before != told.after
                self.dpus[key] = (told.uid, told.after, before[2])

    def _hear_condition(self, told: ConditionChanged) -> None:
        known = self.conditions.setdefault((told.node, told.kind, told.name, told.uid), {})
        before = known.pop(told.type, None)
        if told.before is not None or told.kind in ("DPUNode", "DPU"):
            # A device or maintenance that goes is told by nothing; when it is back, it is told of anew.
            assert before == (None if told.before is None else said(told.before))
        assert told.before is None or told.after is None or said(told.before) != said(told.after)
        if told.after is not None:
            known[told.type] = said(told.after)


def truth(site: Site) -> Picture:
    """What a worker that heard everything must believe."""
    picture = Picture()
    for name in site.names():
        view = site.view(name)
        objects: list[tuple[str, str, str, tuple[ConditionRecord, ...]]] = []
        if view.node is not None:
            picture.nodes[name] = view.uid
            objects.append(("DPUNode", name, view.uid, view.node.conditions))
        for one in view.dpus:
            picture.dpus[name, one.name] = (one.uid, one.phase, one.terminating)
            both = (*one.conditions, *one.operational_conditions)
            objects.append(("DPU", one.name, one.uid, both))
        objects += [("DPUDevice", one.name, one.uid, one.conditions) for one in view.devices]
        objects += [
            ("DPUNodeMaintenance", one.name, one.uid, one.state.conditions) for one in view.maintenances
        ]
        for kind, of, uid, conditions in objects:
            picture.conditions[name, kind, of, uid] = {one.type: said(one) for one in conditions}
        if view.hold is not None:
            picture.held[name] = view.hold.name
        if view.external_reboot_required:
            picture.rebooting.add(name)
    return picture


def assert_same(heard: Picture, true: Picture) -> None:
    assert heard.nodes == true.nodes
    assert heard.dpus == true.dpus
    assert heard.held == true.held
    assert heard.rebooting == true.rebooting
    for key, conditions in true.conditions.items():
        assert heard.conditions.get(key, {}) == conditions, key


# A history: what happens to the objects, how far the reader reads, and where it is killed and started again.

_conditions = st.lists(
    st.builds(
        condition,
        st.sampled_from(["Ready", "Rebooted", "NodeEffectReady"]),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["", "Other"]),
        lastTransitionTime=st.sampled_from(["2026-06-01T10:00:00Z", "2026-06-01T10:00:01Z"]),
    ),
    max_size=3,
    unique_by=lambda one: one["type"],
)
_uids = st.sampled_from(["1", "2"])
_nodes = st.sampled_from(NODES)
_deleted: dict[str, Any] = {"deletionTimestamp": "2026-06-01T10:00:00Z"}


@st.composite
def _a_node(draw: st.DrawFn) -> ObjectState[DPUNode]:
    name = draw(_nodes)
    return node(
        name,
        tuple(draw(st.sets(st.sampled_from([f"{name}-device-1", f"{name}-device-2"])))),
        uid=f"{name}-{draw(_uids)}",
        reboot=draw(st.booleans()),
        conditions=draw(_conditions),
    )


@st.composite
def _a_dpu(draw: st.DrawFn) -> ObjectState[Any]:
    name = draw(st.sampled_from(["dpu-1", "dpu-2"]))
    return dpu(
        name,
        draw(st.sampled_from(["Pending", "Rebooting", "Ready", "Update Firmware"])),
        uid=f"{name}-{draw(_uids)}",
        node=draw(_nodes),
        conditions=draw(_conditions),
        metadata=draw(st.sampled_from([{}, _deleted])),
        operationalConditions=[condition("OperationalReady", draw(st.sampled_from(["True", "False"])))],
    )


@st.composite
def _a_maintenance(draw: st.DrawFn) -> ObjectState[DPUNodeMaintenance]:
    name = draw(st.sampled_from(["hold-1", "hold-2"]))
    return maintenance(
        name,
        draw(_nodes),
        uid=f"{name}-{draw(_uids)}",
        annotation=draw(st.sampled_from(["true", "false"])),
        applied=draw(st.booleans()),
    )


_devices: st.SearchStrategy[ObjectState[DPUDevice]] = st.builds(
    lambda name, ready: device(name, ready=ready),
    st.sampled_from(["node-a-device-1", "node-a-device-2", "node-b-device-1"]),
    st.booleans(),
)
_states = st.one_of(_a_node(), _a_dpu(), _a_maintenance(), _devices)
_steps = st.one_of(
    st.tuples(st.just("show"), _states),
    st.tuples(st.just("show"), _states),
    st.tuples(st.just("show"), _states),
    st.tuples(st.just("delete"), st.integers(0, 20)),
    st.tuples(st.just("spoil"), st.integers(0, 20)),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("read and restart"), st.integers(0, 6)),
)


class World:
    """The site, and which of its objects stand."""

    def __init__(self) -> None:
        self.stores = Stores()
        self.site = self.stores.site()
        self._standing: dict[tuple[str, str], ObjectState[Resource]] = {}
        self._spoilt: set[tuple[str, str]] = set()

    def show(self, drawn: ObjectState[Resource]) -> None:
        # Drawn values may be shown several times: each time they are a newer state.
        key = (drawn.kind.KIND, drawn.name)
        before = self._standing.get(key)
        going = before is not None and before.uid == drawn.uid and before.terminating
        state = _newer(drawn, **(_deleted if going else {}))
        if before is not None and before.uid != state.uid:
            self.stores.delete(_newer(before))
        self.stores.show(state)
        self._standing[key] = state
        self._spoilt.discard(key)

    def pick(self, number: int) -> tuple[tuple[str, str], ObjectState[Resource]] | None:
        if not self._standing:
            return None
        key = sorted(self._standing)[number % len(self._standing)]
        return key, self._standing[key]

    def delete(self, number: int) -> None:
        if (picked := self.pick(number)) is not None:
            key, state = picked
            self.stores.delete(_newer(state))
            del self._standing[key]
            self._spoilt.discard(key)

    def spoil(self, number: int) -> None:
        if (picked := self.pick(number)) is not None:
            key, state = picked
            self.stores.spoil(state, _version())
            self._spoilt.add(key)

    def heal(self) -> None:
        for key in sorted(self._spoilt):
            self.show(self._standing[key])


_counter = iter(range(10_000, 10**9))


def _version() -> str:
    return str(next(_counter))


def _newer(state: ObjectState[Any], **metadata: Any) -> ObjectState[Any]:
    document = json.loads(state.document)
    document["metadata"] |= {"resourceVersion": _version(), **metadata}
    return Codec(state.kind).read_object(json.dumps(document).encode())


@settings(max_examples=60)
@given(st.lists(_steps, min_size=15, max_size=40))
def test_however_often_a_reader_starts_again_it_hears_every_difference_once(
    steps: list[tuple[str, Any]],
) -> None:
    async def live() -> None:
        world, picture = World(), Picture()
        stream = await a_stream(world.site).__aenter__()
        for step, value in steps:
            match step:
                case "show":
                    world.show(value)
                case "delete":
                    world.delete(value)
                case "spoil":
                    world.spoil(value)
                case _:
                    for told in await take(stream, value):
                        picture.hear(told)
                    if step != "read":
                        stream = await go_on(world.site, stream)
        world.repair()
        for _ in range(300):
            # Killed after every single one: in the middle of a view as well.
            for told in await take(stream, 1):
                picture.hear(told)
                stream = await go_on(world.site, stream)
        await stream.__aexit__()

        assert_same(picture, truth(world.site))
        async with a_stream(world.site, stored(stream)) as again:
            assert await take(again) == []

    asyncio.run(live())


async def test_what_happened_in_between_is_told_once_and_as_not_contiguous() -> None:
    world = World()
    world.show(node("node-a"))
    world.show(node("node-b"))
    world.show(dpu("dpu-1", "Pending", uid="1", node="node-a"))
    world.show(dpu("dpu-2", "Ready", uid="2", node="node-b"))
    world.show(dpu("dpu-3", "Ready", uid="3", node="node-b"))
    async with a_stream(world.site) as stream:
        await take(stream)
    kept = stored(stream)

    world.show(dpu("dpu-1", "Ready", uid="1", node="node-a"))
    world.show(dpu("dpu-2", "Initializing", uid="another", node="node-b"))
    world.stores.delete(_newer(dpu("dpu-3", uid="3", node="node-b")))
    world.show(node("node-c"))
    async with a_stream(world.site, kept) as again:
        told = await take(again)

    assert [type(one) for one in told] == [
        PhaseChanged,
        ConditionChanged,
        DPUGone,
        DPUReplaced,
        NodeAppeared,
    ]
    assert not any(one.contiguous for one in told)
    changed = told[0]
    assert isinstance(changed, PhaseChanged)
    assert changed.possibly_skipped is not None
    assert "OS Installing" in changed.possibly_skipped


async def test_nothing_is_told_of_what_did_not_change_and_then_every_change_as_usual() -> None:
    world = World()
    world.show(node("node-a", reboot=True))
    world.show(dpu("dpu-1", "Rebooting", node="node-a"))
    world.show(maintenance("hold-1", "node-a"))
    async with a_stream(world.site) as stream:
        await take(stream)

    async with a_stream(world.site, stored(stream)) as again:
        at_first = await take(again)
        world.show(dpu("dpu-1", "DPU Config", node="node-a"))
        later = await take(again)

    assert at_first == []
    assert [(type(one), one.contiguous) for one in later] == [(PhaseChanged, True)]


async def test_a_checkpoint_in_the_middle_of_a_view_has_what_was_returned_and_nothing_else() -> None:
    world = World()
    world.show(node("node-a", reboot=True))
    world.show(dpu("dpu-1", "Rebooting", node="node-a", conditions=[condition("Initialized")]))
    world.show(maintenance("hold-1", "node-a"))
    async with a_stream(world.site) as stream:
        everything = await take(stream)

    for count in range(len(everything) + 1):
        async with a_stream(world.site) as stream:
            first = await take(stream, count)
        async with a_stream(world.site, stored(stream)) as again:
            rest = await take(again)

        assert [_words(one) for one in (*first, *rest)] == [_words(one) for one in everything]


async def test_in_the_middle_of_a_later_view_what_was_told_before_is_not_forgotten() -> None:
    world = World()
    world.show(node("node-a"))
    world.show(dpu("dpu-1", "Pending", node="node-a"))
    async with a_stream(world.site) as stream:
        await take(stream)
        world.show(dpu("dpu-1", "Ready", node="node-a"))
        (first,) = await take(stream, 1)
        kept = stored(stream)
    async with a_stream(world.site, kept) as again:
        rest = await take(again)

    assert [type(one) for one in (first, *rest)] == [PhaseChanged, ConditionChanged]


def _words(told: Transition) -> tuple[object, ...]:
    """Which transition it is, however it came to be told."""
    return (type(told), getattr(told, "type", ""), getattr(told, "name", ""))


@pytest.mark.parametrize(
    "spoilt",
    [node("node-a", reboot=True), dpu("dpu-1", node="node-a"), maintenance("hold-1", "node-a")],
    ids=["DPUNode", "DPU", "DPUNodeMaintenance"],
)
async def test_what_cannot_be_read_when_a_reader_comes_back_is_not_told_as_gone(
    spoilt: ObjectState[Any],
) -> None:
    world = World()
    for state in (
        node("node-a", reboot=True),
        dpu("dpu-1", node="node-a"),
        maintenance("hold-1", "node-a"),
    ):
        world.show(state)
    async with a_stream(world.site) as stream:
        await take(stream)

    world.stores.spoil(spoilt, _version())
    async with a_stream(world.site, stored(stream)) as again:
        while_spoilt = await take(again)
        async with a_stream(world.site, stored(again)) as third:
            still_spoilt = await take(third)
            world.show(spoilt)
            healed = await take(third)

    assert (while_spoilt, still_spoilt, healed) == ([], [], [])


async def test_a_checkpoint_of_a_node_that_vanished_meanwhile_tells_that_it_is_gone() -> None:
    world = World()
    world.show(node("node-a"))
    async with a_stream(world.site) as stream:
        await take(stream)
    kept = stored(stream)

    world.stores.delete(_newer(node("node-a")))
    async with a_stream(world.site, kept) as again:
        told = await take(again)
        after = again.checkpoint()

    assert [type(one) for one in told] == [NodeGone]
    assert after["nodes"] == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "takes what checkpoint"),
        ([], "takes what checkpoint"),
        ({"format": "dpf_async.transitions/7"}, "another release"),
        ({"format": "dpf_async.transitions/1"}, "damaged"),
        (
            {"format": "dpf_async.transitions/1", "scope": SCOPE, "nodes": {"node-a": {"dpus": 3}}},
            "damaged",
        ),
        (
            {"format": "dpf_async.transitions/1", "scope": {"node": "node-a"}, "nodes": {}},
            "node 'node-a'",
        ),
    ],
)
def test_what_is_no_checkpoint_of_this_stream_is_refused_with_the_reason(given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        a_stream(World().site, given)


async def test_a_stream_that_is_not_entered_says_how_to_enter_it() -> None:
    with pytest.raises(UsageError, match="async with"):
        await anext(a_stream(World().site))


async def test_a_stream_that_goes_on_and_is_killed_at_once_forgets_nothing() -> None:
    world = World()
    world.show(node("node-a"))
    world.show(dpu("dpu-1", node="node-a"))
    async with a_stream(world.site) as stream:
        await take(stream)
    kept = stored(stream)

    resumed = a_stream(world.site, kept)
    before_entering = stored(resumed)
    async with resumed:
        before_reading = stored(resumed)

    assert kept == before_entering == before_reading

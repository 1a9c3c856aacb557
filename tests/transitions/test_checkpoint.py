"""Checkpoints: a stream that resumes yields exactly the differences since the checkpoint."""

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
from dpf_async._session.host_streams import exists_or_is_referenced
from dpf_async._transitions.node_join import NodeJoin
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


def a_stream(join: NodeJoin, since: Checkpoint | None = None) -> NodeTransitionStream:
    """A stream of all nodes, as the client creates it."""
    return NodeTransitionStream(
        lambda: listening(join),
        key=None,
        existing=lambda: sorted(join.names()),
        matches=exists_or_is_referenced,
        scope=SCOPE,
        since=since,
    )


async def take(stream: NodeTransitionStream, count: int | None = None) -> list[Transition]:
    """Read `count` transitions, or all that are available."""
    received: list[Transition] = []
    while count is None or len(received) < count:
        with anyio.move_on_after(0):
            received.append(await anext(stream))
            continue
        break
    return received


async def resume(join: NodeJoin, stream: NodeTransitionStream) -> NodeTransitionStream:
    """Resume in a new stream, as another process would."""
    await stream.__aexit__()
    return await a_stream(join, stored(stream)).__aenter__()


def stored(stream: NodeTransitionStream) -> Checkpoint:
    """A checkpoint that was written to a file and read again."""
    read: Checkpoint = json.loads(json.dumps(stream.checkpoint()))
    return read


Fields = tuple[str, str | None, str | None]


def fields(record: ConditionRecord) -> Fields:
    return (record.status, record.reason, record.last_transition_time)


@dataclass
class Model:
    """The state that a worker derives from transitions. A repeated or impossible transition is a failure."""

    nodes: dict[str, str] = field(default_factory=dict)
    dpus: dict[tuple[str, str], tuple[str, str, bool]] = field(default_factory=dict)
    conditions: dict[tuple[str, str, str, str], dict[str, Fields]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    rebooting: set[str] = field(default_factory=set)

    def apply(self, transition: Transition) -> None:
        match transition:
            case NodeAppeared():
                assert transition.node not in self.nodes
                self.nodes[transition.node] = transition.uid
            case NodeGone():
                assert self.nodes.pop(transition.node) == transition.uid
                self.conditions.pop((transition.node, "DPUNode", transition.node, transition.uid), None)
            case ExternalRebootRequired():
                assert transition.node not in self.rebooting
                self.rebooting.add(transition.node)
            case ExternalRebootDone():
                self.rebooting.remove(transition.node)
            case NodeEffectHeld():
                assert transition.node not in self.held
                self.held[transition.node] = transition.maintenance
            case NodeEffectReleased():
                assert self.held.pop(transition.node) == transition.maintenance
            case ConditionChanged():
                self._apply_condition(transition)
            case DPUAppeared() | DPUReplaced() | DPUGone() | DPUTerminating() | PhaseChanged():
                self._apply_dpu(transition)
            case _:
                assert_never(transition)

    def _apply_dpu(
        self, transition: DPUAppeared | DPUReplaced | DPUGone | DPUTerminating | PhaseChanged
    ) -> None:
        key = (transition.node, transition.dpu)
        before = self.dpus.pop(key, None)
        match transition:
            case DPUAppeared():
                assert before is None
                self.dpus[key] = (transition.uid, transition.phase, False)
            case DPUReplaced():
                assert before is not None
                assert before[0] == transition.old_uid != transition.new_uid
                self.conditions.pop((transition.node, "DPU", transition.dpu, transition.old_uid), None)
                self.dpus[key] = (transition.new_uid, transition.phase, False)
            case DPUGone():
                assert before is not None
                assert before[:2] == (transition.uid, transition.phase)
                self.conditions.pop((transition.node, "DPU", transition.dpu, transition.uid), None)
            case DPUTerminating():
                assert before is not None
                assert (before[0], before[2]) == (transition.uid, False)
                self.dpus[key] = (*before[:2], True)
            case PhaseChanged():
                assert before is not None
                assert before[:2] == (transition.uid, transition.before)
                assert transition.before != transition.after
                self.dpus[key] = (transition.uid, transition.after, before[2])

    def _apply_condition(self, transition: ConditionChanged) -> None:
        known = self.conditions.setdefault(
            (transition.node, transition.kind, transition.name, transition.uid), {}
        )
        before = known.pop(transition.type, None)
        if transition.before is not None or transition.kind in ("DPUNode", "DPU"):
            # Deletion of a device or maintenance yields no transition; when re-created, conditions are reported again.
            assert before == (None if transition.before is None else fields(transition.before))
        assert (
            transition.before is None
            or transition.after is None
            or fields(transition.before) != fields(transition.after)
        )
        if transition.after is not None:
            known[transition.type] = fields(transition.after)


def current_model(join: NodeJoin) -> Model:
    """The model of a worker that received every transition."""
    model = Model()
    for name in join.names():
        view = join.view(name)
        objects: list[tuple[str, str, str, tuple[ConditionRecord, ...]]] = []
        if view.node is not None:
            model.nodes[name] = view.uid
            objects.append(("DPUNode", name, view.uid, view.node.conditions))
        for one in view.dpus:
            model.dpus[name, one.name] = (one.uid, one.phase, one.terminating)
            both = (*one.conditions, *one.operational_conditions)
            objects.append(("DPU", one.name, one.uid, both))
        objects += [("DPUDevice", one.name, one.uid, one.conditions) for one in view.devices]
        objects += [
            ("DPUNodeMaintenance", one.name, one.uid, one.state.conditions) for one in view.maintenances
        ]
        for kind, of, uid, conditions in objects:
            model.conditions[name, kind, of, uid] = {one.type: fields(one) for one in conditions}
        if view.hold is not None:
            model.held[name] = view.hold.name
        if view.external_reboot_required:
            model.rebooting.add(name)
    return model


def assert_same(derived: Model, expected: Model) -> None:
    assert derived.nodes == expected.nodes
    assert derived.dpus == expected.dpus
    assert derived.held == expected.held
    assert derived.rebooting == expected.rebooting
    for key, conditions in expected.conditions.items():
        assert derived.conditions.get(key, {}) == conditions, key


# A history: changes of objects, how many transitions the reader reads, and where it stops and resumes.

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
    st.tuples(st.just("make undecodable"), st.integers(0, 20)),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("read and resume"), st.integers(0, 6)),
)


class Cluster:
    """The stores, and the objects that exist."""

    def __init__(self) -> None:
        self.stores = Stores()
        self.join = self.stores.join()
        self._existing: dict[tuple[str, str], ObjectState[Resource]] = {}
        self._undecodable: set[tuple[str, str]] = set()

    def show(self, drawn: ObjectState[Resource]) -> None:
        # A drawn value may be used several times: each time it is a newer state.
        key = (drawn.kind.KIND, drawn.name)
        before = self._existing.get(key)
        deleting = before is not None and before.uid == drawn.uid and before.terminating
        state = _newer(drawn, **(_deleted if deleting else {}))
        if before is not None and before.uid != state.uid:
            self.stores.delete(_newer(before))
        self.stores.show(state)
        self._existing[key] = state
        self._undecodable.discard(key)

    def pick(self, number: int) -> tuple[tuple[str, str], ObjectState[Resource]] | None:
        if not self._existing:
            return None
        key = sorted(self._existing)[number % len(self._existing)]
        return key, self._existing[key]

    def delete(self, number: int) -> None:
        if (picked := self.pick(number)) is not None:
            key, state = picked
            self.stores.delete(_newer(state))
            del self._existing[key]
            self._undecodable.discard(key)

    def make_undecodable(self, number: int) -> None:
        if (picked := self.pick(number)) is not None:
            key, state = picked
            self.stores.make_undecodable(state, _version())
            self._undecodable.add(key)

    def make_all_decodable(self) -> None:
        for key in sorted(self._undecodable):
            self.show(self._existing[key])


_counter = iter(range(10_000, 10**9))


def _version() -> str:
    return str(next(_counter))


def _newer(state: ObjectState[Any], **metadata: Any) -> ObjectState[Any]:
    document = json.loads(state.document)
    document["metadata"] |= {"resourceVersion": _version(), **metadata}
    return Codec(state.kind).read_object(json.dumps(document).encode())


@pytest.mark.exhaustive
@settings(max_examples=60)
@given(st.lists(_steps, min_size=15, max_size=40))
def test_a_reader_that_resumes_any_number_of_times_receives_every_difference_once(
    steps: list[tuple[str, Any]],
) -> None:
    async def run() -> None:
        cluster, model = Cluster(), Model()
        stream = await a_stream(cluster.join).__aenter__()
        for step, value in steps:
            match step:
                case "show":
                    cluster.show(value)
                case "delete":
                    cluster.delete(value)
                case "make undecodable":
                    cluster.make_undecodable(value)
                case _:
                    for transition in await take(stream, value):
                        model.apply(transition)
                    if step != "read":
                        stream = await resume(cluster.join, stream)
        cluster.make_all_decodable()
        for _ in range(300):
            # Stopped after each transition: between two transitions of one view as well.
            for transition in await take(stream, 1):
                model.apply(transition)
                stream = await resume(cluster.join, stream)
        await stream.__aexit__()

        assert_same(model, current_model(cluster.join))
        async with a_stream(cluster.join, stored(stream)) as again:
            assert await take(again) == []

    asyncio.run(run())


async def test_changes_while_the_reader_was_stopped_are_reported_once_and_as_not_contiguous() -> None:
    cluster = Cluster()
    cluster.show(node("node-a"))
    cluster.show(node("node-b"))
    cluster.show(dpu("dpu-1", "Pending", uid="1", node="node-a"))
    cluster.show(dpu("dpu-2", "Ready", uid="2", node="node-b"))
    cluster.show(dpu("dpu-3", "Ready", uid="3", node="node-b"))
    async with a_stream(cluster.join) as stream:
        await take(stream)
    kept = stored(stream)

    cluster.show(dpu("dpu-1", "Ready", uid="1", node="node-a"))
    cluster.show(dpu("dpu-2", "Initializing", uid="another", node="node-b"))
    cluster.stores.delete(_newer(dpu("dpu-3", uid="3", node="node-b")))
    cluster.show(node("node-c"))
    async with a_stream(cluster.join, kept) as again:
        received = await take(again)

    assert [type(one) for one in received] == [
        PhaseChanged,
        ConditionChanged,
        DPUGone,
        DPUReplaced,
        NodeAppeared,
    ]
    assert not any(one.contiguous for one in received)
    changed = received[0]
    assert isinstance(changed, PhaseChanged)
    assert changed.phases_between is not None
    assert "OS Installing" in changed.phases_between


async def test_a_resumed_stream_reports_only_later_changes_and_those_as_contiguous() -> None:
    cluster = Cluster()
    cluster.show(node("node-a", reboot=True))
    cluster.show(dpu("dpu-1", "Rebooting", node="node-a"))
    cluster.show(maintenance("hold-1", "node-a"))
    async with a_stream(cluster.join) as stream:
        await take(stream)

    async with a_stream(cluster.join, stored(stream)) as again:
        at_first = await take(again)
        cluster.show(dpu("dpu-1", "DPU Config", node="node-a"))
        later = await take(again)

    assert at_first == []
    assert [(type(one), one.contiguous) for one in later] == [(PhaseChanged, True)]


async def test_a_checkpoint_between_two_transitions_of_a_view_contains_exactly_those_returned() -> None:
    cluster = Cluster()
    cluster.show(node("node-a", reboot=True))
    cluster.show(dpu("dpu-1", "Rebooting", node="node-a", conditions=[condition("Initialized")]))
    cluster.show(maintenance("hold-1", "node-a"))
    async with a_stream(cluster.join) as stream:
        everything = await take(stream)

    for count in range(len(everything) + 1):
        async with a_stream(cluster.join) as stream:
            first = await take(stream, count)
        async with a_stream(cluster.join, stored(stream)) as again:
            rest = await take(again)

        assert [_identity(one) for one in (*first, *rest)] == [_identity(one) for one in everything]


async def test_a_checkpoint_between_two_transitions_of_a_later_view_keeps_the_earlier_views() -> None:
    cluster = Cluster()
    cluster.show(node("node-a"))
    cluster.show(dpu("dpu-1", "Pending", node="node-a"))
    async with a_stream(cluster.join) as stream:
        await take(stream)
        cluster.show(dpu("dpu-1", "Ready", node="node-a"))
        (first,) = await take(stream, 1)
        kept = stored(stream)
    async with a_stream(cluster.join, kept) as again:
        rest = await take(again)

    assert [type(one) for one in (first, *rest)] == [PhaseChanged, ConditionChanged]


def _identity(transition: Transition) -> tuple[object, ...]:
    """What a transition reports, without the states."""
    return (type(transition), getattr(transition, "type", ""), getattr(transition, "name", ""))


@pytest.mark.parametrize(
    "undecodable",
    [node("node-a", reboot=True), dpu("dpu-1", node="node-a"), maintenance("hold-1", "node-a")],
    ids=["DPUNode", "DPU", "DPUNodeMaintenance"],
)
async def test_an_object_that_cannot_be_decoded_when_a_stream_resumes_is_not_reported_as_deleted(
    undecodable: ObjectState[Any],
) -> None:
    cluster = Cluster()
    for state in (
        node("node-a", reboot=True),
        dpu("dpu-1", node="node-a"),
        maintenance("hold-1", "node-a"),
    ):
        cluster.show(state)
    async with a_stream(cluster.join) as stream:
        await take(stream)

    cluster.stores.make_undecodable(undecodable, _version())
    async with a_stream(cluster.join, stored(stream)) as again:
        while_undecodable = await take(again)
        async with a_stream(cluster.join, stored(again)) as third:
            still_undecodable = await take(third)
            cluster.show(undecodable)
            decodable = await take(third)

    assert (while_undecodable, still_undecodable, decodable) == ([], [], [])


async def test_a_stream_resumed_after_the_deletion_of_a_node_reports_the_deletion() -> None:
    cluster = Cluster()
    cluster.show(node("node-a"))
    async with a_stream(cluster.join) as stream:
        await take(stream)
    kept = stored(stream)

    cluster.stores.delete(_newer(node("node-a")))
    async with a_stream(cluster.join, kept) as again:
        received = await take(again)
        after = again.checkpoint()

    assert [type(one) for one in received] == [NodeGone]
    assert after["nodes"] == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "must be a value that checkpoint"),
        ([], "must be a value that checkpoint"),
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
def test_a_value_that_is_not_a_checkpoint_of_this_stream_is_rejected_with_the_reason(
    given: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        a_stream(Cluster().join, given)


async def test_reading_a_stream_that_is_not_entered_is_a_usage_error_that_shows_how_to_enter_it() -> None:
    with pytest.raises(UsageError, match="async with"):
        await anext(a_stream(Cluster().join))


async def test_a_resumed_stream_that_is_stopped_before_it_is_read_keeps_its_checkpoint() -> None:
    cluster = Cluster()
    cluster.show(node("node-a"))
    cluster.show(dpu("dpu-1", node="node-a"))
    async with a_stream(cluster.join) as stream:
        await take(stream)
    kept = stored(stream)

    resumed = a_stream(cluster.join, kept)
    before_entering = stored(resumed)
    async with resumed:
        before_reading = stored(resumed)

    assert kept == before_entering == before_reading

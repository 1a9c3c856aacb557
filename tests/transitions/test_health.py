"""The health of DPUs and hosts, and when which health transition is reported."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpf_async import ObjectState
from dpf_async._transitions.health import health_of, only_the_phase_counts, same_problem
from dpf_async._transitions.health_transitions import Agenda, Damping, HealthNotifier
from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.health import (
    CriticalServicesDown,
    DPUHealthy,
    DPUNotReady,
    HealthProblem,
    HealthTransition,
    HealthUnknown,
    KubeNodeNotReady,
    NodeUnusable,
    NodeUsable,
    NonCriticalServicesDown,
    NotReadyBecause,
    OperationalConditionFalse,
    Recovered,
    StillUnhealthy,
)
from dpf_async.levels import healthy, usable
from dpf_async.models import DPU
from dpf_async.transitions import DPUGone, DPUReplaced, NodeGone
from tests.support.states import condition, dpu, maintenance, node, view
from tests.support.stores import Stores

CRITICAL = "DPUServiceCriticalPodsReady"
OTHERS = "DPUServiceNonCriticalPodsReady"


def a_dpu(phase: str = "Ready", *, ready: str = "True", **operational: str) -> ObjectState[DPU]:
    """A DPU that was Ready once; `operational` are statuses of its operational conditions, by short names."""
    short = {
        "critical": CRITICAL,
        "others": OTHERS,
        "chains": "DPUServiceChainsReady",
        "all": "OperationalReady",
    }
    statuses = {"critical": "True", "others": "True", **operational}
    return dpu(
        phase=phase,
        conditions=[condition("Ready", ready, "NodeNotReady" if ready == "False" else "DPUReady")],
        operationalConditions=[
            condition(short[name], status, "PodsNotReady" if status == "False" else "AllPodsReady")
            for name, status in statuses.items()
        ],
    )


def a_host(*dpus: ObjectState[DPU]) -> NodeView:
    return view(node(), *(dpus or (a_dpu(),)))


def problems(state: ObjectState[DPU]) -> list[type]:
    return [type(problem) for problem in health_of(DPUView(state)).problems]


class Reader:
    """One reader of one host, with time as an argument."""

    def __init__(self, **damping: float) -> None:
        self._notifier = HealthNotifier(Damping(**damping))

    def at(self, seconds: float, view: NodeView | None) -> list[HealthTransition]:
        """Observe this view at this time; return the transitions that are due."""
        self.observe(seconds, view)
        return self.due_at(seconds)

    def observe(self, seconds: float, view: NodeView | None) -> None:
        """Observe this view at this time."""
        self._notifier.observe("node-1", view, seconds)

    def due_at(self, seconds: float) -> list[HealthTransition]:
        """The transitions that are due at this time without a change."""
        due: list[HealthTransition] = []
        while (transition := self._notifier.next("node-1", seconds)) is not None:
            due.append(transition)
        return due

    @property
    def due(self) -> float:
        return self._notifier.due("node-1")

    @property
    def health(self) -> Any:
        return self._notifier.reported("node-1")


def kinds(transitions: list[HealthTransition]) -> list[type]:
    return [type(one) for one in transitions]


# Health of one view.


@pytest.mark.parametrize(
    ("state", "expected", "is_usable"),
    [
        (a_dpu(), [], True),
        (a_dpu(ready="False"), [KubeNodeNotReady], False),
        (a_dpu(critical="False"), [CriticalServicesDown], False),
        (a_dpu(others="False"), [NonCriticalServicesDown], True),
        (a_dpu(chains="False"), [OperationalConditionFalse], True),
        (a_dpu(critical="Unknown"), [HealthUnknown], None),
        (a_dpu(others="Unknown"), [HealthUnknown], True),
        (a_dpu(all="False"), [OperationalConditionFalse], True),
        (a_dpu(all="False", critical="False"), [CriticalServicesDown], False),
        (a_dpu("Node Effect"), [DPUNotReady], False),
        (dpu(), [HealthUnknown], None),
        (dpu(phase="OS Installing"), [DPUNotReady], False),
        (a_dpu("Error", critical="False"), [DPUNotReady], False),
    ],
)
def test_each_state_of_a_dpu_has_its_problems_and_its_usability(
    state: ObjectState[DPU], expected: list[type], is_usable: bool | None
) -> None:
    assert problems(state) == expected
    assert health_of(DPUView(state)).usable is is_usable
    assert usable.holds(DPUView(state)) is (is_usable is True)
    assert healthy.holds(DPUView(state)) is (not expected)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (dpu(phase="Node Effect"), NotReadyBecause.PROVISIONING),
        (a_dpu("Node Effect"), NotReadyBecause.NODE_EFFECT),
        (a_dpu("DPU Cluster Config"), NotReadyBecause.RETURNING),
        (a_dpu("Error"), NotReadyBecause.FAILED),
        (a_dpu("Deleting"), NotReadyBecause.TERMINATING),
        (dpu(metadata={"deletionTimestamp": "2026-06-01T10:00:00Z"}), NotReadyBecause.TERMINATING),
    ],
)
def test_node_effect_after_ready_has_another_reason_than_during_first_provisioning(
    state: ObjectState[DPU], why: NotReadyBecause
) -> None:
    (problem, *_) = health_of(DPUView(state)).problems

    assert isinstance(problem, DPUNotReady)
    assert problem.why is why


def test_a_host_is_usable_when_every_device_has_a_usable_dpu() -> None:
    second = dpu("dpu-2", "Error", device="device-2")

    assert health_of(a_host()).usable is True
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu())).missing == ("device-2",)
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu())).usable is False
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu(), second)).usable is False
    assert health_of(view(None, a_dpu())).usable is False
    assert health_of(view(node(), a_dpu(critical="Unknown"))).usable is None


def test_the_health_of_a_host_as_text_is_one_sentence() -> None:
    text = str(health_of(view(node(devices=("device-1", "device-2")), a_dpu(critical="False"))))

    assert text == (
        "DPUNode node-1 cannot be used: DPU node-1-device-1 does not run all of its critical services (PodsNotReady);"
        " DPUDevice device-2 has no DPU"
    )


def test_a_dpu_that_cannot_be_decoded_keeps_the_reported_usability_of_its_host() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node(), a_dpu())
    reader = Reader()
    reader.at(0, join.view("node-1"))

    stores.make_undecodable(a_dpu())
    while_undecodable = reader.at(1, join.view("node-1"))
    stores.show(_later_without_critical_services())
    after = reader.at(2, join.view("node-1"))

    assert kinds(while_undecodable) == [HealthUnknown]
    assert kinds(after) == [CriticalServicesDown, Recovered, NodeUnusable]


def test_a_failed_dpu_that_can_be_decoded_again_has_recovered_from_being_unreadable() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node(), a_dpu("Error"))
    reader = Reader()
    reader.at(0, join.view("node-1"))
    stores.make_undecodable(a_dpu("Error"))
    while_undecodable = reader.at(1, join.view("node-1"))
    stores.show(dpu(phase="Error", metadata={"resourceVersion": str(10**9)}))

    assert kinds(while_undecodable) == [HealthUnknown]
    assert kinds(reader.at(2, join.view("node-1"))) == [Recovered]


def _later_without_critical_services() -> ObjectState[DPU]:
    return dpu(
        metadata={"resourceVersion": str(10**9)},
        conditions=[condition("Ready")],
        operationalConditions=[condition(CRITICAL, "False"), condition(OTHERS)],
    )


# Health transitions.


def test_a_new_reader_receives_the_current_state_without_damping() -> None:
    good, bad = Reader(down_after=60, up_after=60), Reader(down_after=60, up_after=60)

    assert kinds(good.at(0, a_host())) == [DPUHealthy, NodeUsable]
    assert kinds(bad.at(0, a_host(a_dpu(critical="False")))) == [CriticalServicesDown, NodeUnusable]


def test_a_host_is_reported_from_its_first_phase_until_it_is_usable() -> None:
    reader = Reader()

    first = reader.at(0, a_host(dpu(phase="OS Installing", conditions=[])))
    same = reader.at(1, a_host(dpu(phase="Rebooting", conditions=[])))
    ready_without_health = reader.at(2, a_host(dpu()))
    done = reader.at(3, a_host())

    assert kinds(first) == [DPUNotReady, NodeUnusable]
    assert same == []
    assert kinds(ready_without_health) == [Recovered, HealthUnknown]
    assert kinds(done) == [Recovered, DPUHealthy, NodeUsable]


def test_only_severe_problems_make_a_host_unusable() -> None:
    reader = Reader()
    reader.at(0, a_host())

    down = reader.at(1, a_host(a_dpu(critical="False", others="False")))
    half = reader.at(2, a_host(a_dpu(others="False")))
    up = reader.at(3, a_host())

    assert kinds(down) == [CriticalServicesDown, NonCriticalServicesDown, NodeUnusable]
    assert isinstance(down[2], NodeUnusable)
    assert kinds(list(down[2].problems)) == [CriticalServicesDown, NonCriticalServicesDown]
    assert kinds(half) == [Recovered, NodeUsable]
    assert kinds(up) == [Recovered, DPUHealthy]


def test_a_problem_with_another_message_is_not_reported_again() -> None:
    reader = Reader()
    reader.at(0, a_host(a_dpu(critical="False")))
    other_message = dpu(
        conditions=[condition("Ready")],
        operationalConditions=[condition(CRITICAL, "False", message="1/3 Pods"), condition(OTHERS)],
    )

    assert reader.at(1, a_host(other_message)) == []


def test_an_unknown_aspect_makes_a_host_neither_unusable_nor_usable() -> None:
    reader = Reader()
    reader.at(0, a_host())

    assert kinds(reader.at(1, a_host(a_dpu(critical="Unknown")))) == [HealthUnknown]
    assert reader.health.usable is True
    assert kinds(reader.at(2, a_host(a_dpu(critical="False")))) == [CriticalServicesDown, NodeUnusable]
    assert kinds(reader.at(3, a_host(a_dpu(critical="Unknown")))) == [HealthUnknown]
    assert reader.health.usable is False


def test_a_problem_shorter_than_down_after_is_counted_and_not_reported() -> None:
    reader = Reader(down_after=60)
    reader.at(0, a_host())

    assert reader.at(10, a_host(a_dpu(critical="False"))) == []
    assert reader.due == 70
    assert reader.at(20, a_host()) == []
    assert reader.at(100, a_host(a_dpu(critical="False"))) == []
    assert reader.due_at(159) == []
    (problem, unusable) = reader.due_at(160)

    assert isinstance(problem, CriticalServicesDown)
    assert problem.flaps == 1
    assert isinstance(unusable, NodeUnusable)


def test_a_service_that_crashes_every_minute_is_reported_once_and_its_recovery_once() -> None:
    reader = Reader(down_after=60, up_after=120)
    reader.at(0, a_host())
    received: list[tuple[float, type]] = []
    for minute in range(5, 15):
        received += [
            (minute * 60, type(one)) for one in reader.at(minute * 60, a_host(a_dpu(critical="False")))
        ]
        received += [(minute * 60 + 30, type(one)) for one in reader.at(minute * 60 + 30, a_host())]
    quiet_since = 14 * 60 + 30
    before = reader.due_at(quiet_since + 119)
    over = reader.due_at(quiet_since + 120)

    assert received == [(360, CriticalServicesDown), (360, NodeUnusable)]
    assert before == []
    assert kinds(over) == [Recovered, DPUHealthy, NodeUsable]
    assert isinstance(over[0], Recovered)
    assert over[0].flaps == 8


def test_node_effect_is_reported_without_damping_and_its_end_with_damping() -> None:
    reader = Reader(down_after=600, up_after=60)
    reader.at(0, a_host())

    left = reader.at(10, a_host(a_dpu("Node Effect")))
    passing = reader.at(20, a_host(a_dpu("DPU Cluster Config")))
    back = reader.at(30, a_host())

    assert kinds(left) == [DPUNotReady, NodeUnusable]
    assert (passing, back) == ([], [])
    assert reader.due == 90
    assert kinds(reader.due_at(90)) == [Recovered, DPUHealthy, NodeUsable]


def test_a_brief_phase_change_for_new_labels_is_damped() -> None:
    damped, undamped = Reader(down_after=30), Reader()
    for reader in (damped, undamped):
        reader.at(0, a_host())

    assert damped.at(10, a_host(a_dpu("DPU Cluster Config"))) == []
    assert damped.at(15, a_host()) == []
    assert kinds(undamped.at(10, a_host(a_dpu("DPU Cluster Config")))) == [DPUNotReady, NodeUnusable]


def test_a_problem_that_remains_is_reported_as_still_unhealthy_once() -> None:
    reader = Reader(still_after=300)
    reader.at(0, a_host())
    reader.at(10, a_host(a_dpu("Node Effect")))

    assert reader.due == 310
    (still,) = reader.due_at(310)
    assert isinstance(still, StillUnhealthy)
    assert isinstance(still.problem, DPUNotReady)
    assert still.seconds == 300
    assert reader.due_at(10_000) == []
    assert math.isinf(reader.due)


def test_a_problem_that_replaces_another_is_reported_and_starts_its_own_still_after() -> None:
    reader = Reader(still_after=300)
    reader.at(0, a_host())
    reader.at(10, a_host(a_dpu("Node Effect")))

    (failed,) = reader.at(100, a_host(a_dpu("Error")))

    assert isinstance(failed, DPUNotReady)
    assert failed.why is NotReadyBecause.FAILED
    assert reader.due == 400


def test_the_problems_of_a_dpu_are_dropped_when_another_dpu_has_its_name() -> None:
    reader = Reader()
    reader.at(0, a_host(a_dpu(critical="False")))
    new = dpu(uid="another", phase="Initializing", conditions=[])

    received = reader.at(1, a_host(new))

    assert kinds(received) == [DPUReplaced, DPUNotReady]
    assert [problem.uid for problem in reader.health.problems] == ["another"]


def test_a_deleted_host_is_reported_with_its_dpus_and_uses_no_memory() -> None:
    reader = Reader()
    reader.at(0, view(node(), a_dpu(), maintenance()))

    received = reader.at(1, None)

    assert kinds(received) == [DPUGone, NodeGone]
    assert reader.health is None
    assert not reader._notifier.knows("node-1")


def test_a_host_that_was_registered_again_is_reported_as_another_one() -> None:
    reader = Reader()
    reader.at(0, a_host())

    received = reader.at(1, view(node(uid="another"), a_dpu()))

    assert kinds(received) == [NodeGone, NodeUsable]


_statuses = st.sampled_from(["True", "False", "Unknown"])
_views = st.one_of(
    st.none(),
    st.builds(
        lambda phase, ready, critical, others, uid: view(
            node(),
            a_dpu(phase, ready=ready, critical=critical, others=others)
            if uid == "old"
            else dpu(phase="Pending", uid=uid),
        ),
        st.sampled_from(["Ready", "Node Effect", "DPU Cluster Config", "Error"]),
        _statuses,
        _statuses,
        _statuses,
        st.sampled_from(["old", "old", "old", "new"]),
    ),
)


class Model:
    """The health that a reader derives from transitions. A repeated or impossible transition is a failure."""

    def __init__(self) -> None:
        self.usable: bool | None = None
        self.uid = ""
        self.problems: dict[str, HealthProblem] = {}

    def apply(self, transition: HealthTransition) -> None:
        match transition:
            case NodeUsable() | NodeUnusable():
                now = isinstance(transition, NodeUsable)
                assert self.usable is not now
                self.usable = now
            case NodeGone():
                self.usable = None
            case DPUGone():
                assert transition.uid == self.uid
                self.uid, self.problems = "", {}
            case DPUReplaced():
                assert self.uid == transition.old_uid != transition.new_uid
                self.uid, self.problems = transition.new_uid, {}
            case Recovered():
                assert self.problems.pop(transition.was.aspect) == transition.was
            case DPUHealthy():
                assert self.problems == {}
                self.uid = transition.uid
            case StillUnhealthy():
                raise AssertionError("still_after is not set")
            case _:
                assert not same_problem(self.problems.get(transition.aspect), transition)
                assert self.uid in ("", transition.uid)
                self.uid, self.problems[transition.aspect] = transition.uid, transition


@pytest.mark.exhaustive
@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(0, 100), _views, st.booleans()), min_size=5, max_size=30),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.0, 60.0]),
)
def test_the_reported_health_equals_the_current_health_once_all_reports_are_due(
    history: list[tuple[float, NodeView | None, bool]], down_after: float, up_after: float
) -> None:
    reader, model = Reader(down_after=down_after, up_after=up_after), Model()
    now, observed = 0.0, None
    for pause, observed, reads in history:
        now += pause
        reader.observe(now, observed)
        for transition in reader.due_at(now) if reads else ():
            model.apply(transition)
    for transition in reader.due_at(now + 1000):
        model.apply(transition)

    if observed is None:
        assert (model.uid, model.usable, reader.health) == ("", None, None)
        return
    expected = health_of(observed)
    assert model.uid == expected.dpus[0].uid
    assert model.usable is expected.usable or expected.usable is None
    if not only_the_phase_counts(expected.dpus[0].aspects["phase"]):
        derived = {(type(problem), aspect) for aspect, problem in model.problems.items()}
        assert derived == {(type(problem), problem.aspect) for problem in expected.problems}
    assert {*model.problems.values()} == {*reader.health.problems}


def test_the_agenda_keeps_one_time_per_host_for_any_number_of_changes() -> None:
    agenda = Agenda()
    for round_ in range(1000, 0, -1):
        agenda.add("node-1", float(round_))
        agenda.add("node-2", 5000.0)

    assert len(agenda._order) < 100
    assert agenda.next_at == 1.0
    assert agenda.first(0.5) is None
    assert agenda.first(1.0) == "node-1"
    agenda.done("node-1")
    assert agenda.first(4999.0) is None
    assert agenda.first(5000.0) == "node-2"

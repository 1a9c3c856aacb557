"""What is wrong with a DPU, and what a reader is told of it when."""

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


def a_dpu(phase: str = "Ready", *, ready: str = "True", **said: str) -> ObjectState[DPU]:
    """A DPU that was Ready once; `said` are statuses of its operational conditions by their short names."""
    short = {
        "critical": CRITICAL,
        "others": OTHERS,
        "chains": "DPUServiceChainsReady",
        "all": "OperationalReady",
    }
    statuses = {"critical": "True", "others": "True", **said}
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
    """One reader of one host, on a clock that the test turns."""

    def __init__(self, **damping: float) -> None:
        self._reporter = HealthNotifier(Damping(**damping))

    def at(self, seconds: float, seen: NodeView | None) -> list[HealthTransition]:
        """What is told when this is seen at this time."""
        self.see(seconds, seen)
        return self.told(seconds)

    def see(self, seconds: float, seen: NodeView | None) -> None:
        """This is true at this time, and nobody asks."""
        self._reporter.see("node-1", seen, seconds)

    def told(self, seconds: float) -> list[HealthTransition]:
        """What is told at this time though nothing happened."""
        told: list[HealthTransition] = []
        while (transition := self._reporter.next("node-1", seconds)) is not None:
            told.append(transition)
        return told

    @property
    def due(self) -> float:
        return self._reporter.due("node-1")

    @property
    def health(self) -> Any:
        return self._reporter.told("node-1")


def kinds(told: list[HealthTransition]) -> list[type]:
    return [type(one) for one in told]


# What can be said of one view.


@pytest.mark.parametrize(
    ("state", "wrong", "can_be_used"),
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
def test_what_is_wrong_with_a_dpu_and_whether_it_can_be_used(
    state: ObjectState[DPU], wrong: list[type], can_be_used: bool | None
) -> None:
    assert problems(state) == wrong
    assert health_of(DPUView(state)).usable is can_be_used
    assert usable.holds(DPUView(state)) is (can_be_used is True)
    assert healthy.holds(DPUView(state)) is (not wrong)


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
def test_node_effect_after_ready_is_another_thing_than_on_the_first_road(
    state: ObjectState[DPU], why: NotReadyBecause
) -> None:
    (problem, *_) = health_of(DPUView(state)).problems

    assert isinstance(problem, DPUNotReady)
    assert problem.why is why


def test_a_host_can_be_used_when_every_device_has_a_dpu_that_can() -> None:
    second = dpu("dpu-2", "Error", device="device-2")

    assert health_of(a_host()).usable is True
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu())).missing == ("device-2",)
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu())).usable is False
    assert health_of(view(node(devices=("device-1", "device-2")), a_dpu(), second)).usable is False
    assert health_of(view(None, a_dpu())).usable is False
    assert health_of(view(node(), a_dpu(critical="Unknown"))).usable is None


def test_the_health_of_a_host_is_a_sentence() -> None:
    words = str(health_of(view(node(devices=("device-1", "device-2")), a_dpu(critical="False"))))

    assert words == (
        "DPUNode node-1 cannot be used: DPU node-1-device-1 does not run all its critical services (PodsNotReady);"
        " DPUDevice device-2 has no DPU"
    )


def test_a_dpu_that_cannot_be_read_is_neither_good_nor_bad_and_not_missing() -> None:
    stores = Stores()
    site = stores.site()
    stores.show(node(), a_dpu())
    reader = Reader()
    reader.at(0, site.view("node-1"))

    stores.make_unreadable(a_dpu())
    spoilt = reader.at(1, site.view("node-1"))
    stores.show(_later_without_critical_services())
    after = reader.at(2, site.view("node-1"))

    assert kinds(spoilt) == [HealthUnknown]
    assert kinds(after) == [CriticalServicesDown, Recovered, NodeUnusable]


def test_a_broken_dpu_that_can_be_read_again_is_not_unreadable_for_ever() -> None:
    stores = Stores()
    site = stores.site()
    stores.show(node(), a_dpu("Error"))
    reader = Reader()
    reader.at(0, site.view("node-1"))
    stores.make_unreadable(a_dpu("Error"))
    spoilt = reader.at(1, site.view("node-1"))
    stores.show(dpu(phase="Error", metadata={"resourceVersion": str(10**9)}))

    assert kinds(spoilt) == [HealthUnknown]
    assert kinds(reader.at(2, site.view("node-1"))) == [Recovered]


def _later_without_critical_services() -> ObjectState[DPU]:
    return dpu(
        metadata={"resourceVersion": str(10**9)},
        conditions=[condition("Ready")],
        operationalConditions=[condition(CRITICAL, "False"), condition(OTHERS)],
    )


# What a reader is told when.


def test_a_fresh_reader_is_told_of_what_stands_at_once_however_patient_it_is() -> None:
    good, bad = Reader(down_after=60, up_after=60), Reader(down_after=60, up_after=60)

    assert kinds(good.at(0, a_host())) == [DPUHealthy, NodeUsable]
    assert kinds(bad.at(0, a_host(a_dpu(critical="False")))) == [CriticalServicesDown, NodeUnusable]


def test_a_host_is_told_of_from_its_first_phase_to_its_first_day_of_work() -> None:
    reader = Reader()

    first = reader.at(0, a_host(dpu(phase="OS Installing", conditions=[])))
    same = reader.at(1, a_host(dpu(phase="Rebooting", conditions=[])))
    ready_but_unseen = reader.at(2, a_host(dpu()))
    done = reader.at(3, a_host())

    assert kinds(first) == [DPUNotReady, NodeUnusable]
    assert same == []
    assert kinds(ready_but_unseen) == [Recovered, HealthUnknown]
    assert kinds(done) == [Recovered, DPUHealthy, NodeUsable]


def test_problems_come_and_go_and_the_host_with_the_grave_ones() -> None:
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


def test_words_that_change_are_not_told_again() -> None:
    reader = Reader()
    reader.at(0, a_host(a_dpu(critical="False")))
    other_words = dpu(
        conditions=[condition("Ready")],
        operationalConditions=[condition(CRITICAL, "False", message="1/3 Pods"), condition(OTHERS)],
    )

    assert reader.at(1, a_host(other_words)) == []


def test_what_nobody_can_say_any_more_takes_no_host_out_and_gives_none_back() -> None:
    reader = Reader()
    reader.at(0, a_host())

    assert kinds(reader.at(1, a_host(a_dpu(critical="Unknown")))) == [HealthUnknown]
    assert reader.health.usable is True
    assert kinds(reader.at(2, a_host(a_dpu(critical="False")))) == [CriticalServicesDown, NodeUnusable]
    assert kinds(reader.at(3, a_host(a_dpu(critical="Unknown")))) == [HealthUnknown]
    assert reader.health.usable is False


def test_a_brief_trouble_is_not_told_to_a_patient_reader_but_counted() -> None:
    reader = Reader(down_after=60)
    reader.at(0, a_host())

    assert reader.at(10, a_host(a_dpu(critical="False"))) == []
    assert reader.due == 70
    assert reader.at(20, a_host()) == []
    assert reader.at(100, a_host(a_dpu(critical="False"))) == []
    assert reader.told(159) == []
    (problem, unusable) = reader.told(160)

    assert isinstance(problem, CriticalServicesDown)
    assert problem.flaps == 1
    assert isinstance(unusable, NodeUnusable)


def test_what_crashes_every_minute_is_told_once_and_once_that_it_is_over() -> None:
    reader = Reader(down_after=60, up_after=120)
    reader.at(0, a_host())
    told: list[tuple[float, type]] = []
    for minute in range(5, 15):
        told += [(minute * 60, type(one)) for one in reader.at(minute * 60, a_host(a_dpu(critical="False")))]
        told += [(minute * 60 + 30, type(one)) for one in reader.at(minute * 60 + 30, a_host())]
    quiet_since = 14 * 60 + 30
    before = reader.told(quiet_since + 119)
    over = reader.told(quiet_since + 120)

    assert told == [(360, CriticalServicesDown), (360, NodeUnusable)]
    assert before == []
    assert kinds(over) == [Recovered, DPUHealthy, NodeUsable]
    assert isinstance(over[0], Recovered)
    assert over[0].flaps == 8


def test_node_effect_is_told_at_once_however_patient_the_reader_and_its_end_is_not() -> None:
    reader = Reader(down_after=600, up_after=60)
    reader.at(0, a_host())

    left = reader.at(10, a_host(a_dpu("Node Effect")))
    passing = reader.at(20, a_host(a_dpu("DPU Cluster Config")))
    back = reader.at(30, a_host())

    assert kinds(left) == [DPUNotReady, NodeUnusable]
    assert (passing, back) == ([], [])
    assert reader.due == 90
    assert kinds(reader.told(90)) == [Recovered, DPUHealthy, NodeUsable]


def test_new_labels_that_disturb_nobody_are_not_told_to_a_patient_reader() -> None:
    patient, impatient = Reader(down_after=30), Reader()
    for reader in (patient, impatient):
        reader.at(0, a_host())

    assert patient.at(10, a_host(a_dpu("DPU Cluster Config"))) == []
    assert patient.at(15, a_host()) == []
    assert kinds(impatient.at(10, a_host(a_dpu("DPU Cluster Config")))) == [DPUNotReady, NodeUnusable]


def test_a_problem_that_stays_is_told_once_more() -> None:
    reader = Reader(still_after=300)
    reader.at(0, a_host())
    reader.at(10, a_host(a_dpu("Node Effect")))

    assert reader.due == 310
    (still,) = reader.told(310)
    assert isinstance(still, StillUnhealthy)
    assert isinstance(still.problem, DPUNotReady)
    assert still.seconds == 300
    assert reader.told(10_000) == []
    assert math.isinf(reader.due)


def test_another_problem_in_place_of_one_that_was_told_is_told_and_waits_anew() -> None:
    reader = Reader(still_after=300)
    reader.at(0, a_host())
    reader.at(10, a_host(a_dpu("Node Effect")))

    (failed,) = reader.at(100, a_host(a_dpu("Error")))

    assert isinstance(failed, DPUNotReady)
    assert failed.why is NotReadyBecause.FAILED
    assert reader.due == 400


def test_the_old_dpu_is_forgotten_with_its_problems_when_another_takes_its_name() -> None:
    reader = Reader()
    reader.at(0, a_host(a_dpu(critical="False")))
    new = dpu(uid="another", phase="Initializing", conditions=[])

    told = reader.at(1, a_host(new))

    assert kinds(told) == [DPUReplaced, DPUNotReady]
    assert [problem.uid for problem in reader.health.problems] == ["another"]


def test_a_host_that_is_gone_is_told_as_gone_with_its_dpus_and_takes_no_memory() -> None:
    reader = Reader()
    reader.at(0, view(node(), a_dpu(), maintenance()))

    told = reader.at(1, None)

    assert kinds(told) == [DPUGone, NodeGone]
    assert reader.health is None
    assert not reader._reporter.knows("node-1")


def test_a_host_that_was_registered_again_is_another_one() -> None:
    reader = Reader()
    reader.at(0, a_host())

    told = reader.at(1, view(node(uid="another"), a_dpu()))

    assert kinds(told) == [NodeGone, NodeUsable]


_words = st.sampled_from(["True", "False", "Unknown"])
_seen = st.one_of(
    st.none(),
    st.builds(
        lambda phase, ready, critical, others, uid: view(
            node(),
            a_dpu(phase, ready=ready, critical=critical, others=others)
            if uid == "old"
            else dpu(phase="Pending", uid=uid),
        ),
        st.sampled_from(["Ready", "Node Effect", "DPU Cluster Config", "Error"]),
        _words,
        _words,
        _words,
        st.sampled_from(["old", "old", "old", "new"]),
    ),
)


class Believer:
    """What a reader makes of what it is told. Hearing what it knows already, or cannot be, is a failure."""

    def __init__(self) -> None:
        self.usable: bool | None = None
        self.uid = ""
        self.problems: dict[str, HealthProblem] = {}

    def hear(self, told: HealthTransition) -> None:
        match told:
            case NodeUsable() | NodeUnusable():
                now = isinstance(told, NodeUsable)
                assert self.usable is not now
                self.usable = now
            case NodeGone():
                self.usable = None
            case DPUGone():
                assert told.uid == self.uid
                self.uid, self.problems = "", {}
            case DPUReplaced():
                assert self.uid == told.old_uid != told.new_uid
                self.uid, self.problems = told.new_uid, {}
            case Recovered():
                assert self.problems.pop(told.was.aspect) == told.was
            case DPUHealthy():
                assert self.problems == {}
                self.uid = told.uid
            case StillUnhealthy():
                raise AssertionError("nobody asked for it")
            case _:
                assert not same_problem(self.problems.get(told.aspect), told)
                assert self.uid in ("", told.uid)
                self.uid, self.problems[told.aspect] = told.uid, told


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(0, 100), _seen, st.booleans()), min_size=5, max_size=30),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.0, 60.0]),
)
def test_whatever_happened_a_reader_believes_what_is_true_once_it_is_quiet(
    history: list[tuple[float, NodeView | None, bool]], down_after: float, up_after: float
) -> None:
    reader, believer = Reader(down_after=down_after, up_after=up_after), Believer()
    now, seen = 0.0, None
    for pause, seen, reads in history:
        now += pause
        reader.see(now, seen)
        for told in reader.told(now) if reads else ():
            believer.hear(told)
    for told in reader.told(now + 1000):
        believer.hear(told)

    if seen is None:
        assert (believer.uid, believer.usable, reader.health) == ("", None, None)
        return
    true = health_of(seen)
    assert believer.uid == true.dpus[0].uid
    assert believer.usable is true.usable or true.usable is None
    if not only_the_phase_counts(true.dpus[0].aspects["phase"]):
        believed = {(type(problem), aspect) for aspect, problem in believer.problems.items()}
        assert believed == {(type(problem), problem.aspect) for problem in true.problems}
    assert {*believer.problems.values()} == {*reader.health.problems}


def test_the_agenda_keeps_one_time_per_host_however_often_it_changes() -> None:
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

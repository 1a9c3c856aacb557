"""What changed between two views."""

from __future__ import annotations

from collections.abc import Sequence

from dpf_async._transitions.derive import derive, derive_dpu
from dpf_async._transitions.transitions import (
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
from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.models import DPUPhase
from tests.support.states import condition, device, dpu, maintenance, node, view


def told(before: NodeView | None, after: NodeView | None) -> list[Transition]:
    return list(derive("node-1", before, after))


def kinds(transitions: Sequence[Transition]) -> list[type]:
    return [type(transition) for transition in transitions]


def test_nothing_changed_is_nothing_told() -> None:
    states = (dpu(), device(), maintenance())

    assert told(view(node(), *states), view(node(), *states)) == []
    assert told(None, None) == []


def test_a_newer_version_of_the_same_state_is_nothing_told() -> None:
    assert told(view(node(), dpu()), view(node(), dpu())) == []


def test_a_fresh_reader_is_told_of_everything_that_stands() -> None:
    now = view(node(reboot=True), dpu(phase="Rebooting"), maintenance(), device())

    found = told(None, now)

    assert kinds(found) == [
        NodeAppeared,
        ConditionChanged,
        DPUAppeared,
        ConditionChanged,
        ConditionChanged,
        NodeEffectHeld,
        ExternalRebootRequired,
    ]
    assert found[-1] == ExternalRebootRequired(node="node-1", dpus=("node-1-device-1",))


def test_a_phase_change_names_the_dpu_its_uid_and_both_phases() -> None:
    found = told(view(node(), dpu(phase="Pending")), view(node(), dpu(phase="Node Effect")))

    assert found == [
        PhaseChanged(
            node="node-1",
            dpu="node-1-device-1",
            uid="uid-of-node-1-device-1",
            before=DPUPhase.PENDING,
            after=DPUPhase.NODE_EFFECT,
        )
    ]


def test_a_jump_across_a_gap_is_one_transition_that_says_what_it_may_have_skipped() -> None:
    before, after = DPUView(dpu(phase="Pending")), DPUView(dpu(phase="OS Installing"))

    (found,) = derive_dpu(before, after, contiguous=False)

    assert isinstance(found, PhaseChanged)
    assert not found.contiguous
    assert found.phases_between == (
        DPUPhase.NODE_EFFECT,
        DPUPhase.INITIALIZE_INTERFACE,
        DPUPhase.CONFIG_FW_PARAMETERS,
        DPUPhase.PREPARE_BFB,
    )


def test_what_a_jump_to_or_from_an_unknown_phase_or_backwards_skipped_nobody_can_say() -> None:
    for before, after in (("Pending", "Update Firmware"), ("Ready", "Node Effect"), ("Error", "Ready")):
        (found, *_) = derive_dpu(
            DPUView(dpu(phase=before, conditions=[])),
            DPUView(dpu(phase=after, conditions=[])),
            contiguous=False,
        )
        assert isinstance(found, PhaseChanged)
        assert found.phases_between is None


def test_f1_a_dpu_with_another_uid_is_a_replacement_and_its_states_are_not_mixed() -> None:
    old, new = dpu(uid="u1"), dpu(uid="u2", phase="Initializing")

    found = told(view(node(), old), view(node(), new))

    assert found == [
        DPUReplaced(
            node="node-1", dpu="node-1-device-1", old_uid="u1", new_uid="u2", phase=DPUPhase.INITIALIZING
        )
    ]


def test_a_dpu_whose_deletion_was_asked_for_is_told_while_its_phase_still_says_ready() -> None:
    found = told(
        view(node(), dpu()), view(node(), dpu(metadata={"deletionTimestamp": "2026-06-01T10:59:00Z"}))
    )

    assert kinds(found) == [DPUTerminating]


def test_what_is_gone_is_told_before_what_is_new() -> None:
    found = told(
        view(node(), dpu("a", device="device-1")), view(node(), dpu("b", "Pending", device="device-2"))
    )

    assert kinds(found) == [DPUGone, DPUAppeared]


def test_a_node_that_goes_takes_its_dpus_with_it() -> None:
    found = told(view(node(), dpu()), None)

    assert kinds(found) == [NodeGone, DPUGone]


def test_a_node_created_again_under_its_name_is_gone_and_there() -> None:
    found = told(view(node(uid="u1")), view(node(uid="u2")))

    assert found == [NodeGone(node="node-1", uid="u1"), NodeAppeared(node="node-1", uid="u2")]


def test_a_condition_changes_when_its_status_or_its_reason_does() -> None:
    first = node(conditions=[condition("DPUNodeRebootInProgress")])
    then = node(conditions=[condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")])

    (found,) = told(view(first), view(then))

    assert isinstance(found, ConditionChanged)
    assert (found.kind, found.name, found.type) == ("DPUNode", "node-1", "DPUNodeRebootInProgress")
    assert found.before is not None
    assert found.after is not None
    assert (found.before.reason, found.after.reason) == ("DPUNodeRebootInProgress", "WaitForExternalReboot")


def test_a_message_that_counts_percents_is_not_a_transition() -> None:
    at_1 = condition("BFBTransferred", "False", "TaskProgress", message="install task 1% complete")
    at_2 = condition("BFBTransferred", "False", "TaskProgress", message="install task 2% complete")

    assert (
        told(
            view(node(), dpu(phase="OS Installing", conditions=[at_1])),
            view(node(), dpu(phase="OS Installing", conditions=[at_2])),
        )
        == []
    )


def test_a_condition_that_fell_and_rose_unseen_shows_by_its_time() -> None:
    before = condition("Ready", reason="DPUReady")
    after = condition("Ready", reason="DPUReady", lastTransitionTime="2026-06-01T11:00:00Z")

    (found,) = told(view(node(), dpu(conditions=[before])), view(node(), dpu(conditions=[after])))

    assert isinstance(found, ConditionChanged)


def test_a_condition_that_the_operator_removed_is_told_as_gone() -> None:
    (found,) = told(
        view(node(), dpu(phase="Rebooting", conditions=[condition("Rebooted")])),
        view(node(), dpu(phase="Rebooting", conditions=[])),
    )

    assert isinstance(found, ConditionChanged)
    assert found.after is None


def test_operational_conditions_are_told_like_the_others() -> None:
    up, down = condition("OperationalReady"), condition("OperationalReady", "False", "NotReady")

    (found,) = told(
        view(node(), dpu(operationalConditions=[up])), view(node(), dpu(operationalConditions=[down]))
    )

    assert isinstance(found, ConditionChanged)
    assert found.type == "OperationalReady"


def test_the_questions_are_told_once_when_they_are_asked_and_once_when_they_are_answered() -> None:
    quiet, asking = view(node(), maintenance(annotation=None)), view(node(reboot=True), maintenance())
    answered = view(node(), maintenance(annotation="false"))

    asked_for = [t for t in told(quiet, asking) if not isinstance(t, ConditionChanged)]
    done = [t for t in told(asking, answered) if not isinstance(t, ConditionChanged)]

    assert kinds(asked_for) == [NodeEffectHeld, ExternalRebootRequired]
    assert kinds(done) == [NodeEffectReleased, ExternalRebootDone]
    assert [t for t in told(asking, asking) if not isinstance(t, ConditionChanged)] == []


def test_a_hold_by_another_maintenance_is_another_question() -> None:
    found = told(view(node(), maintenance(uid="m1")), view(node(), maintenance(uid="m2")))

    assert [type(t) for t in found if not isinstance(t, ConditionChanged)] == [
        NodeEffectReleased,
        NodeEffectHeld,
    ]

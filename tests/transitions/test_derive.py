"""The transitions between two views."""

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


def transitions(before: NodeView | None, after: NodeView | None) -> list[Transition]:
    return list(derive("node-1", before, after))


def kinds(sequence: Sequence[Transition]) -> list[type]:
    return [type(transition) for transition in sequence]


def test_equal_views_yield_no_transition() -> None:
    states = (dpu(), device(), maintenance())

    assert transitions(view(node(), *states), view(node(), *states)) == []
    assert transitions(None, None) == []


def test_a_newer_resource_version_of_the_same_state_yields_no_transition() -> None:
    assert transitions(view(node(), dpu()), view(node(), dpu())) == []


def test_a_new_reader_receives_the_complete_current_state() -> None:
    now = view(node(reboot=True), dpu(phase="Rebooting"), maintenance(), device())

    found = transitions(None, now)

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


def test_a_phase_change_contains_the_dpu_its_uid_and_both_phases() -> None:
    found = transitions(view(node(), dpu(phase="Pending")), view(node(), dpu(phase="Node Effect")))

    assert found == [
        PhaseChanged(
            node="node-1",
            dpu="node-1-device-1",
            uid="uid-of-node-1-device-1",
            before=DPUPhase.PENDING,
            after=DPUPhase.NODE_EFFECT,
        )
    ]


def test_a_phase_change_across_a_gap_is_one_transition_with_the_phases_between() -> None:
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


def test_phases_between_is_none_for_unknown_phases_and_for_earlier_phases() -> None:
    for before, after in (("Pending", "Update Firmware"), ("Ready", "Node Effect"), ("Error", "Ready")):
        (found, *_) = derive_dpu(
            DPUView(dpu(phase=before, conditions=[])),
            DPUView(dpu(phase=after, conditions=[])),
            contiguous=False,
        )
        assert isinstance(found, PhaseChanged)
        assert found.phases_between is None


def test_f1_a_dpu_with_another_uid_is_a_replacement_and_no_phase_change() -> None:
    old, new = dpu(uid="u1"), dpu(uid="u2", phase="Initializing")

    found = transitions(view(node(), old), view(node(), new))

    assert found == [
        DPUReplaced(
            node="node-1", dpu="node-1-device-1", old_uid="u1", new_uid="u2", phase=DPUPhase.INITIALIZING
        )
    ]


def test_a_dpu_with_a_deletion_timestamp_is_reported_while_its_phase_is_still_ready() -> None:
    found = transitions(
        view(node(), dpu()), view(node(), dpu(metadata={"deletionTimestamp": "2026-06-01T10:59:00Z"}))
    )

    assert kinds(found) == [DPUTerminating]


def test_deletions_are_reported_before_creations() -> None:
    found = transitions(
        view(node(), dpu("a", device="device-1")), view(node(), dpu("b", "Pending", device="device-2"))
    )

    assert kinds(found) == [DPUGone, DPUAppeared]


def test_the_deletion_of_a_node_is_reported_with_that_of_its_dpus() -> None:
    found = transitions(view(node(), dpu()), None)

    assert kinds(found) == [NodeGone, DPUGone]


def test_recreation_of_a_node_yields_node_gone_then_node_appeared() -> None:
    found = transitions(view(node(uid="u1")), view(node(uid="u2")))

    assert found == [NodeGone(node="node-1", uid="u1"), NodeAppeared(node="node-1", uid="u2")]


def test_a_condition_with_another_reason_is_a_transition() -> None:
    first = node(conditions=[condition("DPUNodeRebootInProgress")])
    second = node(conditions=[condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")])

    (found,) = transitions(view(first), view(second))

    assert isinstance(found, ConditionChanged)
    assert (found.kind, found.name, found.type) == ("DPUNode", "node-1", "DPUNodeRebootInProgress")
    assert found.before is not None
    assert found.after is not None
    assert (found.before.reason, found.after.reason) == ("DPUNodeRebootInProgress", "WaitForExternalReboot")


def test_a_condition_with_another_message_only_is_not_a_transition() -> None:
    at_1 = condition("BFBTransferred", "False", "TaskProgress", message="install task 1% complete")
    at_2 = condition("BFBTransferred", "False", "TaskProgress", message="install task 2% complete")

    assert (
        transitions(
            view(node(), dpu(phase="OS Installing", conditions=[at_1])),
            view(node(), dpu(phase="OS Installing", conditions=[at_2])),
        )
        == []
    )


def test_a_condition_with_another_transition_time_is_a_transition() -> None:
    before = condition("Ready", reason="DPUReady")
    after = condition("Ready", reason="DPUReady", lastTransitionTime="2026-06-01T11:00:00Z")

    (found,) = transitions(view(node(), dpu(conditions=[before])), view(node(), dpu(conditions=[after])))

    assert isinstance(found, ConditionChanged)


def test_a_removed_condition_is_a_transition_to_none() -> None:
    (found,) = transitions(
        view(node(), dpu(phase="Rebooting", conditions=[condition("Rebooted")])),
        view(node(), dpu(phase="Rebooting", conditions=[])),
    )

    assert isinstance(found, ConditionChanged)
    assert found.after is None


def test_operational_conditions_are_reported_like_other_conditions() -> None:
    up, down = condition("OperationalReady"), condition("OperationalReady", "False", "NotReady")

    (found,) = transitions(
        view(node(), dpu(operationalConditions=[up])), view(node(), dpu(operationalConditions=[down]))
    )

    assert isinstance(found, ConditionChanged)
    assert found.type == "OperationalReady"


def test_a_request_is_reported_once_when_it_is_set_and_once_when_it_is_answered() -> None:
    idle, requested = view(node(), maintenance(annotation=None)), view(node(reboot=True), maintenance())
    answered = view(node(), maintenance(annotation="false"))

    when_requested = [t for t in transitions(idle, requested) if not isinstance(t, ConditionChanged)]
    when_answered = [t for t in transitions(requested, answered) if not isinstance(t, ConditionChanged)]

    assert kinds(when_requested) == [NodeEffectHeld, ExternalRebootRequired]
    assert kinds(when_answered) == [NodeEffectReleased, ExternalRebootDone]
    assert [t for t in transitions(requested, requested) if not isinstance(t, ConditionChanged)] == []


def test_a_hold_of_another_maintenance_is_another_request() -> None:
    found = transitions(view(node(), maintenance(uid="m1")), view(node(), maintenance(uid="m2")))

    assert [type(t) for t in found if not isinstance(t, ConditionChanged)] == [
        NodeEffectReleased,
        NodeEffectHeld,
    ]

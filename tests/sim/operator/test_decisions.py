"""The other pure decisions: holds, reboots, agents, rollouts, what fits, what is selected."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dpf_async.models import (
    DPU,
    DPUFlavor,
    DPUServiceTemplate,
    DPUSet,
    LabelSelector,
    NodeSelector,
    known,
)
from dpf_async.sim.operator.deployment import rollout
from dpf_async.sim.operator.deployment.resource_fitting import misfit, quantity
from dpf_async.sim.operator.hardware import agent
from dpf_async.sim.operator.hardware.profiles import REALISTIC
from dpf_async.sim.operator.provisioning import hold, reboot
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.selectors import matches, matches_node
from tests.sim.operator.things import NOW, SETTINGS, a_device, a_dpu, a_maintenance, a_node, said, wire

HOLD = known.WAIT_FOR_EXTERNAL_NODE_EFFECT
ASKED = {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}


# Conditions.


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = conditions.with_condition((), "A", "False", "One", now="2026-01-01T00:00:00Z")
    again = conditions.with_condition(first, "A", "False", "Two", "words", now="2026-01-02T00:00:00Z")
    other = conditions.with_condition(again, "A", "True", now="2026-01-03T00:00:00Z")

    assert [one[0].last_transition_time[:10] for one in (first, again, other)] == [
        "2026-01-01",
        "2026-01-01",
        "2026-01-03",
    ]
    assert (again[0].reason, other[0].reason) == ("Two", "A")


# Holds.


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        *((word, "True", "Success") for word in ("0", "f", "F", "false", "FALSE", "False")),
        *((word, "False", "NodeEffectIsProcessing") for word in ("1", "t", "T", "true", "TRUE", "True")),
        *((word, "False", "Error") for word in ("no", "", "fAlse", "null")),
    ],
)
def test_the_hold_annotation_is_a_truth_value_of_go(value: str, status: str, reason: str) -> None:
    effect = _effect(metadata={"annotations": {HOLD: value}})

    (applied,) = effect.status.conditions
    assert (applied.status, applied.reason) == (status, reason)
    assert not effect.ask


def test_an_absent_hold_annotation_is_put_there() -> None:
    effect = _effect()

    assert effect.ask
    assert effect.started
    assert effect.status.conditions[0].message == hold.WAITING_FOR_EXTERNAL


@pytest.mark.parametrize(
    ("devices", "force", "left"), [(1, False, math.inf), (2, False, 30.0), (2, True, math.inf)]
)
def test_siblings_are_waited_for_unless_there_are_none_or_force_is_set(
    devices: int, force: bool, left: float
) -> None:
    effect = _effect(devices=devices, effect={"hold": True, "force": force})

    assert effect.left == left
    assert effect.started is (left == math.inf)


def test_too_many_disturbed_nodes_hold_back_all_but_force() -> None:
    waiting = _effect(unavailable=50)
    forced = _effect(unavailable=50, effect={"hold": True, "force": True})

    assert waiting.status.conditions[0].reason == "Pending"
    assert waiting.status.node_effect_sync_start_time is None
    assert forced.started


@pytest.mark.parametrize("reason", ["NodeEffectIsProcessing", "Error"])
def test_an_effect_that_has_begun_is_not_taken_back_for_the_sake_of_the_limit(reason: str) -> None:
    begun = [said("NodeEffectApplied", "False", reason)]

    assert _effect(unavailable=50, conditions=begun).started
    assert not _effect(unavailable=50, conditions=[said("NodeEffectApplied", "False", "Pending")]).started


def test_hold_false_counts_as_an_effect_that_asks_nobody() -> None:
    assert _effect(effect={"hold": False}).status.conditions[0].status == "True"


def _effect(
    *, devices: int = 1, unavailable: int = 0, metadata: Any = None, effect: Any = None, **status: Any
) -> hold.Effect:
    return hold.step(
        a_maintenance(metadata=metadata, effect=effect, **status),
        devices=devices,
        unavailable=unavailable,
        action_left=0.0,
        settings=SETTINGS,
        now=NOW,
    )


# Reboots.


def in_reboot(number: int, said_of: str | None = None) -> DPU:
    told = [] if said_of is None else [said("Rebooted", said_of)]
    return a_dpu(f"dpu-{number}", "Rebooting", conditions=told)


def progress(status: str = "True", reason: str = "WaitForExternalReboot") -> dict[str, Any]:
    return {"conditions": [said("DPUNodeRebootInProgress", status, reason)]}


def test_a_reboot_is_asked_for_when_a_dpu_needs_it() -> None:
    dpu = in_reboot(1)

    plan = reboot.plan(a_node(), [dpu])

    assert plan == reboot.Plan(
        waiting=(dpu,), annotate=True, verdict=reboot.NodeCondition("True", "DPUNodeRebootInProgress")
    )


def test_a_question_that_stands_is_called_waiting_on_the_next_look() -> None:
    started = a_node(metadata=ASKED, **progress(reason="DPUNodeRebootInProgress"))

    plan = reboot.plan(started, [in_reboot(1, "False")])

    assert plan == reboot.Plan(verdict=reboot.NodeCondition("True", "WaitForExternalReboot"))
    assert reboot.plan(a_node(metadata=ASKED, **progress()), [in_reboot(1, "False")]) == reboot.Plan()


@pytest.mark.parametrize(
    "phase", ["Prepare BFB", "Config FW Parameters", "Initialize Interface", "OS Installing"]
)
def test_a_sibling_that_must_not_lose_power_defers_the_reboot(phase: str) -> None:
    sibling = a_dpu("dpu-2", phase)

    plan = reboot.plan(a_node("device-1", "device-2"), [in_reboot(1), sibling])

    assert plan == reboot.Plan(deferred_by=(sibling,))


@pytest.mark.parametrize("phase", ["Pending", "Node Effect", "DPU Config", "Ready", "Error"])
def test_a_sibling_in_any_other_phase_does_not(phase: str) -> None:
    plan = reboot.plan(a_node("device-1", "device-2"), [in_reboot(1), a_dpu("dpu-2", phase)])

    assert plan.annotate


def test_a_second_dpu_shares_the_reboot_that_is_asked_for() -> None:
    one, two = in_reboot(1, "False"), in_reboot(2)

    plan = reboot.plan(a_node("device-1", "device-2", metadata=ASKED, **progress()), [one, two])

    assert plan == reboot.Plan(waiting=(one, two))


def test_the_answer_counts_for_those_who_asked_and_for_nobody_who_came_since() -> None:
    one, two = in_reboot(1, "False"), in_reboot(2)

    plan = reboot.plan(a_node("device-1", "device-2", **progress()), [one, two])

    assert plan == reboot.Plan(
        rebooted=(one,), verdict=reboot.NodeCondition("False", "DPUNodeRebootInProgress")
    )


def test_a_value_is_no_answer() -> None:
    said_false = {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "false"}}

    plan = reboot.plan(a_node(metadata=said_false, **progress()), [in_reboot(1, "False")])

    assert plan == reboot.Plan()


def test_a_look_that_was_cut_short_after_the_annotation_asks_again_and_never_takes_it_for_done() -> None:
    dpu = in_reboot(1, "False")

    annotated = reboot.plan(a_node(metadata=ASKED), [dpu])
    neither = reboot.plan(a_node(), [dpu])

    assert annotated.rebooted == neither.rebooted == ()
    assert not annotated.annotate
    assert neither.annotate


def test_an_answer_that_came_before_the_condition_was_written_counts() -> None:
    told = in_reboot(1, "False")

    plan = reboot.plan(a_node(), [told], asking=True)

    assert plan == reboot.Plan(
        rebooted=(told,), verdict=reboot.NodeCondition("False", "DPUNodeRebootInProgress")
    )


def test_a_node_without_dpus_has_no_reboot_in_progress() -> None:
    assert reboot.plan(a_node(**progress()), []) == reboot.Plan(forget=True)


# Agents.


def report(dpu: DPU, reboots: int = 1, worked: float = 1e9) -> agent.Report | None:
    return agent.next_report(
        dpu, worked=worked, reboots=reboots, method="PowerCycle", profile=REALISTIC, now=NOW
    )


def test_an_agent_reports_its_start_after_transfer_and_boot() -> None:
    transferred = a_dpu(phase="OS Installing", conditions=[said("BFBTransferred")])
    transferring = a_dpu(phase="OS Installing", conditions=[said("BFBTransferred", "False")])

    first = report(transferred, worked=0.0)

    assert first is not None
    assert first.left == REALISTIC.transfer + REALISTIC.boot_os + REALISTIC.start_agent
    assert first.status.reboot_method is None
    assert report(transferring) is None


def test_an_agent_counts_the_rounds_in_which_a_reboot_was_needed() -> None:
    status: dict[str, Any] = {"lastStartupTime": "2026-06-01T10:00:00Z"}
    consumed = ""
    found: list[tuple[str | None, int | None]] = []
    for _ in range(4):
        dpu = a_dpu(
            phase="DPU Config", agentStatus=status, **({"agentLastStartupTime": consumed} if consumed else {})
        )
        next_one = report(dpu, reboots=3)
        assert next_one is not None
        status = next_one.status.to_wire()
        consumed = status["lastStartupTime"]
        found.append((next_one.status.reboot_method, next_one.status.reboot_sequence_count))

    assert found == [("PowerCycle", 1), ("PowerCycle", 2), ("PowerCycle", 3), ("NoAction", 0)]


def test_two_starts_within_a_second_have_two_times() -> None:
    booted = a_dpu(
        phase="DPU Config",
        agentStatus={"lastStartupTime": "2026-06-01T10:00:00Z", "rebootMethod": "PowerCycle"},
        agentLastStartupTime="2026-06-01T10:00:00Z",
    )

    again = report(booted)

    assert again is not None
    assert again.status.last_startup_time == "2026-06-01T10:00:01Z"


# DPUSets.


def a_set(strategy: str = "OnDelete", most: int | str | None = None, **template: Any) -> DPUSet:
    rolling = {} if most is None else {"rollingUpdate": {"maxUnavailable": most}}
    spec = {
        "strategy": {"type": strategy, **rolling},
        "dpuTemplate": {
            "spec": {"bfb": {"name": "new"}, "dpuFlavor": "flavor", "nodeEffect": {"hold": True}, **template}
        },
    }
    return DPUSet.from_wire(wire(DPUSet, "set", spec=spec))


def plan_of(dpu_set: DPUSet, dpus: list[DPU], expected: int | None = None) -> rollout.Rollout:
    template = dpu_set.spec.dpu_template.spec
    assert template is not None
    count = len(dpus) if expected is None else expected
    pairs = [
        rollout.Pair(a_node(metadata={"name": f"node-{n}"}), a_device("device")) for n in range(1, count + 1)
    ]
    return rollout.plan(dpu_set, template, pairs, dpus, {})


def a_member(number: int, phase: str = "Ready", bfb: str = "old", is_ready: str = "") -> DPU:
    spec = {
        "bfb": bfb,
        "dpuNodeName": f"node-{number}",
        "cluster": {"nodeLabels": {known.DPUNODE_NAME_LABEL: f"node-{number}"}},
    }
    ready = is_ready or ("True" if phase == "Ready" else "False")
    return a_dpu(f"node-{number}-device", phase, spec=spec, conditions=[said("Ready", ready)])


def test_on_delete_leaves_dpus_as_they_are() -> None:
    plan = plan_of(a_set(), [a_member(1), a_member(2, "Pending")])

    assert plan == rollout.Rollout((), (), ())


@pytest.mark.parametrize(("most", "gone"), [(None, [1]), (0, [1]), (2, [1, 2]), ("30%", [1, 2]), ("0%", [1])])
def test_a_rolling_update_replaces_as_many_ready_dpus_as_may_be_missing(
    most: int | str | None, gone: list[int]
) -> None:
    plan = plan_of(a_set("RollingUpdate", most), [a_member(n) for n in range(1, 5)])

    assert [dpu.name for dpu in plan.delete] == [f"node-{n}-device" for n in gone]


def test_a_rolling_update_replaces_dpus_that_are_not_ready_at_once() -> None:
    members = [a_member(1), a_member(2, "Node Effect"), a_member(3, "Pending")]

    plan = plan_of(a_set("RollingUpdate"), members)

    assert [dpu.name for dpu in plan.delete] == ["node-2-device", "node-3-device"]


def test_a_rolling_update_takes_the_condition_ready_for_its_word_and_not_the_phase() -> None:
    members = [a_member(1), a_member(2, is_ready="False"), a_member(3, "Node Effect", is_ready="True")]

    plan = plan_of(a_set("RollingUpdate"), members)

    assert [dpu.name for dpu in plan.delete] == ["node-2-device"]


def test_a_rolling_update_waits_for_the_one_it_has_replaced() -> None:
    members = [a_member(1), a_member(2, "OS Installing", bfb="new")]

    assert plan_of(a_set("RollingUpdate"), members).delete == ()
    assert plan_of(a_set("RollingUpdate"), [a_member(1)], expected=2).delete == ()


def test_dpus_that_are_being_deleted_are_not_counted() -> None:
    going = a_dpu("going", "Deleting", metadata={"deletionTimestamp": "2026-06-01T10:00:00Z"})

    assert rollout.statistics([a_member(1), a_member(2, "Pending"), a_member(3), going]) == {
        "Pending": 1,
        "Ready": 2,
    }


@pytest.mark.parametrize(
    ("dpu", "expected"),
    [
        ({}, True),
        ({"phase": "Node Effect Removal"}, False),
        ({"observedGeneration": 0}, False),
        ({"metadata": {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: "before"}}}, False),
        ({"phase": "Deleting", "metadata": {"deletionTimestamp": "2026-06-01T10:00:00Z"}}, True),
    ],
)
def test_a_set_is_done_when_all_dpus_that_stay_are_ready_and_made_from_its_template(
    dpu: dict[str, Any], expected: bool
) -> None:
    labels = {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: "now"}}
    dpu_set = a_set().model_copy(update={"metadata": a_dpu(metadata=labels).metadata})

    assert (
        rollout.is_done(dpu_set, [a_dpu(**{"metadata": labels, "observedGeneration": 1, **dpu})]) is expected
    )


def test_a_dpu_that_is_changed_in_place_bears_the_hash_of_the_template_from_then_on() -> None:
    dpu_set = a_set(nodeEffect={"noEffect": True})

    (change,) = plan_of(dpu_set, [a_member(1)]).update

    template = dpu_set.spec.dpu_template.spec
    assert template is not None
    hash_ = naming.template_hash(template.to_wire())
    assert change[1]["metadata"] == {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: hash_}}


def test_a_change_of_the_effect_reaches_ready_dpus_only() -> None:
    waiting, there = a_member(1, "Node Effect"), a_member(2)

    plan = plan_of(a_set(nodeEffect={"noEffect": True, "applyOnLabelChange": True}), [waiting, there])

    changes = {str(dpu.name): patch["spec"]["nodeEffect"] for dpu, patch in plan.update}
    assert changes["node-1-device"] == {"applyOnLabelChange": True}
    assert changes["node-2-device"] == {"hold": None, "noEffect": True, "applyOnLabelChange": True}


# What fits, and what is selected.


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2Gi", str(2 * 2**30)), ("1k", "1000"), (3, "3"), ("1e3", "1000"), ("?", "0")],
)
def test_quantities_mean_numbers(text: str | int, number: str) -> None:
    assert quantity(text) == quantity(number)


@pytest.mark.parametrize(("needs", "fits"), [("14", True), ("15", False)])
def test_services_fit_into_what_the_system_leaves(needs: str, fits: bool) -> None:
    has = {"dpuResources": {"cpu": "16"}, "systemReservedResources": {"cpu": "2"}}
    flavor = DPUFlavor.from_wire(wire(DPUFlavor, "flavor", spec=has))
    template = DPUServiceTemplate.from_wire(
        wire(
            DPUServiceTemplate,
            "dts",
            spec={
                "deploymentServiceName": "dts",
                "helmChart": {"source": {"repoURL": "oci://a", "version": "1"}},
                "resourceRequirements": {"cpu": needs},
            },
        )
    )

    assert (misfit(flavor, [template]) is None) == fits


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["b"], True),
        ("In", ["c"], False),
        ("NotIn", ["c"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Near", ["b"], False),
    ],
)
def test_selectors_select(operator: str, values: list[str], expected: bool) -> None:
    requirement = {"key": "a", "operator": operator, "values": values}
    labels = {"a": "b", "c": "d"}

    by_labels = LabelSelector.from_wire({"matchLabels": {"c": "d"}, "matchExpressions": [requirement]})
    by_node = NodeSelector.from_wire({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]})

    assert matches(by_labels, labels) == matches_node(by_node, labels) == expected
    assert matches(None, labels)
    assert not matches(by_labels, {"a": "b"})


def test_a_profile_on_a_faster_clock_keeps_its_proportions() -> None:
    fast = REALISTIC.at_speed(60)

    assert fast.transfer == REALISTIC.transfer / 60
    assert fast.bound_scale == 1 / 60
    assert fast.retry_cap == REALISTIC.retry_cap
    assert replace(fast, name="") != replace(REALISTIC, name="")

"""rollout: which DPUs a DPUSet creates, deletes and updates."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async.models import (
    DPU,
    DPUSet,
    known,
)
from dpf_async.sim.operator.deployment import rollout
from dpf_async.sim.operator.runtime import naming
from tests.sim.operator.objects import (
    make_condition,
    make_device,
    make_dpu,
    make_node,
    wire,
)


def make_dpu_set(strategy: str = "OnDelete", most: int | str | None = None, **template: Any) -> DPUSet:
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
        rollout.Pair(make_node(metadata={"name": f"node-{n}"}), make_device("device"))
        for n in range(1, count + 1)
    ]
    return rollout.plan(dpu_set, template, pairs, dpus, {})


def make_member(number: int, phase: str = "Ready", bfb: str = "old", is_ready: str = "") -> DPU:
    spec = {
        "bfb": bfb,
        "dpuNodeName": f"node-{number}",
        "cluster": {"nodeLabels": {known.DPUNODE_NAME_LABEL: f"node-{number}"}},
    }
    ready = is_ready or ("True" if phase == "Ready" else "False")
    return make_dpu(f"node-{number}-device", phase, spec=spec, conditions=[make_condition("Ready", ready)])


def test_on_delete_does_not_delete_outdated_dpus() -> None:
    plan = plan_of(make_dpu_set(), [make_member(1), make_member(2, "Pending")])

    assert plan == rollout.Rollout((), (), ())


@pytest.mark.parametrize(("most", "gone"), [(None, [1]), (0, [1]), (2, [1, 2]), ("30%", [1, 2]), ("0%", [1])])
def test_a_rolling_update_replaces_as_many_ready_dpus_as_may_be_unavailable(
    most: int | str | None, gone: list[int]
) -> None:
    plan = plan_of(make_dpu_set("RollingUpdate", most), [make_member(n) for n in range(1, 5)])

    assert [dpu.name for dpu in plan.delete] == [f"node-{n}-device" for n in gone]


def test_a_rolling_update_replaces_dpus_that_are_not_ready_at_once() -> None:
    members = [make_member(1), make_member(2, "Node Effect"), make_member(3, "Pending")]

    plan = plan_of(make_dpu_set("RollingUpdate"), members)

    assert [dpu.name for dpu in plan.delete] == ["node-2-device", "node-3-device"]


def test_a_rolling_update_uses_the_condition_ready_and_not_the_phase() -> None:
    members = [
        make_member(1),
        make_member(2, is_ready="False"),
        make_member(3, "Node Effect", is_ready="True"),
    ]

    plan = plan_of(make_dpu_set("RollingUpdate"), members)

    assert [dpu.name for dpu in plan.delete] == ["node-2-device"]


def test_a_rolling_update_waits_for_a_replaced_dpu() -> None:
    members = [make_member(1), make_member(2, "OS Installing", bfb="new")]

    assert plan_of(make_dpu_set("RollingUpdate"), members).delete == ()
    assert plan_of(make_dpu_set("RollingUpdate"), [make_member(1)], expected=2).delete == ()


def test_dpus_that_are_being_deleted_are_not_counted() -> None:
    going = make_dpu("going", "Deleting", metadata={"deletionTimestamp": "2026-06-01T10:00:00Z"})

    assert rollout.statistics([make_member(1), make_member(2, "Pending"), make_member(3), going]) == {
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
def test_a_dpuset_is_done_when_all_dpus_are_ready_and_current(dpu: dict[str, Any], expected: bool) -> None:
    labels = {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: "now"}}
    dpu_set = make_dpu_set().model_copy(update={"metadata": make_dpu(metadata=labels).metadata})

    assert (
        rollout.is_done(dpu_set, [make_dpu(**{"metadata": labels, "observedGeneration": 1, **dpu})])
        is expected
    )


def test_an_update_in_place_sets_the_hash_of_the_template() -> None:
    dpu_set = make_dpu_set(nodeEffect={"noEffect": True})

    (change,) = plan_of(dpu_set, [make_member(1)]).update

    template = dpu_set.spec.dpu_template.spec
    assert template is not None
    hash_ = naming.template_hash(template.to_wire())
    assert change[1]["metadata"] == {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: hash_}}


def test_a_changed_effect_is_copied_only_to_ready_dpus() -> None:
    waiting, there = make_member(1, "Node Effect"), make_member(2)

    plan = plan_of(make_dpu_set(nodeEffect={"noEffect": True, "applyOnLabelChange": True}), [waiting, there])

    changes = {str(dpu.name): patch["spec"]["nodeEffect"] for dpu, patch in plan.update}
    assert changes["node-1-device"] == {"applyOnLabelChange": True}
    assert changes["node-2-device"] == {"hold": None, "noEffect": True, "applyOnLabelChange": True}

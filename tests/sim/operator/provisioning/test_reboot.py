"""reboot: the writes for the reboot of a host."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async.models import (
    DPU,
    known,
)
from dpf_async.sim.operator.provisioning import reboot
from tests.sim.operator.objects import (
    make_condition,
    make_dpu,
    make_node,
)

REQUESTED = {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}


def rebooting_dpu(number: int, status: str | None = None) -> DPU:
    rebooted = [] if status is None else [make_condition("Rebooted", status)]
    return make_dpu(f"dpu-{number}", "Rebooting", conditions=rebooted)


def progress(status: str = "True", reason: str = "WaitForExternalReboot") -> dict[str, Any]:
    return {"conditions": [make_condition("DPUNodeRebootInProgress", status, reason)]}


def test_a_reboot_is_requested_when_a_dpu_requires_it() -> None:
    dpu = rebooting_dpu(1)

    plan = reboot.plan(make_node(), [dpu])

    assert plan == reboot.Plan(
        waiting=(dpu,), annotate=True, condition=reboot.NodeCondition("True", "DPUNodeRebootInProgress")
    )


def test_a_pending_request_is_reported_as_waiting_by_the_next_reconcile() -> None:
    started = make_node(metadata=REQUESTED, **progress(reason="DPUNodeRebootInProgress"))

    plan = reboot.plan(started, [rebooting_dpu(1, "False")])

    assert plan == reboot.Plan(condition=reboot.NodeCondition("True", "WaitForExternalReboot"))
    assert (
        reboot.plan(make_node(metadata=REQUESTED, **progress()), [rebooting_dpu(1, "False")]) == reboot.Plan()
    )


@pytest.mark.parametrize(
    "phase", ["Prepare BFB", "Config FW Parameters", "Initialize Interface", "OS Installing"]
)
def test_a_dpu_that_must_not_lose_power_defers_the_reboot(phase: str) -> None:
    sibling = make_dpu("dpu-2", phase)

    plan = reboot.plan(make_node("device-1", "device-2"), [rebooting_dpu(1), sibling])

    assert plan == reboot.Plan(deferred_by=(sibling,))


@pytest.mark.parametrize("phase", ["Pending", "Node Effect", "DPU Config", "Ready", "Error"])
def test_a_dpu_in_any_other_phase_does_not_defer_the_reboot(phase: str) -> None:
    plan = reboot.plan(make_node("device-1", "device-2"), [rebooting_dpu(1), make_dpu("dpu-2", phase)])

    assert plan.annotate


def test_a_second_dpu_shares_the_pending_reboot() -> None:
    one, two = rebooting_dpu(1, "False"), rebooting_dpu(2)

    plan = reboot.plan(make_node("device-1", "device-2", metadata=REQUESTED, **progress()), [one, two])

    assert plan == reboot.Plan(waiting=(one, two))


def test_a_confirmation_applies_only_to_dpus_that_were_part_of_the_request() -> None:
    one, two = rebooting_dpu(1, "False"), rebooting_dpu(2)

    plan = reboot.plan(make_node("device-1", "device-2", **progress()), [one, two])

    assert plan == reboot.Plan(
        rebooted=(one,), condition=reboot.NodeCondition("False", "DPUNodeRebootInProgress")
    )


def test_the_value_false_does_not_confirm_the_reboot() -> None:
    set_to_false = {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "false"}}

    plan = reboot.plan(make_node(metadata=set_to_false, **progress()), [rebooting_dpu(1, "False")])

    assert plan == reboot.Plan()


def test_a_reconcile_interrupted_after_the_annotation_does_not_count_as_confirmed() -> None:
    dpu = rebooting_dpu(1, "False")

    annotated = reboot.plan(make_node(metadata=REQUESTED), [dpu])
    neither = reboot.plan(make_node(), [dpu])

    assert annotated.rebooted == neither.rebooted == ()
    assert not annotated.annotate
    assert neither.annotate


def test_a_confirmation_before_the_condition_is_written_counts() -> None:
    waiting = rebooting_dpu(1, "False")

    plan = reboot.plan(make_node(), [waiting], requested=True)

    assert plan == reboot.Plan(
        rebooted=(waiting,), condition=reboot.NodeCondition("False", "DPUNodeRebootInProgress")
    )


def test_the_reboot_condition_of_a_node_without_dpus_is_removed() -> None:
    assert reboot.plan(make_node(**progress()), []) == reboot.Plan(remove_condition=True)

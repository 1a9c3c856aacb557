"""Views of DPUs, maintenances and nodes, and their descriptions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dpf_async import Undecodable
from dpf_async._transitions.views import DeviceFault, DPUView, MaintenanceView, NodeView, describe
from dpf_async.models import DPU, DPUDevice, DPUPhase, known
from tests.support.states import condition, device, dpu, maintenance, node, state, view

DELETED = {"deletionTimestamp": "2026-06-01T10:59:00Z"}


def test_a_dpu_is_ready_when_phase_condition_and_generation_agree() -> None:
    assert DPUView(dpu(observedGeneration=1)).ready


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase": "OS Installing"}, id="another phase, the condition still True"),
        pytest.param(
            {"conditions": [condition("Ready", "False", "NodeNotReady")]}, id="H11: its Node failed"
        ),
        pytest.param({"conditions": []}, id="no condition yet"),
        pytest.param({"metadata": DELETED}, id="H7: deletion was asked for"),
        pytest.param({"metadata": {"generation": 2}, "observedGeneration": 1}, id="H12: the status is stale"),
    ],
)
def test_a_dpu_is_not_ready_when_phase_condition_or_generation_differs(changes: dict[str, Any]) -> None:
    ready = [condition("Ready", reason="DPUReady")]

    assert not DPUView(dpu(**{"conditions": ready, **changes})).ready


def test_a_dpu_without_status_or_conditions_is_a_valid_view_and_not_ready() -> None:
    bare = DPUView(dpu(phase="Ready", conditions=None)).state.record
    empty = DPUView(dpu(phase=""))

    assert bare.status is not None
    assert not empty.ready
    assert empty.phase == ""
    assert not DPUView(dpu(phase="Perform Magic")).phase.known


def test_the_failure_of_a_dpu_is_the_last_condition_that_is_false() -> None:
    failed = DPUView(
        dpu(
            phase="Error",
            conditions=[
                condition("Initialized"),
                condition("BFBTransferred"),
                condition("OSInstalled", "False", "InstallationTimeout", message="45m"),
                condition("Ready", "False", "DPUReady"),
            ],
        )
    )

    assert failed.failed
    assert failed.failure is not None
    assert (failed.failure.type, failed.failure.reason) == ("OSInstalled", "InstallationTimeout")


def test_a_dpu_in_phase_error_that_is_being_deleted_is_not_failed() -> None:
    assert not DPUView(dpu(phase="Error", metadata=DELETED)).failed


def test_the_last_condition_of_a_type_counts_where_a_server_sends_it_twice() -> None:
    twice = [condition("Ready", "False", "NodeNotReady"), condition("Ready", reason="DPUReady")]

    assert DPUView(dpu(conditions=twice)).ready


def test_services_are_ready_when_operational_ready_is_true_in_any_phase() -> None:
    up = [condition("OperationalReady", reason="AllReady")]
    down = [condition("OperationalReady", "False", "NotReady")]

    assert DPUView(dpu(phase="Node Effect", operationalConditions=up)).services_ready
    assert not DPUView(dpu(operationalConditions=down)).services_ready
    assert not DPUView(dpu()).services_ready


def test_a_hold_is_held_while_its_annotation_is_true() -> None:
    assert MaintenanceView(maintenance()).held
    assert not MaintenanceView(maintenance(annotation=None)).held, (
        "the operator has not requested a release yet"
    )
    assert not MaintenanceView(maintenance(annotation="false")).held
    assert MaintenanceView(maintenance(annotation="false")).released


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "t", "T", "1"])
def test_values_that_go_parses_as_true_hold(value: str) -> None:
    assert MaintenanceView(maintenance(annotation=value)).held


@pytest.mark.parametrize("value", ["yes", "", "tRuE", "on"])
def test_values_that_go_does_not_parse_as_true_do_not_hold(value: str) -> None:
    assert not MaintenanceView(maintenance(annotation=value)).held


def test_an_applied_or_terminating_maintenance_is_not_held_even_if_annotated() -> None:
    assert not MaintenanceView(maintenance(applied=True)).held
    assert not MaintenanceView(maintenance(metadata=DELETED)).held


def test_only_a_hold_is_held() -> None:
    assert not MaintenanceView(maintenance(effect={"noEffect": True})).held
    assert not MaintenanceView(maintenance(effect={"hold": False})).held


def test_a_reboot_is_required_when_annotation_and_condition_are_set() -> None:
    assert view(node(reboot=True)).external_reboot_required


@pytest.mark.parametrize(
    ("annotations", "conditions"),
    [
        ({known.EXTERNAL_REBOOT_REQUIRED: "true"}, []),
        ({known.EXTERNAL_REBOOT_REQUIRED: "true"}, [condition("DPUNodeRebootInProgress")]),
        ({}, [condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")]),
        (
            {known.EXTERNAL_REBOOT_REQUIRED: "true"},
            [condition("DPUNodeRebootInProgress", "False", "WaitForExternalReboot")],
        ),
    ],
)
def test_annotation_or_condition_alone_does_not_require_a_reboot(
    annotations: dict[str, str], conditions: list[dict[str, Any]]
) -> None:
    assert not view(node(annotations=annotations, conditions=conditions)).external_reboot_required


def test_the_value_of_the_reboot_annotation_is_ignored() -> None:
    requested = node(
        annotations={known.EXTERNAL_REBOOT_REQUIRED: "false"},
        conditions=[condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")],
    )

    assert view(requested).external_reboot_required


def test_a_node_is_ready_when_every_device_it_lists_has_a_ready_dpu() -> None:
    both = node(devices=("device-1", "Device-2"))
    first, second = dpu("a", device="device-1"), dpu("b", device="device-2")

    assert view(both, first, second).ready
    assert not view(both, first).ready
    assert not view(both, first, dpu("b", "Rebooting", device="device-2")).ready
    assert not view(both, first, second, dpu("c", "Pending", device="device-3")).ready


def test_a_node_that_does_not_exist_or_is_being_deleted_or_lists_no_device_is_not_ready() -> None:
    assert not view(None, dpu()).ready
    assert not view(node(metadata=DELETED), dpu()).ready
    assert not view(node(devices=())).ready


def test_a_node_with_a_dpu_that_cannot_be_decoded_is_not_ready() -> None:
    ready = view(node(), dpu())
    unreadable = Undecodable(DPU, "c", "dpf", "u3", "7", "phase: expected str", b"{}")

    undecodable = msgspec.structs.replace(ready, unreadable=(unreadable,))

    assert ready.ready
    assert not undecodable.ready
    assert "DPU c cannot be decoded: phase: expected str" in describe(undecodable)


def test_a_description_names_phases_conditions_and_pending_requests() -> None:
    waiting = dpu(
        "dpu-1", "Node Effect", conditions=[condition("NodeEffectReady", "False", "NodeEffectInProgress")]
    )

    text = describe(view(node(reboot=True), waiting, maintenance(), device()))

    assert "dpu-1 Node Effect (NodeEffectReady: NodeEffectInProgress)" in text
    assert "held, waiting for a release" in text
    assert "waiting for an external reboot" in text
    assert describe(view(None)) == "there is no DPUNode node-1"


def test_the_full_model_of_a_view_is_the_object_that_the_server_sent() -> None:
    model = DPUView(dpu("dpu-1", "Rebooting")).object

    assert model.status.phase == DPUPhase.REBOOTING
    assert model.spec.dpu_node_name == "node-1"


def test_a_dpu_in_phase_rebooting_alone_does_not_require_a_reboot() -> None:
    assert not view(node(), dpu(phase="Rebooting")).external_reboot_required, "a sibling is still installed"


def test_a_host_in_node_effect_removal_is_not_held() -> None:
    waiting = view(node(), dpu(phase="Node Effect Removal"), maintenance(annotation="false", applied=True))

    assert waiting.hold is None


# Devices.


def _device(
    *conditions: dict[str, Any], name: str = "device-1", **metadata: Any
) -> Any:  # a state of any kind
    return state(
        DPUDevice,
        name,
        metadata=metadata,
        spec={"serialNumber": "MT1"},
        status={"conditions": list(conditions)},
    )


_RECONCILED = node(conditions=[condition("Ready")])


def test_a_host_is_discovered_when_it_was_reconciled_and_every_device_is_ready() -> None:
    assert view(_RECONCILED, device()).discovered
    assert view(node(conditions=[condition("Ready", "False")]), device()).discovered, (
        "a DPU requests a node effect"
    )


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(view(None), id="no node"),
        pytest.param(view(node(), device()), id="not reconciled"),
        pytest.param(view(_RECONCILED), id="no device"),
        pytest.param(view(_RECONCILED, device(ready=False)), id="a device is not ready"),
        pytest.param(
            view(node(metadata=DELETED, conditions=[condition("Ready")]), device()), id="being deleted"
        ),
        pytest.param(
            view(_RECONCILED, _device(condition("Ready"), **DELETED)), id="a device is being deleted"
        ),
        pytest.param(
            view(node(devices=("device-1", "device-2"), conditions=[condition("Ready")]), device()),
            id="one of two",
        ),
    ],
)
def test_a_host_is_not_discovered_while_a_device_or_a_condition_is_missing(host: NodeView) -> None:
    assert not host.discovered


@pytest.mark.parametrize(
    ("conditions", "fault"),
    [
        ([condition("Initialized", "False", "Error", message="401")], ("Initialized", "Error", "401")),
        ([condition("Initialized", "False", "FailedToSetUpMTLS")], ("Initialized", "FailedToSetUpMTLS", "")),
        ([condition("Initialized"), condition("Discovered", "False", "Error")], ("Discovered", "Error", "")),
        ([condition("Ready", "False", "Error"), condition("Error", reason="Error")], ("Error", "Error", "")),
        ([condition("NodeAttached", "False", "Pending")], None),
        ([condition("Initialized", "False", "Pending")], None),
        ([condition("Initialized", "Unknown", "Error")], None),
        ([condition("Initialized", "False", "Error"), condition("Ready")], None),
        ([], None),
    ],
)
def test_a_device_fault_is_the_most_specific_condition_that_reports_one(
    conditions: list[dict[str, Any]], fault: tuple[str, str, str] | None
) -> None:
    expected = () if fault is None else (DeviceFault("device-1", *fault),)

    assert view(_RECONCILED, _device(*conditions)).device_faults == expected


def test_a_device_fault_is_described_while_the_dpu_needs_its_device() -> None:
    faulty = _device(condition("Initialized", "False", "Error", message="401 Unauthorized"))
    text = "DPUDevice device-1: Initialized failed, Error: 401 Unauthorized"

    assert text in describe(view(_RECONCILED, faulty))
    assert text in describe(view(_RECONCILED, faulty, dpu(phase="Initialize Interface")))
    assert text not in describe(view(_RECONCILED, faulty, dpu(phase="Rebooting")))


def test_a_dpu_in_node_effect_removal_is_described_with_the_requestors_that_remain() -> None:
    text = describe(
        view(node(), dpu(phase="Node Effect Removal"), maintenance(annotation="false", applied=True))
    )

    assert "DPUNodeMaintenance node-1-hold is still needed by node-1-device-1" in text
    assert "still needed" not in describe(view(node(), dpu(phase="Rebooting"), maintenance()))


def test_services_that_are_not_ready_are_described_with_their_conditions() -> None:
    pods = condition("DPUServiceCriticalPodsReady", "False", "PodsNotReady", message="(0/1 Pods): dts-xyz")
    summary = condition("OperationalReady", "False", "NotReady")

    text = describe(DPUView(dpu(operationalConditions=[summary, pods])))

    assert text == "Ready, DPUServiceCriticalPodsReady is False (PodsNotReady: (0/1 Pods): dts-xyz)"


def test_the_description_of_a_dpu_being_installed_explains_why_deletion_waits() -> None:
    assert "DPF does not delete a DPU while it installs the OS" in describe(
        DPUView(dpu(phase="OS Installing", metadata=DELETED))
    )
    assert "DPF does not delete a DPU" not in describe(DPUView(dpu(phase="Rebooting", metadata=DELETED)))


def test_services_of_a_node_with_a_dpu_that_cannot_be_decoded_are_not_ready() -> None:
    up = [condition("OperationalReady", reason="AllReady")]
    good = view(node(), dpu("a", operationalConditions=up))
    unreadable = Undecodable(DPU, "b", "dpf", "u2", "7", "phase: expected str", b"{}")

    assert good.services_ready
    assert not msgspec.structs.replace(good, unreadable=(unreadable,)).services_ready

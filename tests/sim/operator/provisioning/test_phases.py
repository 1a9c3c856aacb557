"""phases: single steps of a DPU, in states that the simulated hardware does not reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dpf_async.models import BFB, DPUCluster
from dpf_async.sim.operator import INSTANT
from dpf_async.sim.operator.hardware.hardware_view import ClusterNode, HardwareView
from dpf_async.sim.operator.provisioning import phases
from dpf_async.sim.operator.provisioning.reconcile_input import (
    CleanUp,
    GiveCluster,
    JoinMaintenance,
    LeaveMaintenance,
    ReconcileInput,
    Release,
    ReleaseDevice,
    Step,
)
from tests.sim.operator.objects import (
    SETTINGS,
    make_condition,
    make_device,
    make_dpu,
    make_input,
    make_maintenance,
    make_node,
    wire,
)

DELETED = {"deletionTimestamp": "2026-06-01T10:00:00Z", "finalizers": ["a"]}


def reasons(step: Step) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in step.status.conditions}


def agent(method: str | None, start: str = "2026-06-01T09:30:00Z") -> dict[str, Any]:
    return {"lastStartupTime": start, "conditions": [make_condition("RebootMethodDiscovery")]} | (
        {} if method is None else {"rebootMethod": method}
    )


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"device": None}, "DPUDeviceNotFound"),
        ({"node": None}, "DPUNodeNotFound"),
        ({"node": make_node()}, "DPUInstallInterfaceNotProvided"),
        ({"cluster": None}, "DPUClusterNotFound"),
        (
            {
                "cluster": DPUCluster.from_wire(
                    wire(DPUCluster, "cluster", metadata=DELETED, spec={"type": "a/b"})
                )
            },
            "DPUClusterDeleting",
        ),
    ],
)
def test_initializing_waits_and_reports_the_reason(objects: dict[str, Any], reason: str) -> None:
    inputs = make_input(make_dpu(phase="Initializing", dpuInstallInterface="redfish"), **objects)

    step = phases.step(inputs)

    assert reasons(step)["Initialized"] == ("False", reason)
    assert step.status.phase == "Initializing"


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"node": make_node(dpuInstallInterface="gNOI")}, "InvalidDPUInstallInterface"),
        ({"device": make_device(spec={"bmcIp": None})}, "BMCIPNotValid"),
    ],
)
def test_initializing_fails_for_errors_that_cannot_recover(objects: dict[str, Any], reason: str) -> None:
    interface = objects["node"].status.dpu_install_interface if "node" in objects else "redfish"
    inputs = make_input(make_dpu(phase="Initializing", dpuInstallInterface=interface), **objects)

    step = phases.step(inputs)

    assert reasons(step)["Initialized"] == ("False", reason)
    assert (step.status.phase, step.status.previous_phase) == ("Error", "Initializing")


def test_initializing_assigns_a_cluster_with_room() -> None:
    dpu = make_dpu(phase="Initializing", spec={"cluster": {}}, dpuInstallInterface="redfish")
    free = DPUCluster.from_wire(wire(DPUCluster, "roomy", spec={"type": "kamaji"}))

    given = phases.step(make_input(dpu, cluster=None, free_cluster=free))
    waiting = phases.step(make_input(dpu, cluster=None))

    assert given.actions == (GiveCluster("roomy", free.namespace),)
    assert reasons(waiting)["Initialized"] == ("False", "DPUClusterNotAllocated")


@pytest.mark.parametrize(
    ("objects", "type_", "reason"),
    [
        ({"bfb": None}, "BFBReady", "BFBNotFound"),
        (
            {
                "bfb": BFB.from_wire(
                    wire(BFB, "bfb", spec={"url": "https://a"}, status={"phase": "Downloading"})
                )
            },
            "BFBReady",
            "BFBIsNotReady",
        ),
        ({"flavor": None}, "DPUFlavorExists", "DPUFlavorNotFound"),
        ({"installing": 50}, "Pending", "CannotProceed"),
    ],
)
def test_pending_waits_and_reports_the_reason(objects: dict[str, Any], type_: str, reason: str) -> None:
    step = phases.step(make_input(make_dpu(phase="Pending"), **objects))

    assert reasons(step)[type_] == ("False", reason)
    assert step.status.phase == "Pending"


def test_discovered_data_is_copied_only_before_installation() -> None:
    assert phases.step(make_input(make_dpu(phase="Pending"))).status.dpu_type == "BlueField3"
    assert phases.step(make_input(make_dpu(phase="Ready"))).status.dpu_type == "Unknown"


def test_a_maintenance_without_requestors_is_not_joined() -> None:
    inputs = make_input(make_dpu(phase="Node Effect"), maintenance=make_maintenance())
    empty = inputs.maintenance.model_copy(  # type: ignore[union-attr]  # given above
        update={"spec": inputs.maintenance.spec.model_copy(update={"requestor": ()})}  # type: ignore[union-attr]
    )

    step = phases.step(replace(inputs, maintenance=empty))

    assert step.actions == ()
    assert reasons(step)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")


def test_a_dpu_waits_for_a_terminating_maintenance_and_stays_requestor() -> None:
    going = make_maintenance("node-1-device-1", metadata=DELETED)

    step = phases.step(make_input(make_dpu(phase="Node Effect"), maintenance=going))

    assert step.actions == ()
    assert reasons(step)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")


def test_leaving_nic_mode_takes_the_duration_of_the_profile() -> None:
    dpu, profile = make_dpu(phase="Initialize Interface"), replace(INSTANT, mode_change=5.0)

    early = phases.step(make_input(dpu, hardware=HardwareView(mode="nic", worked=2.0), profile=profile))
    late = phases.step(make_input(dpu, hardware=HardwareView(mode="nic", worked=5.0), profile=profile))

    assert (early.status.phase, early.wait) == ("Initialize Interface", 3.0)
    assert late.status.phase == "Rebooting"


def test_a_second_dpu_joins_an_applied_effect_and_continues_in_the_same_reconcile() -> None:
    applied = make_maintenance("node-1-device-2", conditions=[make_condition("NodeEffectApplied")])

    step = phases.step(make_input(make_dpu(phase="Node Effect"), maintenance=applied))

    assert step.actions == (JoinMaintenance(),)
    assert step.status.phase == "Initialize Interface"


def test_an_effect_on_a_kubernetes_node_requires_a_kubernetes_node() -> None:
    dpu = make_dpu(phase="Node Effect", spec={"nodeEffect": {"drain": True}})

    assert reasons(phases.step(make_input(dpu)))["NodeEffectReady"] == ("False", "InvalidNodeEffect")
    on_kubernetes = make_input(dpu, node=make_node(kubeNodeRef="worker-1"))
    assert reasons(phases.step(on_kubernetes))["NodeEffectReady"] == ("False", "CreatedDPUNodeMaintenance")


@pytest.mark.parametrize(
    "phase", ["Initializing", "Pending", "Node Effect", "DPU Config", "Rebooting", "Ready", "Error"]
)
def test_deletion_is_handled_in_every_phase_except_two(phase: str) -> None:
    step = phases.step(make_input(make_dpu(phase=phase, metadata=DELETED)))

    assert (step.status.phase, step.status.previous_phase) == ("Deleting", phase)


def test_prepare_bfb_ignores_deletion() -> None:
    step = phases.step(make_input(make_dpu(phase="Prepare BFB", metadata=DELETED)))

    assert step.status.phase == "OS Installing"


def test_os_installing_ignores_deletion_until_it_ends() -> None:
    installing = make_dpu(
        phase="OS Installing", metadata=DELETED, conditions=[make_condition("BFBTransferred", "False")]
    )
    waiting = phases.step(make_input(installing, hardware=HardwareView(transferred=False, os_running=False)))
    over = phases.step(make_input(make_dpu(phase="OS Installing", metadata=DELETED, agentStatus=agent(None))))

    assert reasons(waiting)["OSInstalled"] == ("True", "CannotDeleteWhileInstalling")
    assert waiting.status.phase == "OS Installing"
    assert over.status.phase == "DPU Config"


def test_the_os_is_installed_when_the_bmc_reports_that_it_runs() -> None:
    prepared = make_condition("BFBPrepared", at="2026-06-01T09:50:00Z")
    installing = make_dpu(phase="OS Installing", conditions=[prepared, make_condition("BFBTransferred")])

    booting = phases.step(make_input(installing, hardware=HardwareView(os_running=False, os_reported=False)))
    running = phases.step(make_input(installing))

    assert reasons(booting)["OSInstalled"] == ("True", "OemLastState")
    assert reasons(running)["OSInstalled"] == ("True", "BFBInstalled")


@pytest.mark.parametrize(
    ("since", "phase", "said_of"),
    [
        ("2026-06-01T09:15:00Z", "OS Installing", ("False", "TaskProgress")),
        ("2026-06-01T09:14:59Z", "Error", ("False", "InstallationTimeout")),
    ],
)
def test_the_install_timeout_starts_when_the_bfb_is_prepared(
    since: str, phase: str, said_of: tuple[str, str]
) -> None:
    dpu = make_dpu(
        phase="OS Installing",
        conditions=[make_condition("BFBPrepared", at=since), make_condition("BFBTransferred", "False")],
    )

    step = phases.step(make_input(dpu, hardware=HardwareView(transferred=False, os_running=False)))

    assert step.status.phase == phase
    assert said_of in reasons(step).values()


def test_the_first_report_of_the_agent_has_a_timeout() -> None:
    dpu = make_dpu(
        phase="OS Installing",
        conditions=[
            make_condition("BFBPrepared"),
            make_condition("BFBTransferred"),
            make_condition("OSInstalled", at="2026-06-01T09:39:59Z"),
        ],
    )

    step = phases.step(make_input(dpu))

    assert reasons(step)["OSInstalled"] == ("False", "DPUAgentNotStarted")
    assert step.status.phase == "Error"


@pytest.mark.parametrize("method", [None, "Unknown"])
def test_dpu_config_waits_until_the_agent_reports_a_reboot_method(method: str | None) -> None:
    step = phases.step(make_input(make_dpu(phase="DPU Config", agentStatus=agent(method))))

    assert step.status.phase == "DPU Config"


def test_dpu_config_waits_for_a_report_after_another_start() -> None:
    stale = make_dpu(
        phase="DPU Config",
        agentStatus=agent("PowerCycle", "2026-06-01T09:30:00Z"),
        agentLastStartupTime="2026-06-01T09:30:00Z",
    )

    assert phases.step(make_input(stale)).status.phase == "DPU Config"


@pytest.mark.parametrize(
    ("method", "phase"),
    [
        ("NoAction", "DPU Cluster Config"),
        ("FirmwareReset", "DPU Config"),
        ("DPUWarmReboot", "DPU Config"),
        ("PowerCycle", "Rebooting"),
        ("SystemReboot", "Rebooting"),
        ("SystemLevelReset", "Rebooting"),
    ],
)
def test_the_reboot_method_determines_the_phase_after_dpu_config(method: str, phase: str) -> None:
    dpu = make_dpu(
        phase="DPU Config",
        agentStatus=agent(method),
        conditions=[make_condition("Rebooted"), make_condition("OSInstalled")],
    )

    step = phases.step(make_input(dpu))

    assert step.status.phase == phase
    assert step.status.agent_last_startup_time == "2026-06-01T09:30:00Z"
    assert ("Rebooted" in reasons(step)) == (phase != "Rebooting"), "removed whenever another is due"


@pytest.mark.parametrize(
    ("before", "discovers", "phase"),
    [
        ("DPU Config", True, "DPU Config"),
        ("DPU Config", False, "DPU Cluster Config"),
        ("Initialize Interface", True, "Initialize Interface"),
    ],
)
def test_the_previous_phase_determines_the_phase_after_rebooting(
    before: str, discovers: bool, phase: str
) -> None:
    status = {"conditions": [make_condition("RebootMethodDiscovery")]} if discovers else {}
    dpu = make_dpu(
        phase="Rebooting",
        previousPhase=before,
        conditions=[make_condition("InterfaceInitialized"), make_condition("Rebooted")],
        agentStatus=status,
    )

    step = phases.step(make_input(dpu))

    assert step.status.phase == phase
    left = set() if before == "Initialize Interface" else {"InterfaceInitialized", "Rebooted"}
    assert set(reasons(step)) == left


def test_cluster_config_completes_only_for_a_ready_node() -> None:
    dpu = make_dpu(phase="DPU Cluster Config")
    absent = phases.step(make_input(dpu))
    down = phases.step(make_input(dpu, hardware=HardwareView(node=ClusterNode("uid", {}, ready=False))))

    assert reasons(absent)["DPUClusterReady"] == ("False", "NodeNotFound")
    assert reasons(down)["DPUClusterReady"] == ("False", "NodeNotReady")


def test_labels_changed_during_removal_are_applied_first() -> None:
    dpu = make_dpu(phase="Node Effect Removal", conditions=[make_condition("NodeEffectRemoved", "False")])

    step = phases.step(make_input(dpu, hardware=HardwareView(node=ClusterNode("uid", {"old": "label"}))))

    assert step.status.phase == "DPU Cluster Config"
    assert "NodeEffectRemoved" not in reasons(step)


def test_node_effect_removal_times_out_only_if_configured() -> None:
    dpu = make_dpu(
        phase="Node Effect Removal",
        conditions=[make_condition("NodeEffectRemoved", "False", at="2026-06-01T09:58:59Z")],
    )
    inputs = make_input(dpu, maintenance=make_maintenance("a-service"))

    without = phases.step(inputs)
    over = phases.step(replace(inputs, settings=replace(SETTINGS, node_effect_removal_timeout=60.0)))
    not_yet = phases.step(replace(inputs, settings=replace(SETTINGS, node_effect_removal_timeout=61.0)))

    assert reasons(without)["NodeEffectRemoved"] == ("False", "NodeEffectRemovalInProgress")
    assert (over.status.phase, reasons(over)["NodeEffectRemoved"]) == (
        "Error",
        ("False", "NodeEffectRemovalTimeout"),
    )
    assert (not_yet.status.phase, not_yet.bound) == ("Node Effect Removal", 1.0)


def test_a_dpu_in_error_leaves_the_maintenance_but_its_services_remain() -> None:
    maintenance = make_maintenance("a-service", "node-1-device-1")

    step = phases.step(make_input(make_dpu(phase="Error"), maintenance=maintenance))

    assert step.actions == (LeaveMaintenance(),)
    assert step.status.phase == "Error"


def test_deleting_releases_the_dpu_only_when_nothing_remains() -> None:
    dpu = make_dpu(phase="Deleting", metadata=DELETED)
    device = make_device(metadata={"finalizers": ["provisioning.dpu.nvidia.com/dpudevice-protection"]})

    something = phases.step(make_input(dpu, device=device, hardware=HardwareView(remains=True)))
    nothing = phases.step(make_input(dpu))

    assert something.actions == (ReleaseDevice(), CleanUp())
    assert nothing.actions == (Release(),)


def test_a_phase_of_another_release_is_not_changed() -> None:
    inputs: ReconcileInput = make_input(make_dpu(phase="Service Readiness"))

    step = phases.step(inputs)

    assert not phases.supports("Service Readiness")
    assert step.status.phase == "Service Readiness"
    assert step.actions == ()

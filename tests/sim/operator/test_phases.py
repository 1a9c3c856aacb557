"""Single steps of a DPU that the simulated hardware does not lead to, or not alone."""

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
from tests.sim.operator.things import SETTINGS, a_device, a_dpu, a_maintenance, a_node, a_world, said, wire

DELETED = {"deletionTimestamp": "2026-06-01T10:00:00Z", "finalizers": ["a"]}


def reasons(step: Step) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in step.status.conditions}


def agent(method: str | None, start: str = "2026-06-01T09:30:00Z") -> dict[str, Any]:
    return {"lastStartupTime": start, "conditions": [said("RebootMethodDiscovery")]} | (
        {} if method is None else {"rebootMethod": method}
    )


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        ({"device": None}, "DPUDeviceNotFound"),
        ({"node": None}, "DPUNodeNotFound"),
        ({"node": a_node()}, "DPUInstallInterfaceNotProvided"),
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
def test_initializing_waits_and_says_what_for(things: dict[str, Any], reason: str) -> None:
    world = a_world(a_dpu(phase="Initializing", dpuInstallInterface="redfish"), **things)

    step = phases.step(world)

    assert reasons(step)["Initialized"] == ("False", reason)
    assert step.status.phase == "Initializing"


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        ({"node": a_node(dpuInstallInterface="gNOI")}, "InvalidDPUInstallInterface"),
        ({"device": a_device(spec={"bmcIp": None})}, "BMCIPNotValid"),
    ],
)
def test_initializing_gives_up_for_what_cannot_become_right(things: dict[str, Any], reason: str) -> None:
    interface = things["node"].status.dpu_install_interface if "node" in things else "redfish"
    world = a_world(a_dpu(phase="Initializing", dpuInstallInterface=interface), **things)

    step = phases.step(world)

    assert reasons(step)["Initialized"] == ("False", reason)
    assert (step.status.phase, step.status.previous_phase) == ("Error", "Initializing")


def test_initializing_is_given_a_cluster_if_one_has_room() -> None:
    dpu = a_dpu(phase="Initializing", spec={"cluster": {}}, dpuInstallInterface="redfish")
    free = DPUCluster.from_wire(wire(DPUCluster, "roomy", spec={"type": "kamaji"}))

    given = phases.step(a_world(dpu, cluster=None, free_cluster=free))
    waiting = phases.step(a_world(dpu, cluster=None))

    assert given.actions == (GiveCluster("roomy", free.namespace),)
    assert reasons(waiting)["Initialized"] == ("False", "DPUClusterNotAllocated")


@pytest.mark.parametrize(
    ("things", "type_", "reason"),
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
def test_pending_waits_and_says_what_for(things: dict[str, Any], type_: str, reason: str) -> None:
    step = phases.step(a_world(a_dpu(phase="Pending"), **things))

    assert reasons(step)[type_] == ("False", reason)
    assert step.status.phase == "Pending"


def test_what_the_device_found_out_is_copied_before_the_installation_only() -> None:
    assert phases.step(a_world(a_dpu(phase="Pending"))).status.dpu_type == "BlueField3"
    assert phases.step(a_world(a_dpu(phase="Ready"))).status.dpu_type == "Unknown"


def test_a_maintenance_nobody_asks_for_any_more_is_not_joined() -> None:
    world = a_world(a_dpu(phase="Node Effect"), maintenance=a_maintenance())
    empty = world.maintenance.model_copy(  # type: ignore[union-attr]  # given above
        update={"spec": world.maintenance.spec.model_copy(update={"requestor": ()})}  # type: ignore[union-attr]
    )

    step = phases.step(replace(world, maintenance=empty))

    assert step.actions == ()
    assert reasons(step)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")


def test_a_dpu_waits_for_a_maintenance_that_is_being_deleted_and_does_not_leave_it() -> None:
    going = a_maintenance("node-1-device-1", metadata=DELETED)

    step = phases.step(a_world(a_dpu(phase="Node Effect"), maintenance=going))

    assert step.actions == ()
    assert reasons(step)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")


def test_leaving_nic_mode_takes_the_time_of_the_profile() -> None:
    dpu, profile = a_dpu(phase="Initialize Interface"), replace(INSTANT, mode_change=5.0)

    early = phases.step(a_world(dpu, board=HardwareView(mode="nic", worked=2.0), profile=profile))
    late = phases.step(a_world(dpu, board=HardwareView(mode="nic", worked=5.0), profile=profile))

    assert (early.status.phase, early.wait) == ("Initialize Interface", 3.0)
    assert late.status.phase == "Rebooting"


def test_a_second_dpu_joins_an_applied_effect_and_passes_in_the_same_look() -> None:
    applied = a_maintenance("node-1-device-2", conditions=[said("NodeEffectApplied")])

    step = phases.step(a_world(a_dpu(phase="Node Effect"), maintenance=applied))

    assert step.actions == (JoinMaintenance(),)
    assert step.status.phase == "Initialize Interface"


def test_an_effect_on_a_kubernetes_node_needs_one() -> None:
    dpu = a_dpu(phase="Node Effect", spec={"nodeEffect": {"drain": True}})

    assert reasons(phases.step(a_world(dpu)))["NodeEffectReady"] == ("False", "InvalidNodeEffect")
    on_kubernetes = a_world(dpu, node=a_node(kubeNodeRef="worker-1"))
    assert reasons(phases.step(on_kubernetes))["NodeEffectReady"] == ("False", "CreatedDPUNodeMaintenance")


@pytest.mark.parametrize(
    "phase", ["Initializing", "Pending", "Node Effect", "DPU Config", "Rebooting", "Ready", "Error"]
)
def test_deletion_is_seen_in_every_phase_but_two(phase: str) -> None:
    step = phases.step(a_world(a_dpu(phase=phase, metadata=DELETED)))

    assert (step.status.phase, step.status.previous_phase) == ("Deleting", phase)


def test_prepare_bfb_does_not_look_whether_the_dpu_is_being_deleted() -> None:
    step = phases.step(a_world(a_dpu(phase="Prepare BFB", metadata=DELETED)))

    assert step.status.phase == "OS Installing"


def test_os_installing_refuses_deletion_until_it_is_over() -> None:
    installing = a_dpu(phase="OS Installing", metadata=DELETED, conditions=[said("BFBTransferred", "False")])
    waiting = phases.step(a_world(installing, board=HardwareView(transferred=False, os_running=False)))
    over = phases.step(a_world(a_dpu(phase="OS Installing", metadata=DELETED, agentStatus=agent(None))))

    assert reasons(waiting)["OSInstalled"] == ("True", "CannotDeleteWhileInstalling")
    assert waiting.status.phase == "OS Installing"
    assert over.status.phase == "DPU Config"


def test_the_os_is_installed_once_the_bmc_says_that_it_runs() -> None:
    prepared = said("BFBPrepared", at="2026-06-01T09:50:00Z")
    installing = a_dpu(phase="OS Installing", conditions=[prepared, said("BFBTransferred")])

    booting = phases.step(a_world(installing, board=HardwareView(os_running=False, os_reported=False)))
    running = phases.step(a_world(installing))

    assert reasons(booting)["OSInstalled"] == ("True", "OemLastState")
    assert reasons(running)["OSInstalled"] == ("True", "BFBInstalled")


@pytest.mark.parametrize(
    ("since", "phase", "said_of"),
    [
        ("2026-06-01T09:15:00Z", "OS Installing", ("False", "TaskProgress")),
        ("2026-06-01T09:14:59Z", "Error", ("False", "InstallationTimeout")),
    ],
)
def test_the_installation_is_bounded_from_the_moment_the_bfb_was_prepared(
    since: str, phase: str, said_of: tuple[str, str]
) -> None:
    dpu = a_dpu(
        phase="OS Installing", conditions=[said("BFBPrepared", at=since), said("BFBTransferred", "False")]
    )

    step = phases.step(a_world(dpu, board=HardwareView(transferred=False, os_running=False)))

    assert step.status.phase == phase
    assert said_of in reasons(step).values()


def test_the_agent_has_its_own_bound() -> None:
    dpu = a_dpu(
        phase="OS Installing",
        conditions=[
            said("BFBPrepared"),
            said("BFBTransferred"),
            said("OSInstalled", at="2026-06-01T09:39:59Z"),
        ],
    )

    step = phases.step(a_world(dpu))

    assert reasons(step)["OSInstalled"] == ("False", "DPUAgentNotStarted")
    assert step.status.phase == "Error"


@pytest.mark.parametrize("method", [None, "Unknown"])
def test_dpu_config_waits_for_the_agent_to_know(method: str | None) -> None:
    step = phases.step(a_world(a_dpu(phase="DPU Config", agentStatus=agent(method))))

    assert step.status.phase == "DPU Config"


def test_dpu_config_waits_for_a_report_of_another_start() -> None:
    stale = a_dpu(
        phase="DPU Config",
        agentStatus=agent("PowerCycle", "2026-06-01T09:30:00Z"),
        agentLastStartupTime="2026-06-01T09:30:00Z",
    )

    assert phases.step(a_world(stale)).status.phase == "DPU Config"


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
def test_dpu_config_goes_where_the_reboot_method_says(method: str, phase: str) -> None:
    dpu = a_dpu(
        phase="DPU Config", agentStatus=agent(method), conditions=[said("Rebooted"), said("OSInstalled")]
    )

    step = phases.step(a_world(dpu))

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
def test_rebooting_goes_on_from_where_it_came(before: str, discovers: bool, phase: str) -> None:
    status = {"conditions": [said("RebootMethodDiscovery")]} if discovers else {}
    dpu = a_dpu(
        phase="Rebooting",
        previousPhase=before,
        conditions=[said("InterfaceInitialized"), said("Rebooted")],
        agentStatus=status,
    )

    step = phases.step(a_world(dpu))

    assert step.status.phase == phase
    left = set() if before == "Initialize Interface" else {"InterfaceInitialized", "Rebooted"}
    assert set(reasons(step)) == left


def test_a_dpu_is_configured_only_as_a_ready_node() -> None:
    dpu = a_dpu(phase="DPU Cluster Config")
    absent = phases.step(a_world(dpu))
    down = phases.step(a_world(dpu, board=HardwareView(node=ClusterNode("uid", {}, ready=False))))

    assert reasons(absent)["DPUClusterReady"] == ("False", "NodeNotFound")
    assert reasons(down)["DPUClusterReady"] == ("False", "NodeNotReady")


def test_labels_that_changed_during_removal_are_brought_to_the_node_first() -> None:
    dpu = a_dpu(phase="Node Effect Removal", conditions=[said("NodeEffectRemoved", "False")])

    step = phases.step(a_world(dpu, board=HardwareView(node=ClusterNode("uid", {"old": "label"}))))

    assert step.status.phase == "DPU Cluster Config"
    assert "NodeEffectRemoved" not in reasons(step)


def test_the_removal_of_the_effect_has_a_bound_only_where_one_is_set() -> None:
    dpu = a_dpu(
        phase="Node Effect Removal",
        conditions=[said("NodeEffectRemoved", "False", at="2026-06-01T09:58:59Z")],
    )
    world = a_world(dpu, maintenance=a_maintenance("a-service"))

    without = phases.step(world)
    over = phases.step(replace(world, settings=replace(SETTINGS, node_effect_removal_timeout=60.0)))
    not_yet = phases.step(replace(world, settings=replace(SETTINGS, node_effect_removal_timeout=61.0)))

    assert reasons(without)["NodeEffectRemoved"] == ("False", "NodeEffectRemovalInProgress")
    assert (over.status.phase, reasons(over)["NodeEffectRemoved"]) == (
        "Error",
        ("False", "NodeEffectRemovalTimeout"),
    )
    assert (not_yet.status.phase, not_yet.bound) == ("Node Effect Removal", 1.0)


def test_a_dpu_in_error_leaves_the_maintenance_and_its_services_do_not() -> None:
    standing = a_maintenance("a-service", "node-1-device-1")

    step = phases.step(a_world(a_dpu(phase="Error"), maintenance=standing))

    assert step.actions == (LeaveMaintenance(),)
    assert step.status.phase == "Error"


def test_deleting_lets_go_of_the_dpu_only_when_nothing_of_it_is_left() -> None:
    dpu = a_dpu(phase="Deleting", metadata=DELETED)
    device = a_device(metadata={"finalizers": ["provisioning.dpu.nvidia.com/dpudevice-protection"]})

    something = phases.step(a_world(dpu, device=device, board=HardwareView(remains=True)))
    nothing = phases.step(a_world(dpu))

    assert something.actions == (ReleaseDevice(), CleanUp())
    assert nothing.actions == (Release(),)


def test_a_phase_of_another_release_is_left_alone() -> None:
    world: ReconcileInput = a_world(a_dpu(phase="Service Readiness"))

    step = phases.step(world)

    assert not phases.supports("Service Readiness")
    assert step.status.phase == "Service Readiness"
    assert step.actions == ()

"""Provisioning of a host: phases, conditions, names, labels and finalizers in every write."""

from __future__ import annotations

from itertools import groupby, pairwise

from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, DPUSet, known
from tests.sim.operator.conftest import RecordedHost
from tests.sim.operator.site import PHASES, condition_changes, phases


def test_a_dpu_goes_through_every_phase_in_the_order_of_dpf(one_dpu: RecordedHost) -> None:
    assert phases(one_dpu.of(DPU)) == PHASES


def test_both_dpus_of_a_host_go_through_the_same_phases(two_dpus: RecordedHost) -> None:
    one, two = two_dpus.names(DPU)

    assert phases(two_dpus.of(DPU, one)) == phases(two_dpus.of(DPU, two)) == PHASES


def test_each_change_of_phase_is_one_write_with_the_previous_phase(one_dpu: RecordedHost) -> None:
    moves = [
        (change.old["status"]["phase"], change.status["previousPhase"])
        for change in one_dpu.of(DPU)
        if change.old is not None and change.old["status"]["phase"] != change.phase
    ]

    assert [before for before, _ in moves] == PHASES[:-1]
    assert all(before == remembered for before, remembered in moves)


def test_conditions_keep_the_order_of_their_first_write(one_dpu: RecordedHost) -> None:
    last = one_dpu.of(DPU)[-1]

    assert [(one["type"], one["status"]) for one in last.status["conditions"]] == [
        ("Initialized", "True"),
        ("BFBReady", "True"),
        ("DPUFlavorExists", "True"),
        ("Pending", "True"),
        ("NodeEffectReady", "True"),
        ("InterfaceInitialized", "True"),
        ("FWConfigured", "True"),
        ("BFBPrepared", "True"),
        ("BFBTransferred", "True"),
        ("OSInstalled", "True"),
        ("Rebooted", "True"),
        ("DPUClusterReady", "True"),
        ("NodeEffectRemoved", "True"),
        ("Ready", "True"),
    ]


def test_conditions_of_dpu_and_dpunode_have_no_observed_generation(
    one_dpu: RecordedHost,
) -> None:
    for kind in (DPU, DPUNode, DPUDevice, DPUNodeMaintenance):
        found = [one for change in one_dpu.of(kind) for one in change.status.get("conditions", [])]
        assert found
        assert all("observedGeneration" not in one for one in found)


def test_every_status_of_a_dpu_has_an_observed_generation(one_dpu: RecordedHost) -> None:
    reconciled = [change for change in one_dpu.of(DPU) if "observedGeneration" in change.status]

    assert reconciled[0].status["observedGeneration"] == 1
    assert reconciled[-1].status["observedGeneration"] == reconciled[-1].obj["metadata"]["generation"] == 2


def test_a_dpu_is_initializing_before_its_first_reconcile(one_dpu: RecordedHost) -> None:
    created = one_dpu.of(DPU)[0]

    assert created.phase == "Initializing"
    assert "conditions" not in created.status
    assert created.finalizers == []
    assert created.annotations == {}


def test_initializing_sets_the_install_interface_before_the_dpucluster(
    one_dpu: RecordedHost,
) -> None:
    initializing = [change for change in one_dpu.of(DPU) if change.phase == "Initializing"]

    interfaces = [change.status.get("dpuInstallInterface") for change in initializing]
    clusters = [change.obj["spec"]["cluster"].get("name") for change in initializing]
    assert interfaces.index("redfish") < clusters.index("carbide-dpf-cluster")
    assert [change.condition("Initialized") for change in initializing] == [None] * len(initializing)


def test_os_installed_is_true_while_the_os_still_boots(one_dpu: RecordedHost) -> None:
    installing = [change for change in one_dpu.of(DPU) if change.phase == "OS Installing"]

    booting = next(change for change in installing if change.condition("OSInstalled"))
    assert booting.condition("OSInstalled") == ("True", "OemLastState")
    assert "agentStatus" not in booting.status, "the agent does not run yet"


def test_the_transfer_of_the_image_is_reported_as_task_progress(one_dpu: RecordedHost) -> None:
    running = [change for change in one_dpu.of(DPU) if "redfishTaskId" in change.status]

    assert {change.phase for change in running} == {"OS Installing"}
    assert {change.condition("BFBTransferred") for change in running} == {("False", "TaskProgress")}


def test_phase_ready_comes_before_the_condition_ready(one_dpu: RecordedHost) -> None:
    reached = [change for change in one_dpu.of(DPU) if change.phase == "Ready"]

    assert reached[0].condition("Ready") is None
    assert reached[-1].condition("Ready") == ("True", "DPUReady")


def test_a_ready_dpu_has_the_addresses_of_its_node(one_dpu: RecordedHost) -> None:
    last = one_dpu.of(DPU)[-1]

    internal, hostname = last.status["addresses"]
    assert hostname == {"type": "Hostname", "address": last.name}
    assert internal["type"] == "InternalIP"


def test_health_is_reported_only_after_services_select_the_dpu(one_dpu: RecordedHost) -> None:
    waiting = [
        change.status["operationalConditions"]
        for change in one_dpu.of(DPU)
        if "operationalConditions" in change.status
    ]

    messages = {
        one["message"] for found in waiting for one in found if one["type"] == "DPUServiceCriticalPodsReady"
    }
    assert messages == {"All critical Pods are ready (1 Pods)"}
    assert [one["type"] for one in waiting[-1]] == [
        "OperationalReady",
        "NodeProblemsReady",
        "DPUServiceCriticalPodsReady",
        "DPUServiceNonCriticalPodsReady",
        "DPUServiceInterfacesReady",
        "DPUServiceChainsReady",
    ]


def test_the_device_gets_a_finalizer_when_its_dpu_is_created(one_dpu: RecordedHost) -> None:
    created = one_dpu.of(DPU)[0].version

    before = [change for change in one_dpu.of(DPUDevice) if change.version < created]
    assert before
    assert all(change.finalizers == [] for change in before)
    assert one_dpu.of(DPUDevice)[-1].finalizers == [known.DPUDEVICE_FINALIZER]


def test_the_device_reports_its_serial_number_as_psid(one_dpu: RecordedHost) -> None:
    last = one_dpu.of(DPUDevice)[-1]

    assert last.status["psid"] == last.obj["spec"]["serialNumber"]
    assert last.obj["metadata"]["labels"][known.PSID_LABEL] == last.obj["spec"]["serialNumber"]


def test_a_device_is_attached_initialized_discovered_and_ready(one_dpu: RecordedHost) -> None:
    assert [one["type"] for one in one_dpu.of(DPUDevice)[-1].status["conditions"]] == [
        "NodeAttached",
        "Initialized",
        "Discovered",
        "Ready",
    ]


def test_a_device_gets_the_labels_of_node_and_discovery_in_one_write(
    one_dpu: RecordedHost,
) -> None:
    labelled = next(
        c.obj for c in one_dpu.of(DPUDevice) if known.DPUNODE_NAME_LABEL in c.obj["metadata"]["labels"]
    )

    of_device = labelled["metadata"]["labels"]
    assert {known.BMC_IP_LABEL, known.OPN_LABEL, known.PSID_LABEL} <= of_device.keys()
    assert of_device.items() <= one_dpu.of(DPU)[0].obj["metadata"]["labels"].items(), (
        "so its DPU has them all"
    )


def test_a_device_waits_for_a_node_that_lists_it(one_dpu: RecordedHost) -> None:
    assert condition_changes(one_dpu.of(DPUDevice), "NodeAttached") == [
        ("False", "Pending"),
        ("True", "Success"),
    ]


def test_a_node_is_initialized_in_one_reconcile_and_ready_in_the_next(one_dpu: RecordedHost) -> None:
    changes = one_dpu.of(DPUNode)

    taken = next(n for n, change in enumerate(changes) if "dpuInstallInterface" in change.status)
    assert changes[taken].finalizers == [known.DPUNODE_FINALIZER]
    assert "conditions" not in changes[taken].status
    assert changes[taken + 1].condition("Ready") == ("True", "Ready")


def test_a_node_is_not_ready_during_a_node_effect(one_dpu: RecordedHost) -> None:
    assert condition_changes(one_dpu.of(DPUNode), "Ready") == [
        ("True", "Ready"),
        ("False", "Ready"),
        ("True", "Ready"),
    ]
    assert one_dpu.of(DPUNode)[-1].condition("DPUNodeNodeEffectInProgress") is None, (
        "removed with the maintenance"
    )
    not_ready = [change for change in one_dpu.of(DPUNode) if change.condition("Ready") == ("False", "Ready")]
    messages = {
        one["message"]
        for change in not_ready
        for one in change.status["conditions"]
        if one["type"] == "Ready"
    }
    assert messages == {"node effect is in progress"}


def test_a_created_dpu_has_the_names_and_labels_of_dpf(one_dpu: RecordedHost) -> None:
    created = one_dpu.of(DPU)[0].obj
    (node,), (device,) = one_dpu.names(DPUNode), one_dpu.names(DPUDevice)

    labels = created["metadata"]["labels"]
    assert created["metadata"]["name"] == f"{node}-{device}"
    assert labels[known.DPUSET_NAME_LABEL] == "compute-default"
    assert labels[known.DPUSET_NAMESPACE_LABEL] == known.DPF_NAMESPACE
    assert labels[known.DPUNODE_NAME_LABEL] == node
    assert labels[known.DPUDEVICE_NAME_LABEL] == device
    assert labels[known.OWNED_BY_DPUDEPLOYMENT_LABEL] == f"{known.DPF_NAMESPACE}_compute"
    assert labels[known.CARBIDE_IS_PRIMARY_DPU_LABEL] == "true", "labels of the device are copied"
    assert known.CARBIDE_CONTROLLED_NODE_LABEL not in labels, "labels of the node are not"
    assert "bmcIP" not in created["spec"]
    (owner,) = created["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("DPUSet", "compute-default", True)


def test_dpu_and_dpuset_have_the_hash_of_the_template(one_dpu: RecordedHost) -> None:
    of_set = one_dpu.of(DPUSet)[-1].obj["metadata"]["labels"][known.DPUSET_TEMPLATE_HASH_LABEL]
    of_dpu = one_dpu.of(DPU)[0].obj["metadata"]["labels"][known.DPUSET_TEMPLATE_HASH_LABEL]

    assert of_set == of_dpu
    assert len(of_set) == 10
    assert int(of_set, 16) >= 0


def test_a_dpuset_counts_its_dpus_by_phase(one_dpu: RecordedHost) -> None:
    counted = [change.status.get("dpuStatistics") or {} for change in one_dpu.of(DPUSet)]

    assert {"Node Effect": 1} in counted
    assert counted[-1] == {"Ready": 1}
    assert all(sum(one.values()) <= 1 for one in counted)


def test_a_dpuset_reports_reconciling_before_not_ready(one_dpu: RecordedHost) -> None:
    found = [one for change in one_dpu.of(DPUSet) for one in change.status.get("conditions", [])]
    messages = [one["message"] for one in found if one["type"] == "Ready"]

    assert [one for one, _ in groupby(messages) if one] == [
        "DPUs are being reconciled",
        "Some DPUs are not ready",
    ]


def test_a_dpuset_reports_prerequisites_only_when_there_is_a_problem(one_dpu: RecordedHost) -> None:
    assert condition_changes(one_dpu.of(DPUSet), "DPUSetPrereqsReconciled") == [("Unknown", "Pending")]
    assert condition_changes(one_dpu.of(DPUSet), "Ready") == [
        ("True", "Success"),
        ("False", "Pending"),
        ("True", "Success"),
    ]


def test_dpus_of_a_host_become_ready_only_after_the_maintenance_is_deleted(two_dpus: RecordedHost) -> None:
    gone = next(change.version for change in two_dpus.of(DPUNodeMaintenance) if change.type == "DELETED")

    reached = [change.version for change in two_dpus.of(DPU) if change.phase == "Ready"]
    assert min(reached) > gone


def test_created_dpu_node_maintenance_is_written_with_status_false(one_dpu: RecordedHost) -> None:
    assert condition_changes(one_dpu.of(DPU), "NodeEffectReady") == [
        ("False", "CreatedDPUNodeMaintenance"),
        ("False", "NodeEffectInProgress"),
        ("True", "NodeEffectCompleted"),
    ]


def test_the_maintenance_is_created_without_the_hold_annotation(one_dpu: RecordedHost) -> None:
    values = [
        change.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT)
        for change in one_dpu.of(DPUNodeMaintenance)
    ]

    assert values[0] is None
    assert [value for n, value in enumerate(values) if n == 0 or value != values[n - 1]] == [
        None,
        "true",
        "false",
    ]


def test_a_maintenance_has_no_owner_and_a_finalizer(one_dpu: RecordedHost) -> None:
    created, later = one_dpu.of(DPUNodeMaintenance)[:2]

    assert "ownerReferences" not in created.obj["metadata"]
    assert created.obj["metadata"]["labels"] == {known.DPUNODE_NAME_LABEL: one_dpu.names(DPUNode)[0]}
    assert later.finalizers == [known.DPUNODEMAINTENANCE_FINALIZER]


def test_services_and_both_dpus_are_requestors_of_one_maintenance(two_dpus: RecordedHost) -> None:
    requested = [change.obj["spec"]["requestor"] for change in two_dpus.of(DPUNodeMaintenance)]

    all_requestors = max(requested, key=len)
    assert len(two_dpus.names(DPUNodeMaintenance)) == 1
    assert all_requestors[0].startswith(f"{known.DPF_NAMESPACE}_compute_dts-")
    assert sorted(all_requestors[1:]) == two_dpus.names(DPU)
    assert requested[0] == all_requestors[:2], "services first, then the first DPU"
    assert requested[-1] == []


def test_each_dpu_records_its_service_requestors_in_an_annotation(two_dpus: RecordedHost) -> None:
    notes = {
        key: value
        for change in two_dpus.of(DPUNodeMaintenance)
        for key, value in change.annotations.items()
        if key.startswith(known.LAST_APPLIED_REQUESTORS_PREFIX)
    }

    assert len(notes) == 2
    assert all(len(key.removeprefix(known.LAST_APPLIED_REQUESTORS_PREFIX)) == 16 for key in notes)
    assert len(set(notes.values())) == 1


def test_a_reboot_is_requested_in_the_order_of_dpf(two_dpus: RecordedHost) -> None:
    waiting = [
        change
        for change in two_dpus.of(DPU)
        if change.condition("Rebooted") == ("False", "WaitingForManualPowerCycleOrReboot")
    ]
    annotated = next(c for c in two_dpus.of(DPUNode) if known.EXTERNAL_REBOOT_REQUIRED in c.annotations)

    assert {change.name for change in waiting if change.version < annotated.version} == set(
        two_dpus.names(DPU)
    )
    assert annotated.annotations[known.EXTERNAL_REBOOT_REQUIRED] == "true"
    assert annotated.condition("DPUNodeRebootInProgress") is None, "the condition follows"
    assert condition_changes(two_dpus.of(DPUNode), "DPUNodeRebootInProgress") == [
        ("True", "DPUNodeRebootInProgress"),
        ("True", "WaitForExternalReboot"),
        ("False", "DPUNodeRebootInProgress"),
    ]


def test_a_confirmed_reboot_is_set_on_every_waiting_dpu(two_dpus: RecordedHost) -> None:
    requested = [known.EXTERNAL_REBOOT_REQUIRED in change.annotations for change in two_dpus.of(DPUNode)]

    for name in two_dpus.names(DPU):
        assert condition_changes(two_dpus.of(DPU, name), "Rebooted") == [
            ("False", "WaitingForManualPowerCycleOrReboot"),
            ("True", "Rebooted"),
        ]
    assert requested.index(True) < len(requested) - 1
    assert requested[-1] is False
    assert sum(before is not after for before, after in pairwise(requested)) == 2, "requested once"


def test_the_agent_reports_the_required_reboot_and_then_none(one_dpu: RecordedHost) -> None:
    reports = [change.status["agentStatus"] for change in one_dpu.of(DPU) if "agentStatus" in change.status]

    found = [(one.get("rebootMethod"), one.get("rebootSequenceCount")) for one in reports]
    assert [one for n, one in enumerate(found) if n == 0 or one != found[n - 1]] == [
        (None, None),
        ("PowerCycle", 1),
        ("NoAction", 0),
    ]
    starts = [one["lastStartupTime"] for one in reports]
    assert starts == sorted(starts)
    assert len(set(starts)) == 2, "another start after the reboot, at another time"
    assert len({one["initialBootID"] for one in reports}) == 1

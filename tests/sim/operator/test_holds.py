"""The hold: who asks, what counts as an answer, and how long it lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio

from dpf_async import DPFClient, HostSpec, ObjectState
from dpf_async.levels import Level, phase_is
from dpf_async.models import (
    DPU,
    DPUDeployment,
    DPUNode,
    DPUNodeMaintenance,
    DPUNodeMaintenanceSpec,
    DPUSet,
    NodeEffect,
    NodeName,
    ObjectMeta,
    known,
)
from dpf_async.sim.operator import INSTANT
from tests.sim.operator.site import (
    a_site,
    annotate,
    answer_reboots,
    conditions,
    configure,
    dpus,
    exists,
    history,
    hold_of,
    message,
    phases,
    registered,
    released,
    the_dpu,
)

HOLD = known.WAIT_FOR_EXTERNAL_NODE_EFFECT


def _says(reason: str) -> Level[ObjectState[DPUNodeMaintenance]]:
    """The maintenance says this of its effect."""

    def holds(state: ObjectState[DPUNodeMaintenance]) -> bool:
        condition = state.condition("NodeEffectApplied")
        return condition is not None and condition.reason == reason

    return Level(reason, holds)


async def _use_effect(dpf: DPFClient, effect: dict[str, Any]) -> None:
    await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"nodeEffect": effect}}})


async def _leave_maintenance_behind(dpf: DPFClient, host: HostSpec) -> None:
    """A hold of a host that is gone, with somebody who still asks."""
    spec = DPUNodeMaintenanceSpec(
        dpu_node_name=NodeName(host.name), node_effect=NodeEffect(hold=True), requestor=("somebody",)
    )
    metadata = ObjectMeta(
        name=f"{host.name}-hold",
        labels={known.DPUNODE_NAME_LABEL: host.name},
        finalizers=(known.DPUNODEMAINTENANCE_FINALIZER,),
    )
    await dpf.resource(DPUNodeMaintenance).create(DPUNodeMaintenance(metadata=metadata, spec=spec))


async def test_a_removed_hold_annotation_comes_back() -> None:
    async with a_site() as (sim, dpf):
        host = await registered(sim)

        await annotate(dpf, DPUNodeMaintenance, f"{host.name}-hold", HOLD, None)
        await sim.settled()

        assert (await hold_of(dpf, host.name)).metadata.annotations[HOLD] == "true"
        assert (await the_dpu(dpf, host.name)).status.phase == "Node Effect"


async def test_a_hold_that_was_released_cannot_be_armed_again() -> None:
    async with a_site() as (sim, dpf):
        node = await sim.node_waiting_for_external_reboot()

        await annotate(dpf, DPUNodeMaintenance, f"{node.name}-hold", HOLD, "true")
        await sim.settled()

        assert conditions(await hold_of(dpf, node.name))["NodeEffectApplied"] == ("True", "Success")
        assert (await the_dpu(dpf, node.name)).status.phase == "Rebooting"


async def test_the_effect_waits_for_sibling_dpus_and_takes_an_early_release() -> None:
    async with a_site(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")
        host = await sim.register_host(devices=2)
        hold = dpf.handle(DPUNodeMaintenance, f"{host.name}-hold")
        gathering = await hold.until(_says("NodeEffectSyncInProgress"), timeout=60)
        assert HOLD not in gathering.annotations
        assert gathering.object.status.multi_dpu_operations_sync_wait_time == "1h"

        await annotate(dpf, DPUNodeMaintenance, hold.name, HOLD, "false")
        await configure(dpf, multiDPUOperationsSyncWaitTime="0s")

        await hold.until(_says("Success"), timeout=60)
        values = [c.annotations.get(HOLD) for c in history(sim, DPUNodeMaintenance, hold.name)]
        assert "true" not in values, "DPF never had to ask"


async def test_the_effect_of_a_host_with_one_dpu_waits_for_nobody() -> None:
    async with a_site(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")

        host = await registered(sim)

        assert (await hold_of(dpf, host.name)).metadata.annotations[HOLD] == "true"


async def test_force_waits_for_nobody() -> None:
    async with a_site(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")
        force = {"spec": {"dpus": {"nodeEffect": {"force": True}}}}
        await dpf.resource(DPUDeployment).patch("compute", force)
        await sim.settled()

        host = await registered(sim, devices=2)

        assert (await hold_of(dpf, host.name)).metadata.annotations[HOLD] == "true"


async def test_a_dpu_that_comes_while_the_effect_is_applied_is_not_held() -> None:
    async with a_site() as (sim, dpf):
        one, two = (host := sim.host(devices=2)).devices
        await dpf.create_dpu_node(host.name, [one], labels=host.labels)
        await sim.settled()
        await released(sim, dpf, host.name)

        await dpf.create_dpu_node(host.name, [one, two], labels=host.labels)
        await sim.settled()

        first, second = await dpus(dpf, host.name)
        assert first.status.phase == "Rebooting"
        assert second.status.phase == "Rebooting"
        assert {first.name, second.name} <= {*(await hold_of(dpf, host.name)).spec.requestor}


async def test_a_stale_release_lets_a_recreated_dpu_start_without_asking() -> None:
    async with a_site() as (sim, dpf):
        node = await sim.node_waiting_for_external_reboot()
        dpu = await the_dpu(dpf, node.name)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        again = await the_dpu(dpf, node.name)
        assert again.uid != dpu.uid
        assert again.status.phase == "Rebooting", "it went through Node Effect on the old permission"
        (hold,) = (await dpf.resource(DPUNodeMaintenance).list()).items
        assert conditions(hold)["NodeEffectApplied"] == ("True", "Success")


async def test_a_dpu_made_anew_from_ready_is_held_again() -> None:
    async with a_site() as (sim, dpf):
        node = await sim.ready_node()
        dpu = await the_dpu(dpf, node.name)

        again = await dpf.reprovision_dpu(dpu.name, timeout=60)
        await sim.settled()

        assert again.name == dpu.name
        assert again.uid != dpu.uid
        assert (await the_dpu(dpf, node.name)).status.phase == "Node Effect"
        assert (await hold_of(dpf, node.name)).metadata.annotations[HOLD] == "true"


async def test_a_maintenance_that_is_being_deleted_is_waited_for() -> None:
    async with a_site() as (sim, dpf):
        host = sim.host()
        await _leave_maintenance_behind(dpf, host)
        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")

        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()

        dpu = await the_dpu(dpf, host.name)
        assert conditions(dpu)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")
        await dpf.resource(DPUNodeMaintenance).patch(f"{host.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert conditions(await the_dpu(dpf, host.name))["NodeEffectReady"] == (
            "False",
            "NodeEffectInProgress",
        )


async def test_a_hold_that_is_deleted_by_hand_keeps_its_dpu_waiting() -> None:
    async with a_site() as (sim, dpf):
        host = await registered(sim)

        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")
        await sim.settled()

        dpu, hold = await the_dpu(dpf, host.name), await hold_of(dpf, host.name)
        assert conditions(dpu)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")
        assert hold.terminating
        assert dpu.name in hold.spec.requestor


async def test_a_maintenance_without_its_node_stays_terminating_until_there_is_one_again() -> None:
    async with a_site() as (sim, dpf):
        node = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(node.name)
        await sim.settled()
        assert not await exists(dpf, DPUNode, node.name)

        await dpf.resource(DPUNodeMaintenance).patch(f"{node.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert (await hold_of(dpf, node.name)).terminating

        await dpf.create_dpu_node(node.name, [])
        await sim.settled()
        assert not await exists(dpf, DPUNodeMaintenance, f"{node.name}-hold")


async def test_a_maintenance_that_is_deleted_stays_as_long_as_somebody_asks_for_it() -> None:
    async with a_site() as (sim, dpf):
        host = sim.host()
        await dpf.create_dpu_node(host.name, [])
        await _leave_maintenance_behind(dpf, host)

        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")
        await sim.settled()

        assert (await hold_of(dpf, host.name)).terminating
        await dpf.resource(DPUNodeMaintenance).patch(f"{host.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert not await exists(dpf, DPUNodeMaintenance, f"{host.name}-hold")


async def test_no_more_hosts_are_disturbed_than_may_be() -> None:
    async with a_site() as (sim, dpf):
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()
        first = await registered(sim)

        second = await registered(sim)

        waiting = await hold_of(dpf, second.name)
        assert conditions(waiting)["NodeEffectApplied"] == ("False", "Pending")
        assert HOLD not in waiting.metadata.annotations
        await released(sim, dpf, first.name)
        await answer_reboots(dpf, first.name)
        await sim.settled()
        assert (await hold_of(dpf, second.name)).metadata.annotations[HOLD] == "true"


async def test_of_the_hosts_that_wait_no_more_begin_at_once_than_may_be() -> None:
    async with a_site() as (sim, dpf):
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()
        first = await registered(sim)
        others = [await registered(sim) for _ in range(4)]

        await released(sim, dpf, first.name)
        await answer_reboots(dpf, first.name)
        await sim.settled()

        holds = [await hold_of(dpf, host.name) for host in others]
        assert sum(HOLD in one.metadata.annotations for one in holds) == 1
        assert sum(conditions(one)["NodeEffectApplied"] == ("False", "Pending") for one in holds) == 3


async def test_holds_that_stand_can_be_released_though_fewer_hosts_may_be_disturbed_by_now() -> None:
    async with a_site() as (sim, dpf):
        hosts = [await registered(sim), await registered(sim)]
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()

        for host in hosts:
            await released(sim, dpf, host.name)

        assert [(await the_dpu(dpf, host.name)).status.phase for host in hosts] == ["Rebooting", "Rebooting"]


async def test_no_more_dpus_are_installed_at_once_than_may_be() -> None:
    async with a_site() as (sim, dpf):
        await configure(dpf, maxDPUParallelInstallations=2)
        await sim.settled()

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(sim.register_host)
        await sim.settled()

        found = (await dpf.resource(DPU).list()).items
        assert sorted(str(dpu.status.phase) for dpu in found) == ["Node Effect"] * 2 + ["Pending"] * 4


async def test_no_effect_asks_nobody_and_still_waits_for_services() -> None:
    async with a_site() as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "noEffect": True})
        await sim.settled()

        host = await registered(sim)
        assert await answer_reboots(dpf, host.name) == 1

        names = {change.name for change in history(sim, DPUNodeMaintenance)}
        assert names == {f"{host.name}-noeffect"}


async def test_a_custom_action_takes_its_time() -> None:
    async with a_site(profile=replace(INSTANT, custom_action=0.05)) as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "customAction": "drain-my-way"})

        host = await registered(sim)

        changes = history(sim, DPUNodeMaintenance, f"{host.name}-custom-action-drain-my-way")
        assert ("False", "NodeEffectIsProcessing") in [change.said("NodeEffectApplied") for change in changes]
        assert (await the_dpu(dpf, host.name)).status.phase == "Rebooting"


async def test_effects_on_a_kubernetes_node_are_refused_with_redfish() -> None:
    async with a_site() as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "drain": True})

        host = await registered(sim)

        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["DPUSetPrereqsReconciled"] == ("False", "Error")
        assert await dpus(dpf, host.name) == []
        await _use_effect(dpf, {"drain": None, "hold": True})
        await sim.settled()
        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["DPUSetPrereqsReconciled"] == ("True", "Success")


async def test_two_effects_at_once_are_refused_when_the_dpuset_is_made_of_them() -> None:
    async with a_site() as (sim, dpf):
        await _use_effect(dpf, {"hold": True, "noEffect": True})
        await sim.settled()

        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert conditions(deployment)["DPUSetsReconciled"] == ("False", "Error")
        assert conditions(deployment)["Ready"] == ("False", "Pending")
        assert "nodeEffect" in message(deployment, "DPUSetsReconciled")


async def test_a_host_is_held_before_its_bmc_is_known() -> None:
    async with a_site(troubles=["bmc_password_wrong"]) as (sim, dpf):
        host = await registered(sim)

        await released(sim, dpf, host.name)

        dpu = await the_dpu(dpf, host.name)
        assert dpu.status.phase == "Initialize Interface"
        assert conditions(dpu)["InterfaceInitialized"] == ("False", "DPUDeviceNotReady")
        sim.repair()
        await dpf.dpu(dpu.name).until(phase_is("Rebooting"), timeout=60)
        assert phases(history(sim, DPU, dpu.name))[-1] == "Rebooting"

"""Holds: who requests them, what releases them, and how long they last."""

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
    annotate,
    answer_reboots,
    conditions,
    configure,
    dpus,
    exists,
    get_hold,
    history,
    message,
    only_dpu,
    phases,
    register,
    release_hold,
    site_with_client,
)

HOLD = known.WAIT_FOR_EXTERNAL_NODE_EFFECT


def _effect_has_reason(reason: str) -> Level[ObjectState[DPUNodeMaintenance]]:
    """The condition NodeEffectApplied has this reason."""

    def holds(state: ObjectState[DPUNodeMaintenance]) -> bool:
        condition = state.condition("NodeEffectApplied")
        return condition is not None and condition.reason == reason

    return Level(reason, holds)


async def _use_effect(dpf: DPFClient, effect: dict[str, Any]) -> None:
    await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"nodeEffect": effect}}})


async def _leave_maintenance_behind(dpf: DPFClient, host: HostSpec) -> None:
    """Create the hold of a deleted host that still has a requestor."""
    spec = DPUNodeMaintenanceSpec(
        dpu_node_name=NodeName(host.name), node_effect=NodeEffect(hold=True), requestor=("a-requestor",)
    )
    metadata = ObjectMeta(
        name=f"{host.name}-hold",
        labels={known.DPUNODE_NAME_LABEL: host.name},
        finalizers=(known.DPUNODEMAINTENANCE_FINALIZER,),
    )
    await dpf.resource(DPUNodeMaintenance).create(DPUNodeMaintenance(metadata=metadata, spec=spec))


async def test_a_removed_hold_annotation_is_added_again() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)

        await annotate(dpf, DPUNodeMaintenance, f"{host.name}-hold", HOLD, None)
        await sim.settled()

        assert (await get_hold(dpf, host.name)).metadata.annotations[HOLD] == "true"
        assert (await only_dpu(dpf, host.name)).status.phase == "Node Effect"


async def test_a_released_hold_cannot_be_requested_again() -> None:
    async with site_with_client() as (sim, dpf):
        node = await sim.node_waiting_for_external_reboot()

        await annotate(dpf, DPUNodeMaintenance, f"{node.name}-hold", HOLD, "true")
        await sim.settled()

        assert conditions(await get_hold(dpf, node.name))["NodeEffectApplied"] == ("True", "Success")
        assert (await only_dpu(dpf, node.name)).status.phase == "Rebooting"


async def test_the_effect_waits_for_other_dpus_and_accepts_an_early_release() -> None:
    async with site_with_client(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")
        host = await sim.register_host(devices=2)
        hold = dpf.handle(DPUNodeMaintenance, f"{host.name}-hold")
        waiting = await hold.until(_effect_has_reason("NodeEffectSyncInProgress"), timeout=60)
        assert HOLD not in waiting.annotations
        assert waiting.object.status.multi_dpu_operations_sync_wait_time == "1h"

        await annotate(dpf, DPUNodeMaintenance, hold.name, HOLD, "false")
        await configure(dpf, multiDPUOperationsSyncWaitTime="0s")

        await hold.until(_effect_has_reason("Success"), timeout=60)
        values = [c.annotations.get(HOLD) for c in history(sim, DPUNodeMaintenance, hold.name)]
        assert "true" not in values, "DPF never had to ask"


async def test_the_effect_of_a_host_with_one_dpu_does_not_wait() -> None:
    async with site_with_client(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")

        host = await register(sim)

        assert (await get_hold(dpf, host.name)).metadata.annotations[HOLD] == "true"


async def test_the_effect_with_force_does_not_wait() -> None:
    async with site_with_client(profile=replace(INSTANT, bound_scale=1.0)) as (sim, dpf):
        await configure(dpf, multiDPUOperationsSyncWaitTime="1h")
        force = {"spec": {"dpus": {"nodeEffect": {"force": True}}}}
        await dpf.resource(DPUDeployment).patch("compute", force)
        await sim.settled()

        host = await register(sim, devices=2)

        assert (await get_hold(dpf, host.name)).metadata.annotations[HOLD] == "true"


async def test_a_dpu_created_after_the_effect_was_applied_is_not_held() -> None:
    async with site_with_client() as (sim, dpf):
        one, two = (host := sim.host(devices=2)).devices
        await dpf.create_dpu_node(host.name, [one], labels=host.labels)
        await sim.settled()
        await release_hold(sim, dpf, host.name)

        await dpf.create_dpu_node(host.name, [one, two], labels=host.labels)
        await sim.settled()

        first, second = await dpus(dpf, host.name)
        assert first.status.phase == "Rebooting"
        assert second.status.phase == "Rebooting"
        assert {first.name, second.name} <= {*(await get_hold(dpf, host.name)).spec.requestor}


async def test_a_stale_release_lets_a_recreated_dpu_start_without_a_request() -> None:
    async with site_with_client() as (sim, dpf):
        node = await sim.node_waiting_for_external_reboot()
        dpu = await only_dpu(dpf, node.name)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        again = await only_dpu(dpf, node.name)
        assert again.uid != dpu.uid
        assert again.status.phase == "Rebooting", "the old release still applied in Node Effect"
        (hold,) = (await dpf.resource(DPUNodeMaintenance).list()).items
        assert conditions(hold)["NodeEffectApplied"] == ("True", "Success")


async def test_a_dpu_reprovisioned_from_ready_is_held_again() -> None:
    async with site_with_client() as (sim, dpf):
        node = await sim.ready_node()
        dpu = await only_dpu(dpf, node.name)

        again = await dpf.reprovision_dpu(dpu.name, timeout=60)
        await sim.settled()

        assert again.name == dpu.name
        assert again.uid != dpu.uid
        assert (await only_dpu(dpf, node.name)).status.phase == "Node Effect"
        assert (await get_hold(dpf, node.name)).metadata.annotations[HOLD] == "true"


async def test_a_dpu_waits_until_a_terminating_maintenance_is_deleted() -> None:
    async with site_with_client() as (sim, dpf):
        host = sim.host()
        await _leave_maintenance_behind(dpf, host)
        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")

        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()

        dpu = await only_dpu(dpf, host.name)
        assert conditions(dpu)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")
        await dpf.resource(DPUNodeMaintenance).patch(f"{host.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert conditions(await only_dpu(dpf, host.name))["NodeEffectReady"] == (
            "False",
            "NodeEffectInProgress",
        )


async def test_a_manually_deleted_hold_keeps_its_dpu_waiting() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)

        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")
        await sim.settled()

        dpu, hold = await only_dpu(dpf, host.name), await get_hold(dpf, host.name)
        assert conditions(dpu)["NodeEffectReady"] == ("False", "DPUNodeMaintenanceDeleting")
        assert hold.terminating
        assert dpu.name in hold.spec.requestor


async def test_a_maintenance_without_its_node_stays_terminating_until_the_node_exists() -> None:
    async with site_with_client() as (sim, dpf):
        node = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(node.name)
        await sim.settled()
        assert not await exists(dpf, DPUNode, node.name)

        await dpf.resource(DPUNodeMaintenance).patch(f"{node.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert (await get_hold(dpf, node.name)).terminating

        await dpf.create_dpu_node(node.name, [])
        await sim.settled()
        assert not await exists(dpf, DPUNodeMaintenance, f"{node.name}-hold")


async def test_a_deleted_maintenance_stays_while_it_has_requestors() -> None:
    async with site_with_client() as (sim, dpf):
        host = sim.host()
        await dpf.create_dpu_node(host.name, [])
        await _leave_maintenance_behind(dpf, host)

        await dpf.resource(DPUNodeMaintenance).delete(f"{host.name}-hold")
        await sim.settled()

        assert (await get_hold(dpf, host.name)).terminating
        await dpf.resource(DPUNodeMaintenance).patch(f"{host.name}-hold", {"spec": {"requestor": []}})
        await sim.settled()
        assert not await exists(dpf, DPUNodeMaintenance, f"{host.name}-hold")


async def test_node_effects_do_not_exceed_max_unavailable_nodes() -> None:
    async with site_with_client() as (sim, dpf):
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()
        first = await register(sim)

        second = await register(sim)

        waiting = await get_hold(dpf, second.name)
        assert conditions(waiting)["NodeEffectApplied"] == ("False", "Pending")
        assert HOLD not in waiting.metadata.annotations
        await release_hold(sim, dpf, first.name)
        await answer_reboots(dpf, first.name)
        await sim.settled()
        assert (await get_hold(dpf, second.name)).metadata.annotations[HOLD] == "true"


async def test_waiting_hosts_do_not_start_together_beyond_the_limit() -> None:
    async with site_with_client() as (sim, dpf):
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()
        first = await register(sim)
        others = [await register(sim) for _ in range(4)]

        await release_hold(sim, dpf, first.name)
        await answer_reboots(dpf, first.name)
        await sim.settled()

        holds = [await get_hold(dpf, host.name) for host in others]
        assert sum(HOLD in one.metadata.annotations for one in holds) == 1
        assert sum(conditions(one)["NodeEffectApplied"] == ("False", "Pending") for one in holds) == 3


async def test_pending_holds_can_be_released_after_the_limit_is_lowered() -> None:
    async with site_with_client() as (sim, dpf):
        hosts = [await register(sim), await register(sim)]
        await configure(dpf, maxUnavailableDPUNodes=1)
        await sim.settled()

        for host in hosts:
            await release_hold(sim, dpf, host.name)

        assert [(await only_dpu(dpf, host.name)).status.phase for host in hosts] == ["Rebooting", "Rebooting"]


async def test_parallel_installations_do_not_exceed_the_limit() -> None:
    async with site_with_client() as (sim, dpf):
        await configure(dpf, maxDPUParallelInstallations=2)
        await sim.settled()

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(sim.register_host)
        await sim.settled()

        found = (await dpf.resource(DPU).list()).items
        assert sorted(str(dpu.status.phase) for dpu in found) == ["Node Effect"] * 2 + ["Pending"] * 4


async def test_no_effect_requests_nothing_and_still_waits_for_services() -> None:
    async with site_with_client() as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "noEffect": True})
        await sim.settled()

        host = await register(sim)
        assert await answer_reboots(dpf, host.name) == 1

        names = {change.name for change in history(sim, DPUNodeMaintenance)}
        assert names == {f"{host.name}-noeffect"}


async def test_a_custom_action_takes_the_duration_of_the_profile() -> None:
    async with site_with_client(profile=replace(INSTANT, custom_action=0.05)) as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "customAction": "drain-my-way"})

        host = await register(sim)

        changes = history(sim, DPUNodeMaintenance, f"{host.name}-custom-action-drain-my-way")
        assert ("False", "NodeEffectIsProcessing") in [
            change.condition("NodeEffectApplied") for change in changes
        ]
        assert (await only_dpu(dpf, host.name)).status.phase == "Rebooting"


async def test_effects_on_a_kubernetes_node_are_refused_with_redfish() -> None:
    async with site_with_client() as (sim, dpf):
        await _use_effect(dpf, {"hold": None, "drain": True})

        host = await register(sim)

        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["DPUSetPrereqsReconciled"] == ("False", "Error")
        assert await dpus(dpf, host.name) == []
        await _use_effect(dpf, {"drain": None, "hold": True})
        await sim.settled()
        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["DPUSetPrereqsReconciled"] == ("True", "Success")


async def test_a_dpuset_with_two_effects_is_rejected() -> None:
    async with site_with_client() as (sim, dpf):
        await _use_effect(dpf, {"hold": True, "noEffect": True})
        await sim.settled()

        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert conditions(deployment)["DPUSetsReconciled"] == ("False", "Error")
        assert conditions(deployment)["Ready"] == ("False", "Pending")
        assert "nodeEffect" in message(deployment, "DPUSetsReconciled")


async def test_a_host_is_held_before_its_bmc_is_initialized() -> None:
    async with site_with_client(troubles=["bmc_password_wrong"]) as (sim, dpf):
        host = await register(sim)

        await release_hold(sim, dpf, host.name)

        dpu = await only_dpu(dpf, host.name)
        assert dpu.status.phase == "Initialize Interface"
        assert conditions(dpu)["InterfaceInitialized"] == ("False", "DPUDeviceNotReady")
        sim.repair()
        await dpf.dpu(dpu.name).until(phase_is("Rebooting"), timeout=60)
        assert phases(history(sim, DPU, dpu.name))[-1] == "Rebooting"

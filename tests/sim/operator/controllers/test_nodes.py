"""The reboot handshake of the simulated operator."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from dpf_async import NodeView
from dpf_async.levels import Level, external_reboot_required, phase_is, ready
from dpf_async.models import DPU, DPUNode, known
from dpf_async.sim import Simulator
from dpf_async.sim.operator import INSTANT
from tests.sim.operator.site import (
    PHASES,
    annotate,
    answer_reboots,
    condition_changes,
    conditions,
    dpus,
    history,
    only_dpu,
    phases,
    register,
    release_hold,
    site_with_client,
)

_is_requested = Level[NodeView](
    "asked for a reboot",
    lambda view: view.node is not None and known.EXTERNAL_REBOOT_REQUIRED in view.node.annotations,
)


async def test_setting_the_annotation_to_false_does_not_confirm_the_reboot() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot()

        await annotate(dpf, DPUNode, node.name, known.EXTERNAL_REBOOT_REQUIRED, "false")
        await sim.settled()

        assert await dpf.is_dpu_node_waiting_for_reboot(node.name)
        assert (await only_dpu(dpf, node.name)).status.phase == "Rebooting"


async def test_a_reboot_waits_for_a_dpu_that_is_being_installed() -> None:
    async with site_with_client() as (sim, dpf):
        host = sim.host(devices=2)
        sim.trouble("bmc_password_wrong", device=host.devices[0].name)
        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()

        await release_hold(sim, dpf, host.name)

        assert [dpu.status.phase for dpu in await dpus(dpf, host.name)] == [
            "Initialize Interface",
            "Rebooting",
        ]
        assert not await dpf.is_dpu_node_waiting_for_reboot(host.name)
        assert "Rebooted" not in conditions((await dpus(dpf, host.name))[1]), "the request is deferred"
        sim.repair()
        await dpf.node(host.name).until(external_reboot_required, timeout=60)


async def test_a_late_dpu_requires_another_reboot() -> None:
    async with Simulator(troubles=["late_sibling"]) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot(devices=2)
        assert sorted(node.phases.values()) == ["DPU Config", "Rebooting"]

        cycles = await answer_reboots(dpf, node.name)

        assert cycles == 2
        assert (
            condition_changes(history(sim, DPUNode, node.name), "DPUNodeRebootInProgress")
            == [
                ("True", "DPUNodeRebootInProgress"),
                ("True", "WaitForExternalReboot"),
                ("False", "DPUNodeRebootInProgress"),
            ]
            * 2
        )


async def test_reboots_repeat_until_the_dpu_requires_none() -> None:
    async with Simulator(troubles=["reboots=3"]) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot()

        cycles = await answer_reboots(dpf, node.name)

        assert cycles == 3
        sequence = phases(history(sim, DPU))
        first = PHASES.index("DPU Config")
        assert sequence == [*PHASES[:first], *["DPU Config", "Rebooting"] * 3, *PHASES[first + 2 :]]


async def test_a_dpu_that_requires_no_reboot_skips_rebooting() -> None:
    async with site_with_client(troubles=["no_reboot"]) as (sim, dpf):
        host = await register(sim)

        await release_hold(sim, dpf, host.name)

        await dpf.node(host.name).until(ready, timeout=60)
        assert "Rebooting" not in phases(history(sim, DPU))


async def test_the_condition_is_removed_without_dpus_and_the_annotation_stays() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot()
        unlabelled = {"metadata": {"labels": {known.CARBIDE_CONTROLLED_NODE_LABEL: None}}}

        await dpf.resource(DPUNode).patch(node.name, unlabelled)
        await sim.settled()

        left = await dpf.resource(DPUNode).get(node.name)
        assert await dpus(dpf, node.name) == []
        assert "DPUNodeRebootInProgress" not in conditions(left)
        assert known.EXTERNAL_REBOOT_REQUIRED in left.metadata.annotations


async def test_a_confirmation_before_the_condition_causes_no_second_request() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        with sim.server.faults.stalled(verb="patch", resource="dpunodes/status"):
            await dpf.mark_dpu_node_ready_for_maintenance(host.name)
            await dpf.node(host.name).until(_is_requested, timeout=60)

            await annotate(dpf, DPUNode, host.name, known.EXTERNAL_REBOOT_REQUIRED, None)
        await sim.settled()

        assert (await only_dpu(dpf, host.name)).status.phase == "Ready"
        asked = [known.EXTERNAL_REBOOT_REQUIRED in change.annotations for change in history(sim, DPUNode)]
        assert [one for one, _ in groupby(asked)].count(True) == 1


async def test_a_reboot_by_script_requests_nothing_from_clients() -> None:
    async with site_with_client(profile=replace(INSTANT, host_reboot=0.05)) as (sim, dpf):
        host = await register(sim)
        by_script = {"external": None, "script": {"name": "reboot"}}
        await dpf.resource(DPUNode).patch(host.name, {"spec": {"nodeRebootMethod": by_script}})

        await release_hold(sim, dpf, host.name)

        await dpf.dpu((await only_dpu(dpf, host.name)).name).until(phase_is("Ready"), timeout=60)
        assert condition_changes(history(sim, DPU), "Rebooted") == [
            ("False", "WaitingForScriptToRebootNode"),
            ("True", "Rebooted"),
        ]
        assert condition_changes(history(sim, DPUNode), "DPUNodeRebootInProgress") == [
            ("True", "DPUNodeRebootInProgress"),
            ("False", "DPUNodeRebootInProgress"),
        ]
        assert all(
            known.EXTERNAL_REBOOT_REQUIRED not in change.annotations for change in history(sim, DPUNode)
        )
        unlabelled = {"metadata": {"labels": {known.CARBIDE_CONTROLLED_NODE_LABEL: None}}}
        await dpf.resource(DPUNode).patch(host.name, unlabelled)
        await sim.settled()
        left = await dpf.resource(DPUNode).get(host.name)
        assert "DPUNodeRebootInProgress" not in conditions(left), "it has no DPUs any more"


async def test_a_dpu_in_nic_mode_needs_a_reboot_before_it_is_installed() -> None:
    async with Simulator(troubles=["nic_mode"]) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot()
        dpu = await only_dpu(dpf, node.name)
        assert (dpu.status.phase, dpu.status.previous_phase) == ("Rebooting", "Initialize Interface")

        cycles = await answer_reboots(dpf, node.name)

        assert cycles == 2
        sequence = phases(history(sim, DPU))
        assert sequence[3:6] == ["Initialize Interface", "Rebooting", "Initialize Interface"]
        assert condition_changes(history(sim, DPU), "HostPowerCycle")[-1] == ("True", "HostPowerCycle")

"""Deletion: which objects are deleted together, in which order, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

from dpf_async.levels import phase_is, terminating
from dpf_async.models import (
    BFB,
    DPU,
    DPUDeployment,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUService,
    DPUServiceTemplate,
    DPUSet,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.sim.operator import INSTANT, Troubles
from dpf_async.sim.operator.hardware.hardware import Hardware
from tests.sim.operator.objects import make_dpu
from tests.sim.operator.site import (
    conditions,
    configure,
    dpus,
    exists,
    history,
    only_dpu,
    phases,
    register,
    site_with_client,
)


async def test_a_device_stays_terminating_until_its_dpu_is_deleted() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        device = host.devices[0].name

        await dpf.resource(DPUDevice).delete(device)
        await sim.settled()

        left = await dpf.resource(DPUDevice).get(device)
        assert left.terminating
        assert left.metadata.finalizers == (known.DPUDEVICE_FINALIZER,)
        assert not (await only_dpu(dpf, host.name)).terminating


async def test_a_dpu_of_a_deleted_device_is_not_recreated() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        dpu = await only_dpu(dpf, host.name)
        await dpf.resource(DPUDevice).delete(host.devices[0].name)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        assert not await exists(dpf, DPUDevice, host.devices[0].name)
        assert await dpus(dpf, host.name) == []
        assert phases(history(sim, DPU))[-1] == "Deleting"


async def test_a_deleted_dpu_is_recreated_under_the_same_name() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        dpu = await only_dpu(dpf, host.name)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        again = await only_dpu(dpf, host.name)
        assert again.name == dpu.name
        assert again.uid != dpu.uid
        created = [change.version for change in history(sim, DPU, dpu.name) if change.type == "ADDED"]
        gone = [change.version for change in history(sim, DPU, dpu.name) if change.type == "DELETED"]
        assert created[0] < gone[0] < created[1], "only after the old one is deleted"


async def test_a_deleting_dpu_releases_its_device_and_then_itself() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        dpu = await only_dpu(dpf, host.name)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        of_dpu = [
            change for change in history(sim, DPU, dpu.name) if change.obj["metadata"]["uid"] == dpu.uid
        ]
        release_hold = next(
            change.version
            for change in history(sim, DPUDevice)
            if change.old is not None and change.old["metadata"].get("finalizers") and not change.finalizers
        )
        deleting = next(change.version for change in of_dpu if change.phase == "Deleting")
        assert deleting < release_hold < of_dpu[-1].version
        assert of_dpu[-1].type == "DELETED"


async def test_deletion_in_os_installing_waits_for_the_timeout() -> None:
    profile = replace(INSTANT, bound_scale=1.0)
    async with site_with_client(profile=profile, troubles=["install_timeout"]) as (sim, dpf):
        host = await register(sim)
        await dpf.mark_dpu_node_ready_for_maintenance(host.name)
        dpu = await only_dpu(dpf, host.name)
        await dpf.dpu(dpu.name).until(phase_is("OS Installing"), timeout=60)

        await dpf.resource(DPU).delete(dpu.name)
        await sim.settled()

        left = await only_dpu(dpf, host.name)
        assert left.uid == dpu.uid
        assert left.status.phase == "OS Installing"
        assert conditions(left)["OSInstalled"] == ("True", "CannotDeleteWhileInstalling")
        await configure(dpf, osInstallTimeout="0s")
        await dpf.dpu(dpu.name).until_replaced(dpu.uid, timeout=60)
        assert "Error" in phases(history(sim, DPU, dpu.name))


async def test_a_deleted_node_deletes_its_dpus_and_devices() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim, devices=2)

        await dpf.resource(DPUNode).delete(host.name)
        await sim.settled()

        assert not await exists(dpf, DPUNode, host.name)
        assert (await dpf.resource(DPUDevice).list()).items == ()
        assert (await dpf.resource(DPU).list()).items == ()
        ends = {
            kind: max(change.version for change in history(sim, kind) if change.type == "DELETED")
            for kind in (DPU, DPUDevice, DPUNode)
        }
        assert ends[DPUNode] > max(ends[DPU], ends[DPUDevice])
        assert len([change for change in history(sim, DPU) if change.type == "ADDED"]) == 2, (
            "none is made again"
        )


async def test_a_dpu_is_deleted_when_its_node_is_not_selected_any_more() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        unlabelled = {"metadata": {"labels": {known.CARBIDE_CONTROLLED_NODE_LABEL: None}}}

        await dpf.resource(DPUNode).patch(node.name, unlabelled)
        await sim.settled()

        assert await dpus(dpf, node.name) == []
        (device,) = (await dpf.resource(DPUDevice).list()).items
        assert device.metadata.finalizers == (), "its finalizer is removed"


async def test_dependencies_of_a_deployment_are_deleted_only_after_it() -> None:
    async with site_with_client() as (sim, dpf):
        bfb = await dpf.resource(BFB).get("bf-bundle")
        assert bfb.metadata.finalizers == (known.BFB_FINALIZER, known.DPUDEPLOYMENT_FINALIZER)
        (label,) = [key for key in bfb.metadata.labels if key.startswith(known.CONSUMED_BY_LABEL_PREFIX)]
        assert len(label.removeprefix(known.CONSUMED_BY_LABEL_PREFIX)) == 10

        await dpf.resource(BFB).delete("bf-bundle")
        await dpf.resource(DPUFlavor).delete("dpu-flavor")
        await dpf.resource(DPUServiceTemplate).delete("dts")
        await sim.settled()

        assert (await dpf.resource(BFB).get("bf-bundle")).status.phase == "Deleting"
        assert (await dpf.resource(DPUFlavor).get("dpu-flavor")).terminating
        await dpf.resource(DPUDeployment).delete("compute")
        await sim.settled()
        for kind, name in ((BFB, "bf-bundle"), (DPUFlavor, "dpu-flavor"), (DPUServiceTemplate, "dts")):
            assert not await exists(dpf, kind, name)


async def test_a_deployment_deletes_services_before_dpus() -> None:
    async with site_with_client() as (sim, dpf):
        await register(sim)

        await dpf.resource(DPUDeployment).delete("compute")
        await sim.settled()

        ends = {
            kind: max(change.version for change in history(sim, kind) if change.type == "DELETED")
            for kind in (DPUService, DPUSet, DPU, DPUDeployment)
        }
        assert ends[DPUService] < ends[DPU] < ends[DPUSet] < ends[DPUDeployment]
        ready = [change.condition("Ready") for change in history(sim, DPUDeployment)]
        assert ("False", "AwaitingDeletion") in ready


async def test_a_dpu_whose_cluster_is_unreachable_stays_deleting_with_its_node() -> None:
    async with site_with_client(troubles=["stuck_finalizer"]) as (sim, dpf):
        host = await register(sim)
        dpu = await only_dpu(dpf, host.name)

        await dpf.resource(DPUNode).delete(host.name)
        await sim.settled()

        stuck = await only_dpu(dpf, host.name)
        assert stuck.uid == dpu.uid
        assert stuck.status.phase == "Deleting"
        assert conditions(stuck)["Deleting"] == ("False", "DeleteNodeError")
        assert await exists(dpf, DPUNode, host.name)
        sim.repair("stuck_finalizer")
        await dpf.handle(DPUNode, host.name).until_gone(timeout=60)


def test_clean_up_of_discarded_hardware_has_no_effect() -> None:
    hardware, dpu = Hardware(INSTANT, Troubles(), clock=lambda: 0.0), make_dpu(phase="Deleting")
    assert hardware.view(dpu, None).remains
    hardware.discard(dpu.uid)

    hardware.clean_up(dpu)

    assert hardware.view(dpu, None).remains


async def test_deletion_continues_when_finalizers_are_removed_manually() -> None:
    async with site_with_client(troubles=["stuck_finalizer"]) as (sim, dpf):
        host = await register(sim)
        dpu = await only_dpu(dpf, host.name)
        await dpf.resource(DPU).delete(dpu.name)
        await dpf.dpu(dpu.name).until(terminating, timeout=60)
        await sim.settled()

        report = await dpf.force_delete_dpu(host.devices[0].name, grace_period=0.05)

        assert not report.graceful
        await sim.settled()
        assert await dpus(dpf, host.name) == []

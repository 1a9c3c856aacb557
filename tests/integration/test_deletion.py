"""Taking DPUs and hosts away on the simulated site: orderly, with something stuck, and when there is nothing."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPFClient, WaitTimeout, node_effect_held
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known
from tests.integration.backends import Backend

FOREIGN = "example.com/stays"
"""A finalizer that nobody in this site takes off."""


async def names(dpf: DPFClient, kind: type[Resource]) -> set[str]:
    return {obj.name for obj in (await dpf.resource(kind).list()).items}


async def everything(dpf: DPFClient) -> set[str]:
    """Names of all that belongs to hosts."""
    return {name for _, name in await versions(dpf)}


async def versions(dpf: DPFClient) -> dict[tuple[str, str], str]:
    """All that belongs to hosts, by kind and name, and the version it has: another one after any write."""
    return {
        (kind.KIND, obj.name): obj.metadata.resource_version
        for kind in (DPUNode, DPUDevice, DPU, DPUNodeMaintenance)
        for obj in (await dpf.resource(kind).list()).items
    }


# DeleteDPU


async def test_a_deleted_dpu_is_gone_with_its_device_and_its_node_forgets_it(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        gone, stays = view.dpus

        await dpf.delete_dpu(gone.device, timeout=10)

        assert await names(dpf, DPU) == {stays.name}
        assert await names(dpf, DPUDevice) == {stays.device}
        node = await dpf.resource(DPUNode).get(view.name)
        assert [ref.name for ref in node.spec.dpus] == [stays.device]


async def test_no_new_dpu_is_made_for_a_deleted_one(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()

        await dpf.delete_dpu(view.dpus[0].device, timeout=10)
        await sim.settled()

        assert await names(dpf, DPU) == set()


async def test_deleting_a_dpu_that_is_gone_or_never_was_changes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        gone, _ = view.dpus
        await dpf.delete_dpu(gone.device, timeout=10)
        before = await versions(dpf)

        await dpf.delete_dpu(gone.device, timeout=10)
        await dpf.delete_dpu("device-that-never-was", timeout=10)

        assert await versions(dpf) == before


async def test_a_dpu_that_is_being_deleted_already_is_waited_for(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]
        await dpf.resource(DPU).delete(dpu.name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: dpf.delete_dpu(dpu.device, timeout=20))
            # The DPU let go of its device before it got stuck, so the device goes at once; the DPU is waited for.
            await dpf.handle(DPUDevice, dpu.device).until_gone(timeout=5)
            sim.heal()

        assert await names(dpf, DPU) == set()


async def test_a_deletion_that_something_holds_is_a_timeout_that_names_it_and_its_finalizer(
    backend: Backend,
) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]

        with pytest.raises(WaitTimeout, match=f"DPU {dpu.name}.*{known.DPU_FINALIZER}"):
            await dpf.delete_dpu(dpu.device, timeout=0.5)


async def test_a_device_can_be_registered_again_after_its_deletion(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = await sim.register_host()
        await dpf.delete_dpu(host.devices[0].name, timeout=10)

        view = await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)

        assert view.device_names == (host.devices[0].name,)


# ForceDeleteDPU


async def test_a_forced_deletion_that_needs_no_force_says_so(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()

        report = await dpf.force_delete_dpu(view.dpus[0].device, patience=10)

        assert (report.orderly, report.removed, report.left_behind) == (True, (), ())
        assert await names(dpf, DPU) == set()


async def test_a_stuck_dpu_is_forced_away_and_the_report_says_what_is_left_behind(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]

        report = await dpf.force_delete_dpu(dpu.device, patience=0.5)

        assert not report.orderly
        assert f"DPU {dpu.name}: {known.DPU_FINALIZER}" in report.removed
        assert any(dpu.name in left and "runs on" in left for left in report.left_behind)
        assert await names(dpf, DPU) == await names(dpf, DPUDevice) == set()
        assert not (await dpf.resource(DPUNode).get(view.name)).spec.dpus


async def test_force_leaves_the_finalizers_of_others_alone_and_says_that_they_hold(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]
        stored = await dpf.resource(DPU).get(dpu.name)
        finalizers = [*stored.metadata.finalizers, FOREIGN]
        await dpf.resource(DPU).patch(dpu.name, {"metadata": {"finalizers": finalizers}})

        with pytest.raises(WaitTimeout, match=f"DPU {dpu.name}: .*held by {FOREIGN}\\n"):
            await dpf.force_delete_dpu(dpu.device, patience=0.3)

        assert (await dpf.resource(DPU).get(dpu.name)).metadata.finalizers == (FOREIGN,)


async def test_forcing_away_what_is_not_there_is_orderly(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        assert (await dpf.force_delete_dpu("device-that-never-was", patience=5)).orderly
        assert (await dpf.force_delete_dpu_node("node-that-never-was", patience=5)).orderly


# DeleteDPUNode, ForceDeleteDPUNode


async def test_a_maintenance_that_was_stranded_by_somebody_elses_deletion_of_the_node_is_taken_away(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(view.name)
        await dpf.handle(DPUNode, view.name).until_gone(timeout=10)
        await sim.settled()
        stranded = await everything(dpf)

        await dpf.delete_dpu_node(view.name, timeout=10)

        assert stranded == {f"{view.name}-hold"}
        assert await everything(dpf) == set()


@pytest.mark.parametrize("state", ["ready", "held", "rebooting"])
async def test_a_deleted_host_is_gone_with_everything_that_refers_to_it_and_other_hosts_stay(
    backend: Backend, state: str
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        other = await sim.register_host()
        await dpf.node(other.name).until(node_effect_held, timeout=10)
        await sim.settled()
        stays = await everything(dpf)
        make = {
            "ready": sim.ready_node,
            "held": sim.node_waiting_for_hold,
            "rebooting": sim.node_waiting_for_external_reboot,
        }
        view = await make[state](2)

        await dpf.delete_dpu_node(view.name, timeout=20)
        await sim.settled()

        assert await everything(dpf) == stays


async def test_deleting_a_host_that_is_gone_changes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        await dpf.delete_dpu_node(view.name, timeout=10)
        await sim.settled()
        before = await versions(dpf)

        await dpf.delete_dpu_node(view.name, timeout=10)

        assert await versions(dpf) == before


async def test_a_host_can_be_registered_again_after_its_deletion_and_comes_to_ready(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first = await sim.ready_node()
        await dpf.delete_dpu_node(first.name, timeout=10)

        again = sim.host(first.name)
        await dpf.create_dpu_node(again.name, again.devices, labels=again.labels)
        view = await dpf.node(again.name).until(node_effect_held, timeout=10)

        assert not set(view.uids.values()) & set(first.uids.values())


async def test_a_stuck_host_is_forced_away_with_everything_that_refers_to_it(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node(2)

        report = await dpf.force_delete_dpu_node(view.name, patience=0.5)

        assert not report.orderly
        forced = {entry.split(":")[0] for entry in report.removed}
        assert {f"DPU {dpu.name}" for dpu in view.dpus} <= forced
        assert await everything(dpf) == set()


async def test_force_takes_a_host_away_when_no_operator_is_there(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        objects = await everything(dpf)

        # Finalizers of all three kinds are on by now; from here on nobody takes them off.
        async with backend.simulator(operator=False) as abandoned, abandoned.client() as other:
            await _copy(dpf, other)
            report = await other.force_delete_dpu_node(view.name, patience=0.3)
            left = await everything(other)

        assert len(objects) == 4
        assert len(report.removed) == 4
        assert left == set()


async def _copy(source: DPFClient, target: DPFClient) -> None:
    """What belongs to hosts, as somebody would restore it from a backup."""
    for kind in (DPUNode, DPUDevice, DPU, DPUNodeMaintenance):
        for obj in (await source.resource(kind).list()).items:
            metadata = {
                "name": obj.name,
                "labels": obj.metadata.labels,
                "annotations": obj.metadata.annotations,
                "finalizers": obj.metadata.finalizers,
            }
            document = obj.model_dump(mode="json", by_alias=True, exclude_unset=True)
            await target.resource(kind).create(
                kind.model_validate({"metadata": metadata, "spec": document["spec"]})
            )

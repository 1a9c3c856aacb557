"""ReprovisionDPU: a DPU object makes way for another one of the same name, whatever happens to the caller."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPFClient, NotFound, WaitTimeout
from dpf_async.models import DPU, known
from tests.integration.backends import Backend


async def test_a_dpu_made_anew_has_another_uid_and_begins_at_the_beginning(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]

        after = await dpf.reprovision_dpu(before.name, timeout=10)

        assert after.name == before.name
        assert after.uid != before.uid
        assert not after.ready


async def test_the_other_dpu_of_the_host_is_left_alone(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)

        await dpf.reprovision_dpu(view.dpus[0].name, timeout=10)

        assert (await dpf.resource(DPU).get(view.dpus[1].name)).uid == view.dpus[1].uid


async def test_the_call_repeated_with_the_same_uid_deletes_nothing_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        first = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=10)

        again = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=10)

        assert again.uid == first.uid


async def test_the_call_repeated_while_no_dpu_is_there_waits_for_the_new_one(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        await _deleted(dpf, before.name)

        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                after = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=10)
                assert after.uid != before.uid

            tasks.start_soon(ask)
            await sim.settled()


async def _deleted(dpf: DPFClient, name: str) -> None:
    """Delete the DPU; its successor may or may not be there when this returns."""
    await dpf.resource(DPU).delete(name)
    await dpf.dpu(name).until_gone(timeout=10)


async def test_a_dpu_that_is_being_deleted_is_not_deleted_a_second_time(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        await dpf.resource(DPU).delete(before.name)
        deleted_at = (await dpf.resource(DPU).get(before.name)).metadata.deletion_timestamp

        with pytest.raises(WaitTimeout):
            await dpf.reprovision_dpu(before.name, timeout=0.3)
        still = await dpf.resource(DPU).get(before.name)
        sim.heal()
        after = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=10)

        assert still.metadata.deletion_timestamp == deleted_at
        assert after.uid != before.uid


async def test_a_dpu_that_is_not_there_is_not_found(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        with pytest.raises(NotFound, match="DPU no-such-dpu"):
            await dpf.reprovision_dpu("no-such-dpu")


async def test_a_dpu_that_does_not_go_is_a_timeout_that_names_its_finalizer(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]

        with pytest.raises(WaitTimeout, match=f"DPU {before.name}.*{known.DPU_FINALIZER}"):
            await dpf.reprovision_dpu(before.name, timeout=0.5)

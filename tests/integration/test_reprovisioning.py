"""ReprovisionDPU: a DPU is replaced by another one with the same name, also after a restart of the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from dpf_async import DPFClient, DPUView, Progress
from dpf_async.errors import DPUInstalling, Forbidden, NotFound, UsageError
from dpf_async.levels import phase_is
from dpf_async.models import DPU, known
from dpf_async.sim import Simulator
from dpf_async.sim.operator import INSTANT
from tests.integration.backends import Backend
from tests.integration.test_flows import Carbide
from tests.support.timeouts import times_out


async def test_a_reprovisioned_dpu_has_another_uid_and_is_not_ready(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]

        after = await dpf.reprovision_dpu(before.name, timeout=60)

        assert after.name == before.name
        assert after.uid != before.uid
        assert not after.ready


async def test_the_other_dpu_of_the_host_is_not_replaced(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)

        await dpf.reprovision_dpu(view.dpus[0].name, timeout=60)

        assert (await dpf.resource(DPU).get(view.dpus[1].name)).uid == view.dpus[1].uid


async def test_a_repeated_call_with_the_same_uid_deletes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        first = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=60)

        again = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=60)

        assert again.uid == first.uid


async def test_a_repeated_call_while_no_dpu_exists_waits_for_the_new_one(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        await _deleted(dpf, before.name)

        async with anyio.create_task_group() as tasks:

            async def reprovision() -> None:
                after = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=60)
                assert after.uid != before.uid

            tasks.start_soon(reprovision)
            await sim.settled()


async def _deleted(dpf: DPFClient, name: str) -> None:
    """Delete the DPU; the one that replaces it may or may not exist on return."""
    await dpf.resource(DPU).delete(name)
    await dpf.dpu(name).until_gone(timeout=60)


async def test_a_dpu_that_is_being_deleted_is_not_deleted_a_second_time(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]
        await dpf.resource(DPU).delete(before.name)
        deleted_at = (await dpf.resource(DPU).get(before.name)).metadata.deletion_timestamp

        await times_out(lambda seconds: dpf.reprovision_dpu(before.name, timeout=seconds), "being deleted")
        still = await dpf.resource(DPU).get(before.name)
        sim.repair()
        after = await dpf.reprovision_dpu(before.name, uid=before.uid, timeout=60)

        assert still.metadata.deletion_timestamp == deleted_at
        assert after.uid != before.uid


async def test_a_missing_dpu_is_not_found(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        with pytest.raises(NotFound, match="DPU no-such-dpu"):
            await dpf.reprovision_dpu("no-such-dpu")


async def test_a_timeout_names_the_finalizer_of_the_old_dpu(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        before = (await sim.ready_node()).dpus[0]

        await times_out(
            lambda seconds: dpf.reprovision_dpu(before.name, timeout=seconds),
            f"DPU {before.name}.*{known.DPU_FINALIZER}",
        )


# A DPU that is being installed: DPF ignores its deletion.


@asynccontextmanager
async def installing(backend: Backend) -> AsyncIterator[tuple[Simulator, DPFClient, DPUView]]:
    """A DPU that stays in OS Installing while the trouble lasts."""
    profile = replace(INSTANT, bound_scale=1.0)
    async with (
        backend.simulator(profile=profile, troubles=["install_timeout"]) as sim,
        sim.client() as dpf,
    ):
        held = await sim.node_waiting_for_hold()
        await dpf.mark_dpu_node_ready_for_maintenance(held.name)
        yield sim, dpf, await dpf.dpu(held.dpus[0].name).until(phase_is("OS Installing"), timeout=60)


async def test_a_dpu_that_is_being_installed_is_refused_if_requested(backend: Backend) -> None:
    async with installing(backend) as (_, dpf, dpu):
        with pytest.raises(DPUInstalling, match=f"DPU {dpu.name} is in phase OS Installing") as caught:
            await dpf.reprovision_dpu(dpu.name, if_installing="refuse")
        with pytest.raises(DPUInstalling, match="nothing was deleted"):
            await Carbide(dpf).reprovision(dpu.node, None, if_installing="refuse")

        assert (caught.value.dpu, caught.value.phase) == (dpu.name, "OS Installing")
        assert not (await dpf.resource(DPU).get(dpu.name)).terminating


async def test_a_dpu_that_is_being_installed_is_replaced_when_the_installation_ends(backend: Backend) -> None:
    async with installing(backend) as (sim, dpf, dpu):
        carbide = Carbide(dpf)
        received: list[str] = []

        def end_trouble(progress: Progress) -> None:
            received.append(str(progress))
            if "DPF does not delete a DPU while it installs" in received[-1]:
                sim.repair()

        after = await carbide.reprovision(dpu.node, {dpu.name: dpu.uid}, progress=end_trouble)

        assert after.ready
        assert after.uids[dpu.name] != dpu.uid
        assert carbide.times("drain") == 1, "the new DPU requested a hold"
        assert any("is deleted; waiting" in text or "was replaced by" in text for text in received)


async def test_a_timeout_during_installation_names_the_phase(backend: Backend) -> None:
    async with installing(backend) as (_, dpf, dpu):
        await times_out(
            lambda seconds: dpf.reprovision_dpu(dpu.name, timeout=seconds),
            "OS Installing .*DPF does not delete a DPU while it installs.*being deleted",
        )


# Missing objects, and DPUs of other hosts.


async def test_a_missing_node_is_not_found_and_nothing_is_deleted(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        with pytest.raises(NotFound, match="there is no DPUNode node-9; nothing was deleted"):
            await Carbide(dpf).reprovision("node-9", None)


async def test_a_dpu_of_another_host_is_refused_before_anything_is_deleted(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        one, two = await sim.ready_node(), await sim.ready_node()

        with pytest.raises(UsageError, match=f"belongs to DPUNode {two.name} and not to {one.name}"):
            await Carbide(dpf).reprovision(one.name, {**one.uids, **two.uids})

        there = {dpu.name: dpu.uid for dpu in (await dpf.resource(DPU).list()).items}
        assert there == {**one.uids, **two.uids}


async def test_without_permission_to_delete_the_host_stays_ready_and_the_error_names_the_dpu() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node()
        sim.server.faults.deny(verb="delete", resource="dpus")

        with pytest.raises(Forbidden, match=f"DPU {before.dpus[0].name}"):
            await Carbide(dpf).reprovision(before.name, None)

        assert (await dpf.node(before.name).view()).ready


async def test_a_deletion_that_meets_a_conflict_is_requested_again() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        ready_ = await sim.ready_node()
        (old,) = ready_.dpus
        sim.server.faults.answer(409, times=1, verb="delete", resource="dpus")

        new = await dpf.reprovision_dpu(old.name, timeout=60)

    assert new.uid != old.uid

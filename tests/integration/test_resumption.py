"""Flows whose worker is killed at some progress report, and which another worker runs again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from dpf_async import DPFClient, Progress, ProgressListener, discover
from dpf_async.errors import DPUFailed
from dpf_async.sim import Simulator
from tests.integration.backends import Backend
from tests.integration.test_flows import Carbide

Flow = Callable[[DPFClient, Carbide, ProgressListener | None], Awaitable[object]]
"""One flow with all its arguments."""

POINTS = (1, 2, 3, 5, 8, 11)
"""The report at which the worker is killed, denser while objects are written; a late one may not occur."""


async def run_with_a_kill(sim: Simulator, flow: Flow, point: int) -> Carbide:
    """Run a flow and kill its worker at the report of this number."""
    async with sim.client() as first, anyio.create_task_group() as tasks:
        carbide, reports = Carbide(first), 0

        def kill(_: Progress) -> None:
            nonlocal reports
            reports += 1
            if reports == point:
                tasks.cancel_scope.cancel()

        async def worker() -> None:
            await flow(first, carbide, kill)

        tasks.start_soon(worker)
    return carbide


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_discovery_is_finished_by_the_next_worker(backend: Backend, point: int) -> None:
    async with backend.simulator() as sim, sim.client() as second:
        await sim.define_site()
        host = sim.host(devices=2)

        await run_with_a_kill(
            sim, lambda dpf, _, progress: discover(dpf, host, timeout=60, progress=progress), point
        )

        assert (await discover(second, host, timeout=60)).discovered


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_provisioning_is_finished_with_its_services(backend: Backend, point: int) -> None:
    async with backend.simulator() as sim, sim.client() as second:
        await sim.define_site()
        host = sim.host(devices=2)

        await run_with_a_kill(
            sim, lambda _, carbide, progress: carbide.provision(host, services=True, progress=progress), point
        )
        view = await Carbide(second).provision(host, services=True)

        assert view.ready
        assert view.services_ready


@pytest.mark.parametrize("point", POINTS)
async def test_a_hold_is_requested_again_after_a_killed_reprovisioning(backend: Backend, point: int) -> None:
    async with backend.simulator() as sim, sim.client() as second:
        await sim.define_site()
        host = sim.host()
        sim.trouble("install_failed")
        with pytest.raises(DPUFailed):
            await Carbide(second).provision(host)
        old = dict((await second.node(host.name).view()).uids)
        sim.repair()

        async def flow(_: DPFClient, carbide: Carbide, progress: ProgressListener | None) -> object:
            return await carbide.reprovision(host.name, old, progress=progress)

        killed = await run_with_a_kill(sim, flow, point)
        carbide = Carbide(second)
        view = await carbide.reprovision(host.name, old)

        assert view.ready
        assert not set(view.uids.values()) & set(old.values())
        assert killed.times("drain") + carbide.times("drain") >= 1, "the hold of the new DPU was requested"

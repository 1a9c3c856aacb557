"""Flows whose worker is killed the moment it tells of something, whatever that is, and is started again elsewhere."""

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
"""The progress after which the worker is killed, denser where things are written; a late one may kill nobody."""


async def run_with_a_kill(sim: Simulator, flow: Flow, point: int) -> Carbide:
    """Kill the worker as it tells of something for the point-th time; have another one run the flow to its end."""
    async with sim.client() as first, anyio.create_task_group() as tasks:
        carbide, told = Carbide(first), 0

        def kill(_: Progress) -> None:
            nonlocal told
            told += 1
            if told == point:
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

        await run_with_a_kill(sim, lambda dpf, _, tell: discover(dpf, host, timeout=60, progress=tell), point)

        assert (await discover(second, host, timeout=60)).discovered


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_provisioning_is_finished_with_its_services(backend: Backend, point: int) -> None:
    async with backend.simulator() as sim, sim.client() as second:
        await sim.define_site()
        host = sim.host(devices=2)

        await run_with_a_kill(
            sim, lambda _, carbide, tell: carbide.provision(host, services=True, progress=tell), point
        )
        view = await Carbide(second).provision(host, services=True)

        assert view.ready
        assert view.services_ready


@pytest.mark.parametrize("point", POINTS)
async def test_a_failed_dpu_asks_again_wherever_its_reprovisioning_was_killed(
    backend: Backend, point: int
) -> None:
    async with backend.simulator() as sim, sim.client() as second:
        await sim.define_site()
        host = sim.host()
        sim.trouble("install_failed")
        with pytest.raises(DPUFailed):
            await Carbide(second).provision(host)
        old = dict((await second.node(host.name).view()).uids)
        sim.repair()

        async def flow(_: DPFClient, carbide: Carbide, tell: ProgressListener | None) -> object:
            return await carbide.reprovision(host.name, old, progress=tell)

        killed = await run_with_a_kill(sim, flow, point)
        carbide = Carbide(second)
        view = await carbide.reprovision(host.name, old)

        assert view.ready
        assert not set(view.uids.values()) & set(old.values())
        assert killed.times("drain") + carbide.times("drain") >= 1, "somebody was asked for the new DPU"

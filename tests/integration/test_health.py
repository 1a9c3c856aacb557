"""The health of hosts under faults: as a stream, as a value, as levels, and with a policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dpf_async import DPFClient, monitor
from dpf_async.errors import UsageError
from dpf_async.health import (
    CriticalServicesDown,
    DPUHealthy,
    DPUNotReady,
    HealthPolicy,
    HealthProblem,
    HealthTransition,
    HealthUnknown,
    KubeNodeNotReady,
    NodeHealth,
    NodeUnusable,
    NodeUsable,
    NonCriticalServicesDown,
    NotReadyBecause,
    Recovered,
)
from dpf_async.levels import healthy, usable
from dpf_async.models import DPUNode, DPUService, DPUServiceConfiguration, DPUServiceTemplate, known
from dpf_async.transitions import NodeGone
from tests.integration.backends import Backend


async def read_until(stream: AsyncIterator[HealthTransition], last: type) -> list[HealthTransition]:
    """The transitions up to and including the first one of that type."""
    received: list[HealthTransition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            received.append(transition)
            if isinstance(transition, last):
                return received
    raise AssertionError("a stream of health transitions does not end by itself")


def kinds(received: list[HealthTransition]) -> list[type]:
    return [type(one) for one in received]


async def test_a_host_is_unusable_while_critical_services_are_down(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        async with dpf.health_transitions() as stream:
            first = await read_until(stream, NodeUsable)
            sim.trouble("critical_service_down")
            down = await read_until(stream, NodeUnusable)
            sim.repair()
            up = await read_until(stream, NodeUsable)

    assert kinds(first) == [DPUHealthy, NodeUsable]
    assert kinds(down) == [CriticalServicesDown, NodeUnusable]
    assert isinstance(down[0], CriticalServicesDown)
    assert (down[0].node, down[0].reason) == (node.name, "PodsNotReady")
    assert kinds(up) == [Recovered, DPUHealthy, NodeUsable]


@pytest.mark.parametrize(
    ("trouble", "problem", "can_be_used"),
    [
        ("critical_service_down", CriticalServicesDown, False),
        ("dpu_node_not_ready", KubeNodeNotReady, False),
        ("service_health_unknown", HealthUnknown, None),
    ],
)
async def test_the_health_shows_a_problem_while_the_phase_stays_ready(
    backend: Backend, trouble: str, problem: type, can_be_used: bool | None
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        node, dpu = dpf.node(view.name), dpf.dpu(view.dpus[0].name)
        before = await node.health()

        sim.trouble(trouble)
        await node.until(~usable, timeout=60)

        health = await node.health()
        assert (before.usable, before.healthy) == (True, True)
        assert problem in {type(one) for one in health.problems}
        assert health.usable is can_be_used
        assert (await dpu.health()).phase == "Ready"
        sim.repair()
        await node.until(healthy, timeout=60)


async def test_services_that_are_not_critical_leave_the_host_usable(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        uncritical = {"metadata": {"labels": {known.CRITICAL_SERVICE_LABEL: None}}}
        for service in (await dpf.resource(DPUService).list()).items:
            await dpf.resource(DPUService).patch(service.name, uncritical)
        async with dpf.node(view.name).health_transitions() as stream:
            await read_until(stream, NodeUsable)
            sim.trouble("other_service_down")
            received = await read_until(stream, NonCriticalServicesDown)

        assert kinds(received) == [NonCriticalServicesDown]
        assert (await dpf.node(view.name).health()).usable is True


async def test_node_effect_after_ready_makes_the_host_unusable_at_once(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        disruptive = {"spec": {"upgradePolicy": {"applyNodeEffect": True}}}
        await dpf.resource(DPUServiceConfiguration).patch("dts", disruptive)
        node = await sim.ready_node()
        async with dpf.node(node.name).health_transitions(down_after=3600) as stream:
            await read_until(stream, NodeUsable)
            await change_the_service(dpf)
            unusable = await read_until(stream, NodeUnusable)
            async with dpf.node(node.name).node_effect_hold(timeout=60):
                pass
            await dpf.node(node.name).until(usable, timeout=60)
            back = await read_until(stream, NodeUsable)

    (problem,) = (one for one in unusable if isinstance(one, DPUNotReady))
    assert problem.why is NotReadyBecause.NODE_EFFECT
    assert problem.phase == "Node Effect"
    assert Recovered in kinds(back)


async def change_the_service(dpf: DPFClient) -> None:
    chart = {"spec": {"helmChart": {"source": {"version": "2.0.0"}}}}
    await dpf.resource(DPUServiceTemplate).patch("dts", chart)


async def test_a_selector_matches_hosts_and_follows_changes_of_their_labels(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        await dpf.resource(DPUNode).patch(node.name, {"metadata": {"labels": {"rack": "1"}}})
        async with dpf.health_transitions(label_selector="rack=1") as stream:
            await read_until(stream, NodeUsable)
            await dpf.resource(DPUNode).patch(node.name, {"metadata": {"labels": {"rack": "2"}}})
            received = await read_until(stream, NodeGone)
            left = stream.health(node.name)

    assert received[-1].node == node.name
    assert left is None


async def test_seconds_below_zero_are_a_usage_error(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(UsageError, match="down_after=-1"):
            site.dpf.health_transitions(down_after=-1)
        with pytest.raises(UsageError, match="up_after=nan"):
            await monitor(site.dpf, HealthPolicy(), up_after=float("nan"))
        with pytest.raises(UsageError, match="async with"):
            await anext(site.dpf.health_transitions())


# A policy.


class Pool(HealthPolicy):
    """A minimal pool of hosts that records its calls."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.calls: list[str] = []
        self.failing: set[str] = set()
        self.changed = anyio.Event()

    async def remove_from_pool(self, host: NodeHealth) -> None:
        self.hosts.discard(host.node)
        self._write("remove_from_pool")

    async def return_to_pool(self, host: NodeHealth) -> None:
        self.hosts.add(host.node)
        self._write("return_to_pool")

    async def note(self, host: NodeHealth) -> None:
        self._write(f"note {', '.join(type(one).__name__ for one in host.problems) or 'nothing'}")

    async def investigate(self, host: NodeHealth, problem: HealthProblem) -> None:
        self._write(f"investigate {type(problem).__name__}")

    async def discard(self, node: str) -> None:
        self._write("discard")

    def _write(self, act: str) -> None:
        if act in self.failing:
            raise ConnectionError("the inventory is down")
        self.calls.append(act)
        self.changed.set()
        self.changed = anyio.Event()

    async def did(self, act: str) -> None:
        """Wait until this is the last recorded call."""
        with anyio.fail_after(60):
            while not self.calls or self.calls[-1] != act:
                await self.changed.wait()


@asynccontextmanager
async def monitored(dpf: DPFClient, pool: Pool, **options: Any) -> AsyncIterator[None]:
    """A monitor that is cancelled when the block is left."""
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(dpf, pool, **options)

        tasks.start_soon(run)
        yield
        tasks.cancel_scope.cancel()


async def test_a_policy_removes_and_returns_hosts_and_discards_deleted_ones(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        pool = Pool()
        async with monitored(dpf, pool):
            await pool.did("return_to_pool")
            sim.trouble("critical_service_down")
            await pool.did("remove_from_pool")
            sim.repair()
            await pool.did("return_to_pool")
            await dpf.delete_dpu_node(node.name, timeout=60)
            await pool.did("discard")

    assert pool.calls[:3] == ["return_to_pool", "remove_from_pool", "return_to_pool"]
    assert pool.calls[3:].count("remove_from_pool") == 1


async def test_a_new_monitor_acts_on_what_changed_while_none_was_running(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        pool = Pool()
        async with monitored(dpf, pool):
            await pool.did("return_to_pool")
        sim.trouble("dpu_node_not_ready")
        await sim.settled()

        async with monitored(dpf, pool):
            await pool.did("remove_from_pool")
            assert node.name not in pool.hosts

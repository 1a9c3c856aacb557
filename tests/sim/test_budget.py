"""How many requests one simulated host may cost. What they cost in CPU is measured by benchmarks/simulated_host.py."""

from __future__ import annotations

from collections import Counter

from benchmarks.simulated_host import host_costs, recorded_requests

from dpf_async.models import ObjectMeta, Secret
from dpf_async.sim import Simulator

BUDGET = 60
"""Requests of operator and client for one host with one DPU, from its registration until nothing is left to do."""

BUDGET_OF_READY_NODE = 66
"""The same for Simulator.ready_node(), which also reads single objects: before each answer, and of the final state."""

HOSTS = 3
"""The cheapest one counts: on a busy machine the operator may write a summary more often."""


async def test_a_host_is_provisioned_within_the_request_budget() -> None:
    costs = await host_costs(HOSTS)

    cheapest = min(costs, key=lambda cost: cost.requests.total())
    assert cheapest.requests.total() <= BUDGET, dict(cheapest.requests)


async def test_a_ready_node_of_the_simulator_stays_within_the_request_budget() -> None:
    async with Simulator() as sim:
        await sim.ready_node()
        counts: list[Counter[str]] = []
        with recorded_requests(sim.server) as requests:
            for _ in range(HOSTS):
                requests.clear()
                await sim.ready_node()
                counts.append(Counter(requests))

    cheapest = min(counts, key=lambda count: count.total())
    assert cheapest.total() <= BUDGET_OF_READY_NODE, dict(cheapest)


async def test_settled_costs_one_request_when_the_caches_are_current() -> None:
    async with Simulator() as sim:
        await sim.ready_node()
        with recorded_requests(sim.server) as requests:
            await sim.settled()

    assert requests == {"list dpfoperatorconfigs": 1}


async def test_settled_compares_all_objects_after_a_write_to_an_object_that_is_not_watched() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.ready_node()
        await dpf.resource(Secret).create(Secret(metadata=ObjectMeta(name="other")))
        with recorded_requests(sim.server) as requests:
            await sim.settled()
            assert requests["list dpus"] == 1

            requests.clear()
            await sim.settled()

    assert requests == {"list dpfoperatorconfigs": 1}

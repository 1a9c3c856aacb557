"""The requests and the CPU of one simulated host from registration to Ready: `python -m benchmarks.simulated_host`.

The embedded server, the simulated operator and the client share one process and one event loop, so the CPU is that of
all three. The first host also pays for what is done once per process or per client (lists of the client's caches,
compiled schemas); it is the warm-up and does not count.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import structlog

from dpf_async import DPFClient, provision
from dpf_async.sim import Simulator
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.sim.apiserver.faults import Answer, Request

__all__ = ["HostCost", "host_costs", "main", "recorded_requests"]


@dataclass(frozen=True, slots=True)
class HostCost:
    """The cost of one host.

    Attributes:
        requests: by verb and resource, such as "patch dpus/status".
        cpu: seconds of this process.
    """

    requests: Counter[str]
    cpu: float

    @property
    def verbs(self) -> Counter[str]:
        """The requests by verb."""
        verbs: Counter[str] = Counter()
        for request, count in self.requests.items():
            verbs[request.partition(" ")[0]] += count
        return verbs


@contextmanager
def recorded_requests(server: EmbeddedServer) -> Iterator[Counter[str]]:
    """Count the requests that arrive at a server within the block, by verb and resource."""
    requests: Counter[str] = Counter()
    planned_answer = server.faults.planned_answer

    def record(request: Request) -> Answer | None:
        requests[f"{request.verb} {request.resource}"] += 1
        return planned_answer(request)

    # The server asks its faults once for each request, before anything else is done with it.
    server.faults.planned_answer = record  # type: ignore[method-assign]
    try:
        yield requests
    finally:
        server.faults.planned_answer = planned_answer  # type: ignore[method-assign]


async def host_costs(hosts: int, *, devices: int = 1) -> list[HostCost]:
    """Register and provision hosts one after the other on one site, after one as warm-up.

    Args:
        hosts: how many to measure.
        devices: DPUs of each host.
    """
    async with Simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        with recorded_requests(sim.server) as requests:
            await _provision(sim, dpf, devices)
            costs = []
            for _ in range(hosts):
                requests.clear()
                started = time.process_time()
                await _provision(sim, dpf, devices)
                costs.append(HostCost(Counter(requests), time.process_time() - started))
        return costs


async def _provision(sim: Simulator, dpf: DPFClient, devices: int) -> None:
    host = sim.host(devices=devices)

    async def reboot(_: str) -> None:
        """The simulated host needs no time for a reboot."""

    await provision(dpf, host, reboot=reboot, services=True, timeout=300)
    # What the operator writes after the host is Ready belongs to the cost of this host.
    await sim.settled()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the cost of each host and the medians; the exit status is 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated_host",
        description="Measure the requests and the CPU of one simulated host from registration to Ready.",
    )
    parser.add_argument("--hosts", type=int, default=10, help="hosts to measure, after one as warm-up")
    parser.add_argument("--devices", type=int, default=1, help="DPUs of each host")
    parser.add_argument(
        "--resources", action="store_true", help="also print the requests by verb and resource"
    )
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    costs = anyio.run(lambda: host_costs(options.hosts, devices=options.devices))
    for number, cost in enumerate(costs, 1):
        verbs = ", ".join(f"{verb} {count}" for verb, count in cost.verbs.most_common())
        print(f"host {number}: {cost.requests.total()} requests ({verbs}), {cost.cpu:.3f} s of CPU")
    if options.resources:
        for request, count in costs[-1].requests.most_common():
            print(f"  {count:3} {request}")
    requests = statistics.median(cost.requests.total() for cost in costs)
    cpu = statistics.median(cost.cpu for cost in costs)
    print(f"median: {requests:g} requests, {cpu:.3f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())

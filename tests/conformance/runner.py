"""Runs every scenario on both servers and compares the answers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio

from dpf_async.sim.apiserver import EmbeddedServer
from tests.conformance.comparison import Difference, compare
from tests.conformance.exchanges import Scenario
from tests.conformance.masks import masked
from tests.conformance.servers import Answer, Server, connected

__all__ = ["Comparison", "compared", "embedded"]

Manifest = dict[str, Any]  # Any: it is JSON

_USER: Final = "test-admin"
_TOKEN: Final = "conformance"
_CONCURRENT_SCENARIOS: Final = 8
"""Watches that are read to their end take a second each; chosen."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scenarios that ran on both servers, and the differences of the answers."""

    scenarios: tuple[Scenario, ...]
    differences: tuple[Difference, ...]

    @property
    def exchanges(self) -> int:
        """The number of exchanges."""
        return sum(len(scenario.all()) for scenario in self.scenarios)


@asynccontextmanager
async def embedded(manifests: Iterable[Manifest], *, release: str) -> AsyncGenerator[Server]:
    """Start an embedded server with these CRDs, of a release such as v1.37.2, and connect to it."""
    minor = re.match(r"v1\.(\d+)", release)
    assert minor, release
    # The real server runs without controllers as well.
    server = EmbeddedServer(crds=manifests, tokens={_TOKEN: _USER}, minor=int(minor[1]), controllers=False)

    async def compact() -> None:
        server.compact()

    async with server, connected("embedded", server.url, token=_TOKEN, compact=compact) as connection:
        yield connection


async def compared(ours: Server, theirs: Server, scenarios: Sequence[Scenario], *, prefix: str) -> Comparison:
    """Run the scenarios on both servers; the differences are in the order of the scenarios.

    Scenarios that compact the history are skipped if a server does not support it.

    Args:
        ours: the embedded server.
        theirs: the real server.
        scenarios: the scenarios to run.
        prefix: of the created namespaces; no other client may use it.
    """
    can_compact = ours.compact is not None and theirs.compact is not None
    scenarios = [each for each in scenarios if can_compact or not each.compacts]
    found: dict[str, list[Difference]] = {}
    limit = anyio.CapacityLimiter(_CONCURRENT_SCENARIOS)

    async def run(scenario: Scenario) -> None:
        async with limit:
            namespace = f"{prefix}-{scenario.name}"
            answers: dict[str, dict[str, Answer]] = {}

            async def on(server: Server) -> None:
                await _create_namespace(server, namespace)
                answers[server.name] = await server.run(scenario, namespace)

            async with anyio.create_task_group() as group:
                group.start_soon(on, ours)
                group.start_soon(on, theirs)
            found[scenario.name] = _differences(
                scenario, masked(answers[ours.name], namespace), masked(answers[theirs.name], namespace)
            )

    # A compaction affects all scenarios, so those that compact run after the others.
    for compacts in (False, True):
        async with anyio.create_task_group() as group:
            for scenario in scenarios:
                if scenario.compacts is compacts:
                    group.start_soon(run, scenario)
    differences = [difference for scenario in scenarios for difference in found[scenario.name]]
    return Comparison(tuple(scenarios), tuple(differences))


async def _create_namespace(server: Server, name: str) -> None:
    async with server.session.post("/api/v1/namespaces", json={"metadata": {"name": name}}) as response:
        assert response.status == 201, await response.text()


def _differences(scenario: Scenario, ours: dict[str, Any], theirs: dict[str, Any]) -> list[Difference]:
    return [
        difference
        for exchange in scenario.all()
        for difference in compare(
            f"{scenario.name}/{exchange.label}", ours[exchange.label], theirs[exchange.label]
        )
    ]

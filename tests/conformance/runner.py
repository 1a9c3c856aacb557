"""Plays every scenario on both servers and compares the answers."""

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
_AT_ONCE: Final = 8
"""Scenarios that run at the same time: watches that are read to their end take a second each."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was played on both servers, and where their answers differ."""

    played: tuple[Scenario, ...]
    differences: tuple[Difference, ...]

    @property
    def exchanges(self) -> int:
        """How many were played."""
        return sum(len(scenario.all()) for scenario in self.played)


@asynccontextmanager
async def embedded(manifests: Iterable[Manifest], *, release: str) -> AsyncGenerator[Server]:
    """An embedded server with these definitions, of a release such as v1.37.2, and a connection to it."""
    minor = re.match(r"v1\.(\d+)", release)
    assert minor, release
    # Beside the real server there are no controllers either.
    server = EmbeddedServer(crds=manifests, tokens={_TOKEN: _USER}, minor=int(minor[1]), controllers=False)

    async def forget() -> None:
        server.compact()

    async with server, connected("embedded", server.url, token=_TOKEN, forget=forget) as connection:
        yield connection


async def compared(ours: Server, theirs: Server, scenarios: Sequence[Scenario], *, prefix: str) -> Comparison:
    """Play the scenarios on both; what differs comes in their order.

    Scenarios that need a forgotten history are left out where a server cannot be made to forget.

    Args:
        ours: the embedded server.
        theirs: the real one.
        scenarios: to be played.
        prefix: of the namespaces that are made, which nobody else may use.
    """
    can_forget = ours.forget is not None and theirs.forget is not None
    scenarios = [each for each in scenarios if can_forget or not each.forgets]
    found: dict[str, list[Difference]] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def play(scenario: Scenario) -> None:
        async with limit:
            namespace = f"{prefix}-{scenario.name}"
            answers: dict[str, dict[str, Answer]] = {}

            async def on(server: Server) -> None:
                await _create_namespace(server, namespace)
                answers[server.name] = await server.play(scenario, namespace)

            async with anyio.create_task_group() as group:
                group.start_soon(on, ours)
                group.start_soon(on, theirs)
            found[scenario.name] = _differences(
                scenario, masked(answers[ours.name], namespace), masked(answers[theirs.name], namespace)
            )

    # History is forgotten for everybody: whoever does so plays alone.
    for alone in (False, True):
        async with anyio.create_task_group() as group:
            for scenario in scenarios:
                if scenario.forgets is alone:
                    group.start_soon(play, scenario)
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

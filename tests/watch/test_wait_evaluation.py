"""Waits are evaluated for states that existed on the server, never for a partly applied list. Over sockets."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from dpf_async import DPFClient, NodeView
from dpf_async.levels import Level, ready
from tests.support.objects import Obj, dpu, event, maintenance, node
from tests.support.scripted import Exchange, Scripted, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))

LONG = 600.0
"""Seconds in which a wait would have ended."""

HOST = node("node-1", 5, devices=["device-of-a", "device-of-b"])


def undecodable(obj: Obj, version: int) -> Obj:
    """The object in a state that its kind does not allow."""
    made = copy.deepcopy(obj)
    made["metadata"].update(resourceVersion=str(version), labels="not a map")
    return made


@asynccontextmanager
async def waiting(dpf: DPFClient, level: Level[NodeView]) -> AsyncIterator[list[NodeView]]:
    """A wait for the host in a task of its own; its result is added to the list."""
    ended: list[NodeView] = []

    async def wait() -> None:
        ended.append(await dpf.node("node-1").until(level))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        yield ended
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "sibling",
    [
        pytest.param([], id="deleted"),
        pytest.param([dpu("b", 120, "Rebooting")], id="not ready any more"),
        pytest.param([dpu("b", 120, "Pending", uid="u2")], id="re-created"),
    ],
)
@virtual_time
async def test_a_wait_is_evaluated_for_the_complete_state_of_a_list_only(sibling: list[Obj]) -> None:
    async with (
        Scripted(HOST, dpu("a", 10, "OS Installing"), dpu("b", 11, "Ready")) as server,
        server.client() as dpf,
        waiting(dpf, ready) as ended,
    ):
        watch = await server.watch("dpus")
        # Inside the gap b is deleted and a becomes Ready later: the two were never Ready at the same time.
        server.objects, server.version = [HOST, dpu("a", 121, "Ready"), *sibling], "130"
        await watch.end(EXPIRED)
        await anyio.sleep(LONG)
        now = await dpf.node("node-1").view()

        assert ended == []
        assert not now.ready
        assert now.phases["a"] == "Ready"


@virtual_time
async def test_an_object_that_can_be_decoded_again_was_not_deleted_in_between() -> None:
    none_left = Level[NodeView](
        "no DPU left", lambda view: not view.dpus and not view.unreadable, survives_failure=True
    )
    a = dpu("a", 10, "Ready")
    async with (
        Scripted(HOST, a) as server,
        server.client() as dpf,
        waiting(dpf, none_left) as ended,
    ):
        watch = await server.watch("dpus")
        await watch.send(event("MODIFIED", undecodable(a, 101)), server.modified(dpu("a", 102, "Ready")))
        await anyio.sleep(1)
        assert ended == []

        await watch.send(server.deleted(dpu("a", 103, "Ready")))
        await anyio.sleep(1)

    assert len(ended) == 1


@virtual_time
async def test_a_hold_that_could_not_be_decoded_in_between_is_released() -> None:
    hold = maintenance("node-1-hold", 10)
    written: list[tuple[str, str]] = []

    async def other(exchange: Exchange) -> None:
        written.append((exchange.request.method, exchange.request.path.rsplit("/", 1)[-1]))
        await exchange.answer(200, hold)

    async with Scripted(HOST, hold) as server, server.client() as dpf:
        server.on_other = other
        async with dpf.node("node-1").node_effect_hold():
            watch = await server.watch("dpunodemaintenances")
            await watch.send(event("MODIFIED", undecodable(hold, 101)))
            await anyio.sleep(1)
            await watch.send(event("MODIFIED", maintenance("node-1-hold", 102)))
            await anyio.sleep(1)

    assert written == [("PATCH", "node-1-hold")]


@virtual_time
async def test_an_object_that_became_decodable_and_ready_inside_a_gap_ends_its_wait() -> None:
    a = dpu("a", 10, "OS Installing")
    async with Scripted(a) as server, server.client() as dpf, anyio.create_task_group() as tasks:

        async def repaired() -> None:
            watch = await server.watch("dpus")
            await watch.send(event("MODIFIED", undecodable(a, 101)))
            await anyio.sleep(1)
            server.modified(dpu("a", 120, "Ready"))
            await watch.end(EXPIRED)

        tasks.start_soon(repaired)
        view = await dpf.dpu("a").until(ready, timeout=LONG)

    assert view.state.resource_version == "120"

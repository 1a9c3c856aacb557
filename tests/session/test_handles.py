"""Handles: what a handle on a node and one on any other object have in common. Over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPUView
from dpf_async.errors import DecodeError, DPUFailed, NotFound, ObjectReplaced, WaitTimeout
from dpf_async.levels import Level, discovered, ready
from dpf_async.models import DPU, DPUNode
from tests.support.objects import dpu, node
from tests.support.scripted import Scripted, answering
from tests.support.virtual_time import virtual_time

NEVER = Level[object]("never", lambda _: False)


@virtual_time
async def test_a_deleted_object_ends_a_wait_with_the_same_error_for_every_handle() -> None:
    async with (
        Scripted(node("a", 10), dpu("a", 11, "Pending", node="b")) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        errors: dict[str, ObjectReplaced] = {}

        async def wait(name: str) -> None:
            handle = dpf.node("a") if name == "node" else dpf.dpu("a")
            with pytest.raises(ObjectReplaced) as raised:
                await handle.until(NEVER)
            errors[name] = raised.value

        tasks.start_soon(wait, "node")
        tasks.start_soon(wait, "dpu")
        nodes, dpus = await server.watch("dpunodes"), await server.watch("dpus")
        await nodes.send(server.deleted(node("a", 101)))
        await dpus.send(server.deleted(dpu("a", 102, node="b")))

    for error in errors.values():
        assert (error.old_uid, error.new_uid) == ("uid-of-a", None)
    assert "DPUNode a was deleted while waiting for never; it was " in str(errors["node"])
    assert "DPU a was deleted while waiting for never; it was Pending" in str(errors["dpu"])


@virtual_time
async def test_a_failed_dpu_ends_the_wait_for_it_and_for_its_node() -> None:
    async with Scripted(node("node-1", 10), dpu("a", 11, "Error")) as server, server.client() as dpf:
        with pytest.raises(DPUFailed) as of_dpu:
            await dpf.dpu("a").until(ready)
        with pytest.raises(DPUFailed) as of_node:
            await dpf.node("node-1").until(ready)
        found = await dpf.node("node-1").until(discovered | ~ready)

    assert (of_dpu.value.dpu, of_node.value.dpu) == ("a", "a")
    assert found.failed_dpus


@virtual_time
async def test_a_timeout_of_a_node_before_the_first_list_says_that_its_state_is_unknown() -> None:
    async with Scripted(node("a", 10)) as server, server.client() as dpf:
        server.refuse()
        with pytest.raises(WaitTimeout) as raised:
            await dpf.node("a").until(ready, timeout=20)

    assert "DPUNode a: not ready after 20 s; its state is unknown" in str(raised.value)
    assert "the watch is " in str(raised.value)


@virtual_time
async def test_an_absent_object_has_no_view_and_an_undecodable_one_raises_a_decode_error() -> None:
    invalid = dpu("b", 11)
    invalid["spec"] = "not an object"
    async with Scripted(invalid) as server, server.client() as dpf:
        with pytest.raises(NotFound, match="there is no DPU a"):
            await dpf.dpu("a").view()
        absent = await dpf.dpu("a").find()
        with pytest.raises(DecodeError, match="DPU b"):
            await dpf.dpu("b").find()
        with pytest.raises(WaitTimeout, match="DPU b: not ready after 0 s; it exists but cannot be decoded"):
            await dpf.dpu("b").until(ready, timeout=0)

    assert absent is None


@virtual_time
async def test_a_handle_of_any_kind_on_a_dpu_is_a_dpu_handle() -> None:
    async with Scripted(dpu("a", 10, "Ready")) as server, server.client() as dpf:
        handle = dpf.handle(DPU, "a")
        view = await handle.view()
        kind = type(dpf.dpu("a"))

    assert type(handle) is kind
    assert (view.phase, handle.kind, handle.describe(view)) == ("Ready", "DPU", "Ready")


@virtual_time
async def test_an_observed_level_is_decided_by_a_state_that_passed_while_the_block_ran() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
    ):
        handle = dpf.dpu("a")
        await handle.view()
        watch = await server.watch()
        rebooting: Level[DPUView | None] = Level(
            "rebooting", lambda view: view is not None and view.phase == "Rebooting"
        )
        async with handle.observe(rebooting) as wait:
            before = wait.is_decided
            await watch.send(
                server.modified(dpu("a", 101, "Rebooting")), server.modified(dpu("a", 102, "Ready"))
            )
            await anyio.sleep(1)
            after = wait.is_decided

    assert (before, after) == (False, True)


@virtual_time
async def test_the_latest_state_is_read_from_the_server_and_later_views_include_it() -> None:
    async with Scripted(node("node-1", 10)) as server, server.client() as dpf:
        await dpf.node("node-1").view()
        watch = await server.watch("dpunodes")
        line = server.modified(node("node-1", 101))
        server.on_other = answering(200, node("node-1", 101))
        latest = await dpf.resource(DPUNode).latest_state("node-1", "uid-of-node-1")
        read: list[str] = []

        async def view() -> None:
            found = (await dpf.node("node-1").view()).node
            assert found is not None
            read.append(found.resource_version)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(view)
            await anyio.sleep(1)
            before = list(read)
            await watch.send(line)

    assert latest is not None
    assert latest.resource_version == "101"
    assert before == []
    assert read == ["101"]

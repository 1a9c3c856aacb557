"""Read your writes: a read includes this client's earlier writes, and waits for nothing else. Over sockets.

Source: docs/watching.md#own-writes.
"""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from dpf_async import DPUView
from dpf_async.errors import DecodeError
from dpf_async.models import DPU, DPUNode
from dpf_async.transitions import NodeAppeared
from tests.support.objects import Obj, bookmark, dpu, event, node
from tests.support.scripted import Script, Scripted, answering
from tests.support.virtual_time import virtual_time

DELETED = {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"uid": "uid-of-a"}}


def stored(obj: Obj) -> Script:
    """A script: the response to a write."""
    return answering(200, obj)


@virtual_time
async def test_g19_a_read_after_a_write_waits_until_the_watch_sends_the_write() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        await dpf.dpu("a").view()
        watch = await server.watch()
        server.on_other = stored(dpu("a", 101, "Ready"))
        await dpf.resource(DPU).patch("a", {"metadata": {"annotations": {"x": "y"}}})
        returned: list[str] = []

        async def read() -> None:
            returned.append((await dpf.dpu("a").view()).state.resource_version)

        tasks.start_soon(read)
        await anyio.sleep(10)
        before = list(returned)
        await watch.send(server.modified(dpu("a", 101, "Ready")))

    assert before == []
    assert returned == ["101"]


@pytest.mark.parametrize(
    "event_",
    [
        bookmark(101),
        event("ADDED", dpu("z", 102)),
        event("MODIFIED", dpu("a", 101) | {"status": {"phase": 7}}),
    ],
    ids=["a bookmark", "another object", "an object that cannot be decoded"],
)
@virtual_time
async def test_g19_any_newer_version_ends_the_wait_for_a_write(event_: bytes) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        await dpf.dpu("a").view()
        watch = await server.watch()
        server.on_other = stored(dpu("a", 101))
        await dpf.resource(DPU).patch("a", {"metadata": {"annotations": {"x": "y"}}})

        async def read() -> None:
            with suppress(DecodeError):
                await dpf.dpu("a").find()

        tasks.start_soon(read)
        await anyio.sleep(1)
        began = anyio.current_time()
        await watch.send(event_)
    took = anyio.current_time() - began

    assert took < 1


@virtual_time
async def test_g19_a_read_does_not_wait_for_a_write_that_changed_nothing() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        await dpf.dpu("a").view()
        server.on_other = stored(dpu("a", 10))
        await dpf.resource(DPU).patch("a", {"metadata": {"annotations": None}})
        with anyio.fail_after(1):
            view = await dpf.dpu("a").view()

    assert view.state.resource_version == "10"


@virtual_time
async def test_g19_a_read_after_a_deletion_does_not_return_the_object() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        await dpf.dpu("a").view()
        watch = await server.watch()
        line = server.deleted(dpu("a", 101))
        server.on_other = stored(DELETED)
        await dpf.resource(DPU).delete("a")
        returned: list[DPUView | None] = []

        async def read() -> None:
            returned.append(await dpf.dpu("a").find())

        tasks.start_soon(read)
        await anyio.sleep(1)
        await watch.send(line)

    assert returned == [None]


@virtual_time
async def test_g19_e1_a_read_does_not_wait_for_a_write_that_a_restored_backup_undid() -> None:
    async with Scripted(dpu("a", 10), version=500) as server, server.client() as dpf:
        await dpf.dpu("a").view()
        watch = await server.watch()
        server.on_other = stored(dpu("a", 501))
        await dpf.resource(DPU).patch("a", {"metadata": {"annotations": {"x": "y"}}})
        await watch.send(server.modified(dpu("a", 501)))
        await dpf.dpu("a").view()
        server.objects, server.version = [dpu("a", 10, "Ready")], "60"
        watch.reset()
        await server.watch()
        with anyio.fail_after(60):
            view = await dpf.dpu("a").view()

    assert view.state.resource_version == "10"


@virtual_time
async def test_g19_e1_a_read_that_waits_for_a_write_ends_when_the_history_goes_back() -> None:
    async with (
        Scripted(dpu("a", 10), version=500) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        await dpf.dpu("a").view()
        watch = await server.watch()
        server.on_other = stored(dpu("a", 501))
        await dpf.resource(DPU).patch("a", {"metadata": {"annotations": {"x": "y"}}})
        returned: list[str] = []

        async def read() -> None:
            returned.append((await dpf.dpu("a").view()).state.resource_version)

        tasks.start_soon(read)
        await anyio.sleep(1)
        before = list(returned)
        server.objects, server.version = [dpu("a", 10, "Ready")], "60"
        watch.reset()
        await server.watch()
        await anyio.sleep(1)
        after = list(returned)
        tasks.cancel_scope.cancel()

    assert before == []
    assert after == ["10"]


@virtual_time
async def test_g19_a_selection_does_not_wait_for_a_write_to_an_object_outside_of_it() -> None:
    outside = node("node-2", 150, labels={"rack": "2"})

    async with (
        Scripted(node("node-1", 10, labels={"rack": "1"})) as server,
        server.client() as dpf,
        dpf.transitions(label_selector="rack=1") as early,
    ):
        assert isinstance(await anext(early), NodeAppeared)
        server.on_other = stored(outside)
        await dpf.resource(DPUNode).patch("node-2", {"metadata": {"labels": {"rack": "2"}}})
        for watch in (await server.watch("dpunodes"), await server.watch("dpunodes")):
            if "labelSelector" not in watch.query:
                await watch.send(event("ADDED", outside))
        with anyio.fail_after(60):
            async with dpf.transitions(label_selector="rack=1") as late:
                assert isinstance(await anext(late), NodeAppeared)

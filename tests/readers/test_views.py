"""views(): an iterator over the views of one object. Over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from dpf_async import DPUView, NodeView
from dpf_async.errors import UsageError
from dpf_async.models import DPU
from tests.support.objects import dpu, event, maintenance, node
from tests.support.scripted import Scripted, answering, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


async def versions(views: AsyncIterator[DPUView | None], count: int) -> list[str | None]:
    """The resourceVersions of the next views; None for an absent object."""
    found = []
    for _ in range(count):
        view = await anext(views)
        found.append(None if view is None else view.state.resource_version)
    return found


async def has_no_more(views: AsyncIterator[object]) -> bool:
    with anyio.move_on_after(60):
        await anext(views)
        return False
    return True


@virtual_time
async def test_the_current_view_is_first_and_each_change_follows() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        first = await versions(views, 1)
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)))
        second = await versions(views, 1)
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        third = await versions(views, 1)

    assert [*first, *second, *third] == ["10", "101", "102"]


@virtual_time
async def test_a_slow_reader_receives_the_newest_view_only() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        await (await server.watch()).send(*(server.modified(dpu("a", 101 + n)) for n in range(50)))
        await anyio.sleep(1)
        read = await versions(views, 1)
        ended = await has_no_more(views)

    assert read == ["150"]
    assert ended


@virtual_time
async def test_changes_of_other_objects_yield_no_view() -> None:
    async with (
        Scripted(dpu("a", 10), dpu("b", 11)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        await (await server.watch()).send(server.modified(dpu("b", 101)))
        ended = await has_no_more(views)

    assert ended


@virtual_time
async def test_an_object_that_does_not_exist_has_the_view_none_until_it_is_created() -> None:
    async with Scripted() as server, server.client() as dpf, dpf.dpu("a").views() as views:
        absent = await anext(views)
        await (await server.watch()).send(server.added(dpu("a", 101)))
        created = await versions(views, 1)

    assert absent is None
    assert created == ["101"]


@virtual_time
async def test_a_node_that_does_not_exist_has_a_view_without_a_node() -> None:
    async with Scripted() as server, server.client() as dpf, dpf.node("node-1").views() as views:
        absent = await anext(views)
        await (await server.watch("dpunodes")).send(server.added(node("node-1", 101)))
        created = await anext(views)

    assert (absent.exists, created.exists) == (False, True)


@virtual_time
async def test_the_views_of_a_node_follow_the_objects_that_refer_to_it() -> None:
    async with (
        Scripted(node("node-1", 10)) as server,
        server.client() as dpf,
        dpf.node("node-1").views() as views,
    ):
        await anext(views)
        await (await server.watch("dpus")).send(server.added(dpu("a", 101)))
        with_dpu = await anext(views)
        await (await server.watch("dpunodemaintenances")).send(server.added(maintenance("m", 102)))
        with_hold: NodeView = await anext(views)

    assert [one.name for one in with_dpu.dpus] == ["a"]
    assert with_hold.hold is not None


@virtual_time
async def test_a_deleted_object_yields_none_and_a_recreated_one_its_new_uid() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        watch = await server.watch()
        await watch.send(server.deleted(dpu("a", 101)))
        deleted = await anext(views)
        await watch.send(server.added(dpu("a", 102, uid="u2")))
        created = await anext(views)

    assert deleted is None
    assert created is not None
    assert created.uid == "u2"


@virtual_time
async def test_an_object_recreated_between_two_reads_is_one_view_with_the_new_uid() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        await (await server.watch()).send(
            server.deleted(dpu("a", 101)), server.added(dpu("a", 102, uid="u2"))
        )
        await anyio.sleep(1)
        created = await anext(views)
        ended = await has_no_more(views)

    assert created is not None
    assert created.uid == "u2"
    assert ended


@virtual_time
async def test_a_change_that_a_broken_watch_missed_is_the_next_view() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        watch = await server.watch()
        server.modified(dpu("a", 101, "Ready"))
        await watch.end(EXPIRED)
        read = await versions(views, 1)
        ended = await has_no_more(views)

    assert read == ["101"]
    assert ended


@virtual_time
async def test_a_relist_that_finds_nothing_new_yields_no_view() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        await (await server.watch()).end(EXPIRED)
        await server.watch()
        ended = await has_no_more(views)

    assert ended


@virtual_time
async def test_an_undecodable_object_has_no_view_until_it_can_be_decoded_again() -> None:
    invalid = dpu("a", 101)
    invalid["spec"] = "not an object"
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
    ):
        await anext(views)
        watch = await server.watch()
        await watch.send(server.modified(invalid))
        ended = await has_no_more(views)
        await watch.send(server.modified(dpu("a", 102)))
        read = await versions(views, 1)

    assert ended
    assert read == ["102"]


@virtual_time
async def test_a_cancelled_read_loses_no_change() -> None:
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        dpf.dpu("a").views() as views,
        anyio.create_task_group() as tasks,
    ):
        await anext(views)
        watch = await server.watch()
        cancelled = anyio.CancelScope()

        async def read() -> None:
            with cancelled:
                await anext(views)
                raise AssertionError("it was cancelled before there was a change")

        tasks.start_soon(read)
        await anyio.sleep(1)
        cancelled.cancel()
        await watch.send(server.modified(dpu("a", 101)))
        await anyio.sleep(1)
        left = await versions(views, 1)

    assert left == ["101"]


@virtual_time
async def test_the_first_view_shows_a_write_that_the_watch_does_not_show_yet() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        await dpf.dpu("a").view()
        watch = await server.watch()
        line = server.modified(dpu("a", 101))
        server.on_other = answering(200, dpu("a", 101))
        await dpf.resource(DPU).patch("a", {"metadata": {"labels": {"x": "y"}}})
        async with anyio.create_task_group() as tasks:
            read: list[str | None] = []

            async def enter() -> None:
                async with dpf.dpu("a").views() as views:
                    read.extend(await versions(views, 1))

            tasks.start_soon(enter)
            await anyio.sleep(1)
            before = list(read)
            await watch.send(line)

    assert before == []
    assert read == ["101"]


@virtual_time
async def test_views_that_are_not_entered_are_refused_and_end_with_their_block() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        views = dpf.dpu("a").views()
        with pytest.raises(UsageError, match=r"handle\.views\(\)"):
            await anext(views)
        async with views:
            await anext(views)
        left = [view async for view in views]

    assert left == []

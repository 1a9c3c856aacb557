"""The first list, and lists after a gap (A of the catalogue). Over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.models import DPU
from dpf_async.watch import Added
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import Obj, dpu, event
from tests.support.scripted import Exchange, Script, Scripted, answering, listing, refusing, status
from tests.support.virtual_time import virtual_time

DPUS = "dpus in namespace dpf-operator-system"
EXPIRED = event("ERROR", status(410, "Expired", message="too old resource version"))


@virtual_time
async def test_a1_existing_objects_are_reported_once_and_then_synced() -> None:
    async with (
        Scripted(dpu("a", 10), dpu("b", 11), dpu("c", 12)) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        received = await next_lines(stream, 4)

    assert received == ["a@10 added (initial)", "b@11 added (initial)", "c@12 added (initial)", "synced"]


@virtual_time
async def test_a1_no_object_is_reported_before_the_last_page_was_read() -> None:
    last_page = anyio.Event()

    async def delayed(exchange: Exchange) -> None:
        await last_page.wait()
        await exchange.answer(200, listing([dpu("b", 11)], 100))

    async with Scripted() as server, server.client() as dpf, anyio.create_task_group() as tasks:
        server.next_lists.extend([answering(200, listing([dpu("a", 10)], 100, continue_="more")), delayed])
        entered: list[str] = []

        async def read() -> None:
            async with dpf.resource(DPU).watch() as stream:
                entered.extend(await initial_lines(stream))

        tasks.start_soon(read)
        await server.until(lambda: len(server.requests) == 2)
        before, state = list(entered), dpf.health[DPUS].state
        last_page.set()
        await server.watch()

    assert before == []
    assert state == "syncing"
    assert entered == ["a@10 added (initial)", "b@11 added (initial)"]


@virtual_time
async def test_a2_an_empty_collection_is_synced_at_once() -> None:
    async with Scripted() as server, server.client() as dpf, dpf.resource(DPU).watch() as stream:
        assert await next_lines(stream, 1) == ["synced"]


@virtual_time
async def test_a3_1250_objects_are_read_in_three_pages_of_one_version() -> None:
    objects = [dpu(f"dpu-{n}", n + 1) for n in range(1250)]

    async with (
        Scripted(*objects, version=2000) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        received = await initial_lines(stream)

    assert len(set(received)) == len(received) == 1250
    assert [dict(request.query) for request in server.asked(watches=False)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "500"},
        {"limit": "500", "continue": "1000"},
    ]


@virtual_time
async def test_a4_a6_a_list_whose_second_page_expired_is_read_again_without_pages() -> None:
    inconsistent = status(410, "Expired", message="continue token is too old")
    inconsistent["metadata"] = {"continue": "a token of another version"}

    async with Scripted(dpu("b", 11), dpu("c", 120), version=120) as server, server.client() as dpf:
        server.next_lists.append(
            answering(200, listing([dpu("deleted", 10), dpu("b", 11)], 100, continue_="2"))
        )
        server.next_lists.append(answering(410, inconsistent))
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
        watch = await server.watch()

    assert received == ["b@11 added (initial)", "c@120 added (initial)"]
    assert [dict(request.query) for request in server.asked(watches=False)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "2"},
        {},
    ]
    assert watch.query["resourceVersion"] == "120"


@virtual_time
async def test_a5_lists_that_expire_every_time_are_retried_with_backoff() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.extend(refusing(410, "Expired") for _ in range(20))
        began = anyio.current_time()
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
        took = anyio.current_time() - began

    assert received == ["a@10 added (initial)"]
    assert len(server.asked(watches=False)) == 21
    assert took > 60  # 19 steps of a backoff up to 30 s each


@virtual_time
async def test_a7_an_item_without_a_kind_has_the_kind_of_its_list() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, dpf.resource(DPU).watch() as stream:
        (first,) = [await anext(stream)]

    assert isinstance(first, Added)
    assert isinstance(first.obj.object, DPU)
    assert (first.obj.kind, first.obj.object.name) == (DPU, "a")
    assert first.obj.object.to_wire()["kind"] == "DPU"


@pytest.mark.parametrize(
    "answer", [{"items": []}, {"metadata": {}, "items": None}, {"metadata": {"resourceVersion": ""}}]
)
@virtual_time
async def test_a8_a_list_without_a_version_is_read_again_before_a_watch_is_opened(
    answer: Obj,
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(answering(200, answer))
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
        await server.watch()

    assert received == ["a@10 added (initial)"]
    assert [request.query["resourceVersion"] for request in server.asked(watches=True)] == ["100"]


@virtual_time
async def test_a8_items_that_are_null_are_an_empty_list() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.next_lists.append(answering(200, listing([], 100) | {"items": None}))
        async with dpf.resource(DPU).watch() as stream:
            assert await next_lines(stream, 1) == ["synced"]


@virtual_time
async def test_a9_a_relist_without_differences_yields_gap_and_resumed_only() -> None:
    async with open_stream(dpu("a", 10), dpu("b", 11)) as (server, _, stream):
        await (await server.watch()).end(EXPIRED)
        again = await server.watch()
        await again.send(server.modified(dpu("b", 101)))
        received = await next_lines(stream, 3)

    assert received == ["gap", "resumed", "b@101 updated (watch)"]


@virtual_time
async def test_a10_a_relist_yields_the_differences_as_not_contiguous_and_without_final_states() -> None:
    existing = [dpu("same", 10), dpu("changed", 11), dpu("gone", 12), dpu("recreated", 13)]

    async with open_stream(*existing) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("changed", 110))
        server.deleted(dpu("gone", 111))
        server.deleted(dpu("recreated", 112))
        server.added(dpu("recreated", 113, uid="u2"))
        server.added(dpu("new", 114))
        await watch.end(EXPIRED)
        received = await next_lines(stream, 7)

    assert received[0] == "gap"
    assert received[-1] == "resumed"
    assert received.index("recreated@13 replaced (relist), final state unknown") + 1 == received.index(
        "recreated#u2@113 added (relist)"
    )
    assert sorted(received[1:-1]) == [
        "changed@110 updated (relist), not contiguous",
        "gone@12 deleted (relist), final state unknown",
        "new@114 added (relist)",
        "recreated#u2@113 added (relist)",
        "recreated@13 replaced (relist), final state unknown",
    ]


@virtual_time
async def test_a11_a_relist_from_a_replica_that_lags_is_not_applied_and_read_again() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        server.next_lists.append(answering(200, listing([dpu("a", 10)], 160)))
        await watch.end(EXPIRED)
        received = await next_lines(stream, 3)
        lists = server.asked(watches=False)

    assert received == ["a@150 updated (watch)", "gap", "resumed"]
    assert len(lists) == 3
    assert all("resourceVersion" not in request.query for request in lists)


@virtual_time
async def test_a16_the_watch_after_a_slow_list_begins_at_the_version_of_the_list() -> None:
    def slowly(answer: Obj) -> Script:
        async def after_50_seconds(exchange: Exchange) -> None:
            await anyio.sleep(50)
            await exchange.answer(200, answer)

        return after_50_seconds

    async with Scripted(version=500) as server, server.client() as dpf:
        server.next_lists.append(slowly(listing([dpu("a", 10)], 100, continue_="2")))
        server.next_lists.append(slowly(listing([dpu("b", 11)], 100)))
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            watch = await server.watch()

    assert watch.query["resourceVersion"] == "100"

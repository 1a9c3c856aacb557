"""The first list, and lists after a gap (A of the catalogue), over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.models import DPU
from dpf_async.watch import Added
from tests.support.event_text import dpu_watch, initial_events, next_events
from tests.support.objects import Obj, dpu, event
from tests.support.scripted import Exchange, Script, Scripted, answering, listing, refusing, status
from tests.support.virtual_time import virtual_time

DPUS = "dpus in namespace dpf-operator-system"
EXPIRED = event("ERROR", status(410, "Expired", message="too old resource version"))


@virtual_time
async def test_a1_what_stands_is_told_once_and_then_synced() -> None:
    async with (
        Scripted(dpu("a", 10), dpu("b", 11), dpu("c", 12)) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        heard = await next_events(stream, 4)

    assert heard == ["a@10 added (initial)", "b@11 added (initial)", "c@12 added (initial)", "synced"]


@virtual_time
async def test_a1_nothing_is_told_before_the_last_page_is_in() -> None:
    last_page = anyio.Event()

    async def hesitate(exchange: Exchange) -> None:
        await last_page.wait()
        await exchange.answer(200, listing([dpu("b", 11)], 100))

    async with Scripted() as server, server.client() as dpf, anyio.create_task_group() as tasks:
        server.next_lists.extend([answering(200, listing([dpu("a", 10)], 100, continue_="more")), hesitate])
        entered: list[str] = []

        async def read() -> None:
            async with dpf.resource(DPU).watch() as stream:
                entered.extend(await initial_events(stream))

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
        assert await next_events(stream, 1) == ["synced"]


@virtual_time
async def test_a3_1250_objects_come_in_three_pages_of_one_moment() -> None:
    objects = [dpu(f"dpu-{n}", n + 1) for n in range(1250)]

    async with (
        Scripted(*objects, version=2000) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        heard = await initial_events(stream)

    assert len(set(heard)) == len(heard) == 1250
    assert [dict(request.query) for request in server.asked(watches=False)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "500"},
        {"limit": "500", "continue": "1000"},
    ]


@virtual_time
async def test_a4_a6_a_list_whose_second_page_expired_starts_over_in_one_piece_and_shows_no_ghost() -> None:
    inconsistent = status(410, "Expired", message="continue token is too old")
    inconsistent["metadata"] = {"continue": "a token of another moment"}

    async with Scripted(dpu("b", 11), dpu("c", 120), version=120) as server, server.client() as dpf:
        server.next_lists.append(
            answering(200, listing([dpu("ghost", 10), dpu("b", 11)], 100, continue_="2"))
        )
        server.next_lists.append(answering(410, inconsistent))
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)
        watch = await server.watch()

    assert heard == ["b@11 added (initial)", "c@120 added (initial)"]
    assert [dict(request.query) for request in server.asked(watches=False)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "2"},
        {},
    ]
    assert watch.query["resourceVersion"] == "120"


@virtual_time
async def test_a5_lists_that_expire_every_time_are_asked_for_less_and_less_often_until_one_comes() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.extend(refusing(410, "Expired") for _ in range(20))
        began = anyio.current_time()
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)
        took = anyio.current_time() - began

    assert heard == ["a@10 added (initial)"]
    assert len(server.asked(watches=False)) == 21
    assert took > 60  # 19 steps of a backoff up to 30 s each


@virtual_time
async def test_a7_an_item_of_a_list_is_of_the_lists_kind_though_it_does_not_say_so() -> None:
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
async def test_a8_a_list_that_does_not_say_its_version_is_read_again_and_nothing_is_watched_from_nowhere(
    answer: Obj,
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(answering(200, answer))
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)
        await server.watch()

    assert heard == ["a@10 added (initial)"]
    assert [request.query["resourceVersion"] for request in server.asked(watches=True)] == ["100"]


@virtual_time
async def test_a8_items_that_are_null_are_no_items() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.next_lists.append(answering(200, listing([], 100) | {"items": None}))
        async with dpf.resource(DPU).watch() as stream:
            assert await next_events(stream, 1) == ["synced"]


@virtual_time
async def test_a9_a_relist_that_changed_nothing_tells_the_reader_nothing_but_the_gap() -> None:
    async with dpu_watch(dpu("a", 10), dpu("b", 11)) as (server, _, stream):
        await (await server.watch()).end(EXPIRED)
        again = await server.watch()
        await again.send(server.modified(dpu("b", 101)))
        heard = await next_events(stream, 3)

    assert heard == ["gap", "resumed", "b@101 updated (watch)"]


@virtual_time
async def test_a10_a_relist_tells_what_differs_and_calls_nothing_contiguous_or_final() -> None:
    stand = [dpu("same", 10), dpu("changed", 11), dpu("gone", 12), dpu("recreated", 13)]

    async with dpu_watch(*stand) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("changed", 110))
        server.deleted(dpu("gone", 111))
        server.deleted(dpu("recreated", 112))
        server.added(dpu("recreated", 113, uid="u2"))
        server.added(dpu("new", 114))
        await watch.end(EXPIRED)
        heard = await next_events(stream, 7)

    assert heard[0] == "gap"
    assert heard[-1] == "resumed"
    assert heard.index("recreated@13 replaced (relist), final state unknown") + 1 == heard.index(
        "recreated#u2@113 added (relist)"
    )
    assert sorted(heard[1:-1]) == [
        "changed@110 updated (relist), not contiguous",
        "gone@12 deleted (relist), final state unknown",
        "new@114 added (relist)",
        "recreated#u2@113 added (relist)",
        "recreated@13 replaced (relist), final state unknown",
    ]


@virtual_time
async def test_a11_a_relist_from_a_replica_that_lags_is_read_again_before_it_is_believed() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        server.next_lists.append(answering(200, listing([dpu("a", 10)], 160)))
        await watch.end(EXPIRED)
        heard = await next_events(stream, 3)
        lists = server.asked(watches=False)

    assert heard == ["a@150 updated (watch)", "gap", "resumed"]
    assert len(lists) == 3
    assert all("resourceVersion" not in request.query for request in lists)


@virtual_time
async def test_a16_a_list_that_took_its_time_is_watched_from_its_own_version() -> None:
    def slowly(answer: Obj) -> Script:
        async def after_50_seconds(exchange: Exchange) -> None:
            await anyio.sleep(50)
            await exchange.answer(200, answer)

        return after_50_seconds

    async with Scripted(version=500) as server, server.client() as dpf:
        server.next_lists.append(slowly(listing([dpu("a", 10)], 100, continue_="2")))
        server.next_lists.append(slowly(listing([dpu("b", 11)], 100)))
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            watch = await server.watch()

    assert watch.query["resourceVersion"] == "100"

"""Several readers of one watch, slow ones and later ones (I of the catalogue). Over sockets.

A fast reader next to the slow one shows when the cache has applied all events.
"""

from __future__ import annotations

import anyio

from dpf_async import ObjectState
from dpf_async.models import DPU
from dpf_async.watch import Added, Deleted, Updated
from tests.support.event_lines import initial_lines, next_lines, open_stream, open_two_streams
from tests.support.objects import dpu, event
from tests.support.scripted import Exchange, Scripted, listing, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@virtual_time
async def test_i1_a_slow_reader_receives_the_newest_state_of_each_object_and_the_number_it_missed() -> None:
    names = [f"dpu-{n}" for n in range(10)]

    async with open_two_streams(*(dpu(name, 1) for name in names)) as (server, _, fast, slow):
        watch = await server.watch()
        for n in range(10_000):
            await watch.send(server.modified(dpu(names[n % 10], 101 + n)))
        while "@10100 updated" not in (await next_lines(fast, 1))[0]:
            pass
        received = [await anext(slow) for _ in names]
        waiting = len(slow._cursor._missed)

    updates = [one for one in received if isinstance(one, Updated)]
    assert len(updates) == 10
    assert [update.after.resource_version for update in updates] == [str(10_091 + n) for n in range(10)]
    assert [update.before.resource_version for update in updates] == ["1"] * 10
    assert {(update.coalesced, update.contiguous) for update in updates} == {(999, False)}
    assert waiting == 0


@virtual_time
async def test_i2_a_slow_reader_receives_a_deletion_and_the_recreated_object() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.modified(dpu("a", 101)),
            server.deleted(dpu("a", 102)),
            server.added(dpu("a", 103, uid="u2")),
            server.modified(dpu("a", 104, uid="u2")),
        )
        while await next_lines(fast, 1) != ["a#u2@104 added (watch)"]:
            pass
        received = await next_lines(slow, 2)

    assert received == ["a@102 replaced (watch)", "a#u2@104 added (watch)"]


@virtual_time
async def test_i2_a_slow_reader_receives_no_event_of_an_object_created_and_deleted_in_between() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.added(dpu("brief", 101)),
            server.deleted(dpu("brief", 102)),
            server.modified(dpu("a", 103)),
        )
        while await next_lines(fast, 1) != ["a@103 updated (watch)"]:
            pass
        received = await next_lines(slow, 1)

    assert received == ["a@103 updated (watch)"]


@virtual_time
async def test_i6_a_slow_reader_does_not_delay_another_reader() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        received = []
        for n in range(3):
            await watch.send(server.modified(dpu("a", 101 + n)))
            received += await next_lines(fast, 1)
        late = await next_lines(slow, 1)

    assert received == [f"a@{101 + n} updated (watch)" for n in range(3)]
    assert late == ["a@103 updated (watch), 2 coalesced"]
    assert len(server.asked(watches=True)) == len(server.asked(watches=False)) == 1


@virtual_time
async def test_a_later_reader_receives_the_existing_objects_and_shares_the_watch() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, early):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)), server.added(dpu("b", 102)))
        await next_lines(early, 2)
        async with dpf.resource(DPU).watch() as late:
            existing = await initial_lines(late)
            await watch.send(server.modified(dpu("b", 103)))
            both = await next_lines(early, 1) + await next_lines(late, 1)

    assert existing == ["a@101 added (initial)", "b@102 added (initial)"]
    assert both == ["b@103 updated (watch)"] * 2
    assert len(server.requests) == 2


@virtual_time
async def test_a_slow_reader_does_not_receive_resumed_inside_a_gap() -> None:
    answer = anyio.Event()

    async def delayed(exchange: Exchange) -> None:
        await answer.wait()
        await exchange.answer(200, listing(server.objects, 110))

    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        await (await server.watch()).end(EXPIRED)
        assert await next_lines(fast, 2) == ["gap", "resumed"]
        watch = await server.watch()
        server.next_lists.append(delayed)
        await watch.end(EXPIRED)
        assert await next_lines(fast, 1) == ["gap"]
        within = await next_lines(slow, 1)
        with anyio.move_on_after(10):
            within += await next_lines(slow, 1)
        answer.set()
        after = await next_lines(slow, 1)

    assert within == ["gap"]
    assert after == ["resumed"]


@virtual_time
async def test_a_slow_reader_receives_resumed_once_for_two_gaps() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        await (await server.watch()).end(EXPIRED)
        assert await next_lines(slow, 1) == ["gap"]
        assert await next_lines(fast, 2) == ["gap", "resumed"]
        watch = await server.watch()
        server.modified(dpu("a", 101))
        await watch.end(EXPIRED)
        while await next_lines(fast, 1) != ["resumed"]:
            pass
        watch = await server.watch()
        await watch.send(server.added(dpu("z", 102)))
        received = await next_lines(slow, 3)

    assert received == ["a@101 updated (relist), not contiguous", "resumed", "z@102 added (watch)"]


@virtual_time
async def test_a_reader_that_starts_inside_a_gap_receives_the_gap() -> None:
    answer = anyio.Event()

    async def delayed(exchange: Exchange) -> None:
        await answer.wait()
        await exchange.answer(200, listing([dpu("a", 101)], 110))

    async with open_stream(dpu("a", 10)) as (server, dpf, early):
        watch = await server.watch()
        server.next_lists.append(delayed)
        await watch.end(EXPIRED)
        await next_lines(early, 1)
        async with dpf.resource(DPU).watch() as late:
            received = await next_lines(late, 3)
            answer.set()
            received += await next_lines(late, 2)

    assert received == [
        "a@10 added (initial)",
        "synced",
        "gap",
        "a@101 updated (relist), not contiguous",
        "resumed",
    ]


@virtual_time
async def test_a_slow_reader_receives_a_rewind_even_after_another_list() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        server.objects, server.version = [dpu("a", 5)], "50"
        watch.reset()
        while (await next_lines(fast, 1)) != ["resumed, rewound"]:
            pass
        await (await server.watch()).end(EXPIRED)
        while (await next_lines(fast, 1)) != ["resumed"]:
            pass
        received = [await next_lines(slow, 1) for _ in range(3)]

    assert ["resumed, rewound"] in received


@virtual_time
async def test_a_slow_reader_receives_no_unreadable_object_that_can_be_decoded_again() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        bad = event("MODIFIED", dpu("a", 102) | {"status": {"phase": 7}})
        await watch.send(server.modified(dpu("a", 101)), bad, server.modified(dpu("a", 103)))
        await watch.send(server.added(dpu("z", 104)))
        while await next_lines(fast, 1) != ["z@104 added (watch)"]:
            pass
        received = await next_lines(slow, 2)

    assert received == ["a@103 updated (watch), 2 coalesced", "z@104 added (watch)"]


@virtual_time
async def test_i2_the_final_state_of_a_reported_object_is_kept_through_later_incarnations() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.deleted(dpu("a", 101, "Deleting")),
            server.added(dpu("a", 102, uid="u2")),
            server.deleted(dpu("a", 103, uid="u2")),
            server.added(dpu("z", 104)),
        )
        while await next_lines(fast, 1) != ["z@104 added (watch)"]:
            pass
        gone = await anext(slow)

    assert isinstance(gone, Deleted)
    assert isinstance(gone.last, ObjectState)
    assert (gone.last.uid, gone.last.resource_version, gone.last.phase) == ("uid-of-a", "101", "Deleting")
    assert gone.final_state_known


@virtual_time
async def test_two_selections_use_two_watches_and_each_reader_receives_its_own_events() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        resource = dpf.resource(DPU)
        async with (
            resource.watch(label_selector="rack=1") as one,
            resource.watch(label_selector="rack=2") as two,
        ):
            await initial_lines(one)
            await initial_lines(two)
            first, second = await server.watch(), await server.watch()
            by_selector = {watch.query["labelSelector"]: watch for watch in (first, second)}
            await by_selector["rack=2"].send(server.added(dpu("b", 101)))
            await by_selector["rack=1"].send(server.added(dpu("c", 102)))
            received = await anext(one), await anext(two)

    assert [one.obj.name for one in received if isinstance(one, Added)] == ["c", "b"]


@virtual_time
async def test_g16_each_selection_has_its_own_cache_health() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        resource = dpf.resource(DPU)
        async with resource.watch(), resource.watch(label_selector="rack=1"):
            health = dpf.health

    assert len(health) == 2


@virtual_time
async def test_h18_a_watch_without_readers_is_closed_after_a_delay() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with dpf.resource(DPU).watch():
            watch = await server.watch()
        left_at = anyio.current_time()
        async with dpf.resource(DPU).watch():
            pass
        assert not watch.over.is_set()
        await watch.over.wait()
        lingered = anyio.current_time() - left_at

    assert 5 <= lingered <= 6
    assert len(server.requests) == 2

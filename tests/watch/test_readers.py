"""Readers of one watch: the slow, the late, and those beside them (I of the catalogue), over sockets.

A fast reader beside the slow one shows when the picture has taken everything in.
"""

from __future__ import annotations

import anyio

from dpf_async import ObjectState
from dpf_async.models import DPU
from dpf_async.watch import Added, Deleted, Updated
from tests.support.event_text import dpu_watch, dpu_watch_with_slow_reader, initial_events, next_events
from tests.support.objects import dpu, event
from tests.support.scripted import Exchange, Scripted, listing, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@virtual_time
async def test_i1_a_reader_that_sleeps_is_told_the_newest_state_of_each_object_and_how_many_it_missed() -> (
    None
):
    names = [f"dpu-{n}" for n in range(10)]

    async with dpu_watch_with_slow_reader(*(dpu(name, 1) for name in names)) as (server, _, fast, slow):
        watch = await server.watch()
        for n in range(10_000):
            await watch.send(server.modified(dpu(names[n % 10], 101 + n)))
        while "@10100 updated" not in (await next_events(fast, 1))[0]:
            pass
        heard = [await anext(slow) for _ in names]
        waiting = len(slow._cursor._missed)

    updates = [one for one in heard if isinstance(one, Updated)]
    assert len(updates) == 10
    assert [update.after.resource_version for update in updates] == [str(10_091 + n) for n in range(10)]
    assert [update.before.resource_version for update in updates] == ["1"] * 10
    assert {(update.coalesced, update.contiguous) for update in updates} == {(999, False)}
    assert waiting == 0


@virtual_time
async def test_i2_a_reader_that_sleeps_is_told_of_a_deletion_and_of_the_object_that_took_the_name() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.modified(dpu("a", 101)),
            server.deleted(dpu("a", 102)),
            server.added(dpu("a", 103, uid="u2")),
            server.modified(dpu("a", 104, uid="u2")),
        )
        while await next_events(fast, 1) != ["a#u2@104 added (watch)"]:
            pass
        heard = await next_events(slow, 2)

    assert heard == ["a@102 replaced (watch)", "a#u2@104 added (watch)"]


@virtual_time
async def test_i2_a_reader_that_slept_through_a_whole_life_is_told_nothing_of_it() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.added(dpu("brief", 101)),
            server.deleted(dpu("brief", 102)),
            server.modified(dpu("a", 103)),
        )
        while await next_events(fast, 1) != ["a@103 updated (watch)"]:
            pass
        heard = await next_events(slow, 1)

    assert heard == ["a@103 updated (watch)"]


@virtual_time
async def test_i6_a_reader_that_sleeps_does_not_hold_up_the_one_beside_it() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        heard = []
        for n in range(3):
            await watch.send(server.modified(dpu("a", 101 + n)))
            heard += await next_events(fast, 1)
        late = await next_events(slow, 1)

    assert heard == [f"a@{101 + n} updated (watch)" for n in range(3)]
    assert late == ["a@103 updated (watch), 2 coalesced"]
    assert len(server.asked(watches=True)) == len(server.asked(watches=False)) == 1


@virtual_time
async def test_a_reader_that_comes_late_is_told_what_stands_and_shares_the_watch() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, dpf, early):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)), server.added(dpu("b", 102)))
        await next_events(early, 2)
        async with dpf.resource(DPU).watch() as late:
            stands = await initial_events(late)
            await watch.send(server.modified(dpu("b", 103)))
            both = await next_events(early, 1) + await next_events(late, 1)

    assert stands == ["a@101 added (initial)", "b@102 added (initial)"]
    assert both == ["b@103 updated (watch)"] * 2
    assert len(server.requests) == 2


@virtual_time
async def test_a_slow_reader_inside_a_gap_is_not_told_that_it_is_over() -> None:
    go_on = anyio.Event()

    async def hesitate(exchange: Exchange) -> None:
        await go_on.wait()
        await exchange.answer(200, listing(server.objects, 110))

    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        await (await server.watch()).end(EXPIRED)
        assert await next_events(fast, 2) == ["gap", "resumed"]
        watch = await server.watch()
        server.next_lists.append(hesitate)
        await watch.end(EXPIRED)
        assert await next_events(fast, 1) == ["gap"]
        within = await next_events(slow, 1)
        with anyio.move_on_after(10):
            within += await next_events(slow, 1)
        go_on.set()
        after = await next_events(slow, 1)

    assert within == ["gap"]
    assert after == ["resumed"]


@virtual_time
async def test_a_reader_that_slept_through_the_end_of_a_gap_and_another_one_is_told_that_all_is_over() -> (
    None
):
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        await (await server.watch()).end(EXPIRED)
        assert await next_events(slow, 1) == ["gap"]
        assert await next_events(fast, 2) == ["gap", "resumed"]
        watch = await server.watch()
        server.modified(dpu("a", 101))
        await watch.end(EXPIRED)
        while await next_events(fast, 1) != ["resumed"]:
            pass
        watch = await server.watch()
        await watch.send(server.added(dpu("z", 102)))
        heard = await next_events(slow, 3)

    assert heard == ["a@101 updated (relist), not contiguous", "resumed", "z@102 added (watch)"]


@virtual_time
async def test_a_reader_that_comes_inside_a_gap_is_told_of_it() -> None:
    go_on = anyio.Event()

    async def hesitate(exchange: Exchange) -> None:
        await go_on.wait()
        await exchange.answer(200, listing([dpu("a", 101)], 110))

    async with dpu_watch(dpu("a", 10)) as (server, dpf, early):
        watch = await server.watch()
        server.next_lists.append(hesitate)
        await watch.end(EXPIRED)
        await next_events(early, 1)
        async with dpf.resource(DPU).watch() as late:
            heard = await next_events(late, 3)
            go_on.set()
            heard += await next_events(late, 2)

    assert heard == [
        "a@10 added (initial)",
        "synced",
        "gap",
        "a@101 updated (relist), not contiguous",
        "resumed",
    ]


@virtual_time
async def test_a_slow_reader_hears_of_a_rewind_even_if_another_list_came_since() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        server.objects, server.version = [dpu("a", 5)], "50"
        watch.reset()
        while (await next_events(fast, 1)) != ["resumed, rewound"]:
            pass
        await (await server.watch()).end(EXPIRED)
        while (await next_events(fast, 1)) != ["resumed"]:
            pass
        heard = [await next_events(slow, 1) for _ in range(3)]

    assert ["resumed, rewound"] in heard


@virtual_time
async def test_a_slow_reader_is_not_told_that_an_object_is_unreadable_after_it_can_be_read_again() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        bad = event("MODIFIED", dpu("a", 102) | {"status": {"phase": 7}})
        await watch.send(server.modified(dpu("a", 101)), bad, server.modified(dpu("a", 103)))
        await watch.send(server.added(dpu("z", 104)))
        while await next_events(fast, 1) != ["z@104 added (watch)"]:
            pass
        heard = await next_events(slow, 2)

    assert heard == ["a@103 updated (watch), 2 coalesced", "z@104 added (watch)"]


@virtual_time
async def test_i2_the_final_state_of_what_the_reader_knew_is_told_even_after_other_lives() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        watch = await server.watch()
        await watch.send(
            server.deleted(dpu("a", 101, "Deleting")),
            server.added(dpu("a", 102, uid="u2")),
            server.deleted(dpu("a", 103, uid="u2")),
            server.added(dpu("z", 104)),
        )
        while await next_events(fast, 1) != ["z@104 added (watch)"]:
            pass
        gone = await anext(slow)

    assert isinstance(gone, Deleted)
    assert isinstance(gone.last, ObjectState)
    assert (gone.last.uid, gone.last.resource_version, gone.last.phase) == ("uid-of-a", "101", "Deleting")
    assert gone.final_state_known


@virtual_time
async def test_two_selections_are_two_watches_and_each_reader_hears_its_own() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        resource = dpf.resource(DPU)
        async with (
            resource.watch(label_selector="rack=1") as one,
            resource.watch(label_selector="rack=2") as two,
        ):
            await initial_events(one)
            await initial_events(two)
            first, second = await server.watch(), await server.watch()
            by_selector = {watch.query["labelSelector"]: watch for watch in (first, second)}
            await by_selector["rack=2"].send(server.added(dpu("b", 101)))
            await by_selector["rack=1"].send(server.added(dpu("c", 102)))
            heard = await anext(one), await anext(two)

    assert [one.obj.name for one in heard if isinstance(one, Added)] == ["c", "b"]


@virtual_time
async def test_g16_each_selection_has_a_health_of_its_own() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        resource = dpf.resource(DPU)
        async with resource.watch(), resource.watch(label_selector="rack=1"):
            health = dpf.health

    assert len(health) == 2


@virtual_time
async def test_h18_a_watch_that_nobody_wants_any_more_is_closed_after_a_while_and_not_at_once() -> None:
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

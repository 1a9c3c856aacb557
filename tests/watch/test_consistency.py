"""resourceVersions that repeat, go back, or say nothing (E of the catalogue), over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.models import DPU
from tests.support.event_text import dpu_watch, initial_events, next_events
from tests.support.objects import NAMESPACE, Obj, bookmark, dpu, event
from tests.support.scripted import Exchange, Scripted, answering, listing, refusing, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@virtual_time
async def test_e1_a_server_restored_from_a_backup_is_noticed_and_every_write_after_it_is_told() -> None:
    async with dpu_watch(dpu("a", 10), dpu("young", 95), version=100) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_events(stream, 1)
        server.objects, server.version = [dpu("a", 10)], "60"  # restored, before either write
        watch.reset()
        heard = await next_events(stream, 4)
        again = await server.watch()
        await again.send(server.modified(dpu("a", 61)), server.added(dpu("b", 62)))
        heard += await next_events(stream, 2)

    assert heard == [
        "gap",
        "a@10 updated (relist), not contiguous",
        "young@95 deleted (relist), final state unknown",
        "resumed, rewound",
        "a@61 updated (watch)",
        "b@62 added (watch)",
    ]
    assert again.query["resourceVersion"] == "60"


@virtual_time
async def test_e1_a_server_whose_machine_died_without_a_word_and_that_came_back_restored_is_noticed_soon() -> (
    None
):
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_events(stream, 1)
        server.refuse()
        await anyio.sleep(100)  # the old connection stands, half open, and its replacements are refused
        server.objects, server.version = [dpu("a", 61, "Error")], "61"
        await server.listen()
        await server.watch()
        back_at = anyio.current_time()
        heard = await next_events(stream, 3)
        took = anyio.current_time() - back_at

    assert heard == ["gap", "a@61 updated (relist), not contiguous", "resumed, rewound"]
    assert took <= 30 + 30 + 1, "it looks within half a minute, and makes sure within another"


@virtual_time
async def test_e1_a_restored_server_that_ended_the_watch_politely_is_noticed_by_the_audit() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_events(stream, 1)
        server.objects, server.version = [dpu("a", 10)], "60"
        await watch.end()
        ended_at = anyio.current_time()
        heard = await next_events(stream, 3)
        took = anyio.current_time() - ended_at

    assert heard == ["gap", "a@10 updated (relist), not contiguous", "resumed, rewound"]
    assert took <= 720 + 31


@virtual_time
async def test_e2_a_restored_server_that_has_caught_up_with_our_version_is_noticed_by_the_audit() -> None:
    async with dpu_watch(dpu("a", 10), dpu("b", 11)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_events(stream, 1)
        # Restored at 60; since then b was written, 100 times. That a is not Ready any more nobody tells.
        server.objects, server.version = [dpu("a", 10), dpu("b", 160)], "160"
        heard = await next_events(stream, 4)

    assert heard[0] == "gap"
    assert sorted(heard[1:3]) == [
        "a@10 updated (relist), not contiguous",
        "b@160 updated (relist), not contiguous",
    ]
    assert heard[3] == "resumed, rewound"


@virtual_time
async def test_an_audit_that_the_watch_overtakes_is_no_sign_of_a_restored_backup() -> None:
    overtaken = anyio.Event()
    came = anyio.Event()

    async def slow_list(exchange: Exchange) -> None:
        made = listing([dpu("a", 10), dpu("b", 11)], 100)
        came.set()
        await overtaken.wait()
        await exchange.answer(200, made)

    async with dpu_watch(dpu("a", 10), dpu("b", 11)) as (server, dpf, stream):
        server.next_lists.append(slow_list)
        await came.wait()
        watch = await server.watch()
        while server._accepted["dpus"]:
            watch = await server.watch()
        await watch.send(
            server.modified(dpu("a", 101)), server.deleted(dpu("b", 102)), server.added(dpu("c", 103))
        )
        heard = await next_events(stream, 3)
        overtaken.set()
        await server.until(lambda: len(server.requests[-1].query) > 0)
        await anyio.sleep(1)
        await watch.send(server.modified(dpu("a", 104)))
        heard += await next_events(stream, 1)
        (health,) = dpf.health.values()

    assert heard == [
        "a@101 updated (watch)",
        "b@102 deleted (watch)",
        "c@103 added (watch)",
        "a@104 updated (watch)",
    ]
    assert (health.repairs, health.relists, health.state) == (0, 0, "live")


@virtual_time
async def test_e4_a_list_that_the_server_cannot_serve_yet_is_read_again() -> None:
    too_large = refusing(504, "Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge"}]})

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.extend([too_large, too_large])
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)

    assert heard == ["a@10 added (initial)"]
    assert [dict(request.query) for request in server.asked(watches=False)] == [{"limit": "500"}] * 3


@pytest.mark.parametrize("version", [102, 101, 99])
@virtual_time
async def test_e5_e6_a_state_that_was_told_already_or_is_older_is_told_nobody(version: int) -> None:
    async with dpu_watch(dpu("a", 10)) as (server, dpf, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)), server.modified(dpu("a", 102)))
        await watch.send(event("MODIFIED", dpu("a", version)), server.added(dpu("z", 103)))
        heard: list[str] = []
        while not heard or heard[-1] != "z@103 added (watch)":
            heard += await next_events(stream, 1)
        (health,) = dpf.health.values()

    assert heard == ["a@102 updated (watch), 1 coalesced", "z@103 added (watch)"]
    assert health.duplicates == 1


@virtual_time
async def test_e7_e13_a_bookmark_moves_the_version_that_is_resumed_forward_only() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, _):
        await (await server.watch()).end(bookmark(300), bookmark(200))
        first = await server.watch()
        await first.end(event("MODIFIED", dpu("a", 400)), bookmark(350))
        second = await server.watch()

    assert first.query["resourceVersion"] == "300"
    assert second.query["resourceVersion"] == "400"


@virtual_time
async def test_e8_events_out_of_order_resume_from_the_newest() -> None:
    async with dpu_watch() as (server, _, _):
        watch = await server.watch()
        lines = [event("ADDED", dpu(f"dpu-{version}", version)) for version in (105, 103, 109, 104)]
        await watch.end(*lines)
        again = await server.watch()

    assert again.query["resourceVersion"] == "109"


@pytest.mark.parametrize("spoilt", [{"resourceVersion": ""}, {"annotations": {}}])
@virtual_time
async def test_an_event_without_a_version_never_makes_the_watch_start_from_nowhere(spoilt: Obj) -> None:
    metadata = {"name": "b", "namespace": NAMESPACE, "uid": "u", **spoilt}
    readable = dpu("b", 0) | {"metadata": metadata}

    async with dpu_watch(dpu("a", 10)) as (server, _, _):
        unreadable = readable | {"status": {"phase": 7}}
        await (await server.watch()).end(event("ADDED", readable), event("MODIFIED", unreadable))
        again = await server.watch()

    assert again.query["resourceVersion"] == "100"


@virtual_time
async def test_e9_a_server_with_opaque_versions_is_followed_all_the_same() -> None:
    def opaque(version: str, phase: str = "Pending") -> Obj:
        obj = dpu("a", 0, phase)
        obj["metadata"]["resourceVersion"] = version
        return obj

    async with Scripted() as server, server.client() as dpf:
        server.next_lists.append(answering(200, listing([opaque("q7")], "zz")))
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            first = await server.watch()
            await first.send(event("MODIFIED", opaque("b1")))
            heard = await next_events(stream, 1)
            server.next_lists.append(answering(200, listing([opaque("b1")], "bb")))
            first.reset()
            second = await server.watch()
            await second.send(event("MODIFIED", opaque("a0")))
            heard += await next_events(stream, 1)

    assert heard == ["a@b1 updated (watch)", "a@a0 updated (watch)"]
    assert (first.query["resourceVersion"], second.query["resourceVersion"]) == ("zz", "b1")


@virtual_time
async def test_e11_a_deletion_that_the_server_never_told_is_found_by_the_audit_and_counted() -> None:
    async with dpu_watch(dpu("lost", 10), dpu("kept", 11)) as (server, dpf, stream):
        server.deleted(dpu("lost", 101))
        began = anyio.current_time()
        heard = await next_events(stream, 1)
        took = anyio.current_time() - began
        (health,) = dpf.health.values()

    assert heard == ["lost@10 deleted (audit), final state unknown"]
    assert 480 <= took <= 720
    assert (health.repairs, health.relists) == (1, 0)


@virtual_time
async def test_e12_a_missed_event_on_a_busy_object_is_made_good_by_the_next_one() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 101, "OS Installing"))
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        heard = await next_events(stream, 1)

    assert heard == ["a@102 updated (watch)"]

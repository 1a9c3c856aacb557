"""resourceVersions that repeat, go back, or are opaque (E of the catalogue). Over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.models import DPU
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import NAMESPACE, Obj, bookmark, dpu, event
from tests.support.scripted import Exchange, Scripted, answering, listing, refusing, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@virtual_time
async def test_e1_a_restored_server_is_detected_and_every_later_write_is_reported() -> None:
    async with open_stream(dpu("a", 10), dpu("young", 95), version=100) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_lines(stream, 1)
        server.objects, server.version = [dpu("a", 10)], "60"  # restored to a state before both writes
        watch.reset()
        received = await next_lines(stream, 4)
        again = await server.watch()
        await again.send(server.modified(dpu("a", 61)), server.added(dpu("b", 62)))
        received += await next_lines(stream, 2)

    assert received == [
        "gap",
        "a@10 updated (relist), not contiguous",
        "young@95 deleted (relist), final state unknown",
        "resumed, rewound",
        "a@61 updated (watch)",
        "b@62 added (watch)",
    ]
    assert again.query["resourceVersion"] == "60"


@virtual_time
async def test_e1_a_server_that_crashed_and_was_restored_is_detected_within_a_minute() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_lines(stream, 1)
        server.refuse()
        await anyio.sleep(100)  # the old connection is half open, and new connections are refused
        server.objects, server.version = [dpu("a", 61, "Error")], "61"
        await server.listen()
        await server.watch()
        back_at = anyio.current_time()
        received = await next_lines(stream, 3)
        took = anyio.current_time() - back_at

    assert received == ["gap", "a@61 updated (relist), not contiguous", "resumed, rewound"]
    assert took <= 30 + 30 + 1, "an audit within half a minute, and a second list within another"


@virtual_time
async def test_e1_a_restored_server_that_ended_the_watch_without_an_error_is_detected_by_the_audit() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_lines(stream, 1)
        server.objects, server.version = [dpu("a", 10)], "60"
        await watch.end()
        ended_at = anyio.current_time()
        received = await next_lines(stream, 3)
        took = anyio.current_time() - ended_at

    assert received == ["gap", "a@10 updated (relist), not contiguous", "resumed, rewound"]
    assert took <= 720 + 31


@virtual_time
async def test_e2_a_restored_server_with_newer_versions_than_ours_is_detected_by_the_audit() -> None:
    async with open_stream(dpu("a", 10), dpu("b", 11)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 150, "Ready")))
        await next_lines(stream, 1)
        # Restored at 60; since then b was written 100 times. No event reports that a is not Ready any more.
        server.objects, server.version = [dpu("a", 10), dpu("b", 160)], "160"
        received = await next_lines(stream, 4)

    assert received[0] == "gap"
    assert sorted(received[1:3]) == [
        "a@10 updated (relist), not contiguous",
        "b@160 updated (relist), not contiguous",
    ]
    assert received[3] == "resumed, rewound"


@virtual_time
async def test_an_audit_that_is_older_than_the_watch_does_not_indicate_a_restored_backup() -> None:
    may_answer = anyio.Event()
    requested = anyio.Event()

    async def slow_list(exchange: Exchange) -> None:
        answer = listing([dpu("a", 10), dpu("b", 11)], 100)
        requested.set()
        await may_answer.wait()
        await exchange.answer(200, answer)

    async with open_stream(dpu("a", 10), dpu("b", 11)) as (server, dpf, stream):
        server.next_lists.append(slow_list)
        await requested.wait()
        watch = await server.watch()
        while server._accepted["dpus"]:
            watch = await server.watch()
        await watch.send(
            server.modified(dpu("a", 101)), server.deleted(dpu("b", 102)), server.added(dpu("c", 103))
        )
        received = await next_lines(stream, 3)
        may_answer.set()
        await server.until(lambda: len(server.requests[-1].query) > 0)
        await anyio.sleep(1)
        await watch.send(server.modified(dpu("a", 104)))
        received += await next_lines(stream, 1)
        (health,) = dpf.health.values()

    assert received == [
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
            received = await initial_lines(stream)

    assert received == ["a@10 added (initial)"]
    assert [dict(request.query) for request in server.asked(watches=False)] == [{"limit": "500"}] * 3


@pytest.mark.parametrize("version", [102, 101, 99])
@virtual_time
async def test_e5_e6_a_state_that_was_reported_already_or_is_older_is_not_reported(version: int) -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)), server.modified(dpu("a", 102)))
        await watch.send(event("MODIFIED", dpu("a", version)), server.added(dpu("z", 103)))
        received: list[str] = []
        while not received or received[-1] != "z@103 added (watch)":
            received += await next_lines(stream, 1)
        (health,) = dpf.health.values()

    assert received == ["a@102 updated (watch), 1 coalesced", "z@103 added (watch)"]
    assert health.duplicates == 1


@virtual_time
async def test_e7_e13_a_bookmark_moves_the_version_that_is_resumed_forward_only() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, _):
        await (await server.watch()).end(bookmark(300), bookmark(200))
        first = await server.watch()
        await first.end(event("MODIFIED", dpu("a", 400)), bookmark(350))
        second = await server.watch()

    assert first.query["resourceVersion"] == "300"
    assert second.query["resourceVersion"] == "400"


@virtual_time
async def test_e8_events_out_of_order_resume_from_the_newest() -> None:
    async with open_stream() as (server, _, _):
        watch = await server.watch()
        lines = [event("ADDED", dpu(f"dpu-{version}", version)) for version in (105, 103, 109, 104)]
        await watch.end(*lines)
        again = await server.watch()

    assert again.query["resourceVersion"] == "109"


@pytest.mark.parametrize("undecodable", [{"resourceVersion": ""}, {"annotations": {}}])
@virtual_time
async def test_an_event_without_a_version_does_not_change_the_version_that_is_resumed(
    undecodable: Obj,
) -> None:
    metadata = {"name": "b", "namespace": NAMESPACE, "uid": "u", **undecodable}
    readable = dpu("b", 0) | {"metadata": metadata}

    async with open_stream(dpu("a", 10)) as (server, _, _):
        unreadable = readable | {"status": {"phase": 7}}
        await (await server.watch()).end(event("ADDED", readable), event("MODIFIED", unreadable))
        again = await server.watch()

    assert again.query["resourceVersion"] == "100"


@virtual_time
async def test_e9_a_server_with_opaque_versions_can_be_watched() -> None:
    def opaque(version: str, phase: str = "Pending") -> Obj:
        obj = dpu("a", 0, phase)
        obj["metadata"]["resourceVersion"] = version
        return obj

    async with Scripted() as server, server.client() as dpf:
        server.next_lists.append(answering(200, listing([opaque("q7")], "zz")))
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            first = await server.watch()
            await first.send(event("MODIFIED", opaque("b1")))
            received = await next_lines(stream, 1)
            server.next_lists.append(answering(200, listing([opaque("b1")], "bb")))
            first.reset()
            second = await server.watch()
            await second.send(event("MODIFIED", opaque("a0")))
            received += await next_lines(stream, 1)

    assert received == ["a@b1 updated (watch)", "a@a0 updated (watch)"]
    assert (first.query["resourceVersion"], second.query["resourceVersion"]) == ("zz", "b1")


@virtual_time
async def test_e11_a_deletion_without_an_event_is_found_by_the_audit_and_counted() -> None:
    async with open_stream(dpu("lost", 10), dpu("kept", 11)) as (server, dpf, stream):
        server.deleted(dpu("lost", 101))
        began = anyio.current_time()
        received = await next_lines(stream, 1)
        took = anyio.current_time() - began
        (health,) = dpf.health.values()

    assert received == ["lost@10 deleted (audit), final state unknown"]
    assert 480 <= took <= 720
    assert (health.repairs, health.relists) == (1, 0)


@virtual_time
async def test_e12_the_next_event_of_an_object_replaces_one_that_was_lost() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 101, "OS Installing"))
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        received = await next_lines(stream, 1)

    assert received == ["a@102 updated (watch)"]

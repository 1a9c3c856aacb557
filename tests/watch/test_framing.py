"""How events arrive, and what arrives in their place (B of the catalogue), over sockets."""

from __future__ import annotations

import gzip
import json

import pytest

from dpf_async._api.lines import LINE_LIMIT
from dpf_async.models import DPU
from dpf_async.watch import Updated
from tests.support.event_text import dpu_watch, initial_events, next_events
from tests.support.objects import bookmark, condition, dpu, event
from tests.support.scripted import Exchange, Scripted, page
from tests.support.virtual_time import virtual_time

AWKWARD = "next line \u0085, separators \u2028\u2029, nul \u0000, return \r, feed \n, 界 ü €"


@virtual_time
async def test_b1_an_event_that_arrives_byte_by_byte_is_told_once_and_whole() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        line = server.modified(dpu("a", 101, annotations={"note": AWKWARD}))
        for n in range(len(line)):
            await watch.send(line[n : n + 1])
        changed = await anext(stream)
        await watch.send(server.modified(dpu("a", 102)))
        after = await next_events(stream, 1)

    assert isinstance(changed, Updated)
    assert changed.after.annotations == {"note": AWKWARD}
    assert after == ["a@102 updated (watch)"]


@virtual_time
async def test_b2_many_events_in_one_chunk_and_one_in_many_chunks_are_told_alike() -> None:
    async with dpu_watch() as (server, _, stream):
        watch = await server.watch()
        together = b"".join(server.added(dpu(f"dpu-{n}", 101 + n)) for n in range(10))
        await watch.send(together[:-30])
        await watch.send(together[-30:])
        heard = await next_events(stream, 10)
        apart = b"".join(server.modified(dpu(f"dpu-{n}", 201 + n)) for n in range(2))
        for start in range(0, len(apart), len(apart) // 40):
            await watch.send(apart[start : start + len(apart) // 40])
        heard += await next_events(stream, 2)

    assert heard == [
        *(f"dpu-{n}@{101 + n} added (watch)" for n in range(10)),
        *(f"dpu-{n}@{201 + n} updated (watch)" for n in range(2)),
    ]


@virtual_time
async def test_b3_a_next_line_character_inside_a_string_ends_no_event() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        raw = server.modified(dpu("a", 101, conditions=[condition("Ready", "False") | {"message": AWKWARD}]))
        await watch.send(raw)
        changed = await anext(stream)

    assert b"\xc2\x85" in raw  # as Go writes it: not escaped
    assert isinstance(changed, Updated)
    assert [one.message for one in changed.after.conditions] == [AWKWARD]
    assert changed.after.object.status.conditions[0].message == AWKWARD


@virtual_time
async def test_b4_blank_lines_and_carriage_returns_are_no_events() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        for keep_alive in (b"\n", b"\r\n", b" \n\n"):
            await watch.send(keep_alive)
        await watch.send(server.modified(dpu("a", 101)).replace(b"\n", b"\r\n"))
        heard = await next_events(stream, 1)

    assert heard == ["a@101 updated (watch)"]
    assert len(server.asked(watches=False)) == 1


@virtual_time
async def test_b5_a_last_event_without_its_line_feed_is_told_once_and_resumed_from() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).end(server.modified(dpu("a", 101)).rstrip(b"\n"))
        again = await server.watch()
        await again.send(server.modified(dpu("a", 102)))
        heard = await next_events(stream, 2)

    assert heard == ["a@101 updated (watch)", "a@102 updated (watch)"]
    assert again.query["resourceVersion"] == "101"


@pytest.mark.parametrize("ending", ["end", "FIN", "RST"])
@virtual_time
async def test_b5_b6_half_an_event_is_dropped_and_the_watch_resumed_from_the_last_whole_one(
    ending: str,
) -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        whole, half = server.modified(dpu("a", 101)), server.modified(dpu("a", 102))
        await watch.send(whole, half[: len(half) // 2])
        heard = await next_events(stream, 1)
        if ending == "end":
            await watch.end()
        elif ending == "FIN":
            watch.close()
        else:
            watch.reset()
        again = await server.watch()
        await again.send(half)
        heard += await next_events(stream, 1)

    assert heard == ["a@101 updated (watch)", "a@102 updated (watch)"]
    assert again.query["resourceVersion"] == "101"


@virtual_time
async def test_b7_an_object_as_large_as_etcd_takes_is_told() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        large = "x" * 1_400_000
        await watch.send(server.modified(dpu("a", 101, annotations={"large": large})))
        changed = await anext(stream)

    assert isinstance(changed, Updated)
    assert changed.after.annotations == {"large": large}


@virtual_time
async def test_b8_an_event_over_the_limit_is_skipped_and_what_it_told_is_read_from_the_list() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 101))
        for _ in range(LINE_LIMIT // 2**22 + 1):
            await watch.send(b"x" * 2**22)
        await watch.send(b"\n", server.modified(dpu("a", 102)))
        heard = await next_events(stream, 3)

    assert heard == ["gap", "a@102 updated (relist), not contiguous", "resumed"]


@virtual_time
async def test_b9_text_that_is_not_utf8_makes_one_object_unreadable_and_nothing_else() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        line = server.modified(dpu("a", 101, annotations={"note": "@@"}))
        await watch.send(line.replace(b"@@", b"\xff\xfe"), server.added(dpu("b", 102)))
        heard = await next_events(stream, 2)

    assert heard == ["a unreadable", "b@102 added (watch)"]
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        b"<html>\n",
        b"42\n",
        b'"a string"\n',
        b"null\n",
        b"[]\n",
        b'{"type":"ADDED"}\n',
        b'{"object":{"metadata":{"name":"x","uid":"u","resourceVersion":"101"}}}\n',
        b'{"type":"MODIFIED","object":null}\n',
        b'{"type":"MODIFIED","object":{}}\n',
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"101"}}}\n',
        b'{"type":"MODIFIED","object":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n",
    ],
)
@virtual_time
async def test_b10_what_is_no_event_is_told_nobody_and_leads_to_a_list(nonsense: bytes) -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).send(nonsense, server.modified(dpu("a", 102)))
        heard = await next_events(stream, 3)
        again = await server.watch()

    assert heard == ["gap", "a@102 updated (relist), not contiguous", "resumed"]
    assert again.query["resourceVersion"] == "102"


@virtual_time
async def test_b11_a_proxys_page_with_status_200_is_not_a_watch() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.extend([page(200), page(200)])
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101)))
            heard = await next_events(stream, 1)

    assert heard == ["a@101 updated (watch)"]
    assert watch.query["resourceVersion"] == "100"


@virtual_time
async def test_b11_a_proxys_page_with_status_200_is_not_a_list() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(page(200))
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)

    assert heard == ["a@10 added (initial)"]


@virtual_time
async def test_b12_an_event_of_an_unknown_type_is_counted_and_resumes_nothing() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, dpf, stream):
        await (await server.watch()).end(event("SURPRISE", dpu("a", 150)))
        again = await server.watch()
        await again.send(server.modified(dpu("a", 101)))
        heard = await next_events(stream, 1)
        (health,) = dpf.health.values()

    assert heard == ["a@101 updated (watch)"]
    assert again.query["resourceVersion"] == "100"
    assert health.unknown_events == 1


@virtual_time
async def test_b13_a_compressed_watch_is_refused_rather_than_cut_after_its_first_member() -> None:
    async def compressed(exchange: Exchange) -> None:
        await exchange.begin({"Content-Encoding": "gzip"})
        await exchange.send(gzip.compress(server.modified(dpu("a", 101))))
        await exchange.send(gzip.compress(server.modified(dpu("a", 102))))
        await exchange.over.wait()

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(compressed)
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            watch = await server.watch()
            (health,) = dpf.health.values()
            await watch.send(server.modified(dpu("a", 103)))
            heard = await next_events(stream, 1)

    assert watch.query["resourceVersion"] == "100"
    assert heard == ["a@103 updated (watch)"]
    assert "compressed with gzip" in health.reason
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


@virtual_time
async def test_b14_keys_that_come_twice_are_read_as_the_last_one() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        twice = server.modified(dpu("a", 101, "Ready")).replace(b'"phase"', b'"phase": "Error", "phase"')
        await watch.send(twice)
        changed = await anext(stream)

    assert isinstance(changed, Updated)
    assert changed.after.phase == "Ready"


@virtual_time
async def test_b14_what_is_nested_deep_inside_an_object_is_kept_and_disturbs_nothing() -> None:
    deep: object = "bottom"
    for _ in range(300):
        deep = [deep]

    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101) | {"deep": deep}), server.added(dpu("b", 102)))
        first, second = await anext(stream), await anext(stream)

    assert isinstance(first, Updated)
    assert json.loads(first.after.document)["deep"] == deep
    assert second.obj.name == "b"  # type: ignore[union-attr]


@virtual_time
async def test_a_bookmark_is_told_nobody() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(bookmark(150), server.modified(dpu("a", 151)))
        heard = await next_events(stream, 1)

    assert heard == ["a@151 updated (watch)"]

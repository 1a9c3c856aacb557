"""Framing of events: chunks, lines, sizes and malformed data (B of the catalogue). Over sockets."""

from __future__ import annotations

import gzip
import json

import pytest

from dpf_async._api.lines import LINE_LIMIT
from dpf_async.models import DPU
from dpf_async.watch import Updated
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import bookmark, condition, dpu, event
from tests.support.scripted import Exchange, Scripted, page
from tests.support.virtual_time import virtual_time

AWKWARD = "next line \u0085, separators \u2028\u2029, nul \u0000, return \r, feed \n, 界 ü €"


@virtual_time
async def test_b1_an_event_that_arrives_byte_by_byte_is_reported_once_and_complete() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        line = server.modified(dpu("a", 101, annotations={"note": AWKWARD}))
        for n in range(len(line)):
            await watch.send(line[n : n + 1])
        changed = await anext(stream)
        await watch.send(server.modified(dpu("a", 102)))
        after = await next_lines(stream, 1)

    assert isinstance(changed, Updated)
    assert changed.after.annotations == {"note": AWKWARD}
    assert after == ["a@102 updated (watch)"]


@virtual_time
async def test_b2_events_are_reported_regardless_of_chunk_boundaries() -> None:
    async with open_stream() as (server, _, stream):
        watch = await server.watch()
        first = b"".join(server.added(dpu(f"dpu-{n}", 101 + n)) for n in range(10))
        await watch.send(first[:-30])
        await watch.send(first[-30:])
        received = await next_lines(stream, 10)
        second = b"".join(server.modified(dpu(f"dpu-{n}", 201 + n)) for n in range(2))
        for start in range(0, len(second), len(second) // 40):
            await watch.send(second[start : start + len(second) // 40])
        received += await next_lines(stream, 2)

    assert received == [
        *(f"dpu-{n}@{101 + n} added (watch)" for n in range(10)),
        *(f"dpu-{n}@{201 + n} updated (watch)" for n in range(2)),
    ]


@virtual_time
async def test_b3_a_next_line_character_inside_a_string_does_not_end_an_event() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        raw = server.modified(dpu("a", 101, conditions=[condition("Ready", "False") | {"message": AWKWARD}]))
        await watch.send(raw)
        changed = await anext(stream)

    assert b"\xc2\x85" in raw  # as Go writes it: not escaped
    assert isinstance(changed, Updated)
    assert [one.message for one in changed.after.conditions] == [AWKWARD]
    assert changed.after.object.status.conditions[0].message == AWKWARD


@virtual_time
async def test_b4_blank_lines_and_carriage_returns_are_ignored() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        for keep_alive in (b"\n", b"\r\n", b" \n\n"):
            await watch.send(keep_alive)
        await watch.send(server.modified(dpu("a", 101)).replace(b"\n", b"\r\n"))
        received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert len(server.asked(watches=False)) == 1


@virtual_time
async def test_b5_a_last_event_without_its_line_feed_is_applied_once() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).end(server.modified(dpu("a", 101)).rstrip(b"\n"))
        again = await server.watch()
        await again.send(server.modified(dpu("a", 102)))
        received = await next_lines(stream, 2)

    assert received == ["a@101 updated (watch)", "a@102 updated (watch)"]
    assert again.query["resourceVersion"] == "101"


@pytest.mark.parametrize("ending", ["end", "FIN", "RST"])
@virtual_time
async def test_b5_b6_an_incomplete_event_is_dropped_and_the_watch_resumes_before_it(
    ending: str,
) -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        whole, half = server.modified(dpu("a", 101)), server.modified(dpu("a", 102))
        await watch.send(whole, half[: len(half) // 2])
        received = await next_lines(stream, 1)
        if ending == "end":
            await watch.end()
        elif ending == "FIN":
            watch.close()
        else:
            watch.reset()
        again = await server.watch()
        await again.send(half)
        received += await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)", "a@102 updated (watch)"]
    assert again.query["resourceVersion"] == "101"


@virtual_time
async def test_b7_an_object_of_the_maximum_size_of_etcd_is_reported() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        large = "x" * 1_400_000
        await watch.send(server.modified(dpu("a", 101, annotations={"large": large})))
        changed = await anext(stream)

    assert isinstance(changed, Updated)
    assert changed.after.annotations == {"large": large}


@virtual_time
async def test_b8_an_event_over_the_size_limit_is_skipped_and_its_change_is_read_from_a_list() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 101))
        for _ in range(LINE_LIMIT // 2**22 + 1):
            await watch.send(b"x" * 2**22)
        await watch.send(b"\n", server.modified(dpu("a", 102)))
        received = await next_lines(stream, 3)

    assert received == ["gap", "a@102 updated (relist), not contiguous", "resumed"]


@virtual_time
async def test_b9_text_that_is_not_utf8_makes_only_that_object_unreadable() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        line = server.modified(dpu("a", 101, annotations={"note": "@@"}))
        await watch.send(line.replace(b"@@", b"\xff\xfe"), server.added(dpu("b", 102)))
        received = await next_lines(stream, 2)

    assert received == ["a unreadable", "b@102 added (watch)"]
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize(
    "invalid",
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
async def test_b10_a_line_that_is_not_an_event_is_not_reported_and_causes_a_relist(invalid: bytes) -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).send(invalid, server.modified(dpu("a", 102)))
        received = await next_lines(stream, 3)
        again = await server.watch()

    assert received == ["gap", "a@102 updated (relist), not contiguous", "resumed"]
    assert again.query["resourceVersion"] == "102"


@virtual_time
async def test_b11_a_page_of_a_proxy_with_status_200_is_not_accepted_as_a_watch() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.extend([page(200), page(200)])
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101)))
            received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert watch.query["resourceVersion"] == "100"


@virtual_time
async def test_b11_a_page_of_a_proxy_with_status_200_is_not_accepted_as_a_list() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(page(200))
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)

    assert received == ["a@10 added (initial)"]


@virtual_time
async def test_b12_an_event_of_an_unknown_type_is_counted_and_does_not_change_the_version() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        await (await server.watch()).end(event("SURPRISE", dpu("a", 150)))
        again = await server.watch()
        await again.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)
        (health,) = dpf.health.values()

    assert received == ["a@101 updated (watch)"]
    assert again.query["resourceVersion"] == "100"
    assert health.unknown_events == 1


@virtual_time
async def test_b13_a_compressed_watch_is_rejected() -> None:
    async def compressed(exchange: Exchange) -> None:
        await exchange.begin({"Content-Encoding": "gzip"})
        await exchange.send(gzip.compress(server.modified(dpu("a", 101))))
        await exchange.send(gzip.compress(server.modified(dpu("a", 102))))
        await exchange.over.wait()

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(compressed)
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            watch = await server.watch()
            (health,) = dpf.health.values()
            await watch.send(server.modified(dpu("a", 103)))
            received = await next_lines(stream, 1)

    assert watch.query["resourceVersion"] == "100"
    assert received == ["a@103 updated (watch)"]
    assert "compressed with gzip" in health.reason
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


@virtual_time
async def test_b14_the_last_of_two_equal_keys_is_used() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        twice = server.modified(dpu("a", 101, "Ready")).replace(b'"phase"', b'"phase": "Error", "phase"')
        await watch.send(twice)
        changed = await anext(stream)

    assert isinstance(changed, Updated)
    assert changed.after.phase == "Ready"


@virtual_time
async def test_b14_deeply_nested_fields_of_an_object_are_kept() -> None:
    deep: object = "bottom"
    for _ in range(300):
        deep = [deep]

    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101) | {"deep": deep}), server.added(dpu("b", 102)))
        first, second = await anext(stream), await anext(stream)

    assert isinstance(first, Updated)
    assert json.loads(first.after.document)["deep"] == deep
    assert second.obj.name == "b"  # type: ignore[union-attr]


@virtual_time
async def test_a_bookmark_is_not_reported() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(bookmark(150), server.modified(dpu("a", 151)))
        received = await next_lines(stream, 1)

    assert received == ["a@151 updated (watch)"]

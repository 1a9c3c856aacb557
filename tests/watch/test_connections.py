"""Connections that fail, stop sending data, or cannot be opened (D of the catalogue). Over sockets."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from dpf_async import WatchPolicy
from dpf_async.errors import ConnectionFailed, Forbidden
from dpf_async.models import DPU
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import bookmark, dpu
from tests.support.scripted import Exchange, Script, Scripted, page, refusing
from tests.support.virtual_time import virtual_time


async def _no_response(exchange: Exchange) -> None:
    await exchange.over.wait()


@pytest.mark.parametrize("ending", ["RST", "FIN"])
@virtual_time
async def test_d1_d2_a_broken_connection_is_replaced_after_an_epoch_check_and_yields_no_event(
    ending: str,
) -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)
        server.requests.clear()
        broke_at = anyio.current_time()
        watch.reset() if ending == "RST" else watch.close()
        again = await server.watch()
        took = anyio.current_time() - broke_at
        await again.send(server.modified(dpu("a", 102)))
        received += await next_lines(stream, 1)

    assert took <= 0.8 + 0.01  # the first step of the backoff
    assert received == ["a@101 updated (watch)", "a@102 updated (watch)"]
    assert [dict(one.query) for one in server.asked(watches=False)] == [{"limit": "1"}]
    assert [one.query["resourceVersion"] for one in server.asked(watches=True)] == ["101"]


@virtual_time
async def test_d4_d5_a_silent_watch_is_replaced_and_the_new_one_sends_the_lost_events() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        silent = await server.watch()
        await silent.send(server.modified(dpu("a", 101)))
        await next_lines(stream, 1)
        silent_since = anyio.current_time()
        lost = server.modified(dpu("a", 102))
        replacement = await server.watch()
        took = anyio.current_time() - silent_since
        old_was_open = not silent.over.is_set()
        await replacement.send(lost)
        received = await next_lines(stream, 1)
        await silent.over.wait()

    assert 64 <= took <= 66
    assert old_was_open
    assert replacement.query["resourceVersion"] == "101"
    assert received == ["a@102 updated (watch)"]
    assert len(server.asked(watches=False)) == 1


@virtual_time
async def test_d4_a_silent_watch_that_cannot_be_replaced_is_kept_and_its_later_events_are_applied() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        stopped = await server.watch()
        server.refuse()
        await anyio.sleep(90)
        (health,) = dpf.health.values()
        await stopped.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert health.state == "degraded"
    assert health.silent_for == pytest.approx(90, abs=1)


@virtual_time
async def test_d7_a_server_that_refuses_connections_for_a_minute_is_retried_with_backoff() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        watch = await server.watch()
        server.refuse()
        watch.reset()
        await anyio.sleep(60)
        (down,) = dpf.health.values()
        await server.listen()
        up_at = anyio.current_time()
        again = await server.watch()
        took = anyio.current_time() - up_at
        await again.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)

    assert down.state == "degraded"
    assert "cannot be reached" in down.reason
    assert 2 <= down.attempt <= 25
    assert took <= 30  # the cap of the backoff
    assert received == ["a@101 updated (watch)"]


@virtual_time
async def test_d7_a_client_waits_for_a_server_that_is_not_running_yet() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.refuse()
        async with anyio.create_task_group() as tasks:

            async def start_in_a_minute() -> None:
                await anyio.sleep(60)
                await server.listen()

            tasks.start_soon(start_in_a_minute)
            async with dpf.resource(DPU).watch() as stream:
                received = await initial_lines(stream)

    assert received == ["a@10 added (initial)"]


@pytest.mark.parametrize("verb", ["list", "watch"])
@virtual_time
async def test_d10_a_request_without_a_response_is_abandoned_and_retried(verb: str) -> None:
    abandoned_after: list[float] = []

    async def no_response(exchange: Exchange) -> None:
        began = anyio.current_time()
        try:
            await exchange.over.wait()
        finally:
            abandoned_after.append(anyio.current_time() - began)

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        (server.next_lists if verb == "list" else server.next_watches).append(no_response)
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            received += await next_lines(stream, 1)

    assert received == ["a@10 added (initial)", "a@101 updated (watch)"]
    assert abandoned_after == [pytest.approx(60 if verb == "list" else 40, abs=0.1)]


@virtual_time
async def test_d10_the_error_of_a_request_without_a_response_names_the_server() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = _no_response
        with pytest.raises(ConnectionFailed, match=rf"{server.url} did not answer GET .*/dpus/a within 60 s"):
            await dpf.resource(DPU).get("a")


@virtual_time
async def test_d11_a_watch_whose_response_begins_after_20_seconds_is_not_replaced() -> None:
    async def slowly(exchange: Exchange) -> None:
        await anyio.sleep(20)
        await exchange.begin()
        await exchange.send(server.modified(dpu("a", 101)))
        await exchange.over.wait()

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(slowly)
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert len(server.requests) == 2


@virtual_time
async def test_d13_an_idle_watch_is_replaced_regularly_without_a_list_or_an_event() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        await server.watch()
        await anyio.sleep(470)  # below the time of the first audit
        watches = server.asked(watches=True)
        newest = await server.watch()
        while server._accepted["dpus"]:
            newest = await server.watch()
        await newest.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)
        await server.until(lambda: server.connections == 2)

    assert received == ["a@101 updated (watch)"]
    assert 7 <= len(watches) <= 8  # every 65 s of silence
    assert {request.query["resourceVersion"] for request in watches} == {"100"}
    assert len(server.asked(watches=False)) == 1


@virtual_time
async def test_d13_a_watch_with_bookmarks_is_replaced_by_rotation_only() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, dpf.resource(DPU).watch():
        watch = await server.watch()
        opened_at = anyio.current_time()
        while not watch.over.is_set():
            await watch.send(bookmark(200))
            with anyio.move_on_after(60):
                await watch.over.wait()
        open_for = anyio.current_time() - opened_at

    assert 180 <= open_for <= 231
    assert [request.query["resourceVersion"] for request in server.asked(watches=True)] == ["100", "200"]


@virtual_time
async def test_d14_an_event_that_both_watches_send_during_a_rotation_is_reported_once() -> None:
    may_answer = anyio.Event()

    async def delayed_response(exchange: Exchange) -> None:
        await may_answer.wait()
        await server._accept_watch(exchange)

    async with open_stream(dpu("a", 10), dpu("b", 11)) as (server, dpf, stream):
        old = await server.watch()
        server.next_watches.append(delayed_response)
        await server.until(lambda: len(server.asked(watches=True)) == 2)
        between = (
            server.modified(dpu("a", 101)),
            server.deleted(dpu("b", 102)),
            server.added(dpu("c", 103)),
        )
        await old.send(*between)
        received = await next_lines(stream, 3)
        may_answer.set()
        new = await server.watch()
        await new.send(*between, server.modified(dpu("a", 104)))
        received += await next_lines(stream, 1)
        await old.over.wait()
        (health,) = dpf.health.values()

    assert new.query["resourceVersion"] == "100"  # it was requested before the events were sent
    assert received == [
        "a@101 updated (watch)",
        "b@102 deleted (watch)",
        "c@103 added (watch)",
        "a@104 updated (watch)",
    ]
    assert health.duplicates == 3


@virtual_time
async def test_d16_120_watches_do_not_starve_a_request() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:

        async def read(n: int) -> None:
            async with dpf.resource(DPU).watch(label_selector=f"rack={n}") as stream:
                await initial_lines(stream)
                await anyio.sleep_forever()

        for n in range(120):
            tasks.start_soon(read, n)
        for _ in range(120):
            await server.watch()
        with anyio.fail_after(60):
            listed = await dpf.resource(DPU).list()
        tasks.cancel_scope.cancel()

    assert [obj.name for obj in listed.items] == ["a"]


@pytest.mark.parametrize("failure", [refusing(403, "Forbidden"), page(502), _no_response])
@virtual_time
async def test_g15_a_kind_whose_requests_fail_does_not_affect_other_kinds(failure: Script) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        usual = server.on_list

        async def failure_for_nodes(exchange: Exchange) -> None:
            await (failure if exchange.request.plural == "dpunodes" else usual)(exchange)

        async def view_node() -> None:
            with suppress(Forbidden):
                await dpf.node("node-1").view()

        server.on_list = failure_for_nodes
        tasks.start_soon(view_node)
        await server.until(lambda: bool(server.asked(watches=False, plural="dpunodes")))
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            received = await next_lines(stream, 1)
        tasks.cancel_scope.cancel()

    assert received == ["a@101 updated (watch)"]


@virtual_time
async def test_d4_an_audit_does_not_extend_the_silence_bound_of_a_watch() -> None:
    policy = WatchPolicy(audit=60.0, audit_spread=0.0, rotation=(1e6, 1e6))
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client(policy=policy) as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await initial_lines(stream)
        await server.watch()
        began = anyio.current_time()
        await server.watch()
        took = anyio.current_time() - began

    assert took <= policy.silence + 1

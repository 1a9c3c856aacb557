"""Cancellation and failure at any point leak no task, connection or file (J of the catalogue). Over sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from dpf_async import DPFClient, DPUView
from dpf_async.levels import Level, ready
from dpf_async.models import DPU
from tests.support.event_lines import initial_lines, next_lines, open_stream, open_two_streams
from tests.support.objects import dpu, node
from tests.support.scripted import Exchange, Scripted, answering, listing, page
from tests.support.virtual_time import VirtualTimeLoop, virtual_time


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def all_disconnected(server: Scripted) -> None:
    """Wait until every connection to the server is closed."""
    await server.until(lambda: server.connections == 0)


@asynccontextmanager
async def no_leaks(server: Scripted) -> AsyncIterator[None]:
    """Check that the block leaks no task, no connection and no open file."""
    tasks, files = len(asyncio.all_tasks()), open_files()
    yield
    await all_disconnected(server)
    assert len(asyncio.all_tasks()) == tasks
    assert open_files() == files


async def wait_until_ready(dpf: DPFClient) -> None:
    await dpf.dpu("a").until(ready)


async def read_all_events(dpf: DPFClient) -> None:
    async with dpf.resource(DPU).watch() as stream:
        async for _ in stream:
            pass


async def no_response(exchange: Exchange) -> None:
    await exchange.over.wait()


async def incomplete_event(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.send(b'{"type":"ADDED","object":{"kind":"D')
    await exchange.over.wait()


async def incomplete_list(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await exchange.over.wait()


def idle(server: Scripted) -> None:
    """List and watch are answered, and no event occurs."""


def list_without_a_response(server: Scripted) -> None:
    server.on_list = no_response


def list_with_an_incomplete_body(server: Scripted) -> None:
    server.on_list = incomplete_list


def second_page_without_a_response(server: Scripted) -> None:
    server.next_lists.append(answering(200, listing([dpu("a", 10)], 100, continue_="2")))
    server.on_list = no_response


def watch_without_a_response(server: Scripted) -> None:
    server.on_watch = no_response


def watch_with_an_incomplete_event(server: Scripted) -> None:
    server.on_watch = incomplete_event


def backoff_of_the_list(server: Scripted) -> None:
    server.on_list = page(503)


def backoff_of_the_watch(server: Scripted) -> None:
    server.on_watch = page(503)


POINTS = [
    idle,
    list_without_a_response,
    list_with_an_incomplete_body,
    second_page_without_a_response,
    watch_without_a_response,
    watch_with_an_incomplete_event,
    backoff_of_the_list,
    backoff_of_the_watch,
]


@pytest.mark.parametrize("work", [wait_until_ready, read_all_events])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seconds", [0, 1, 70])
@virtual_time
async def test_j1_a_client_cancelled_at_any_point_exits_at_once_and_leaks_nothing(
    work: Callable[[DPFClient], Awaitable[None]], point: Callable[[Scripted], None], seconds: int
) -> None:
    async with Scripted(dpu("a", 10)) as server:
        point(server)
        async with no_leaks(server):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def cancel_later() -> None:
                        await server.until(lambda: bool(server.requests))
                        await anyio.sleep(seconds)
                        scope.cancel()

                    tasks.start_soon(cancel_later)
                    async with server.client() as dpf:
                        await work(dpf)
            cancelled_at = anyio.current_time()
        took = anyio.current_time() - cancelled_at

    assert scope.cancelled_caught
    assert took < 0.1


@virtual_time
async def test_j1_a_client_cancelled_while_connecting_leaks_nothing() -> None:
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())  # the backlog is full: the next connection gets no SYN-ACK
        tasks, files = len(asyncio.all_tasks()), open_files()
        server = Scripted()
        server._port = listener.getsockname()[1]
        with anyio.move_on_after(5) as scope:
            async with server.client() as dpf:
                await wait_until_ready(dpf)
        await anyio.lowlevel.checkpoint()

        assert scope.cancelled_caught
        assert len(asyncio.all_tasks()) == tasks
        assert open_files() == files


@virtual_time
async def test_j1_a_request_that_is_cancelled_leaks_nothing() -> None:
    async with Scripted() as server, no_leaks(server), server.client() as dpf:
        server.on_other = no_response
        with anyio.move_on_after(5) as scope:
            await dpf.resource(DPU).get("a")
        await all_disconnected(server)

    assert scope.cancelled_caught


@virtual_time
async def test_j2_leaving_the_block_of_a_stream_closes_its_watch() -> None:
    async with Scripted(dpu("a", 10)) as server, no_leaks(server), server.client() as dpf:
        async with dpf.resource(DPU).watch() as stream:
            watch = await server.watch()
            async for _ in stream:
                break
        await watch.over.wait()


@virtual_time
async def test_j5_a_thousand_waits_that_time_out_leak_nothing() -> None:
    async with (
        Scripted(dpu("a", 10), node("node-1", 11)) as server,
        no_leaks(server),
        server.client() as dpf,
    ):
        await dpf.dpu("a").find()
        await dpf.node("node-1").view()
        for plural in ("dpus", "dpunodes", "dpudevices", "dpunodemaintenances"):
            await server.watch(plural)
        before = len(asyncio.all_tasks()), open_files()
        for n in range(500):
            with anyio.move_on_after(0.001 * (n % 3)):
                await dpf.dpu("a").until(ready)
            with anyio.move_on_after(0.001 * (n % 3)):
                await dpf.node("node-1").until(Level("never", lambda _: False))
        hubs = await dpf.dpu("a")._source.hub(), await dpf.node("node-1")._source.hub()

        assert (len(asyncio.all_tasks()), open_files()) == before
        assert not hubs[0]._waits
        assert not hubs[1]._waits


@pytest.mark.parametrize("wait", [False, True])
@virtual_time
async def test_j6_an_exception_of_a_reader_is_raised_unwrapped(wait: bool) -> None:
    async def fail_while_reading(server: Scripted) -> None:
        async with server.client() as dpf, dpf.resource(DPU).watch() as stream:
            async for _ in stream:
                if wait:
                    await server.watch()
                raise ZeroDivisionError

    async with Scripted(dpu("a", 10)) as server, no_leaks(server):
        with pytest.raises(ZeroDivisionError):
            await fail_while_reading(server)


@virtual_time
async def test_j6_a_group_that_a_worker_raises_keeps_its_members() -> None:
    async def fail_in_two_ways(server: Scripted) -> None:
        async with server.client() as dpf:
            await dpf.dpu("a").find()
            raise ExceptionGroup("workers", [ZeroDivisionError(), KeyError()])

    async with Scripted(dpu("a", 10)) as server:
        with pytest.raises(ExceptionGroup) as raised:
            await fail_in_two_ways(server)

    assert [type(one) for one in raised.value.exceptions] == [ZeroDivisionError, KeyError]


@pytest.mark.filterwarnings("error")
def test_j7_a_loop_that_is_interrupted_emits_no_warning() -> None:
    async def interrupted() -> None:
        async with open_stream(dpu("a", 10)) as (server, dpf, _):
            await server.watch()
            await dpf.node("node-1").view()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(interrupted())
    gc.collect()


@virtual_time
async def test_j8_a_read_that_is_cancelled_loses_no_event() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        received: list[str] = []
        for n in range(20):
            await watch.send(server.modified(dpu("a", 101 + n)))
            while not received or f"a@{101 + n}" not in received[-1]:
                with anyio.move_on_after(0):
                    received += await next_lines(stream, 1)
                await anyio.lowlevel.checkpoint()

    assert received == [f"a@{101 + n} updated (watch)" for n in range(20)]


@virtual_time
async def test_j9_a_stream_ends_after_its_block_was_left() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with dpf.resource(DPU).watch() as stream:
            pass
        received = [event async for event in stream]

    assert received == []


@virtual_time
async def test_j9_a_pending_read_ends_when_the_block_of_the_stream_is_left() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        ended = anyio.Event()
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)

            async def read() -> None:
                async for _ in stream:
                    pass
                ended.set()

            tasks.start_soon(read)
            await anyio.sleep(1)
        await ended.wait()


@virtual_time
async def test_j9_a_stream_of_transitions_ends_after_its_block_was_left() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with dpf.transitions() as stream:
            await anext(stream)
        with anyio.fail_after(60):
            received = [event async for event in stream]

    assert received == []


@virtual_time
async def test_j_a_reader_that_is_cancelled_does_not_affect_another_one() -> None:
    async with open_two_streams(dpu("a", 10)) as (server, _, fast, slow):
        with anyio.move_on_after(1):
            await anext(slow)
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)))
        received = await next_lines(fast, 1) + await next_lines(slow, 1)

    assert received == ["a@101 updated (watch)"] * 2


@virtual_time
async def test_h13_a_level_that_raises_does_not_end_the_client() -> None:
    def raises(view: DPUView) -> bool:
        return bool(view.conditions[7])

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        with pytest.raises(IndexError):
            await dpf.dpu("a").until(Level("odd", raises))
        view = await dpf.dpu("a").view()

    assert view.name == "a"

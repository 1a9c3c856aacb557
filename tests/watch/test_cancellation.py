"""Cancelling, leaving and failing at any point leaves nothing behind (J of the catalogue), over sockets."""

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
from tests.support.event_text import dpu_watch, dpu_watch_with_slow_reader, initial_events, next_events
from tests.support.objects import dpu, node
from tests.support.scripted import Exchange, Scripted, answering, listing, page
from tests.support.virtual_time import VirtualTimeLoop, virtual_time


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def nobody_left(server: Scripted) -> None:
    """Wait until the server has seen every connection closed."""
    await server.until(lambda: server.connections == 0)


@asynccontextmanager
async def leaving_nothing_behind(server: Scripted) -> AsyncIterator[None]:
    """Check that a block which uses a client leaves no task, no connection and no open file."""
    tasks, files = len(asyncio.all_tasks()), open_files()
    yield
    await nobody_left(server)
    assert len(asyncio.all_tasks()) == tasks
    assert open_files() == files


async def wait_until_ready(dpf: DPFClient) -> None:
    await dpf.dpu("a").until(ready)


async def read_for_ever(dpf: DPFClient) -> None:
    async with dpf.resource(DPU).watch() as stream:
        async for _ in stream:
            pass


async def says_nothing(exchange: Exchange) -> None:
    await exchange.over.wait()


async def half_an_event(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.send(b'{"type":"ADDED","object":{"kind":"D')
    await exchange.over.wait()


async def half_a_list(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await exchange.over.wait()


def never(server: Scripted) -> None:
    """The usual: list and watch are answered, and nothing happens."""


def list_without_an_answer(server: Scripted) -> None:
    server.on_list = says_nothing


def list_half_sent(server: Scripted) -> None:
    server.on_list = half_a_list


def second_page_without_an_answer(server: Scripted) -> None:
    server.next_lists.append(answering(200, listing([dpu("a", 10)], 100, continue_="2")))
    server.on_list = says_nothing


def watch_without_a_head(server: Scripted) -> None:
    server.on_watch = says_nothing


def watch_in_the_middle_of_an_event(server: Scripted) -> None:
    server.on_watch = half_an_event


def backoff_of_the_list(server: Scripted) -> None:
    server.on_list = page(503)


def backoff_of_the_watch(server: Scripted) -> None:
    server.on_watch = page(503)


POINTS = [
    never,
    list_without_an_answer,
    list_half_sent,
    second_page_without_an_answer,
    watch_without_a_head,
    watch_in_the_middle_of_an_event,
    backoff_of_the_list,
    backoff_of_the_watch,
]


@pytest.mark.parametrize("work", [wait_until_ready, read_for_ever])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seconds", [0, 1, 70])
@virtual_time
async def test_j1_cancelled_anywhere_a_client_leaves_at_once_and_nothing_behind(
    work: Callable[[DPFClient], Awaitable[None]], point: Callable[[Scripted], None], seconds: int
) -> None:
    async with Scripted(dpu("a", 10)) as server:
        point(server)
        async with leaving_nothing_behind(server):
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
async def test_j1_cancelled_while_connecting_a_client_leaves_nothing_behind() -> None:
    with socket.socket() as deaf, socket.socket() as occupant:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        occupant.connect(deaf.getsockname())  # now the queue is full, and whoever comes next hears nothing
        tasks, files = len(asyncio.all_tasks()), open_files()
        server = Scripted()
        server._port = deaf.getsockname()[1]
        with anyio.move_on_after(5) as scope:
            async with server.client() as dpf:
                await wait_until_ready(dpf)
        await anyio.lowlevel.checkpoint()

        assert scope.cancelled_caught
        assert len(asyncio.all_tasks()) == tasks
        assert open_files() == files


@virtual_time
async def test_j1_cancelled_in_a_request_nothing_of_it_is_left() -> None:
    async with Scripted() as server, leaving_nothing_behind(server), server.client() as dpf:
        server.on_other = says_nothing
        with anyio.move_on_after(5) as scope:
            await dpf.resource(DPU).get("a")
        await nobody_left(server)

    assert scope.cancelled_caught


@virtual_time
async def test_j2_leaving_the_block_of_a_stream_closes_its_watch() -> None:
    async with Scripted(dpu("a", 10)) as server, leaving_nothing_behind(server), server.client() as dpf:
        async with dpf.resource(DPU).watch() as stream:
            watch = await server.watch()
            async for _ in stream:
                break
        await watch.over.wait()


@virtual_time
async def test_j5_a_thousand_waits_that_time_out_leave_nothing_behind() -> None:
    async with (
        Scripted(dpu("a", 10), node("node-1", 11)) as server,
        leaving_nothing_behind(server),
        server.client() as dpf,
    ):
        await dpf.dpu("a").look()
        await dpf.node("node-1").view()
        for plural in ("dpus", "dpunodes", "dpudevices", "dpunodemaintenances"):
            await server.watch(plural)
        before = len(asyncio.all_tasks()), open_files()
        for n in range(500):
            with anyio.move_on_after(0.001 * (n % 3)):
                await dpf.dpu("a").until(ready)
            with anyio.move_on_after(0.001 * (n % 3)):
                await dpf.node("node-1").until(Level("never", lambda _: False))
        picture = await dpf.dpu("a")._picture()
        site = await dpf.node("node-1")._services.site()

        assert (len(asyncio.all_tasks()), open_files()) == before
        assert not picture.hub._waits
        assert not site.hub._waits


@pytest.mark.parametrize("wait", [False, True])
@virtual_time
async def test_j6_what_a_reader_raises_leaves_as_itself(wait: bool) -> None:
    async def fail_while_reading(server: Scripted) -> None:
        async with server.client() as dpf, dpf.resource(DPU).watch() as stream:
            async for _ in stream:
                if wait:
                    await server.watch()
                raise ZeroDivisionError

    async with Scripted(dpu("a", 10)) as server, leaving_nothing_behind(server):
        with pytest.raises(ZeroDivisionError):
            await fail_while_reading(server)


@virtual_time
async def test_j6_a_group_that_a_worker_raises_keeps_its_members() -> None:
    async def fail_in_two_ways(server: Scripted) -> None:
        async with server.client() as dpf:
            await dpf.dpu("a").look()
            raise ExceptionGroup("workers", [ZeroDivisionError(), KeyError()])

    async with Scripted(dpu("a", 10)) as server:
        with pytest.raises(ExceptionGroup) as raised:
            await fail_in_two_ways(server)

    assert [type(one) for one in raised.value.exceptions] == [ZeroDivisionError, KeyError]


@pytest.mark.filterwarnings("error")
def test_j7_a_loop_that_ends_in_the_middle_of_everything_warns_of_nothing() -> None:
    async def interrupted() -> None:
        async with dpu_watch(dpu("a", 10)) as (server, dpf, _):
            await server.watch()
            await dpf.node("node-1").view()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(interrupted())
    gc.collect()


@virtual_time
async def test_j8_a_reader_cancelled_between_two_events_hears_the_next_one_when_it_comes_back() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        heard: list[str] = []
        for n in range(20):
            await watch.send(server.modified(dpu("a", 101 + n)))
            while not heard or f"a@{101 + n}" not in heard[-1]:
                with anyio.move_on_after(0):
                    heard += await next_events(stream, 1)
                await anyio.lowlevel.checkpoint()

    assert heard == [f"a@{101 + n} updated (watch)" for n in range(20)]


@virtual_time
async def test_j9_a_stream_that_was_left_has_come_to_its_end() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with dpf.resource(DPU).watch() as stream:
            pass
        heard = [event async for event in stream]

    assert heard == []


@virtual_time
async def test_j9_who_reads_a_stream_while_it_is_left_comes_to_its_end() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        ended = anyio.Event()
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)

            async def read() -> None:
                async for _ in stream:
                    pass
                ended.set()

            tasks.start_soon(read)
            await anyio.sleep(1)
        await ended.wait()


@virtual_time
async def test_j9_a_stream_of_transitions_is_read_inside_its_block_only() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with dpf.transitions() as stream:
            await anext(stream)
        with anyio.fail_after(60):
            heard = [event async for event in stream]

    assert heard == []


@virtual_time
async def test_j_a_reader_that_is_cancelled_leaves_the_one_beside_it_alone() -> None:
    async with dpu_watch_with_slow_reader(dpu("a", 10)) as (server, _, fast, slow):
        with anyio.move_on_after(1):
            await anext(slow)
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)))
        heard = await next_events(fast, 1) + await next_events(slow, 1)

    assert heard == ["a@101 updated (watch)"] * 2


@virtual_time
async def test_h13_a_question_that_raises_does_not_end_the_client() -> None:
    def raises(view: DPUView) -> bool:
        return bool(view.conditions[7])

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        with pytest.raises(IndexError):
            await dpf.dpu("a").until(Level("odd", raises))
        view = await dpf.dpu("a").view()

    assert view.name == "a"

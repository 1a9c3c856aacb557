"""The meter of `make bench` measures woken waits, and nothing if waits were not woken. In one process, with 28 DPUs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from benchmarks.clients import Start, burst_of, ka_watch, ours_burst
from benchmarks.load import Load, application
from benchmarks.measure import MeterError, WakeMeter

from benchmarks import dpus

OBJECTS = 28
WARMUP = 56
EVENTS = 700
NAMES = [dpus.name_of(index) for index in range(OBJECTS + 2)]
DUE = dpus.wakes(WARMUP, EVENTS, OBJECTS)

Client = Callable[[str, WakeMeter, Start], Awaitable[None]]


async def dpf_async(host: str, meter: WakeMeter, start: Start) -> None:
    await ours_burst(host, meter, start, objects=OBJECTS)


async def kubernetes_asyncio(host: str, meter: WakeMeter, start: Start) -> None:
    await burst_of(ka_watch, host, meter, start, objects=OBJECTS)


CLIENTS = pytest.mark.parametrize(
    "client", [dpf_async, kubernetes_asyncio], ids=lambda client: client.__name__
)


@asynccontextmanager
async def serving(load: Load) -> AsyncIterator[str]:
    load.mode = {"mode": "burst", "warmup": WARMUP, "events": EVENTS}
    runner = web.AppRunner(application(load), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def run(client: Client, load: Load) -> WakeMeter:
    meter = WakeMeter(NAMES, events=EVENTS, due=DUE)

    async def start() -> None:
        load.started.set()

    with anyio.fail_after(60):
        async with serving(load) as host:
            await client(host, meter, start)
    return meter


@CLIENTS
async def test_every_wait_that_is_due_is_woken_between_the_marks(client: Client) -> None:
    meter = await run(client, Load(OBJECTS + 2, OBJECTS))

    found = meter.result()

    assert found["woken"] == DUE == EVENTS / len(dpus.PHASES)
    assert found["cpu_us"] > 0
    assert found["events_per_s"] > 0


async def test_a_wait_that_returns_at_once_for_a_listed_dpu_fails_the_run() -> None:
    load = Load(OBJECTS + 2, OBJECTS)
    load.items[5] = dpus.encode(dpus.dpu(5, dpus.READY))

    with pytest.raises(MeterError, match=f"{dpus.name_of(5)} ended before the burst started"):
        await run(dpf_async, load)


class WithoutOneWake(Load):
    """Leaves one Ready event out of the measured part of the burst."""

    def burst(self, warmup: int, events: int) -> Iterator[bytes]:
        left_out = next(
            position
            for position in range(warmup, warmup + events)
            if dpus.at(position, self.objects)[1] % len(dpus.PHASES) == dpus.READY
        )
        for number, chunk in enumerate(super().burst(warmup, events)):
            if number != left_out + 1:  # the first mark is between the warm-up and the measured part
                yield chunk


@CLIENTS
async def test_a_run_with_a_wait_that_was_not_woken_has_no_figures(client: Client) -> None:
    meter = await run(client, WithoutOneWake(OBJECTS + 2, OBJECTS))

    with pytest.raises(MeterError, match=f"{DUE - 1} waits were woken, {DUE} were due"):
        meter.result()


def test_the_generator_sends_as_many_ready_events_as_the_meter_expects() -> None:
    chunks = list(Load(1, OBJECTS).burst(WARMUP, EVENTS))
    phases = [json.loads(chunk.split(b"\r\n")[1])["object"]["status"]["phase"] for chunk in chunks]

    assert len(chunks) == WARMUP + EVENTS + 2
    assert phases[WARMUP] == phases[-1] == "Ready"
    assert phases[WARMUP + 1 : -1].count("Ready") == DUE


async def test_the_meter_starts_only_when_every_wait_is_registered() -> None:
    meter = WakeMeter(["a", "b"], events=1, due=0)
    meter.register("a")

    with anyio.move_on_after(0) as scope:
        await meter.arm()
    assert scope.cancelled_caught
    with pytest.raises(MeterError, match="1 waits were not registered"):
        meter.begin()

    meter.register("b")
    await meter.arm()
    meter.begin()


async def test_a_wake_before_the_first_mark_is_not_counted() -> None:
    meter = WakeMeter(["a"], events=1, due=1)
    meter.register("a")
    await meter.arm()

    meter.wake("a")
    meter.begin()
    meter.end()

    with pytest.raises(MeterError, match="0 waits were woken, 1 were due"):
        meter.result()


async def test_a_wake_more_than_due_fails_the_run() -> None:
    meter = WakeMeter(["a"], events=1, due=1)
    meter.register("a")
    await meter.arm()
    meter.begin()

    meter.wake("a")
    meter.wake("a")
    meter.end()

    with pytest.raises(MeterError, match="2 waits were woken, 1 were due"):
        meter.result()


async def test_a_burst_without_its_last_mark_has_no_figures() -> None:
    meter = WakeMeter(["a"], events=1, due=0)
    meter.register("a")
    await meter.arm()
    meter.begin()

    with pytest.raises(MeterError, match="did not run from its first mark to its last"):
        meter.result()

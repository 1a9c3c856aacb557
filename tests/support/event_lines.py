"""Events of a stream as short lines, for comparison with a list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_never

from dpf_async import DPFClient, ObjectState, Undecodable
from dpf_async.models import DPU
from dpf_async.watch import Added, Deleted, EventStream, Gap, Resumed, Synced, Updated, WatchEvent
from tests.support.objects import Obj
from tests.support.scripted import Scripted

DPUStream = EventStream[DPU]


@asynccontextmanager
async def open_stream(
    *objects: Obj, version: int = 100
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream]]:
    """A server with these objects, a client, and a stream of DPUs whose initial events were read."""
    async with (
        Scripted(*objects, version=version) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await initial_lines(stream)
        yield server, dpf, stream


@asynccontextmanager
async def open_two_streams(
    *objects: Obj,
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream, DPUStream]]:
    """The same with a second stream, for a slow reader; its initial events were read as well."""
    async with open_stream(*objects) as (server, dpf, fast), dpf.resource(DPU).watch() as slow:
        await initial_lines(slow)
        yield server, dpf, fast, slow


def as_line(event: WatchEvent[DPU]) -> str:
    """Such as "a@101 updated (watch)", with the uid if it is not the default one of that name."""
    match event:
        case Added(obj, origin):
            return f"{_object(obj)} added ({origin})"
        case Updated(_, after, origin, contiguous, coalesced):
            missed = "" if contiguous else f", {coalesced} coalesced" if coalesced else ", not contiguous"
            return f"{_object(after)} updated ({origin}){missed}"
        case Deleted(last, origin, final, reason):
            return f"{_object(last)} {reason} ({origin}){'' if final else ', final state unknown'}"
        case Gap():
            return "gap"
        case Resumed(_, rewound):
            return "resumed, rewound" if rewound else "resumed"
        case Synced():
            return "synced"
        case Undecodable(name=name):
            return f"{name} unreadable"
    assert_never(event)


async def next_lines(stream: AsyncIterator[WatchEvent[DPU]], count: int) -> list[str]:
    """The next `count` events."""
    return [as_line(await anext(stream)) for _ in range(count)]


async def initial_lines(stream: AsyncIterator[WatchEvent[DPU]]) -> list[str]:
    """The events of a new stream before Synced."""
    lines: list[str] = []
    while (line := as_line(await anext(stream))) != "synced":
        lines.append(line)
    return lines


def _object(state: ObjectState[DPU] | Undecodable) -> str:
    uid = "" if state.uid == f"uid-of-{state.name}" else f"#{state.uid}"
    return f"{state.name}{uid}@{state.resource_version}"

"""Events of a watch as short texts, for assertions on lists of them."""

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
async def dpu_watch(
    *objects: Obj, version: int = 100
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream]]:
    """A server with these objects, a client, and a watch of DPUs that has yielded the existing ones."""
    async with (
        Scripted(*objects, version=version) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await initial_events(stream)
        yield server, dpf, stream


@asynccontextmanager
async def dpu_watch_with_slow_reader(
    *objects: Obj,
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream, DPUStream]]:
    """The same with a second watch, last in the tuple, which has yielded the existing objects and is not read on."""
    async with dpu_watch(*objects) as (server, dpf, fast), dpf.resource(DPU).watch() as slow:
        await initial_events(slow)
        yield server, dpf, fast, slow


def event_text(event: WatchEvent[DPU]) -> str:
    """The text of an event, such as "a@101 updated (watch)"; with the uid if it is not the default one of this name."""
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


async def next_events(stream: AsyncIterator[WatchEvent[DPU]], count: int) -> list[str]:
    """The texts of the next `count` events."""
    return [event_text(await anext(stream)) for _ in range(count)]


async def initial_events(stream: AsyncIterator[WatchEvent[DPU]]) -> list[str]:
    """The texts of the events before Synced."""
    events: list[str] = []
    while (event := event_text(await anext(stream))) != "synced":
        events.append(event)
    return events


def _object(state: ObjectState[DPU] | Undecodable) -> str:
    uid = "" if state.uid == f"uid-of-{state.name}" else f"#{state.uid}"
    return f"{state.name}{uid}@{state.resource_version}"

"""What a stream told, in words that fit into a list."""

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
async def following(
    *objects: Obj, version: int = 100
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream]]:
    """A server with these objects, a client, and a reader of the client's DPUs that has been told what stands."""
    async with (
        Scripted(*objects, version=version) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await standing(stream)
        yield server, dpf, stream


@asynccontextmanager
async def sleeping_beside(
    *objects: Obj,
) -> AsyncIterator[tuple[Scripted, DPFClient, DPUStream, DPUStream]]:
    """The same with a second reader, that has been told as much and then sleeps: it comes last."""
    async with following(*objects) as (server, dpf, fast), dpf.resource(DPU).watch() as slow:
        await standing(slow)
        yield server, dpf, fast, slow


def words(event: WatchEvent[DPU]) -> str:
    """Such as "a@101 updated (watch)"; a uid is named where it is not the usual one of that name."""
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


async def told(stream: AsyncIterator[WatchEvent[DPU]], count: int) -> list[str]:
    """The next so many events."""
    return [words(await anext(stream)) for _ in range(count)]


async def standing(stream: AsyncIterator[WatchEvent[DPU]]) -> list[str]:
    """What a fresh reader is told first, up to Synced and without it."""
    heard: list[str] = []
    while (event := words(await anext(stream))) != "synced":
        heard.append(event)
    return heard


def _object(state: ObjectState[DPU] | Undecodable) -> str:
    uid = "" if state.uid == f"uid-of-{state.name}" else f"#{state.uid}"
    return f"{state.name}{uid}@{state.resource_version}"

"""Load generator: serves lists and watches of DPUs from encoded bytes, faster than any client reads them.

Each event is one HTTP chunk, as the API server writes it, with a higher resourceVersion than the one before. It runs in
a process and on a core of its own, on loopback only. `POST /_mode` sets what the next watch receives:

- {"mode": "burst", "warmup": W, "events": E}: nothing until `POST /_start`; then W events, an event that turns DPU
  number `objects` Ready, E events, and an event that turns DPU number `objects + 1` Ready.
- {"mode": "paced", "rate": R}: R events per second without end.
- {"mode": "quiet"}: nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from benchmarks import dpus

OBJECTS = 1_000
"""DPUs that events are about."""
BLOCK = 64
"""Events in one write of a burst."""


class Load:
    """Encoded once: the items of the list, and the pieces of every event around its version and its stamp.

    No listed DPU is Ready, so a wait for Ready stays pending until an event ends it.
    """

    def __init__(self, items: int, objects: int = OBJECTS) -> None:
        self.objects = objects
        self.items = [
            dpus.encode(dpus.dpu(index)).replace(dpus.RESOURCE_VERSION.encode(), b"100000000001", 1)
            for index in range(items)
        ]
        self.events = [
            self._pieces(dpus.event(*dpus.at(position, objects)))
            for position in range(objects * len(dpus.PHASES))
        ]
        self._marks = [self._pieces(dpus.event(objects + n, dpus.READY)) for n in range(2)]
        self._version = itertools.count(200_000_000_000)
        self.mode: dict[str, Any] = {"mode": "quiet"}
        self.started = asyncio.Event()

    @staticmethod
    def _pieces(event: bytes) -> tuple[bytes, bytes, bytes]:
        framed = b"%x\r\n%b\r\n" % (len(event), event)
        head, rest = framed.split(dpus.STAMP.encode(), 1)
        middle, tail = rest.split(dpus.RESOURCE_VERSION.encode(), 1)
        return head, middle, tail

    def burst(self, warmup: int, events: int) -> Iterator[bytes]:
        """The chunks of one burst with its two marks."""
        zero = dpus.STAMP.encode()
        for position in range(warmup):
            yield self.chunk(position, zero)
        yield self._chunk(self._marks[0], zero)
        for position in range(warmup, warmup + events):
            yield self.chunk(position, zero)
        yield self._chunk(self._marks[1], zero)

    def chunk(self, position: int, stamp: bytes) -> bytes:
        """Event number `position`, as one HTTP chunk."""
        return self._chunk(self.events[position % len(self.events)], stamp)

    def _chunk(self, pieces: tuple[bytes, bytes, bytes], stamp: bytes) -> bytes:
        head, middle, tail = pieces
        return b"%b%b%b%d%b" % (head, stamp, middle, next(self._version), tail)

    def page(self, limit: int, start: int) -> bytes:
        """One page of the list."""
        end = min(start + (limit or len(self.items)), len(self.items))
        more = (
            f'"continue":"{end}","remainingItemCount":{len(self.items) - end},'
            if end < len(self.items)
            else ""
        )
        head = f'{{"apiVersion":"{dpus.API_VERSION}","items":['
        tail = f'],"kind":"DPUList","metadata":{{{more}"resourceVersion":"150000000000"}}}}\n'
        return head.encode() + b",".join(self.items[start:end]) + tail.encode()


async def dpu_requests(request: web.Request) -> web.StreamResponse:
    """List or watch."""
    load: Load = request.app[LOAD]
    if request.query.get("watch", "").lower() not in {"true", "1"}:
        page = load.page(int(request.query.get("limit") or 0), int(request.query.get("continue") or 0))
        return web.Response(body=page, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    transport = request.transport  # aiohttp sets it to None when the client closes the connection
    assert transport is not None
    transport.set_write_buffer_limits(high=4 << 20, low=2 << 20)
    try:
        if load.mode["mode"] == "burst":
            await _burst(request, transport, load)
        elif load.mode["mode"] == "paced":
            await _paced(transport, load, float(load.mode["rate"]))
        while not transport.is_closing():
            await asyncio.sleep(0.05)
    except (ConnectionError, RuntimeError):  # the client closed the connection; uvloop raises RuntimeError
        pass
    return response


async def _burst(request: web.Request, transport: asyncio.WriteTransport, load: Load) -> None:
    await load.started.wait()
    chunks = load.burst(load.mode["warmup"], load.mode["events"])
    while not transport.is_closing() and (block := b"".join(itertools.islice(chunks, BLOCK))):
        transport.write(block)
        await request.protocol._drain_helper()


async def _paced(transport: asyncio.WriteTransport, load: Load, rate: float) -> None:
    begin = time.monotonic()
    for position in itertools.count():
        if transport.is_closing():
            return
        if (delay := begin + position / rate - time.monotonic()) > 0:
            await asyncio.sleep(delay)
        transport.write(load.chunk(position, b"%020d" % time.monotonic_ns()))


async def set_mode(request: web.Request) -> web.Response:
    """Set what the next watch receives."""
    load = request.app[LOAD]
    load.mode = await request.json()
    load.started.clear()
    return web.json_response({})


async def start(request: web.Request) -> web.Response:
    """Start the burst of the watch that is open, or of the next one."""
    request.app[LOAD].started.set()
    return web.json_response({})


LOAD = web.AppKey("load", Load)


def application(load: Load) -> web.Application:
    """The HTTP application, with as much of the discovery documents as the clients request."""
    app = web.Application()
    app[LOAD] = load
    app.router.add_get(dpus.PATH, dpu_requests)
    app.router.add_get(f"/apis/{dpus.API_VERSION}/{dpus.PLURAL}", dpu_requests)
    app.router.add_post("/_mode", set_mode)
    app.router.add_post("/_start", start)
    resource = {
        "name": dpus.PLURAL,
        "singularName": "dpu",
        "namespaced": True,
        "kind": dpus.KIND,
        "verbs": ["list"],
    }
    version = {"groupVersion": dpus.API_VERSION, "version": dpus.VERSION}
    group = {"name": dpus.GROUP, "versions": [version], "preferredVersion": version}
    documents: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0"},
        "/version/": {"major": "1", "minor": "35", "gitVersion": "v1.35.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]},
        f"/apis/{dpus.API_VERSION}": {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": dpus.API_VERSION,
            "resources": [resource],
        },
    }
    for path, document in documents.items():
        app.router.add_get(path, _static(document))
    return app


def main() -> None:
    """`python -m benchmarks.load ITEMS`: prints its port when it accepts connections."""
    import uvloop  # noqa: PLC0415  in the group bench only; the tests run this module on asyncio's own loop

    uvloop.run(_serve(int(sys.argv[1])))


async def _serve(items: int) -> None:
    runner = web.AppRunner(application(Load(items)), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def _static(document: dict[str, Any]) -> Any:
    async def handler(request: web.Request) -> web.Response:
        if "APIGroupDiscoveryList" in request.headers.get("Accept", ""):
            return web.Response(status=406)  # no aggregated discovery here
        return web.json_response(document)

    return handler


if __name__ == "__main__":
    main()

"""Load generator: lists and watches of DPUs from bytes that were encoded before, faster than any client reads.

Each event is one HTTP chunk, as the API server writes it, with a resourceVersion higher than the last. It runs in a
process and on a core of its own; loopback only. `POST /_mode` says what the next watch gets:
{"mode": "burst"} without end, {"mode": "paced", "rate": events per second}, or {"mode": "quiet"}.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from typing import Any

import uvloop
from aiohttp import web

from benchmarks import dpus

OBJECTS = 1_000
"""DPUs that events are about."""
BLOCK = 64
"""Events in one write of a burst."""


class Load:
    """Encoded once: the items of the list, and the pieces of every event around its version and its stamp."""

    def __init__(self, items: int) -> None:
        self.items = [
            dpus.encode(dpus.dpu(index, 12)).replace(dpus.RESOURCE_VERSION.encode(), b"100000000001", 1)
            for index in range(items)
        ]
        self.events = [
            self._pieces(dpus.event(index, step + index))
            for step in range(len(dpus.PHASES))
            for index in range(OBJECTS)
        ]
        self._version = itertools.count(200_000_000_000)
        self.mode: dict[str, Any] = {"mode": "quiet"}

    @staticmethod
    def _pieces(event: bytes) -> tuple[bytes, bytes, bytes]:
        framed = b"%x\r\n%b\r\n" % (len(event), event)
        head, rest = framed.split(dpus.STAMP.encode(), 1)
        middle, tail = rest.split(dpus.RESOURCE_VERSION.encode(), 1)
        return head, middle, tail

    def chunk(self, position: int, stamp: bytes) -> bytes:
        """Event number `position`, as one HTTP chunk."""
        head, middle, tail = self.events[position % len(self.events)]
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
    assert request.transport is not None
    request.transport.set_write_buffer_limits(high=4 << 20, low=2 << 20)
    try:
        if load.mode["mode"] == "burst":
            await _burst(request, load)
        elif load.mode["mode"] == "paced":
            await _paced(request.transport, load, float(load.mode["rate"]))
        while not request.transport.is_closing():
            await asyncio.sleep(0.05)
    except (ConnectionError, RuntimeError):  # the client hung up; uvloop says RuntimeError
        pass
    return response


async def _burst(request: web.Request, load: Load) -> None:
    transport = request.transport
    assert transport is not None
    position, zero = 0, dpus.STAMP.encode()
    while not transport.is_closing():
        transport.write(b"".join([load.chunk(position + n, zero) for n in range(BLOCK)]))
        position += BLOCK
        await request.protocol._drain_helper()


async def _paced(transport: asyncio.BaseTransport, load: Load, rate: float) -> None:
    begin = time.monotonic()
    for position in itertools.count():
        if transport.is_closing():
            return
        if (delay := begin + position / rate - time.monotonic()) > 0:
            await asyncio.sleep(delay)
        transport.write(load.chunk(position, b"%020d" % time.monotonic_ns()))  # type: ignore[attr-defined]


async def set_mode(request: web.Request) -> web.Response:
    """What the next watch gets."""
    request.app[LOAD].mode = await request.json()
    return web.json_response({})


LOAD = web.AppKey("load", Load)


def main() -> None:
    """`python -m benchmarks.load ITEMS`: prints its port when it is ready."""
    app = web.Application()
    app[LOAD] = Load(int(sys.argv[1]))
    app.router.add_get(dpus.PATH, dpu_requests)
    app.router.add_get(f"/apis/{dpus.API_VERSION}/{dpus.PLURAL}", dpu_requests)
    app.router.add_post("/_mode", set_mode)
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
    uvloop.run(_serve(app))


async def _serve(app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
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

"""Proxy: injects faults between a client and an API server: delayed watches, error answers, denied permissions.

It listens on loopback and has the same `faults` as the embedded server, for tests that run on a real server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import anyio
from aiohttp import web
from kubernetes_asyncio.config import new_client_from_config_dict

from dpf_async.sim.apiserver.faults import Faults, Request
from dpf_async.sim.apiserver.http.access import Access
from dpf_async.sim.apiserver.http.responses import json_response, planned_response
from dpf_async.sim.apiserver.http.routes import parse_route
from dpf_async.sim.apiserver.wire.codec import encode_in_order
from dpf_async.sim.apiserver.wire.status import StatusError

__all__ = ["Proxy"]

_HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "authorization"}


class Proxy(anyio.AsyncContextManagerMixin):
    """async with Proxy(kubeconfig) as proxy: the API server of a kubeconfig, at proxy.url and with proxy.faults.

    All requests are sent with the credentials of that kubeconfig.
    """

    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        self.faults = Faults()
        self.url = ""
        self._access = Access(None, self.faults)
        self._kubeconfig = kubeconfig
        self._session: aiohttp.ClientSession
        self._headers: dict[str, str] = {}
        self._server = ""
        self._lines: set[_Line] = set()
        self._passed_on = anyio.Event()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with await new_client_from_config_dict(self._kubeconfig) as client:
            self._server = client.configuration.host.rstrip("/")
            if token := client.configuration.api_key.get("BearerToken"):
                self._headers = {"authorization": token}
            # Its session has the client certificate and the authority; none of its requests are used.
            self._session = client.rest_client.pool_manager
            runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await runner.cleanup()

    def kubeconfig(self, *, namespace: str) -> dict[str, Any]:
        """A kubeconfig with the address of the proxy."""
        name = "proxy"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }

    async def settled(self) -> None:
        """Wait until every watch has sent what it received from the server."""
        while any(line.late for line in self._lines):
            await self._passed_on.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        watches = request.query.get("watch", "false").lower() not in ("false", "0")
        route = parse_route(request.method, request.path, watch=watches)
        if route is not None:
            parsed = Request(
                self._access.user_of(""), route.verb, route.resource, route.namespace, route.name
            )
            if (answer := self.faults.planned_answer(parsed)) is not None:
                return planned_response(request, answer)
            try:
                self._access.check(parsed, route.group, request.path)
            except StatusError as error:
                return json_response(request, encode_in_order(error.status), error.code, error.headers)
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            headers={**headers, **self._headers},
            data=await request.read() or None,
            allow_redirects=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:
            returned = {
                key: value for key, value in upstream.headers.items() if key.lower() not in _HOP_BY_HOP
            }
            if upstream.status != 200 or not watches:
                return web.Response(status=upstream.status, headers=returned, body=await upstream.read())
            response = web.StreamResponse(status=200, headers=returned)
            await response.prepare(request)
            await self._pass_on(upstream, request, response)
            return response

    async def _pass_on(
        self, upstream: aiohttp.ClientResponse, request: web.BaseRequest, response: web.StreamResponse
    ) -> None:
        line = _Line()
        self._lines.add(line)

        def drop(reset: bool) -> None:
            if reset and request.transport is not None:
                request.transport.abort()
            tasks.cancel_scope.cancel()

        try:
            with self.faults.droppable(drop):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._deliver, line, response)
                    async for chunk in upstream.content.iter_any():
                        line.put(chunk)
                    line.put(b"")
        finally:
            self._lines.discard(line)
            self._notify()

    async def _deliver(self, line: _Line, response: web.StreamResponse) -> None:
        while True:
            arrived, chunk = await line.first()
            while (wait := arrived + self.faults.watch_lag - anyio.current_time()) > 0:
                with anyio.move_on_after(wait):
                    await self.faults.watch_lag_changed()
            if not chunk:
                return
            await response.write(chunk)
            line.late.popleft()
            self._notify()

    def _notify(self) -> None:
        self._passed_on.set()
        self._passed_on = anyio.Event()


class _Line:
    """Chunks that one watch has received and not sent yet."""

    def __init__(self) -> None:
        self.late: deque[tuple[float, bytes]] = deque()
        self._more = anyio.Event()

    def put(self, chunk: bytes) -> None:
        self.late.append((anyio.current_time(), chunk))
        self._more.set()

    async def first(self) -> tuple[float, bytes]:
        while not self.late:
            self._more = anyio.Event()
            await self._more.wait()
        return self.late[0]

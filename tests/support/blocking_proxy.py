"""A proxy on which a test holds single writes of a client, or disconnects the client."""

from __future__ import annotations

from typing import Any

import anyio
from aiohttp import web

from dpf_async.sim.apiserver.faults import Answer
from dpf_async.sim.apiserver.http.responses import planned_response
from tests.support.proxy import Proxy

__all__ = ["BlockingProxy"]


class BlockingProxy(Proxy):
    """async with BlockingProxy(kubeconfig) as gate: a proxy before the API server of a kubeconfig.

    Attributes:
        writes: the write requests so far, as "PATCH leases", including one that is held.
        stopped: the request to hold arrived, or, if it passes, its answer did; the client has no answer yet.
    """

    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        super().__init__(kubeconfig)
        self.writes: list[str] = []
        self.stopped = anyio.Event()
        self._stop_at = 0
        self._passes = False
        self._is_disconnected = False
        self._released = anyio.Event()
        self._answers: dict[int, int] = {}

    def answer_at(self, number: int, status: int) -> None:
        """Answer the write of this number with this HTTP status, without sending it to the server."""
        self._answers[number] = status

    def stop_at(self, number: int, *, passes: bool) -> None:
        """Hold the client's write of this number.

        Args:
            number: of the write, counted from 1.
            passes: True sends it to the server and holds the answer; False holds the request.
        """
        self._stop_at, self._passes = number, passes

    def release(self) -> None:
        """Continue the held write."""
        self._released.set()

    def disconnect(self) -> None:
        """Abort watches and every later request until `reconnect`."""
        self._is_disconnected = True
        self.faults.drop_watches(reset=True)

    def reconnect(self) -> None:
        """Pass requests to the server again; requests that were aborted are lost."""
        self._is_disconnected = False

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._disconnected():
            return self._abort(request)
        is_held = False
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path.split('/namespaces/')[-1].split('/')[1]}")
            is_held = len(self.writes) == self._stop_at
            if (status := self._answers.get(len(self.writes))) is not None:
                return planned_response(request, Answer(status))
        if is_held and not self._passes:
            await self._hold()
            is_held = False
        response = await super()._handle(request)
        if is_held:
            await self._hold()
        return self._abort(request) if is_held and self._disconnected() else response

    def _disconnected(self) -> bool:
        return self._is_disconnected

    async def _hold(self) -> None:
        self.stopped.set()
        await self._released.wait()

    def _abort(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

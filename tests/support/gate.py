"""Gate: a proxy on which a test stops single writes of a client, or cuts the client off altogether."""

from __future__ import annotations

from typing import Any

import anyio
from aiohttp import web

from dpf_async.sim.apiserver.faults import Answer
from dpf_async.sim.apiserver.http.responses import planned_response
from tests.support.proxy import Proxy

__all__ = ["Gate"]


class Gate(Proxy):
    """async with Gate(kubeconfig) as gate: the API server of a kubeconfig, as far as the gate lets anything through.

    Attributes:
        writes: what was asked to be written so far, as "PATCH leases"; one that is held at the gate included.
        stopped: the write to stop at has come, or, if it was to pass, has been done; its client hears of neither.
    """

    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        super().__init__(kubeconfig)
        self.writes: list[str] = []
        self.stopped = anyio.Event()
        self._stop_at = 0
        self._passes = False
        self._is_cut = False
        self._goes_on = anyio.Event()
        self._answers: dict[int, int] = {}

    def answer_at(self, number: int, status: int) -> None:
        """Answer the write of that number with a status of the server's; it does not arrive there."""
        self._answers[number] = status

    def stop_at(self, number: int, *, passes: bool) -> None:
        """Hold the client's write of that number, counted from 1.

        Args:
            number: which.
            passes: the server gets it, and its answer is held; else it never arrives.
        """
        self._stop_at, self._passes = number, passes

    def go_on(self) -> None:
        """Let the write that is held go on, however late."""
        self._goes_on.set()

    def cut(self) -> None:
        """From now on no request arrives, nothing is answered, and watches break off."""
        self._is_cut = True
        self.faults.drop_watches(reset=True)

    def mend(self) -> None:
        """Let everything through again. What was sent meanwhile is lost."""
        self._is_cut = False

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._cuts_off():
            return self._torn(request)
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
        return self._torn(request) if is_held and self._cuts_off() else response

    def _cuts_off(self) -> bool:
        return self._is_cut

    async def _hold(self) -> None:
        self.stopped.set()
        await self._goes_on.wait()

    def _torn(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

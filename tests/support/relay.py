"""A TCP relay between a client and a server, whose connections a test can close. It does not interpret the data."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, SocketAttribute, SocketStream

from tests.support.scripted import HOST


class Relay(anyio.AsyncContextManagerMixin):
    """async with Relay(url) as relay: connections to `relay.url` are forwarded to the server at this URL.

    Attributes:
        connections: number of connections so far.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._port = 0
        self._open: set[anyio.CancelScope] = set()
        self._is_disconnected = False
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{self._server.scheme}://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def kubeconfig(self, content: dict[str, Any]) -> dict[str, Any]:
        """A kubeconfig of the server, with the address of the relay."""
        changed = copy.deepcopy(content)
        changed["clusters"][0]["cluster"]["server"] = self.url
        return changed

    def close_connections(self) -> None:
        """Close all open connections; new ones are forwarded."""
        for scope in self._open:
            scope.cancel()

    def disconnect(self) -> None:
        """Close all open connections, and forward no new ones until `reconnect`."""
        self._is_disconnected = True
        self.close_connections()

    def reconnect(self) -> None:
        """Forward new connections again."""
        self._is_disconnected = False

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with (
            await anyio.create_tcp_listener(local_host=HOST, local_port=0) as listener,
            anyio.create_task_group() as tasks,
        ):
            self._port = listener.extra(SocketAttribute.local_port)
            tasks.start_soon(listener.serve, self._carry)
            yield self
            tasks.cancel_scope.cancel()

    async def _carry(self, client: SocketStream) -> None:
        assert self._server.port is not None, "the URL of a test server has a port"
        self.connections += 1
        with anyio.CancelScope() as scope:
            self._open.add(scope)
            try:
                async with client:
                    if not self._is_disconnected:
                        await _carry_to(self._server.port, client, scope)
            finally:
                self._open.discard(scope)


async def _carry_to(port: int, client: SocketStream, scope: anyio.CancelScope) -> None:
    try:
        server = await anyio.connect_tcp(HOST, port)
    except OSError:
        return  # the server is down: the client's connection is closed
    async with server, anyio.create_task_group() as tasks:
        tasks.start_soon(_pump, client, server, scope)
        tasks.start_soon(_pump, server, client, scope)


async def _pump(source: ByteReceiveStream, target: ByteSendStream, scope: anyio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()

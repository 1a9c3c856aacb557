"""A relay before a server: who goes through it can be cut off while the server goes on and others still reach it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream

from dpf_async._sdk.tasks import task_group
from tests.apiserver.cluster import RealCluster

__all__ = ["Relay"]

_HOST: Final = "127.0.0.1"


class Relay(anyio.AsyncContextManagerMixin):
    """async with Relay(cluster) as relay: passes on what clients with `relay.kubeconfig()` and the cluster say."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self._port = 0
        self._is_cut = False
        self._carried: set[anyio.CancelScope] = set()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        listener = await anyio.create_tcp_listener(local_host=_HOST)
        self._port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, task_group() as tasks:
            tasks.start_soon(listener.serve, self._carry, tasks)
            yield self
            tasks.cancel_scope.cancel()

    def kubeconfig(self, **who: Any) -> dict[str, Any]:
        """The cluster's, with the address of the relay; see RealCluster.kubeconfig for who."""
        content = self._cluster.kubeconfig(**who)
        content["clusters"][0]["cluster"]["server"] = f"https://{_HOST}:{self._port}"
        return content

    def cut(self) -> None:
        """Break every connection, and every one that is tried from now on."""
        self._is_cut = True
        for scope in self._carried:
            scope.cancel()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    async def _carry(self, client: SocketStream) -> None:
        async with client:
            if self._is_cut:
                return
            with anyio.CancelScope() as scope:
                self._carried.add(scope)
                try:
                    await _connect(client, self._cluster.url)
                finally:
                    self._carried.discard(scope)


async def _connect(client: SocketStream, url: str) -> None:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    try:
        server = await anyio.connect_tcp(address.hostname, address.port)
    except OSError:
        return
    async with server, anyio.create_task_group() as tasks:
        tasks.start_soon(_pass_on, client, server)
        tasks.start_soon(_pass_on, server, client)


async def _pass_on(source: SocketStream, target: SocketStream) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in source:
            await target.send(chunk)
        await target.send_eof()

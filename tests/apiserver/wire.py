"""Raw HTTP requests to a real API server, with headers, content encodings, chunks and the end of responses."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
import anyio

from dpf_async.models import DPU, Resource
from tests.apiserver.cluster import ADMIN, RealCluster

__all__ = ["MERGE_PATCH", "Answer", "Watch", "Wire", "become_true", "dpu", "settled"]

JSON = dict[str, Any]  # Any: it is JSON

_NOTHING: Final[Mapping[str, str]] = {}
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_POLL_SECONDS: Final = 0.01
"""Short, because the answers in the first 0.1 s after a start are tested."""
_TIMEOUT: Final = 60.0
"""Seconds; a safeguard."""
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, not decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> JSON:
        """The decoded body."""
        decoded: JSON = json.loads(self.body)
        return decoded

    @property
    def resource_version(self) -> str:
        """The resourceVersion of the list or object."""
        return str(self.json["metadata"]["resourceVersion"])


class Watch:
    """The response of a watch while it is read.

    Attributes:
        chunks: the received chunks.
        ended_cleanly: whether the response ended with a terminating chunk; None while it has not ended.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.chunks: list[bytes] = []
        self.ended_cleanly: bool | None = None
        self._content = response.content
        self._rest = b""

    async def next(self) -> JSON | None:
        """The next event; None after the end of the response."""
        while b"\n" not in self._rest:
            chunk = await self._chunk()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        event: JSON = json.loads(line)
        return event

    async def to_end(self) -> list[JSON]:
        """All events up to the end of the response, clean or not."""
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events

    async def first_chunk(self) -> None:
        """Wait for the first chunk."""
        await self._chunk()

    async def raw_to_end(self) -> bytes:
        """All bytes up to the end of the response."""
        while await self._chunk():
            pass
        return b"".join(self.chunks)

    async def _chunk(self) -> bytes:
        try:
            chunk, ended = await self._content.readchunk()
            while not chunk and ended:
                chunk, ended = await self._content.readchunk()
        except aiohttp.ClientError:
            self.ended_cleanly = False
            return b""
        if chunk:
            self.chunks.append(chunk)
        else:
            self.ended_cleanly = True
        return chunk


class Wire(anyio.AsyncContextManagerMixin):
    """async with Wire(cluster, namespace) as wire: raw requests for the DPUs of a namespace.

    Args:
        cluster: the server.
        namespace: of the objects.
        kind: of the objects.
        token: of the user; the administrator's by default.
    """

    def __init__(
        self, cluster: RealCluster, namespace: str, *, kind: type[Resource] = DPU, token: str | None = None
    ) -> None:
        self.path = f"/apis/{kind.GROUP}/{kind.VERSION}/namespaces/{namespace}/{kind.PLURAL}"
        self._url = cluster.url
        self._tls = ssl.create_default_context(cafile=cluster.ca)
        self._headers = {
            "Authorization": f"Bearer {token or cluster.token_of(ADMIN)}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with aiohttp.ClientSession(
            self._url, headers=self._headers, auto_decompress=False
        ) as self._session:
            yield self

    async def send(
        self,
        method: str,
        path: str = "",
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """Send one request for the kind, a path below it, or an absolute path."""
        content = None if body is None else json.dumps(body)
        async with self._session.request(
            method,
            path if path.startswith("/apis/") else self.path + path,
            params=dict(query),
            data=content,
            headers={"Content-Type": "application/json", **(headers or {})},
            ssl=self._tls,
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def list(
        self, query: Mapping[str, str] = _NOTHING, *, headers: Mapping[str, str] | None = None, **more: str
    ) -> Answer:
        """List the objects; `continue_` is the parameter continue, which Python reserves."""
        parameters = {name.rstrip("_"): value for name, value in {**query, **more}.items()}
        return await self.send("GET", headers=headers, query=parameters)

    @asynccontextmanager
    async def watch(
        self, query: Mapping[str, str] = _NOTHING, *, headers: Mapping[str, str] | None = None, **more: str
    ) -> AsyncGenerator[Watch]:
        """Start a watch; entered when the response has begun."""
        parameters = {"watch": "true", **query, **more}
        async with self._session.get(
            self.path, params=parameters, headers=headers, ssl=self._tls
        ) as response:
            try:
                yield Watch(response)
            finally:
                if response.connection is not None and response.connection.transport is not None:
                    # close() would wait for the TLS close_notify of the server, which is still sending events.
                    response.connection.transport.abort()

    async def version(self) -> str:
        """The current resourceVersion."""
        return (await self.list()).resource_version

    async def listening(self) -> None:
        """Wait until the server accepts connections, with any answer."""
        while True:
            try:
                await self.list(limit="1")
            except aiohttp.ClientConnectionError:
                await anyio.sleep(_POLL_SECONDS)
            else:
                return

    async def create(self, name: str, **metadata: object) -> str:
        """Create a DPU; return its resourceVersion."""
        answer = await self.send("POST", body=dpu(name, **metadata))
        assert answer.status == 201, answer.body
        return answer.resource_version

    async def patch(self, name: str, change: JSON, *, subresource: str = "") -> str:
        """Merge-patch an object; return its resourceVersion."""
        path = f"/{name}/{subresource}" if subresource else f"/{name}"
        answer = await self.send("PATCH", path, change, headers={"Content-Type": MERGE_PATCH})
        assert answer.status == 200, answer.body
        return answer.resource_version

    def path_of_definition(self, kind: type[Resource]) -> str:
        """The path of the CRD of a kind."""
        return f"{_CRDS}/{kind.PLURAL}.{kind.GROUP}"

    async def definition(self, kind: type[Resource]) -> JSON:
        """The CRD of a kind."""
        return (await self.send("GET", self.path_of_definition(kind))).json

    async def define(self, kind: type[Resource], change: JSON) -> None:
        """Merge-patch the CRD of a kind."""
        answer = await self.send(
            "PATCH", self.path_of_definition(kind), change, headers={"Content-Type": MERGE_PATCH}
        )
        assert answer.status == 200, answer.body


def dpu(name: str, **metadata: object) -> JSON:
    """A DPU that every release accepts."""
    return {
        "apiVersion": f"{DPU.GROUP}/{DPU.VERSION}",
        "kind": DPU.KIND,
        "metadata": {"name": name, **metadata},
        "spec": {
            "dpuNodeName": "node-1",
            "dpuDeviceName": f"device-of-{name}",
            "serialNumber": "MT2500XZ0001",
            "bfb": "bundle",
            "dpuFlavor": "flavor",
            "nodeEffect": {"noEffect": True},
        },
    }


async def settled(ask: Callable[[], Awaitable[Answer]], status: int = 200) -> Answer:
    """Repeat a request until the answer has this status, for effects without an event."""
    with anyio.fail_after(_TIMEOUT):
        while (answer := await ask()).status != status:  # noqa: ASYNC110
            await anyio.sleep(_POLL_SECONDS)
    return answer


async def become_true(fact: Callable[[], bool]) -> None:
    """Wait until a condition holds for which there is no event."""
    with anyio.fail_after(_TIMEOUT):
        while not fact():  # noqa: ASYNC110
            await anyio.sleep(_POLL_SECONDS)

"""Raw HTTP to a real API server, for what a client hides: heads, encodings, chunks, and how an answer ends."""

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
"""Short: what a server says in its first tenth of a second is of interest."""
_PATIENCE: Final = 45.0
"""Seconds; a guard."""
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, as it came: nothing is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> JSON:
        """The body."""
        told: JSON = json.loads(self.body)
        return told

    @property
    def resource_version(self) -> str:
        """Of the list, or of the object."""
        return str(self.json["metadata"]["resourceVersion"])


class Watch:
    """The answer to a watch while it is read.

    Attributes:
        chunks: what has come, as the server framed it.
        ended_in_good_order: the server said that this is all; None while it has said nothing about it.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.chunks: list[bytes] = []
        self.ended_in_good_order: bool | None = None
        self._content = response.content
        self._rest = b""

    async def next(self) -> JSON | None:
        """The next event; None once the answer has ended."""
        while b"\n" not in self._rest:
            chunk = await self._chunk()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        event: JSON = json.loads(line)
        return event

    async def to_end(self) -> list[JSON]:
        """Everything up to the end, whatever kind of end it is."""
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events

    async def first_chunk(self) -> None:
        """Wait until something has come."""
        await self._chunk()

    async def raw_to_end(self) -> bytes:
        """All bytes of the answer, up to its end."""
        while await self._chunk():
            pass
        return b"".join(self.chunks)

    async def _chunk(self) -> bytes:
        try:
            chunk, ended = await self._content.readchunk()
            while not chunk and ended:
                chunk, ended = await self._content.readchunk()
        except aiohttp.ClientError:
            self.ended_in_good_order = False
            return b""
        if chunk:
            self.chunks.append(chunk)
        else:
            self.ended_in_good_order = True
        return chunk


class Wire(anyio.AsyncContextManagerMixin):
    """async with Wire(cluster, namespace) as wire: somebody who asks for the DPUs of a namespace, byte by byte.

    Args:
        cluster: the server.
        namespace: whose objects.
        kind: of the objects.
        token: who asks; the admin by default.
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
        """One request about the kind, or about a path below it, or about an absolute one."""
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
        """The list; `continue_` is spelled so because Python has a word for the other."""
        asked = {name.rstrip("_"): value for name, value in {**query, **more}.items()}
        return await self.send("GET", headers=headers, query=asked)

    @asynccontextmanager
    async def watch(
        self, query: Mapping[str, str] = _NOTHING, *, headers: Mapping[str, str] | None = None, **more: str
    ) -> AsyncGenerator[Watch]:
        """A watch, whose answer has begun."""
        asked = {"watch": "true", **query, **more}
        async with self._session.get(self.path, params=asked, headers=headers, ssl=self._tls) as response:
            try:
                yield Watch(response)
            finally:
                if response.connection is not None and response.connection.transport is not None:
                    # Closing alone would say goodbye, and wait for a server in the middle of a watch to say it too.
                    response.connection.transport.abort()

    async def version(self) -> str:
        """The newest one."""
        return (await self.list()).resource_version

    async def listening(self) -> None:
        """Wait until the server takes connections, whatever it says then."""
        while True:
            try:
                await self.list(limit="1")
            except aiohttp.ClientConnectionError:
                await anyio.sleep(_POLL_SECONDS)
            else:
                return

    async def create(self, name: str, **metadata: object) -> str:
        """Make a DPU; return its version."""
        answer = await self.send("POST", body=dpu(name, **metadata))
        assert answer.status == 201, answer.body
        return answer.resource_version

    async def patch(self, name: str, change: JSON, *, subresource: str = "") -> str:
        """Merge something into an object; return its version."""
        path = f"/{name}/{subresource}" if subresource else f"/{name}"
        answer = await self.send("PATCH", path, change, headers={"Content-Type": MERGE_PATCH})
        assert answer.status == 200, answer.body
        return answer.resource_version

    def path_of_definition(self, kind: type[Resource]) -> str:
        """Of the CRD."""
        return f"{_CRDS}/{kind.PLURAL}.{kind.GROUP}"

    async def definition(self, kind: type[Resource]) -> JSON:
        """The CRD."""
        return (await self.send("GET", self.path_of_definition(kind))).json

    async def define(self, kind: type[Resource], change: JSON) -> None:
        """Merge something into the CRD."""
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
    """The first answer with that status: a server tells nobody when it is done with something."""
    with anyio.fail_after(_PATIENCE):
        while (answer := await ask()).status != status:  # noqa: ASYNC110
            await anyio.sleep(_POLL_SECONDS)
    return answer


async def become_true(fact: Callable[[], bool]) -> None:
    """Wait until something is so of which there is no event."""
    with anyio.fail_after(_PATIENCE):
        while not fact():  # noqa: ASYNC110
            await anyio.sleep(_POLL_SECONDS)

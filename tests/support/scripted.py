"""A scripted API server: sends the bytes that a test chooses at the time it chooses, over real sockets.

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, dpf.resource(DPU).watch() as stream:
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101)))
        watch.reset()
        again = await server.watch()

Lists are answered from `objects`. A watch is accepted and returned to the test, which sends its events. A script can
answer the next list or watch instead; an exception in a script fails the test. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio

from dpf_async import DPFClient
from dpf_async._base.tasks import background_tasks
from tests.support.objects import API_VERSION, Obj, event, kind_of, plural_of

HOST = "127.0.0.1"

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def plural(self) -> str:
        """The resource in the path, such as "dpus"; empty if there is none."""
        parts = self.path.strip("/").split("/")
        return parts[parts.index("namespaces") + 2] if "namespaces" in parts else ""


class Exchange:
    """One request, and the connection for its answer."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.query = request.query
        self.over = anyio.Event()
        """The answer is complete, or the client closed the connection."""
        self._writer = writer

    async def answer(self, status: int, body: bytes | Obj, headers: Headers | None = None) -> None:
        """Send a complete answer; a dict is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        usual = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        await self.raw(_head(status, usual | dict(headers or {})) + content)
        self.over.set()

    async def begin(self, headers: Headers | None = None) -> None:
        """Send the headers of a chunked answer."""
        usual = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        await self.raw(_head(200, usual | dict(headers or {})))

    async def send(self, *parts: bytes) -> None:
        """Send one HTTP chunk."""
        data = b"".join(parts)
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def raw(self, data: bytes) -> None:
        """Send these bytes unchanged."""
        self._writer.write(data)
        await self._writer.drain()

    async def end(self, *parts: bytes) -> None:
        """Send a last chunk and complete the answer; the connection stays open."""
        if parts:
            await self.send(*parts)
        await self.raw(b"0\r\n\r\n")
        self.over.set()

    def close(self) -> None:
        """Close the connection (FIN), as for a server that was killed."""
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection (RST), as a server that was rebooted does."""
        wire = self._writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


class Scripted(anyio.AsyncContextManagerMixin):
    """The server. Enter it with `async with`.

    Attributes:
        objects, version: the content of lists.
        requests: all requests, in order.
        connections: number of open connections.
        tls: SSL context for https; None serves http.
        next_lists, next_watches: scripts for the next requests, one each; on_list and on_watch answer later ones.
        on_list, on_watch, on_other: scripts for other requests. The default on_watch returns the watch to the test.
    """

    def __init__(self, *objects: Obj, version: int = 100, tls: ssl.SSLContext | None = None) -> None:
        self.objects = list(objects)
        self.version = str(version)
        self.tls = tls
        self.requests: list[Request] = []
        self.connections = 0
        self.next_lists: deque[Script] = deque()
        self.next_watches: deque[Script] = deque()
        self.on_list: Script = self._answer_list
        self.on_watch: Script = self._accept_watch
        self.on_other: Script = refusing(405, "MethodNotAllowed")
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._accepted: dict[str, deque[Exchange]] = defaultdict(deque)
        self._changed = anyio.Event()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with background_tasks() as self._tasks:
            await self.listen()
            try:
                yield self
            finally:
                self.refuse()

    async def listen(self) -> None:
        """Accept connections, at the same port as before."""
        self._listener = await asyncio.start_server(
            lambda reader, writer: self._tasks.start_soon(self._converse, reader, writer),
            HOST,
            self._port,
            limit=2**20,
            backlog=1000,
            ssl=self.tls,
        )
        self._port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections; open ones stay."""
        if self._listener is not None:
            self._listener.close()

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{HOST}:{self._port}"

    def kubeconfig(self, **user: object) -> dict[str, Any]:
        return {
            "clusters": [{"name": "scripted", "cluster": {"server": self.url}}],
            "users": [{"name": "user-1", "user": user or {"token": "t0ken"}}],
            "contexts": [{"name": "it", "context": {"cluster": "scripted", "user": "user-1"}}],
            "current-context": "it",
        }

    def client(self, user: Mapping[str, object] | None = None, **options: Any) -> DPFClient:
        """A client of this server; `user` is the user entry of its kubeconfig."""
        return DPFClient(kubeconfig=self.kubeconfig(**(user or {})), **options)

    async def watch(self, plural: str = "dpus") -> Exchange:
        """Wait for the next watch of a resource; the headers of its answer were sent."""
        await self.until(lambda: bool(self._accepted[plural]))
        return self._accepted[plural].popleft()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until a predicate on requests and connections is true."""
        while not fact():
            await self._changed.wait()

    def asked(self, *, watches: bool, plural: str = "dpus") -> list[Request]:
        """The watch requests, or the list requests, for a resource."""
        return [one for one in self.requests if one.plural == plural and one.watches == watches]

    # Changes. They apply to later lists at once; the caller sends the returned line on its watches.

    def added(self, obj: Obj) -> bytes:
        return self._apply("ADDED", obj)

    def modified(self, obj: Obj) -> bytes:
        return self._apply("MODIFIED", obj)

    def deleted(self, obj: Obj) -> bytes:
        return self._apply("DELETED", obj)

    def _apply(self, type_: str, obj: Obj) -> bytes:
        self.objects = [one for one in self.objects if _key(one) != _key(obj)]
        if type_ != "DELETED":
            self.objects.append(obj)
        self.version = str(max(int(self.version), int(obj["metadata"]["resourceVersion"])))
        return event(type_, obj)

    # Connections.

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(+1)
        exchange: Exchange | None = None
        try:
            async with anyio.create_task_group() as scripts:
                while (request := await _next_request(reader)) is not None:
                    exchange = Exchange(request, writer)
                    self.requests.append(request)
                    self._notify()
                    scripts.start_soon(_run, self._script_for(request), exchange)
                scripts.cancel_scope.cancel()
        finally:
            if exchange is not None:
                exchange.over.set()
            writer.close()
            with anyio.CancelScope(shield=True), suppress(ConnectionError):
                await writer.wait_closed()
            self._count(-1)

    def _script_for(self, request: Request) -> Script:
        if request.method != "GET" or not request.plural or not request.path.endswith(request.plural):
            return self.on_other
        if request.watches:
            return self.next_watches.popleft() if self.next_watches else self.on_watch
        return self.next_lists.popleft() if self.next_lists else self.on_list

    def _count(self, change: int) -> None:
        self.connections += change
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # The default answers.

    async def _answer_list(self, exchange: Exchange) -> None:
        plural, query = exchange.request.plural, exchange.query
        shown = [obj for obj in self.objects if plural_of(obj["kind"]) == plural]
        start, limit = int(query.get("continue", "0")), int(query.get("limit", len(shown) + 1))
        more = str(start + limit) if start + limit < len(shown) else ""
        await exchange.answer(
            200, listing(shown[start : start + limit], self.version, plural, continue_=more)
        )

    async def _accept_watch(self, exchange: Exchange) -> None:
        await exchange.begin()
        self._accepted[exchange.request.plural].append(exchange)
        self._notify()
        await exchange.over.wait()


# Answers.


def listing(items: list[Obj], version: str | int, plural: str = "dpus", *, continue_: str = "") -> Obj:
    """A list as the API server writes it: its items have no kind and apiVersion."""
    metadata = {"resourceVersion": str(version)} | ({"continue": continue_} if continue_ else {})
    return {
        "kind": f"{kind_of(plural)}List",
        "apiVersion": API_VERSION,
        "metadata": metadata,
        "items": [{key: obj[key] for key in obj if key not in {"kind", "apiVersion"}} for obj in items],
    }


def status(code: int, reason: str = "", **more: object) -> Obj:
    """A Status of failure."""
    reasons = {"reason": reason} if reason else {}
    base: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    return base | {"message": f"scripted {code}"} | reasons | more


def answering(code: int, body: bytes | Obj, headers: Headers | None = None) -> Script:
    """A script that answers with this body."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(code, body, headers)

    return answer


def refusing(code: int, reason: str = "", headers: Headers | None = None, **more: object) -> Script:
    """A script that answers with a Status of failure."""
    return answering(code, status(code, reason, **more), headers)


def page(code: int, body: bytes = b"<html><body>sorry</body></html>") -> Script:
    """A script that answers with HTML, as proxies do."""
    return answering(code, body, {"Content-Type": "text/html"})


def _head(code: int, headers: Headers) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"HTTP/1.1 {code} Scripted\r\n{fields}\r\n".encode()


def _key(obj: Obj) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


async def _next_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None once the client, or the script, has closed the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        pairs = (field.partition(":") for field in fields)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = line.split(" ")
    url = urlsplit(target)
    return Request(method, unquote(url.path), dict(parse_qsl(url.query)), headers, body)


async def _run(script: Script, exchange: Exchange) -> None:
    try:
        await script(exchange)
    except ConnectionError:
        exchange.over.set()  # a client may close the connection at any time

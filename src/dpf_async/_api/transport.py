"""The wire: requests and streams of bytes to one API server.

The only module that names aiohttp. It knows nothing of Kubernetes objects; everything that can go wrong below HTTP
leaves it as ConnectionFailed. Watches have connections of their own, so that no number of them can starve a request
(reliability 1.3: a full pool makes a LIST wait for ever).

Deliberately: no redirects and no proxy or netrc from the environment (reliability 7.3); `identity` encoding, because
the gzip members of a compressed watch are lost by half of the stacks in use (reliability 0.5).
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import anyio

from dpf_async._api.status import error_of
from dpf_async._api.text import printable
from dpf_async.errors import APIError, ConnectionFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType

    import aiohappyeyeballs
    import aiohttp

    from dpf_async._api.config import Credentials

BODY_LIMIT: Final = 256 * 2**20
"""Bytes of one answer; 500 objects of the largest size etcd takes would be three times that (reliability 7.6)."""

ERROR_BODY_LIMIT: Final = 64 * 2**10
"""Bytes of a refusal that are read; the rest of a proxy's page says nothing more."""

USER_AGENT: Final = "dpf-async/0.1.0"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the wire may be quiet, in seconds (chosen; reliability 4.2)."""

    connect: float = 10.0
    first_byte: float = 30.0
    request: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Stream:
    """The answer to a watch while it is being read. Entered through Transport.stream."""

    __slots__ = ("_content", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._content = response.content

    async def read_chunk(self) -> bytes:
        """The next bytes as the server framed them; empty when it ended the answer in good order.

        Raises:
            ConnectionFailed: the connection broke in the middle of the answer.
        """
        content = self._content
        try:
            # readchunk, not readany: one HTTP chunk is one event, and joining them to split them again costs twice
            # as much (peers 2.2).
            chunk, ended = await content.readchunk()
            while not chunk and ended:
                chunk, ended = await content.readchunk()
        except _broken() as error:
            raise ConnectionFailed(f"the connection broke: {_words(error)}") from error
        return chunk

    async def read_rest(self) -> bytes:
        """The body of a refusal, cut at ERROR_BODY_LIMIT bytes.

        Raises:
            ConnectionFailed: the connection broke in the middle of it.
        """
        body = bytearray()
        while len(body) < ERROR_BODY_LIMIT and (chunk := await self.read_chunk()):
            body += chunk
        return bytes(body[:ERROR_BODY_LIMIT])


class Transport:
    """Authenticated HTTP to one API server. Enter it with `async with`; leaving closes every connection."""

    def __init__(
        self, credentials: Credentials, timeouts: Timeouts | None = None, *, user_agent: str = USER_AGENT
    ) -> None:
        self.credentials = credentials
        self.timeouts = timeouts or Timeouts()
        self._user_agent = user_agent
        self._requests: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._requests = self._session(connections=100)
        self._streams = self._session(connections=0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            for session in (self._requests, self._streams):
                if session is not None:
                    await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status.

        A 401 makes the credentials be read again once, and the request be sent again if they are other ones.

        Raises:
            ConnectionFailed: no answer, or not all of it, within the time a request may take.
        """
        about_body = {} if body is None else {"Content-Type": content_type}
        headers = await self.credentials.headers()
        answer = await self._request(method, path, query, body, headers | about_body)
        if answer.status == 401 and await self._renewed(headers):
            headers = await self.credentials.headers()
            answer = await self._request(method, path, query, body, headers | about_body)
        return answer

    @asynccontextmanager
    async def stream(self, path: str, *, query: Sequence[tuple[str, str]] = ()) -> AsyncIterator[Stream]:
        """Open a watch: the answer's head has arrived when the block is entered, its body is read inside.

        Leaving the block closes the connection. There is no limit on how long the body may be quiet: whoever reads
        has the clock.

        Raises:
            ConnectionFailed: no head of an answer in time.
        """
        headers = await self.credentials.headers()
        response = await self._open(path, query, headers)
        try:
            if response.status == 401 and await self._renewed(headers):
                _hang_up(response)
                response = await self._open(path, query, await self.credentials.headers())
            yield Stream(response)
        finally:
            _hang_up(response)

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        session = _entered(self._requests)
        try:
            with anyio.fail_after(self.timeouts.request):
                async with session.request(
                    method,
                    self._url(path),
                    params=query,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self.credentials.proxy,
                    server_hostname=self.credentials.server_name,
                ) as response:
                    return Answer(response.status, response.headers, await self._body(response))
        except _broken() as error:
            late = f"did not answer {method} {path} within {self.timeouts.request:g} s"
            raise self._failed(error, late) from error

    async def _open(
        self, path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        session = _entered(self._streams)
        try:
            with anyio.fail_after(self.timeouts.connect + self.timeouts.first_byte):
                return await session.request(
                    "GET",
                    self._url(path),
                    params=query,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self.credentials.proxy,
                    server_hostname=self.credentials.server_name,
                )
        except _broken() as error:
            seconds = self.timeouts.connect + self.timeouts.first_byte
            raise self._failed(error, f"did not begin to answer GET {path} within {seconds:g} s") from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        limit = BODY_LIMIT if response.status < 400 else ERROR_BODY_LIMIT
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit and response.status < 400:
                raise ConnectionFailed(f"{self._where()} answered more than {limit} bytes")
            chunks.append(chunk)
            if size > limit:
                break
        return b"".join(chunks)[:limit]

    def _failed(self, error: Exception, late: str) -> ConnectionFailed:
        # Our own deadline raises a TimeoutError that says nothing; aiohttp's and the system's say what took too long.
        if type(error) is TimeoutError and not error.args:
            return ConnectionFailed(f"{self._where()} {late}")
        return ConnectionFailed(
            f"{self._where()} cannot be reached: {_words(error)}; its address comes from {self.credentials.origin}"
        )

    async def _renewed(self, rejected: Mapping[str, str]) -> bool:
        try:
            return await self.credentials.renew(rejected)
        except UsageError:
            # The file is being replaced, or gone: the 401 itself is what the caller has to hear.
            return False

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str, target: str
    ) -> APIError:
        """The error that an answer of 400 and above means; see error_of."""
        return error_of(
            status,
            headers,
            body,
            method=method,
            path=path,
            target=target,
            origin=self.credentials.origin,
        )

    def _session(self, *, connections: int) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415  150 ms that a program which never connects need not pay

        connector = aiohttp.TCPConnector(
            limit=connections, ssl=self.credentials.tls or True, socket_factory=_socket, force_close=False
        )
        return aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=2**20,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect),
            headers={
                "User-Agent": self._user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    def _url(self, path: str) -> str:
        return self.credentials.server + path

    def _where(self) -> str:
        return f"the API server {self.credentials.server}"


def is_json(headers: Mapping[str, str]) -> bool:
    """The answer says it is JSON, as it is: not compressed, which was not asked for, and is not read here.

    A proxy's page with status 200 is neither (reliability 1.4).
    """
    content_type = headers.get("Content-Type", "").split(";")[0].strip().lower()
    return content_type in {"application/json", ""} and encoding(headers) == "identity"


def encoding(headers: Mapping[str, str]) -> str:
    """How the answer says it is compressed; "identity" if it is not."""
    return headers.get("Content-Encoding", "").strip().lower() or "identity"


def _entered(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None:
        raise UsageError("not connected: enter the client first, with `async with`")
    return session


def _broken() -> tuple[type[Exception], ...]:
    import aiohttp  # noqa: PLC0415  see _session

    # ValueError: a host that is no host name. ClientError: everything below HTTP, half answers included.
    return (aiohttp.ClientError, OSError, ValueError)


def _words(error: Exception) -> str:
    cause = getattr(error, "os_error", error)  # aiohttp's own words are for who debugs aiohttp
    # An SSLError is an OSError too, but its number is OpenSSL's.
    number = cause.errno if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return printable(str(cause), 300) or type(error).__name__


def _socket(address: aiohappyeyeballs.AddrInfoType) -> socket.socket:
    """A TCP socket that notices a dead host by itself: probes after 30 s of silence, given up after 60.

    Only a help: a host that acknowledges and does nothing more is noticed by the watch's own silence bound.
    aiohttp leaves SO_KEEPALIVE off (reliability 1.3).
    """
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Linux; elsewhere the system's own numbers stand
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer at once, whatever is still to come."""
    # Closing alone would have TLS say goodbye and wait for an answer that a server in the middle of a watch does not
    # give: the connection would outlive the client, for as long as asyncio waits (30 s).
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()

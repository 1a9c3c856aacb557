"""HTTP requests and response streams to one API server.

The only module that imports aiohttp. It does not interpret Kubernetes objects; every failure below HTTP is raised as
ConnectionFailed. Watches have a connection pool of their own, so that no number of them can starve a request
(docs/watching.md#connections: with a full pool a LIST waits without a limit).

Deliberately: no redirects and no proxy or netrc from the environment (docs/watching.md#transport); `identity` encoding,
because half of the HTTP stacks in use lose gzip members of a compressed watch (docs/watching.md#compression).
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio

from dpf_async._api.status import error_of, media_type
from dpf_async._api.text import printable
from dpf_async.errors import APIError, ConnectionFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    import aiohappyeyeballs
    import aiohttp

    from dpf_async._api.config import Credentials, Proof

BODY_LIMIT: Final = 256 * 2**20
"""Bytes of one answer; 500 objects of the largest size that etcd accepts are three times that.

Source: docs/watching.md#limits.
"""

ERROR_BODY_LIMIT: Final = 64 * 2**10
"""Bytes of an error answer that are read (chosen); a Status is shorter, and a proxy's page has no more information."""

USER_AGENT: Final = "dpf-async/0.1.0"


R = TypeVar("R", "Answer", "aiohttp.ClientResponse")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of a connection attempt, of the first byte of an answer and of a complete request, in seconds.

    Chosen; docs/watching.md#timeouts.
    """

    connect: float = 10.0
    first_byte: float = 30.0
    request: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Stream:
    """The answer to a watch while it is being read. Entered through Transport.stream."""

    __slots__ = ("_content", "_error_body_timeout", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, *, error_body_timeout: float) -> None:
        """Args: the response, and the seconds within which the body of an error answer has to arrive."""
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._content = response.content
        self._error_body_timeout = error_body_timeout

    async def read_chunk(self) -> bytes:
        """The next HTTP chunk; empty when the server completed the answer.

        Raises:
            ConnectionFailed: the connection broke before the answer was complete.
        """
        content = self._content
        try:
            # readchunk, not readany: one HTTP chunk is one event, and joining them to split them again costs twice
            # as much (docs/watching.md#chunks).
            chunk, ended = await content.readchunk()
            while not chunk and ended:
                chunk, ended = await content.readchunk()
        except _broken() as error:
            raise ConnectionFailed(f"the connection broke: {_message(error)}") from error
        return chunk

    async def read_rest(self) -> bytes:
        """The body of an error answer, at most ERROR_BODY_LIMIT bytes, and what arrived of it before the timeout.

        Raises:
            ConnectionFailed: the connection broke before the body was complete.
        """
        body = bytearray()
        with anyio.move_on_after(self._error_body_timeout):
            while len(body) < ERROR_BODY_LIMIT and (chunk := await self.read_chunk()):
                body += chunk
        return bytes(body[:ERROR_BODY_LIMIT])


class Transport:
    """Authenticated HTTP to one API server. Enter it with `async with`; leaving the block closes every connection."""

    def __init__(
        self, credentials: Credentials, timeouts: Timeouts | None = None, *, user_agent: str = USER_AGENT
    ) -> None:
        self.credentials = credentials
        self.timeouts: Timeouts = timeouts or Timeouts()
        self._user_agent = user_agent
        self._requests: aiohttp.ClientSession | None = None
        self._writes: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connections = self._connector(limit=100)
        self._requests = self._session(connections)
        self._writes = self._session(connections, owner=False)
        # aiohttp resends a PUT or a DELETE when a kept-alive connection breaks; the server may have processed it, and
        # the DPU of that name may have been re-created since. aiohttp has no public option to send it only once.
        self._writes._retry_connection = False  # noqa: SLF001
        self._streams = self._session(self._connector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            for session in (self._requests, self._writes, self._streams):
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
        repeatable: bool = False,
    ) -> Answer:
        """Send one request and read its complete answer, of any status.

        `repeatable`: the request is idempotent, so that it may be sent again when a kept-alive connection turns out
        to be closed. GET always is.

        If the server rejects the credentials (401) or its certificate does not verify, the credentials are reloaded
        once, and the request is sent again if they changed: the server has not processed it.

        Raises:
            ConnectionFailed: no complete answer within `timeouts.request`, or the server's certificate is not trusted.
        """
        content_headers = {} if body is None else {"Content-Type": content_type}
        session = _entered(self._requests if repeatable or method == "GET" else self._writes)

        async def send(proof: Proof) -> Answer:
            return await self._request(
                session, method, path, query, body, content_headers=content_headers, proof=proof
            )

        return await self._authenticated(send)

    @asynccontextmanager
    async def stream(self, path: str, *, query: Sequence[tuple[str, str]] = ()) -> AsyncIterator[Stream]:
        """Open a watch: the headers have arrived when the block is entered; read the body inside the block.

        Leaving the block closes the connection. The body has no timeout; the reader has to apply one.

        Raises:
            ConnectionFailed: no headers in time, or the server's certificate is not trusted.
        """

        async def send(proof: Proof) -> aiohttp.ClientResponse:
            return await self._open(path, query, proof)

        response = await self._authenticated(send, _abort)
        try:
            yield Stream(response, error_body_timeout=self.timeouts.first_byte)
        finally:
            _abort(response)

    async def _authenticated(
        self, send: Callable[[Proof], Awaitable[R]], drop: Callable[[R], None] = lambda _: None
    ) -> R:
        """Send a request, and again if it was rejected and the credentials changed. `drop` discards a 401 answer."""
        proof = await self.credentials.proof()
        try:
            answer = await send(proof)
        except _NotTrusted:
            if not await self.credentials.renew(proof):
                raise
            return await send(await self.credentials.proof())
        if answer.status != 401:
            return answer
        try:
            renewed = await self.credentials.renew(proof)
        except BaseException:
            drop(answer)
            raise
        if not renewed:
            return answer
        drop(answer)
        return await send(await self.credentials.proof())

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        *,
        content_headers: Mapping[str, str],
        proof: Proof,
    ) -> Answer:
        try:
            with anyio.fail_after(self.timeouts.request):
                async with session.request(
                    method,
                    self._url(path),
                    params=query,
                    data=body,
                    ssl=proof.tls or True,
                    allow_redirects=False,
                    **self._by_proxy({**proof.headers, **content_headers}),
                    server_hostname=self.credentials.server_name,
                ) as response:
                    return Answer(response.status, response.headers, await self._body(response))
        except _broken() as error:
            timed_out = f"did not answer {method} {path} within {self.timeouts.request:g} s"
            failed = self._failed(error, timed_out)
            if method != "GET" and not isinstance(failed, _NotTrusted):
                failed.add_note(f"it is not known whether the server processed {method} {path}")
            raise failed from error

    async def _open(
        self, path: str, query: Sequence[tuple[str, str]], proof: Proof
    ) -> aiohttp.ClientResponse:
        session = _entered(self._streams)
        try:
            with anyio.fail_after(self.timeouts.connect + self.timeouts.first_byte):
                return await session.request(
                    "GET",
                    self._url(path),
                    params=query,
                    ssl=proof.tls or True,
                    allow_redirects=False,
                    **self._by_proxy(proof.headers),
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
                raise ConnectionFailed(
                    f"{self._description()} answered with more than {limit} bytes; narrow the request with selectors"
                )
            chunks.append(chunk)
            if size > limit:
                break
        return b"".join(chunks)[:limit]

    def _failed(self, error: Exception, timed_out: str) -> ConnectionFailed:
        # The deadlines above raise a TimeoutError without arguments; those of aiohttp and the system have a message.
        if type(error) is TimeoutError and not error.args:
            return ConnectionFailed(f"{self._description()} {timed_out}")
        origin = self.credentials.origin
        tls = _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError):
            return _NotTrusted(
                f"{self._description()} is not trusted, and no request was sent to it: certificate verify failed:"
                f" {printable(tls.verify_message, 200).rstrip('.')}; {_advice(tls)} {origin}"
            )
        return ConnectionFailed(
            f"{self._description()} cannot be reached: {_message(error)}; its address comes from {origin}"
        )

    def refusal(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        method: str,
        path: str,
        target: str,
        verb: str = "",
    ) -> APIError:
        """The error for an answer with status 300 or above; see error_of."""
        origin = f"{self.credentials.origin} ({self.credentials.server})" if status < 400 else self._origin()
        return error_of(
            status,
            headers,
            body,
            method=method,
            path=path,
            target=target,
            verb=verb,
            origin=origin,
        )

    def _origin(self) -> str:
        """Where the credentials were loaded from, and why the last reload failed."""
        return "; ".join(filter(None, (self.credentials.origin, self.credentials.reload_error)))

    def _connector(self, *, limit: int) -> aiohttp.TCPConnector:
        import aiohttp  # noqa: PLC0415  takes 150 ms, which a program that never connects should not pay

        return aiohttp.TCPConnector(limit=limit, socket_factory=_socket, force_close=False)

    def _session(self, connector: aiohttp.TCPConnector, *, owner: bool = True) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415  see _connector

        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=owner,
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

    def _by_proxy(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """The headers of a request, and its proxy; its password is in a header, as aiohttp repeats URLs in errors."""
        if not self.credentials.proxy:
            return {"headers": headers}
        import aiohttp  # noqa: PLC0415  see _connector
        from yarl import URL  # noqa: PLC0415  comes with aiohttp

        address = URL(self.credentials.proxy)
        authorization: dict[str, str] = {}
        if address.user:
            authorization["Proxy-Authorization"] = aiohttp.encode_basic_auth(
                address.user, address.password or ""
            )
        proxy = {"proxy": address.with_user(None)}
        if self.credentials.server.startswith("https"):
            # With TLS the proxy receives a CONNECT and cannot read the request.
            return {**proxy, "headers": headers, "proxy_headers": authorization}
        return {**proxy, "headers": {**headers, **authorization}}

    def _url(self, path: str) -> str:
        return self.credentials.server + path

    def _description(self) -> str:
        return f"the API server {self.credentials.server}"


def is_json(headers: Mapping[str, str]) -> bool:
    """The answer is JSON by its headers, and not compressed, which was not requested and is not supported.

    False for a proxy's page with status 200 (docs/watching.md#refusals).
    """
    return media_type(headers) in {"application/json", ""} and encoding(headers) == "identity"


def encoding(headers: Mapping[str, str]) -> str:
    """Content-Encoding in lower case; "identity" if the header is absent."""
    return headers.get("Content-Encoding", "").strip().lower() or "identity"


def _entered(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None:
        raise UsageError("the client is not connected: enter it with `async with`")
    return session


def _broken() -> tuple[type[Exception], ...]:
    import aiohttp  # noqa: PLC0415  see Transport._connector

    # ValueError: an invalid host name. ClientError: every failure below HTTP, incomplete answers included.
    return (aiohttp.ClientError, OSError, ValueError)


def _message(error: Exception) -> str:
    import aiohttp  # noqa: PLC0415  see Transport._connector

    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy {error.request_info.real_url.origin()} answered HTTP {error.status}"
    cause = getattr(error, "os_error", error)  # the system's message is clearer than aiohttp's
    # An SSLError is an OSError as well, but its number is OpenSSL's.
    number = cause.errno if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return printable(str(cause), 300) or type(error).__name__


class _NotTrusted(ConnectionFailed):
    """The server's certificate did not verify; the certificate-authority may have been replaced in its file since."""


_NAME_MISMATCHES: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""

_HAS_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


def _advice(error: ssl.SSLCertVerificationError) -> str:
    """What to correct; the caller appends the source of the credentials."""
    if error.verify_code in _NAME_MISMATCHES:
        return "set tls-server-name to a name that the certificate is valid for; the address comes from"
    if error.verify_code == _HAS_EXPIRED:
        return "renew the server's certificate or that of its authority; the authority comes from"
    return "it has to be signed by the certificate-authority to trust, which comes from"


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """The SSLError that caused this error, if there is one: aiohttp wraps it, in some cases twice."""
    cause: BaseException | None = error
    while cause is not None:
        # aiohttp's own errors are SSLErrors as well, but lack the attributes.
        inner = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None)
        if inner is None and isinstance(cause, ssl.SSLError):
            return cause
        cause = inner or cause.__cause__
    return None


def _socket(address: aiohappyeyeballs.AddrInfoType) -> socket.socket:
    """A TCP socket with keep-alive: probes after 30 s without data, and closes after 60 s without an answer.

    It does not detect a host that acknowledges probes and sends no data; the watch's silence limit does.
    aiohttp leaves SO_KEEPALIVE off (docs/watching.md#connections).
    """
    family, kind, protocol, *_ = address
    created = socket.socket(family, kind, protocol)
    created.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Linux; other systems keep their defaults
            created.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return created


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer at once, without reading the rest of it."""
    # close() alone sends a TLS close_notify and waits for that of the server, which a server that streams a watch does
    # not send: the connection would outlive the client by asyncio's shutdown timeout (30 s).
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()

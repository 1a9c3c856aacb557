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
"""Bytes of one answer; 500 objects of the largest size etcd takes would be three times that (reliability 7.6)."""

ERROR_BODY_LIMIT: Final = 64 * 2**10
"""Bytes of a refusal that are read; the rest of a proxy's page says nothing more."""

USER_AGENT: Final = "dpf-async/0.1.0"


R = TypeVar("R", "Answer", "aiohttp.ClientResponse")


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

    __slots__ = ("_content", "_patience", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, *, patience: float) -> None:
        """Args: the answer, and the seconds in which the rest of a refusal has to come."""
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._content = response.content
        self._patience = patience

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
        """The body of a refusal, cut at ERROR_BODY_LIMIT bytes, and where it stalls: the head has said no already.

        Raises:
            ConnectionFailed: the connection broke in the middle of it.
        """
        body = bytearray()
        with anyio.move_on_after(self._patience):
            while len(body) < ERROR_BODY_LIMIT and (chunk := await self.read_chunk()):
                body += chunk
        return bytes(body[:ERROR_BODY_LIMIT])


class Transport:
    """Authenticated HTTP to one API server. Enter it with `async with`; leaving closes every connection."""

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
        # aiohttp sends a PUT or a DELETE again by itself when a connection that it had kept breaks; the server may have
        # done it, and the DPU of that name may be another one by then. There is no public way to have it asked once.
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
        """Send one request and read its whole answer, whatever its status.

        `repeatable`: it may be sent again when a connection that was kept from earlier turns out to be dead: whatever
        has been done of it by then, doing it once more does nothing else. What reads always is.

        Where one side does not accept the other (401, or a certificate), the credentials are read again once, and the
        request is sent again if they are other ones: the server has done nothing by then.

        Raises:
            ConnectionFailed: no answer, or not all of it, within the time a request may take; or the server's
                certificate is not to be trusted.
        """
        about_body = {} if body is None else {"Content-Type": content_type}
        session = _entered(self._requests if repeatable or method == "GET" else self._writes)

        async def ask(proof: Proof) -> Answer:
            return await self._request(session, method, path, query, body, about_body=about_body, proof=proof)

        return await self._accepted(ask)

    @asynccontextmanager
    async def stream(self, path: str, *, query: Sequence[tuple[str, str]] = ()) -> AsyncIterator[Stream]:
        """Open a watch: the answer's head has arrived when the block is entered, its body is read inside.

        Leaving the block closes the connection. There is no limit on how long the body may be quiet: whoever reads
        has the clock.

        Raises:
            ConnectionFailed: no head of an answer in time, or the server's certificate is not to be trusted.
        """

        async def ask(proof: Proof) -> aiohttp.ClientResponse:
            return await self._open(path, query, proof)

        response = await self._accepted(ask, _hang_up)
        try:
            yield Stream(response, patience=self.timeouts.first_byte)
        finally:
            _hang_up(response)

    async def _accepted(
        self, ask: Callable[[Proof], Awaitable[R]], drop: Callable[[R], None] = lambda _: None
    ) -> R:
        """Ask; where the proof is not accepted, ask again with another one, if there is one. `drop` takes a 401."""
        proof = await self.credentials.proof()
        try:
            answer = await ask(proof)
        except _NotTrusted:
            if not await self.credentials.renew(proof):
                raise
            return await ask(await self.credentials.proof())
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
        return await ask(await self.credentials.proof())

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        *,
        about_body: Mapping[str, str],
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
                    **self._by_proxy({**proof.headers, **about_body}),
                    server_hostname=self.credentials.server_name,
                ) as response:
                    return Answer(response.status, response.headers, await self._body(response))
        except _broken() as error:
            late = f"did not answer {method} {path} within {self.timeouts.request:g} s"
            failed = self._failed(error, late)
            if method != "GET" and not isinstance(failed, _NotTrusted):
                failed.add_note(f"whether the server has done {method} {path} is not known")
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
                raise ConnectionFailed(f"{self._where()} answered more than {limit} bytes")
            chunks.append(chunk)
            if size > limit:
                break
        return b"".join(chunks)[:limit]

    def _failed(self, error: Exception, late: str) -> ConnectionFailed:
        # Our own deadline raises a TimeoutError that says nothing; aiohttp's and the system's say what took too long.
        if type(error) is TimeoutError and not error.args:
            return ConnectionFailed(f"{self._where()} {late}")
        origin = self.credentials.origin
        tls = _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError):
            return _NotTrusted(
                f"{self._where()} is not trusted, and was told nothing: certificate verify failed:"
                f" {printable(tls.verify_message, 200).rstrip('.')}; {_advice(tls)} {origin}"
            )
        return ConnectionFailed(
            f"{self._where()} cannot be reached: {_words(error)}; its address comes from {origin}"
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
        """The error that an answer of 300 and above means; see error_of."""
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
        """Where the credentials came from, and why nothing newer could be had there."""
        return "; ".join(filter(None, (self.credentials.origin, self.credentials.trouble)))

    def _connector(self, *, limit: int) -> aiohttp.TCPConnector:
        import aiohttp  # noqa: PLC0415  150 ms that a program which never connects need not pay

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
        """The headers of a request, and its proxy: user and password apart: aiohttp quotes the URL in its errors."""
        if not self.credentials.proxy:
            return {"headers": headers}
        import aiohttp  # noqa: PLC0415  see _connector
        from yarl import URL  # noqa: PLC0415  comes with aiohttp

        address = URL(self.credentials.proxy)
        who: dict[str, str] = {}
        if address.user:
            who["Proxy-Authorization"] = aiohttp.encode_basic_auth(address.user, address.password or "")
        there = {"proxy": address.with_user(None)}
        if self.credentials.server.startswith("https"):
            # With TLS the proxy hears a CONNECT first, and of the request itself nothing.
            return {**there, "headers": headers, "proxy_headers": who}
        return {**there, "headers": {**headers, **who}}

    def _url(self, path: str) -> str:
        return self.credentials.server + path

    def _where(self) -> str:
        return f"the API server {self.credentials.server}"


def is_json(headers: Mapping[str, str]) -> bool:
    """The answer says it is JSON, as it is: not compressed, which was not asked for, and is not read here.

    A proxy's page with status 200 is neither (reliability 1.4).
    """
    return media_type(headers) in {"application/json", ""} and encoding(headers) == "identity"


def encoding(headers: Mapping[str, str]) -> str:
    """How the answer says it is compressed; "identity" if it is not."""
    return headers.get("Content-Encoding", "").strip().lower() or "identity"


def _entered(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None:
        raise UsageError("not connected: enter the client first, with `async with`")
    return session


def _broken() -> tuple[type[Exception], ...]:
    import aiohttp  # noqa: PLC0415  see Transport._connector

    # ValueError: a host that is no host name. ClientError: everything below HTTP, half answers included.
    return (aiohttp.ClientError, OSError, ValueError)


def _words(error: Exception) -> str:
    import aiohttp  # noqa: PLC0415  see Transport._connector

    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy {error.request_info.real_url.origin()} answered HTTP {error.status}"
    cause = getattr(error, "os_error", error)  # aiohttp's own words are for who debugs aiohttp
    # An SSLError is an OSError too, but its number is OpenSSL's.
    number = cause.errno if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return printable(str(cause), 300) or type(error).__name__


class _NotTrusted(ConnectionFailed):
    """The server's certificate was not accepted: another authority may be in the files by now."""


_NAME_MISMATCHES: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""

_HAS_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


def _advice(error: ssl.SSLCertVerificationError) -> str:
    """What to look at, up to where it comes from."""
    if error.verify_code in _NAME_MISMATCHES:
        return "a name that it does prove can be given as tls-server-name; the address comes from"
    if error.verify_code == _HAS_EXPIRED:
        return "the server's certificate, or the authority's, has to be renewed; the authority comes from"
    return "it has to be signed by the certificate-authority to trust, which comes from"


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """What TLS itself said, if an error came from there: it fails below the socket, and that below aiohttp."""
    cause: BaseException | None = error
    while cause is not None:
        # aiohttp's own are SSLErrors as well, but have not what those say.
        inner = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None)
        if inner is None and isinstance(cause, ssl.SSLError):
            return cause
        cause = inner or cause.__cause__
    return None


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

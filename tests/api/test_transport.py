"""HTTP over sockets: headers, redirects, proxies, timeouts, TLS, renewal of credentials and repeated requests."""

from __future__ import annotations

import json
import os
import ssl
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import SocketAttribute, SocketStream

from dpf_async import DPFClient, Timeouts
from dpf_async._api import transport
from dpf_async._api.config import load
from dpf_async._api.transport import Transport
from dpf_async.errors import (
    APIError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Unauthorized,
    UsageError,
)
from dpf_async.models import DPU
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import dpu
from tests.support.scripted import HOST, Exchange, Script, Scripted, answering, listing, refusing, status
from tests.support.virtual_time import virtual_time


@virtual_time
async def test_a_request_has_credentials_user_agent_and_accepts_plain_json() -> None:
    async with Scripted() as server, server.client(field_manager="carbide") as dpf:
        await dpf.resource(DPU).list()

    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("dpf-async/")
    assert request.headers["user-agent"].endswith("(carbide)")
    assert "cookie" not in request.headers


@virtual_time
async def test_without_credentials_a_request_has_no_authorization_header() -> None:
    async with Scripted() as server:
        kubeconfig = server.kubeconfig() | {"users": [{"name": "user-1", "user": {}}]}
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            await dpf.resource(DPU).list()

    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@virtual_time
async def test_m4_a_redirect_is_not_followed(code: int) -> None:
    async with Scripted(dpu("a", 10)) as elsewhere, Scripted() as server, server.client() as dpf:
        there = {"Location": f"{elsewhere.url}/apis/x"}
        server.on_list = answering(code, listing([dpu("a", 10)], 100), there)
        server.on_other = answering(code, dpu("a", 10), there)
        with pytest.raises(APIError, match=f"HTTP {code}") as raised:
            await dpf.resource(DPU).list()
        with pytest.raises(APIError, match=f"HTTP {code}"):
            await dpf.resource(DPU).get("a")

    assert elsewhere.requests == []
    assert str(raised.value).endswith(
        "an API server does not redirect: check its address, which comes from the kubeconfig given"
        f" ({server.url})"
    )


@virtual_time
async def test_m5_a_netrc_and_proxies_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password hunter2\ndefault login root password hunter2\n")
    netrc.chmod(0o600)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NETRC", os.fspath(netrc))

    async with Scripted() as server, server.client() as dpf:
        await dpf.resource(DPU).list()

    assert server.requests[0].headers["authorization"] == "Bearer t0ken"


@virtual_time
async def test_cookies_are_not_sent_back() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = answering(200, listing([], 100), {"Set-Cookie": "route=1"})
        await dpf.resource(DPU).list()
        await dpf.resource(DPU).list()

    assert "cookie" not in server.requests[1].headers


@virtual_time
async def test_the_error_of_a_transport_that_is_not_entered_says_how_to_enter_it() -> None:
    async with Scripted() as server:
        wire = Transport(await load(server.kubeconfig(), None))
        with pytest.raises(UsageError, match="enter it with `async with`"):
            await wire.request("GET", "/version")


# Answers that do not arrive, or not completely.


@virtual_time
async def test_a_request_without_an_answer_fails_after_the_timeout() -> None:
    async def nothing(exchange: Exchange) -> None:
        await exchange.over.wait()

    async with Scripted() as server, server.client(timeouts=Timeouts(request=7)) as dpf:
        server.on_list = nothing
        began = anyio.current_time()
        with pytest.raises(ConnectionFailed, match=r"did not answer GET /apis/.*/dpus within 7 s"):
            await dpf.resource(DPU).list()
        took = anyio.current_time() - began

    assert took == pytest.approx(7, abs=0.01)


@pytest.mark.parametrize("ending", ["RST", "FIN"])
@virtual_time
async def test_an_incomplete_answer_is_a_failed_connection(ending: str) -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
        )
        await exchange.raw(json.dumps(listing([], 100)).encode())
        exchange.reset() if ending == "RST" else exchange.close()

    async with Scripted() as server, server.client() as dpf:
        server.on_list = half
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            await dpf.resource(DPU).list()


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200\xff OK\r\n\r\n", b"\x15\x03\x03\x00\x02\x02"]
)
@virtual_time
async def test_an_answer_that_is_not_http_is_a_failed_connection(data: bytes) -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.raw(data)
        exchange.close()

    async with Scripted() as server, server.client() as dpf:
        server.on_list = send
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            await dpf.resource(DPU).list()


@virtual_time
async def test_the_error_for_a_refused_connection_names_the_server() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.refuse()
        with pytest.raises(ConnectionFailed, match=f"{server.url} cannot be reached: Connection refused"):
            await dpf.resource(DPU).list()


@pytest.mark.parametrize("host", ["http://host.invalid:1", "http://no such host:1", "http://127.0.0.1:0"])
async def test_a_host_that_cannot_be_resolved_is_a_failed_connection(host: str) -> None:
    async with Scripted() as server:
        kubeconfig = server.kubeconfig()
        kubeconfig["clusters"][0]["cluster"]["server"] = host
        async with DPFClient(kubeconfig=kubeconfig, timeouts=Timeouts(connect=2, request=3)) as dpf:
            with pytest.raises(ConnectionFailed, match=f"the API server {host}"):
                await dpf.resource(DPU).list()


@virtual_time
async def test_m9_an_endless_answer_fails_at_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "BODY_LIMIT", 2**20)  # 256 MiB take a second

    async def endless(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.send(b" " * 2**16)

    async with Scripted() as server, server.client() as dpf:
        server.on_list = endless
        with pytest.raises(ConnectionFailed, match="answered with more than 1048576 bytes"):
            await dpf.resource(DPU).list()


@virtual_time
async def test_m9_an_endless_error_answer_is_truncated() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.raw(
            b"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            await exchange.send(b"no " * 2**14)

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(endless)
        server.on_watch = endless
        with pytest.raises(Forbidden, match="HTTP 403 with text/plain"):
            await dpf.resource(DPU).list()
        with pytest.raises(Forbidden, match=r"watch of .* HTTP 403 with text/plain"):
            async with dpf.resource(DPU).watch():
                pass


# TLS.


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority, and the file with its certificate."""

    def __init__(self, folder: Path) -> None:
        self._keys = trustme.CA()
        self.file = folder / f"{id(self)}.pem"
        self._keys.cert_pem.write_to_path(self.file)

    def serving(self, *, clients: Authority | None = None, until: datetime | None = None) -> ssl.SSLContext:
        """The SSL context of a server with a certificate for HOST; with `clients` it requires client certificates."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._keys.issue_cert(HOST, not_before=until and LONG_AGO, not_after=until).configure_cert(context)
        if clients is not None:
            context.load_verify_locations(clients.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def serving_itself(self) -> ssl.SSLContext:
        """The SSL context of a server with a self-signed certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(self._keys.private_key_pem.bytes() + self._keys.cert_pem.bytes())
            pem.flush()
            context.load_cert_chain(pem.name)
        return context

    def write_client(self, path: Path) -> None:
        """Certificate and key of a client, in one file."""
        self._keys.issue_cert("client.invalid").private_key_and_cert_chain_pem.write_to_path(path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def trusting(
    server: Scripted,
    authority: Authority | Path | None,
    user: Mapping[str, str] | None = None,
    **cluster: str,
) -> DPFClient:
    kubeconfig = server.kubeconfig(**(user or {}))
    file = authority.file if isinstance(authority, Authority) else authority
    whom = {} if file is None else {"certificate-authority": os.fspath(file)}
    kubeconfig["clusters"][0]["cluster"] |= whom | cluster
    return DPFClient(kubeconfig=kubeconfig)


@virtual_time
async def test_d9_a_server_with_a_trusted_certificate_is_accepted(authority: Authority) -> None:
    async with (
        Scripted(dpu("a", 10), tls=authority.serving()) as server,
        trusting(server, authority) as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await initial_lines(stream)
        await (await server.watch()).send(server.modified(dpu("a", 101)))
        events = await next_lines(stream, 1)

    assert events == ["a@101 updated (watch)"]


UNTRUSTED = {
    "no authority": r"failed: unable to get .* issuer certificate; it has to be signed by the certificate-authority"
    " to trust, which comes from",
    "another authority": r"failed: .*; it has to be signed by the certificate-authority to trust, which comes from",
    "self-signed": r"failed: self.signed certificate.*; it has to be signed by the certificate-authority to trust,"
    " which comes from",
    "name": r"not valid for 'api\.example\.com'; set tls-server-name to a name that the certificate is valid for;"
    r" the address comes from",
    "expired": r"certificate has expired; renew the server's certificate or that of its authority;"
    r" the authority comes from",
}


@pytest.mark.parametrize("wrong", UNTRUSTED)
@virtual_time
async def test_d9_no_request_is_sent_to_a_server_with_an_untrusted_certificate(
    authority: Authority, wrong: str, tmp_path: Path
) -> None:
    tls = authority.serving(until=LONG_AGO + timedelta(days=90) if wrong == "expired" else None)
    if wrong == "self-signed":
        tls = authority.serving_itself()
    async with Scripted(dpu("a", 10), tls=tls) as server:
        match wrong:
            case "no authority" | "self-signed":
                client = trusting(server, None)
            case "another authority":
                client = trusting(server, Authority(tmp_path))
            case "name":
                client = trusting(server, authority, None, **{"tls-server-name": "api.example.com"})
            case _:
                client = trusting(server, authority)
        async with client as dpf:
            with pytest.raises(ConnectionFailed, match=UNTRUSTED[wrong]) as raised:
                await dpf.resource(DPU).list()

    assert server.requests == []
    assert str(raised.value).startswith(
        f"the API server {server.url} is not trusted, and no request was sent to it: "
    )
    assert str(raised.value).endswith("comes from the kubeconfig given")


@virtual_time
async def test_a_replaced_authority_is_reloaded_without_an_error(
    authority: Authority, tmp_path: Path
) -> None:
    new = Authority(tmp_path)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    async with (
        Scripted(dpu("a", 10), tls=authority.serving()) as server,
        trusting(server, trusted) as dpf,
        dpf.resource(DPU).watch() as stream,
    ):
        await initial_lines(stream)
        watch = await server.watch()
        server.refuse()
        server.tls = new.serving()
        await server.listen()
        trusted.write_bytes(new.file.read_bytes())

        watch.reset()
        await (await server.watch()).send(server.modified(dpu("a", 101)))
        events = await next_lines(stream, 1)

    assert events == ["a@101 updated (watch)"]


@virtual_time
async def test_l8_client_certificates_are_reloaded_after_a_401(authority: Authority, tmp_path: Path) -> None:
    pem = tmp_path / "client.pem"
    user = {"client-certificate": os.fspath(pem), "client-key": os.fspath(pem)}
    authority.write_client(pem)
    async with (
        Scripted(dpu("a", 10), tls=authority.serving(clients=authority)) as server,
        trusting(server, authority, user) as dpf,
    ):
        await dpf.resource(DPU).list()
        server.next_lists.append(refusing(401, "Unauthorized"))
        authority.write_client(pem)
        await dpf.resource(DPU).list()
        connections = server.connections

    assert len(server.requests) == 3
    assert connections == 2  # a connection keeps its client certificate


@virtual_time
async def test_j3_cancellation_closes_a_silent_tls_connection_at_once(
    authority: Authority,
) -> None:
    async with Scripted(dpu("a", 10), tls=authority.serving()) as server:
        with anyio.CancelScope() as scope:
            async with trusting(server, authority) as dpf, dpf.resource(DPU).watch() as stream:
                await initial_lines(stream)
                await server.watch()
                cancelled_at = anyio.current_time()
                scope.cancel()
                await anext(stream)
        took = anyio.current_time() - cancelled_at
        await server.until(lambda: server.connections == 0)

    assert took < 0.1


# Rejected credentials.


class TokenFile:
    """A file with a token, and the user of a kubeconfig that has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.user = {"tokenFile": os.fspath(path)}
        self.holds("old")

    def holds(self, token: str | None) -> None:
        if token is None:
            self._path.unlink()
        else:
            self._path.write_text(f"{token}\n")


@pytest.fixture
def token(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "token")


@virtual_time
async def test_l2_a_rejected_token_is_reloaded_once_without_an_error(token: TokenFile) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client(token.user) as dpf:
        await dpf.resource(DPU).list()
        token.holds("new")
        server.next_lists.append(refusing(401, "Unauthorized"))
        await dpf.resource(DPU).list()
        await dpf.resource(DPU).list()

    tokens = [request.headers["authorization"] for request in server.requests]
    assert tokens == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]


@virtual_time
async def test_l2_a_watch_with_a_rejected_token_is_opened_again_with_the_new_one(token: TokenFile) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client(token.user) as dpf:
        server.next_watches.append(refusing(401, "Unauthorized"))
        await dpf.resource(DPU).list()
        token.holds("new")
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101)))
            events = await next_lines(stream, 1)

    assert watch.request.headers["authorization"] == "Bearer new"
    assert events == ["a@101 updated (watch)"]


@virtual_time
async def test_l2_requests_rejected_together_are_all_repeated_with_the_new_token(token: TokenFile) -> None:
    all_there = anyio.Event()

    async def reject_the_old(exchange: Exchange) -> None:
        if exchange.request.headers["authorization"] == "Bearer old":
            await all_there.wait()
            await refusing(401, "Unauthorized")(exchange)
        else:
            await exchange.answer(200, listing([], 100))

    async with (
        Scripted() as server,
        server.client(token.user) as dpf,
        anyio.create_task_group() as tasks,
    ):
        server.on_list = reject_the_old
        for _ in range(10):
            tasks.start_soon(dpf.resource(DPU).list)
        await server.until(lambda: len(server.requests) == 10)
        token.holds("new")
        all_there.set()

    assert len(server.requests) == 20


@virtual_time
async def test_l3_the_error_for_a_token_that_stays_rejected_says_what_to_do() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = refusing(401, "Unauthorized", message="token has expired")
        with pytest.raises(
            Unauthorized, match="token has expired; the credentials are missing, wrong or expired"
        ):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 1  # the same token would be raised again


@virtual_time
async def test_l3_a_missing_token_file_does_not_replace_the_401(token: TokenFile) -> None:
    async with Scripted() as server, server.client(token.user) as dpf:
        token.holds(None)
        server.on_list = refusing(401, "Unauthorized")
        with pytest.raises(Unauthorized):
            await dpf.resource(DPU).list()


@virtual_time
async def test_l4_an_expired_token_does_not_interrupt_a_running_watch() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        watch = await server.watch()
        server.on_other = server.on_list = refusing(401, "Unauthorized")
        with pytest.raises(Unauthorized):
            await dpf.resource(DPU).get("a")
        await watch.send(server.modified(dpu("a", 101)))
        events = await next_lines(stream, 1)

    assert events == ["a@101 updated (watch)"]


# Requests that are sent once, and requests that may be repeated.


def _delete_and_disconnect(server: Scripted, deleted: list[str]) -> Script:
    """Deletes the object, re-creates it as a DPUSet does, and closes the connection before the first answer."""

    async def script(exchange: Exchange) -> None:
        (there,) = server.objects
        uid = there["metadata"]["uid"]
        options = json.loads(exchange.request.body)
        if options.get("preconditions", {}).get("uid", uid) != uid:
            await exchange.answer(409, status(409, "Conflict"))
            return
        deleted.append(uid)
        server.objects = [dpu("a", 120, uid=f"after-{uid}")]
        if len(deleted) == 1:
            exchange.close()
        else:
            await exchange.answer(200, {"kind": "Status", "status": "Success"})

    return script


@virtual_time
async def test_a_deletion_without_uid_is_not_repeated_when_its_answer_is_lost() -> None:
    deleted: list[str] = []
    async with Scripted(dpu("a", 10, uid="u1")) as server, server.client() as dpf:
        server.on_other = _delete_and_disconnect(server, deleted)
        await dpf.resource(DPU).list()
        with pytest.raises(ConnectionFailed) as lost:
            await dpf.resource(DPU).delete("a")

    assert deleted == ["u1"]
    assert "it is not known whether the server processed DELETE" in "".join(lost.value.__notes__)


@virtual_time
async def test_a_repeated_deletion_with_uid_does_not_delete_the_re_created_object() -> None:
    deleted: list[str] = []
    async with Scripted(dpu("a", 10, uid="u1")) as server, server.client() as dpf:
        server.on_other = _delete_and_disconnect(server, deleted)
        await dpf.resource(DPU).list()
        with pytest.raises(Conflict):
            await dpf.resource(DPU).delete("a", uid="u1")

    assert deleted == ["u1"]


@virtual_time
async def test_writes_reuse_the_open_connection() -> None:
    async with Scripted(dpu("a", 10, uid="u1")) as server, server.client() as dpf:
        server.on_other = answering(200, b'{"kind": "Status", "status": "Success"}')
        await dpf.resource(DPU).list()
        await dpf.resource(DPU).delete("a")
        await dpf.resource(DPU).list()
        connections = server.connections

    assert len(server.requests) == 3
    assert connections == 1


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_g18_the_password_of_a_proxy_reaches_the_proxy_and_no_message(scheme: str) -> None:
    received: list[bytes] = []

    async def refuse(stream: SocketStream) -> None:
        async with stream:
            received.append(await stream.receive())
            await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    proxy = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = proxy.extra(SocketAttribute.local_port)
    cluster = {"server": f"{scheme}://10.0.0.1:6443", "proxy-url": f"http://me:s3cr3t@127.0.0.1:{port}"}
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    async with proxy, anyio.create_task_group() as tasks:
        tasks.start_soon(proxy.serve, refuse)
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            with pytest.raises((ConnectionFailed, Forbidden)) as raised:
                await dpf.resource(DPU).list()
        tasks.cancel_scope.cancel()

    assert b64encode(b"me:s3cr3t") in received[0]
    if scheme == "https":
        assert f"the proxy http://127.0.0.1:{port} answered HTTP 403" in str(raised.value)
    assert "s3cr3t" not in repr(raised.value) + str(raised.value.__cause__)

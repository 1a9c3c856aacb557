"""Credentials on a real API server: their expiry and renewal, and the servers that the client trusts."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
import trustme
import yaml
from kubernetes_asyncio.config import incluster_config

from dpf_async import DPFClient, NodeView, WatchPolicy, crds
from dpf_async.errors import APIError, ConnectionFailed, Unauthorized, WaitTimeout
from dpf_async.levels import Level
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance
from dpf_async.transitions import DPUAppeared, DPUGone, PhaseChanged, Transition
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.apiserver.plugin import Clusters
from tests.apiserver.reviews import TokenReviews
from tests.support.relay import Relay
from tests.support.scripted import Scripted, answering

JSON = dict[str, Any]  # Any: it is JSON

SHORT_TIMEOUTS: Final = WatchPolicy(silence=5.0, backoff_base=0.02, backoff_cap=0.2)

LIFETIME: Final = timedelta(seconds=12)
"""Of a client certificate that expires in a test: several times what a client needs to start; chosen."""

LONG: Final = 120.0
"""Timeout of a test, in seconds. A server accepts a token for up to 10 s after it was revoked."""

PLUGIN: Final = "client.authentication.k8s.io/v1"

has_a_ready_dpu: Final[Level[NodeView]] = Level(
    "a DPU is Ready", lambda view: any(dpu.phase == "Ready" for dpu in view.dpus)
)


@pytest.fixture(scope="module")
def reviews(clusters: Clusters) -> Iterator[TokenReviews]:
    with clusters.portal.wrap_async_context_manager(TokenReviews()) as reviews:
        yield reviews


@pytest.fixture(scope="module")
def server(
    clusters: Clusters, reviews: TokenReviews, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealCluster]:
    """A server whose tokens a test can revoke."""
    flags = reviews.flags(tmp_path_factory.mktemp("reviews"))
    with clusters.portal.wrap_async_context_manager(RealCluster(find(), flags=flags)) as server:
        clusters.portal.call(server.install_crds, json.loads(json.dumps(crds.manifests())))
        yield server


@pytest.fixture
def namespace(server: RealCluster, clusters: Clusters) -> str:
    name = f"dpf-test-{secrets.token_hex(4)}"
    clusters.portal.call(server.create_namespace, name)
    return name


@dataclass
class UserAccess:
    """A user whose credentials a test issues and revokes, and the relay through which its client connects.

    Attributes:
        relay: must be entered by the test.
        secrets: the issued credentials, which must not be in any output.
    """

    server: RealCluster
    reviews: TokenReviews
    namespace: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    relay: Relay
    secrets: list[str] = field(default_factory=list)

    @property
    def user(self) -> str:
        return f"alice@{self.namespace}"

    @property
    def account(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/serviceaccounts/worker"

    def kubeconfig(self, user: JSON) -> JSON:
        kubeconfig = self.server.kubeconfig()
        kubeconfig["clusters"][0]["cluster"]["server"] = self.relay.url
        return kubeconfig | {"users": [{"name": kubeconfig["users"][0]["name"], "user": user}]}

    def token(self) -> str:
        token = self.reviews.issue(self.user)
        self.secrets.append(token)
        return token

    async def service_account_token(self) -> str:
        """Create a token that is bound to a new Secret, and valid until that is deleted."""
        name = f"lease-{len(self.secrets)}"
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        secret = await self.server.ask("POST", path, {"metadata": {"name": name}})
        bound = {"kind": "Secret", "apiVersion": "v1", "name": name, "uid": secret["metadata"]["uid"]}
        answer = await self.server.ask("POST", f"{self.account}/token", {"spec": {"boundObjectRef": bound}})
        token = str(answer["status"]["token"])
        self.secrets.append(token)
        return token

    def certificate(self) -> tuple[Path, Path]:
        """Create a client certificate; the first one expires after LIFETIME."""
        until = datetime.now(UTC) + LIFETIME if not self.secrets else None
        certificate = self.server.certificate_of(self.user, until=until)
        self.secrets.append(certificate.key.read_text().splitlines()[1])
        return certificate.file, certificate.key

    async def expire(self) -> None:
        """Revoke all issued credentials; the server applies that after at most 10 s."""
        self.reviews.revoke(*self.secrets)
        for secret in range(len(self.secrets)):
            path = f"/api/v1/namespaces/{self.namespace}/secrets/lease-{secret}"
            await self.server._answer("DELETE", path, None)

    def admin(self) -> DPFClient:
        return DPFClient(kubeconfig=self.server.kubeconfig(), namespace=self.namespace)

    def client(self, kubeconfig: str | JSON | None) -> DPFClient:
        return DPFClient(kubeconfig=kubeconfig, namespace=self.namespace, policy=SHORT_TIMEOUTS)

    async def permit(self) -> None:
        """Allow the user and the service account to list and watch."""
        await self.server.ask("POST", self.account.removesuffix("/worker"), {"metadata": {"name": "worker"}})
        plurals = [kind.PLURAL for kind in (DPU, DPUDevice, DPUNode, DPUNodeMaintenance)]
        rule = {"apiGroups": [DPU.GROUP], "resources": plurals, "verbs": ["list", "watch"]}
        for user in (self.user, f"system:serviceaccount:{self.namespace}:worker"):
            await self.server.grant(user, [rule], namespace=self.namespace)


@pytest.fixture
def access(
    server: RealCluster,
    reviews: TokenReviews,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> UserAccess:
    return UserAccess(server, reviews, namespace, tmp_path, monkeypatch, Relay(server.url))


Issue = Callable[[], Awaitable[None]]
Given = tuple[str | JSON | None, Issue]
"""The kubeconfig of a client, and a function that writes new credentials to where the kubeconfig reads them."""


def token_in_a_kubeconfig(access: UserAccess) -> Given:
    path = access.folder / "kubeconfig"

    async def issue() -> None:
        path.write_text(yaml.safe_dump(access.kubeconfig({"token": access.token()})))

    return os.fspath(path), issue


def token_file(access: UserAccess) -> Given:
    path = access.folder / "token"

    async def issue() -> None:
        path.write_text(f"{access.token()}\n")

    return access.kubeconfig({"tokenFile": os.fspath(path)}), issue


def client_certificate(access: UserAccess) -> Given:
    paths = access.folder / "client.pem", access.folder / "client.key"

    async def issue() -> None:
        for path, new in zip(paths, access.certificate(), strict=True):
            path.write_bytes(new.read_bytes())

    certificate, key = map(os.fspath, paths)
    return access.kubeconfig({"client-certificate": certificate, "client-key": key}), issue


def _exec_plugin(access: UserAccess, status: Callable[[], JSON]) -> Given:
    answer = access.folder / "answer.json"

    async def issue() -> None:
        answer.write_text(json.dumps({"apiVersion": PLUGIN, "kind": "ExecCredential", "status": status()}))

    plugin = {"apiVersion": PLUGIN, "command": "cat", "args": [os.fspath(answer)]}
    path = access.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(access.kubeconfig({"exec": plugin})))
    return os.fspath(path), issue


def exec_plugin_with_a_token(access: UserAccess) -> Given:
    return _exec_plugin(access, lambda: {"token": access.token()})


def exec_plugin_with_a_certificate(access: UserAccess) -> Given:
    def status() -> JSON:
        certificate, key = (path.read_text() for path in access.certificate())
        return {"clientCertificateData": certificate, "clientKeyData": key}

    return _exec_plugin(access, status)


def files_of_a_pod(access: UserAccess) -> Given:
    token, authority = access.folder / "token", access.folder / "ca.crt"
    authority.write_bytes(access.server.ca.read_bytes())
    access.monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", os.fspath(token))
    access.monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", os.fspath(authority))
    access.monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    access.monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(access.relay.port))
    access.monkeypatch.setenv("HOME", os.fspath(access.folder))
    access.monkeypatch.delenv("KUBECONFIG", raising=False)

    async def issue() -> None:
        token.write_text(await access.service_account_token())

    return None, issue


SOURCES: Final = (
    token_in_a_kubeconfig,
    token_file,
    client_certificate,
    exec_plugin_with_a_token,
    exec_plugin_with_a_certificate,
    files_of_a_pod,
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
async def test_a_wait_and_a_stream_continue_after_credentials_expired_and_were_renewed(
    source: Callable[[UserAccess], Given],
    access: UserAccess,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    found: list[NodeView] = []
    async with access.relay as relay, access.admin() as admin:
        await access.permit()
        await create_dpu(admin, "dpu-1", node="node-1")
        await create_dpu(admin, "dpu-2", node="node-2")
        kubeconfig, issue = source(access)
        await issue()
        with anyio.fail_after(LONG):
            async with (
                access.client(kubeconfig) as dpf,
                dpf.transitions() as stream,
                anyio.create_task_group() as tasks,
            ):

                async def wait() -> None:
                    found.append(await dpf.node("node-1").until(has_a_ready_dpu))

                tasks.start_soon(wait)
                initial = [described(await anext(stream)) for _ in range(2)]
                await access.expire()
                await disconnect_until_rejected(dpf, relay)

                await admin.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Ready"}})
                await admin.resource(DPU).delete("dpu-2")
                await create_dpu(admin, "dpu-3", node="node-3")
                await issue()
                received = [described(await anext(stream)) for _ in range(3)]

    assert sorted(initial) == ["dpu-1 appeared in Initializing", "dpu-2 appeared in Initializing"]
    assert sorted(received) == [
        "dpu-1 from Initializing to Ready",
        "dpu-2 is gone",
        "dpu-3 appeared in Initializing",
    ]
    assert [view.name for view in found] == ["node-1"]
    written = [caplog.text, *capfd.readouterr()]
    assert not [secret for secret in access.secrets for text in written if secret in text]


async def test_errors_name_the_source_of_an_expired_token_and_a_wait_continues_once_it_is_accepted(
    access: UserAccess,
) -> None:
    """An API server also rejects valid tokens while its webhook is unavailable, so a wait must survive that."""
    found: list[NodeView] = []
    async with access.relay as relay, access.admin() as admin:
        await access.permit()
        await create_dpu(admin, "dpu-1", node="node-1")
        token = access.token()
        kubeconfig = access.kubeconfig({"token": token})
        with anyio.fail_after(LONG):
            async with (
                access.client(kubeconfig) as dpf,
                anyio.create_task_group() as tasks,
            ):
                await dpf.node("node-1").view()

                async def wait() -> None:
                    found.append(await dpf.node("node-1").until(has_a_ready_dpu))

                tasks.start_soon(wait)
                await access.expire()
                await disconnect_until_rejected(dpf, relay)
                with pytest.raises(Unauthorized) as unauthorized:
                    await dpf.resource(DPU).list()
                with pytest.raises(WaitTimeout) as waited:
                    await dpf.node("node-1").until(has_a_ready_dpu, timeout=0.5)
                await admin.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Ready"}})
                access.reviews.restore(token, access.user)

    for error in (unauthorized, waited):
        assert (
            "the credentials are missing, wrong or expired: renew the token or the client certificate;"
            " they came from the kubeconfig given"
        ) in str(error.value)
        assert token not in str(error.value)
    assert [view.name for view in found] == ["node-1"]


async def test_credentials_of_an_exec_plugin_are_renewed_before_they_expire(
    access: UserAccess,
) -> None:
    async with access.relay:
        await access.permit()
        times = iter([datetime.now(UTC) + timedelta(seconds=2), datetime.now(UTC) + timedelta(hours=1)])
        kubeconfig, issue = _exec_plugin(
            access, lambda: {"token": access.token(), "expirationTimestamp": next(times).isoformat()}
        )
        await issue()
        async with access.client(kubeconfig) as dpf:
            await dpf.resource(DPU).list()
            await issue()

            with anyio.fail_after(LONG):
                await used(access.secrets[1], dpf, access.reviews)

    assert [token for token in access.reviews.reviewed if token in access.secrets] == access.secrets


UNTRUSTED: Final = {
    "no authority": r"failed: .*; it has to be signed by the certificate-authority to trust, which comes from",
    "another authority": r"failed: .*; it has to be signed by the certificate-authority to trust, which comes",
    "another name": r"certificate is not valid for 'api\.example\.com'; set tls-server-name to a name that the"
    r" certificate is valid for; the address comes from",
}


@pytest.mark.parametrize("wrong", UNTRUSTED)
async def test_an_untrusted_server_receives_no_credentials(
    wrong: str, server: RealCluster, reviews: TokenReviews, namespace: str, tmp_path: Path
) -> None:
    token = reviews.issue("alice")
    kubeconfig = server.kubeconfig(token=token)
    cluster = kubeconfig["clusters"][0]["cluster"]
    match wrong:
        case "no authority":
            del cluster["certificate-authority"]
        case "another authority":
            trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
            cluster["certificate-authority"] = os.fspath(tmp_path / "ca.pem")
        case _:
            cluster["tls-server-name"] = "api.example.com"

    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
        with pytest.raises(ConnectionFailed, match=UNTRUSTED[wrong]) as refused:
            await dpf.resource(DPU).list()

    message = str(refused.value)
    assert message.startswith(f"the API server {server.url} is not trusted, and no request was sent to it: ")
    assert message.endswith(" comes from the kubeconfig given")
    assert "\n" not in message
    assert token not in reviews.reviewed


async def test_tls_server_name_can_differ_from_the_address(server: RealCluster, namespace: str) -> None:
    kubeconfig = server.kubeconfig()
    cluster = kubeconfig["clusters"][0]["cluster"]
    cluster |= {"server": server.url.replace("127.0.0.1", "localhost"), "tls-server-name": "127.0.0.1"}

    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
        assert not (await dpf.resource(DPU).list()).items


async def test_a_redirect_to_the_server_is_not_followed(server: RealCluster, namespace: str) -> None:
    async with Relay(server.url) as relay, Scripted() as front:
        front.on_list = answering(
            302, b"over there", {"Location": f"{relay.url}/apis/x", "Content-Type": "text/plain"}
        )
        kubeconfig = server.kubeconfig()
        kubeconfig["clusters"][0]["cluster"]["server"] = front.url
        async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
            with pytest.raises(APIError) as refused:
                await dpf.resource(DPU).list()

    assert relay.connections == 0
    assert "HTTP 302" in str(refused.value)
    assert str(refused.value).endswith(
        "an API server does not redirect: check its address, which comes from the kubeconfig given"
        f" ({front.url})"
    )


async def create_dpu(admin: DPFClient, name: str, *, node: str) -> None:
    spec = {
        "dpuNodeName": node,
        "dpuDeviceName": f"device-of-{name}",
        "serialNumber": "MT2500XZ0001",
        "bfb": "bundle",
        "dpuFlavor": "flavor",
        "nodeEffect": {"noEffect": True},
    }
    await admin.resource(DPU).create(DPU.model_validate({"metadata": {"name": name}, "spec": spec}))


async def disconnect_until_rejected(dpf: DPFClient, relay: Relay) -> None:
    """Close the connections of a client until the server rejects it; open connections outlive their credentials."""
    while not all("credentials are missing, wrong" in health.reason for health in dpf.health.values()):
        if any(health.state == "live" for health in dpf.health.values()):
            relay.close_connections()
        await anyio.sleep(0.25)


async def used(token: str, dpf: DPFClient, reviews: TokenReviews) -> None:
    """Send requests until the server has received this token."""
    while token not in reviews.reviewed:
        await dpf.resource(DPU).list()
        await anyio.sleep(0.1)


def described(transition: Transition) -> str:
    match transition:
        case DPUAppeared(dpu=dpu, phase=phase, contiguous=True):
            return f"{dpu} appeared in {phase}"
        case DPUGone(dpu=dpu, contiguous=True):
            return f"{dpu} is gone"
        case PhaseChanged(dpu=dpu, before=before, after=after, contiguous=True):
            return f"{dpu} from {before} to {after}"
    return repr(transition)

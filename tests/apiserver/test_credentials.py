"""Credentials as users have them, on a real API server: what happens when they expire, and whom the client trusts."""

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

FAST_RETRIES: Final = WatchPolicy(silence=5.0, backoff_base=0.02, backoff_cap=0.2)

LIFETIME: Final = timedelta(seconds=12)
"""Of a client certificate that shall expire: what a client needs to begin, many times over, and a while to wait for."""

LONG: Final = 120.0
"""Seconds after which a test has waited in vain. A server takes a token for ten seconds after it was revoked."""

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
    """A server whose tokens expire when a test says so."""
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
class World:
    """A user whose credentials a test issues and has expire, and the connection over which it shows them.

    Attributes:
        relay: to be entered.
        secrets: what nobody may read anywhere.
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
        """One that is good for as long as a Secret exists, by the name of its number."""
        name = f"lease-{len(self.secrets)}"
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        secret = await self.server.ask("POST", path, {"metadata": {"name": name}})
        bound = {"kind": "Secret", "apiVersion": "v1", "name": name, "uid": secret["metadata"]["uid"]}
        answer = await self.server.ask("POST", f"{self.account}/token", {"spec": {"boundObjectRef": bound}})
        token = str(answer["status"]["token"])
        self.secrets.append(token)
        return token

    def certificate(self) -> tuple[Path, Path]:
        """The first one lives for LIFETIME."""
        until = datetime.now(UTC) + LIFETIME if not self.secrets else None
        certificate = self.server.certificate_of(self.user, until=until)
        self.secrets.append(certificate.key.read_text().splitlines()[1])
        return certificate.file, certificate.key

    async def expire(self) -> None:
        """What was issued so far stops being accepted, once the server notices."""
        self.reviews.revoke(*self.secrets)
        for secret in range(len(self.secrets)):
            path = f"/api/v1/namespaces/{self.namespace}/secrets/lease-{secret}"
            await self.server._answer("DELETE", path, None)

    def admin(self) -> DPFClient:
        return DPFClient(kubeconfig=self.server.kubeconfig(), namespace=self.namespace)

    def client(self, kubeconfig: str | JSON | None) -> DPFClient:
        return DPFClient(kubeconfig=kubeconfig, namespace=self.namespace, policy=FAST_RETRIES)

    async def permit(self) -> None:
        """Let the user look on, and the service account."""
        await self.server.ask("POST", self.account.removesuffix("/worker"), {"metadata": {"name": "worker"}})
        plurals = [kind.PLURAL for kind in (DPU, DPUDevice, DPUNode, DPUNodeMaintenance)]
        rule = {"apiGroups": [DPU.GROUP], "resources": plurals, "verbs": ["list", "watch"]}
        for user in (self.user, f"system:serviceaccount:{self.namespace}:worker"):
            await self.server.grant(user, [rule], namespace=self.namespace)


@pytest.fixture
def world(
    server: RealCluster,
    reviews: TokenReviews,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    return World(server, reviews, namespace, tmp_path, monkeypatch, Relay(server.url))


Issue = Callable[[], Awaitable[None]]
Given = tuple[str | JSON | None, Issue]
"""What a client is given as its kubeconfig, and what puts new credentials where it will look for them."""


def token_in_a_kubeconfig(world: World) -> Given:
    path = world.folder / "kubeconfig"

    async def issue() -> None:
        path.write_text(yaml.safe_dump(world.kubeconfig({"token": world.token()})))

    return os.fspath(path), issue


def token_file(world: World) -> Given:
    path = world.folder / "token"

    async def issue() -> None:
        path.write_text(f"{world.token()}\n")

    return world.kubeconfig({"tokenFile": os.fspath(path)}), issue


def client_certificate(world: World) -> Given:
    paths = world.folder / "client.pem", world.folder / "client.key"

    async def issue() -> None:
        for path, new in zip(paths, world.certificate(), strict=True):
            path.write_bytes(new.read_bytes())

    certificate, key = map(os.fspath, paths)
    return world.kubeconfig({"client-certificate": certificate, "client-key": key}), issue


def _exec_plugin(world: World, status: Callable[[], JSON]) -> Given:
    answer = world.folder / "answer.json"

    async def issue() -> None:
        answer.write_text(json.dumps({"apiVersion": PLUGIN, "kind": "ExecCredential", "status": status()}))

    plugin = {"apiVersion": PLUGIN, "command": "cat", "args": [os.fspath(answer)]}
    path = world.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(world.kubeconfig({"exec": plugin})))
    return os.fspath(path), issue


def exec_plugin_with_a_token(world: World) -> Given:
    return _exec_plugin(world, lambda: {"token": world.token()})


def exec_plugin_with_a_certificate(world: World) -> Given:
    def status() -> JSON:
        certificate, key = (path.read_text() for path in world.certificate())
        return {"clientCertificateData": certificate, "clientKeyData": key}

    return _exec_plugin(world, status)


def files_of_a_pod(world: World) -> Given:
    token, authority = world.folder / "token", world.folder / "ca.crt"
    authority.write_bytes(world.server.ca.read_bytes())
    world.monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", os.fspath(token))
    world.monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", os.fspath(authority))
    world.monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    world.monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(world.relay.port))
    world.monkeypatch.setenv("HOME", os.fspath(world.folder))
    world.monkeypatch.delenv("KUBECONFIG", raising=False)

    async def issue() -> None:
        token.write_text(await world.service_account_token())

    return None, issue


WAYS: Final = (
    token_in_a_kubeconfig,
    token_file,
    client_certificate,
    exec_plugin_with_a_token,
    exec_plugin_with_a_certificate,
    files_of_a_pod,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_credentials_expire_in_the_middle_of_an_await_and_neither_it_nor_a_stream_notices(
    way: Callable[[World], Given],
    world: World,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    found: list[NodeView] = []
    async with world.relay as relay, world.admin() as admin:
        await world.permit()
        await create_dpu(admin, "dpu-1", node="node-1")
        await create_dpu(admin, "dpu-2", node="node-2")
        kubeconfig, issue = way(world)
        await issue()
        with anyio.fail_after(LONG):
            async with (
                world.client(kubeconfig) as dpf,
                dpf.transitions() as stream,
                anyio.create_task_group() as tasks,
            ):

                async def wait() -> None:
                    found.append(await dpf.node("node-1").until(has_a_ready_dpu))

                tasks.start_soon(wait)
                standing = [words(await anext(stream)) for _ in range(2)]
                await world.expire()
                await locked_out(dpf, relay)

                await admin.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Ready"}})
                await admin.resource(DPU).delete("dpu-2")
                await create_dpu(admin, "dpu-3", node="node-3")
                await issue()
                heard = [words(await anext(stream)) for _ in range(3)]

    assert sorted(standing) == ["dpu-1 appeared in Initializing", "dpu-2 appeared in Initializing"]
    assert sorted(heard) == [
        "dpu-1 from Initializing to Ready",
        "dpu-2 is gone",
        "dpu-3 appeared in Initializing",
    ]
    assert [view.name for view in found] == ["node-1"]
    written = [caplog.text, *capfd.readouterr()]
    assert not [secret for secret in world.secrets for text in written if secret in text]


async def test_a_token_that_nobody_can_renew_is_named_and_the_await_goes_on_once_it_is_accepted_again(
    world: World,
) -> None:
    """An API server refuses good tokens too, while it cannot ask whose they are: a wait must not die of that."""
    found: list[NodeView] = []
    async with world.relay as relay, world.admin() as admin:
        await world.permit()
        await create_dpu(admin, "dpu-1", node="node-1")
        token = world.token()
        kubeconfig = world.kubeconfig({"token": token})
        with anyio.fail_after(LONG):
            async with (
                world.client(kubeconfig) as dpf,
                anyio.create_task_group() as tasks,
            ):
                await dpf.node("node-1").view()

                async def wait() -> None:
                    found.append(await dpf.node("node-1").until(has_a_ready_dpu))

                tasks.start_soon(wait)
                await world.expire()
                await locked_out(dpf, relay)
                with pytest.raises(Unauthorized) as asked:
                    await dpf.resource(DPU).list()
                with pytest.raises(WaitTimeout) as waited:
                    await dpf.node("node-1").until(has_a_ready_dpu, timeout=0.5)
                await admin.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Ready"}})
                world.reviews.restore(token, world.user)

    for error in (asked, waited):
        assert (
            "the credentials are missing, wrong or expired: renew the token or the client certificate;"
            " they came from the kubeconfig given"
        ) in str(error.value)
        assert token not in str(error.value)
    assert [view.name for view in found] == ["node-1"]


async def test_what_an_exec_plugin_gave_is_renewed_before_the_server_has_to_refuse_it(
    world: World,
) -> None:
    async with world.relay:
        await world.permit()
        times = iter([datetime.now(UTC) + timedelta(seconds=2), datetime.now(UTC) + timedelta(hours=1)])
        kubeconfig, issue = _exec_plugin(
            world, lambda: {"token": world.token(), "expirationTimestamp": next(times).isoformat()}
        )
        await issue()
        async with world.client(kubeconfig) as dpf:
            await dpf.resource(DPU).list()
            await issue()

            with anyio.fail_after(LONG):
                await used(world.secrets[1], dpf, world.reviews)

    assert [token for token in world.reviews.asked if token in world.secrets] == world.secrets


UNTRUSTED: Final = {
    "no authority": r"failed: .*; it has to be signed by the certificate-authority to trust, which comes from",
    "another authority": r"failed: .*; it has to be signed by the certificate-authority to trust, which comes",
    "another name": r"certificate is not valid for 'api\.example\.com'; set tls-server-name to a name that the"
    r" certificate is valid for; the address comes from",
}


@pytest.mark.parametrize("wrong", UNTRUSTED)
async def test_a_server_that_is_not_trusted_is_told_nothing(
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
    assert token not in reviews.asked


async def test_a_name_that_the_server_does_prove_may_be_another_than_its_address(
    server: RealCluster, namespace: str
) -> None:
    kubeconfig = server.kubeconfig()
    cluster = kubeconfig["clusters"][0]["cluster"]
    cluster |= {"server": server.url.replace("127.0.0.1", "localhost"), "tls-server-name": "127.0.0.1"}

    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
        assert not (await dpf.resource(DPU).list()).items


async def test_whoever_redirects_to_the_server_is_not_followed(server: RealCluster, namespace: str) -> None:
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


async def locked_out(dpf: DPFClient, relay: Relay) -> None:
    """Cut the connections of a client until the server refuses it: what was open would outlive its credentials."""
    while not all("credentials are missing, wrong" in health.reason for health in dpf.health.values()):
        if any(health.state == "live" for health in dpf.health.values()):
            relay.close_connections()
        await anyio.sleep(0.25)


async def used(token: str, dpf: DPFClient, reviews: TokenReviews) -> None:
    """Ask the server until it has been shown this token."""
    while token not in reviews.asked:
        await dpf.resource(DPU).list()
        await anyio.sleep(0.1)


def words(transition: Transition) -> str:
    match transition:
        case DPUAppeared(dpu=dpu, phase=phase, contiguous=True):
            return f"{dpu} appeared in {phase}"
        case DPUGone(dpu=dpu, contiguous=True):
            return f"{dpu} is gone"
        case PhaseChanged(dpu=dpu, before=before, after=after, contiguous=True):
            return f"{dpu} from {before} to {after}"
    return repr(transition)

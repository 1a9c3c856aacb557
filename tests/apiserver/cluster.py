"""RealCluster: a kube-apiserver with its etcd, on loopback, for as long as a block lasts.

It has what a default installation has (watch cache, bookmarks, streaming lists, RBAC, priority and fairness) but no
controllers: what an owner's deletion should take along stays, and a namespace that is deleted stays Terminating.

Its misfortunes are methods: the API server and etcd end and begin again, where they were, and history is compacted.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from subprocess import STDOUT
from typing import Any, Final, Self

import aiohttp
import anyio
from anyio.abc import Process

from tests.apiserver.admin import Admin
from tests.apiserver.build import Binaries
from tests.apiserver.pki import Certificate, Keys

__all__ = ["ADMIN", "NotReady", "RealCluster"]

JSON = dict[str, Any]  # Any: it is JSON

ADMIN: Final = "test-admin"
"""The user in system:masters, for whom nothing is forbidden."""

_HOST: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 10.0
"""What a server that is told to stop may take; then it is killed."""
_TOLD_LINES: Final = 50

# A test run that is killed stops nothing any more: where Linux offers it, the kernel does, with the thread that started
# the process. That is the thread of the event loop, so it must live as long as the server.
_TETHER: Final = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


class NotReady(Exception):
    """A server did not come up; the text ends with the last lines of its log."""


class RealCluster(Admin, anyio.AsyncContextManagerMixin):
    """async with RealCluster(binaries) as cluster: a real API server that answers when the block is entered.

    Args:
        binaries: see `build.find`.
        users: names of plain users, who may do nothing before they are granted something; see `token_of`.
        flags: more of kube-apiserver's, such as "--feature-gates=…".
        start_timeout: seconds until the server must be ready; generous, since machines are busy.

    Raises:
        NotReady: at entering, when a server ends or is not ready in time.

    Attributes:
        url: of the API.
        ca: file of the certificate authority to trust.
        log: file into which the API server writes.
        etcd_data: folder of etcd's data; to be copied, or replaced by a copy, while etcd is stopped.
    """

    def __init__(
        self,
        binaries: Binaries,
        *,
        users: Sequence[str] = (),
        flags: Sequence[str] = (),
        start_timeout: float = 120.0,
    ) -> None:
        self._binaries = binaries
        self._tokens = {user: os.urandom(16).hex() for user in (ADMIN, *users)}
        self._flags = flags
        self._start_timeout = start_timeout
        self._folder = Path()
        self._keys: Keys
        self._etcd: _Server
        self._apiserver: _Server
        self.url = ""
        self.ca = Path()
        self.log = Path()
        self.etcd_data = Path()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dpf-apiserver-")))
            self._keys = Keys(self._folder / "pki", host=_HOST)
            # Bound but not listening, for as long as the server runs: nobody else can be given this port.
            reserved = stack.enter_context(socket.socket())
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((_HOST, 0))
            port = reserved.getsockname()[1]
            self.url, self.ca = f"https://{_HOST}:{port}", self._keys.ca
            self.etcd_data = self._folder / "etcd"
            self._etcd = _Server(self._etcd_command(), self._folder / "etcd.log")
            self._apiserver = _Server(self._apiserver_command(port), self._folder / "kube-apiserver.log")
            self.log = self._apiserver.log
            try:
                await self.start_etcd()
                await self.start()
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self._apiserver.stop()
                    await self._etcd.stop()

    async def start(self, *, ready: bool = True) -> None:
        """Start the API server again, at the same port; it answers when this returns, unless `ready` is False.

        Raises:
            NotReady: it ends, or is not ready in time.
        """
        await self._apiserver.start()
        if ready:
            await self.ready()

    async def stop(self, *, kill: bool = False) -> None:
        """End the API server, in good order unless `kill`. Nobody else gets its port."""
        await self._apiserver.stop(kill=kill)

    async def start_etcd(self) -> None:
        """Start etcd again, with the data it had, or with what was put in its place."""
        await self._etcd.start()

    async def stop_etcd(self) -> None:
        """End etcd. The API server goes on without it, as far as it can."""
        await self._etcd.stop()

    def token_of(self, user: str) -> str:
        """The bearer token of the admin, or of one of `users`."""
        return self._tokens[user]

    def certificate_of(self, user: str, *groups: str, until: datetime | None = None) -> Certificate:
        """A client certificate for any user; it may be new. A later one for the same user replaces the files."""
        return self._keys.client(user, groups, until=until)

    def kubeconfig(self, *, token: str | None = None, certificate: Certificate | None = None) -> JSON:
        """A kubeconfig for this server: the admin's, unless something else authenticates the user."""
        name = "real"
        user: JSON = {"token": token or self._tokens[ADMIN]}
        if certificate is not None:
            user = {"client-certificate": str(certificate.file), "client-key": str(certificate.key)}
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }

    async def compact(self) -> None:
        """Have etcd forget its history, as kube-apiserver itself has it do every five minutes.

        Old lists and continue tokens are served from snapshots until the watch cache of their kind has noticed.
        That takes up to 15 s. Source: apiserver pkg/storage/etcd3/compact.go and pkg/storage/cacher/compactor.go.
        """
        key = _base64("compact_rev_key")  # which kube-apiserver watches
        connector = aiohttp.UnixConnector(str(self._folder / "etcd.sock"))
        async with aiohttp.ClientSession("http://etcd", connector=connector, raise_for_status=True) as etcd:
            async with etcd.post("/v3/kv/range", json={"key": key}) as answer:
                revision = (await answer.json())["header"]["revision"]
            for what, asked in (
                ("put", {"key": key, "value": _base64(revision)}),
                ("compaction", {"revision": revision}),
            ):
                async with etcd.post(f"/v3/kv/{what}", json=asked):
                    pass

    def _etcd_command(self) -> list[str]:
        # Sockets in a folder of ours need no ports, and no other user can reach them.
        clients, peers = f"unix://{self._folder}/etcd.sock", f"unix://{self._folder}/peer.sock"
        return [
            str(self._binaries.etcd),
            f"--data-dir={self.etcd_data}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # what it holds is thrown away
            "--log-level=warn",
        ]

    def _apiserver_command(self, port: int) -> list[str]:
        keys = self._keys
        users = self._folder / "tokens.csv"
        users.write_text("".join(map(_token_line, self._tokens.items())))
        return [
            str(self._binaries.kube_apiserver),
            f"--etcd-servers=unix://{self._folder}/etcd.sock",
            f"--bind-address={_HOST}",
            f"--advertise-address={_HOST}",
            "--endpoint-reconciler-type=none",  # it would refuse to publish an address on loopback
            f"--secure-port={port}",
            "--permit-port-sharing=true",  # with the socket that keeps the port for us
            f"--cert-dir={self._folder}/pki",
            f"--tls-cert-file={keys.server.file}",
            f"--tls-private-key-file={keys.server.key}",
            f"--client-ca-file={keys.ca}",
            f"--token-auth-file={users}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys.service_accounts.key}",
            f"--service-account-signing-key-file={keys.service_accounts.key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            # As envtest does: without a controller that makes service accounts, no pod could be created.
            "--disable-admission-plugins=ServiceAccount",
            *self._flags,
        ]

    async def ready(self) -> None:
        """Wait until the API server says that it is ready.

        Raises:
            NotReady: it ends, or is not ready in time.
        """
        tls = ssl.create_default_context(cafile=self.ca)
        headers = {"authorization": f"Bearer {self._tokens[ADMIN]}"}
        said = "nothing"
        deadline = anyio.current_time() + self._start_timeout
        # The deadline is asked between requests: a TLS handshake that is cancelled leaves its socket to the collector.
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            while self._etcd.runs and self._apiserver.runs and anyio.current_time() < deadline:
                try:
                    async with session.get("/readyz?verbose", ssl=tls) as answer:
                        said = await answer.text()
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError as error:
                    said = str(error)
                # It says neither when it listens nor when it becomes ready.
                await anyio.sleep(_POLL_SECONDS)
        raise NotReady(self._why(said))

    def _why(self, said: str) -> str:
        for server in (self._etcd, self._apiserver):
            if not server.runs:
                return f"{server.name} ended with {server.returncode}; its log:\n{server.told()}"
        return (
            f"kube-apiserver was not ready after {self._start_timeout:g} s; /readyz said:\n{said}\n"
            f"its log:\n{self._apiserver.told()}"
        )


class _Server:
    """One program, that can be ended and begun again. What it says is added to its log."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.name = Path(command[0]).name
        self.log = log
        self._command = command
        self._process: Process | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await anyio.open_process(
                [*_TETHER, *self._command], stdin=None, stdout=log, stderr=STDOUT
            )

    async def stop(self, *, kill: bool = False) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None and not kill:
            process.terminate()
            with anyio.move_on_after(_STOP_SECONDS):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()

    def told(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TOLD_LINES:])


def _token_line(user: tuple[str, str]) -> str:
    name, token = user
    group = ',"system:masters"' if name == ADMIN else ""
    return f"{token},{json.dumps(name)},{json.dumps(name)}{group}\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""RealCluster: a kube-apiserver with its etcd on the loopback interface, inside an async with block.

It has the features of a default installation (watch cache, bookmarks, streaming lists, RBAC, priority and fairness) but
no controllers: dependents of a deleted owner are not deleted, and a deleted namespace stays Terminating.

Methods simulate faults: they stop and restart the API server and etcd with the same data, and compact the history.
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
"""The user in system:masters, who has every permission."""

_HOST: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.05
_STOP_TIMEOUT: Final = 10.0
"""Seconds after which a server that does not stop is killed."""
_SHOWN_LINES: Final = 50

# A killed test run cannot stop its servers. On Linux, the kernel kills a process when the thread that started it ends;
# that is the thread of the event loop, so it must live as long as the server.
_KILLED_WITH_PARENT: Final = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


class NotReady(Exception):
    """A server did not start; the message ends with the last lines of its log."""


class RealCluster(Admin, anyio.AsyncContextManagerMixin):
    """async with RealCluster(binaries) as cluster: a real API server that is ready when the block is entered.

    Args:
        binaries: see `build.find`.
        users: names of users without permissions; see `token_of` and `grant`.
        flags: additional flags of kube-apiserver, such as "--feature-gates=…".
        start_timeout: seconds until the server must be ready; long, because machines are busy.

    Raises:
        NotReady: on entering, if a server exits or is not ready in time.

    Attributes:
        url: of the API.
        ca: file of the certificate authority to trust.
        log: log file of the API server.
        etcd_data: folder of etcd's data; it can be copied and replaced while etcd is stopped.
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
            # Bound but not listening while the server runs, so that no other process gets this port.
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
        """Start the API server again on the same port, and wait until it is ready unless `ready` is False.

        Raises:
            NotReady: it exits, or is not ready in time.
        """
        await self._apiserver.start()
        if ready:
            await self.ready()

    async def stop(self, *, kill: bool = False) -> None:
        """Stop the API server, with SIGTERM unless `kill`; its port stays reserved."""
        await self._apiserver.stop(kill=kill)

    async def start_etcd(self) -> None:
        """Start etcd again with the data in etcd_data."""
        await self._etcd.start()

    async def stop_etcd(self) -> None:
        """Stop etcd; the API server keeps running without it."""
        await self._etcd.stop()

    def token_of(self, user: str) -> str:
        """The bearer token of the administrator, or of one of `users`."""
        return self._tokens[user]

    def certificate_of(self, user: str, *groups: str, until: datetime | None = None) -> Certificate:
        """Create a client certificate for any user; another certificate for the same user replaces the files."""
        return self._keys.client(user, groups, until=until)

    def kubeconfig(self, *, token: str | None = None, certificate: Certificate | None = None) -> JSON:
        """A kubeconfig for this server: the administrator's, unless a token or certificate is given."""
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
        """Compact the history of etcd, as kube-apiserver does every five minutes.

        The watch cache of a kind serves older lists and continue tokens from snapshots until it detects the compaction,
        for at most 15 s. Source: apiserver pkg/storage/etcd3/compact.go and pkg/storage/cacher/compactor.go.
        """
        key = _base64("compact_rev_key")  # which kube-apiserver watches
        connector = aiohttp.UnixConnector(str(self._folder / "etcd.sock"))
        async with aiohttp.ClientSession("http://etcd", connector=connector, raise_for_status=True) as etcd:
            async with etcd.post("/v3/kv/range", json={"key": key}) as answer:
                revision = (await answer.json())["header"]["revision"]
            for what, body in (
                ("put", {"key": key, "value": _base64(revision)}),
                ("compaction", {"revision": revision}),
            ):
                async with etcd.post(f"/v3/kv/{what}", json=body):
                    pass

    def _etcd_command(self) -> list[str]:
        # Sockets in a private folder need no ports, and other users cannot connect to them.
        clients, peers = f"unix://{self._folder}/etcd.sock", f"unix://{self._folder}/peer.sock"
        return [
            str(self._binaries.etcd),
            f"--data-dir={self.etcd_data}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # its data is discarded
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
            "--endpoint-reconciler-type=none",  # it rejects a loopback address
            f"--secure-port={port}",
            "--permit-port-sharing=true",  # with the socket that reserves the port
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
            # As envtest does: without the controller that creates service accounts, no pod could be created.
            "--disable-admission-plugins=ServiceAccount",
            *self._flags,
        ]

    async def ready(self) -> None:
        """Wait until /readyz reports that the API server is ready.

        Raises:
            NotReady: it exits, or is not ready in time.
        """
        tls = ssl.create_default_context(cafile=self.ca)
        headers = {"authorization": f"Bearer {self._tokens[ADMIN]}"}
        answered = "nothing"
        deadline = anyio.current_time() + self._start_timeout
        # The deadline is checked between requests: a cancelled TLS handshake does not close its socket.
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            while self._etcd.runs and self._apiserver.runs and anyio.current_time() < deadline:
                try:
                    async with session.get("/readyz?verbose", ssl=tls) as answer:
                        answered = await answer.text()
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError as error:
                    answered = str(error)
                # There is no event for this.
                await anyio.sleep(_POLL_SECONDS)
        raise NotReady(self._why(answered))

    def _why(self, answered: str) -> str:
        for server in (self._etcd, self._apiserver):
            if not server.runs:
                return f"{server.name} exited with {server.returncode}; its log:\n{server.log_tail()}"
        return (
            f"kube-apiserver was not ready after {self._start_timeout:g} s; /readyz answered:\n{answered}\n"
            f"its log:\n{self._apiserver.log_tail()}"
        )


class _Server:
    """One process that can be stopped and started again; its output is appended to its log."""

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
                [*_KILLED_WITH_PARENT, *self._command], stdin=None, stdout=log, stderr=STDOUT
            )

    async def stop(self, *, kill: bool = False) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None and not kill:
            process.terminate()
            with anyio.move_on_after(_STOP_TIMEOUT):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()

    def log_tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])


def _token_line(user: tuple[str, str]) -> str:
    name, token = user
    group = ',"system:masters"' if name == ADMIN else ""
    return f"{token},{json.dumps(name)},{json.dumps(name)}{group}\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""RealCluster: a kube-apiserver with its etcd, on loopback, for as long as a block lasts.

It has what a default installation has (watch cache, bookmarks, streaming lists, RBAC, priority and fairness) but no
controllers: what an owner's deletion should take along stays, and a namespace that is deleted stays Terminating.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
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
    """

    def __init__(
        self,
        binaries: Binaries,
        *,
        users: Sequence[str] = (),
        flags: Sequence[str] = (),
        start_timeout: float = 45.0,
    ) -> None:
        self._binaries = binaries
        self._tokens = {user: os.urandom(16).hex() for user in (ADMIN, *users)}
        self._flags = flags
        self._start_timeout = start_timeout
        self._folder = Path()
        self._keys: Keys
        self.url = ""
        self.ca = Path()
        self.log = Path()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with AsyncExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dpf-apiserver-")))
            self._keys = Keys(self._folder / "pki", host=_HOST)
            # Bound but not listening, for as long as the server runs: nobody else can be given this port.
            reserved = stack.enter_context(socket.socket())
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((_HOST, 0))
            port = reserved.getsockname()[1]
            self.url, self.ca = f"https://{_HOST}:{port}", self._keys.ca
            self.log = self._folder / "kube-apiserver.log"
            etcd = await stack.enter_async_context(self._running(self._etcd()))
            server = await stack.enter_async_context(self._running(self._kube_apiserver(port)))
            await self._ready(etcd, server)
            yield self

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

    def _etcd(self) -> list[str]:
        # Sockets in a folder of ours need no ports, and no other user can reach them.
        clients, peers = f"unix://{self._folder}/etcd.sock", f"unix://{self._folder}/peer.sock"
        return [
            str(self._binaries.etcd),
            f"--data-dir={self._folder}/etcd",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # what it holds is thrown away
            "--log-level=warn",
        ]

    def _kube_apiserver(self, port: int) -> list[str]:
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

    @asynccontextmanager
    async def _running(self, command: Sequence[str]) -> AsyncGenerator[Process]:
        with self._log_of(command[0]).open("wb") as log:
            process = await anyio.open_process([*_TETHER, *command], stdin=None, stdout=log, stderr=STDOUT)
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)

    async def _ready(self, etcd: Process, server: Process) -> None:
        tls = ssl.create_default_context(cafile=self.ca)
        headers = {"authorization": f"Bearer {self._tokens[ADMIN]}"}
        said = "nothing"
        deadline = anyio.current_time() + self._start_timeout
        # The deadline is asked between requests: a TLS handshake that is cancelled leaves its socket to the collector.
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            while etcd.returncode is None and server.returncode is None and anyio.current_time() < deadline:
                try:
                    async with session.get("/readyz?verbose", ssl=tls) as answer:
                        said = await answer.text()
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError as error:
                    said = str(error)
                # It says neither when it listens nor when it becomes ready.
                await anyio.sleep(_POLL_SECONDS)
        raise NotReady(self._why(etcd, server, said))

    def _why(self, etcd: Process, server: Process, said: str) -> str:
        for process, binary in (etcd, self._binaries.etcd), (server, self._binaries.kube_apiserver):
            if process.returncode is not None:
                return f"{binary.name} ended with {process.returncode}; its log:\n{self._told(binary)}"
        return (
            f"kube-apiserver was not ready after {self._start_timeout:g} s; /readyz said:\n{said}\n"
            f"its log:\n{self._told(self._binaries.kube_apiserver)}"
        )

    def _told(self, binary: Path) -> str:
        lines = self._log_of(binary).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TOLD_LINES:])

    def _log_of(self, binary: str | Path) -> Path:
        return self._folder / f"{Path(binary).name}.log"


def _token_line(user: tuple[str, str]) -> str:
    name, token = user
    group = ',"system:masters"' if name == ADMIN else ""
    return f"{token},{json.dumps(name)},{json.dumps(name)}{group}\n"


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()

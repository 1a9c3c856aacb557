"""EmbeddedServer: a Kubernetes API server on the loopback interface, in the caller's event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel
import yaml
from aiohttp import web

from dpf_async.sim.apiserver.cluster.cluster import Cluster
from dpf_async.sim.apiserver.cluster.definitions import Definitions
from dpf_async.sim.apiserver.cluster.garbage import GarbageCollector
from dpf_async.sim.apiserver.cluster.requests import Body, Target, WriteOptions
from dpf_async.sim.apiserver.faults import Faults
from dpf_async.sim.apiserver.http.access import Access
from dpf_async.sim.apiserver.http.resources import Resources
from dpf_async.sim.apiserver.http.watches import WatchSettings
from dpf_async.sim.apiserver.http_server import HTTPServer
from dpf_async.sim.apiserver.storage.core_kinds import core_kinds
from dpf_async.sim.apiserver.storage.kinds import DEFINITIONS, NAMESPACES
from dpf_async.sim.apiserver.wire.codec import Obj, copy_document
from dpf_async.sim.apiserver.wire.status import GroupResource, StatusError

_HOST = "127.0.0.1"
# Selectors, continue tokens and bearer tokens may be long. Go's server accepts headers of 1 MiB; chosen smaller.
_MAX_LINE_BYTES = 64 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedServer:
    """async with EmbeddedServer(crds=manifests) as server: a Kubernetes API at server.url.

    It behaves as kube-apiserver does for custom resources and a few core kinds; docs/embedded-server.md lists the
    differences. Leaving the block ends every watch and closes the port.
    """

    def __init__(
        self,
        *,
        crds: Iterable[Mapping[str, Any]],
        namespaces: Iterable[str] = ("default", "dpf-operator-system"),
        port: int = 0,
        tokens: Mapping[str, str] | None = None,
        history: int = 10_000,
        bookmark_interval: float = 60.0,
        watch_buffer: int = 1_000,
        freshness_timeout: float = 3.0,
        minor: int = 34,
        controllers: bool = True,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Prepare a server; it listens once it is entered.

        Args:
            crds: CustomResourceDefinition manifests, created before the first request.
            namespaces: created before the first request.
            port: 0 chooses a free one.
            tokens: bearer tokens and their users; None accepts every request as an administrator's.
            history: events kept per resource, from which watches can resume.
            bookmark_interval: seconds between the bookmarks of an idle watch. Kubernetes: about 60.
            watch_buffer: events that a client which does not read may fall behind before its watch is ended.
            freshness_timeout: seconds that a read waits for a resourceVersion that does not exist yet. Kubernetes: 3.
            minor: the minor release of Kubernetes that /version reports and whose messages are used.
            controllers: whether to run the garbage collector and the namespace controller of kube-controller-manager.
                The objects of a deleted CRD are deleted in any case, as kube-apiserver does.
            clock: the wall clock for timestamps in metadata.
        """
        self.faults: Faults = Faults()
        self.access: Access = Access(tokens, self.faults)
        self._crds = [copy_document(dict(crd)) for crd in crds]
        self._namespaces = tuple(namespaces)
        self._port = port
        self._cluster = Cluster(history=history, clock=clock)
        for kind in core_kinds():
            self._cluster.registry.add(kind)
        Definitions(self._cluster, minor=minor)
        self._garbage = GarbageCollector(self._cluster, controllers=controllers)
        self._resources = Resources(
            cluster=self._cluster,
            faults=self.faults,
            watch_settings=WatchSettings(bookmark_interval, watch_buffer),
            freshness_timeout=freshness_timeout,
        )
        self._http = HTTPServer(
            cluster=self._cluster,
            access=self.access,
            faults=self.faults,
            resources=self._resources,
            minor=minor,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Create namespaces and definitions, then listen.

        Raises:
            ValueError: a namespace or CRD is invalid; the message is the API server's.
            OSError: the port is in use.
        """
        self._create(NAMESPACES, ({"metadata": {"name": name}} for name in self._namespaces))
        self._create(DEFINITIONS, self._crds)
        await self._stack.enter_async_context(self._running())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End watches and stop listening."""
        await self._stack.aclose()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        server = web.Server(
            self._http.handle,
            handler_cancellation=True,
            access_log=None,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self._port, reuse_address=True).start()
            self._port = runner.addresses[0][1]
            async with anyio.create_task_group() as group:
                group.start_soon(self._garbage.run)
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()
        finally:
            self._http.stop()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    @property
    def url(self) -> str:
        """The URL of the API, once entered."""
        return f"http://{_HOST}:{self._port}"

    def kubeconfig(self, *, token: str | None = None, namespace: str = "dpf-operator-system") -> Obj:
        """Return a kubeconfig for this server; token: of the user, by default the first one that the server knows."""
        token = token or self.access.first_token
        name = "embedded"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": token} if token else {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }

    def write_kubeconfig(
        self,
        path: str | os.PathLike[str],
        *,
        token: str | None = None,
        namespace: str = "dpf-operator-system",
    ) -> None:
        """Write the kubeconfig to a file that only its owner can read."""
        file = Path(path)
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(self.kubeconfig(token=token, namespace=namespace)), encoding="utf-8")

    @property
    def resource_version(self) -> int:
        """The resourceVersion of the last write."""
        return self._cluster.store.revision

    def compact(self) -> None:
        """Expire every older resourceVersion; running watches continue.

        Equivalent to a compaction of etcd and a restart of the watch cache.
        """
        self._cluster.store.compact()

    async def settled(self) -> None:
        """Wait until the garbage collector is idle and every running watch has written every event to its socket.

        It does not wait until clients have read the events or controllers have reacted. A watch that is stalled, or
        whose client does not read, blocks it.
        """
        while not (self._garbage.idle and self._resources.caught_up):
            if self._garbage.idle:
                await self._resources.watch_progressed()
            else:
                await anyio.lowlevel.checkpoint()

    def _create(self, resource: GroupResource, objects: Iterable[Obj]) -> None:
        kind = self._cluster.registry.kinds[resource]
        version = kind.versions["v1"]
        for obj in objects:
            typed = {**obj, "kind": kind.kind, "apiVersion": kind.api_version("v1")}
            typed.pop("status", None)
            options = WriteOptions(field_manager="embedded-server", field_validation="Ignore")
            try:
                self._cluster.create(Target(kind, version, ""), Body(typed), options)
            except StatusError as error:
                raise ValueError(error.message) from error

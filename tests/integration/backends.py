"""What the integration suite runs on: the embedded API server, or a real one with the operator as another process.

A test is written once, against Backend, and entered in its body. Whatever an embedded server can do, the other can too:
troubles of the wire come from a proxy between the test's client and the server (tests.support.proxy).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from dpf_async.models import DPU, DPUPhase
from dpf_async.sim import Simulator
from tests.apiserver.admin import Admin
from tests.support.cluster import Cluster, Server, client_of
from tests.support.cluster import cluster as embedded_cluster
from tests.support.crd_releases import CHANGED
from tests.support.crd_sets import manifests_of, with_newer_phases
from tests.support.definitions import AdminOf, Definitions, definitions
from tests.support.proxy import Proxy

__all__ = ["Backend", "Embedded", "Real"]


class Backend:
    """Where a test runs."""

    name = ""

    def cluster(self, *, watch_lag: float = 0.0) -> AbstractAsyncContextManager[Cluster[Server]]:
        """An API server without an operator: the test says the operator's words itself."""
        raise NotImplementedError

    def simulator(self, **options: Any) -> AbstractAsyncContextManager[Simulator]:
        """A simulated site; options are those of Simulator that no server of its own needs."""
        raise NotImplementedError

    def definitions(self, site: Cluster[Server]) -> AbstractAsyncContextManager[Definitions]:
        """The CRDs of the site's server that releases of DPF differ in; they are restored when the block is left."""
        return definitions(AdminOf(site.server.kubeconfig(namespace=site.dpf.namespace)), CHANGED)


class Embedded(Backend):
    """The embedded server, the operator beside it in the same event loop."""

    name = "embedded"

    def __init__(self, crd_set: str) -> None:
        self._crd_set = crd_set

    def cluster(self, *, watch_lag: float = 0.0) -> AbstractAsyncContextManager[Cluster[Server]]:
        return embedded_cluster(watch_lag=watch_lag, manifests=manifests_of(self._crd_set))

    def simulator(self, **options: Any) -> AbstractAsyncContextManager[Simulator]:
        return Simulator(crds=manifests_of(self._crd_set), **options)


class Real(Backend):
    """A kube-apiserver; each site has a namespace of its own there."""

    name = "kube-apiserver"

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    @asynccontextmanager
    async def cluster(self, *, watch_lag: float = 0.0) -> AsyncIterator[Cluster[Server]]:
        namespace = await self._namespace()
        async with Proxy(self._admin.kubeconfig()) as proxy, client_of(proxy, namespace) as dpf:
            proxy.faults.watch_lag = watch_lag
            yield Cluster(proxy, dpf)

    @asynccontextmanager
    async def simulator(
        self, *, watch_lag: float = 0.0, operator: bool = True, **options: Any
    ) -> AsyncIterator[Simulator]:
        namespace = await self._namespace()
        kubeconfig = self._admin.kubeconfig()
        if "newer_phase" in options.get("troubles", ()):
            await self._know_newer_phases()
        async with AsyncExitStack() as stack:
            if watch_lag:
                proxy = await stack.enter_async_context(Proxy(kubeconfig))
                proxy.faults.watch_lag = watch_lag
                kubeconfig = proxy.kubeconfig(namespace=namespace)
            yield await stack.enter_async_context(
                Simulator(
                    kubeconfig=kubeconfig,
                    namespace=namespace,
                    operator="process" if operator else False,
                    **options,
                )
            )

    async def _namespace(self) -> str:
        name = f"dpf-test-{secrets.token_hex(4)}"
        await self._admin.create_namespace(name)
        return name

    async def _know_newer_phases(self) -> None:
        """Upgrade the CRD as a later release of DPF would; for tests that know nothing of it this changes nothing."""
        (present,) = [crd for crd in await self._admin.crds() if crd["spec"]["names"]["kind"] == DPU.KIND]
        await self._admin.replace_crd(with_newer_phases(present, str(DPUPhase.UPDATE_FIRMWARE)))

"""The backends of the integration tests: the embedded API server, or a kube-apiserver with the operator as a process.

A test is written once, against Backend, and enters it in its body. Both backends offer the same faults: a proxy between
client and server (tests.support.proxy) adds those that a kube-apiserver cannot simulate.
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
    """The API server and the simulated site of one test."""

    name = ""

    def cluster(self, *, watch_lag: float = 0.0) -> AbstractAsyncContextManager[Cluster[Server]]:
        """An API server without an operator: the test writes the status that the operator would write."""
        raise NotImplementedError

    def simulator(self, **options: Any) -> AbstractAsyncContextManager[Simulator]:
        """A simulated site; options are those of Simulator that do not depend on the embedded server."""
        raise NotImplementedError

    def definitions(self, site: Cluster[Server]) -> AbstractAsyncContextManager[Definitions]:
        """The CRDs that differ between releases of DPF; the block restores them when it ends."""
        return definitions(AdminOf(site.server.kubeconfig(namespace=site.dpf.namespace)), CHANGED)


class Embedded(Backend):
    """The embedded server, with the operator in the same event loop."""

    name = "embedded"

    def __init__(self, crd_set: str) -> None:
        self._crd_set = crd_set

    def cluster(self, *, watch_lag: float = 0.0) -> AbstractAsyncContextManager[Cluster[Server]]:
        return embedded_cluster(watch_lag=watch_lag, manifests=manifests_of(self._crd_set))

    def simulator(self, **options: Any) -> AbstractAsyncContextManager[Simulator]:
        return Simulator(crds=manifests_of(self._crd_set), **options)


class Real(Backend):
    """A kube-apiserver, with a namespace for each site."""

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
            await self._add_newer_phases()
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

    async def _add_newer_phases(self) -> None:
        """Replace the CRD of DPU by that of a later release; it has more phases, and other tests do not use them."""
        (present,) = [crd for crd in await self._admin.crds() if crd["spec"]["names"]["kind"] == DPU.KIND]
        await self._admin.replace_crd(with_newer_phases(present, str(DPUPhase.UPDATE_FIRMWARE)))

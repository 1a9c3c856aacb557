"""An API server, a client of it, and the writes of an operator that a test makes itself.

For tests of the handshakes, which need control of every step; flows are tested on the simulated site.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from dpf_async import DPFClient, WatchPolicy, crds
from dpf_async.models import DPU, DPUNode, DPUNodeMaintenance, NodeEffect, ObjectMeta, known
from dpf_async.models.names import MaintenanceName, NodeName
from dpf_async.models.node import DPUNodeMaintenanceSpec
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.sim.apiserver.faults import Faults
from tests.support.states import REBOOTING, condition

FAST_RETRIES = WatchPolicy(silence=5.0, backoff_base=0.02, backoff_cap=0.2)
"""A watch policy with short backoffs, for short tests."""

NODE = "node-1"


class Server(Protocol):
    """An API server with injected faults: the embedded one, or a proxy before a real one."""

    @property
    def faults(self) -> Faults:
        """The injected faults."""

    @property
    def url(self) -> str:
        """Its address."""

    def kubeconfig(self, *, namespace: str) -> dict[str, Any]:
        """A kubeconfig for its clients."""

    async def settled(self) -> None:
        """Wait until its watches have sent every event."""


S_co = TypeVar("S_co", bound=Server, covariant=True)


@dataclass(frozen=True)
class Cluster(Generic[S_co]):
    """One server, one client, and the operator's writes."""

    server: S_co
    dpf: DPFClient

    def another_client(self, **options: Any) -> DPFClient:
        """A client of another worker process; options are those of DPFClient."""
        return client_of(self.server, self.dpf.namespace, **options)

    async def create_node(self, name: str = NODE) -> None:
        """Create a DPUNode as its registration does."""
        await self.dpf.create_dpu_node(name, [], labels={})

    async def request_reboot(self, name: str = NODE) -> None:
        """Set the condition, then the annotation: after both the request is pending."""
        await self.write_conditions(DPUNode, name, [condition(*REBOOTING)])
        await self.dpf.resource(DPUNode).patch(
            name, {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
        )

    async def hold(self, node: str = NODE, name: str = "") -> None:
        """Create a DPUNodeMaintenance with a hold."""
        name = name or f"{node}-hold"
        held = DPUNodeMaintenance(
            metadata=ObjectMeta(name=name, annotations={known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"}),
            spec=DPUNodeMaintenanceSpec(dpu_node_name=NodeName(node), node_effect=NodeEffect(hold=True)),
        )
        await self.dpf.resource(DPUNodeMaintenance).create(held)

    async def write_conditions(
        self, kind: type[DPUNode | DPU | DPUNodeMaintenance], name: str, conditions: list[dict[str, Any]]
    ) -> None:
        """Write conditions, as an operator does."""
        await self.dpf.resource(kind).patch_status(name, {"status": {"conditions": conditions}})

    async def annotations(self, name: str = NODE) -> Any:
        """The annotations of the DPUNode on the server, not in the cache."""
        return (await self.dpf.resource(DPUNode).get(name)).metadata.annotations

    async def hold_annotation(self, name: str = f"{NODE}-hold") -> str | None:
        """The hold annotation of the DPUNodeMaintenance on the server, not in the cache."""
        held = await self.dpf.resource(DPUNodeMaintenance).get(MaintenanceName(name))
        return held.metadata.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT)


def client_of(server: Server, namespace: str = known.DPF_NAMESPACE, **options: Any) -> DPFClient:
    """A client of a server, not entered yet, with short backoffs."""
    kubeconfig = server.kubeconfig(namespace=namespace)
    return DPFClient(kubeconfig=kubeconfig, namespace=namespace, policy=FAST_RETRIES, **options)


@asynccontextmanager
async def cluster(
    *, watch_lag: float = 0.0, manifests: Iterable[Mapping[str, Any]] | None = None
) -> AsyncIterator[Cluster[EmbeddedServer]]:
    """Start the embedded server with these CRDs, by default those of the models. Enter it in the test body."""
    async with (
        EmbeddedServer(crds=crds.manifests() if manifests is None else manifests) as server,
        client_of(server) as dpf,
    ):
        server.faults.watch_lag = watch_lag
        yield Cluster(server, dpf)

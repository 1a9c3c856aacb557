"""An API server with a client on it, and the few words of an operator that a test says itself.

For the protocol of the handshakes, where a test needs every step in its own hand; flows run on the simulated site.
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

IMPATIENT = WatchPolicy(silence=5.0, backoff_base=0.02, backoff_cap=0.2)
"""A watch that is quick to try again: tests are short."""

NODE = "node-1"


class Server(Protocol):
    """An API server that a test can make trouble on: the embedded one, or a proxy before a real one."""

    @property
    def faults(self) -> Faults:
        """What goes wrong on the way to it."""

    @property
    def url(self) -> str:
        """Where it is."""

    def kubeconfig(self, *, namespace: str) -> dict[str, Any]:
        """For its clients."""

    async def settled(self) -> None:
        """Wait until its watches have sent what there is."""


S_co = TypeVar("S_co", bound=Server, covariant=True)


@dataclass(frozen=True)
class Cluster(Generic[S_co]):
    """One server, one client, and operator words."""

    server: S_co
    dpf: DPFClient

    def another_client(self, **options: Any) -> DPFClient:
        """A client of another worker process; options are those of DPFClient."""
        return client_of(self.server, self.dpf.namespace, **options)

    async def create_node(self, name: str = NODE) -> None:
        """A DPUNode as its registration makes it."""
        await self.dpf.create_dpu_node(name, [], labels={})

    async def ask_for_reboot(self, name: str = NODE) -> None:
        """The condition first, then the annotation: with the second the request stands."""
        await self.say(DPUNode, name, [condition(*REBOOTING)])
        await self.dpf.resource(DPUNode).patch(
            name, {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
        )

    async def hold(self, node: str = NODE, name: str = "") -> None:
        """A DPUNodeMaintenance that asks."""
        name = name or f"{node}-hold"
        held = DPUNodeMaintenance(
            metadata=ObjectMeta(name=name, annotations={known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"}),
            spec=DPUNodeMaintenanceSpec(dpu_node_name=NodeName(node), node_effect=NodeEffect(hold=True)),
        )
        await self.dpf.resource(DPUNodeMaintenance).create(held)

    async def say(
        self, kind: type[DPUNode | DPU | DPUNodeMaintenance], name: str, conditions: list[dict[str, Any]]
    ) -> None:
        """Write conditions, as an operator does."""
        await self.dpf.resource(kind).patch_status(name, {"status": {"conditions": conditions}})

    async def annotations(self, name: str = NODE) -> Any:
        """What the DPUNode has on the server itself."""
        return (await self.dpf.resource(DPUNode).get(name)).metadata.annotations

    async def hold_annotation(self, name: str = f"{NODE}-hold") -> str | None:
        """What the maintenance says on the server itself."""
        held = await self.dpf.resource(DPUNodeMaintenance).get(MaintenanceName(name))
        return held.metadata.annotations.get(known.WAIT_FOR_EXTERNAL_NODE_EFFECT)


def client_of(server: Server, namespace: str = known.DPF_NAMESPACE, **options: Any) -> DPFClient:
    """A client of a server, not entered yet, that is quick to try again."""
    kubeconfig = server.kubeconfig(namespace=namespace)
    return DPFClient(kubeconfig=kubeconfig, namespace=namespace, policy=IMPATIENT, **options)


@asynccontextmanager
async def cluster(
    *, watch_lag: float = 0.0, manifests: Iterable[Mapping[str, Any]] | None = None
) -> AsyncIterator[Cluster[EmbeddedServer]]:
    """The embedded server with these CRDs, by default those of the models. Enter it in the test body."""
    async with (
        EmbeddedServer(crds=crds.manifests() if manifests is None else manifests) as server,
        client_of(server) as dpf,
    ):
        server.faults.watch_lag = watch_lag
        yield Cluster(server, dpf)

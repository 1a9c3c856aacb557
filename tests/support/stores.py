"""The four stores of a NodeJoin, filled directly as watches would fill them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._transitions.hub import Hub
from dpf_async._transitions.node_join import NodeJoin
from dpf_async._transitions.views import NodeView
from dpf_async._watch.store import Store
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource

_versions = itertools.count(1_000_000)


class Stores:
    """Four stores, and the NodeJoin of them."""

    def __init__(self) -> None:
        self.nodes: Store[DPUNode] = Store()
        self.devices: Store[DPUDevice] = Store()
        self.dpus: Store[DPU] = Store()
        self.maintenances: Store[DPUNodeMaintenance] = Store()

    def join(self) -> NodeJoin:
        return NodeJoin(self.nodes, self.devices, self.dpus, self.maintenances)

    def show(self, *states: ObjectState[Resource]) -> None:
        for state in states:
            self._store(state.kind).apply("MODIFIED", state)

    def delete(self, state: ObjectState[Resource]) -> None:
        self._store(state.kind).apply("DELETED", state)

    def make_undecodable(self, state: ObjectState[Resource], version: str = "") -> None:
        """Replace an object by a state that cannot be decoded."""
        undecodable = Undecodable(
            kind=state.kind,
            name=state.name,
            namespace=state.namespace,
            uid=state.uid,
            resource_version=version or str(next(_versions)),
            error="undecodable",
            raw=b"",
        )
        self._store(state.kind).put_undecodable(undecodable)

    def _store(self, kind: type[Resource]) -> Store[Resource]:
        stores: dict[type[Resource], object] = {
            DPUNode: self.nodes,
            DPUDevice: self.devices,
            DPU: self.dpus,
            DPUNodeMaintenance: self.maintenances,
        }
        return stores[kind]  # type: ignore[return-value]


@asynccontextmanager
async def listening(join: NodeJoin) -> AsyncIterator[Hub[NodeView]]:
    """The context manager that a stream enters, without a connection."""
    yield join.hub

"""The four stores of a site, filled by the test instead of by watches."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._transitions.hub import Hub
from dpf_async._transitions.node_join import Site
from dpf_async._transitions.views import NodeView
from dpf_async._watch.store import Store
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource

_versions = itertools.count(1_000_000)


class Stores:
    """Four stores, and the site that joins them."""

    def __init__(self) -> None:
        self.nodes: Store[DPUNode] = Store()
        self.devices: Store[DPUDevice] = Store()
        self.dpus: Store[DPU] = Store()
        self.maintenances: Store[DPUNodeMaintenance] = Store()

    def site(self) -> Site:
        return Site(self.nodes, self.devices, self.dpus, self.maintenances)

    def show(self, *states: ObjectState[Resource]) -> None:
        for state in states:
            self._store(state.kind).apply("MODIFIED", state)

    def delete(self, state: ObjectState[Resource]) -> None:
        self._store(state.kind).apply("DELETED", state)

    def make_unreadable(self, state: ObjectState[Resource], version: str = "") -> None:
        """Replace an object by an Undecodable."""
        unreadable = Undecodable(
            kind=state.kind,
            name=state.name,
            namespace=state.namespace,
            uid=state.uid,
            resource_version=version or str(next(_versions)),
            error="made unreadable",
            raw=b"",
        )
        self._store(state.kind).put_undecodable(unreadable)

    def _store(self, kind: type[Resource]) -> Store[Resource]:
        stores: dict[type[Resource], object] = {
            DPUNode: self.nodes,
            DPUDevice: self.devices,
            DPU: self.dpus,
            DPUNodeMaintenance: self.maintenances,
        }
        return stores[kind]  # type: ignore[return-value]


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[Hub[NodeView]]:
    """A subscription to the site's hub for a stream, without a connection."""
    yield site.hub

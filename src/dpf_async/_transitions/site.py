"""Joins the pictures of DPUNodes, DPUDevices, DPUs and DPUNodeMaintenances into one picture per node.

Plain synchronous code: listens to four stores, keeps who refers to whom, and stirs the node that a change is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from dpf_async._transitions.hub import Hub
from dpf_async._transitions.view import (
    DPUView,
    MaintenanceView,
    NodeView,
    device_names,
    node_of_dpu,
    node_of_maintenance,
)
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dpf_async._api.codec import Snapshot, Undecodable
    from dpf_async._watch.store import Change, Store

T = TypeVar("T", bound=Resource)


class Site:
    """The nodes of one namespace, each with everything that refers to it. Listens from the moment it is built."""

    def __init__(
        self,
        nodes: Store[DPUNode],
        devices: Store[DPUDevice],
        dpus: Store[DPU],
        maintenances: Store[DPUNodeMaintenance],
    ) -> None:
        self.hub: Hub[NodeView] = Hub(self.view)
        self._nodes = nodes
        self._devices = devices
        self._carriers: dict[str, str] = {}
        """Device name, in lower case, to the node that lists it. DPF compares them without case (dpf-facts 4)."""
        self._dpus: _References[DPU] = _References(dpus, node_of_dpu, self._stir)
        self._maintenances: _References[DPUNodeMaintenance] = _References(
            maintenances, node_of_maintenance, self._stir
        )
        for node in nodes:
            self._carry(node)
        nodes.listen(Told(self._node_changed))
        devices.listen(Told(self._device_changed))

    def names(self) -> Iterable[str]:
        """Every node that exists or is referred to."""
        return {node.name for node in self._nodes} | self._dpus.names() | self._maintenances.names()

    def view(self, name: str) -> NodeView:
        """What is true of this node now, whether it exists or not."""
        node = self._nodes.get(name)
        listed = device_names(node) if node is not None else ()
        return NodeView(
            name=name,
            node=node,
            devices=tuple(
                device for listed_name in listed if (device := self._device(listed_name)) is not None
            ),
            dpus=tuple(DPUView(state) for state in self._dpus.of(name)),
            maintenances=tuple(MaintenanceView(state) for state in self._maintenances.of(name)),
        )

    def _device(self, listed_name: str) -> Snapshot[DPUDevice] | None:
        # Objects' names are lower case (Kubernetes object names); the list in a DPUNode need not be.
        return self._devices.get(listed_name) or self._devices.get(listed_name.lower())

    def _stir(self, node: str, origin: str) -> None:
        if node:
            self.hub.stir(node, origin)

    def _carry(self, node: Snapshot[DPUNode]) -> None:
        for device in device_names(node):
            self._carriers[device.lower()] = node.name

    def _node_changed(self, change: Change[DPUNode]) -> None:
        before, after = change.before, change.after
        if before is not None:
            for device in device_names(before):
                if self._carriers.get(device.lower()) == before.name:
                    del self._carriers[device.lower()]
        if after is not None:
            self._carry(after)
        self._stir(change.name, change.origin)

    def _device_changed(self, change: Change[DPUDevice]) -> None:
        if node := self._carriers.get(change.name.lower()):
            self._stir(node, change.origin)


class _References(Generic[T]):
    """The objects of one kind by the node they refer to."""

    def __init__(
        self, store: Store[T], node_of: Callable[[Snapshot[T]], str], stir: Callable[[str, str], None]
    ) -> None:
        self._node_of = node_of
        self._stir = stir
        self._by_node: dict[str, dict[str, Snapshot[T]]] = {}
        for state in store:
            self._by_node.setdefault(node_of(state), {})[state.name] = state
        store.listen(Told(self._changed))

    def names(self) -> set[str]:
        """The nodes that are referred to."""
        return {name for name in self._by_node if name}

    def of(self, node: str) -> list[Snapshot[T]]:
        """The objects that refer to node, by name."""
        found = self._by_node.get(node)
        if not found:
            return []
        return [found[name] for name in sorted(found)] if len(found) > 1 else list(found.values())

    def _changed(self, change: Change[T]) -> None:
        before, after = change.before, change.after
        node = self._node_of(after) if after is not None else ""
        if before is not None:
            old = self._node_of(before)
            if after is None or old != node:
                self._forget(old, before.name)
                self._stir(old, change.origin)
        if after is not None:
            self._by_node.setdefault(node, {})[after.record.metadata.name] = after
            self._stir(node, change.origin)

    def _forget(self, node: str, name: str) -> None:
        found = self._by_node.get(node)
        if found is not None:
            found.pop(name, None)
            if not found:
                del self._by_node[node]


class Told(Generic[T]):
    """A listener that cares for changes only: a list that changed nothing changes nothing here either."""

    __slots__ = ("changed",)

    def __init__(self, changed: Callable[[Change[T]], None]) -> None:
        self.changed = changed

    def undecodable(self, obj: Undecodable) -> None:
        """Nothing: what cannot be read is in no view."""

    def interrupted(self, reason: str) -> None:
        """Nothing."""

    def listed(self, resource_version: str, *, rewound: bool) -> None:
        """Nothing."""

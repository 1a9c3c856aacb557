"""NodeJoin: joins the stores of DPUNodes, DPUDevices, DPUs and DPUNodeMaintenances into one view per host.

Plain synchronous code. It listens to the four stores, indexes references between objects, and notifies the hub of the
host that a change belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from dpf_async._transitions.hub import Hub
from dpf_async._transitions.views import (
    DPUView,
    MaintenanceView,
    NodeView,
    device_names,
    node_of_dpu,
    node_of_maintenance,
)
from dpf_async._watch.store import Listener
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dpf_async._api.codec import ObjectState, Undecodable
    from dpf_async._watch.store import Change, Store

T = TypeVar("T", bound=Resource)


class NodeJoin:
    """The hosts of one namespace, each with every object that refers to it. Listens from construction on."""

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
        self._dpus: _References[DPU] = _References(dpus, node_of_dpu, self.hub)
        self._maintenances: _References[DPUNodeMaintenance] = _References(
            maintenances, node_of_maintenance, self.hub
        )
        node_listener = _NodeListener(nodes, self.hub)
        nodes.listen(node_listener)
        devices.listen(_DeviceListener(node_listener.by_device, self.hub))

    def names(self) -> Iterable[str]:
        """The name of every DPUNode that exists or is referred to."""
        nodes = {node.name for node in self._nodes} | set(self._nodes.unreadable)
        return nodes | self._dpus.names() | self._maintenances.names()

    def view(self, name: str) -> NodeView:
        """The current view of a host, whether its DPUNode exists or not."""
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
            unreadable=self._unreadable(name, listed),
        )

    def _device(self, listed_name: str) -> ObjectState[DPUDevice] | None:
        # Names of objects are lower case (Kubernetes object names); names in DPUNode.spec.dpus need not be.
        return self._devices.get(listed_name) or self._devices.get(listed_name.lower())

    def _unreadable(self, name: str, listed: Iterable[str]) -> tuple[Undecodable, ...]:
        found = [*self._dpus.unreadable_of(name), *self._maintenances.unreadable_of(name)]
        if (node := self._nodes.unreadable.get(name)) is not None:
            found.append(node)
        if devices := self._devices.unreadable:
            found += (devices[device.lower()] for device in listed if device.lower() in devices)
        return tuple(found)


class _JoinListener(Listener[T]):
    """Pauses the waits of the hub while a list is applied: each is then evaluated for the state of the list only."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub[NodeView]) -> None:
        self._hub = hub

    def list_begins(self) -> None:
        self._hub.pause()

    def list_ends(self) -> None:
        self._hub.resume()


class _NodeListener(_JoinListener[DPUNode]):
    """Indexes DPUNodes by the devices that they list.

    Attributes:
        by_device: device name, in lower case, to the DPUNodes that list it: usually one, and two while a host is
            registered under another name. DPF compares the names without case (docs/dpf/discovery.md#name-comparison).
    """

    __slots__ = ("by_device",)

    def __init__(self, nodes: Iterable[ObjectState[DPUNode]], hub: Hub[NodeView]) -> None:
        super().__init__(hub)
        self.by_device: dict[str, set[str]] = {}
        for node in nodes:
            self._add(node)

    def changed(self, change: Change[DPUNode]) -> None:
        before, after = change.before, change.after
        if before is not None:
            for device in device_names(before):
                if nodes := self.by_device.get(device.lower()):
                    nodes.discard(before.name)
                    if not nodes:
                        del self.by_device[device.lower()]
        if after is not None:
            self._add(after)
        self._hub.notify(change.name, change.origin)

    def undecodable(self, obj: Undecodable) -> None:
        # The index keeps its devices: they are probably the same.
        self._hub.notify(obj.name, "watch")

    def _add(self, node: ObjectState[DPUNode]) -> None:
        for device in device_names(node):
            self.by_device.setdefault(device.lower(), set()).add(node.name)


class _DeviceListener(_JoinListener[DPUDevice]):
    """Notifies the hosts that list a device."""

    __slots__ = ("_nodes_by_device",)

    def __init__(self, nodes_by_device: dict[str, set[str]], hub: Hub[NodeView]) -> None:
        super().__init__(hub)
        self._nodes_by_device = nodes_by_device

    def changed(self, change: Change[DPUDevice]) -> None:
        self._notify(change.name, change.origin)

    def undecodable(self, obj: Undecodable) -> None:
        self._notify(obj.name, "watch")

    def _notify(self, device: str, origin: str) -> None:
        for node in self._nodes_by_device.get(device.lower(), ()):
            self._hub.notify(node, origin)


class _References(_JoinListener[T], Generic[T]):
    """The objects of one kind, by the host that they refer to."""

    __slots__ = ("_by_node", "_node_of", "_unreadable")

    def __init__(self, store: Store[T], node_of: Callable[[ObjectState[T]], str], hub: Hub[NodeView]) -> None:
        super().__init__(hub)
        self._node_of = node_of
        self._by_node: dict[str, dict[str, ObjectState[T]]] = {}
        self._unreadable: dict[str, tuple[str, Undecodable]] = {}
        """By name: the host that an object referred to in its last decodable state, and what cannot be decoded."""
        for state in store:
            self._by_node.setdefault(node_of(state), {})[state.name] = state
        store.listen(self)

    def names(self) -> set[str]:
        """The hosts that are referred to."""
        return {name for name in self._by_node if name}

    def of(self, node: str) -> list[ObjectState[T]]:
        """The objects that refer to this host, by name."""
        found = self._by_node.get(node)
        if not found:
            return []
        return [found[name] for name in sorted(found)] if len(found) > 1 else list(found.values())

    def unreadable_of(self, node: str) -> list[Undecodable]:
        """The undecodable objects that referred to this host in their last decodable state."""
        return [obj for of, obj in self._unreadable.values() if of == node] if self._unreadable else []

    def undecodable(self, obj: Undecodable) -> None:
        name = obj.name
        if name in self._unreadable:
            node, _ = self._unreadable[name]
        else:
            node = next((of for of, known in self._by_node.items() if name in known), "")
        if node:
            self._remove(node, name)
            self._unreadable[name] = (node, obj)
            self._notify(node, "watch")

    def undecodable_deleted(self, obj: Undecodable) -> None:
        node, _ = self._unreadable.pop(obj.name, ("", obj))
        self._notify(node, "watch")

    def changed(self, change: Change[T]) -> None:
        # The index is complete before the hub is notified: a wait must not observe an intermediate state.
        before, after = change.before, change.after
        unreadable_of = ""
        if self._unreadable:
            unreadable_of, _ = self._unreadable.pop(change.name, ("", None))
        node = self._node_of(after) if after is not None else ""
        old = self._node_of(before) if before is not None else ""
        if before is not None and (after is None or old != node):
            self._remove(old, before.name)
        if after is not None:
            self._by_node.setdefault(node, {})[after.record.metadata.name] = after
        for affected in dict.fromkeys((node, old, unreadable_of)):
            self._notify(affected, change.origin)

    def _notify(self, node: str, origin: str) -> None:
        if node:
            self._hub.notify(node, origin)

    def _remove(self, node: str, name: str) -> None:
        found = self._by_node.get(node)
        if found is not None:
            found.pop(name, None)
            if not found:
                del self._by_node[node]

"""Joins the pictures of DPUNodes, DPUDevices, DPUs and DPUNodeMaintenances into one picture per node.

Plain synchronous code: listens to four stores, keeps who refers to whom, and stirs the node that a change is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

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

    from dpf_async._api.codec import ObjectState, Undecodable
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
        self._carriers: dict[str, set[str]] = {}
        """Device name, in lower case, to the nodes that list it: one, but while a host is given another name also two.
        DPF compares them without case (dpf-facts 4)."""
        self._dpus: _References[DPU] = _References(dpus, node_of_dpu, self.hub)
        self._maintenances: _References[DPUNodeMaintenance] = _References(
            maintenances, node_of_maintenance, self.hub
        )
        for node in nodes:
            self._carry(node)
        nodes.listen(ListenerAdapter(self._node_changed, self._node_unreadable, lists=self.hub))
        devices.listen(ListenerAdapter(self._device_changed, self._device_unreadable, lists=self.hub))

    def names(self) -> Iterable[str]:
        """Every node that exists or is referred to."""
        nodes = {node.name for node in self._nodes} | set(self._nodes.unreadable)
        return nodes | self._dpus.names() | self._maintenances.names()

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
            unreadable=self._unreadable(name, listed),
        )

    def _device(self, listed_name: str) -> ObjectState[DPUDevice] | None:
        # Objects' names are lower case (Kubernetes object names); the list in a DPUNode need not be.
        return self._devices.get(listed_name) or self._devices.get(listed_name.lower())

    def _unreadable(self, name: str, listed: Iterable[str]) -> tuple[Undecodable, ...]:
        found = [*self._dpus.unreadable_of(name), *self._maintenances.unreadable_of(name)]
        if (node := self._nodes.unreadable.get(name)) is not None:
            found.append(node)
        if devices := self._devices.unreadable:
            found += (devices[device.lower()] for device in listed if device.lower() in devices)
        return tuple(found)

    def _carry(self, node: ObjectState[DPUNode]) -> None:
        for device in device_names(node):
            self._carriers.setdefault(device.lower(), set()).add(node.name)

    def _node_changed(self, change: Change[DPUNode]) -> None:
        before, after = change.before, change.after
        if before is not None:
            for device in device_names(before):
                if carriers := self._carriers.get(device.lower()):
                    carriers.discard(before.name)
                    if not carriers:
                        del self._carriers[device.lower()]
        if after is not None:
            self._carry(after)
        self.hub.notify(change.name, change.origin)

    def _node_unreadable(self, obj: Undecodable) -> None:
        # Which devices it carries is not forgotten: they may well be the same.
        self.hub.notify(obj.name, "watch")

    def _device_unreadable(self, obj: Undecodable) -> None:
        self._stir_carriers(obj.name, "watch")

    def _device_changed(self, change: Change[DPUDevice]) -> None:
        self._stir_carriers(change.name, change.origin)

    def _stir_carriers(self, device: str, origin: str) -> None:
        for node in self._carriers.get(device.lower(), ()):
            self.hub.notify(node, origin)


class _References(Generic[T]):
    """The objects of one kind by the node they refer to."""

    def __init__(self, store: Store[T], node_of: Callable[[ObjectState[T]], str], hub: Hub[NodeView]) -> None:
        self._node_of = node_of
        self._hub = hub
        self._by_node: dict[str, dict[str, ObjectState[T]]] = {}
        self._unreadable: dict[str, tuple[str, Undecodable]] = {}
        """By name: the node an object referred to when it could be read last, and what it is now."""
        for state in store:
            self._by_node.setdefault(node_of(state), {})[state.name] = state
        store.listen(ListenerAdapter(self._changed, self._became_unreadable, self._vanished, lists=hub))

    def names(self) -> set[str]:
        """The nodes that are referred to."""
        return {name for name in self._by_node if name}

    def of(self, node: str) -> list[ObjectState[T]]:
        """The objects that refer to node, by name."""
        found = self._by_node.get(node)
        if not found:
            return []
        return [found[name] for name in sorted(found)] if len(found) > 1 else list(found.values())

    def unreadable_of(self, node: str) -> list[Undecodable]:
        """The objects that referred to node when they could be read last."""
        return [obj for of, obj in self._unreadable.values() if of == node] if self._unreadable else []

    def _became_unreadable(self, obj: Undecodable) -> None:
        name = obj.name
        if name in self._unreadable:
            node, _ = self._unreadable[name]
        else:
            node = next((of for of, known in self._by_node.items() if name in known), "")
        if node:
            self._forget(node, name)
            self._unreadable[name] = (node, obj)
            self._stir(node, "watch")

    def _vanished(self, obj: Undecodable) -> None:
        node, _ = self._unreadable.pop(obj.name, ("", obj))
        self._stir(node, "watch")

    def _changed(self, change: Change[T]) -> None:
        # Everything is in its place before anybody is asked: a wait must not see the moment in between.
        before, after = change.before, change.after
        unreadable_of = ""
        if self._unreadable:
            unreadable_of, _ = self._unreadable.pop(change.name, ("", None))
        node = self._node_of(after) if after is not None else ""
        old = self._node_of(before) if before is not None else ""
        if before is not None and (after is None or old != node):
            self._forget(old, before.name)
        if after is not None:
            self._by_node.setdefault(node, {})[after.record.metadata.name] = after
        for concerned in dict.fromkeys((node, old, unreadable_of)):
            self._stir(concerned, change.origin)

    def _stir(self, node: str, origin: str) -> None:
        if node:
            self._hub.notify(node, origin)

    def _forget(self, node: str, name: str) -> None:
        found = self._by_node.get(node)
        if found is not None:
            found.pop(name, None)
            if not found:
                del self._by_node[node]


class ListenerAdapter(Generic[T]):
    """A listener that cares for objects only: a list that changed nothing changes nothing here either."""

    __slots__ = ("_lists", "changed", "undecodable", "vanished")

    def __init__(
        self,
        changed: Callable[[Change[T]], None],
        undecodable: Callable[[Undecodable], None],
        vanished: Callable[[Undecodable], None] | None = None,
        *,
        lists: Hub[Any] | None = None,
    ) -> None:
        """Args: see Listener; an object that vanished is told like one that became unreadable if not otherwise said.

        `lists`: a hub whose waits are asked about lists as a whole.
        """
        self._lists = lists
        self.changed = changed
        self.undecodable = undecodable
        self.vanished = vanished or undecodable

    def interrupted(self, reason: str) -> None:
        """Nothing."""

    def list_begins(self) -> None:
        """What the waits could see now are two moments at once."""
        if self._lists is not None:
            self._lists.pause()

    def list_ends(self) -> None:
        """The waits are asked."""
        if self._lists is not None:
            self._lists.resume()

    def listed(self, resource_version: str, *, rewound: bool) -> None:
        """Nothing."""

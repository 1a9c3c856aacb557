"""Garbage collection: dependents of deleted owners, content of deleted namespaces, objects of deleted CRDs.

It runs after the requests, one object at a time, and reads the stored state of each object when it handles it.
Source: kube-controller-manager garbagecollector and namespace controllers, apiextensions finalizer controller.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from dpf_async.sim.apiserver.cluster.admission import set_or_drop
from dpf_async.sim.apiserver.cluster.cluster import CLEANUP, Cluster
from dpf_async.sim.apiserver.cluster.definitions import without_cleanup
from dpf_async.sim.apiserver.cluster.requests import DeleteOptions, Target
from dpf_async.sim.apiserver.storage.kinds import DEFINITIONS, NAMESPACES
from dpf_async.sim.apiserver.storage.store import Event, Key
from dpf_async.sim.apiserver.wire.codec import Obj, copy
from dpf_async.sim.apiserver.wire.status import GroupResource, StatusError

_Place = tuple[GroupResource, Key]


class GarbageCollector:
    """Deletes objects without owners, and completes deletions that wait for other objects.

    controllers: False handles only CRDs, as kube-apiserver does without kube-controller-manager.
    """

    def __init__(self, cluster: Cluster, *, controllers: bool = True) -> None:
        self._cluster = cluster
        self._controllers = controllers
        self._store = cluster.store
        self._dirty: dict[_Place, None] = {}  # each object once, so bounded by the stored objects
        self._wake = anyio.Event()
        self._store.listeners.append(self._on_event)

    @property
    def idle(self) -> bool:
        """Whether no object is waiting to be handled."""
        return not self._dirty

    async def run(self) -> None:
        """Handle objects until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._dirty:
                self.step()
                await anyio.lowlevel.checkpoint()

    def step(self) -> None:
        """Handle one object."""
        place = next(iter(self._dirty))
        del self._dirty[place]
        resource, key = place
        obj = self._store.get(resource, key)
        if obj is None:
            return
        try:
            self._handle(resource, key, obj)
        except StatusError:
            # A conflict with a finalizer or precondition: the next change of the object marks it again.
            return

    def _mark(self, resource: GroupResource, key: Key) -> None:
        if not self._controllers and resource != DEFINITIONS:
            return
        self._dirty[(resource, key)] = None
        self._wake.set()

    def _on_event(self, resource: GroupResource, event: Event) -> None:
        meta = event.obj["metadata"]
        if event.type == "DELETED":
            for place in self._store.dependents.get(meta["uid"], ()):
                self._mark(*place)
            for owner in meta.get("ownerReferences", ()):
                self._mark_uid(owner["uid"])
            self._mark_container(resource, event.key)
        elif meta.get("ownerReferences") or meta.get("deletionTimestamp"):
            self._mark(resource, event.key)
            for owner in meta.get("ownerReferences", ()):
                self._mark_uid(owner["uid"])

    def _mark_uid(self, uid: str) -> None:
        if (place := self._store.by_uid.get(uid)) is not None:
            self._mark(*place)

    def _mark_container(self, resource: GroupResource, key: Key) -> None:
        namespace = self._store.get(NAMESPACES, ("", key[0]))
        if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
            self._mark(NAMESPACES, ("", key[0]))
        definition = ("", str(resource))
        if self._store.get(DEFINITIONS, definition) is not None:
            self._mark(DEFINITIONS, definition)

    def _handle(self, resource: GroupResource, key: Key, obj: Obj) -> None:
        meta = obj["metadata"]
        if meta.get("deletionTimestamp"):
            finalizers = meta.get("finalizers", ())
            if "orphan" in finalizers:
                self._orphan(resource, key, obj)
            elif "foregroundDeletion" in finalizers:
                self._delete_in_foreground(resource, key, obj)
            if resource == NAMESPACES:
                self._clear_namespace(key[1])
            elif resource == DEFINITIONS and CLEANUP in finalizers:
                self._clear_definition(key, obj)
        elif meta.get("ownerReferences"):
            self._check_owners(resource, key, obj)

    def _check_owners(self, resource: GroupResource, key: Key, obj: Obj) -> None:
        owners = obj["metadata"]["ownerReferences"]
        by_state: dict[str, list[Obj]] = {"solid": [], "waiting": [], "absent": []}
        for owner in owners:
            by_state[self._owner_state(owner, key[0])].append(owner)
        solid, waiting, absent = by_state["solid"], by_state["waiting"], by_state["absent"]
        if solid:
            if absent or waiting:
                kept = copy(obj)
                kept["metadata"]["ownerReferences"] = solid
                self._store.put(resource, key, kept)
            return
        if waiting:
            # The owner is deleted in the foreground, and so are the object's own dependents.
            self._delete(resource, key, "Foreground" if self._has_dependents(obj) else "Background", obj)
        else:
            self._delete(resource, key, "Background" if not _own_policy(obj) else None, obj)

    def _owner_state(self, owner: Obj, namespace: str) -> str:
        """Look up an owner by the kind, namespace, name and uid of its reference."""
        group, _, version = owner["apiVersion"].rpartition("/")
        kind = self._cluster.registry.find_kind(group, version, owner["kind"])
        if kind is None:
            return "solid"  # its kind is not served, so its absence is unknown
        found = self._store.get(kind.resource, (namespace if kind.namespaced else "", owner["name"]))
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            return "absent"
        meta = found["metadata"]
        foreground = "foregroundDeletion" in meta.get("finalizers", ())
        return "waiting" if meta.get("deletionTimestamp") and foreground else "solid"

    def _has_dependents(self, obj: Obj) -> bool:
        return bool(self._store.dependents.get(obj["metadata"]["uid"]))

    def _orphan(self, resource: GroupResource, key: Key, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        for place in list(self._store.dependents.get(uid, ())):
            dependent = copy(self._store.get(*place))
            owners = [owner for owner in dependent["metadata"]["ownerReferences"] if owner["uid"] != uid]
            set_or_drop(dependent["metadata"], "ownerReferences", owners or None)
            self._store.put(*place, dependent)
        self._release(resource, key, "orphan")

    def _delete_in_foreground(self, resource: GroupResource, key: Key, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        blocking = False
        for place in list(self._store.dependents.get(uid, ())):
            dependent = self._store.get(*place)
            if dependent is None:
                continue
            owners = dependent["metadata"]["ownerReferences"]
            blocking |= any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)
            if not dependent["metadata"].get("deletionTimestamp"):
                self._mark(*place)
        if not blocking:
            self._release(resource, key, "foregroundDeletion")

    def _release(self, resource: GroupResource, key: Key, finalizer: str) -> None:
        obj = copy(self._store.get(resource, key))
        finalizers = [name for name in obj["metadata"].get("finalizers", []) if name != finalizer]
        set_or_drop(obj["metadata"], "finalizers", finalizers or None)
        if finalizers:
            self._store.put(resource, key, obj)
        else:
            self._store.delete(resource, key)

    def _clear_namespace(self, name: str) -> None:
        remaining = False
        for kind in list(self._cluster.registry.kinds.values()):
            if kind.namespaced:
                for key, obj in list(self._store.list(kind.resource, name)):
                    remaining = True
                    if not obj["metadata"].get("deletionTimestamp"):
                        self._delete(kind.resource, key, "Background", obj)
        # Each deletion marks the namespace again, so it is handled again after the last one.
        if remaining:
            return
        if self._store.get(NAMESPACES, ("", name)) is not None:
            self._store.delete(NAMESPACES, ("", name))

    def _clear_definition(self, key: Key, definition: Obj) -> None:
        spec = definition["spec"]
        resource = GroupResource(spec["group"], spec["names"]["plural"])
        for place, obj in list(self._store.collection(resource).objects.items()):
            if not obj["metadata"].get("deletionTimestamp"):
                self._delete(resource, place, "Background", obj)
        if self._store.count(resource):
            return
        released = without_cleanup(definition)
        if released["metadata"]["finalizers"]:
            self._store.put(DEFINITIONS, key, released)
        else:
            self._store.delete(DEFINITIONS, key)

    def _delete(self, resource: GroupResource, key: Key, propagation: str | None, obj: Obj) -> None:
        kind = self._cluster.registry.kinds.get(resource)
        if kind is None:
            return
        version = next(iter(kind.versions.values()))
        target = Target(kind, version, key[0], key[1])
        self._cluster.delete(target, DeleteOptions(propagation=propagation, uid=obj["metadata"]["uid"]))


def _own_policy(obj: Obj) -> bool:
    """Whether the object's finalizers already determine the propagation policy."""
    return bool({"orphan", "foregroundDeletion"} & set(obj["metadata"].get("finalizers", ())))

"""Cluster: a cache of every watched kind, and the writes of the operator.

Every patch contains the resourceVersion that it was computed from, so that two controllers never overwrite each other's
conditions. Every response updates the cache at once (see `cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from dpf_async import Undecodable
from dpf_async._base.locks import Locks
from dpf_async._log import log
from dpf_async._watch.versions import is_older
from dpf_async.errors import AlreadyExists, Conflict, DecodeError, NotFound
from dpf_async.models import (
    BFB,
    DPU,
    DPFOperatorConfig,
    DPUCluster,
    DPUDeployment,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    DPUService,
    DPUServiceChain,
    DPUServiceConfiguration,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUSet,
    Resource,
    Secret,
    Wire,
    known,
)
from dpf_async.sim.operator.runtime.cache import Cache
from dpf_async.sim.operator.runtime.patches import changed, merge_patch
from dpf_async.sim.operator.runtime.versions import SeenVersions
from dpf_async.watch import Added, Deleted, Synced, Updated

if TYPE_CHECKING:
    from dpf_async import DPFClient
    from dpf_async.watch import WatchEvent

T = TypeVar("T", bound=Resource)

FIELD_MANAGER: Final = "dpf-operator"
DEPLOYMENT_FIELD_MANAGER: Final = "dpudeploymentcontroller"
"""Field manager of the objects that belong to a DPUDeployment (docs/dpf/deployments.md#dpusets)."""


def of_node(name: str) -> str:
    """Index key of the objects that refer to a DPUNode."""
    return f"node/{name}"


def of_device(name: str) -> str:
    """Index key of the objects that refer to a DPUDevice, case-insensitive (docs/dpf/discovery.md#name-comparison)."""
    return f"device/{name.lower()}"


def of_set(name: str) -> str:
    """Index key of the DPUs of a DPUSet."""
    return f"set/{name}"


def of_deployment(owner: str) -> str:
    """Index key of the objects of a DPUDeployment, by the value of the owned-by label."""
    return f"deployment/{owner}"


def _dpu_keys(dpu: DPU) -> Iterable[str]:
    labels = dpu.metadata.labels
    yield of_node(dpu.spec.dpu_node_name)
    yield of_device(dpu.spec.dpu_device_name)
    yield of_set(labels.get(known.DPUSET_NAME_LABEL, ""))
    yield of_deployment(labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, ""))


def _device_keys(device: DPUDevice) -> Iterable[str]:
    yield of_device(device.name)
    yield of_node(device.metadata.labels.get(known.DPUNODE_NAME_LABEL, ""))


def _node_keys(node: DPUNode) -> Iterable[str]:
    return [of_device(ref.name) for ref in node.spec.dpus]


def _maintenance_keys(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    return [of_node(maintenance.metadata.labels.get(known.DPUNODE_NAME_LABEL, ""))]


def _owned_keys(obj: Resource) -> Iterable[str]:
    return [of_deployment(obj.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, ""))]


_KINDS: Final[Mapping[type[Resource], Callable[[Any], Iterable[str]] | None]] = {
    DPUNode: _node_keys,
    DPUNodeMaintenance: _maintenance_keys,
    DPUDevice: _device_keys,
    DPU: _dpu_keys,
    DPUDeployment: None,
    BFB: None,
    DPFOperatorConfig: None,
    DPUCluster: None,
    DPUFlavor: None,
    DPUService: _owned_keys,
    DPUServiceChain: _owned_keys,
    DPUServiceConfiguration: None,
    DPUServiceInterface: _owned_keys,
    DPUServiceTemplate: None,
    DPUSet: _owned_keys,
    Secret: None,
}
"""The watched kinds, each with the function that returns the index keys of an object. Any: an object of that kind.

Kinds that clients write often come first, so that `is_behind` finds a difference sooner.
"""

_SELECTED: Final[Mapping[type[Resource], str]] = {Secret: f"metadata.name={known.BMC_PASSWORD_SECRET}"}
"""Field selectors of kinds of which the operator needs only some objects."""

_VERSIONS_TIMEOUT: Final = 0.05
"""Seconds that events may take to arrive before all objects are compared (chosen: they take about 5 ms)."""


class Cluster:
    """Caches and writes.

    Args:
        dpf: an entered client for everything except the objects of DPUDeployments.
        applier: an entered client with the field manager of the DPUDeployment controller.
    """

    def __init__(self, dpf: DPFClient, applier: DPFClient) -> None:
        self.namespace: str = dpf.namespace
        self._dpf = dpf
        self._applier = applier
        self._caches: dict[type[Resource], Cache[Any]] = {
            kind: Cache(kind, keys) for kind, keys in _KINDS.items()
        }
        self._writing = Locks()
        self._versions = SeenVersions()

    @property
    def kinds(self) -> tuple[type[Resource], ...]:
        """The watched kinds."""
        return tuple(self._caches)

    def all(self, kind: type[T]) -> Cache[T]:
        """The cache of a kind."""
        cache: Cache[T] = self._caches[kind]
        return cache

    def get(self, kind: type[T], name: str) -> T | None:
        """An object from the cache; None if it does not exist there."""
        return self.all(kind).get(name)

    def select_owned(self, kind: type[T], of: Resource) -> list[T]:
        """The objects with the same DPUDeployment as this object; all objects of the kind if it has none."""
        owner = of.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL)
        cache = self.all(kind)
        return list(cache) if owner is None else cache.select(of_deployment(owner))

    async def watch(self, kind: type[T], synced: Callable[[], None]) -> None:
        """Keep the cache of a kind current until cancelled; call synced when it has all existing objects."""
        objects = self._dpf.resource(kind)
        async with objects.watch(field_selector=_SELECTED.get(kind, "")) as stream:
            async for event in stream:
                self._apply_event(kind, event)
                if isinstance(event, Synced):
                    synced()

    def _apply_event(self, kind: type[T], event: WatchEvent[T]) -> None:
        cache = self.all(kind)
        try:
            match event:
                case Added(obj=state) | Updated(after=state):
                    cache.update(state)
                    self._versions.add(state.resource_version)
                case Deleted(last=state):
                    cache.remove(state.name, state.uid)
                    self._versions.add(state.resource_version)
                case Undecodable():
                    log.warning("object_ignored", kind=kind.KIND, name=event.name, reason=event.error)
                case _:
                    pass
        except DecodeError as error:
            log.warning("object_ignored", kind=kind.KIND, name=error.name, reason=str(error))

    async def start_versions(self) -> None:
        """Note the present resourceVersion of the server, before any kind is listed.

        Every cache is at least as new as this version once it is synced.
        """
        self._versions.complete_until(await self._current_version())

    async def is_behind(self) -> bool:
        """Whether the server has a state that the caches do not have, according to the server.

        One small request, if the caches have received every version up to the server's present one. Otherwise, as
        after a write to a kind that is not watched, the objects of every kind are listed and compared.
        """
        version = await self._current_version()
        with anyio.move_on_after(_VERSIONS_TIMEOUT):
            await self._versions.wait_complete(until=version)
            return False
        return await self._differs()

    async def _current_version(self) -> str:
        # The cheapest list: there is one DPFOperatorConfig. The resourceVersion of a list is that of the whole server,
        # not only of the kind (etcd's revision).
        return (await self._dpf.resource(DPFOperatorConfig).list()).resource_version

    async def _differs(self) -> bool:
        """Whether any object on the server has another version than in its cache."""
        oldest = ""
        for kind, cache in self._caches.items():
            listed = await self._dpf.resource(kind).list(field_selector=_SELECTED.get(kind, ""))
            on_server = {obj.name: obj.metadata.resource_version for obj in listed.items}
            cached = {obj.name: obj.metadata.resource_version for obj in cache}
            if on_server != cached:
                return True
            oldest = oldest or listed.resource_version
        self._versions.complete_until(oldest)
        return False

    # Writes.

    async def create(self, obj: T) -> T:
        """Create an object.

        Raises:
            AlreadyExists: the cache then has the existing object.
        """
        try:
            return self._cached(await self._dpf.resource(type(obj)).create(obj))
        except AlreadyExists:
            await self.refresh(type(obj), obj.name)
            raise

    async def apply(self, obj: T) -> T:
        """Server-side apply as the DPUDeployment controller, with force: it becomes the owner of every field.

        Owner references are patched afterwards: the embedded API server does not accept them in an apply patch.
        """
        wire = obj.to_wire()
        owners = wire["metadata"].pop("ownerReferences", [])
        stored = self._cached(await self._applier.resource(type(obj)).apply(type(obj).from_wire(wire)))
        if [owner.to_wire() for owner in stored.metadata.owner_references] == owners:
            return stored
        return await self.patch(stored, {"metadata": {"ownerReferences": owners}})

    async def patch(self, obj: T, patch: Mapping[str, Any]) -> T:
        """Patch an object, with this state of it as precondition.

        Raises:
            Conflict, NotFound: the object was changed or deleted; the cache then has the present state.
        """
        return await self._written(obj, patch, status=False)

    async def write_status(self, obj: T, status: Wire) -> T:
        """Write the status of an object; send nothing if it is equal.

        Raises:
            Conflict, NotFound: the object was changed or deleted; the cache then has the present state.
        """
        present = _status_of(obj)
        patch = merge_patch(present, status) if status != present else {}
        return await self._written(obj, {"status": patch}, status=True) if patch else obj

    async def write_conditions_first(self, obj: T, status: Wire) -> T:
        """Write the status; if observedGeneration changes, in two writes: the conditions, then the rest.

        DPF does the same for kinds whose conditions have an observedGeneration: status.observedGeneration is
        written last (docs/dpf/conditions.md#observed-generation).
        """
        before = _status_of(obj)
        if getattr(before, "observed_generation", None) == getattr(status, "observed_generation", None):
            return await self.write_status(obj, status)
        conditions = changed(before, conditions=getattr(status, "conditions", ()))
        return await self.write_status(await self.write_status(obj, conditions), status)

    async def add_finalizer(self, obj: T, finalizer: str) -> T:
        """Add a finalizer to an object."""
        present = obj.metadata.finalizers
        if finalizer in present or obj.terminating:
            # The API server rejects new finalizers for an object that is being deleted.
            return obj
        return await self.patch(obj, {"metadata": {"finalizers": [*present, finalizer]}})

    async def remove_finalizer(self, obj: T, finalizer: str) -> T:
        """Remove a finalizer from an object."""
        present = obj.metadata.finalizers
        if finalizer not in present:
            return obj
        left = [one for one in present if one != finalizer]
        return await self.patch(obj, {"metadata": {"finalizers": left}})

    async def delete(self, obj: Resource) -> None:
        """Request the deletion of the object with this uid; an object that is already deleted is success."""
        kind = type(obj)
        try:
            left = await self._dpf.resource(kind).delete(obj.name, uid=obj.uid)
        except (NotFound, Conflict):
            await self.refresh(kind, obj.name)
            return
        if left is None:
            self.all(kind).remove(obj.name, obj.uid)
        else:
            self._cached(left)

    async def refresh(self, kind: type[T], name: str) -> None:
        """Read one object and update the cache."""
        # Read from the cache before the request: at the response another object may have the name.
        before = self.get(kind, name)
        try:
            self._cached(await self._dpf.resource(kind).get(name))
        except NotFound:
            if before is not None:
                self.all(kind).remove(name, before.uid)

    async def _written(self, obj: T, patch: Mapping[str, Any], *, status: bool) -> T:
        kind = type(obj)
        objects = self._dpf.resource(kind)
        metadata = {
            **patch.get("metadata", {}),
            "uid": obj.uid,
            "resourceVersion": obj.metadata.resource_version,
        }
        whole = {**patch, "metadata": metadata}
        async with self._writing.held(kind.KIND, obj.name):
            self._refuse_outdated(obj)
            try:
                write = objects.patch_status if status else objects.patch
                return self._cached(await write(obj.name, whole))
            except (Conflict, NotFound):
                await self.refresh(kind, obj.name)
                raise

    def _refuse_outdated(self, obj: Resource) -> None:
        """Save the request that the server would answer with a conflict.

        Raises:
            Conflict: the cache has a newer state of the object, from another controller or from the watch.
        """
        cached = self.get(type(obj), obj.name)
        if cached is not None and is_older(
            obj.metadata.resource_version, than=cached.metadata.resource_version
        ):
            target = f"{obj.KIND} {obj.name}"
            raise Conflict(f"{target}: changed since it was read from the cache", status=409, object=target)

    def _cached(self, obj: T) -> T:
        self.all(type(obj)).put(obj)
        self._versions.add(obj.metadata.resource_version)
        return obj


def _status_of(obj: Resource) -> Wire:
    status: Wire = obj.status  # type: ignore[attr-defined]  # every kind that is written has a status
    return status

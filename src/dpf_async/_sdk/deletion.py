"""Taking DPUs and hosts away: methods DeleteDPU, DeleteDPUNode and their forced forms of the requirement.

Deleting a DPUDevice alone hangs as long as its DPU lives; deleting a DPU alone has it made again. Deleting a DPUNode
takes everything with it. There is no force in the operator: forcing means taking finalizers off, in the order
the operator would, and saying what that leaves behind (dpf-facts 8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async._log import log
from dpf_async._sdk.waiting import Deadline
from dpf_async.errors import Conflict, NotFound, WaitTimeout
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from collections.abc import Callable

    from dpf_async._sdk.objects import ObjectHandle


T = TypeVar("T", bound=Resource)

_TRIES = 5
"""Attempts at a read-modify-write that somebody else keeps overtaking."""


class Site(Protocol):
    """What deletion needs of a client."""

    def resource(self, kind: type[T]) -> Any:
        """Typed objects of one kind."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """A handle on one object."""


@dataclass(slots=True)
class ForcedDeletion:
    """What a forced deletion had to do.

    Attributes:
        orderly: everything went by itself within the time given; nothing was forced.
        removed: finalizers taken off, as "DPU dpu-1: provisioning.dpu.nvidia.com/dpu-protection".
        left_behind: what nobody has cleaned up, in words.
    """

    orderly: bool = True
    removed: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)


async def delete_dpu(dpf: Site, device: str, *, timeout: float | None) -> None:
    """Delete a DPUDevice, its DPU, and its entry in its DPUNode; return when all are gone. Gone already is success.

    The device first: the DPU's own deletion releases it, and without a device no DPU is made again.
    """
    deadline = Deadline(timeout)
    await _delete(dpf, DPUDevice, device)
    dpus = await _dpus_of_device(dpf, device)
    for dpu in dpus:
        await _delete(dpf, DPU, dpu.name, uid=dpu.uid)
    for dpu in dpus:
        await dpf.handle(DPU, dpu.name).until_gone(uid=dpu.uid, timeout=deadline.left)
    await dpf.handle(DPUDevice, device).until_gone(timeout=deadline.left)
    await _forget_device(dpf, device)


async def force_delete_dpu(dpf: Site, device: str, *, patience: float) -> ForcedDeletion:
    """The same; after `patience` seconds take off the finalizers that still hold, in the operator's order."""
    report = ForcedDeletion()
    dpus = await _dpus_of_device(dpf, device)
    try:
        await delete_dpu(dpf, device, timeout=patience)
    except WaitTimeout as error:
        log.warning("deletion_forced", device=device, reason=str(error))
        report.orderly = False
        for dpu in dpus:
            await _force_dpu(dpf, dpu, report)
        await _force_device(dpf, device, report)
        await _forget_device(dpf, device)
    return report


async def delete_dpu_node(dpf: Site, node: str, *, timeout: float | None) -> None:
    """Delete a DPUNode and what goes with it; return when the node, its DPUs, DPUDevices and maintenances are gone.

    Gone already is success, as long as nothing of it is left.
    """
    deadline = Deadline(timeout)
    belongings = await _belongings(dpf, node)
    await _delete(dpf, DPUNode, node)
    for kind, name, uid in belongings:
        await dpf.handle(kind, name).until_gone(uid=uid, timeout=deadline.left)
    await dpf.handle(DPUNode, node).until_gone(timeout=deadline.left)


async def force_delete_dpu_node(dpf: Site, node: str, *, patience: float) -> ForcedDeletion:
    """The same; after `patience` seconds take off the finalizers that still hold: the DPUNode's last."""
    report = ForcedDeletion()
    belongings = await _belongings(dpf, node)
    try:
        await delete_dpu_node(dpf, node, timeout=patience)
    except WaitTimeout as error:
        log.warning("deletion_forced", node=node, reason=str(error))
        report.orderly = False
        by_kind: dict[type[Resource], list[tuple[str, str]]] = {}
        for kind, name, uid in belongings:
            by_kind.setdefault(kind, []).append((name, uid))
        for name, uid in by_kind.get(DPU, []):
            if (dpu := await _get(dpf, DPU, name, uid)) is not None:
                await _force_dpu(dpf, dpu, report)
        for name, _ in by_kind.get(DPUDevice, []):
            await _force_device(dpf, name, report)
        for name, uid in by_kind.get(DPUNodeMaintenance, []):
            await _force_maintenance(dpf, name, uid, report)
        await _strip(dpf, DPUNode, node, known.DPUNODE_FINALIZER, report)
        await dpf.handle(DPUNode, node).until_gone(timeout=patience)
    return report


# Parts of a host.


async def _dpus_of_device(dpf: Site, device: str) -> list[DPU]:
    listed = await dpf.resource(DPU).list()
    return [dpu for dpu in listed.items if dpu.spec.dpu_device_name == device]


async def _belongings(dpf: Site, node: str) -> list[tuple[type[Resource], str, str]]:
    """Kind, name and uid of everything that goes with a node, in the order in which it can go."""
    dpus = [dpu for dpu in (await dpf.resource(DPU).list()).items if dpu.spec.dpu_node_name == node]
    selector = f"{known.DPUNODE_NAME_LABEL}={node}"
    devices = (await dpf.resource(DPUDevice).list(label_selector=selector)).items
    maintenances = [
        maintenance
        for maintenance in (await dpf.resource(DPUNodeMaintenance).list()).items
        if maintenance.spec.dpu_node_name == node
    ]
    return [(type(obj), obj.name, obj.uid) for obj in (*dpus, *devices, *maintenances)]


async def _forget_device(dpf: Site, device: str) -> None:
    """Take the device off the list of whichever node has it."""
    for node in (await dpf.resource(DPUNode).list()).items:
        if any(ref.name.lower() == device.lower() for ref in node.spec.dpus):
            await _modify(dpf, DPUNode, node.name, lambda current: _without_device(current, device))


def _without_device(node: DPUNode, device: str) -> dict[str, Any] | None:
    left = [{"name": ref.name} for ref in node.spec.dpus if ref.name.lower() != device.lower()]
    return None if len(left) == len(node.spec.dpus) else {"spec": {"dpus": left}}


# Force.


async def _force_dpu(dpf: Site, dpu: DPU, report: ForcedDeletion) -> None:
    name = dpu.name
    for maintenance in (await dpf.resource(DPUNodeMaintenance).list()).items:
        if name in maintenance.spec.requestor:
            await _modify(
                dpf,
                DPUNodeMaintenance,
                maintenance.name,
                lambda current: {
                    "spec": {"requestor": [one for one in current.spec.requestor if one != name]}
                },
            )
    if await _strip(dpf, DPU, name, known.DPU_FINALIZER, report, uid=dpu.uid):
        report.left_behind.append(
            f"DPU {name}: its Node in the DPUCluster, its secrets and its bootstrap token; the hardware still runs"
        )


async def _force_device(dpf: Site, device: str, report: ForcedDeletion) -> None:
    await _strip(dpf, DPUDevice, device, known.DPUDEVICE_FINALIZER, report)


async def _force_maintenance(dpf: Site, name: str, uid: str, report: ForcedDeletion) -> None:
    if await _get(dpf, DPUNodeMaintenance, name, uid) is None:
        return
    await _modify(dpf, DPUNodeMaintenance, name, lambda _: {"spec": {"requestor": []}})
    await _delete(dpf, DPUNodeMaintenance, name, uid=uid)
    await _strip(dpf, DPUNodeMaintenance, name, known.DPUNODEMAINTENANCE_FINALIZER, report, uid=uid)


async def _strip(
    dpf: Site, kind: type[T], name: str, finalizer: str, report: ForcedDeletion, *, uid: str | None = None
) -> bool:
    """Take one finalizer off an object that is being deleted; True if it was there."""
    there = False

    def without(current: T) -> dict[str, Any] | None:
        nonlocal there
        there = finalizer in current.metadata.finalizers
        if not there or (uid is not None and current.uid != uid):
            there = False
            return None
        return {"metadata": {"finalizers": [one for one in current.metadata.finalizers if one != finalizer]}}

    await _modify(dpf, kind, name, without)
    if there:
        report.removed.append(f"{kind.KIND} {name}: {finalizer}")
    return there


# Reading and writing.


async def _delete(dpf: Site, kind: type[T], name: str, *, uid: str | None = None) -> None:
    try:
        await dpf.resource(kind).delete(name, uid=uid)
    except NotFound:
        return
    except Conflict:
        # Another object has the name: the one that was meant is gone.
        return


async def _get(dpf: Site, kind: type[T], name: str, uid: str) -> T | None:
    try:
        obj: T = await dpf.resource(kind).get(name)
    except NotFound:
        return None
    return obj if obj.uid == uid else None


async def _modify(dpf: Site, kind: type[T], name: str, change: Callable[[T], dict[str, Any] | None]) -> None:
    """Read, change, and write exactly what was read; start over if somebody was faster. Gone is fine."""
    objects = dpf.resource(kind)
    for attempt in range(_TRIES):
        try:
            current: T = await objects.get(name)
            patch = change(current)
            if patch is None:
                return
            metadata = patch.setdefault("metadata", {})
            metadata["resourceVersion"] = current.metadata.resource_version
            await objects.patch(name, patch)
        except NotFound:
            return
        except Conflict:
            if attempt == _TRIES - 1:
                raise
        else:
            return

"""Taking DPUs and hosts away: methods DeleteDPU, DeleteDPUNode and their forced forms of the requirement.

Deleting a DPUDevice alone hangs as long as its DPU lives; deleting a DPU alone has it made again. Deleting a DPUNode
takes everything with it. There is no force in the operator: forcing means taking finalizers off, in the order
the operator would, and saying what that leaves behind (dpf-facts 8).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async._log import log
from dpf_async._sdk.partway import partway
from dpf_async._sdk.waiting import Deadline
from dpf_async.errors import Conflict, DPFError, NotFound, WaitTimeout
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    with _going() as going:
        going.extend(await _delete(dpf, DPUDevice, device))
        dpus = await _dpus_of_device(dpf, device)
        for dpu in dpus:
            going.extend(await _delete(dpf, DPU, dpu.name, uid=dpu.uid))
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
        with _owned_up(report):
            for dpu in dpus:
                await _force_dpu(dpf, dpu, report)
            await _strip(dpf, DPUDevice, device, known.DPUDEVICE_FINALIZER, report)
            await _forget_device(dpf, device)
            leaving: list[tuple[type[Resource], str, str | None]] = [(DPU, dpu.name, dpu.uid) for dpu in dpus]
            await _see_them_gone(dpf, [*leaving, (DPUDevice, device, None)], patience)
    return report


async def delete_dpu_node(dpf: Site, node: str, *, timeout: float | None) -> None:
    """Delete a DPUNode and what goes with it; return when the node, its DPUs, DPUDevices and maintenances are gone.

    Gone already is success, as long as nothing of it is left.

    Deleting the DPUNode alone would leave the maintenance of a held host behind for good: services still ask for it,
    and its controller needs the DPUNode to let go of it (dpf-facts 5, 8). So nobody asks any more before the node is
    gone; and if the node is faster all the same, or somebody else had deleted it, the maintenance is let go from here.
    """
    deadline = Deadline(timeout)
    dpus, devices, maintenances = await _parts(dpf, node)
    with _going() as going:
        for maintenance in maintenances:
            # It stays as long as it has requestors, and no DPU makes another one meanwhile.
            going.extend(await _delete(dpf, DPUNodeMaintenance, maintenance.name, uid=maintenance.uid))
        going.extend(await _delete(dpf, DPUNode, node))
        for dpu in dpus:
            # The operator would do so a moment later; from here on they ask for no maintenance.
            going.extend(await _delete(dpf, DPU, dpu.name, uid=dpu.uid))
        for maintenance in maintenances:
            await _modify(dpf, DPUNodeMaintenance, maintenance.name, _without_requestors)
        for obj in (*dpus, *devices):
            await dpf.handle(type(obj), obj.name).until_gone(uid=obj.uid, timeout=deadline.left)
        await dpf.handle(DPUNode, node).until_gone(timeout=deadline.left)
        for maintenance in await _maintenances(dpf, node):
            if _needs_no_undoing(maintenance):
                await _let_go(dpf, maintenance, ForcedDeletion())
            await dpf.handle(DPUNodeMaintenance, maintenance.name).until_gone(
                uid=maintenance.uid, timeout=deadline.left
            )


async def force_delete_dpu_node(dpf: Site, node: str, *, patience: float) -> ForcedDeletion:
    """The same; after `patience` seconds take off the finalizers that still hold: the DPUNode's last."""
    report = ForcedDeletion()
    dpus, devices, maintenances = await _parts(dpf, node)
    try:
        await delete_dpu_node(dpf, node, timeout=patience)
    except WaitTimeout as error:
        log.warning("deletion_forced", node=node, reason=str(error))
        report.orderly = False
        with _owned_up(report):
            for dpu in dpus:
                await _force_dpu(dpf, dpu, report)
            for device in devices:
                await _delete(dpf, DPUDevice, device.name, uid=device.uid)
                await _strip(dpf, DPUDevice, device.name, known.DPUDEVICE_FINALIZER, report, uid=device.uid)
            for maintenance in maintenances:
                await _let_go(dpf, maintenance, report)
                if not _needs_no_undoing(maintenance):
                    report.left_behind.append(
                        f"DPUNodeMaintenance {maintenance.name}: its node effect stays in force"
                    )
            await _strip(dpf, DPUNode, node, known.DPUNODE_FINALIZER, report)
            leaving = [(type(obj), obj.name, obj.uid) for obj in (*dpus, *devices, *maintenances)]
            await _see_them_gone(dpf, [*leaving, (DPUNode, node, None)], patience)
    return report


# Parts of a host.


async def _dpus_of_device(dpf: Site, device: str) -> list[DPU]:
    listed = await dpf.resource(DPU).list()
    return [dpu for dpu in listed.items if dpu.spec.dpu_device_name == device]


async def _parts(dpf: Site, node: str) -> tuple[list[DPU], list[DPUDevice], list[DPUNodeMaintenance]]:
    """Everything that goes with a node."""
    dpus = [dpu for dpu in (await dpf.resource(DPU).list()).items if dpu.spec.dpu_node_name == node]
    devices = await dpf.resource(DPUDevice).list(label_selector=f"{known.DPUNODE_NAME_LABEL}={node}")
    return dpus, list(devices.items), await _maintenances(dpf, node)


async def _maintenances(dpf: Site, node: str) -> list[DPUNodeMaintenance]:
    listed = await dpf.resource(DPUNodeMaintenance).list()
    return [maintenance for maintenance in listed.items if maintenance.spec.dpu_node_name == node]


def _needs_no_undoing(maintenance: DPUNodeMaintenance) -> bool:
    """Its effect did nothing to anything: a hold only asks, and "no effect" is none."""
    effect = maintenance.spec.node_effect
    return effect is None or bool(effect.hold or effect.no_effect)


def _without_requestors(maintenance: DPUNodeMaintenance) -> dict[str, Any] | None:
    return {"spec": {"requestor": []}} if maintenance.spec.requestor else None


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
    await _delete(dpf, DPU, name, uid=dpu.uid)
    for maintenance in await _maintenances(dpf, dpu.spec.dpu_node_name):
        await _modify(dpf, DPUNodeMaintenance, maintenance.name, lambda now: _without_requestor(now, name))
    if await _strip(dpf, DPU, name, known.DPU_FINALIZER, report, uid=dpu.uid):
        report.left_behind.append(
            f"DPU {name}: its Node in the DPUCluster, its secrets and its bootstrap token; the hardware still runs"
        )


def _without_requestor(maintenance: DPUNodeMaintenance, name: str) -> dict[str, Any] | None:
    left = [one for one in maintenance.spec.requestor if one != name]
    return None if len(left) == len(maintenance.spec.requestor) else {"spec": {"requestor": left}}


async def _let_go(dpf: Site, maintenance: DPUNodeMaintenance, report: ForcedDeletion) -> None:
    name, uid = maintenance.name, maintenance.uid
    await _delete(dpf, DPUNodeMaintenance, name, uid=uid)
    await _modify(dpf, DPUNodeMaintenance, name, _without_requestors)
    await _strip(dpf, DPUNodeMaintenance, name, known.DPUNODEMAINTENANCE_FINALIZER, report, uid=uid)


async def _see_them_gone(
    dpf: Site, objects: Iterable[tuple[type[Resource], str, str | None]], patience: float
) -> None:
    """What was forced is gone at once, unless somebody else's finalizer holds it."""
    for kind, name, uid in objects:
        await dpf.handle(kind, name).until_gone(uid=uid, timeout=patience)


@contextmanager
def _owned_up(report: ForcedDeletion) -> Iterator[None]:
    """Whatever ends the block early, its notes have what would have been in the report."""
    try:
        yield
    except DPFError as error:
        for removed in report.removed:
            error.add_note(f"taken off by force before: {removed}")
        for left in report.left_behind:
            error.add_note(f"left behind: {left}")
        raise


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


@contextmanager
def _going() -> Iterator[list[str]]:
    """What was deleted in the block so far, for the notes of what fails in it."""
    going: list[str] = []
    with partway(going, how="deleted, or asked to go,", then="delete it again to go on from there"):
        yield going


async def _delete(dpf: Site, kind: type[T], name: str, *, uid: str | None = None) -> list[str]:
    """Ask for it to go; return it in words, or nothing if it is gone."""
    try:
        await dpf.resource(kind).delete(name, uid=uid)
    except NotFound:
        return []
    except Conflict:
        # Another object has the name: the one that was meant is gone.
        return []
    return [f"{kind.KIND} {name}"]


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

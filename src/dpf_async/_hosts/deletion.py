"""Graceful deletion of DPUs and hosts: methods DeleteDPU and DeleteDPUNode of the requirement.

A DPUDevice cannot be deleted while its DPU exists, and a DPU that is deleted alone is created again. Deleting a DPUNode
deletes the objects of its host, but may leave a maintenance whose DPUNode does not exist
(docs/dpf/hold.md#orphaned-maintenance, docs/dpf/deletion.md#dpunode). Targets are therefore listed again after they are
deleted, until none is left. No state is kept between calls: a deletion that was interrupted is continued by calling it
again. Forced deletion is in `forced_deletion`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from dpf_async._base.concurrency import wait_any
from dpf_async._hosts.deletion_run import DeletionRun
from dpf_async._hosts.deletion_targets import (
    Document,
    DPUTargets,
    NodeTargets,
    find_dpu_targets,
    find_node_targets,
    maintenances_of,
)
from dpf_async._hosts.maintenance_deletion import (
    delete_orphaned_maintenance,
    release_unused_maintenances,
    remove_all_requestors,
)
from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import NodeView, device_names
from dpf_async.errors import ObjectReplaced, UsageError
from dpf_async.models import DPUDevice, DPUNode

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client


async def delete_dpu(dpf: Client, device: str, *, timeout: float | None, reporter: ProgressReporter) -> None:
    """Delete a DPUDevice, its DPU, and its entry in its DPUNode; see DPFClient.delete_dpu."""
    run = DeletionRun(dpf, f"{DPUDevice.KIND} {device}", timeout=timeout, reporter=reporter)
    with run.error_notes():
        await delete_dpu_targets(run, await find_dpu_targets(dpf, device))


async def delete_dpu_targets(run: DeletionRun, first: DPUTargets) -> None:
    """Delete the objects of a DPU, and wait until they do not exist any more.

    The DPUDevice is deleted first: the deletion of the DPU removes its finalizer, and without a DPUDevice no DPU is
    created again. The entry in the DPUNode is removed last: until then a repeated call finds the host of the DPU by it.
    """
    targets, nodes = first, dict.fromkeys(first.nodes)
    uids: frozenset[str] = frozenset()
    while targets.objects and targets.belong_to(first):
        await run.request(targets.objects)
        uids |= {dpu.uid for dpu in targets.dpus}
        uids |= await _until_deleted_or_new_dpu(run, targets, uids)
        targets = await find_dpu_targets(run.dpf, first.name, known_before=True)
        nodes.update(dict.fromkeys(targets.nodes))
    for node in nodes:
        await run.wait_until_deleted(await release_unused_maintenances(run, node))
    if targets.belong_to(first):
        await remove_from_nodes(run, first)


async def _until_deleted_or_new_dpu(
    run: DeletionRun, targets: DPUTargets, uids: frozenset[str]
) -> frozenset[str]:
    """Wait until all targets are deleted, or the DPUDevice has a DPU with another uid; return the uids of such DPUs.

    A DPUSet also selects a DPUDevice that is being deleted. A DPU that it creates after the targets were listed, and
    before the DPUDevice is deleted, keeps the finalizer on the DPUDevice (docs/dpf/deployments.md#recreation,
    docs/dpf/deletion.md#dpudevice).
    """

    def new_dpus(view: NodeView) -> frozenset[str]:
        return frozenset(dpu.uid for dpu in view.dpus if dpu.device.lower() == targets.name.lower()) - uids

    has_new_dpu = Level[NodeView](
        "another DPU on the device", lambda view: bool(new_dpus(view)), survives_failure=True
    )

    async def until_deleted() -> frozenset[str]:
        await run.wait_until_deleted(targets.objects)
        return frozenset()

    async def until_new_dpu(node: str) -> frozenset[str]:
        # No DPU is created on a host that does not exist, or for a label value that cannot be the name of one.
        with suppress(ObjectReplaced, UsageError):
            return new_dpus(await run.dpf.node(node).until(has_new_dpu))
        await anyio.sleep_forever()
        raise AssertionError("sleep_forever does not return")

    return await wait_any(until_deleted, *(partial(until_new_dpu, node) for node in targets.nodes))


async def remove_from_nodes(run: DeletionRun, targets: DPUTargets) -> None:
    """Remove the entry of the DPUDevice from each DPUNode that lists it."""

    def change(node: ObjectState[DPUNode]) -> Document | None:
        listed = device_names(node)
        remaining = [{"name": name} for name in listed if name.lower() != targets.name.lower()]
        return None if len(remaining) == len(listed) else {"spec": {"dpus": remaining}}

    for node in targets.listed_by:
        await run.modify(DPUNode, node, change, f"removed {targets.name} from spec.dpus")


async def delete_dpu_node(
    dpf: Client, node: str, *, timeout: float | None, reporter: ProgressReporter
) -> None:
    """Delete a DPUNode and the objects of its host; see DPFClient.delete_dpu_node."""
    run = DeletionRun(dpf, f"{DPUNode.KIND} {node}", timeout=timeout, reporter=reporter)
    with run.error_notes():
        await delete_node_targets(run, await find_node_targets(dpf, node))


async def delete_node_targets(run: DeletionRun, first: NodeTargets) -> None:
    """Delete the objects of a host, and wait until they do not exist any more.

    Deleting the DPUNode alone would leave the maintenance of a held host: services remain its requestors, and its
    controller needs the DPUNode to remove its finalizer (docs/dpf/hold.md#orphaned-maintenance,
    docs/dpf/deletion.md#overview). The requestors are therefore removed before the node is deleted. If the node was
    deleted faster, or by another client, the maintenance is deleted afterwards.
    """
    targets = first
    while (targets.objects or targets.maintenances) and targets.belong_to(first):
        await request_deletion(run, targets)
        await run.wait_until_deleted(targets.objects)
        for maintenance in await maintenances_of(run.dpf, targets.name):
            await delete_orphaned_maintenance(run, maintenance)
            await run.wait_until_deleted([maintenance])
        # The operator may have created another object while some of these existed.
        targets = await find_node_targets(run.dpf, first.name, known_before=True)


async def request_deletion(run: DeletionRun, targets: NodeTargets) -> None:
    """Request the deletion of all objects of a host, in an order in which none blocks another."""
    # They remain while they have requestors, and meanwhile no DPU creates another one.
    await run.request(targets.maintenances)
    # DPUDevices without the node's label are not deleted with it. DPUs come after the node, or they would be created
    # again. The operator would delete them too, but after this request they do not request a maintenance.
    await run.request(targets.objects)
    for maintenance in targets.maintenances:
        await remove_all_requestors(run, maintenance)

"""Making a DPU anew: method ReprovisionDPU of the requirement. Its DPU object is deleted, and DPF makes another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dpf_async._log import log
from dpf_async._sdk.partway import partway
from dpf_async._sdk.waiting import Deadline
from dpf_async._transitions.view import DPUView, MaintenanceView
from dpf_async.errors import Conflict, NotFound
from dpf_async.models import DPU, DPUNodeMaintenance

if TYPE_CHECKING:
    from dpf_async._sdk.questions import Client


async def reprovision(dpf: Client, name: str, *, uid: str | None, timeout: float | None) -> DPUView:
    """Delete the DPU of this name, the one with this uid if one is given; wait for the one that takes its place.

    Raises:
        NotFound: there is no DPU of this name, and no uid says that there was one.
        WaitTimeout: the old DPU is still there (OS Installing refuses deletion; dpf-facts 8), or no new one came.
    """
    deadline = Deadline(timeout)
    dpus = dpf.resource(DPU)
    handle = dpf.handle(DPU, name)
    try:
        old = DPUView(await dpus.snapshot(name))
    except NotFound:
        if uid is None:
            raise
        return cast("DPUView", await handle.until_replaced(uid, timeout=deadline.left))
    if uid is not None and old.uid != uid:
        # The one that was meant is gone, and this is what came of it: nothing is left to do.
        return old
    if not old.terminating:
        try:
            await dpus.delete(name, uid=old.uid)
        except (NotFound, Conflict):
            log.info("dpu_already_replaced", dpu=name, uid=old.uid)
    with partway(
        [f"DPU {name}"], how="deleted", then=f"reprovision it with uid={old.uid!r} to go on from there"
    ):
        new = cast("DPUView", await handle.until_replaced(old.uid, timeout=deadline.left))
        await _warn_of_stale_release(dpf, new)
    return new


async def _warn_of_stale_release(dpf: Client, new: DPUView) -> None:
    """A maintenance left over from the old DPU is applied already: the new one will not ask (dpf-facts 5)."""
    for maintenance in (await dpf.resource(DPUNodeMaintenance).list()).items:
        if maintenance.spec.dpu_node_name != new.node:
            continue
        state = await dpf.resource(DPUNodeMaintenance).snapshot(maintenance.name)
        if MaintenanceView(state).applied:
            log.warning("stale_release_found", dpu=new.name, node=new.node, maintenance=maintenance.name)

"""Reprovisioning of DPUs: method ReprovisionDPU of the requirement. The DPU is deleted, and DPF creates it again.

The DPU is identified by its uid: the old one still reports Ready for a while after its deletion was requested, and the
new one has the same name (docs/dpf/sdk.md#old-ready).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from dpf_async._base.concurrency import wait_all
from dpf_async._base.error_notes import progress_note
from dpf_async._base.retry import retry_on_conflict
from dpf_async._hosts import stale_holds
from dpf_async._hosts.lookups import find_state
from dpf_async._log import log
from dpf_async._transitions.views import UNDELETABLE, DPUView, describe
from dpf_async.errors import DPUInstalling, NotFound, UsageError
from dpf_async.models import DPU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from dpf_async._hosts.stale_holds import IfReleased
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.client import Client

_TRIES: Final = 3
"""Attempts to delete a DPU while the server answers with a Conflict although the uid is the requested one (chosen)."""

IfInstalling = Literal["wait", "refuse"]
"""What to do if a DPU is being installed, and DPF ignores its deletion until that ends: wait; raise."""


async def reprovision(
    dpf: Client,
    name: str,
    *,
    uid: str | None,
    if_installing: IfInstalling,
    if_released: IfReleased,
    deadline: Deadline,
    reporter: ProgressReporter,
) -> DPUView:
    """Delete the DPU with this name, and with this uid if one is given; wait for the DPU that replaces it."""
    try:
        old = DPUView(await dpf.resource(DPU).get_state(name))
    except NotFound as error:
        if uid is None:
            error.add_note(
                f"with uid= of the deleted DPU, reprovision_dpu waits for the next DPU named {name}"
            )
            raise
        return await replace(dpf, name, uid, deadline, reporter)
    if uid is not None and old.uid != uid:
        # The DPU with the given uid is deleted, and this one has replaced it.
        return old
    refuse_while_installing([old], if_installing)
    if not old.terminating:
        view = await dpf.node(old.node).view()
        await stale_holds.resolve_before_deletion(dpf, view, {name}, if_released, reporter)
    new = await replace(dpf, name, old.uid, deadline, reporter)
    with after_deletion([f"DPU {name}"]):
        await stale_holds.resolve(dpf, await dpf.node(new.node).view(), if_released, reporter)
    return new


def after_deletion(dpus: Sequence[str]) -> AbstractContextManager[None]:
    """Add to an error that leaves the block that these DPUs were deleted."""
    return progress_note(dpus, how="deleted", then="reprovision with the same uid to continue")


async def replace(
    dpf: Client, name: str, uid: str, deadline: Deadline, reporter: ProgressReporter
) -> DPUView:
    """Delete the DPU with this uid, unless it is deleted or being deleted, and wait for another one with its name.

    Raises:
        WaitTimeout: the old DPU still exists, or no new one was created.
    """
    subject = f"DPU {name}"

    def describe_old(view: DPUView | None) -> str | None:
        if view is None:
            return "is deleted; waiting for the DPU that replaces it"
        return describe(view) if view.uid == uid else None

    if await _delete(dpf, name, uid):
        reporter.report(subject, "deletion requested")
    handle = dpf.dpu(name)
    with progress_note([subject], how="deleted", then=f"reprovision it with uid={uid!r} to continue"):
        async with reporter.following(handle.views(), subject, describe_old):
            new = await handle.until_replaced(uid, timeout=deadline.remaining)
    reporter.report(subject, f"was replaced by the DPU with uid {new.uid}")
    return new


async def replace_all(
    dpf: Client, replacing: Mapping[str, str], deadline: Deadline, reporter: ProgressReporter
) -> None:
    """Replace DPUs concurrently, by names and uids.

    Raises:
        WaitTimeout: as for `replace`, for the first one.
    """
    outcomes = await wait_all(
        {name: partial(replace, dpf, name, uid, deadline, reporter) for name, uid in replacing.items()}
    )
    for error in outcomes.errors.values():
        raise error


async def _delete(dpf: Client, name: str, uid: str) -> bool:
    """Request the deletion of the DPU with this uid; return False if it is deleted or being deleted.

    Raises:
        Conflict: the server answers that the uid is another one, and returns the DPU with this uid.
    """

    async def attempt() -> bool:
        state = await find_state(dpf, DPU, name)
        if state is not None and state.uid == uid and not state.terminating:
            try:
                # If another DPU has the name by now, the server answers Conflict, and the next attempt reads it.
                await dpf.resource(DPU).delete(name, uid=uid)
            except NotFound:
                pass
            else:
                return True
        log.info("dpu_already_replaced", dpu=name, uid=uid)
        return False

    note = f"DPU {name} still has uid {uid} and was not deleted; check which component answers Conflict"
    return await retry_on_conflict(attempt, tries=_TRIES, note=note)


def refuse_while_installing(dpus: Sequence[DPUView], if_installing: IfInstalling) -> None:
    """Raise if the caller does not want to wait and one of these DPUs is in a phase in which DPF ignores deletion.

    Raises:
        DPUInstalling: for the first such DPU.
    """
    for dpu in dpus:
        if if_installing == "refuse" and dpu.phase in UNDELETABLE:
            raise DPUInstalling(
                f"DPU {dpu.name} is in phase {dpu.phase}, and DPF ignores deletion in this phase; nothing was deleted:"
                ' try again after the phase, which ends within 45 minutes, or use if_installing="wait"',
                dpu=dpu.name,
                phase=dpu.phase,
            )


async def find_old_dpus(dpf: Client, node: str, replacing: Mapping[str, str]) -> list[DPUView]:
    """The DPUs in `replacing`, names with uids, that still exist.

    Raises:
        UsageError: one of them belongs to another host; nothing was deleted.
    """
    view = await dpf.node(node).view()
    old = []
    for name, uid in replacing.items():
        dpu = view.dpu(name)
        if dpu is None and (state := await find_state(dpf, DPU, name)) is not None:
            dpu = DPUView(state)
        if dpu is None or dpu.uid != uid:
            continue
        if dpu.node != node:
            raise UsageError(
                f"DPU {name} belongs to DPUNode {dpu.node} and not to {node}; nothing was deleted"
            )
        old.append(dpu)
    return old

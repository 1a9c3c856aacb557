"""Making a DPU anew: method ReprovisionDPU of the requirement. Its DPU object is deleted, and DPF makes another one.

Which DPU is meant is a matter of its uid: the old one still says Ready for a while after its deletion was asked for,
and the new one has the same name (dpf-facts 12.3 #3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

from dpf_async._base.error_notes import progress_note
from dpf_async._base.retry import retry_on_conflict
from dpf_async._hosts import stale_holds
from dpf_async._log import log
from dpf_async._transitions.views import UNDELETABLE, DPUView, describe
from dpf_async.errors import DPUInstalling, NotFound, UsageError
from dpf_async.models import DPU, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from dpf_async._api.resource import ResourceClient
    from dpf_async._hosts.stale_holds import IfReleased
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._session.node_handle import NodeHandle

T = TypeVar("T", bound=Resource)

_LOOKS: Final = 3
"""Looks at a DPU whose deletion meets a Conflict, before that is believed (chosen)."""

IfInstalling = Literal["wait", "refuse"]
"""What to do about a DPU that is being installed, which DPF does not delete: wait until that is over; raise."""


class Client(Protocol):
    """What reprovisioning needs."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """A handle on one object."""

    def node(self, name: str) -> NodeHandle:
        """The handle on a host."""


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
    """Delete the DPU of this name, the one with this uid if one is given; wait for the one that takes its place."""
    try:
        old = DPUView(await dpf.resource(DPU).get_state(name))
    except NotFound as error:
        if uid is None:
            error.add_note(f"with the uid it had, reprovision_dpu would wait for the next DPU named {name}")
            raise
        return await replace(dpf, name, uid, deadline, reporter)
    if uid is not None and old.uid != uid:
        # The one that was meant is gone, and this is what came of it: nothing is left to do.
        return old
    refuse_while_installing([old], if_installing)
    if not old.terminating:
        await stale_holds.before_deletion(dpf, await dpf.node(old.node).view(), {name}, if_released, reporter)
    new = await replace(dpf, name, old.uid, deadline, reporter)
    with after_deletion([f"DPU {name}"]):
        await stale_holds.on_sight(dpf, await dpf.node(new.node).view(), if_released, reporter)
    return new


def after_deletion(dpus: Sequence[str]) -> AbstractContextManager[None]:
    """Note on whatever fails in the block that these DPUs were deleted."""
    return progress_note(dpus, how="deleted", then="reprovision with the same uid to go on from there")


async def replace(
    dpf: Client, name: str, uid: str, deadline: Deadline, reporter: ProgressReporter
) -> DPUView:
    """Delete the DPU with this uid, unless it is gone or going, and wait for another one of its name.

    Raises:
        WaitTimeout: the old DPU is still there, or no new one came.
    """
    subject = f"DPU {name}"

    def tell(view: DPUView | None) -> None:
        reporter.report(subject, "is gone; waits for its successor" if view is None else describe(view))

    if await _delete(dpf, name, uid):
        reporter.report(subject, "its deletion was asked for")
    then = f"reprovision it with uid={uid!r} to go on from there"
    with progress_note([subject], how="deleted", then=then):
        new: DPUView = await dpf.handle(DPU, name).until_replaced(uid, timeout=deadline.remaining, seen=tell)
    reporter.report(subject, f"made way for another one, {new.uid}")
    return new


async def _delete(dpf: Client, name: str, uid: str) -> bool:
    """Ask for the deletion of the DPU with this uid; False if it is gone or going.

    Raises:
        Conflict: the server says that it is another one, and shows that it is not.
    """
    dpus = dpf.resource(DPU)

    async def ask() -> bool:
        try:
            present = DPUView(await dpus.get_state(name))
            if present.uid == uid and not present.terminating:
                # Should another one have its name by now, the next look shows it.
                await dpus.delete(name, uid=uid)
                return True
        except NotFound:
            pass
        log.info("dpu_already_replaced", dpu=name, uid=uid)
        return False

    note = f"DPU {name} is still the one with uid {uid}: nothing was deleted: find out who refuses it"
    return await retry_on_conflict(ask, tries=_LOOKS, note=note)


def refuse_while_installing(dpus: list[DPUView], if_installing: IfInstalling) -> None:
    """Raise if one of these DPUs is where DPF does not delete it, and waiting is not wanted.

    Raises:
        DPUInstalling: with the first one.
    """
    for dpu in dpus:
        if if_installing == "refuse" and dpu.phase in UNDELETABLE:
            raise DPUInstalling(
                f"DPU {dpu.name} is in phase {dpu.phase}, in which DPF deletes none; nothing was deleted: ask again"
                ' when it is over, 45 minutes at most, or wait for it with if_installing="wait"',
                dpu=dpu.name,
                phase=dpu.phase,
            )


async def those_meant(dpf: Client, node: str, replacing: Mapping[str, str]) -> list[DPUView]:
    """The DPUs among `replacing`, name and uid, that are still there.

    Raises:
        UsageError: one of them is a DPU of another host; nothing was deleted.
    """
    view = await dpf.node(node).view()
    meant = []
    for name, uid in replacing.items():
        dpu = view.dpu(name)
        if dpu is None:
            dpu = await _elsewhere(dpf, name)
        if dpu is None or dpu.uid != uid:
            continue
        if dpu.node != node:
            raise UsageError(f"DPU {name} is one of DPUNode {dpu.node}, not of {node}; nothing was deleted")
        meant.append(dpu)
    return meant


async def _elsewhere(dpf: Client, name: str) -> DPUView | None:
    try:
        return DPUView(await dpf.resource(DPU).get_state(name))
    except NotFound:
        return None

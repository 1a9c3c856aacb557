"""Taking DPUs and hosts away: methods DeleteDPU and DeleteDPUNode of the requirement.

Deleting a DPUDevice alone hangs as long as its DPU lives; deleting a DPU alone has it made again. Deleting a DPUNode
takes everything with it, but may leave a maintenance stranded (dpf-facts 5, 8). What has to go is looked for again when
it is gone: only when nothing is left is a deletion over. Nothing is kept between calls, so one that was cut off is
simply made again. The forced forms are in `forced_deletion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from dpf_async._api.codec import ObjectState
from dpf_async._base.retry import TRIES, retry_on_conflict
from dpf_async._base.tasks import background_tasks
from dpf_async._hosts.deletion_targets import (
    Document,
    DPUParts,
    NodeParts,
    Part,
    Site,
    dpu_parts,
    dpus_of,
    exists,
    maintenances_of,
    node_parts,
)
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import MaintenanceView, NodeView, device_names
from dpf_async.errors import Conflict, DPFError, NotFound, ObjectReplaced, UsageError, WaitTimeout
from dpf_async.models import DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressReporter

T = TypeVar("T", bound=Resource)


class Deletion:
    """One deletion under way: of what, until when, and how far it got.

    Args:
        dpf: the client.
        subject: what goes, in words: "DPUNode node-1".
        timeout: seconds for the waiting; None for no end.
        reporter: is told of every object what is done about it, and what it waits for.
    """

    def __init__(self, dpf: Site, subject: str, *, timeout: float | None, reporter: ProgressReporter) -> None:
        self.dpf = dpf
        self.subject = subject
        self.deadline = Deadline(timeout)
        self.reporter = reporter
        self.done: dict[str, None] = {}
        """What was done so far, in words, in that order."""
        self._began = anyio.current_time()

    @contextmanager
    def telling_how_far(self) -> Iterator[None]:
        """What an error leaves half done, it says in a note."""
        try:
            yield
        except DPFError as error:
            if not isinstance(error, UsageError):
                done = "; ".join(self.done) or "nothing"
                error.add_note(f"done before that: {done}. Call it again to go on from there")
            raise

    async def ask(self, parts: Iterable[Part]) -> None:
        """Ask for the deletion of each, in this order. Gone already is as good."""
        for part in parts:
            try:
                await self.dpf.resource(part.kind).delete(part.name, uid=part.uid)
            except (NotFound, Conflict):
                # Gone; or another object has the name by now, and the one that was meant is gone.
                continue
            self.note(part, "asked for its deletion")

    async def see_gone(self, parts: Sequence[Part]) -> None:
        """Wait until all of them are gone.

        Raises:
            WaitTimeout: it says of every one that is still there in what state it is.
        """
        late: list[tuple[Part, WaitTimeout]] = []
        left = len(parts)
        over = anyio.Event()

        async def wait(part: Part) -> None:
            nonlocal left
            try:
                await self.dpf.handle(part.kind, part.name).until_gone(
                    uid=part.uid,
                    timeout=self.deadline.remaining,
                    tell=lambda words: self.reporter.report(str(part), words),
                )
            except WaitTimeout as error:
                # The others may have more to say about why nothing goes on.
                late.append((part, error))
            else:
                self.reporter.report(str(part), "gone")
            left -= 1
            if not left:
                over.set()

        async with background_tasks() as tasks:
            for part in parts:
                tasks.start_soon(wait, part)
            if parts:
                await over.wait()
        if late:
            waited = anyio.current_time() - self._began
            order = {part: position for position, part in enumerate(parts)}
            late.sort(key=lambda one: order[one[0]])
            states = "\n  ".join(str(error) for _, error in late)
            timeout = WaitTimeout(
                f"{self.subject}: not deleted after {waited:g} s; still there\n  {states}",
                condition="gone",
                view=late[0][1].view,
                waited=waited,
            )
            if all(_held_for_a_dpu(part, error) for part, error in late):
                timeout.add_note(
                    "a DPUDevice is let go by its DPU; if it stays held by"
                    f" {known.DPUDEVICE_FINALIZER} and no DPU refers to it, only the forced deletion takes that off"
                )
            raise timeout

    def note(self, what: object, words: str) -> None:
        """Something was done: remember it for the notes of an error, and tell it."""
        self.done[f"{what}: {words}"] = None
        self.reporter.report(str(what), words)

    async def modify(
        self, kind: type[T], name: str, change: Callable[[ObjectState[T]], Document | None], words: str
    ) -> bool:
        """Read, change, and write exactly what was read; start over if somebody was faster. Gone is fine.

        Args:
            kind: of the object.
            name: of the object.
            change: the merge patch for a state; None if nothing is to be done.
            words: what the change does, as the notes of an error say it.

        Returns:
            Whether anything was changed.

        Raises:
            Conflict: somebody else was faster each time.
        """
        objects = self.dpf.resource(kind)

        async def write() -> bool:
            try:
                state: ObjectState[T] = await objects.get_state(name)
                if (patch := change(state)) is None:
                    return False
                metadata = {**patch.get("metadata", {}), "resourceVersion": state.resource_version}
                await objects.patch(name, {**patch, "metadata": metadata})
            except NotFound:
                return False
            return True

        note = f"somebody else keeps writing {kind.KIND} {name}: find out who does"
        if not await retry_on_conflict(write, note=note):
            return False
        self.note(f"{kind.KIND} {name}", words)
        return True


def _held_for_a_dpu(part: Part, late: WaitTimeout) -> bool:
    return (
        part.kind is DPUDevice
        and late.view is not None
        and bool(without(late.view, known.DPUDEVICE_FINALIZER))
    )


# DeleteDPU.


async def delete_dpu(dpf: Site, device: str, *, timeout: float | None, reporter: ProgressReporter) -> None:
    """Delete a DPUDevice, its DPU, and its entry in its DPUNode; see DPFClient.delete_dpu."""
    work = Deletion(dpf, f"{DPUDevice.KIND} {device}", timeout=timeout, reporter=reporter)
    with work.telling_how_far():
        await take_dpu_away(work, await dpu_parts(dpf, device))


async def take_dpu_away(work: Deletion, first: DPUParts) -> None:
    """Have everything of a DPU deleted in good order, and wait for it.

    The device first: the DPU's own deletion releases it, and without a device no DPU is made again. The entry in the
    DPUNode last: until then it tells a later call which host the DPU was in.
    """
    parts, nodes = first, dict.fromkeys(first.nodes)
    seen: set[str] = set()
    while parts.objects and parts.is_of(first):
        await work.ask(parts.objects)
        seen.update(dpu.uid for dpu in parts.dpus)
        await _see_gone_or_joined(work, parts, seen)
        parts = await dpu_parts(work.dpf, first.name, again=True)
        nodes.update(dict.fromkeys(parts.nodes))
    for node in nodes:
        await work.see_gone(await release_unused(work, node))
    if parts.is_of(first):
        await forget_device(work, first)


async def _see_gone_or_joined(work: Deletion, parts: DPUParts, seen: set[str]) -> None:
    """Wait until all parts are gone, or the device has a DPU that is not among the uids seen yet; add it to them.

    A DPUSet selects a device that is being deleted like any other. What it makes after the look at what has to go, and
    before the device is gone, holds the device (dpf-facts 7.1, 8).
    """

    def dpus_in(view: NodeView) -> set[str]:
        return {dpu.uid for dpu in view.dpus if dpu.device.lower() == parts.name.lower()}

    joined = Level[NodeView](
        "another DPU on the device", lambda view: not dpus_in(view) <= seen, survives_failure=True
    )

    async with background_tasks() as tasks:

        async def look_at(node: str) -> None:
            try:
                seen.update(dpus_in(await work.dpf.node(node).until(joined)))
            except (ObjectReplaced, UsageError):
                # A host that is gone, or that a label names and cannot be, has no DPU made on it.
                return
            tasks.cancel_scope.cancel()

        for node in parts.nodes:
            tasks.start_soon(look_at, node)
        await work.see_gone(parts.objects)


async def release_unused(work: Deletion, node: str) -> list[Part]:
    """Have the maintenances of a node that has no DPU any more end; return them.

    The services of a DPU that was deleted on its way go on asking for the node effect. It would stay in force, and the
    next DPU would be installed without anybody having been asked (the stale release, dpf-facts 5).
    """
    for attempt in range(TRIES):
        maintenances = await maintenances_of(work.dpf, node)
        if not maintenances or (await dpus_of(work.dpf, node)):
            return []
        try:
            for part in maintenances:
                state: ObjectState[DPUNodeMaintenance] = await work.dpf.resource(
                    DPUNodeMaintenance
                ).get_state(part.name)
                await _release(work, state, node)
        except NotFound:
            continue
        except Conflict:
            # Perhaps a new DPU has joined it meanwhile.
            if attempt == TRIES - 1:
                raise
            continue
        if not await exists(work.dpf, DPUNode, node):
            for part in maintenances:
                await end_stranded(work, part)
        return maintenances
    return []


async def _release(work: Deletion, state: ObjectState[DPUNodeMaintenance], node: str) -> None:
    """Take the requestors out of this very state, unless a DPU has come to the node by now."""
    requestors = MaintenanceView(state).requestors
    if not requestors or await dpus_of(work.dpf, node):
        return
    patch = {"metadata": {"resourceVersion": state.resource_version}, "spec": {"requestor": []}}
    await work.dpf.resource(DPUNodeMaintenance).patch(state.name, patch)
    work.note(f"{state.kind.KIND} {state.name}", f"took out its requestors {', '.join(requestors)}")


async def forget_device(work: Deletion, parts: DPUParts) -> None:
    """Take the device off the list of whichever node has it."""

    def without(node: ObjectState[DPUNode]) -> Document | None:
        listed = device_names(node)
        left = [{"name": one} for one in listed if one.lower() != parts.name.lower()]
        return None if len(left) == len(listed) else {"spec": {"dpus": left}}

    for carrier in parts.carriers:
        await work.modify(DPUNode, carrier, without, f"took {parts.name} off its list of devices")


# DeleteDPUNode.


async def delete_dpu_node(dpf: Site, node: str, *, timeout: float | None, reporter: ProgressReporter) -> None:
    """Delete a DPUNode and what goes with it; see DPFClient.delete_dpu_node."""
    work = Deletion(dpf, f"{DPUNode.KIND} {node}", timeout=timeout, reporter=reporter)
    with work.telling_how_far():
        await take_node_away(work, await node_parts(dpf, node))


async def take_node_away(work: Deletion, first: NodeParts) -> None:
    """Have everything of a host deleted in good order, and wait for it.

    Deleting the DPUNode alone would leave the maintenance of a held host behind for good: services still ask for it,
    and its controller needs the DPUNode to let go of it (dpf-facts 5, 8). So nobody asks any more before the node is
    gone; and if the node is faster all the same, or somebody else had deleted it, the maintenance is let go from here.
    """
    parts = first
    while (parts.objects or parts.maintenances) and parts.is_of(first):
        await ask_for_all(work, parts)
        await work.see_gone(parts.objects)
        for part in await maintenances_of(work.dpf, parts.name):
            await end_stranded(work, part)
            await work.see_gone([part])
        # Somebody may have made another one meanwhile, from what was still there.
        parts = await node_parts(work.dpf, first.name, again=True)


async def ask_for_all(work: Deletion, parts: NodeParts) -> None:
    """Ask for the deletion of everything, so that nobody waits for anybody."""
    # They stay as long as they have requestors, and no DPU makes other ones meanwhile.
    await work.ask(parts.maintenances)
    # Devices that never got the node's label do not go with it. The DPUs after the node, or they would be made again;
    # the operator would delete them a moment later, but from here on they ask for no maintenance.
    await work.ask(parts.objects)
    for part in parts.maintenances:
        await work.modify(DPUNodeMaintenance, part.name, without_requestors, "took out its requestors")


async def end_stranded(work: Deletion, part: Part) -> None:
    """Have a maintenance whose DPUNode is gone end, if nothing has to be undone for it."""
    await work.ask([part])
    await work.modify(DPUNodeMaintenance, part.name, without_requestors, "took out its requestors")

    def without_finalizer(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
        return without(state, known.DPUNODEMAINTENANCE_FINALIZER) if needs_no_undoing(state) else None

    await work.modify(
        DPUNodeMaintenance,
        part.name,
        without_finalizer,
        f"took off {known.DPUNODEMAINTENANCE_FINALIZER}, which nobody would without its DPUNode",
    )


# Changes.


def without_requestors(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
    """Nobody asks for it any more."""
    return {"spec": {"requestor": []}} if MaintenanceView(state).requestors else None


def without(state: ObjectState[Any], finalizer: str) -> Document | None:
    """One finalizer less; None if it is not there, or the object is not being deleted."""
    present = state.record.metadata.finalizers or ()
    if finalizer not in present or not state.terminating:
        return None
    return {"metadata": {"finalizers": [one for one in present if one != finalizer]}}


class _Effect(msgspec.Struct, rename="camel"):
    hold: bool | None = None
    no_effect: bool | None = None
    drain: bool | None = None
    custom_action: str | None = None
    taint: object = None
    custom_label: object = None


class _Spec(msgspec.Struct, rename="camel"):
    node_effect: _Effect | None = None


class _Maintenance(msgspec.Struct):
    spec: _Spec


def effect_of(state: ObjectState[DPUNodeMaintenance]) -> str:
    """Which node effect a maintenance has: "hold", "drain"; empty if it says none."""
    effect = msgspec.json.decode(state.document, type=_Maintenance).spec.node_effect
    found = {} if effect is None else msgspec.structs.asdict(effect)
    return next((name for name, value in found.items() if value), "")


def needs_no_undoing(state: ObjectState[DPUNodeMaintenance]) -> bool:
    """Its effect did nothing to anything: a hold only asks, and "no effect" is none."""
    return effect_of(state) in {"", "hold", "no_effect"}

"""Taking DPUs and hosts away by force: methods ForceDeleteDPU and ForceDeleteDPUNode of the requirement.

There is no force in the operator. Forcing means taking off the finalizers of DPF that still hold, in the order in which
the operator would, and saying what nobody has cleaned up for that (dpf-facts 8, 13 #11 and #13). The finalizers of
others stay: the error names them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from dpf_async._hosts import deletion
from dpf_async._hosts.deletion import Deletion
from dpf_async._hosts.deletion_targets import (
    Document,
    DPUParts,
    NodeParts,
    Part,
    dpu_parts,
    dpus_of,
    maintenances_of,
    node_parts,
)
from dpf_async._log import log
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.views import DPUView, MaintenanceView, node_of_maintenance
from dpf_async.errors import DPFError, NotFound, WaitTimeout
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dpf_async._api.codec import ObjectState
    from dpf_async._hosts.deletion_targets import Site
    from dpf_async._readers.progress import ProgressReporter

T = TypeVar("T", bound=Resource)

_SECRETS: Final = ("dms-server-cert", "server-secret", "kubeadm-join")
"""What the names of a DPU's Secrets end with (dpf-facts 8)."""

_EFFECTS: Final = {
    "drain": "the host's Kubernetes node stays drained",
    "taint": "the host's Kubernetes node stays tainted",
    "custom_label": "the host's Kubernetes node keeps its label",
    "custom_action": "its Job stays",
}
"""What is not undone when a maintenance goes by force (dpf-facts 6)."""


@dataclass(frozen=True, slots=True)
class ForcedDeletion:
    """What a forced deletion had to do. Its text is for a person.

    Attributes:
        orderly: everything went by itself within the time given; nothing was forced.
        removed: what was taken off by force, as "DPU dpu-1: provisioning.dpu.nvidia.com/dpu-protection".
        left_behind: what may be left, and nobody cleans up: a Node of the DPUCluster, Secrets by their names.
        reason: what did not go by itself, and in what state it was; empty if everything did.
    """

    orderly: bool = True
    removed: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.orderly:
            return "everything went by itself; nothing was forced"
        lines = [self.reason, *(f"taken off by force: {one}" for one in self.removed)]
        return "\n".join([*lines, *(f"may be left behind: {one}" for one in self.left_behind)])


@dataclass(slots=True)
class _Force:
    """A forced deletion under way."""

    work: Deletion
    grace_period: float
    reason: str
    removed: dict[str, None] = field(default_factory=dict)
    left_behind: dict[str, None] = field(default_factory=dict)

    @property
    def report(self) -> ForcedDeletion:
        return ForcedDeletion(
            orderly=False,
            removed=tuple(self.removed),
            left_behind=tuple(self.left_behind),
            reason=self.reason,
        )

    @contextmanager
    def telling_what_was_forced(self) -> Iterator[None]:
        try:
            yield
        except DPFError as error:
            error.add_note(f"it was being forced, because {self.reason}")
            for removed in self.removed:
                error.add_note(f"taken off by force before that: {removed}")
            for left in self.left_behind:
                error.add_note(f"may be left behind: {left}")
            raise

    async def strip(self, part: Part, finalizer: str) -> bool:
        """Take one finalizer off this very object; whether it was there."""

        def less(state: ObjectState[Any]) -> Document | None:
            return deletion.without(state, finalizer) if state.uid == part.uid else None

        if not await self.work.modify(part.kind, part.name, less, f"took off {finalizer}"):
            return False
        self._removed(str(part), finalizer)
        return True

    async def take_out(self, part: Part, wanted: Callable[[str], bool]) -> None:
        """Take requestors out of a maintenance."""
        out: list[str] = []

        def less(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
            present = MaintenanceView(state).requestors
            out[:] = [one for one in present if wanted(one)]
            return {"spec": {"requestor": [one for one in present if one not in out]}} if out else None

        if await self.work.modify(DPUNodeMaintenance, part.name, less, "took out requestors"):
            for one in out:
                self._removed(str(part), f"requestor {one}")

    async def see_gone(self, parts: Iterable[Part]) -> None:
        """What was forced is gone at once, as the server says itself; the rest is given its time."""
        left = [part for part in parts if await self._is_there(part)]
        self.work.deadline = Deadline(self.grace_period)
        await self.work.see_gone(left)

    async def _is_there(self, part: Part) -> bool:
        try:
            state: ObjectState[Any] = await self.work.dpf.resource(part.kind).get_state(part.name)
        except NotFound:
            there = False
        else:
            there = state.uid == part.uid
        if not there:
            self.work.reporter.report(str(part), "gone")
        return there

    def leave(self, *what: str) -> None:
        """Something that nobody cleans up."""
        for one in what:
            if one not in self.left_behind:
                # At once, and not only in the report: whoever is cancelled after this never sees that.
                log.warning("left_behind", what=one)
                self.left_behind[one] = None

    def _removed(self, of: str, what: str) -> None:
        log.warning("taken_off_by_force", object=of, what=what)
        self.removed[f"{of}: {what}"] = None


async def force_delete_dpu(
    dpf: Site, device: str, *, grace_period: float, reporter: ProgressReporter
) -> ForcedDeletion:
    """Delete a DPU, by force if need be; see DPFClient.force_delete_dpu."""
    work = Deletion(dpf, f"{DPUDevice.KIND} {device}", timeout=grace_period, reporter=reporter)
    with work.telling_how_far():
        first = await dpu_parts(dpf, device)
        return await _by_force(
            work,
            grace_period,
            orderly=lambda: deletion.take_dpu_away(work, first),
            force=lambda force: _force_dpu(force, first),
        )


async def force_delete_dpu_node(
    dpf: Site, node: str, *, grace_period: float, reporter: ProgressReporter
) -> ForcedDeletion:
    """Delete a host, by force if need be; see DPFClient.force_delete_dpu_node."""
    work = Deletion(dpf, f"{DPUNode.KIND} {node}", timeout=grace_period, reporter=reporter)
    with work.telling_how_far():
        first = await node_parts(dpf, node)
        return await _by_force(
            work,
            grace_period,
            orderly=lambda: deletion.take_node_away(work, first),
            force=lambda force: _force_node(force, first),
        )


async def _by_force(
    work: Deletion,
    grace_period: float,
    *,
    orderly: Callable[[], Awaitable[None]],
    force: Callable[[_Force], Awaitable[None]],
) -> ForcedDeletion:
    try:
        await orderly()
    except WaitTimeout as error:
        reason = str(error)
    else:
        return ForcedDeletion()
    log.warning("deletion_forced", subject=work.subject, reason=reason)
    work.reporter.report(work.subject, "forcing it")
    forced = _Force(work, grace_period, reason)
    with forced.telling_what_was_forced():
        await force(forced)
    return forced.report


# DPUs.


async def _force_dpu(force: _Force, first: DPUParts) -> None:
    """The device first: while it is there, a DPU that goes is made again, and holds it anew (dpf-facts 7.1, 8)."""
    work = force.work
    parts = await dpu_parts(work.dpf, first.name, again=True)
    nodes = dict.fromkeys((*first.nodes, *parts.nodes))
    if parts.is_of(first):
        await work.ask(parts.objects)
        if parts.device is not None:
            await force.strip(parts.device, known.DPUDEVICE_FINALIZER)
        for dpu in parts.dpus:
            await _force_out(force, dpu, nodes)
        await force.see_gone(parts.objects)
    for node in nodes:
        released = await deletion.release_unused(work, node)
        try:
            await force.see_gone(released)
        except WaitTimeout as error:
            # The DPU is gone, as was asked for. Its host is there, and with it whoever ends the maintenance.
            for part in released:
                force.leave(f"{part}: nobody asks for it any more, and DPF has not taken it away ({error})")
    if parts.is_of(first):
        await deletion.forget_device(work, parts)


async def _force_out(force: _Force, part: Part, nodes: Sequence[str] | dict[str, None]) -> None:
    """Take a DPU out of the maintenance of its host, and its finalizer off; say what that leaves."""
    dpf = force.work.dpf
    try:
        state: ObjectState[DPU] = await dpf.resource(DPU).get_state(part.name)
    except NotFound:
        return
    for node in nodes:
        for maintenance in await maintenances_of(dpf, node):
            await force.take_out(maintenance, lambda one: one == part.name)
            await _name_requestors(force, maintenance, part)
    if await force.strip(part, known.DPU_FINALIZER):
        force.leave(*_leftovers(state))


async def _name_requestors(force: _Force, maintenance: Part, dpu: Part) -> None:
    """Services go on asking on behalf of the DPU, as long as there are others on the host that have them."""
    try:
        state: ObjectState[DPUNodeMaintenance] = await force.work.dpf.resource(DPUNodeMaintenance).get_state(
            maintenance.name
        )
    except NotFound:
        return
    key = known.LAST_APPLIED_REQUESTORS_PREFIX + hashlib.sha256(dpu.name.encode()).digest()[:8].hex()
    try:
        asked = set(json.loads(state.annotations.get(key, "[]")))
    except (ValueError, TypeError):
        # The note is for people; that DPF's own bookkeeping cannot be read must not stop them.
        asked = set()
    left = [one for one in MaintenanceView(state).requestors if one in asked]
    others = await dpus_of(force.work.dpf, node_of_maintenance(state))
    if left and any(one.uid != dpu.uid for one in others):
        force.leave(
            f"{maintenance}: requestors {', '.join(left)}, which {dpu} asked with; they leave when these services are"
            " ready on the other DPUs of the host"
        )


class _Cluster(msgspec.Struct):
    name: str | None = None
    namespace: str | None = None


class _Spec(msgspec.Struct):
    cluster: _Cluster | None = None


class _Status(msgspec.Struct, rename={"bf_cfg_file": "bfCFGFile"}):
    bf_cfg_file: str | None = None


class _Placed(msgspec.Struct):
    spec: _Spec
    status: _Status | None = None


def _leftovers(state: ObjectState[DPU]) -> list[str]:
    """What the operator cleans up before it lets a DPU go, and nobody else does (dpf-facts 8)."""
    view, placed = DPUView(state), msgspec.json.decode(state.document, type=_Placed)
    cluster = placed.spec.cluster
    left = []
    if cluster is not None and cluster.name:
        where = f"{cluster.namespace}/{cluster.name}" if cluster.namespace else cluster.name
        left.append(f"Node {view.name} in DPUCluster {where}, and its bootstrap tokens there")
    left += [f"Secret {view.name}-{suffix} in namespace {state.namespace}" for suffix in _SECRETS]
    left.append(f"certificates, Role and RoleBinding of DPU {view.name} in namespace {state.namespace}")
    if placed.status is not None and placed.status.bf_cfg_file:
        left.append(f"file {placed.status.bf_cfg_file} of DPU {view.name}")
    left.append(f"the hardware of DPU {view.name}: it is not wiped, and what is installed on it runs on")
    return left


# Hosts.


async def _force_node(force: _Force, first: NodeParts) -> None:
    """DPUs, DPUDevices, maintenances, and the DPUNode last: as long as it is going, no DPU is made again."""
    work = force.work
    parts = await node_parts(work.dpf, first.name, again=True)
    if not parts.is_of(first):
        return
    await deletion.ask_for_all(work, parts)
    for dpu in parts.dpus:
        await _force_out(force, dpu, [first.name])
    for device in parts.devices:
        await force.strip(device, known.DPUDEVICE_FINALIZER)
    for maintenance in await maintenances_of(work.dpf, first.name):
        await work.ask([maintenance])
        await _force_maintenance(force, maintenance)
    if parts.node is not None:
        await force.strip(parts.node, known.DPUNODE_FINALIZER)
    await force.see_gone((*parts.objects, *parts.maintenances))


async def _force_maintenance(force: _Force, part: Part) -> None:
    try:
        state: ObjectState[DPUNodeMaintenance] = await force.work.dpf.resource(DPUNodeMaintenance).get_state(
            part.name
        )
    except NotFound:
        return
    await force.take_out(part, lambda _: True)
    if await force.strip(part, known.DPUNODEMAINTENANCE_FINALIZER) and not deletion.needs_no_undoing(state):
        force.leave(f"{part}: its node effect is not undone; {_EFFECTS[deletion.effect_of(state)]}")

"""Forced deletion of DPUs and hosts: methods ForceDeleteDPU and ForceDeleteDPUNode of the requirement.

The operator has no forced deletion. This removes DPF's finalizers that still exist, in the order in which the operator
removes them, and reports what the operator did not clean up (docs/dpf/deletion.md#force). Finalizers of other
controllers remain; the error names them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from dpf_async._hosts import deletion
from dpf_async._hosts.deletion_run import DeletionRun, without_finalizer
from dpf_async._hosts.deletion_targets import (
    Document,
    DPUTargets,
    NodeTargets,
    Target,
    dpus_of,
    find_dpu_targets,
    find_node_targets,
    maintenances_of,
)
from dpf_async._hosts.lookups import find_state
from dpf_async._hosts.maintenance_deletion import (
    has_nothing_to_undo,
    node_effect_of,
    release_unused_maintenances,
)
from dpf_async._log import log
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.views import DPUView, MaintenanceView, node_of_maintenance
from dpf_async.errors import DPFError, WaitTimeout
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dpf_async._api.codec import ObjectState
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client

Targets = TypeVar("Targets", DPUTargets, NodeTargets)

_SECRET_SUFFIXES: Final = ("dms-server-cert", "server-secret", "kubeadm-join")
"""Suffixes of the names of a DPU's Secrets (docs/dpf/deletion.md#dpu)."""

_REMAINING_EFFECTS: Final = {
    "drain": "the host's Kubernetes node stays drained",
    "taint": "the host's Kubernetes node stays tainted",
    "custom_label": "the host's Kubernetes node keeps its label",
    "custom_action": "its Job is not deleted",
}
"""What remains of a node effect when its maintenance is deleted by force (docs/dpf/hold.md#node-effects)."""


@dataclass(frozen=True, slots=True)
class ForcedDeletion:
    """What a forced deletion did. Its text is for a person.

    Attributes:
        graceful: everything was deleted within the grace period; nothing was forced.
        removed: what was removed by force, as "DPU dpu-1: provisioning.dpu.nvidia.com/dpu-protection".
        left_behind: what may remain and is not cleaned up: a Node of the DPUCluster, Secrets by their names.
        reason: which objects still existed after the grace period, and their state; empty if there were none.
    """

    graceful: bool = True
    removed: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.graceful:
            return "deleted within the grace period; nothing was forced"
        lines = [self.reason, *(f"removed by force: {removed}" for removed in self.removed)]
        return "\n".join([*lines, *(f"may be left behind: {left}" for left in self.left_behind)])


@dataclass(slots=True)
class _ForcedRun:
    """A forced deletion in progress, after the grace period."""

    run: DeletionRun
    grace_period: float
    reason: str
    removed: dict[str, None] = field(default_factory=dict)
    left_behind: dict[str, None] = field(default_factory=dict)

    @property
    def report(self) -> ForcedDeletion:
        return ForcedDeletion(
            graceful=False,
            removed=tuple(self.removed),
            left_behind=tuple(self.left_behind),
            reason=self.reason,
        )

    @contextmanager
    def error_notes(self) -> Iterator[None]:
        try:
            yield
        except DPFError as error:
            error.add_note(f"the deletion was being forced, because {self.reason}")
            for removed in self.removed:
                error.add_note(f"removed by force before that: {removed}")
            for left in self.left_behind:
                error.add_note(f"may be left behind: {left}")
            raise

    async def remove_finalizer(self, target: Target, finalizer: str) -> bool:
        """Remove a finalizer from the target; return whether it was set."""

        def change(state: ObjectState[Any]) -> Document | None:
            return without_finalizer(state, finalizer) if state.uid == target.uid else None

        if await self.run.modify(target.kind, target.name, change, f"removed {finalizer}") is None:
            return False
        self._record_removal(target, finalizer)
        return True

    async def remove_requestors(self, target: Target, is_removed: Callable[[str], bool]) -> None:
        """Remove requestors from a maintenance."""

        def change(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
            present = MaintenanceView(state).requestors
            remaining = [requestor for requestor in present if not is_removed(requestor)]
            return {"spec": {"requestor": remaining}} if len(remaining) < len(present) else None

        changed = await self.run.modify(DPUNodeMaintenance, target.name, change, "removed requestors")
        if changed is not None:
            for requestor in filter(is_removed, MaintenanceView(changed).requestors):
                self._record_removal(target, f"requestor {requestor}")

    async def wait_until_deleted(self, targets: Iterable[Target]) -> None:
        """Wait for the targets that the API server still has, for another grace period."""
        remaining = [target for target in targets if await self._exists(target)]
        self.run.deadline = Deadline(self.grace_period)
        await self.run.wait_until_deleted(remaining)

    async def _exists(self, target: Target) -> bool:
        state: ObjectState[Any] | None = await find_state(self.run.dpf, target.kind, target.name)
        if state is not None and state.uid == target.uid:
            return True
        self.run.reporter.report(str(target), "deleted")
        return False

    def leave_behind(self, *remains: str) -> None:
        """Record what is not cleaned up. It is logged at once: a caller that is cancelled receives no report."""
        for remain in remains:
            if remain not in self.left_behind:
                log.warning("left_behind", what=remain)
                self.left_behind[remain] = None

    def _record_removal(self, target: Target, removed: str) -> None:
        log.warning("removed_by_force", object=str(target), what=removed)
        self.removed[f"{target}: {removed}"] = None


async def force_delete_dpu(
    dpf: Client, device: str, *, grace_period: float, reporter: ProgressReporter
) -> ForcedDeletion:
    """Delete a DPU, by force after the grace period; see DPFClient.force_delete_dpu."""
    run = DeletionRun(dpf, f"{DPUDevice.KIND} {device}", timeout=grace_period, reporter=reporter)
    find = partial(find_dpu_targets, dpf, device)
    return await _delete(run, grace_period, find, deletion.delete_dpu_targets, _force_dpu)


async def force_delete_dpu_node(
    dpf: Client, node: str, *, grace_period: float, reporter: ProgressReporter
) -> ForcedDeletion:
    """Delete a host, by force after the grace period; see DPFClient.force_delete_dpu_node."""
    run = DeletionRun(dpf, f"{DPUNode.KIND} {node}", timeout=grace_period, reporter=reporter)
    find = partial(find_node_targets, dpf, node)
    return await _delete(run, grace_period, find, deletion.delete_node_targets, _force_node)


async def _delete(
    run: DeletionRun,
    grace_period: float,
    find: Callable[[], Awaitable[Targets]],
    graceful: Callable[[DeletionRun, Targets], Awaitable[None]],
    forced: Callable[[_ForcedRun, Targets], Awaitable[None]],
) -> ForcedDeletion:
    with run.error_notes():
        targets = await find()
        try:
            await graceful(run, targets)
        except WaitTimeout as error:
            reason = str(error)
        else:
            return ForcedDeletion()
        log.warning("deletion_forced", subject=run.subject, reason=reason)
        run.reporter.report(run.subject, "not deleted within the grace period; forcing the deletion")
        forced_run = _ForcedRun(run, grace_period, reason)
        with forced_run.error_notes():
            await forced(forced_run, targets)
        return forced_run.report


# DPUs.


async def _force_dpu(forced: _ForcedRun, first: DPUTargets) -> None:
    """The DPUDevice first: while it exists, DPF creates the DPU again, and the DPU blocks it.

    Source: docs/dpf/deployments.md#recreation, docs/dpf/deletion.md#dpudevice.
    """
    run = forced.run
    targets = await find_dpu_targets(run.dpf, first.name, known_before=True)
    nodes = list(dict.fromkeys((*first.nodes, *targets.nodes)))
    if targets.belong_to(first):
        await run.request(targets.objects)
        if targets.device is not None:
            await forced.remove_finalizer(targets.device, known.DPUDEVICE_FINALIZER)
        for dpu in targets.dpus:
            await _force_one_dpu(forced, dpu, nodes)
        await forced.wait_until_deleted(targets.objects)
    for node in nodes:
        released = await release_unused_maintenances(run, node)
        try:
            await forced.wait_until_deleted(released)
        except WaitTimeout as error:
            # The DPU is deleted, which is what was requested. The host exists, and DPF can delete the maintenance.
            for target in released:
                forced.leave_behind(f"{target}: it has no requestors, and DPF has not deleted it ({error})")
    if targets.belong_to(first):
        await deletion.remove_from_nodes(run, targets)


async def _force_one_dpu(forced: _ForcedRun, dpu: Target, nodes: Sequence[str]) -> None:
    """Remove a DPU from the requestors of its host's maintenances and remove its finalizer; record what remains."""
    dpf = forced.run.dpf
    state = await find_state(dpf, DPU, dpu.name)
    if state is None:
        return
    for node in nodes:
        for maintenance in await maintenances_of(dpf, node):
            await forced.remove_requestors(maintenance, lambda requestor: requestor == dpu.name)
            await _record_remaining_requestors(forced, maintenance, dpu)
    if await forced.remove_finalizer(dpu, known.DPU_FINALIZER):
        forced.leave_behind(*_leftovers(state))


async def _record_remaining_requestors(forced: _ForcedRun, maintenance: Target, dpu: Target) -> None:
    """Services remain requestors on behalf of the DPU while other DPUs of the host have the same services."""
    dpf = forced.run.dpf
    state = await find_state(dpf, DPUNodeMaintenance, maintenance.name)
    if state is None:
        return
    key = known.LAST_APPLIED_REQUESTORS_PREFIX + hashlib.sha256(dpu.name.encode()).digest()[:8].hex()
    try:
        of_dpu = set(json.loads(state.annotations.get(key, "[]")))
    except (ValueError, TypeError):
        # The annotation is used for the report only: an unreadable one does not stop the deletion.
        of_dpu = set()
    remaining = [requestor for requestor in MaintenanceView(state).requestors if requestor in of_dpu]
    others = await dpus_of(dpf, node_of_maintenance(state))
    if remaining and any(other.uid != dpu.uid for other in others):
        forced.leave_behind(
            f"{maintenance}: requestors {', '.join(remaining)} of {dpu}; DPF removes them when these services are ready"
            " on the other DPUs of the host"
        )


class _Cluster(msgspec.Struct):
    name: str | None = None
    namespace: str | None = None


class _Spec(msgspec.Struct):
    cluster: _Cluster | None = None


class _Status(msgspec.Struct, rename={"bf_cfg_file": "bfCFGFile"}):
    bf_cfg_file: str | None = None


class _Installation(msgspec.Struct):
    spec: _Spec
    status: _Status | None = None


def _leftovers(state: ObjectState[DPU]) -> list[str]:
    """What only the operator cleans up, before it removes its finalizer from a DPU (docs/dpf/deletion.md#dpu)."""
    view, installation = DPUView(state), msgspec.json.decode(state.document, type=_Installation)
    cluster = installation.spec.cluster
    left = []
    if cluster is not None and cluster.name:
        path = f"{cluster.namespace}/{cluster.name}" if cluster.namespace else cluster.name
        left.append(f"Node {view.name} in DPUCluster {path}, and its bootstrap tokens in that cluster")
    left += [f"Secret {view.name}-{suffix} in namespace {state.namespace}" for suffix in _SECRET_SUFFIXES]
    left.append(f"certificates, Role and RoleBinding of DPU {view.name} in namespace {state.namespace}")
    if installation.status is not None and installation.status.bf_cfg_file:
        left.append(f"file {installation.status.bf_cfg_file} of DPU {view.name}")
    left.append(f"the hardware of DPU {view.name}: it is not wiped, and the installed system keeps running")
    return left


# Hosts.


async def _force_node(forced: _ForcedRun, first: NodeTargets) -> None:
    """DPUs, DPUDevices, maintenances, and the DPUNode last: while it is being deleted, no DPU is created again."""
    run = forced.run
    targets = await find_node_targets(run.dpf, first.name, known_before=True)
    if not targets.belong_to(first):
        return
    await deletion.request_deletion(run, targets)
    for dpu in targets.dpus:
        await _force_one_dpu(forced, dpu, [first.name])
    for device in targets.devices:
        await forced.remove_finalizer(device, known.DPUDEVICE_FINALIZER)
    for maintenance in await maintenances_of(run.dpf, first.name):
        await run.request([maintenance])
        await _force_maintenance(forced, maintenance)
    if targets.node is not None:
        await forced.remove_finalizer(targets.node, known.DPUNODE_FINALIZER)
    await forced.wait_until_deleted((*targets.objects, *targets.maintenances))


async def _force_maintenance(forced: _ForcedRun, target: Target) -> None:
    state = await find_state(forced.run.dpf, DPUNodeMaintenance, target.name)
    if state is None:
        return
    await forced.remove_requestors(target, lambda _: True)
    removed = await forced.remove_finalizer(target, known.DPUNODEMAINTENANCE_FINALIZER)
    if removed and not has_nothing_to_undo(state):
        remaining = _REMAINING_EFFECTS[node_effect_of(state)]
        forced.leave_behind(f"{target}: its node effect is not undone; {remaining}")

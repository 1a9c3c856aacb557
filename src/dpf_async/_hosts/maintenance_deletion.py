"""Deletion of DPUNodeMaintenances that no DPU needs any more, or whose DPUNode does not exist any more.

The services of a DPU that was deleted before it was Ready remain requestors of the maintenance of its host. The
maintenance would stay applied, and the next DPU would be installed without a request for the hold
(docs/dpf/hold.md#requestors).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from dpf_async._base.retry import retry_on_conflict
from dpf_async._hosts.deletion_run import without_finalizer
from dpf_async._hosts.deletion_targets import Document, Target, dpus_of, maintenances_of
from dpf_async._hosts.lookups import find_state
from dpf_async._transitions.views import MaintenanceView
from dpf_async.errors import NotFound
from dpf_async.models import DPUNode, DPUNodeMaintenance, known

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._hosts.deletion_run import DeletionRun


async def release_unused_maintenances(run: DeletionRun, node: str) -> list[Target]:
    """Remove the requestors of a host's maintenances if the host has no DPU; return the maintenances that will end.

    Raises:
        Conflict: the maintenances changed between each read and write; a new DPU may have joined them.
    """

    async def attempt() -> list[Target]:
        maintenances = await maintenances_of(run.dpf, node)
        if not maintenances or await dpus_of(run.dpf, node):
            return []
        for target in maintenances:
            state = await find_state(run.dpf, DPUNodeMaintenance, target.name)
            if state is not None:
                await _release_unless_used(run, state, node)
        if await find_state(run.dpf, DPUNode, node) is None:
            for target in maintenances:
                await delete_orphaned_maintenance(run, target)
        return maintenances

    return await retry_on_conflict(attempt)


async def _release_unless_used(run: DeletionRun, state: ObjectState[DPUNodeMaintenance], node: str) -> None:
    """Remove the requestors from the state that was read, unless a DPU refers to the host by now."""
    requestors = MaintenanceView(state).requestors
    if not requestors or await dpus_of(run.dpf, node):
        return
    patch = {"metadata": {"resourceVersion": state.resource_version}, "spec": {"requestor": []}}
    with suppress(NotFound):
        await run.dpf.resource(DPUNodeMaintenance).patch(state.name, patch)
        run.record(f"{state.kind.KIND} {state.name}", f"removed its requestors {', '.join(requestors)}")


async def remove_all_requestors(run: DeletionRun, target: Target) -> None:
    """Remove every requestor of a maintenance."""

    def change(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
        return {"spec": {"requestor": []}} if MaintenanceView(state).requestors else None

    await run.modify(DPUNodeMaintenance, target.name, change, "removed its requestors")


async def delete_orphaned_maintenance(run: DeletionRun, target: Target) -> None:
    """Delete a maintenance whose DPUNode does not exist; remove DPF's finalizer if no node effect has to be undone.

    The controller of the maintenance cannot remove its finalizer without the DPUNode.
    """
    await run.request([target])
    await remove_all_requestors(run, target)

    def change(state: ObjectState[DPUNodeMaintenance]) -> Document | None:
        if not has_nothing_to_undo(state):
            return None
        return without_finalizer(state, known.DPUNODEMAINTENANCE_FINALIZER)

    action = f"removed {known.DPUNODEMAINTENANCE_FINALIZER}, which DPF does not remove without the DPUNode"
    await run.modify(DPUNodeMaintenance, target.name, change, action)


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


def node_effect_of(state: ObjectState[DPUNodeMaintenance]) -> str:
    """The node effect of a maintenance: "hold", "drain"; empty if it has none."""
    effect = msgspec.json.decode(state.document, type=_Maintenance).spec.node_effect
    found = {} if effect is None else msgspec.structs.asdict(effect)
    return next((name for name, value in found.items() if value), "")


def has_nothing_to_undo(state: ObjectState[DPUNodeMaintenance]) -> bool:
    """Whether the node effect changed nothing that has to be undone, as a hold."""
    return node_effect_of(state) in {"", "hold", "no_effect"}

"""What changed between two views: pure, and the only place where a difference gets its meaning.

`before` is what one reader was last told, None if nothing; `after` is what is true now, None if nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpf_async._transitions.phases import possibly_skipped
from dpf_async._transitions.transitions import (
    ConditionChanged,
    DPUAppeared,
    DPUGone,
    DPUReplaced,
    DPUTerminating,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeAppeared,
    NodeEffectHeld,
    NodeEffectReleased,
    NodeGone,
    PhaseChanged,
    Transition,
)
from dpf_async._transitions.view import DPUView, NodeView
from dpf_async.models import DPUPhase, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dpf_async._api.codec import Snapshot
    from dpf_async._api.records import ConditionRecord


def derive(
    before: NodeView | None, after: NodeView | None, *, contiguous: bool = True
) -> Iterator[Transition]:
    """What happened to a node and everything that refers to it.

    Deletions come first, then what is new, then what changed, and the two questions last: by then the reader knows
    everything they are about.
    """
    known = after if after is not None else before
    if known is None:
        return
    name = known.name
    yield from _node(name, before, after, contiguous=contiguous)
    old = {dpu.name: dpu for dpu in before.dpus} if before is not None else {}
    new = {dpu.name: dpu for dpu in after.dpus} if after is not None else {}
    for dpu_name, was in old.items():
        if dpu_name not in new:
            yield from derive_dpu(was, None, contiguous=contiguous)
    for dpu_name, now in new.items():
        yield from derive_dpu(old.get(dpu_name), now, contiguous=contiguous)
    yield from _devices(name, before, after, contiguous=contiguous)
    yield from _maintenances(name, before, after, contiguous=contiguous)
    yield from _questions(name, before, after, contiguous=contiguous)


def derive_dpu(
    before: DPUView | None, after: DPUView | None, *, contiguous: bool = True
) -> Iterator[Transition]:
    """What happened to a DPU name: its incarnations are never mixed."""
    if after is None:
        if before is not None:
            yield DPUGone(
                node=before.node, dpu=before.name, uid=before.uid, phase=before.phase, contiguous=contiguous
            )
        return
    if before is not None and before.uid != after.uid:
        yield DPUReplaced(
            node=after.node,
            dpu=after.name,
            old_uid=before.uid,
            new_uid=after.uid,
            phase=after.phase,
            contiguous=contiguous,
        )
        before = None
    elif before is None:
        yield DPUAppeared(
            node=after.node, dpu=after.name, uid=after.uid, phase=after.phase, contiguous=contiguous
        )
    if after.terminating and not (before is not None and before.terminating):
        yield DPUTerminating(node=after.node, dpu=after.name, uid=after.uid, contiguous=contiguous)
    if before is not None:
        yield from _phase(before, after, contiguous=contiguous)
    yield from _conditions(
        after.node,
        before.state if before is not None else None,
        after.state,
        (before.operational_conditions if before is not None else (), after.operational_conditions),
        contiguous=contiguous,
    )


def _phase(before: DPUView, after: DPUView, *, contiguous: bool) -> Iterator[Transition]:
    was, now = before.phase, after.phase
    if was != now:
        yield PhaseChanged(
            node=after.node,
            dpu=after.name,
            uid=after.uid,
            before=was,
            after=now,
            contiguous=contiguous,
            possibly_skipped=None if contiguous else possibly_skipped(was, now),
        )


def _node(
    name: str, before: NodeView | None, after: NodeView | None, *, contiguous: bool
) -> Iterator[Transition]:
    was = before.node if before is not None else None
    now = after.node if after is not None else None
    if was is not None and (now is None or now.uid != was.uid):
        yield NodeGone(node=name, uid=was.uid, contiguous=contiguous)
        was = None
    if now is None:
        return
    if was is None:
        yield NodeAppeared(node=name, uid=now.uid, contiguous=contiguous)
    yield from _conditions(name, was, now, ((), ()), contiguous=contiguous)


def _devices(
    name: str, before: NodeView | None, after: NodeView | None, *, contiguous: bool
) -> Iterator[Transition]:
    old = {device.uid: device for device in before.devices} if before is not None else {}
    for device in after.devices if after is not None else ():
        yield from _conditions(name, old.get(device.uid), device, ((), ()), contiguous=contiguous)


def _maintenances(
    name: str, before: NodeView | None, after: NodeView | None, *, contiguous: bool
) -> Iterator[Transition]:
    old = (
        {maintenance.uid: maintenance.state for maintenance in before.maintenances}
        if before is not None
        else {}
    )
    for maintenance in after.maintenances if after is not None else ():
        yield from _conditions(
            name, old.get(maintenance.uid), maintenance.state, ((), ()), contiguous=contiguous
        )


def _questions(
    name: str, before: NodeView | None, after: NodeView | None, *, contiguous: bool
) -> Iterator[Transition]:
    held_before = before.hold if before is not None else None
    held_now = after.hold if after is not None else None
    if held_before is not None and (held_now is None or held_now.uid != held_before.uid):
        yield NodeEffectReleased(node=name, maintenance=held_before.name, contiguous=contiguous)
    if held_now is not None and (held_before is None or held_before.uid != held_now.uid):
        yield NodeEffectHeld(node=name, maintenance=held_now.name, contiguous=contiguous)
    asked_before = before is not None and before.external_reboot_required
    asked_now = after is not None and after.external_reboot_required
    if asked_before and not asked_now:
        yield ExternalRebootDone(node=name, contiguous=contiguous)
    if after is not None and asked_now and not asked_before:
        rebooting = tuple(dpu.name for dpu in after.dpus if dpu.phase == DPUPhase.REBOOTING)
        yield ExternalRebootRequired(node=name, dpus=rebooting, contiguous=contiguous)


def _conditions(
    node: str,
    before: Snapshot[Resource] | None,
    after: Snapshot[Resource],
    more: tuple[Iterable[ConditionRecord], Iterable[ConditionRecord]],
    *,
    contiguous: bool,
) -> Iterator[Transition]:
    old = {condition.type: condition for condition in (*(before.conditions if before else ()), *more[0])}
    new = {condition.type: condition for condition in (*after.conditions, *more[1])}
    for type_ in (*new, *(type_ for type_ in old if type_ not in new)):
        was, now = old.get(type_), new.get(type_)
        if was is not None and now is not None and _same(was, now):
            continue
        yield ConditionChanged(
            node=node,
            kind=after.kind.KIND,
            name=after.name,
            uid=after.uid,
            type=type_,
            before=was,
            after=now,
            contiguous=contiguous,
        )


def _same(was: ConditionRecord, now: ConditionRecord) -> bool:
    # The message is left out: "install task 42% complete" is progress, and the view has it.
    return (
        was.status == now.status
        and was.reason == now.reason
        and was.last_transition_time == now.last_transition_time
    )

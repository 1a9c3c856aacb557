"""What changed between two states of a node: pure, and the only place where a difference gets its meaning.

`before` is what one reader was last told, None if nothing; `after` is what is true now, None if nothing is. Either is a
view, or what is remembered of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dpf_async._transitions.checkpoint import Remembered, RememberedObject, conditions_of
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
from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, DPUPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dpf_async._api.records import ConditionRecord


def derive(
    name: str,
    before: NodeView | Remembered | None,
    after: NodeView | Remembered | None,
    *,
    contiguous: bool = True,
) -> Iterator[Transition]:
    """What happened to the node of this name and everything that refers to it.

    Deletions come first, then what is new, then what changed, and the two questions last: by then the reader knows
    everything they are about.
    """
    was, now = _known(name, before), _known(name, after)
    yield from _node(name, was.node, now.node, contiguous=contiguous)
    for dpu_name, dpu in was.dpus.items():
        if dpu_name not in now.dpus:
            yield from _dpu(name, dpu, None, contiguous=contiguous)
    for dpu_name, dpu in now.dpus.items():
        yield from _dpu(name, was.dpus.get(dpu_name), dpu, contiguous=contiguous)
    for old, new in ((was.devices, now.devices), (was.maintenances, now.maintenances)):
        for one_name, one in new.items():
            same = old.get(one_name)
            if same is not None and same.uid != one.uid:
                same = None
            yield from _conditions(name, same, one, contiguous=contiguous)
    yield from _questions(name, was, now, contiguous=contiguous)


def derive_dpu(
    before: DPUView | None, after: DPUView | None, *, contiguous: bool = True
) -> Iterator[Transition]:
    """What happened to a DPU name: its incarnations are never mixed."""
    known = after if after is not None else before
    if known is not None:
        was = None if before is None else _of_dpu(before)
        now = None if after is None else _of_dpu(after)
        yield from _dpu(known.node, was, now, contiguous=contiguous)


class _Object(NamedTuple):
    """What is compared of one object. Its conditions are in the lists that it has: the very same list is no change."""

    kind: str
    name: str
    uid: str
    conditions: tuple[ConditionRecord, ...]
    more_conditions: tuple[ConditionRecord, ...] = ()
    phase: DPUPhase = DPUPhase("")
    terminating: bool = False


class _Known(NamedTuple):
    """What is compared of a node and everything that refers to it; objects by name."""

    node: _Object | None
    dpus: Mapping[str, _Object]
    devices: Mapping[str, _Object]
    maintenances: Mapping[str, _Object]
    hold: tuple[str, str] | None
    reboot: bool


_NOTHING = _Known(None, {}, {}, {}, None, reboot=False)


def _known(name: str, state: NodeView | Remembered | None) -> _Known:
    if state is None:
        return _NOTHING
    if isinstance(state, Remembered):
        return _Known(
            None if state.node is None else _remembered(DPUNode.KIND, name, state.node),
            {name: _remembered(DPU.KIND, name, one) for name, one in state.dpus.items()},
            {name: _remembered(DPUDevice.KIND, name, one) for name, one in state.devices.items()},
            {
                name: _remembered(DPUNodeMaintenance.KIND, name, one)
                for name, one in state.maintenances.items()
            },
            state.hold,
            state.reboot,
        )
    node, hold = state.node, state.hold
    return _Known(
        None if node is None else _Object(DPUNode.KIND, node.name, node.uid, node.conditions),
        {dpu.name: _of_dpu(dpu) for dpu in state.dpus},
        {one.name: _Object(DPUDevice.KIND, one.name, one.uid, one.conditions) for one in state.devices},
        {
            one.name: _Object(DPUNodeMaintenance.KIND, one.name, one.uid, one.state.conditions)
            for one in state.maintenances
        },
        None if hold is None else (hold.uid, hold.name),
        state.external_reboot_required,
    )


def _of_dpu(dpu: DPUView) -> _Object:
    return _Object(
        DPU.KIND,
        dpu.name,
        dpu.uid,
        dpu.conditions,
        dpu.operational_conditions,
        dpu.phase,
        dpu.terminating,
    )


def _remembered(kind: str, name: str, one: RememberedObject) -> _Object:
    return _Object(
        kind, name, one.uid, conditions_of(one), phase=DPUPhase(one.phase), terminating=one.terminating
    )


def _node(name: str, was: _Object | None, now: _Object | None, *, contiguous: bool) -> Iterator[Transition]:
    if was is not None and (now is None or now.uid != was.uid):
        yield NodeGone(node=name, uid=was.uid, contiguous=contiguous)
        was = None
    if now is None:
        return
    if was is None:
        yield NodeAppeared(node=name, uid=now.uid, contiguous=contiguous)
    yield from _conditions(name, was, now, contiguous=contiguous)


def _dpu(node: str, was: _Object | None, now: _Object | None, *, contiguous: bool) -> Iterator[Transition]:
    if now is None:
        if was is not None:
            yield DPUGone(node=node, dpu=was.name, uid=was.uid, phase=was.phase, contiguous=contiguous)
        return
    if was is not None and was.uid != now.uid:
        yield DPUReplaced(
            node=node,
            dpu=now.name,
            old_uid=was.uid,
            new_uid=now.uid,
            phase=now.phase,
            contiguous=contiguous,
        )
        was = None
    elif was is None:
        yield DPUAppeared(node=node, dpu=now.name, uid=now.uid, phase=now.phase, contiguous=contiguous)
    if now.terminating and not (was is not None and was.terminating):
        yield DPUTerminating(node=node, dpu=now.name, uid=now.uid, contiguous=contiguous)
    if was is not None and was.phase != now.phase:
        yield PhaseChanged(
            node=node,
            dpu=now.name,
            uid=now.uid,
            before=was.phase,
            after=now.phase,
            contiguous=contiguous,
            possibly_skipped=None if contiguous else possibly_skipped(was.phase, now.phase),
        )
    yield from _conditions(node, was, now, contiguous=contiguous)


def _questions(name: str, was: _Known, now: _Known, *, contiguous: bool) -> Iterator[Transition]:
    if was.hold is not None and (now.hold is None or now.hold[0] != was.hold[0]):
        yield NodeEffectReleased(node=name, maintenance=was.hold[1], contiguous=contiguous)
    if now.hold is not None and (was.hold is None or was.hold[0] != now.hold[0]):
        yield NodeEffectHeld(node=name, maintenance=now.hold[1], contiguous=contiguous)
    if was.reboot and not now.reboot:
        yield ExternalRebootDone(node=name, contiguous=contiguous)
    if now.reboot and not was.reboot:
        rebooting = tuple(dpu.name for dpu in now.dpus.values() if dpu.phase == DPUPhase.REBOOTING)
        yield ExternalRebootRequired(node=name, dpus=rebooting, contiguous=contiguous)


def _conditions(node: str, was: _Object | None, now: _Object, *, contiguous: bool) -> Iterator[Transition]:
    if was is not None and was.conditions is now.conditions and was.more_conditions is now.more_conditions:
        return
    old = {} if was is None else _by_type((*was.conditions, *was.more_conditions))
    new = _by_type((*now.conditions, *now.more_conditions))
    for type_ in (*new, *(type_ for type_ in old if type_ not in new)):
        before, after = old.get(type_), new.get(type_)
        if before is not None and after is not None and _same(before, after):
            continue
        yield ConditionChanged(
            node=node,
            kind=now.kind,
            name=now.name,
            uid=now.uid,
            type=type_,
            before=before,
            after=after,
            contiguous=contiguous,
        )


def _by_type(conditions: Iterable[ConditionRecord]) -> dict[str, ConditionRecord]:
    return {condition.type: condition for condition in conditions}


def _same(was: ConditionRecord, now: ConditionRecord) -> bool:
    # The message is left out: "install task 42% complete" is progress, and the view has it.
    return (
        was.status == now.status
        and was.reason == now.reason
        and was.last_transition_time == now.last_transition_time
    )

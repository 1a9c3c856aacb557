"""Derives the transitions between two states of a host. Pure.

`before` is the state that was last reported to one reader, `after` the current one; None means that the host does not
exist. Either is a view, or the part of it that a checkpoint contains.

| difference | transitions, in this order |
| --- | --- |
| DPUNode deleted, created, or another uid | NodeGone, NodeAppeared |
| DPUNode: conditions | ConditionChanged |
| DPU deleted | DPUGone |
| DPU created, or another uid | DPUAppeared, or DPUReplaced |
| DPU: deletionTimestamp set, phase, conditions | DPUTerminating, PhaseChanged, ConditionChanged |
| DPUDevice, DPUNodeMaintenance: conditions | ConditionChanged |
| hold of another maintenance, or none | NodeEffectReleased, NodeEffectHeld |
| reboot request | ExternalRebootDone, ExternalRebootRequired |

Each difference yields one transition. After NodeAppeared, DPUAppeared and DPUReplaced, every condition of the new
object is reported as added. DPUDevices and DPUNodeMaintenances that are deleted yield no transition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dpf_async._transitions.checkpoint import CheckpointNode, CheckpointObject, conditions_of
from dpf_async._transitions.phases import phases_between
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
    before: NodeView | CheckpointNode | None,
    after: NodeView | CheckpointNode | None,
    *,
    contiguous: bool = True,
) -> Iterator[Transition]:
    """Yield the transitions of the host of this name, in the order of the table above.

    Requests (hold and reboot) come last: the reader has received the state of every object that they refer to.
    """
    was, now = _host(name, before), _host(name, after)
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
    yield from _requests(name, was, now, contiguous=contiguous)


def derive_dpu(
    before: DPUView | None, after: DPUView | None, *, contiguous: bool = True
) -> Iterator[Transition]:
    """Yield the transitions of one DPU. States of different uids are never compared."""
    dpu = after if after is not None else before
    if dpu is not None:
        was = None if before is None else _of_dpu(before)
        now = None if after is None else _of_dpu(after)
        yield from _dpu(dpu.node, was, now, contiguous=contiguous)


class _Object(NamedTuple):
    """The compared parts of one object. If both tuples of conditions are identical objects, no condition changed."""

    kind: str
    name: str
    uid: str
    conditions: tuple[ConditionRecord, ...]
    more_conditions: tuple[ConditionRecord, ...] = ()
    phase: DPUPhase = DPUPhase("")
    terminating: bool = False


class _Host(NamedTuple):
    """The compared parts of a host and every object that refers to it; objects by name."""

    node: _Object | None
    dpus: Mapping[str, _Object]
    devices: Mapping[str, _Object]
    maintenances: Mapping[str, _Object]
    hold: tuple[str, str] | None
    reboot: bool


_ABSENT = _Host(None, {}, {}, {}, None, reboot=False)


def _host(name: str, state: NodeView | CheckpointNode | None) -> _Host:
    if state is None:
        return _ABSENT
    if isinstance(state, CheckpointNode):
        return _Host(
            None if state.node is None else _recorded(DPUNode.KIND, name, state.node),
            {name: _recorded(DPU.KIND, name, one) for name, one in state.dpus.items()},
            {name: _recorded(DPUDevice.KIND, name, one) for name, one in state.devices.items()},
            {name: _recorded(DPUNodeMaintenance.KIND, name, one) for name, one in state.maintenances.items()},
            state.hold,
            state.reboot,
        )
    node, hold = state.node, state.hold
    return _Host(
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


def _recorded(kind: str, name: str, one: CheckpointObject) -> _Object:
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
            phases_between=None if contiguous else phases_between(was.phase, now.phase),
        )
    yield from _conditions(node, was, now, contiguous=contiguous)


def _requests(name: str, was: _Host, now: _Host, *, contiguous: bool) -> Iterator[Transition]:
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
    # The message is not compared: "install task 42% complete" is progress, which the view contains.
    return (
        was.status == now.status
        and was.reason == now.reason
        and was.last_transition_time == now.last_transition_time
    )

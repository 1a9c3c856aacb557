"""What a reader was told, as a small JSON value: enough to tell it later exactly what changed since. Pure.

A Remembered is to `derive` what a view is, with less in it: identities, phases, conditions without their messages, and
the two questions. Each transition that is told can be entered into it, so that what was told in the middle of a view
is remembered as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

import msgspec

from dpf_async._api.records import ConditionRecord
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
from dpf_async._transitions.views import NodeView, as_last_read
from dpf_async.errors import UsageError
from dpf_async.models import DPU, DPUDevice, DPUNode

Checkpoint = dict[str, Any]  # Any: JSON
"""What `checkpoint()` gives, and `since=` takes: a JSON object of this library's own making."""

FORMAT: Final = "dpf_async.transitions/1"
"""The version of the format. A change of what is in it, or of what it means, is another version."""

_Condition = str | tuple[str, str | None, str | None]
"""When it became True, for its own reason; or status, reason and time."""


class RememberedObject(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One object, as it was told."""

    uid: str
    phase: str = ""
    terminating: bool = False
    conditions: dict[str, _Condition] = msgspec.field(default_factory=dict)


class Remembered(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One node and everything that refers to it, as it was told; objects by name."""

    node: RememberedObject | None = None
    dpus: dict[str, RememberedObject] = msgspec.field(default_factory=dict)
    devices: dict[str, RememberedObject] = msgspec.field(default_factory=dict)
    maintenances: dict[str, RememberedObject] = msgspec.field(default_factory=dict)
    hold: tuple[str, str] | None = None
    """Uid and name of the maintenance that was told to hold the node."""
    reboot: bool = False

    @property
    def is_nothing(self) -> bool:
        """Nothing was told of this node, or everything that was is gone."""
        return self == Remembered()


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    scope: dict[str, str]
    nodes: dict[str, Remembered]


# To JSON and back.


def write(nodes: Mapping[str, Remembered], scope: Mapping[str, str]) -> Checkpoint:
    """The JSON value; scope says what the stream was about."""
    document: Checkpoint = msgspec.to_builtins(_Document(FORMAT, dict(scope), dict(nodes)))
    return document


def read(checkpoint: Mapping[str, Any], scope: Mapping[str, str]) -> dict[str, Remembered]:
    """What a checkpoint remembers, by the name of the node.

    Raises:
        UsageError: it is none, or one of another release, or one of a stream about something else.
    """
    given: object = checkpoint
    format_ = given.get("format") if isinstance(given, Mapping) else None
    fresh = "start without since=, which tells everything that stands"
    if not isinstance(format_, str) or not format_.startswith("dpf_async.transitions/"):
        raise UsageError(f"since= takes what checkpoint() gave, and this is something else; {fresh}")
    if format_ != FORMAT:
        raise UsageError(
            f"this checkpoint was made by another release: its format is {format_!r}, and this one reads {FORMAT!r};"
            f" {fresh}"
        )
    try:
        document = msgspec.convert(checkpoint, _Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"this checkpoint is damaged: {error}; {fresh}") from error
    if document.scope != scope:
        raise UsageError(
            f"this checkpoint is of a stream about {_about(document.scope)}, and this one is about {_about(scope)};"
            " resume the one that it was taken of"
        )
    return document.nodes


def _about(scope: Mapping[str, str]) -> str:
    words = [f"{key.replace('_', ' ')} {value!r}" for key, value in scope.items()]
    return ", ".join(words) or "nothing"


# From what was told.


def remember(view: NodeView | Remembered) -> Remembered:
    """What has to be remembered of a node of which everything was told."""
    if isinstance(view, Remembered):
        return view
    return Remembered(
        node=None if view.node is None else _remember(view.node.uid, view.node.conditions),
        dpus={
            dpu.name: RememberedObject(
                uid=dpu.uid,
                phase=dpu.state.phase,
                terminating=dpu.terminating,
                conditions=_conditions((*dpu.conditions, *dpu.operational_conditions)),
            )
            for dpu in view.dpus
        },
        devices={one.name: _remember(one.uid, one.conditions) for one in view.devices},
        maintenances={one.name: _remember(one.uid, one.state.conditions) for one in view.maintenances},
        hold=_hold(view),
        reboot=view.external_reboot_required,
    )


def as_last_told(before: NodeView | Remembered | None, after: NodeView) -> NodeView | Remembered:
    """The later state, with what cannot be read in it standing as it was told: see `view.as_last_read`."""
    if not isinstance(before, Remembered):
        return as_last_read(before, after)
    if not after.unreadable:
        return after
    now, uids = remember(after), {obj.uid for obj in after.unreadable}
    if before.node is not None and before.node.uid in uids:
        now.node, now.reboot = before.node, before.reboot
    if before.hold is not None and before.hold[0] in uids:
        now.hold = before.hold
    for told, standing in (
        (now.dpus, before.dpus),
        (now.devices, before.devices),
        (now.maintenances, before.maintenances),
    ):
        told.update((name, one) for name, one in standing.items() if one.uid in uids)
    return now


def enter(into: Remembered, transition: Transition, after: NodeView | Remembered | None) -> None:
    """Remember a transition as told.

    Args:
        into: what was told before it.
        transition: the next thing that is told.
        after: the view that it was derived from.
    """
    match transition:
        case NodeAppeared():
            into.node = RememberedObject(uid=transition.uid)
        case NodeGone():
            into.node = None
        case DPUAppeared():
            into.dpus[transition.dpu] = RememberedObject(uid=transition.uid, phase=str(transition.phase))
        case DPUReplaced():
            into.dpus[transition.dpu] = RememberedObject(uid=transition.new_uid, phase=str(transition.phase))
        case DPUGone():
            into.dpus.pop(transition.dpu, None)
        case DPUTerminating():
            into.dpus[transition.dpu].terminating = True
        case PhaseChanged():
            into.dpus[transition.dpu].phase = str(transition.after)
        case ConditionChanged():
            _enter_condition(into, transition)
        case NodeEffectHeld() | NodeEffectReleased():
            into.hold = _hold(after) if isinstance(transition, NodeEffectHeld) else None
        case ExternalRebootRequired() | ExternalRebootDone():
            into.reboot = isinstance(transition, ExternalRebootRequired)
        case _:
            assert_never(transition)


def copy(remembered: Remembered) -> Remembered:
    """One that can be changed without changing the other."""
    return msgspec.convert(msgspec.to_builtins(remembered), Remembered)


def _hold(state: NodeView | Remembered | None) -> tuple[str, str] | None:
    hold = None if state is None else state.hold
    return hold if hold is None or isinstance(hold, tuple) else (hold.uid, hold.name)


def _enter_condition(into: Remembered, transition: ConditionChanged) -> None:
    of: RememberedObject | None
    if transition.kind == DPUNode.KIND:
        of = into.node
    elif transition.kind == DPU.KIND:
        of = into.dpus.get(transition.name)
    else:
        owners = into.devices if transition.kind == DPUDevice.KIND else into.maintenances
        of = owners.get(transition.name)
        if of is None or of.uid != transition.uid:
            of = owners[transition.name] = RememberedObject(uid=transition.uid)
    assert of is not None, "it appeared before its conditions are told"  # noqa: S101
    if transition.after is None:
        of.conditions.pop(transition.type, None)
    else:
        of.conditions.update(_conditions((transition.after,)))


def _remember(uid: str, conditions: Iterable[ConditionRecord]) -> RememberedObject:
    return RememberedObject(uid=uid, conditions=_conditions(conditions))


def _conditions(conditions: Iterable[ConditionRecord]) -> dict[str, _Condition]:
    kept: dict[str, _Condition] = {}
    for one in conditions:
        time = one.last_transition_time
        usual = one.status == "True" and one.reason == one.type and time is not None
        kept[one.type] = time if usual and time is not None else (one.status, one.reason, time)
    return kept


def conditions_of(remembered: RememberedObject) -> tuple[ConditionRecord, ...]:
    """The conditions, without their messages."""
    return tuple(
        ConditionRecord(type_, "True", type_, None, said)
        if isinstance(said, str)
        else ConditionRecord(type_, said[0], said[1], None, said[2])
        for type_, said in remembered.conditions.items()
    )

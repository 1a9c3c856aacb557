"""Checkpoints: the states that a transition stream has reported, as a small JSON value from which it can resume. Pure.

A CheckpointNode contains the parts of a view that `derive` compares: uids, phases, conditions without their messages,
and the two requests. A stream that was stopped between two transitions of one view applies those that it has yielded to
the state before them.
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
"""A JSON object that `checkpoint()` returns and `since=` accepts. Its content is not an interface."""

FORMAT: Final = "dpf_async.transitions/1"
"""The version of the format. It changes with the content or meaning of a checkpoint."""

_Condition = str | tuple[str, str | None, str | None]
"""The lastTransitionTime if the status is True and the reason equals the type; else status, reason and that time."""


class CheckpointObject(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One object as it was last reported."""

    uid: str
    phase: str = ""
    terminating: bool = False
    conditions: dict[str, _Condition] = msgspec.field(default_factory=dict)


class CheckpointNode(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One host and every object that refers to it as they were last reported; objects by name."""

    node: CheckpointObject | None = None
    dpus: dict[str, CheckpointObject] = msgspec.field(default_factory=dict)
    devices: dict[str, CheckpointObject] = msgspec.field(default_factory=dict)
    maintenances: dict[str, CheckpointObject] = msgspec.field(default_factory=dict)
    hold: tuple[str, str] | None = None
    """Uid and name of the maintenance whose hold was reported as waiting."""
    reboot: bool = False

    @property
    def is_empty(self) -> bool:
        """No object of this host was reported, or each was reported as deleted."""
        return self == CheckpointNode()


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    scope: dict[str, str]
    nodes: dict[str, CheckpointNode]


# To and from JSON.


def write(nodes: Mapping[str, CheckpointNode], scope: Mapping[str, str]) -> Checkpoint:
    """Return the JSON value. `scope` identifies what the stream reports: namespace, node, selector."""
    document: Checkpoint = msgspec.to_builtins(_Document(FORMAT, dict(scope), dict(nodes)))
    return document


def read(checkpoint: Mapping[str, Any], scope: Mapping[str, str]) -> dict[str, CheckpointNode]:
    """Return the hosts of a checkpoint, by name.

    Raises:
        UsageError: the value is not a checkpoint, or has another format, or belongs to a stream with another scope.
    """
    given: object = checkpoint
    format_ = given.get("format") if isinstance(given, Mapping) else None
    hint = "start without since= to receive the complete current state"
    if not isinstance(format_, str) or not format_.startswith("dpf_async.transitions/"):
        raise UsageError(f"since= must be a value that checkpoint() returned; {hint}")
    if format_ != FORMAT:
        raise UsageError(
            f"the checkpoint was written by another release: its format is {format_!r}, and this release reads"
            f" {FORMAT!r}; {hint}"
        )
    try:
        document = msgspec.convert(checkpoint, _Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"the checkpoint is damaged: {error}; {hint}") from error
    if document.scope != scope:
        raise UsageError(
            f"the checkpoint is of a stream of {_describe(document.scope)}, and this stream is of {_describe(scope)};"
            " resume it with a stream of the same scope"
        )
    return document.nodes


def _describe(scope: Mapping[str, str]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value!r}" for key, value in scope.items()) or "an empty scope"


# From views and transitions.


def checkpoint_node(view: NodeView | CheckpointNode) -> CheckpointNode:
    """Return what a checkpoint contains of a host after all transitions to this view were yielded."""
    if isinstance(view, CheckpointNode):
        return view
    return CheckpointNode(
        node=None if view.node is None else _checkpoint_object(view.node.uid, view.node.conditions),
        dpus={
            dpu.name: CheckpointObject(
                uid=dpu.uid,
                phase=dpu.state.phase,
                terminating=dpu.terminating,
                conditions=_conditions((*dpu.conditions, *dpu.operational_conditions)),
            )
            for dpu in view.dpus
        },
        devices={one.name: _checkpoint_object(one.uid, one.conditions) for one in view.devices},
        maintenances={
            one.name: _checkpoint_object(one.uid, one.state.conditions) for one in view.maintenances
        },
        hold=_hold(view),
        reboot=view.external_reboot_required,
    )


def as_last_reported(before: NodeView | CheckpointNode | None, after: NodeView) -> NodeView | CheckpointNode:
    """The later state, with the last reported state of each object that cannot be decoded now; see `as_last_read`."""
    if not isinstance(before, CheckpointNode):
        return as_last_read(before, after)
    if not after.unreadable:
        return after
    now, uids = checkpoint_node(after), {obj.uid for obj in after.unreadable}
    if before.node is not None and before.node.uid in uids:
        now.node, now.reboot = before.node, before.reboot
    if before.hold is not None and before.hold[0] in uids:
        now.hold = before.hold
    for current, last_reported in (
        (now.dpus, before.dpus),
        (now.devices, before.devices),
        (now.maintenances, before.maintenances),
    ):
        current.update((name, one) for name, one in last_reported.items() if one.uid in uids)
    return now


def apply(into: CheckpointNode, transition: Transition, after: NodeView | CheckpointNode | None) -> None:
    """Change a host of a checkpoint as a transition that was yielded reports it.

    Args:
        into: the state before the transition; changed in place.
        transition: the transition that was yielded next.
        after: the view that it was derived from.
    """
    match transition:
        case NodeAppeared():
            into.node = CheckpointObject(uid=transition.uid)
        case NodeGone():
            into.node = None
        case DPUAppeared():
            into.dpus[transition.dpu] = CheckpointObject(uid=transition.uid, phase=str(transition.phase))
        case DPUReplaced():
            into.dpus[transition.dpu] = CheckpointObject(uid=transition.new_uid, phase=str(transition.phase))
        case DPUGone():
            into.dpus.pop(transition.dpu, None)
        case DPUTerminating():
            into.dpus[transition.dpu].terminating = True
        case PhaseChanged():
            into.dpus[transition.dpu].phase = str(transition.after)
        case ConditionChanged():
            _apply_condition(into, transition)
        case NodeEffectHeld() | NodeEffectReleased():
            into.hold = _hold(after) if isinstance(transition, NodeEffectHeld) else None
        case ExternalRebootRequired() | ExternalRebootDone():
            into.reboot = isinstance(transition, ExternalRebootRequired)
        case _:
            assert_never(transition)


def copy(node: CheckpointNode) -> CheckpointNode:
    """Return a deep copy."""
    return msgspec.convert(msgspec.to_builtins(node), CheckpointNode)


def _hold(state: NodeView | CheckpointNode | None) -> tuple[str, str] | None:
    hold = None if state is None else state.hold
    return hold if hold is None or isinstance(hold, tuple) else (hold.uid, hold.name)


def _apply_condition(into: CheckpointNode, transition: ConditionChanged) -> None:
    of: CheckpointObject | None
    if transition.kind == DPUNode.KIND:
        of = into.node
    elif transition.kind == DPU.KIND:
        of = into.dpus.get(transition.name)
    else:
        owners = into.devices if transition.kind == DPUDevice.KIND else into.maintenances
        of = owners.get(transition.name)
        if of is None or of.uid != transition.uid:
            of = owners[transition.name] = CheckpointObject(uid=transition.uid)
    assert of is not None, "an object is reported before its conditions"  # noqa: S101
    if transition.after is None:
        of.conditions.pop(transition.type, None)
    else:
        of.conditions.update(_conditions((transition.after,)))


def _checkpoint_object(uid: str, conditions: Iterable[ConditionRecord]) -> CheckpointObject:
    return CheckpointObject(uid=uid, conditions=_conditions(conditions))


def _conditions(conditions: Iterable[ConditionRecord]) -> dict[str, _Condition]:
    kept: dict[str, _Condition] = {}
    for one in conditions:
        time = one.last_transition_time
        usual = one.status == "True" and one.reason == one.type and time is not None
        kept[one.type] = time if usual and time is not None else (one.status, one.reason, time)
    return kept


def conditions_of(obj: CheckpointObject) -> tuple[ConditionRecord, ...]:
    """The conditions, without their messages."""
    return tuple(
        ConditionRecord(type_, "True", type_, None, stored)
        if isinstance(stored, str)
        else ConditionRecord(type_, stored[0], stored[1], None, stored[2])
        for type_, stored in obj.conditions.items()
    )

"""What is wrong with a DPU, and whether its host can be used: frozen values, read from one view. Pure.

Nothing is guessed: what nobody can say at the moment is a HealthUnknown, and neither good nor bad.

Source: dpf-facts 2.3 (conditions), 11 (what moves a DPU out of Ready), requirement flow 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, assert_never, overload

from dpf_async._transitions.view import DPUView, NodeView
from dpf_async.models import DPU, DPUPhase, known

if TYPE_CHECKING:
    from dpf_async._api.codec import Undecodable
    from dpf_async._api.records import ConditionRecord

_Operational = known.OperationalCondition

PHASE: Final = "phase"
READABLE: Final = "readable"


class Departure(StrEnum):
    """Why a DPU is not in phase Ready."""

    PROVISIONING = "provisioning"
    """It is on its way to its first Ready."""
    NODE_EFFECT = "node effect"
    """It was Ready and is in Node Effect.

    The requirement reads this as "critical services are down" (flow 5.2). The operator of v26.4 does it when a
    disruptive service or chain was *changed*, and waits until the node effect was applied: with a hold, until somebody
    releases it. Both readings agree on what comes of it: the host is not to be used.
    """
    UPDATE = "update"
    """It was Ready and is given new labels; nobody is asked, and Ready comes by itself."""
    FAILED = "failed"
    """Phase Error: only making it anew helps."""
    TERMINATING = "terminating"
    """Its deletion was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUProblem:
    """What all problems of a DPU have.

    Attributes:
        node: name of its DPUNode.
        dpu: its name.
        uid: its identity.
        reason: of the condition that says most about it; empty if none does.
        message: its message.
        flaps: how often it came and went since this reader was last told of this aspect, without being told.
        contiguous: False if states in between may have existed that this reader was not shown.
    """

    node: str
    dpu: str
    uid: str
    reason: str = ""
    message: str = ""
    flaps: int = 0
    contiguous: bool = True

    def __str__(self) -> str:
        words = ": ".join(part for part in (self.reason, self.message) if part)
        return f"DPU {self.dpu}: {self._what()}{f'; {words}' if words else ''}"

    def _what(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftReady(DPUProblem):
    """A DPU is not in phase Ready.

    Attributes:
        why: what kind of departure it is.
        phase: the phase it was in then; phases that pass while `why` stays are told by `transitions()` only.
    """

    why: Departure
    phase: DPUPhase

    def _what(self) -> str:
        return f"is not Ready but in {self.phase or 'no phase'} ({self.why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNodeNotReady(DPUProblem):
    """A DPU in phase Ready whose Node in the DPUCluster is not ready: condition Ready is False, the phase stays."""

    def _what(self) -> str:
        return "its Node in the DPUCluster is not ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalServicesDown(DPUProblem):
    """Pods of services that are labelled critical do not run. The phase stays Ready (dpf-facts 11)."""

    def _what(self) -> str:
        return "critical services are down"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonCriticalServicesDown(DPUProblem):
    """Pods of other services do not run."""

    def _what(self) -> str:
        return "services that are not critical are down"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalConditionFalse(DPUProblem):
    """Another operational condition is False: interfaces, chains, problems of the Node, or one of a newer release.

    `type` is the condition's; the summary OperationalReady only where no other condition explains it.
    """

    type: str

    def _what(self) -> str:
        return f"{self.type} is False"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthUnknown(DPUProblem):
    """Nobody can say at the moment: what was told of it before still stands.

    `about` is the type of a condition that is Unknown or was not reported yet, or "readable" where the DPU itself
    cannot be read.
    """

    about: str

    def _what(self) -> str:
        return f"nothing is known of {self.about}"


HealthProblem = (
    LeftReady
    | KubeNodeNotReady
    | CriticalServicesDown
    | NonCriticalServicesDown
    | OperationalConditionFalse
    | HealthUnknown
)
"""One thing that is wrong with one DPU."""

_Ailing = LeftReady | KubeNodeNotReady | CriticalServicesDown
"""Problems with which a host cannot be used."""


class Reading(NamedTuple):
    """One aspect of a DPU's health: what is wrong with it, None if nothing is.

    `stamp` differs if the aspect was the other way in between: a time of the server's, compared and never counted with.
    """

    aspect: str
    problem: HealthProblem | None
    stamp: str


@dataclass(frozen=True, slots=True)
class DPUHealth:
    """The health of one DPU. `readings` has every aspect that can be spoken of in its phase, the gravest first."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    device: str
    readings: tuple[Reading, ...]

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """What is wrong, the gravest first."""
        return tuple(reading.problem for reading in self.readings if reading.problem is not None)

    @property
    def healthy(self) -> bool:
        """Nothing is wrong, and nothing is unknown."""
        return not self.problems

    @property
    def usable(self) -> bool | None:
        """Ready, with its Node and its critical services; None where that is not known."""
        return usable_by((reading.aspect, reading.problem) for reading in self.readings)


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The health of a host: of all its DPUs.

    Attributes:
        node: name of the DPUNode.
        uid: of the DPUNode; empty if there is none.
        dpus: its DPUs, by name.
        missing: devices that it lists and that have no DPU.
        terminating: its deletion was asked for.
    """

    node: str
    uid: str
    dpus: tuple[DPUHealth, ...]
    missing: tuple[str, ...]
    terminating: bool = False

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """What is wrong with its DPUs."""
        return tuple(problem for dpu in self.dpus for problem in dpu.problems)

    @property
    def usable(self) -> bool | None:
        """Every device has a DPU, and every DPU can be used; None where that is not known."""
        if not self.uid or self.terminating or self.missing or not self.dpus:
            return False
        return all_of(dpu.usable for dpu in self.dpus)


@overload
def health_of(view: DPUView) -> DPUHealth: ...


@overload
def health_of(view: NodeView) -> NodeHealth: ...


def health_of(view: DPUView | NodeView) -> DPUHealth | NodeHealth:
    """What can be said of the health of a DPU, or of a host, from one view of it."""
    if isinstance(view, DPUView):
        return DPUHealth(view.node, view.name, view.uid, view.phase, view.device, tuple(_readings(view)))
    unreadable = {obj.uid: obj for obj in view.unreadable if obj.kind is DPU}
    dpus = [_unreadably(health_of(dpu), unreadable.pop(dpu.uid, None)) for dpu in view.dpus]
    dpus += [
        _unreadably(DPUHealth(view.name, obj.name, obj.uid, DPUPhase(""), "", ()), obj)
        for obj in unreadable.values()
    ]
    carried = {dpu.device.lower() for dpu in dpus}
    # A DPU that never could be read may be any device's.
    certain = all(dpu.device for dpu in dpus)
    return NodeHealth(
        node=view.name,
        uid=view.uid,
        dpus=tuple(sorted(dpus, key=lambda dpu: dpu.dpu)),
        missing=tuple(name for name in view.device_names if name.lower() not in carried) if certain else (),
        terminating=view.terminating,
    )


def as_last_known(before: DPUHealth | None, after: DPUHealth) -> DPUHealth:
    """The later health; aspects of which nothing is known now stand as they were known last."""
    if before is None or before.uid != after.uid:
        return after
    now = {reading.aspect for reading in after.readings}
    unknown = {
        problem.about
        for _, problem, _ in after.readings
        if isinstance(problem, HealthUnknown) and problem.about not in now
    }
    kept = tuple(reading for reading in before.readings if reading.aspect in unknown)
    return (
        DPUHealth(after.node, after.dpu, after.uid, after.phase, after.device, (*kept, *after.readings))
        if kept
        else after
    )


def usable_by(readings: Iterable[tuple[str, HealthProblem | None]]) -> bool | None:
    """Whether a DPU can be used, from what is known of its aspects."""
    known_good = set()
    for aspect, problem in readings:
        if isinstance(problem, _Ailing):
            return False
        if problem is None:
            known_good.add(aspect)
    return True if known_good >= _ESSENTIAL else None


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    found = set(answers)
    return False if False in found else None if None in found else True


def aspect_of(problem: HealthProblem) -> str:
    """The aspect of a DPU that a problem is one of."""
    match problem:
        case LeftReady():
            return PHASE
        case KubeNodeNotReady():
            return known.DPUCondition.READY
        case CriticalServicesDown():
            return _Operational.CRITICAL_PODS_READY
        case NonCriticalServicesDown():
            return _Operational.NON_CRITICAL_PODS_READY
        case OperationalConditionFalse(type=type_):
            return type_
        case HealthUnknown(about=about):
            return f"known {about}"
    assert_never(problem)


def same_problem(one: HealthProblem | None, other: HealthProblem | None) -> bool:
    """Whether two values speak of the same: messages that count pods, and phases that pass, make no other problem."""
    return _essence(one) == _essence(other)


_ESSENTIAL: Final = frozenset((PHASE, known.DPUCondition.READY, _Operational.CRITICAL_PODS_READY))
"""Aspects that must be known to be good before a host is used."""


def _readings(view: DPUView) -> Iterator[Reading]:
    departure = _departure(view)
    # Leaving Ready for new labels writes NodeEffectRemoved anew; nothing else in phase Ready tells that it happened.
    removed = view.condition(known.DPUCondition.NODE_EFFECT_REMOVED)
    yield Reading(PHASE, departure, _stamp(removed) if departure is None else "")
    if departure is None:
        yield from _kube_node(view)
    elif departure.why not in (Departure.NODE_EFFECT, Departure.UPDATE):
        # What it runs, or does not, while it is installed, broken or on its way out, is no news.
        return
    yield from _operational(view)


def _departure(view: DPUView) -> LeftReady | None:
    phase = view.phase
    if view.terminating or phase == DPUPhase.DELETING:
        why = Departure.TERMINATING
    elif phase == DPUPhase.READY:
        return None
    elif phase == DPUPhase.ERROR:
        why = Departure.FAILED
    elif not _was_ready(view):
        why = Departure.PROVISIONING
    elif phase == DPUPhase.NODE_EFFECT:
        why = Departure.NODE_EFFECT
    else:
        why = Departure.UPDATE
    said = view.failure if why is Departure.FAILED else _waiting(view)
    return LeftReady(node=view.node, dpu=view.name, uid=view.uid, why=why, phase=phase, **_words(said))


def _was_ready(view: DPUView) -> bool:
    """Only phase Ready writes the condition, and nothing takes it away again (dpf-facts 2.3)."""
    status = view.state.record.status
    asked = status is not None and status.post_provisioning_node_effect
    return bool(asked) or view.condition(known.DPUCondition.READY) is not None


def _waiting(view: DPUView) -> ConditionRecord | None:
    return next((one for one in reversed(view.conditions) if one.status == "False"), None)


def _kube_node(view: DPUView) -> Iterator[Reading]:
    type_ = known.DPUCondition.READY
    condition = view.condition(type_)
    if condition is None:
        yield _unknown(view, type_, None)
    elif condition.status == "True":
        yield Reading(type_, None, _stamp(condition))
    elif condition.status == "False":
        problem = KubeNodeNotReady(node=view.node, dpu=view.name, uid=view.uid, **_words(condition))
        yield Reading(type_, problem, _stamp(condition))
    else:
        yield _unknown(view, type_, condition)


def _operational(view: DPUView) -> Iterator[Reading]:
    said = {condition.type: condition for condition in view.operational_conditions}
    summary = said.pop(_Operational.OPERATIONAL_READY, None)
    if _Operational.CRITICAL_PODS_READY not in said:
        # Without it nobody has looked at the services, whatever a summary over less says (requirement, flow 3).
        yield _unknown(view, _Operational.CRITICAL_PODS_READY, summary)
    order = sorted(said, key=lambda type_: (_GRAVITY.get(type_, len(_GRAVITY)), type_))
    for type_ in order:
        yield _one(view, said[type_])
    if (
        summary is not None
        and summary.status == "False"
        and all(one.status == "True" for one in said.values())
    ):
        yield _one(view, summary)


_GRAVITY: Final = {_Operational.CRITICAL_PODS_READY: 0, _Operational.NON_CRITICAL_PODS_READY: 1}


def _one(view: DPUView, condition: ConditionRecord) -> Reading:
    problem: HealthProblem | None = None
    node, dpu, uid = view.node, view.name, view.uid
    if condition.status == "False":
        words = _words(condition)
        if condition.type == _Operational.CRITICAL_PODS_READY:
            problem = CriticalServicesDown(node=node, dpu=dpu, uid=uid, **words)
        elif condition.type == _Operational.NON_CRITICAL_PODS_READY:
            problem = NonCriticalServicesDown(node=node, dpu=dpu, uid=uid, **words)
        else:
            problem = OperationalConditionFalse(node=node, dpu=dpu, uid=uid, type=condition.type, **words)
    elif condition.status != "True":
        return _unknown(view, condition.type, condition)
    return Reading(condition.type, problem, _stamp(condition))


def _unknown(view: DPUView, about: str, condition: ConditionRecord | None) -> Reading:
    problem = HealthUnknown(node=view.node, dpu=view.name, uid=view.uid, about=about, **_words(condition))
    return Reading(f"known {about}", problem, _stamp(condition))


def _unreadably(health: DPUHealth, obj: Undecodable | None) -> DPUHealth:
    if obj is None:
        return health
    problem = HealthUnknown(
        node=health.node, dpu=health.dpu, uid=health.uid, about=READABLE, message=obj.error
    )
    reading = Reading(f"known {READABLE}", problem, "")
    return DPUHealth(
        health.node, health.dpu, health.uid, health.phase, health.device, (*health.readings, reading)
    )


class _Words(TypedDict):
    reason: str
    message: str


def _words(condition: ConditionRecord | None) -> _Words:
    if condition is None:
        return {"reason": "", "message": ""}
    return {"reason": condition.reason or "", "message": condition.message or ""}


def _stamp(condition: ConditionRecord | None) -> str:
    return (condition.last_transition_time or "") if condition is not None else ""


def _essence(problem: HealthProblem | None) -> tuple[str, str] | None:
    if problem is None:
        return None
    return aspect_of(problem), problem.why if isinstance(problem, LeftReady) else ""

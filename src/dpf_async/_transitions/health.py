"""What is wrong with a DPU, and whether its host can be used: frozen values, read from one view. Pure.

Health has aspects, such as the phase, or the critical services. About each at most one problem stands at a time. What
nobody can say at the moment is a problem of its own, HealthUnknown: it makes nothing good, and nothing bad.

Source: dpf-facts 2.3 (conditions), 11 (what moves a DPU out of Ready), requirement flow 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypedDict, overload

from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.models import DPU, DPUPhase, known

if TYPE_CHECKING:
    from dpf_async._api.records import ConditionRecord

_Operational = known.OperationalCondition

PHASE: Final = "phase"
READABLE: Final = "readable"


class NotReadyBecause(StrEnum):
    """Why a DPU is not in phase Ready."""

    PROVISIONING = "provisioning"
    """It is on its way to its first Ready."""
    NODE_EFFECT = "node effect"
    """It was Ready and is in Node Effect.

    The requirement reads this as "critical services are down" (flow 5.2). The operator of v26.4 does it when a
    disruptive service or chain was *changed*, and stays there until the node effect was applied: with a hold, until
    somebody releases it. By both readings the host is not to be used, from this moment on.
    """
    RETURNING = "returning"
    """It was Ready and is on its way back there, for new labels or after a Node Effect. Nobody is asked."""
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
        flaps: how often this aspect of the DPU came and went since this reader was last told of it.
    """

    node: str
    dpu: str
    uid: str
    reason: str = ""
    message: str = ""
    flaps: int = 0

    @property
    def aspect(self) -> str:
        """What of the DPU it is about: "phase", the type of a condition, or "readable"."""
        raise NotImplementedError

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.reason, self.message) if part)
        return f"DPU {self.dpu} {self._what()}{f' ({said})' if said else ''}"

    def _what(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUNotReady(DPUProblem):
    """A DPU is not in phase Ready, or is being deleted.

    Attributes:
        why: the kind of reason. Phases that pass while it stays the same are told by `transitions()` only.
        phase: the phase it was in when this was told.
    """

    why: NotReadyBecause
    phase: DPUPhase

    @property
    def aspect(self) -> str:
        return PHASE

    def _what(self) -> str:
        return f"is in {f'phase {self.phase}' if self.phase else 'no phase'}, {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNodeNotReady(DPUProblem):
    """The DPU's Node in the DPUCluster is not ready. Its phase stays Ready; condition Ready is False."""

    @property
    def aspect(self) -> str:
        return known.DPUCondition.READY

    def _what(self) -> str:
        return "is not ready as a Node of its DPUCluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalServicesDown(DPUProblem):
    """Pods of services that are labelled critical do not run. The phase stays Ready."""

    @property
    def aspect(self) -> str:
        return _Operational.CRITICAL_PODS_READY

    def _what(self) -> str:
        return "does not run all its critical services"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonCriticalServicesDown(DPUProblem):
    """Pods of other services do not run. The host can be used."""

    @property
    def aspect(self) -> str:
        return _Operational.NON_CRITICAL_PODS_READY

    def _what(self) -> str:
        return "does not run all its other services"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalConditionFalse(DPUProblem):
    """Another operational condition is False: interfaces, chains, problems of the Node, or one of a newer release.

    `type` is the condition's; the summary OperationalReady only where no other condition explains it.
    """

    type: str

    @property
    def aspect(self) -> str:
        return self.type

    def _what(self) -> str:
        return f"says that {self.type} is False"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthUnknown(DPUProblem):
    """Nobody can say at the moment.

    `about` is the type of a condition that is Unknown or was not reported yet, or "readable" where the DPU itself
    cannot be read.
    """

    about: str

    @property
    def aspect(self) -> str:
        return self.about

    def _what(self) -> str:
        return "cannot be read" if self.about == READABLE else f"says nothing certain about {self.about}"


HealthProblem = (
    DPUNotReady
    | KubeNodeNotReady
    | CriticalServicesDown
    | NonCriticalServicesDown
    | OperationalConditionFalse
    | HealthUnknown
)
"""One thing that is wrong with one DPU."""

_Disabling = DPUNotReady | KubeNodeNotReady | CriticalServicesDown
"""Problems with which a host cannot be used."""

_ESSENTIAL: Final = frozenset((PHASE, known.DPUCondition.READY, _Operational.CRITICAL_PODS_READY))
"""Aspects that must be known to be good before a host is used."""


@dataclass(frozen=True, slots=True)
class DPUHealth:
    """The health of one DPU.

    Attributes:
        aspects: the problem with each aspect that can be spoken of, None where it is good; the gravest first.
    """

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    device: str
    aspects: Mapping[str, HealthProblem | None]

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """What is wrong, the gravest first."""
        return tuple(problem for problem in self.aspects.values() if problem is not None)

    @property
    def healthy(self) -> bool:
        """Nothing is wrong, and nothing is unknown."""
        return not self.problems

    @property
    def usable(self) -> bool | None:
        """Ready, with its Node and its critical services; None where that is not known."""
        if any(isinstance(problem, _Disabling) for problem in self.aspects.values()):
            return False
        good = {aspect for aspect, problem in self.aspects.items() if problem is None}
        return True if good >= _ESSENTIAL else None


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The health of a host: of all its DPUs.

    Attributes:
        node: name of the DPUNode.
        uid: of the DPUNode; empty if there is none.
        dpus: its DPUs, by name.
        missing: devices that it lists and that have no DPU.
        terminating: its deletion was asked for.
        usable: every device has a DPU and every DPU can be used; None where that is not known. What a stream or a
            monitor says is what it last told, and does not become None again.
    """

    node: str
    uid: str
    dpus: tuple[DPUHealth, ...]
    missing: tuple[str, ...]
    terminating: bool
    usable: bool | None

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """What is wrong with its DPUs."""
        return tuple(problem for dpu in self.dpus for problem in dpu.problems)

    @property
    def healthy(self) -> bool:
        """It can be used, nothing is wrong, and nothing is unknown."""
        return self.usable is True and not self.problems

    def __str__(self) -> str:
        word = {True: "can be used", False: "cannot be used", None: "is not known to be usable"}[self.usable]
        reasons = [str(problem) for problem in self.problems]
        reasons += [f"DPUDevice {device} has no DPU" for device in self.missing]
        if self.terminating:
            reasons.append("it is being deleted")
        return f"DPUNode {self.node} {word}{': ' + '; '.join(reasons) if reasons else ''}"


@overload
def health_of(view: DPUView) -> DPUHealth: ...


@overload
def health_of(view: NodeView) -> NodeHealth: ...


@overload
def health_of(view: DPUView | NodeView) -> DPUHealth | NodeHealth: ...


def health_of(view: DPUView | NodeView) -> DPUHealth | NodeHealth:
    """What can be said of the health of a DPU, or of a host, from one view of it."""
    if isinstance(view, DPUView):
        return DPUHealth(view.node, view.name, view.uid, view.phase, view.device, _aspects(_problems(view)))
    unreadable = {obj.uid: obj for obj in view.unreadable if obj.kind is DPU}
    dpus = [health_of(dpu) for dpu in view.dpus if dpu.uid not in unreadable]
    last_read = {dpu.uid: health_of(dpu) for dpu in view.dpus if dpu.uid in unreadable}
    for uid, obj in unreadable.items():
        problem = HealthUnknown(node=view.name, dpu=obj.name, uid=uid, about=READABLE, message=obj.error)
        before = last_read.get(uid)
        aspects = {**(before.aspects if before is not None else {}), READABLE: problem}
        phase, device = (before.phase, before.device) if before is not None else (DPUPhase(""), "")
        dpus.append(DPUHealth(view.name, obj.name, uid, phase, device, MappingProxyType(aspects)))
    dpus.sort(key=lambda dpu: dpu.dpu)
    carried = {dpu.device.lower() for dpu in dpus}
    # A DPU that never could be read may be any device's.
    certain = all(dpu.device for dpu in dpus)
    missing = tuple(name for name in view.device_names if name.lower() not in carried) if certain else ()
    return NodeHealth(
        node=view.name,
        uid=view.uid,
        dpus=tuple(dpus),
        missing=missing,
        terminating=view.terminating,
        usable=node_usable(view.uid, dpus, missing, terminating=view.terminating),
    )


def node_usable(
    uid: str, dpus: Iterable[DPUHealth], missing: Iterable[str], *, terminating: bool
) -> bool | None:
    """Whether a host can be used: no unless it exists, with a usable DPU for every device."""
    answers = {dpu.usable for dpu in dpus}
    if not uid or terminating or any(True for _ in missing) or not answers or False in answers:
        return False
    return None if None in answers else True


def same_problem(one: HealthProblem | None, other: HealthProblem | None) -> bool:
    """Whether two values speak of the same: messages that count pods, and phases that pass, make no other problem."""
    if one is None or other is None:
        return one is other
    if isinstance(one, DPUNotReady) and isinstance(other, DPUNotReady):
        return one.why is other.why
    return type(one) is type(other) and one.aspect == other.aspect


class _Who(TypedDict):
    node: str
    dpu: str
    uid: str


class _Words(TypedDict):
    reason: str
    message: str


_GRAVITY: Final = (_Operational.CRITICAL_PODS_READY, _Operational.NON_CRITICAL_PODS_READY)

_SILENT: Final = frozenset(
    (NotReadyBecause.PROVISIONING, NotReadyBecause.FAILED, NotReadyBecause.TERMINATING)
)


def only_the_phase_counts(problem: HealthProblem | None) -> bool:
    """What a DPU runs, or does not, while it is installed, broken or on its way out, is no news."""
    return isinstance(problem, DPUNotReady) and problem.why in _SILENT


def _aspects(
    problems: Iterable[tuple[str, HealthProblem | None]],
) -> Mapping[str, HealthProblem | None]:
    return MappingProxyType(dict(problems))


def _problems(view: DPUView) -> Iterator[tuple[str, HealthProblem | None]]:
    who = _Who(node=view.node, dpu=view.name, uid=view.uid)
    phase = _not_ready(view, who)
    yield PHASE, phase
    if only_the_phase_counts(phase):
        return
    yield known.DPUCondition.READY, _kube_node(view.condition(known.DPUCondition.READY), who)
    yield from _operational(view, who)


def _not_ready(view: DPUView, who: _Who) -> DPUNotReady | None:
    phase = view.phase
    said = next((one for one in reversed(view.conditions) if one.status == "False"), None)
    if view.terminating or phase == DPUPhase.DELETING:
        why = NotReadyBecause.TERMINATING
    elif phase == DPUPhase.READY:
        return None
    elif phase == DPUPhase.ERROR:
        why, said = NotReadyBecause.FAILED, view.failure
    elif not _was_ready(view):
        why = NotReadyBecause.PROVISIONING
    elif phase == DPUPhase.NODE_EFFECT:
        why = NotReadyBecause.NODE_EFFECT
    else:
        why = NotReadyBecause.RETURNING
    return DPUNotReady(**who, why=why, phase=phase, **_words(said))


def _was_ready(view: DPUView) -> bool:
    """Only phase Ready writes the condition, and nothing takes it away again (dpf-facts 2.3)."""
    return view.condition(known.DPUCondition.READY) is not None


def _kube_node(condition: ConditionRecord | None, who: _Who) -> HealthProblem | None:
    if condition is not None and condition.status == "True":
        return None
    if condition is not None and condition.status == "False":
        return KubeNodeNotReady(**who, **_words(condition))
    return HealthUnknown(**who, about=known.DPUCondition.READY, **_words(condition))


def _operational(view: DPUView, who: _Who) -> Iterator[tuple[str, HealthProblem | None]]:
    said = {condition.type: condition for condition in view.operational_conditions}
    summary = said.pop(_Operational.OPERATIONAL_READY, None)
    if _Operational.CRITICAL_PODS_READY not in said:
        # Without it nobody has looked at the services, whatever a summary over less says (requirement, flow 3).
        about = _Operational.CRITICAL_PODS_READY
        yield about, HealthUnknown(**who, about=about, **_words(summary))
    gravest = [type_ for type_ in _GRAVITY if type_ in said]
    for type_ in (*gravest, *sorted(said.keys() - {*gravest})):
        yield type_, _one(said[type_], who)
    if summary is not None:
        explained = summary.status != "False" or any(one.status != "True" for one in said.values())
        yield summary.type, None if explained else _one(summary, who)


def _one(condition: ConditionRecord, who: _Who) -> HealthProblem | None:
    words = _words(condition)
    if condition.status == "True":
        return None
    if condition.status != "False":
        return HealthUnknown(**who, about=condition.type, **words)
    if condition.type == _Operational.CRITICAL_PODS_READY:
        return CriticalServicesDown(**who, **words)
    if condition.type == _Operational.NON_CRITICAL_PODS_READY:
        return NonCriticalServicesDown(**who, **words)
    return OperationalConditionFalse(**who, type=condition.type, **words)


def _words(condition: ConditionRecord | None) -> _Words:
    if condition is None:
        return {"reason": "", "message": ""}
    return {"reason": condition.reason or "", "message": condition.message or ""}

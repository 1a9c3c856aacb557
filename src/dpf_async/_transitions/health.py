"""Health: the problems of a DPU, and whether its host can be used, as frozen values read from one view. Pure.

Health has aspects, such as the phase or the critical services; each aspect has at most one problem at a time. An aspect
whose state cannot be determined has the problem HealthUnknown, which makes a host neither usable nor unusable.

Source: docs/dpf/conditions.md#dpu-conditions, docs/dpf/health.md#leaving-ready.
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
    """It has not been Ready yet."""
    NODE_EFFECT = "node effect"
    """It was Ready and is in Node Effect.

    The requirement interprets this as "critical services are down" (flow 5.2). The operator of v26.4 enters the phase
    when a disruptive service or chain was *changed*, and remains in it until the node effect was applied: with a hold,
    until a client releases it. In both interpretations the host must not be used from now on.
    """
    RETURNING = "returning"
    """It was Ready and returns to Ready, for new labels or after Node Effect, without a request to a client."""
    FAILED = "failed"
    """Phase Error: it must be reprovisioned."""
    TERMINATING = "terminating"
    """It is being deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUProblem:
    """Base of all problems of a DPU.

    Attributes:
        node: name of its DPUNode.
        dpu: its name.
        uid: its uid.
        reason: of the condition that explains the problem best; empty if no condition does.
        message: of the same condition.
        flaps: times that this aspect changed to a state other than the reported one and back, since the last report to
            this reader.
    """

    node: str
    dpu: str
    uid: str
    reason: str = ""
    message: str = ""
    flaps: int = 0

    @property
    def aspect(self) -> str:
        """The aspect with the problem: "phase", the type of a condition, or "readable"."""
        raise NotImplementedError

    def __str__(self) -> str:
        detail = ": ".join(part for part in (self.reason, self.message) if part)
        return f"DPU {self.dpu} {self._describe()}{f' ({detail})' if detail else ''}"

    def _describe(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUNotReady(DPUProblem):
    """A DPU is not in phase Ready, or is being deleted.

    Attributes:
        why: the kind of reason. Phase changes with the same reason are reported by `transitions()` only.
        phase: the phase at the time of the report.
    """

    why: NotReadyBecause
    phase: DPUPhase

    @property
    def aspect(self) -> str:
        return PHASE

    def _describe(self) -> str:
        return f"is in {f'phase {self.phase}' if self.phase else 'no phase'}, {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNodeNotReady(DPUProblem):
    """The Node of the DPU in the DPUCluster is not ready. The phase remains Ready; condition Ready is False."""

    @property
    def aspect(self) -> str:
        return known.DPUCondition.READY

    def _describe(self) -> str:
        return "is not ready as a Node of its DPUCluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalServicesDown(DPUProblem):
    """Pods of critical services do not run. The phase remains Ready."""

    @property
    def aspect(self) -> str:
        return _Operational.CRITICAL_PODS_READY

    def _describe(self) -> str:
        return "does not run all of its critical services"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonCriticalServicesDown(DPUProblem):
    """Pods of other services do not run. The host can be used."""

    @property
    def aspect(self) -> str:
        return _Operational.NON_CRITICAL_PODS_READY

    def _describe(self) -> str:
        return "does not run all of its other services"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalConditionFalse(DPUProblem):
    """Another operational condition is False: interfaces, chains, problems of the Node, or one of a newer release.

    `type` is the type of the condition. The summary OperationalReady is reported only where no other one explains it.
    """

    type: str

    @property
    def aspect(self) -> str:
        return self.type

    def _describe(self) -> str:
        return f"reports {self.type} False"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthUnknown(DPUProblem):
    """The state of an aspect cannot be determined at the moment.

    `about` is the type of a condition that is Unknown or was not reported yet, or "readable" if the DPU cannot be
    decoded.
    """

    about: str

    @property
    def aspect(self) -> str:
        return self.about

    def _describe(self) -> str:
        return (
            "cannot be decoded" if self.about == READABLE else f"does not report the status of {self.about}"
        )


HealthProblem = (
    DPUNotReady
    | KubeNodeNotReady
    | CriticalServicesDown
    | NonCriticalServicesDown
    | OperationalConditionFalse
    | HealthUnknown
)
"""One problem of one DPU."""

_Disabling = DPUNotReady | KubeNodeNotReady | CriticalServicesDown
"""Problems with which a host cannot be used."""

_ESSENTIAL: Final = frozenset((PHASE, known.DPUCondition.READY, _Operational.CRITICAL_PODS_READY))
"""Aspects that must be determined, without a problem, for a DPU to be usable."""


@dataclass(frozen=True, slots=True)
class DPUHealth:
    """The health of one DPU.

    Attributes:
        aspects: the problem of each aspect that applies in this phase, None if it has none; the most severe first.
    """

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    device: str
    aspects: Mapping[str, HealthProblem | None]

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """The problems, the most severe first."""
        return tuple(problem for problem in self.aspects.values() if problem is not None)

    @property
    def healthy(self) -> bool:
        """No aspect has a problem, and none is unknown."""
        return not self.problems

    @property
    def usable(self) -> bool | None:
        """Ready, with its Node and its critical services up; None if that cannot be determined."""
        if any(isinstance(problem, _Disabling) for problem in self.aspects.values()):
            return False
        good = {aspect for aspect, problem in self.aspects.items() if problem is None}
        return True if good >= _ESSENTIAL else None


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The health of a host: the health of all its DPUs.

    Attributes:
        node: name of the DPUNode.
        uid: of the DPUNode; empty if it does not exist.
        dpus: its DPUs, by name.
        missing: devices that it lists and that have no DPU.
        terminating: it is being deleted.
        usable: every device has a DPU and every DPU is usable; None if that cannot be determined. In values of a stream
            or a monitor it is the last reported value, which does not become None again.
    """

    node: str
    uid: str
    dpus: tuple[DPUHealth, ...]
    missing: tuple[str, ...]
    terminating: bool
    usable: bool | None

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """The problems of its DPUs."""
        return tuple(problem for dpu in self.dpus for problem in dpu.problems)

    @property
    def healthy(self) -> bool:
        """It is usable, and no aspect of its DPUs has a problem or is unknown."""
        return self.usable is True and not self.problems

    def __str__(self) -> str:
        usable = {True: "can be used", False: "cannot be used", None: "is not known to be usable"}[
            self.usable
        ]
        reasons = [str(problem) for problem in self.problems]
        reasons += [f"DPUDevice {device} has no DPU" for device in self.missing]
        if self.terminating:
            reasons.append("it is being deleted")
        return f"DPUNode {self.node} {usable}{': ' + '; '.join(reasons) if reasons else ''}"


@overload
def health_of(view: DPUView) -> DPUHealth: ...


@overload
def health_of(view: NodeView) -> NodeHealth: ...


@overload
def health_of(view: DPUView | NodeView) -> DPUHealth | NodeHealth: ...


def health_of(view: DPUView | NodeView) -> DPUHealth | NodeHealth:
    """Return the health of a DPU, or of a host, from one view of it."""
    if isinstance(view, DPUView):
        return DPUHealth(
            view.node, view.name, view.uid, view.phase, view.device, MappingProxyType(dict(_problems(view)))
        )
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
    with_dpu = {dpu.device.lower() for dpu in dpus}
    # A DPU that could never be decoded may belong to any device.
    certain = all(dpu.device for dpu in dpus)
    missing = tuple(name for name in view.device_names if name.lower() not in with_dpu) if certain else ()
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
    """Whether a host can be used: it exists, is not being deleted, and has a usable DPU for every device."""
    usable = {dpu.usable for dpu in dpus}
    if not uid or terminating or any(True for _ in missing) or not usable or False in usable:
        return False
    return None if None in usable else True


def same_problem(one: HealthProblem | None, other: HealthProblem | None) -> bool:
    """Whether two values are reports of one problem: other messages, pod counts or phases make no new problem."""
    if one is None or other is None:
        return one is other
    if isinstance(one, DPUNotReady) and isinstance(other, DPUNotReady):
        return one.why is other.why
    return type(one) is type(other) and one.aspect == other.aspect


class _Identity(TypedDict):
    node: str
    dpu: str
    uid: str


class _Explanation(TypedDict):
    reason: str
    message: str


_BY_SEVERITY: Final = (_Operational.CRITICAL_PODS_READY, _Operational.NON_CRITICAL_PODS_READY)

_PHASE_ONLY: Final = frozenset(
    (NotReadyBecause.PROVISIONING, NotReadyBecause.FAILED, NotReadyBecause.TERMINATING)
)


def only_the_phase_counts(problem: HealthProblem | None) -> bool:
    """Aspects other than the phase do not apply while a DPU is installed, has failed or is being deleted."""
    return isinstance(problem, DPUNotReady) and problem.why in _PHASE_ONLY


def _problems(view: DPUView) -> Iterator[tuple[str, HealthProblem | None]]:
    dpu = _Identity(node=view.node, dpu=view.name, uid=view.uid)
    phase = _not_ready(view, dpu)
    yield PHASE, phase
    if only_the_phase_counts(phase):
        return
    yield known.DPUCondition.READY, _kube_node(view.condition(known.DPUCondition.READY), dpu)
    yield from _operational(view, dpu)


def _not_ready(view: DPUView, dpu: _Identity) -> DPUNotReady | None:
    phase = view.phase
    cause = next((one for one in reversed(view.conditions) if one.status == "False"), None)
    if view.terminating or phase == DPUPhase.DELETING:
        why = NotReadyBecause.TERMINATING
    elif phase == DPUPhase.READY:
        return None
    elif phase == DPUPhase.ERROR:
        why, cause = NotReadyBecause.FAILED, view.failure
    elif not _was_ready(view):
        why = NotReadyBecause.PROVISIONING
    elif phase == DPUPhase.NODE_EFFECT:
        why = NotReadyBecause.NODE_EFFECT
    else:
        why = NotReadyBecause.RETURNING
    return DPUNotReady(**dpu, why=why, phase=phase, **_explanation(cause))


def _was_ready(view: DPUView) -> bool:
    """Only phase Ready writes the condition, and no phase removes it (docs/dpf/conditions.md#writing-rules)."""
    return view.condition(known.DPUCondition.READY) is not None


def _kube_node(condition: ConditionRecord | None, dpu: _Identity) -> HealthProblem | None:
    if condition is not None and condition.status == "True":
        return None
    if condition is not None and condition.status == "False":
        return KubeNodeNotReady(**dpu, **_explanation(condition))
    return HealthUnknown(**dpu, about=known.DPUCondition.READY, **_explanation(condition))


def _operational(view: DPUView, dpu: _Identity) -> Iterator[tuple[str, HealthProblem | None]]:
    conditions = {condition.type: condition for condition in view.operational_conditions}
    summary = conditions.pop(_Operational.OPERATIONAL_READY, None)
    if _Operational.CRITICAL_PODS_READY not in conditions:
        # Without this condition the services were not checked, even if the summary of other conditions is True.
        about = _Operational.CRITICAL_PODS_READY
        yield about, HealthUnknown(**dpu, about=about, **_explanation(summary))
    first = [type_ for type_ in _BY_SEVERITY if type_ in conditions]
    for type_ in (*first, *sorted(conditions.keys() - {*first})):
        yield type_, _operational_problem(conditions[type_], dpu)
    if summary is not None:
        explained = summary.status != "False" or any(one.status != "True" for one in conditions.values())
        yield summary.type, None if explained else _operational_problem(summary, dpu)


def _operational_problem(condition: ConditionRecord, dpu: _Identity) -> HealthProblem | None:
    explanation = _explanation(condition)
    if condition.status == "True":
        return None
    if condition.status != "False":
        return HealthUnknown(**dpu, about=condition.type, **explanation)
    if condition.type == _Operational.CRITICAL_PODS_READY:
        return CriticalServicesDown(**dpu, **explanation)
    if condition.type == _Operational.NON_CRITICAL_PODS_READY:
        return NonCriticalServicesDown(**dpu, **explanation)
    return OperationalConditionFalse(**dpu, type=condition.type, **explanation)


def _explanation(condition: ConditionRecord | None) -> _Explanation:
    if condition is None:
        return {"reason": "", "message": ""}
    return {"reason": condition.reason or "", "message": condition.message or ""}

"""Health transitions of one reader, with damping. Pure: time is an argument, in seconds on any steady clock.

HealthNotifier keeps, for each aspect of each DPU, the problem that was last reported to this reader, and the current
one with the time since which it exists. Memory is per object, never per event.

Damping works on episodes. The episode of a problem begins when the problem occurs and ends when it has been absent for
`up_after` seconds; shorter absences are ignored. The problem is reported when its episode has lasted `down_after`
seconds. Thus a brief problem is not reported, and a service that crashes every minute is reported once, and its
recovery once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from dpf_async._transitions.health import (
    PHASE,
    READABLE,
    DPUHealth,
    DPUNotReady,
    HealthProblem,
    NodeHealth,
    NotReadyBecause,
    health_of,
    node_usable,
    only_the_phase_counts,
    same_problem,
)
from dpf_async._transitions.transitions import DPUGone, DPUReplaced, NodeGone
from dpf_async._transitions.views import NodeView, as_last_read


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A problem is over. Others may remain: a DPU without any is reported as DPUHealthy.

    Attributes:
        was: the problem that was last reported for this aspect of the DPU.
        flaps: times that it was absent and occurred again since that report.
    """

    node: str
    dpu: str
    uid: str
    was: HealthProblem
    flaps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUHealthy:
    """A DPU has no problem, and no aspect of it is unknown."""

    node: str
    dpu: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StillUnhealthy:
    """A problem remains `seconds` after it was reported. Reported once per report of a problem."""

    node: str
    dpu: str
    uid: str
    problem: HealthProblem
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsable:
    """A host can be used: every device has a DPU, and each DPU is Ready with its Node and critical services up."""

    node: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUnusable:
    """A host must not be used.

    Attributes:
        problems: the problems of its DPUs that were reported to this reader.
        missing: devices that have no DPU.
        terminating: it is being deleted.
    """

    node: str
    uid: str
    problems: tuple[HealthProblem, ...] = ()
    missing: tuple[str, ...] = ()
    terminating: bool = False


HealthTransition = (
    HealthProblem
    | StillUnhealthy
    | Recovered
    | DPUHealthy
    | DPUReplaced
    | DPUGone
    | NodeUsable
    | NodeUnusable
    | NodeGone
)


@dataclass(frozen=True, slots=True)
class Damping:
    """Delays of reports, in seconds; see the docstring of this module.

    Attributes:
        down_after: a problem is reported when its episode has lasted this long.
        up_after: an episode ends, and recovery is reported, when the problem has been absent this long.
        still_after: a problem that remains this long after its report is reported as StillUnhealthy; infinite: never.
    """

    down_after: float = 0.0
    up_after: float = 0.0
    still_after: float = math.inf

    def delay(self, problem: HealthProblem) -> float:
        """Seconds before a problem is reported: 0 for decisions of the operator such as Node Effect or Error.

        These do not flap; only RETURNING is damped like the other problems.
        """
        decided = isinstance(problem, DPUNotReady) and problem.why is not NotReadyBecause.RETURNING
        return 0.0 if decided else self.down_after


@dataclass(slots=True)
class _Aspect:
    """One aspect of one DPU."""

    now: HealthProblem | None
    """The current problem."""
    since: float
    """When the current problem, or its absence, began; other messages of the same problem do not change it."""
    episode_began: float = -math.inf
    """When the current or last episode began."""
    is_known: bool = False
    """A state of this aspect was reported, also if it had no problem. The first report is not damped."""
    reported: HealthProblem | None = None
    reported_at: float = 0.0
    flaps: int = 0
    still_reported: bool = False
    """StillUnhealthy was reported for `reported`."""

    def observe(self, problem: HealthProblem | None, now: float, up_after: float) -> None:
        """Record the state at this time."""
        if same_problem(problem, self.now):
            self.now = problem
            return
        if (problem is None) != (self.now is None) and (problem is None) == (self.reported is None):
            # Back to the reported state: the state in between was not reported.
            self.flaps += 1
        if self.now is None and (self.episode_began == -math.inf or now - self.since >= up_after):
            self.episode_began = now
        self.now, self.since = problem, now

    def due(self, damping: Damping) -> float:
        """When the next report is due if the state does not change."""
        if not self.is_known:
            return -math.inf
        if self.now is None:
            return math.inf if self.reported is None else self.since + damping.up_after
        delay = damping.delay(self.now)
        if self.reported is None:
            return self.episode_began + delay
        if not same_problem(self.reported, self.now):
            return self.since + delay
        return math.inf if self.still_reported else self.reported_at + damping.still_after

    def report(self, now: float) -> HealthProblem | Recovered | StillUnhealthy | None:
        """Return the report that is due and record it; None if the aspect had no problem from the beginning."""
        self.is_known = True
        was, flaps, at = self.reported, self.flaps, self.reported_at
        if was is not None and same_problem(was, self.now):
            self.still_reported = True
            return StillUnhealthy(node=was.node, dpu=was.dpu, uid=was.uid, problem=was, seconds=now - at)
        self.reported = None if self.now is None else replace(self.now, flaps=flaps)
        self.reported_at, self.flaps, self.still_reported = now, 0, False
        if self.reported is None and was is not None:
            return Recovered(node=was.node, dpu=was.dpu, uid=was.uid, was=was, flaps=flaps)
        return self.reported


@dataclass(slots=True)
class _DPU:
    health: DPUHealth
    aspects: dict[str, _Aspect] = field(default_factory=dict)
    healthy_reported: bool = False

    def observe(self, health: DPUHealth, now: float, up_after: float) -> None:
        self.health = health
        phase = health.aspects.get(PHASE)
        for name, aspect in self.aspects.items():
            # An aspect that is not present any more has no problem, unless only the phase applies now.
            if name not in health.aspects and (name == READABLE or not only_the_phase_counts(phase)):
                aspect.observe(None, now, up_after)
        for name, problem in health.aspects.items():
            self.aspects.setdefault(name, _Aspect(problem, now)).observe(problem, now, up_after)

    def next(
        self, now: float, damping: Damping
    ) -> HealthProblem | Recovered | StillUnhealthy | DPUHealthy | None:
        for aspect in self.aspects.values():
            if aspect.due(damping) <= now and (transition := aspect.report(now)) is not None:
                self.healthy_reported = False
                return transition
        if self.healthy_reported or any(one.reported or one.now for one in self.aspects.values()):
            return None
        self.healthy_reported = True
        return DPUHealthy(node=self.health.node, dpu=self.health.dpu, uid=self.health.uid)

    def due(self, damping: Damping) -> float:
        return min((aspect.due(damping) for aspect in self.aspects.values()), default=math.inf)

    @property
    def is_known(self) -> bool:
        """A state of this DPU was reported."""
        return any(aspect.is_known for aspect in self.aspects.values())

    @property
    def reported(self) -> DPUHealth:
        """The health of the DPU as it was reported."""
        aspects = {name: aspect.reported for name, aspect in self.aspects.items() if aspect.is_known}
        return replace(self.health, aspects=MappingProxyType(aspects))


@dataclass(slots=True)
class _Node:
    view: NodeView | None = None
    health: NodeHealth | None = None
    uid: str = ""
    """Uid of the DPUNode of the last report."""
    dpus: dict[str, _DPU] = field(default_factory=dict)
    gone: dict[str, _DPU] = field(default_factory=dict)
    """DPUs that were deleted or replaced, which was not reported yet."""
    usable: bool | None = None


class HealthNotifier:
    """The health of hosts as it was reported to one reader, and the reports that are due."""

    def __init__(self, damping: Damping | None = None) -> None:
        self._damping = damping or Damping()
        self._nodes: dict[str, _Node] = {}

    def knows(self, name: str) -> bool:
        """This host is tracked: it was observed, and its deletion was not reported yet."""
        return name in self._nodes

    def reported(self, name: str) -> NodeHealth | None:
        """The health of a host as it was reported; None if no such host was reported, or its deletion was."""
        node = self._nodes.get(name)
        if node is None or node.health is None:
            return None
        dpus = tuple(dpu.reported for _, dpu in sorted(node.dpus.items()))
        return replace(node.health, dpus=dpus, usable=node.usable)

    def observe(self, name: str, view: NodeView | None, now: float) -> None:
        """Record the view of a host at this time; None if it does not exist or is not selected by this reader."""
        if view is None and name not in self._nodes:
            return
        node = self._nodes.setdefault(name, _Node())
        node.view = None if view is None else as_last_read(node.view, view)
        node.health = None if node.view is None else health_of(node.view)
        current = {dpu.dpu: dpu for dpu in node.health.dpus} if node.health is not None else {}
        for dpu_name, dpu in list(node.dpus.items()):
            if dpu_name not in current or current[dpu_name].uid != dpu.health.uid:
                del node.dpus[dpu_name]
                if dpu.is_known:
                    node.gone.setdefault(dpu_name, dpu)
        for dpu_name, health in current.items():
            if dpu_name in node.gone and node.gone[dpu_name].health.uid == health.uid:
                # It left the selection and returned before that was reported.
                node.dpus[dpu_name] = node.gone.pop(dpu_name)
            node.dpus.setdefault(dpu_name, _DPU(health)).observe(health, now, self._damping.up_after)

    def next(self, name: str, now: float) -> HealthTransition | None:
        """Return the next report of a host and record it as reported; None if no report is due at this time."""
        node = self._nodes.get(name)
        if node is None:
            return None
        transition = next(self._due_reports(name, node, now), None)
        if transition is None and node.view is None:
            del self._nodes[name]
        return transition

    def due(self, name: str) -> float:
        """When the next report of a host is due if it does not change; infinite if none is."""
        node = self._nodes.get(name)
        return (
            min((dpu.due(self._damping) for dpu in node.dpus.values()), default=math.inf)
            if node
            else math.inf
        )

    def _due_reports(self, name: str, node: _Node, now: float) -> Iterator[HealthTransition]:
        """Yield the reports that are due; each is recorded as reported before it is yielded."""
        for dpu_name, old in list(node.gone.items()):
            del node.gone[dpu_name]
            yield _deletion(name, old.health, node.dpus.get(dpu_name))
        for dpu in node.dpus.values():
            if (transition := dpu.next(now, self._damping)) is not None:
                yield transition
        health = node.health
        uid = health.uid if health is not None else ""
        if node.uid and uid != node.uid:
            old_uid, node.uid, node.usable = node.uid, "", None
            yield NodeGone(node=name, uid=old_uid, contiguous=False)
        if health is None or not uid:
            return
        node.uid = uid
        dpus = [dpu.reported for dpu in node.dpus.values()]
        usable = node_usable(uid, dpus, health.missing, terminating=health.terminating)
        if usable is None or usable is node.usable:
            return
        node.usable = usable
        if usable:
            yield NodeUsable(node=name, uid=uid)
        else:
            yield NodeUnusable(
                node=name,
                uid=uid,
                problems=tuple(problem for dpu in dpus for problem in dpu.problems),
                missing=health.missing,
                terminating=health.terminating,
            )


class Agenda:
    """The hosts to check next: those that changed, and those with a report that is due by time."""

    def __init__(self) -> None:
        self._now: dict[str, None] = {}
        self._at: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        """A heap; entries that are not in `_at` any more are skipped."""

    def add(self, name: str, at: float = -math.inf) -> None:
        """Check a host at this time, or at once by default."""
        if at == -math.inf:
            self._now[name] = None
        elif at < self._at.get(name, math.inf):
            self._at[name] = at
            heapq.heappush(self._order, (at, name))
            if len(self._order) > 2 * len(self._at) + 64:
                # Skipped entries would be memory per event.
                self._order = [(at, name) for name, at in self._at.items()]
                heapq.heapify(self._order)

    def first(self, now: float) -> str | None:
        """The host to check, until `done` is called for it; None if there is none at this time."""
        while self._order and self._order[0][0] <= now:
            at, name = heapq.heappop(self._order)
            if self._at.get(name) == at:
                del self._at[name]
                self._now[name] = None
        return next(iter(self._now), None)

    def done(self, name: str) -> None:
        """No report of this host is due at this time."""
        del self._now[name]

    @property
    def next_at(self) -> float:
        """When the next host is due by time; infinite if none is."""
        return self._order[0][0] if self._order else math.inf


def _deletion(node: str, old: DPUHealth, new: _DPU | None) -> DPUGone | DPUReplaced:
    # contiguous=False: states in between are reported by `transitions()` only.
    if new is None:
        return DPUGone(node=node, dpu=old.dpu, uid=old.uid, phase=old.phase, contiguous=False)
    return DPUReplaced(
        node=node,
        dpu=old.dpu,
        old_uid=old.uid,
        new_uid=new.health.uid,
        phase=new.health.phase,
        contiguous=False,
    )

"""What a reader of health is told, and who decides what it is told when. Pure: time is an argument.

HealthNotifier keeps, for each aspect of each DPU, what this reader was told and what is true since when. Memory is per
object, never per event.

Damping is about episodes. A problem's episode begins when it comes and ends when it has been gone for `up_after`
seconds: good spells shorter than that do not count. It is told when its episode has lasted `down_after` seconds. So a
brief trouble is never told, and a service that crashes every minute is told once, and once that it is over.
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
from dpf_async._transitions.view import NodeView, as_last_read


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A problem is over. Others may stand: a DPU with none is told as DPUHealthy.

    Attributes:
        was: what was told last about this aspect of the DPU.
        flaps: how often it came back since then.
    """

    node: str
    dpu: str
    uid: str
    was: HealthProblem
    flaps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUHealthy:
    """Nothing is wrong with a DPU, and nothing unknown."""

    node: str
    dpu: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StillUnhealthy:
    """A problem has stood for `seconds` since it was told. ListenerAdapter once for each time a problem is told."""

    node: str
    dpu: str
    uid: str
    problem: HealthProblem
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsable:
    """Every device of a host has a DPU; each is Ready, with its Node and its critical services."""

    node: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUnusable:
    """A host is not to be used.

    Attributes:
        problems: all that are wrong with its DPUs, as far as this reader was told.
        missing: devices that have no DPU.
        terminating: its deletion was asked for.
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
    """How patient a reader is, in seconds; see this module's docstring."""

    down_after: float = 0.0
    up_after: float = 0.0
    still_after: float = math.inf

    def before_telling(self, problem: HealthProblem) -> float:
        """What the operator decided is told at once: a DPU does not flap in and out of Node Effect or Error."""
        decided = isinstance(problem, DPUNotReady) and problem.why is not NotReadyBecause.RETURNING
        return 0.0 if decided else self.down_after


@dataclass(slots=True)
class _Aspect:
    """One aspect of one DPU."""

    now: HealthProblem | None
    since: float
    """When it became so, whatever the words."""
    began: float = -math.inf
    """When the episode of the problem began that is there now, or was there last."""
    is_known: bool = False
    """The reader was told what stands, or that nothing does. What it finds first is not damped."""
    told: HealthProblem | None = None
    told_at: float = 0.0
    flaps: int = 0
    is_old: bool = False
    """That it still stands was told."""

    def see(self, problem: HealthProblem | None, now: float, up_after: float) -> None:
        """It is so now."""
        if same_problem(problem, self.now):
            self.now = problem
            return
        if (problem is None) != (self.now is None) and (problem is None) == (self.told is None):
            # Back to what was told last: whatever was in between was not.
            self.flaps += 1
        if self.now is None and (self.began == -math.inf or now - self.since >= up_after):
            self.began = now
        self.now, self.since = problem, now

    def due(self, damping: Damping) -> float:
        """From when on there is something to tell, if nothing changes."""
        if not self.is_known:
            return -math.inf
        if self.now is None:
            return math.inf if self.told is None else self.since + damping.up_after
        patience = damping.before_telling(self.now)
        if self.told is None:
            return self.began + patience
        if not same_problem(self.told, self.now):
            return self.since + patience
        return math.inf if self.is_old else self.told_at + damping.still_after

    def tell(self, now: float) -> HealthProblem | Recovered | StillUnhealthy | None:
        """What is due; None if that is only that nothing is wrong from the beginning."""
        self.is_known = True
        was, flaps, at = self.told, self.flaps, self.told_at
        if was is not None and same_problem(was, self.now):
            self.is_old = True
            return StillUnhealthy(node=was.node, dpu=was.dpu, uid=was.uid, problem=was, seconds=now - at)
        self.told = None if self.now is None else replace(self.now, flaps=flaps)
        self.told_at, self.flaps, self.is_old = now, 0, False
        if self.told is None and was is not None:
            return Recovered(node=was.node, dpu=was.dpu, uid=was.uid, was=was, flaps=flaps)
        return self.told


@dataclass(slots=True)
class _DPU:
    health: DPUHealth
    aspects: dict[str, _Aspect] = field(default_factory=dict)
    healthy_told: bool = False

    def see(self, health: DPUHealth, now: float, up_after: float) -> None:
        self.health = health
        phase = health.aspects.get(PHASE)
        for name, aspect in self.aspects.items():
            # What is not spoken of any more is no problem any more, unless nothing is spoken of in this phase.
            if name not in health.aspects and (name == READABLE or not only_the_phase_counts(phase)):
                aspect.see(None, now, up_after)
        for name, problem in health.aspects.items():
            self.aspects.setdefault(name, _Aspect(problem, now)).see(problem, now, up_after)

    def next(
        self, now: float, damping: Damping
    ) -> HealthProblem | Recovered | StillUnhealthy | DPUHealthy | None:
        for aspect in self.aspects.values():
            if aspect.due(damping) <= now and (transition := aspect.tell(now)) is not None:
                self.healthy_told = False
                return transition
        if self.healthy_told or any(one.told or one.now for one in self.aspects.values()):
            return None
        self.healthy_told = True
        return DPUHealthy(node=self.health.node, dpu=self.health.dpu, uid=self.health.uid)

    def due(self, damping: Damping) -> float:
        return min((aspect.due(damping) for aspect in self.aspects.values()), default=math.inf)

    @property
    def was_told_of(self) -> bool:
        """The reader knows that there is such a DPU."""
        return any(aspect.is_known for aspect in self.aspects.values())

    @property
    def told(self) -> DPUHealth:
        """Its health as the reader was told it."""
        aspects = {name: aspect.told for name, aspect in self.aspects.items() if aspect.is_known}
        return replace(self.health, aspects=MappingProxyType(aspects))


@dataclass(slots=True)
class _Node:
    view: NodeView | None = None
    health: NodeHealth | None = None
    uid: str = ""
    """The one that this reader takes the node for."""
    dpus: dict[str, _DPU] = field(default_factory=dict)
    gone: dict[str, _DPU] = field(default_factory=dict)
    """DPUs that are gone, or were replaced, and of which the reader was not told so yet."""
    usable: bool | None = None


class HealthNotifier:
    """What one reader was told of the health of hosts, and what it is to be told next."""

    def __init__(self, damping: Damping | None = None) -> None:
        self._damping = damping or Damping()
        self._nodes: dict[str, _Node] = {}

    def knows(self, name: str) -> bool:
        """Something of this host was seen."""
        return name in self._nodes

    def told(self, name: str) -> NodeHealth | None:
        """The health of a host as this reader was told it; None if it was told of no such host, or that it is gone."""
        node = self._nodes.get(name)
        if node is None or node.health is None:
            return None
        dpus = tuple(dpu.told for _, dpu in sorted(node.dpus.items()))
        return replace(node.health, dpus=dpus, usable=node.usable)

    def see(self, name: str, view: NodeView | None, now: float) -> None:
        """What is true of a host at this time; None if there is nothing, or nothing of this reader's concern."""
        if view is None and name not in self._nodes:
            return
        node = self._nodes.setdefault(name, _Node())
        node.view = None if view is None else as_last_read(node.view, view)
        node.health = None if node.view is None else health_of(node.view)
        seen = {dpu.dpu: dpu for dpu in node.health.dpus} if node.health is not None else {}
        for dpu_name, dpu in list(node.dpus.items()):
            if dpu_name not in seen or seen[dpu_name].uid != dpu.health.uid:
                del node.dpus[dpu_name]
                if dpu.was_told_of:
                    node.gone.setdefault(dpu_name, dpu)
        for dpu_name, health in seen.items():
            if dpu_name in node.gone and node.gone[dpu_name].health.uid == health.uid:
                # It left the selection and is back before anybody asked.
                node.dpus[dpu_name] = node.gone.pop(dpu_name)
            node.dpus.setdefault(dpu_name, _DPU(health)).see(health, now, self._damping.up_after)

    def next(self, name: str, now: float) -> HealthTransition | None:
        """The next thing to tell of a host, which is told with that; None if there is nothing at this time."""
        node = self._nodes.get(name)
        if node is None:
            return None
        transition = next(self._to_tell(name, node, now), None)
        if transition is None and node.view is None:
            del self._nodes[name]
        return transition

    def due(self, name: str) -> float:
        """When to ask about a host again if nothing changes; infinite if only news lead on."""
        node = self._nodes.get(name)
        return (
            min((dpu.due(self._damping) for dpu in node.dpus.values()), default=math.inf)
            if node
            else math.inf
        )

    def _to_tell(self, name: str, node: _Node, now: float) -> Iterator[HealthTransition]:
        """What there is to tell. Taking the first one is telling it."""
        for dpu_name, old in list(node.gone.items()):
            del node.gone[dpu_name]
            yield _farewell(name, old.health, node.dpus.get(dpu_name))
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
        dpus = [dpu.told for dpu in node.dpus.values()]
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
    """Which hosts to ask about: those of which something is new, and those whose time has come."""

    def __init__(self) -> None:
        self._now: dict[str, None] = {}
        self._at: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        """A heap; what is not in `_at` any more is passed over."""

    def add(self, name: str, at: float = -math.inf) -> None:
        """Ask about a host, at this time, or now."""
        if at == -math.inf:
            self._now[name] = None
        elif at < self._at.get(name, math.inf):
            self._at[name] = at
            heapq.heappush(self._order, (at, name))
            if len(self._order) > 2 * len(self._at) + 64:
                # Passed-over entries would be memory per event.
                self._order = [(at, name) for name, at in self._at.items()]
                heapq.heapify(self._order)

    def first(self, now: float) -> str | None:
        """The host to ask about, until it is `done`; None if there is none at this time."""
        while self._order and self._order[0][0] <= now:
            at, name = heapq.heappop(self._order)
            if self._at.get(name) == at:
                del self._at[name]
                self._now[name] = None
        return next(iter(self._now), None)

    def done(self, name: str) -> None:
        """There is nothing to tell about this host at this time."""
        del self._now[name]

    @property
    def next_at(self) -> float:
        """When to look again; infinite if nobody's time comes."""
        return self._order[0][0] if self._order else math.inf


def _farewell(node: str, old: DPUHealth, new: _DPU | None) -> DPUGone | DPUReplaced:
    # What happened in between is not followed here: `transitions()` does that.
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

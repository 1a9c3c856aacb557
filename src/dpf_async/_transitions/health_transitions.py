"""What a reader of health is told: a closed union of frozen values, and the one who decides what is to be told when.

Pure: time is an argument. `HealthTeller` keeps, for each DPU, what this reader was told and what is true; memory is
per object, never per event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dpf_async._transitions.health import (
    DPUHealth,
    HealthProblem,
    HealthUnknown,
    NodeHealth,
    all_of,
    as_last_known,
    aspect_of,
    health_of,
    same_problem,
    usable_by,
)
from dpf_async._transitions.transitions import DPUGone, DPUReplaced, NodeGone
from dpf_async._transitions.view import NodeView, as_last_read

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A problem is over. Others may stand: a DPU with none is told as DPUHealthy."""

    node: str
    dpu: str
    uid: str
    was: HealthProblem
    flaps: int = 0
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUHealthy:
    """Nothing is wrong with a DPU, and nothing unknown. Told again if it fell and rose unseen by a slow reader."""

    node: str
    dpu: str
    uid: str
    flaps: int = 0
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StillUnhealthy:
    """A problem that was told has stood for `seconds` since then, with the flaps it had. Told once per problem."""

    node: str
    dpu: str
    uid: str
    problem: HealthProblem
    seconds: float
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsable:
    """Every device of a host has a DPU; each is Ready, with its Node and its critical services."""

    node: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUnusable:
    """A host is not to be used.

    Attributes:
        problems: of its DPUs, as this reader was told them.
        missing: devices that have no DPU.
        terminating: its deletion was asked for.
    """

    node: str
    uid: str
    problems: tuple[HealthProblem, ...] = ()
    missing: tuple[str, ...] = ()
    terminating: bool = False
    contiguous: bool = True


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


def derive_health(before: NodeView | None, after: NodeView | None) -> Iterator[HealthTransition]:
    """What an undamped reader is told of a host: between two views, or of what stands if there is none before."""
    teller = HealthTeller()
    name = next((view.name for view in (after, before) if view is not None), "")
    for view, told in ((before, False), (after, True)):
        teller.see(name, view, 0.0)
        while (transition := teller.next(name, 0.0)[0]) is not None:
            teller.told(name, transition, 0.0)
            if told:
                yield transition


@dataclass(slots=True)
class _Aspect:
    """One aspect of one DPU: what is true since when, and what the reader was told."""

    now: HealthProblem | None
    stamp: str
    since: float
    told: HealthProblem | None = None
    told_at: float = 0.0
    flaps: int = 0
    missed: bool = False
    """It came, or went, for long enough to be told, and is the other way again."""
    nagged: bool = False


@dataclass(slots=True)
class _DPU:
    health: DPUHealth
    aspects: dict[str, _Aspect] = field(default_factory=dict)
    healthy_told: bool = False


@dataclass(slots=True)
class _Node:
    view: NodeView | None
    health: NodeHealth | None
    contiguous: bool = True
    uid: str = ""
    dpus: dict[str, _DPU] = field(default_factory=dict)
    gone: dict[str, _DPU] = field(default_factory=dict)
    """DPUs that are gone, or have been replaced, and of which the reader was not told so yet."""
    usable: bool | None = None


class HealthTeller:
    """What one reader was told of the health of hosts, and what it is to be told next.

    Args:
        down_after: seconds a problem must stand before it is told; shorter ones are counted as flaps.
        up_after: seconds a problem must be gone before that is told; when it comes back sooner, that is a flap.
        still_after: seconds after which a problem that was told and stands is told again; None never does.
    """

    def __init__(
        self, *, down_after: float = 0.0, up_after: float = 0.0, still_after: float | None = None
    ) -> None:
        self._down_after = down_after
        self._up_after = up_after
        self._still_after = math.inf if still_after is None else still_after
        self._nodes: dict[str, _Node] = {}

    def knows(self, name: str) -> bool:
        """Something was seen of this host before."""
        return name in self._nodes

    def see(self, name: str, view: NodeView | None, now: float, *, contiguous: bool = True) -> None:
        """What is true of a host at this time; None if there is nothing, or nothing of this reader's concern."""
        node = self._nodes.get(name)
        if node is None:
            if view is None:
                return
            node = self._nodes[name] = _Node(None, None)
        node.contiguous = node.contiguous and contiguous
        node.view = None if view is None else as_last_read(node.view, view)
        node.health = None if node.view is None else health_of(node.view)
        seen = {dpu.dpu: dpu for dpu in node.health.dpus} if node.health is not None else {}
        for dpu_name in [*node.dpus]:
            if dpu_name not in seen or seen[dpu_name].uid != node.dpus[dpu_name].health.uid:
                node.gone.setdefault(dpu_name, node.dpus.pop(dpu_name))
        for dpu_name, health in seen.items():
            before = node.dpus.get(dpu_name)
            dpu = before or node.dpus.setdefault(dpu_name, _DPU(health))
            dpu.health = as_last_known(None if before is None else before.health, health)
            self._look(dpu, now)

    def next(self, name: str, now: float) -> tuple[HealthTransition | None, float]:
        """The next thing to tell of a host, None if there is none; and when to ask again if nothing changes."""
        node = self._nodes.get(name)
        if node is None:
            return None, math.inf
        later = math.inf
        for transition, at in self._candidates(name, node, now):
            if at > now:
                later = min(later, at)
            elif transition is not None:
                return transition if node.contiguous else replace(transition, contiguous=False), now
        node.contiguous = node.contiguous or math.isinf(later)
        if node.view is None:
            del self._nodes[name]
        return None, later

    def told(self, name: str, transition: HealthTransition, now: float) -> None:
        """The reader has this now."""
        node = self._nodes.get(name)
        if node is None:
            return
        match transition:
            case NodeUsable():
                node.usable, node.uid = True, transition.uid
            case NodeUnusable():
                node.usable, node.uid = False, transition.uid
            case NodeGone():
                node.uid, node.usable = "", None
            case DPUGone():
                node.gone.pop(transition.dpu, None)
            case DPUReplaced():
                node.gone.pop(transition.dpu, None)
            case _:
                dpu = node.dpus.get(transition.dpu)
                if dpu is not None and dpu.health.uid == transition.uid:
                    _commit(dpu, transition, now)

    def _look(self, dpu: _DPU, now: float) -> None:
        readings = {reading.aspect: reading for reading in dpu.health.readings}
        for aspect in [*dpu.aspects]:
            if aspect not in readings:
                # Not "recovered": in this phase, or for this operator, nothing can be said of it.
                known = dpu.aspects[aspect]
                if isinstance(known.told, HealthUnknown):
                    self._turn(known, None, "", now)
                else:
                    del dpu.aspects[aspect]
        for aspect, (_, problem, stamp) in readings.items():
            known = dpu.aspects.setdefault(aspect, _Aspect(problem, stamp, now))
            self._turn(known, problem, stamp, now)

    def _turn(self, aspect: _Aspect, problem: HealthProblem | None, stamp: str, now: float) -> None:
        """Have an aspect be so from now on. Count what the reader is not told."""
        turned = (problem is None) != (aspect.now is None)
        unseen = not turned and stamp != aspect.stamp
        stood = now - aspect.since
        calm = self._down_after if aspect.now is not None else self._up_after
        if (turned and problem is None and aspect.told is None) or (
            turned and problem is not None and aspect.told is not None
        ):
            aspect.flaps += 1
            aspect.missed = aspect.missed or stood >= calm
        elif turned and not aspect.missed and aspect.told is None:
            if stood >= max(self._down_after, self._up_after):
                aspect.flaps = 0
        elif unseen:
            aspect.flaps += 1
            # How long it was the other way nobody saw: it is told unless brief turns are not wanted.
            other = self._down_after if problem is None else self._up_after
            if (aspect.told is None) == (problem is None):
                aspect.missed = aspect.missed or other == 0
        if turned or unseen:
            aspect.since = now
        aspect.now, aspect.stamp = problem, stamp

    def _candidates(
        self, name: str, node: _Node, now: float
    ) -> Iterator[tuple[HealthTransition | None, float]]:
        """What there is to tell, each with the time from which on; None with a time is a reason to look again."""
        for dpu_name, gone in [*node.gone.items()]:
            yield _farewell(name, gone.health, node.dpus.get(dpu_name)), now
        for dpu in node.dpus.values():
            yield from self._of_dpu(dpu)
        health = node.health
        if health is None or not health.uid or (node.uid and health.uid != node.uid):
            if node.uid:
                yield NodeGone(node=name, uid=node.uid), now
            if health is None or not health.uid:
                return
        usable = self._usable(node, health, now)
        if usable is True and node.usable is not True:
            yield NodeUsable(node=name, uid=health.uid), now
        elif usable is False and node.usable is not False:
            problems = tuple(
                aspect.told
                for dpu in node.dpus.values()
                for aspect in dpu.aspects.values()
                if aspect.told is not None and not isinstance(aspect.told, HealthUnknown)
            )
            yield (
                NodeUnusable(
                    node=name,
                    uid=health.uid,
                    problems=problems,
                    missing=health.missing,
                    terminating=health.terminating,
                ),
                now,
            )

    def _of_dpu(self, dpu: _DPU) -> Iterator[tuple[HealthTransition | None, float]]:
        who = (dpu.health.node, dpu.health.dpu, dpu.health.uid)
        stood_since = -math.inf
        for aspect in dpu.aspects.values():
            told, present = aspect.told, aspect.now
            if present is None:
                stood_since = max(stood_since, aspect.since)
                recovered = None if told is None else _recovered(who, told, aspect)
                if recovered is not None or not dpu.healthy_told:
                    yield recovered, aspect.since + self._up_after
            elif told is None:
                yield replace(present, flaps=aspect.flaps), aspect.since + self._down_after
            elif not same_problem(told, present):
                yield replace(present, flaps=aspect.flaps), aspect.since
            elif aspect.missed:
                yield replace(present, flaps=aspect.flaps, contiguous=False), aspect.since
            if told is not None and present is not None and not aspect.nagged:
                yield (
                    StillUnhealthy(
                        node=who[0], dpu=who[1], uid=who[2], problem=told, seconds=self._still_after
                    ),
                    aspect.told_at + self._still_after,
                )
        if any(aspect.now is not None or aspect.told is not None for aspect in dpu.aspects.values()):
            return
        missed = any(aspect.missed for aspect in dpu.aspects.values())
        if missed or not dpu.healthy_told:
            flaps = sum(aspect.flaps for aspect in dpu.aspects.values())
            yield (
                DPUHealthy(node=who[0], dpu=who[1], uid=who[2], flaps=flaps, contiguous=not missed),
                stood_since + self._up_after,
            )

    def _usable(self, node: _Node, health: NodeHealth, now: float) -> bool | None:
        """Whether the host can be used, as far as this reader was told of its DPUs."""
        if health.terminating or health.missing or not node.dpus:
            return False
        return all_of(self._dpu_usable(dpu, now) for dpu in node.dpus.values())

    def _dpu_usable(self, dpu: _DPU, now: float) -> bool | None:
        known: list[tuple[str, HealthProblem | None]] = []
        for name, aspect in dpu.aspects.items():
            stands = aspect.now is None and now >= aspect.since + self._up_after
            # A problem that is not told yet is none yet; a DPU that never was told healthy has to show it first.
            if aspect.told is not None or dpu.healthy_told or stands:
                known.append((name, aspect.told))
        return usable_by(known)


def _recovered(who: tuple[str, str, str], was: HealthProblem, aspect: _Aspect) -> Recovered:
    return Recovered(
        node=who[0],
        dpu=who[1],
        uid=who[2],
        was=was,
        flaps=aspect.flaps,
        contiguous=not aspect.missed,
    )


def _farewell(node: str, old: DPUHealth, new: _DPU | None) -> DPUGone | DPUReplaced:
    if new is None:
        return DPUGone(node=node, dpu=old.dpu, uid=old.uid, phase=old.phase)
    return DPUReplaced(
        node=node, dpu=old.dpu, old_uid=old.uid, new_uid=new.health.uid, phase=new.health.phase
    )


def _commit(
    dpu: _DPU, transition: HealthProblem | StillUnhealthy | Recovered | DPUHealthy, now: float
) -> None:
    if isinstance(transition, DPUHealthy):
        dpu.healthy_told = True
        for aspect in dpu.aspects.values():
            aspect.flaps, aspect.missed = 0, False
        return
    if isinstance(transition, StillUnhealthy):
        if (turned := dpu.aspects.get(aspect_of(transition.problem))) is not None:
            turned.nagged = True
    elif isinstance(transition, Recovered):
        name = aspect_of(transition.was)
        if (turned := dpu.aspects.get(name)) is not None:
            turned.told, turned.flaps, turned.missed, turned.nagged = None, 0, False, False
            if isinstance(transition.was, HealthUnknown) and turned.now is None:
                del dpu.aspects[name]
    elif isinstance(transition, HealthProblem):
        dpu.healthy_told = False
        if (turned := dpu.aspects.get(aspect_of(transition))) is not None:
            if turned.told is None:
                turned.told_at = now
            turned.told, turned.flaps, turned.missed = transition, 0, False

"""Workers that stop and go on from a checkpoint, on a site where things happen meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from dpf_async import Checkpoint, DPFClient, HostSpec, NodeTransitionStream, provision
from dpf_async.errors import UsageError
from dpf_async.models import DPUNode
from dpf_async.transitions import (
    ConditionChanged,
    DPUAppeared,
    DPUReplaced,
    NodeAppeared,
    NodeEffectHeld,
    NodeGone,
    PhaseChanged,
    Transition,
)
from tests.integration.backends import Backend


async def heard(stream: AsyncIterator[Transition], last: Callable[[Transition], bool]) -> list[Transition]:
    """Everything up to, and with, the transition that is meant."""
    told: list[Transition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            told.append(transition)
            if last(transition):
                return told
    raise AssertionError("a stream of transitions does not end by itself")


async def standing(stream: NodeTransitionStream) -> list[Transition]:
    """What a reader is told without anything happening: until it has to wait."""
    told: list[Transition] = []
    with anyio.fail_after(60):
        while True:
            with anyio.move_on_after(0):
                told.append(await anext(stream))
                continue
            return told


def stored(stream: NodeTransitionStream) -> Checkpoint:
    """A checkpoint that has been in a file."""
    read: Checkpoint = json.loads(json.dumps(stream.checkpoint()))
    return read


async def test_a_worker_that_comes_back_is_told_of_the_reprovisioning_it_slept_through(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (old,) = (await sim.ready_node()).dpus
        quiet = await sim.ready_node()
        async with dpf.transitions() as stream:
            await standing(stream)
            kept = stored(stream)

        await dpf.reprovision_dpu(old.name, timeout=60)
        await sim.settled()
        async with sim.client() as another, another.transitions(since=kept) as stream:
            told = await heard(stream, lambda one: isinstance(one, NodeEffectHeld))

    (replaced,) = (one for one in told if isinstance(one, DPUReplaced))
    assert (replaced.old_uid, replaced.node) == (old.uid, old.node)
    assert {one.node for one in told} == {old.node}, f"nothing happened to {quiet.name}"
    assert not any(one.contiguous for one in told)


async def test_a_worker_that_comes_back_to_an_unchanged_site_is_told_of_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node(devices=2)
        async with dpf.transitions() as stream:
            await standing(stream)
            kept = stored(stream)
        async with dpf.transitions(since=kept) as stream:
            nothing = await standing(stream)
            sim.trouble("critical_service_down")
            told = await heard(stream, lambda one: isinstance(one, ConditionChanged))

    assert nothing == []
    assert {one.node for one in told} == {node.name}


@pytest.mark.parametrize("options", [{"troubles": ["reboots=2"]}, {"watch_lag": 0.02}], ids=str)
async def test_a_worker_that_is_killed_after_every_transition_hears_of_the_whole_road_once(
    backend: Backend, options: dict[str, Any]
) -> None:
    async with backend.simulator(**options) as sim, sim.client() as dpf:
        await sim.define_site()
        told: list[Transition] = []
        kept: Checkpoint | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_provision, dpf, sim.host())
            with anyio.fail_after(40):
                while not told or not is_ready(told[-1]):
                    async with dpf.transitions(since=kept) as stream:
                        told.append(await anext(stream))
                        kept = stored(stream)

    kinds = [type(one) for one in told]
    assert (kinds.count(NodeAppeared), kinds.count(DPUAppeared)) == (1, 1)
    (appeared,) = (one for one in told if isinstance(one, DPUAppeared))
    steps = [one for one in told if isinstance(one, PhaseChanged)]
    assert [one.before for one in steps] == [appeared.phase, *(one.after for one in steps[:-1])]


def is_ready(transition: Transition) -> bool:
    return isinstance(transition, PhaseChanged) and transition.after == "Ready"


async def _provision(dpf: DPFClient, host: HostSpec) -> None:
    async def reboot(_: str) -> None:
        """Pretended."""

    await provision(dpf, host, reboot=reboot, timeout=40)


async def test_deletions_and_new_hosts_of_the_meantime_are_told(backend: Backend) -> None:
    async with backend.cluster() as site:
        for name in ("node-1", "node-2"):
            await site.create_node(name)
        async with site.dpf.transitions() as stream:
            await standing(stream)
            kept = stored(stream)

        await site.dpf.resource(DPUNode).delete("node-1")
        await site.create_node("node-3")
        async with site.dpf.transitions(since=kept) as stream:
            told = await standing(stream)

    assert [(type(one), one.node) for one in told] == [(NodeGone, "node-1"), (NodeAppeared, "node-3")]


async def test_a_checkpoint_goes_on_only_with_the_stream_it_is_of(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        async with site.dpf.transitions(label_selector="rack=1") as stream:
            of_rack_1 = stored(stream)
        async with site.dpf.node("node-1").transitions() as stream:
            of_node_1 = stored(stream)

        with pytest.raises(UsageError, match="label selector 'rack=1'"):
            site.dpf.transitions(since=of_rack_1)
        with pytest.raises(UsageError, match="node 'node-1'"):
            site.dpf.node("node-2").transitions(since=of_node_1)
        with pytest.raises(UsageError, match="another release"):
            site.dpf.transitions(since={**of_rack_1, "format": "dpf_async.transitions/0"})


async def test_a_phase_that_was_reached_meanwhile_says_what_may_lie_between(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold()
        async with dpf.node(node.name).transitions() as stream:
            await standing(stream)
            kept = stored(stream)

        await dpf.mark_dpu_node_ready_for_maintenance(node.name)
        await sim.settled()
        async with sim.client() as another, another.node(node.name).transitions(since=kept) as stream:
            told = await standing(stream)

    (changed,) = (one for one in told if isinstance(one, PhaseChanged))
    assert (changed.before, changed.after, changed.contiguous) == ("Node Effect", "Rebooting", False)
    assert changed.phases_between is not None
    assert "OS Installing" in changed.phases_between

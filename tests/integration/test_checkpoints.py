"""Streams that are resumed from a checkpoint, on a site that changes meanwhile."""

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


async def read_until(
    stream: AsyncIterator[Transition], last: Callable[[Transition], bool]
) -> list[Transition]:
    """The transitions up to and including the one that matches."""
    received: list[Transition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            received.append(transition)
            if last(transition):
                return received
    raise AssertionError("a stream of transitions does not end by itself")


async def read_available(stream: NodeTransitionStream) -> list[Transition]:
    """The transitions that are available without waiting."""
    received: list[Transition] = []
    with anyio.fail_after(60):
        while True:
            with anyio.move_on_after(0):
                received.append(await anext(stream))
                continue
            return received


def stored(stream: NodeTransitionStream) -> Checkpoint:
    """A checkpoint as read from a file."""
    read: Checkpoint = json.loads(json.dumps(stream.checkpoint()))
    return read


async def test_a_resumed_stream_reports_a_reprovisioning_that_it_missed(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (old,) = (await sim.ready_node()).dpus
        quiet = await sim.ready_node()
        async with dpf.transitions() as stream:
            await read_available(stream)
            kept = stored(stream)

        await dpf.reprovision_dpu(old.name, timeout=60)
        await sim.settled()
        async with sim.client() as another, another.transitions(since=kept) as stream:
            received = await read_until(stream, lambda one: isinstance(one, NodeEffectHeld))

    (replaced,) = (one for one in received if isinstance(one, DPUReplaced))
    assert (replaced.old_uid, replaced.node) == (old.uid, old.node)
    assert {one.node for one in received} == {old.node}, f"{quiet.name} did not change"
    assert not any(one.contiguous for one in received)


async def test_a_resumed_stream_of_an_unchanged_site_reports_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node(devices=2)
        async with dpf.transitions() as stream:
            await read_available(stream)
            kept = stored(stream)
        async with dpf.transitions(since=kept) as stream:
            nothing = await read_available(stream)
            sim.trouble("critical_service_down")
            received = await read_until(stream, lambda one: isinstance(one, ConditionChanged))

    assert nothing == []
    assert {one.node for one in received} == {node.name}


@pytest.mark.parametrize("options", [{"troubles": ["reboots=2"]}, {"watch_lag": 0.02}], ids=str)
async def test_a_worker_that_is_killed_after_every_transition_receives_each_of_them_once(
    backend: Backend, options: dict[str, Any]
) -> None:
    async with backend.simulator(**options) as sim, sim.client() as dpf:
        await sim.define_site()
        received: list[Transition] = []
        kept: Checkpoint | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_provision, dpf, sim.host())
            with anyio.fail_after(60):
                while not received or not is_ready(received[-1]):
                    async with dpf.transitions(since=kept) as stream:
                        received.append(await anext(stream))
                        kept = stored(stream)

    kinds = [type(one) for one in received]
    assert (kinds.count(NodeAppeared), kinds.count(DPUAppeared)) == (1, 1)
    (appeared,) = (one for one in received if isinstance(one, DPUAppeared))
    steps = [one for one in received if isinstance(one, PhaseChanged)]
    assert [one.before for one in steps] == [appeared.phase, *(one.after for one in steps[:-1])]


def is_ready(transition: Transition) -> bool:
    return isinstance(transition, PhaseChanged) and transition.after == "Ready"


async def _provision(dpf: DPFClient, host: HostSpec) -> None:
    async def reboot(_: str) -> None:
        """Nothing to do: the host is simulated."""

    await provision(dpf, host, reboot=reboot, timeout=60)


async def test_a_resumed_stream_reports_deleted_and_new_hosts(backend: Backend) -> None:
    async with backend.cluster() as site:
        for name in ("node-1", "node-2"):
            await site.create_node(name)
        async with site.dpf.transitions() as stream:
            await read_available(stream)
            kept = stored(stream)

        await site.dpf.resource(DPUNode).delete("node-1")
        await site.create_node("node-3")
        async with site.dpf.transitions(since=kept) as stream:
            received = await read_available(stream)

    assert [(type(one), one.node) for one in received] == [(NodeGone, "node-1"), (NodeAppeared, "node-3")]


async def test_a_checkpoint_is_accepted_only_by_a_stream_over_the_same_hosts(backend: Backend) -> None:
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


async def test_a_phase_change_of_a_resumed_stream_lists_the_possible_phases_between(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold()
        async with dpf.node(node.name).transitions() as stream:
            await read_available(stream)
            kept = stored(stream)

        await dpf.mark_dpu_node_ready_for_maintenance(node.name)
        await sim.settled()
        async with sim.client() as another, another.node(node.name).transitions(since=kept) as stream:
            received = await read_available(stream)

    (changed,) = (one for one in received if isinstance(one, PhaseChanged))
    assert (changed.before, changed.after, changed.contiguous) == ("Node Effect", "Rebooting", False)
    assert changed.phases_between is not None
    assert "OS Installing" in changed.phases_between

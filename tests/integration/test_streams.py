"""Streams of transitions: of a DPU, a host, a site, and the hosts that a label selector matches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from dpf_async import DPFClient, reprovision
from dpf_async.errors import UsageError
from dpf_async.models import DPU, DPUNode
from dpf_async.transitions import (
    DPUAppeared,
    DPUReplaced,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeAppeared,
    NodeEffectHeld,
    NodeEffectReleased,
    NodeGone,
    PhaseChanged,
    Transition,
)
from tests.integration.backends import Backend

PHASES = [
    "Node Effect",
    "Initialize Interface",
    "Config FW Parameters",
    "Prepare BFB",
    "OS Installing",
    "DPU Config",
    "Rebooting",
    "DPU Cluster Config",
    "Node Effect Removal",
    "Ready",
]


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


def is_ready(transition: Transition) -> bool:
    return isinstance(transition, PhaseChanged) and transition.after == "Ready"


async def answer(dpf: DPFClient, node: str) -> None:
    """Answer one hold and one reboot request of the host."""
    async with dpf.node(node).node_effect_hold():
        pass
    async with dpf.node(node).external_reboot():
        pass


async def test_all_transitions_of_a_host_are_reported_in_order(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        async with dpf.node(host.name).transitions() as stream, anyio.create_task_group() as tasks:
            await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
            tasks.start_soon(answer, dpf, host.name)
            received = await read_until(stream, is_ready)

    phases = [str(one.after) for one in received if isinstance(one, PhaseChanged)]
    first_times = [phase for phase in dict.fromkeys(phases) if phase in PHASES]
    assert first_times == [phase for phase in PHASES if phase in phases]
    assert {"Node Effect", "OS Installing", "Rebooting", "Ready"} <= set(phases)
    order = [type(one) for one in received]
    steps = [NodeAppeared, DPUAppeared, NodeEffectHeld, NodeEffectReleased]
    steps += [ExternalRebootRequired, ExternalRebootDone]
    assert [order.index(step) for step in steps] == sorted(order.index(step) for step in steps)
    request = next(one for one in received if isinstance(one, ExternalRebootRequired))
    assert (request.node, len(request.dpus)) == (host.name, 1)


async def test_a_dpu_is_followed_through_its_replacement_without_mixing_the_two(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (old,) = (await sim.ready_node()).dpus
        async with dpf.dpu(old.name).transitions() as stream, anyio.create_task_group() as tasks:
            first = await anext(stream)
            tasks.start_soon(_reprovision, dpf, old.node)
            received = await read_until(
                stream, lambda one: is_ready(one) and getattr(one, "uid", "") != old.uid
            )

    assert isinstance(first, DPUAppeared)
    assert first.uid == old.uid
    replaced = next(index for index, one in enumerate(received) if isinstance(one, DPUReplaced | DPUAppeared))
    assert {getattr(one, "uid", old.uid) for one in received[:replaced]} <= {old.uid}
    assert old.uid not in {getattr(one, "uid", "") for one in received[replaced + 1 :]}


async def _reprovision(dpf: DPFClient, node: str) -> None:
    async def reboot(_: str) -> None:
        """Nothing to do: the host is simulated."""

    await reprovision(dpf, node, reboot=reboot, timeout=60)


async def test_a_selector_matches_hosts_and_follows_changes_of_their_labels(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        nodes = dpf.resource(DPUNode)
        await dpf.create_dpu_node("node-1", [], labels={"rack": "1"})
        await dpf.create_dpu_node("node-2", [], labels={"rack": "2"})
        async with dpf.transitions(label_selector="rack=1") as stream:
            first = await anext(stream)
            await dpf.create_dpu_node("node-3", [], labels={"rack": "3"})
            await nodes.patch("node-2", {"metadata": {"labels": {"rack": "1"}}})
            added = await anext(stream)
            await nodes.patch("node-1", {"metadata": {"labels": {"rack": "2"}}})
            removed = await anext(stream)
            await dpf.delete_dpu_node("node-2", timeout=60)
            deleted = await read_until(stream, lambda one: isinstance(one, NodeGone))

    assert isinstance(first, NodeAppeared)
    assert isinstance(added, NodeAppeared)
    assert isinstance(removed, NodeGone)
    assert [first.node, added.node, removed.node] == ["node-1", "node-2", "node-1"]
    assert {one.node for one in deleted} == {"node-2"}


async def test_a_slow_reader_receives_the_newest_state_marked_as_not_contiguous(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        await dpf.create_dpu_node("node-1", [])
        dpu = DPU.model_validate(
            {
                "metadata": {"name": "dpu-1"},
                "spec": {
                    "dpuNodeName": "node-1",
                    "dpuDeviceName": "device-1",
                    "serialNumber": "MT2500XZ0001",
                    "bfb": "bundle",
                    "dpuFlavor": "flavor",
                    "nodeEffect": {"noEffect": True},
                },
            }
        )
        await dpf.resource(DPU).create(dpu)
        async with dpf.transitions() as stream:
            await read_until(stream, lambda one: isinstance(one, DPUAppeared))
            for phase in ("Pending", "OS Installing", "DPU Config", "Ready"):
                await dpf.resource(DPU).patch_status("dpu-1", {"status": {"phase": phase}})
            await dpf.dpu("dpu-1").view()
            received = await read_until(stream, is_ready)

    (changed,) = (one for one in received if isinstance(one, PhaseChanged))
    assert not changed.contiguous
    assert changed.phases_between is not None
    assert "OS Installing" in changed.phases_between


async def test_a_client_that_is_not_entered_raises_an_error_that_says_how_to_enter_it() -> None:
    dpf = DPFClient(kubeconfig={})

    with pytest.raises(UsageError, match="async with"):
        dpf.node("node-1")
    with pytest.raises(UsageError, match="async with"):
        dpf.transitions()
    with pytest.raises(UsageError, match="async with"):
        await dpf.is_dpu_ready("dpu-1")


async def test_a_client_that_was_left_cannot_be_used_and_can_be_entered_again(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim:
        dpf = sim.client()
        async with dpf:
            await dpf.server_version()
        with pytest.raises(UsageError, match="async with"):
            await dpf.server_version()
        async with dpf:
            version = await dpf.server_version()

    assert version.startswith("v1.")


async def test_the_health_reports_the_state_of_every_cache(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        before = dict(dpf.health)
        await dpf.create_dpu_node("node-1", [])
        await dpf.node("node-1").view()
        health = dict(dpf.health)

    assert before == {}
    assert {selection.split()[0] for selection in health} == {
        "dpunodes",
        "dpudevices",
        "dpus",
        "dpunodemaintenances",
    }
    assert all(one.state == "live" and one.reason == "" for one in health.values())
    nodes = next(one for selection, one in health.items() if selection.startswith("dpunodes "))
    assert (nodes.objects, nodes.relists, nodes.unreadable) == (1, 0, 0)

"""Transitions as workers read them: of a DPU, of a host, of a site, of the hosts that a selector chooses."""

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

ROAD = [
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


async def heard(stream: AsyncIterator[Transition], last: Callable[[Transition], bool]) -> list[Transition]:
    """Everything up to, and with, the transition that is meant."""
    told: list[Transition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            told.append(transition)
            if last(transition):
                return told
    raise AssertionError("a stream of transitions does not end by itself")


def is_ready(transition: Transition) -> bool:
    return isinstance(transition, PhaseChanged) and transition.after == "Ready"


async def answer(dpf: DPFClient, node: str) -> None:
    """Whatever DPF asks about the host, once each."""
    async with dpf.node(node).node_effect_hold():
        pass
    async with dpf.node(node).external_reboot():
        pass


async def test_the_whole_road_of_a_host_is_told_in_order(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        async with dpf.node(host.name).transitions() as stream, anyio.create_task_group() as tasks:
            await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
            tasks.start_soon(answer, dpf, host.name)
            told = await heard(stream, is_ready)

    phases = [str(one.after) for one in told if isinstance(one, PhaseChanged)]
    first_times = [phase for phase in dict.fromkeys(phases) if phase in ROAD]
    assert first_times == [phase for phase in ROAD if phase in phases]
    assert {"Node Effect", "OS Installing", "Rebooting", "Ready"} <= set(phases)
    order = [type(one) for one in told]
    steps = [NodeAppeared, DPUAppeared, NodeEffectHeld, NodeEffectReleased]
    steps += [ExternalRebootRequired, ExternalRebootDone]
    assert [order.index(step) for step in steps] == sorted(order.index(step) for step in steps)
    asked = next(one for one in told if isinstance(one, ExternalRebootRequired))
    assert (asked.node, len(asked.dpus)) == (host.name, 1)


async def test_a_dpu_is_followed_through_its_replacement_without_mixing_the_two(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (old,) = (await sim.ready_node()).dpus
        async with dpf.dpu(old.name).transitions() as stream, anyio.create_task_group() as tasks:
            first = await anext(stream)
            tasks.start_soon(_reprovision, dpf, old.node)
            told = await heard(stream, lambda one: is_ready(one) and getattr(one, "uid", "") != old.uid)

    assert isinstance(first, DPUAppeared)
    assert first.uid == old.uid
    replaced = next(index for index, one in enumerate(told) if isinstance(one, DPUReplaced | DPUAppeared))
    assert {getattr(one, "uid", old.uid) for one in told[:replaced]} <= {old.uid}
    assert old.uid not in {getattr(one, "uid", "") for one in told[replaced + 1 :]}


async def _reprovision(dpf: DPFClient, node: str) -> None:
    async def reboot(_: str) -> None:
        """Pretended."""

    await reprovision(dpf, node, reboot=reboot, timeout=60)


async def test_a_selector_chooses_the_hosts_and_follows_their_labels(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        nodes = dpf.resource(DPUNode)
        await dpf.create_dpu_node("node-1", [], labels={"rack": "1"})
        await dpf.create_dpu_node("node-2", [], labels={"rack": "2"})
        async with dpf.transitions(label_selector="rack=1") as stream:
            first = await anext(stream)
            await dpf.create_dpu_node("node-3", [], labels={"rack": "3"})
            await nodes.patch("node-2", {"metadata": {"labels": {"rack": "1"}}})
            came = await anext(stream)
            await nodes.patch("node-1", {"metadata": {"labels": {"rack": "2"}}})
            went = await anext(stream)
            await dpf.delete_dpu_node("node-2", timeout=60)
            gone = await heard(stream, lambda one: isinstance(one, NodeGone))

    assert isinstance(first, NodeAppeared)
    assert isinstance(came, NodeAppeared)
    assert isinstance(went, NodeGone)
    assert [first.node, came.node, went.node] == ["node-1", "node-2", "node-1"]
    assert {one.node for one in gone} == {"node-2"}


async def test_a_slow_reader_is_told_the_newest_state_and_that_it_missed_some(backend: Backend) -> None:
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
            await heard(stream, lambda one: isinstance(one, DPUAppeared))
            for phase in ("Pending", "OS Installing", "DPU Config", "Ready"):
                await dpf.resource(DPU).patch_status("dpu-1", {"status": {"phase": phase}})
            await dpf.dpu("dpu-1").view()
            told = await heard(stream, is_ready)

    (changed,) = (one for one in told if isinstance(one, PhaseChanged))
    assert not changed.contiguous
    assert changed.phases_between is not None
    assert "OS Installing" in changed.phases_between


async def test_a_client_that_is_not_entered_says_how_to_enter_it() -> None:
    dpf = DPFClient(kubeconfig={})

    with pytest.raises(UsageError, match="async with"):
        dpf.node("node-1")
    with pytest.raises(UsageError, match="async with"):
        dpf.transitions()
    with pytest.raises(UsageError, match="async with"):
        await dpf.is_dpu_ready("dpu-1")


async def test_a_client_that_was_left_says_so_and_can_be_entered_again(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim:
        dpf = sim.client()
        async with dpf:
            await dpf.server_version()
        with pytest.raises(UsageError, match="async with"):
            await dpf.server_version()
        async with dpf:
            version = await dpf.server_version()

    assert version.startswith("v1.")


async def test_the_health_names_every_picture_and_how_it_is_kept(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        before = dict(dpf.health)
        await dpf.create_dpu_node("node-1", [])
        await dpf.node("node-1").view()
        health = dict(dpf.health)

    assert before == {}
    assert {words.split()[0] for words in health} == {
        "dpunodes",
        "dpudevices",
        "dpus",
        "dpunodemaintenances",
    }
    assert all(one.state == "live" and one.reason == "" for one in health.values())
    nodes = next(one for words, one in health.items() if words.startswith("dpunodes "))
    assert (nodes.objects, nodes.relists, nodes.unreadable) == (1, 0, 0)

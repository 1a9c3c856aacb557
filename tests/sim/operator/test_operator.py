"""Operator: restarts, transient errors, and unexpected exceptions."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest

from dpf_async import DPFClient, NodeView
from dpf_async.errors import Forbidden
from dpf_async.levels import Level, external_reboot_required, node_effect_held
from dpf_async.models import DPU, DPUDeployment, DPUSet
from dpf_async.sim import Simulator
from dpf_async.sim.operator import Operator
from dpf_async.sim.simulator import PASSWORD, minimal_site
from tests.sim.operator.site import PHASES, answer_reboots, dpus, history, phases, site_with_client


async def test_an_operator_restarted_in_every_phase_provisions_the_host() -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(minimal_site(), bmc_password=PASSWORD)
        host = await sim.register_host(devices=2)
        starts = 0

        seen: dict[str, str] = {}
        while list(seen.values()) != ["Ready", "Ready"]:
            starts += 1
            async with Operator(kubeconfig=sim.kubeconfig()):
                seen = await next_state(dpf, host.name, seen)

        assert starts > len(PHASES) / 2
        assert await dpf.is_dpu_ready(next(iter(seen)))


async def next_state(dpf: DPFClient, node: str, seen: dict[str, str]) -> dict[str, str]:
    """Wait until the phase of a DPU differs from those seen; answer requests meanwhile."""
    moved: Level[NodeView] = Level("moved", lambda view: bool(view.phases) and dict(view.phases) != seen)
    asked = node_effect_held | external_reboot_required
    while True:
        view = await dpf.node(node).until(moved | asked, timeout=60)
        if view.hold is not None:
            await dpf.mark_dpu_node_ready_for_maintenance(node)
        elif view.external_reboot_required:
            await dpf.mark_dpu_node_rebooted(node)
        if moved.holds(view):
            return {name: str(phase) for name, phase in view.phases.items()}


async def test_a_restarted_operator_does_not_write_to_a_ready_host() -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(minimal_site(), bmc_password=PASSWORD)
        host = await sim.register_host()
        async with Operator(kubeconfig=sim.kubeconfig()) as operator:
            await dpf.node(host.name).until(node_effect_held, timeout=60)
            await dpf.mark_dpu_node_ready_for_maintenance(host.name)
            await answer_reboots(dpf, host.name)
            await operator.settled(60)
        written = sim.server.resource_version

        async with Operator(kubeconfig=sim.kubeconfig()) as operator:
            await operator.settled(60)

        assert sim.server.resource_version == written


async def test_reconciling_everything_again_writes_nothing() -> None:
    async with Simulator() as sim:
        await sim.ready_node(devices=2)
        assert sim.operator is not None
        written = sim.server.resource_version

        sim.operator.reconcile_all()
        await sim.settled()

        assert sim.server.resource_version == written


async def test_a_lagging_watch_does_not_cause_a_second_reboot() -> None:
    async with Simulator(watch_lag=0.05) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_external_reboot(devices=2)

        cycles = await answer_reboots(dpf, node.name)

        assert cycles == 1
        assert phases(history(sim, DPU, next(iter(node.phases)))) == PHASES


async def test_transient_server_errors_only_delay_provisioning() -> None:
    async with site_with_client() as (sim, dpf):
        host = await sim.register_host(devices=2)
        for verb, resource in FAILING:
            sim.server.faults.answer(503, verb=verb, resource=resource, times=3)
        sim.server.faults.drop_watches(reset=True)
        await dpf.node(host.name).until(node_effect_held, timeout=60)
        await sim.settled()
        sim.server.faults.drop_watches()
        await dpf.mark_dpu_node_ready_for_maintenance(host.name)

        assert await answer_reboots(dpf, host.name) == 1
        assert [dpu.status.phase for dpu in await dpus(dpf, host.name)] == ["Ready", "Ready"]


FAILING = [
    ("create", "dpus"),
    ("create", "dpunodemaintenances"),
    ("patch", "dpus/status"),
    ("patch", "dpunodes/status"),
    ("patch", "dpudevices"),
    ("patch", "dpunodemaintenances/status"),
]
"""Requests that only the operator sends."""


async def test_an_unexpected_exception_in_a_controller_ends_the_block() -> None:
    async def wait_for_it() -> None:
        async with Simulator() as sim:
            assert sim.operator is not None
            del sim.operator.hardware._devices
            await sim.register_host()
            await anyio.sleep_forever()

    with anyio.fail_after(60), pytest.raises(AttributeError, match="_devices"):
        await wait_for_it()


async def test_entering_an_operator_without_permission_raises_forbidden() -> None:
    async with Simulator(operator=False, tokens={"secret": "robot"}) as sim:
        sim.server.faults.deny(user="robot", resource="dpus")

        with pytest.raises(Forbidden):
            async with Operator(kubeconfig=sim.kubeconfig(token="secret")):
                raise AssertionError("entered")


async def test_writes_use_the_field_managers_of_dpf() -> None:
    async with site_with_client() as (sim, _):
        of_set = [change.obj for change in history(sim, DPUDeployment)][-1]["metadata"]["managedFields"]
        await sim.register_host()
        await sim.settled()

        applied = history(sim, DPUSet)[0].obj["metadata"]["managedFields"]

        assert [(one["manager"], one["operation"]) for one in applied] == [
            ("dpudeploymentcontroller", "Apply")
        ]
        assert "dpf-operator" in {one["manager"] for one in of_set}


async def test_concurrent_patches_of_a_dpu_are_not_lost() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold()
        (dpu,) = await dpus(dpf, node.name)
        await dpf.mark_dpu_node_ready_for_maintenance(node.name)

        for number in range(40):
            await dpf.resource(DPU).patch(dpu.name, {"metadata": {"annotations": {"number": str(number)}}})
        await answer_reboots(dpf, node.name)

        (dpu,) = await dpus(dpf, node.name)
        assert dpu.metadata.annotations["number"] == "39"
        assert phases(history(sim, DPU)) == PHASES


def test_the_operator_does_not_import_the_embedded_server() -> None:
    code = (
        "import sys, dpf_async.sim.operator.__main__;"
        "sys.exit(any(name.startswith('dpf_async.sim.apiserver') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

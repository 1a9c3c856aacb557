"""dpf-async status and watch: the state of hosts, and their transitions."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async.levels import node_effect_held
from dpf_async.models import DPUPhase
from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI
from tests.cli.processes import running


async def test_status_shows_every_dpu_and_the_pending_requests(tmp_path: Path, run_cli: RunCLI) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        host = await sim.node_waiting_for_external_reboot(devices=2)
        held = await sim.node_waiting_for_hold()
        await dpf.node(held.name).view()
        table = await run_cli("status", "--kubeconfig", "kubeconfig")
        document = await run_cli("status", "--kubeconfig", "kubeconfig", "--output", "json")

    rows = [line.split() for line in table.out.splitlines()]
    assert [row[-1] for row in rows if row[0] == host.name] == ["reboot"] * 2
    assert [row[-1] for row in rows if row[0] == held.name] == ["release"]
    documents = {node["node"]: node for node in json.loads(document.out)}
    assert documents[host.name]["external_reboot_required"] is True
    assert [dpu["phase"] for dpu in documents[host.name]["dpus"]] == [DPUPhase.REBOOTING] * 2
    assert documents[held.name]["held"] is True
    assert {dpu["ready"] for node in documents.values() for dpu in node["dpus"]} == {False}


async def test_watch_prints_the_present_state_and_then_each_transition_of_the_selected_hosts(
    tmp_path: Path,
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await sim.define_site()
        chosen, other = sim.host(), sim.host()
        await dpf.create_dpu_node(chosen.name, chosen.devices, labels={**chosen.labels, "rack": "1"})
        await dpf.create_dpu_node(other.name, other.devices, labels=other.labels)
        await dpf.node(chosen.name).until(node_effect_held, timeout=60)
        command = ("watch", "--kubeconfig", tmp_path / "kubeconfig", "--selector", "rack=1")
        async with running(*command) as watch:
            await watch.until_out_has("NodeEffectHeld")
            await dpf.mark_dpu_node_ready_for_maintenance(chosen.name)
            await watch.until_out_has("ExternalRebootRequired")
            watch.interrupt()

    lines = watch.out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names.index("DPUAppeared") < names.index("NodeEffectHeld") < names.index("ExternalRebootRequired")
    assert any("after=Rebooting" in line for line in lines)
    assert other.name not in watch.out
    assert watch.process.returncode == 130


async def test_watch_prints_the_health_of_one_host_as_json_lines(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.ready_node()
        at = ("--kubeconfig", tmp_path / "kubeconfig")
        async with running("watch", node.name, "--health", *at, "-o", "json") as watch:
            await watch.until_out_has("NodeUsable")
            sim.trouble("critical_service_down", node=node.name)
            await watch.until_out_has("NodeUnusable")
            watch.interrupt()

    documents = [json.loads(line) for line in watch.out.splitlines()]
    assert {one["node"] for one in documents} == {node.name}
    down = next(one for one in documents if one["transition"] == "CriticalServicesDown")
    assert down["dpu"] == node.dpus[0].name
    unusable = next(one for one in documents if one["transition"] == "NodeUnusable")
    assert unusable["problems"][0]["transition"] == "CriticalServicesDown"
    assert watch.process.returncode == 130


async def test_watch_rejects_a_name_together_with_a_selector(run_cli: RunCLI) -> None:
    ended = await run_cli("watch", "node-1", "--selector", "rack=1")

    assert ended.status == 2
    assert "exclude each other" in ended.err

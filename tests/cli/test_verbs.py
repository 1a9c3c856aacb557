"""What the verbs show, and that they leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import anyio
import pytest

from dpf_async import DPFClient
from dpf_async.levels import node_effect_held
from dpf_async.models import DPUPhase
from dpf_async.sim import Simulator
from tests.cli.conftest import DPF_ASYNC, RunCLI
from tests.cli.running import EXAMPLES, in_group, running


async def test_the_demo_brings_every_dpu_to_ready_makes_one_anew_and_shows_what_it_took(
    run_cli: RunCLI,
) -> None:
    ended = await run_cli("demo", EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml")

    assert ended.status == 0, ended.err
    assert ended.err == ""
    total = re.search(r"(\d+) hosts with (\d+) DPUs", ended.out)
    assert total is not None
    rows = {line.strip().rpartition("  ")[0].split("  ")[0]: line.split() for line in ended.out.splitlines()}
    runs = int(total[2]) + 1
    assert len(rows["until Ready"]) == 2 + runs, "each DPU, and the one that was made anew once more"
    assert rows["services ready"][2:] == ["yes"] * runs
    assert rows["reboots answered"][2:] == ["1"] * runs
    assert "OS Installing" in rows
    assert "made anew" in ended.out
    assert "nothing is left running" in ended.out


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_an_interrupted_demo_ends_at_once_and_leaves_nothing_running() -> None:
    async with running("demo", EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml") as demo:
        await demo.has_said("OS Installing")
        url = re.search(r"http://127\.0\.0\.1:(\d+)", demo.said)
        assert url is not None
        demo.interrupt()

    assert demo.process.returncode == 130
    assert in_group(demo.process.pid) == []
    with pytest.raises(OSError, match=r"\S"):
        await anyio.connect_tcp("127.0.0.1", int(url[1]))


async def test_a_simulated_site_serves_other_processes_until_it_is_interrupted(
    tmp_path: Path, run_cli: RunCLI
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with running("sim", "up", "--kubeconfig", kubeconfig, "--site", EXAMPLES / "site.yaml") as site:
        await site.has_said("Ctrl-C ends it")
        ended = await run_cli("status", "--kubeconfig", kubeconfig)
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            version = await dpf.server_version()
        site.interrupt()

    assert "groups defined and accepted" in site.said
    assert f"export KUBECONFIG={kubeconfig}" in site.said
    assert ended.status == 0
    assert version.startswith("v1.")
    assert site.process.returncode == 130


async def test_status_shows_every_dpu_and_what_dpf_waits_for(tmp_path: Path, run_cli: RunCLI) -> None:
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
    told = {node["node"]: node for node in json.loads(document.out)}
    assert told[host.name]["external_reboot_required"] is True
    assert [dpu["phase"] for dpu in told[host.name]["dpus"]] == [DPUPhase.REBOOTING] * 2
    assert told[held.name]["held"] is True
    assert {dpu["ready"] for node in told.values() for dpu in node["dpus"]} == {False}


async def test_watch_tells_what_stands_and_then_each_transition_of_the_hosts_chosen(tmp_path: Path) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await sim.define_site()
        chosen, other = sim.host(), sim.host()
        await dpf.create_dpu_node(chosen.name, chosen.devices, labels={**chosen.labels, "rack": "1"})
        await dpf.create_dpu_node(other.name, other.devices, labels=other.labels)
        await dpf.node(chosen.name).until(node_effect_held, timeout=60)
        command = ("watch", "--kubeconfig", tmp_path / "kubeconfig", "--selector", "rack=1")
        async with running(*command) as watch:
            await watch.has_said("NodeEffectHeld")
            await dpf.mark_dpu_node_ready_for_maintenance(chosen.name)
            await watch.has_said("ExternalRebootRequired")
            watch.interrupt()

    lines = watch.said.splitlines()
    names = [line.split()[0] for line in lines]
    assert names.index("DPUAppeared") < names.index("NodeEffectHeld") < names.index("ExternalRebootRequired")
    assert any("after=Rebooting" in line for line in lines)
    assert other.name not in watch.said
    assert watch.process.returncode == 130


async def test_watch_tells_the_health_of_one_host_in_lines_for_a_program(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.ready_node()
        at = ("--kubeconfig", tmp_path / "kubeconfig")
        async with running("watch", node.name, "--health", *at, "-o", "json") as watch:
            await watch.has_said("NodeUsable")
            sim.trouble("critical_service_down", node=node.name)
            await watch.has_said("NodeUnusable")
            watch.interrupt()

    told = [json.loads(line) for line in watch.said.splitlines()]
    assert {one["node"] for one in told} == {node.name}
    down = next(one for one in told if one["transition"] == "CriticalServicesDown")
    assert down["dpu"] == node.dpus[0].name
    unusable = next(one for one in told if one["transition"] == "NodeUnusable")
    assert unusable["problems"][0]["transition"] == "CriticalServicesDown"
    assert watch.process.returncode == 130


async def test_a_name_and_a_selector_exclude_each_other(run_cli: RunCLI) -> None:
    ended = await run_cli("watch", "node-1", "--selector", "rack=1")

    assert ended.status == 2
    assert "exclude each other" in ended.err


async def test_a_table_has_whole_names_where_there_is_no_screen(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold()
        environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        command = [str(DPF_ASYNC), "dpu", "status", "--kubeconfig", str(tmp_path / "kubeconfig")]
        done = await anyio.run_process(command, check=False, env=environment)

    (row,) = done.stdout.decode().splitlines()[1:]
    assert row.split()[:2] == [node.dpus[0].name, node.dpus[0].device]
    assert "…" not in row
    assert len(row) > 120

"""dpf-async upgrade: another BFB, one host after the other, and back."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async import DPFClient
from dpf_async.models import BFB, BFBSpec, ObjectMeta
from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")
BY = ("--yes", "--reboot-command", "true")


async def another_bfb(sim: Simulator, dpf: DPFClient) -> None:
    spec = BFBSpec(url="https://bfb.example.com/new.bfb")
    await dpf.resource(BFB).create(BFB(metadata=ObjectMeta(name="new"), spec=spec))
    await sim.settled()


async def test_only_the_hosts_that_are_approved_are_upgraded_and_a_rollback_says_what_is_outdated_then(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        first, second = await sim.ready_node(), await sim.ready_node()
        await another_bfb(sim, dpf)
        ended = await run_cli("upgrade", "compute", "--bfb", "new", *AT, *BY, "--approve", first.name)
        site = await run_cli("site", "status", *AT)
        back = await run_cli("upgrade", "compute", "--rollback", *AT, "-o", "json")
        again = await run_cli("upgrade", "compute", *AT, *BY, "-o", "json")

    assert ended.status == 0, ended.err
    assert f"DPUNode {first.name}: upgraded" in ended.out
    assert f"DPUNode {second.name}: skipped" in ended.out
    assert f"outdated: DPU {second.dpus[0].name}" in ended.out
    assert site.out.splitlines()[-1].split() == ["DPUDeployment", "compute", "yes", "1"]
    assert back.status == 0, back.err
    told = json.loads(back.out)
    assert (told["changed"], told["references"]["bfb"]) == (True, "bf-bundle")
    assert [one["node"] for one in told["outdated"]] == [first.name]
    assert again.status == 0, again.err
    assert [(one["node"], one["outcome"]) for one in json.loads(again.out)["hosts"]] == [
        (first.name, "upgraded")
    ]


async def test_a_host_that_fails_stops_the_upgrade_and_the_report_is_shown_all_the_same(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        first, second = await sim.ready_node(), await sim.ready_node()
        await another_bfb(sim, dpf)
        command = ("upgrade", "compute", "--bfb", "new", *AT, "--yes", "-o", "json")
        ended = await run_cli(*command, "--reboot-command", "false")

    told = json.loads(ended.out)
    assert [(one["node"], one["outcome"]) for one in told["hosts"]] == [
        (first.name, "failed"),
        (second.name, "not_started"),
    ]
    assert "false ended with exit status 1; the request for a reboot stands" in ended.err
    assert ended.status == 1


async def test_nobody_to_approve_and_a_name_that_is_not_there_are_one_sentence(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await sim.define_site()
        nobody = await run_cli("upgrade", "compute", *AT, "--reboot-command", "true")
        unknown = await run_cli("upgrade", "storage", *AT, *BY)
        bfb = await run_cli("upgrade", "compute", "--bfb", "old", *AT, *BY)

    assert "nobody would approve hosts" in nobody.err
    assert "storage" in unknown.err
    assert "old" in bfb.err
    assert [ended.status for ended in (nobody, unknown, bfb)] == [2, 1, 1]
    for ended in (nobody, unknown, bfb):
        assert "Traceback" not in ended.err
        assert ended.out == ""

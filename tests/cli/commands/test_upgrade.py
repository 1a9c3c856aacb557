"""dpf-async upgrade: install another BFB on approved hosts, and roll back."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async import DPFClient
from dpf_async.models import BFB, BFBSpec, ObjectMeta
from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")
ACTIONS = ("--yes", "--reboot-command", "true")


async def create_new_bfb(sim: Simulator, dpf: DPFClient) -> None:
    spec = BFBSpec(url="https://bfb.example.com/new.bfb")
    await dpf.resource(BFB).create(BFB(metadata=ObjectMeta(name="new"), spec=spec))
    await sim.settled()


async def test_only_approved_hosts_are_upgraded_and_a_rollback_lists_the_outdated_dpus(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        first, second = await sim.ready_node(), await sim.ready_node()
        await create_new_bfb(sim, dpf)
        ended = await run_cli("upgrade", "compute", "--bfb", "new", *AT, *ACTIONS, "--approve", first.name)
        site = await run_cli("site", "status", *AT)
        back = await run_cli("upgrade", "compute", "--rollback", *AT, "-o", "json")
        again = await run_cli("upgrade", "compute", *AT, *ACTIONS, "-o", "json")

    assert ended.status == 0, ended.err
    assert f"DPUNode {first.name}: upgraded" in ended.out
    assert f"DPUNode {second.name}: skipped" in ended.out
    assert f"outdated: DPU {second.dpus[0].name}" in ended.out
    assert site.out.splitlines()[-1].split() == ["DPUDeployment", "compute", "yes", "1"]
    assert back.status == 0, back.err
    document = json.loads(back.out)
    assert (document["changed"], document["references"]["bfb"]) == (True, "bf-bundle")
    assert [one["node"] for one in document["outdated"]] == [first.name]
    assert again.status == 0, again.err
    assert [(one["node"], one["outcome"]) for one in json.loads(again.out)["hosts"]] == [
        (first.name, "upgraded")
    ]


async def test_a_host_that_fails_stops_the_upgrade_and_the_report_is_still_shown(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        first, second = await sim.ready_node(), await sim.ready_node()
        await create_new_bfb(sim, dpf)
        command = ("upgrade", "compute", "--bfb", "new", *AT, "--yes", "-o", "json")
        ended = await run_cli(*command, "--reboot-command", "false")

    document = json.loads(ended.out)
    assert [(one["node"], one["outcome"]) for one in document["hosts"]] == [
        (first.name, "failed"),
        (second.name, "not_started"),
    ]
    assert "false ended with exit status 1; the reboot request is still pending" in ended.err
    assert ended.status == 1


async def test_missing_approval_and_missing_objects_are_reported_in_one_sentence(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await sim.define_site()
        no_approval = await run_cli("upgrade", "compute", *AT, "--reboot-command", "true")
        unknown = await run_cli("upgrade", "storage", *AT, *ACTIONS)
        bfb = await run_cli("upgrade", "compute", "--bfb", "old", *AT, *ACTIONS)

    assert "no way to approve hosts: name them with --approve" in no_approval.err
    assert "storage" in unknown.err
    assert "old" in bfb.err
    assert [ended.status for ended in (no_approval, unknown, bfb)] == [2, 1, 1]
    for ended in (no_approval, unknown, bfb):
        assert "Traceback" not in ended.err
        assert ended.out == ""

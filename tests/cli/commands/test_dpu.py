"""dpf-async dpu: reprovision, delete and list DPUs."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI
from tests.integration.test_flows import Carbide
from tests.integration.test_releases import failed_host

AT = ("--kubeconfig", "kubeconfig")
ACTIONS = ("--yes", "--reboot-command", "true")


async def test_a_dpu_is_reprovisioned_once_even_if_the_verb_is_run_again_with_its_uid(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.ready_node(devices=2)
        old, other = node.dpus
        first = await run_cli("dpu", "reprovision", old.name, *AT, *ACTIONS)
        replaced = await dpf.dpu(old.name).view()
        again = await run_cli("dpu", "reprovision", old.name, "--uid", old.uid, *AT, *ACTIONS, "-o", "json")
        after = await dpf.node(node.name).view()

    assert first.status == 0, first.err
    assert f"DPU {old.name} has uid {old.uid}" in first.err
    assert first.out.startswith(f"{node.name}: ready; ")
    assert replaced.uid != old.uid
    assert again.status == 0, again.err
    assert json.loads(again.out)[0]["ready"] is True
    assert after.uids == {old.name: replaced.uid, other.name: other.uid}


async def test_reprovisioning_resumes_with_the_uid_although_the_dpu_is_already_deleted(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        (old,) = (await sim.ready_node()).dpus
        await dpf.reprovision_dpu(old.name, timeout=60)
        ended = await run_cli("dpu", "reprovision", old.name, "--uid", old.uid, *AT, *ACTIONS)
        ready = await dpf.is_dpu_ready(old.name)

    assert ended.status == 0, ended.err
    assert ready


async def test_the_caller_decides_what_happens_to_a_hold_that_was_released_too_early(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        failed = await failed_host(sim, dpf, Carbide(dpf))
        (dpu,) = failed.dpus
        command = ("dpu", "reprovision", dpu.name, *AT, *ACTIONS)
        refused = await run_cli(*command, "--if-released", "refuse")
        between = await dpf.dpu(dpu.name).view()
        accepted = await run_cli(*command, "--if-released", "accept")

    assert refused.status == 1
    assert "nothing was deleted" in refused.err
    assert between.uid == dpu.uid
    assert accepted.status == 0, accepted.err
    assert "are provisioned on it" in accepted.err


async def test_status_shows_the_problems_of_each_dpu_and_fails_unless_all_are_ready(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        empty = await run_cli("dpu", "status", *AT)
        (good,) = (await sim.ready_node()).dpus
        (held,) = (await sim.node_waiting_for_hold()).dpus
        one = await run_cli("dpu", "status", good.name, *AT)
        every = await run_cli("dpu", "status", *AT, "-o", "json")
        unknown = await run_cli("dpu", "status", "dpu-9", *AT)

    assert empty.out == "no DPUs in namespace dpf-operator-system\n"
    rows = [line.split() for line in one.out.splitlines()]
    assert rows[1] == [good.name, good.device, "Ready", "yes", "yes", "bf-bundle", "dpu-flavor"]
    documents = {row["dpu"]: row for row in json.loads(every.out)}
    assert documents[good.name]["problems"] == []
    assert documents[held.name]["problems"][0].startswith(f"DPU {held.name} is in phase Node Effect")
    assert unknown.err == "error: there is no DPU dpu-9\n"
    assert [ended.status for ended in (empty, one, every, unknown)] == [0, 0, 1, 1]


async def test_a_dpu_is_deleted_by_its_device_and_by_force_if_dpf_does_not_finish(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.ready_node(devices=2)
        first, second = node.dpus
        graceful = await run_cli("dpu", "delete", first.device, *AT, "--yes")
        sim.trouble("stuck_finalizer", device=second.device)
        forced = await run_cli(
            "dpu", "delete", second.device, *AT, "--yes", "--force", "--grace-period", "0.5s", "-o", "json"
        )
        left = (await dpf.node(node.name).view()).dpus

    assert (graceful.status, graceful.out) == (0, "deleted\n"), graceful.err
    assert forced.status == 0, forced.err
    (report,) = json.loads(forced.out)
    assert report["graceful"] is False
    assert any(second.name in one for one in report["removed"])
    assert report["left_behind"]
    assert left == ()

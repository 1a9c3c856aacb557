"""dpf-async node: the two answers, given by hand."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")


async def test_what_dpf_asks_is_answered_by_hand_and_answering_twice_is_success(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold()
        released = await run_cli("node", "release", node.name, *AT, "--timeout", "60s")
        again = await run_cli("node", "release", node.name, *AT, "-o", "json")
        asked = await sim.node_waiting_for_external_reboot()
        rebooted = await run_cli("node", "rebooted", asked.name, *AT, "--timeout", "60s", "-o", "json")
        twice = await run_cli("node", "rebooted", asked.name, *AT)
        stands = await dpf.is_dpu_node_waiting_for_reboot(asked.name)

    assert released.out == f"{node.name}: may be disturbed now\n", released.err
    assert json.loads(again.out) == {"node": node.name, "answered": False}
    assert json.loads(rebooted.out) == {"node": asked.name, "answered": True}
    assert twice.out == f"{asked.name}: DPF asks for no reboot; nothing was done\n"
    assert not stands
    assert [ended.status for ended in (released, again, rebooted, twice)] == [0, 0, 0, 0]


async def test_a_host_that_is_not_there_or_not_held_is_told_as_that(run_cli: RunCLI, tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        ready = await sim.ready_node()
        missing = await run_cli("node", "rebooted", "node-9", *AT)
        unknown = await run_cli("node", "release", "node-9", *AT)
        free = await run_cli("node", "release", ready.name, *AT)

    for ended in (missing, unknown):
        said, where_to_look = ended.err.splitlines()
        assert "node-9" in said
        assert "dpf-async status" in where_to_look
    assert len(free.err.splitlines()) == 1
    for ended in (missing, unknown, free):
        assert (ended.status, ended.out) == (1, ""), ended.err
        assert ended.err.startswith("error: ")

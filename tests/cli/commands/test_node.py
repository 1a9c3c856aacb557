"""dpf-async node: requests of DPF are answered manually."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")


async def test_requests_are_answered_and_answering_twice_succeeds(run_cli: RunCLI, tmp_path: Path) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold()
        released = await run_cli("node", "release", node.name, *AT, "--timeout", "60s")
        again = await run_cli("node", "release", node.name, *AT, "-o", "json")
        waiting = await sim.node_waiting_for_external_reboot()
        rebooted = await run_cli("node", "rebooted", waiting.name, *AT, "--timeout", "60s", "-o", "json")
        twice = await run_cli("node", "rebooted", waiting.name, *AT)
        pending = await dpf.is_dpu_node_waiting_for_reboot(waiting.name)

    assert released.out == f"{node.name}: hold released\n", released.err
    assert json.loads(again.out) == {"node": node.name, "answered": False}
    assert json.loads(rebooted.out) == {"node": waiting.name, "answered": True}
    assert twice.out == f"{waiting.name}: no reboot request is pending; nothing was done\n"
    assert not pending
    assert [ended.status for ended in (released, again, rebooted, twice)] == [0, 0, 0, 0]


async def test_a_missing_host_and_a_host_without_a_hold_are_distinguished(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        ready = await sim.ready_node()
        missing = await run_cli("node", "rebooted", "node-9", *AT)
        unknown = await run_cli("node", "release", "node-9", *AT)
        free = await run_cli("node", "release", ready.name, *AT)

    for ended in (missing, unknown):
        message, hint = ended.err.splitlines()
        assert "node-9" in message
        assert "dpf-async status" in hint
    assert len(free.err.splitlines()) == 1
    for ended in (missing, unknown, free):
        assert (ended.status, ended.out) == (1, ""), ended.err
        assert ended.err.startswith("error: ")

"""dpf-async snapshot: the state of one host and of all objects that refer to it."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")


async def test_a_snapshot_shows_what_each_object_of_a_host_waits_for(run_cli: RunCLI, tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold(devices=2)
        table = await run_cli("snapshot", node.name, *AT)
        as_json = await run_cli("snapshot", node.name, *AT, "-o", "json")
        unknown = await run_cli("snapshot", "node-9", *AT)

    assert table.out.startswith(f"host {node.name} in namespace dpf-operator-system, ")
    kinds = [line.split()[0] for line in table.out.splitlines()[2:]]
    assert kinds == ["DPUNode", "DPUDevice", "DPUDevice", "DPU", "DPU", "DPUNodeMaintenance"]
    assert table.out.rstrip().endswith("the release of the hold")
    document = json.loads(as_json.out)
    assert (document["node"], len(document["dpus"])) == (node.name, 2)
    assert (
        document["waiting_for"][f"DPUNodeMaintenance {node.maintenances[0].name}"]
        == "the release of the hold"
    )
    assert (table.status, as_json.status, unknown.status) == (0, 0, 1)
    assert unknown.err.startswith("error: ")
    assert "host node-9" in unknown.err

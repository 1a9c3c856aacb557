"""The simulated site serves other people's clients as a cluster does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest

from dpf_async import DPFClient
from dpf_async.models import DPU
from dpf_async.sim import Simulator

PROGRAMS = Path(__file__).parent / "clients"


async def create_dpu(dpf: DPFClient) -> None:
    spec = {
        "dpuNodeName": "node-1",
        "dpuDeviceName": "device-1",
        "serialNumber": "MT2500XZ0001",
        "bfb": "bundle",
        "dpuFlavor": "flavor",
        "nodeEffect": {"noEffect": True},
    }
    await dpf.resource(DPU).create(DPU.model_validate({"metadata": {"name": "dpu-1"}, "spec": spec}))


@pytest.mark.parametrize("program", ["official.py", "of_kr8s.py", "of_lightkube.py"])
async def test_another_client_lists_watches_patches_and_deletes_a_dpu(tmp_path: Path, program: str) -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        await create_dpu(dpf)
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [sys.executable, str(PROGRAMS / program), str(tmp_path / "kubeconfig")], check=False
            )
        left = await dpf.resource(DPU).list()

    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [
        "dpu-1",
        [["ADDED", None], ["MODIFIED", "them"], ["DELETED", "them"]],
    ]
    assert left.items == ()

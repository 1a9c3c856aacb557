"""Other Kubernetes client libraries work with the simulated site."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest
import yaml

from dpf_async import DPFClient, NodeView, load_hosts, load_site
from dpf_async.levels import Level, node_effect_held
from dpf_async.models import DPU
from dpf_async.sim import Simulator
from tests.cli.processes import EXAMPLES, running

PROGRAMS = Path(__file__).parent / "clients"
SEEN = [["ADDED", None], ["MODIFIED", "them"], ["DELETED", "them"]]

each_client = pytest.mark.parametrize("program", ["official.py", "of_kr8s.py", "of_lightkube.py"])


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


async def done_by(program: str, kubeconfig: Path) -> object:
    """Run a client program; return the name that it listed and the events that it received."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, str(PROGRAMS / program), str(kubeconfig)], check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    output: object = json.loads(done.stdout)
    return output


@each_client
async def test_another_client_lists_watches_patches_and_deletes_a_dpu(tmp_path: Path, program: str) -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        await create_dpu(dpf)
        sim.write_kubeconfig(tmp_path / "kubeconfig")

        output = await done_by(program, tmp_path / "kubeconfig")

        left = await dpf.resource(DPU).list()

    assert output == ["dpu-1", SEEN]
    assert left.items == ()


@each_client
async def test_another_client_works_with_an_operator_in_another_process(tmp_path: Path, program: str) -> None:
    hosts = {"hosts": yaml.safe_load((EXAMPLES / "hosts.yaml").read_text())["hosts"][1:2]}
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(hosts))
    (host,) = load_hosts(tmp_path / "hosts.yaml", load_site(EXAMPLES / "site.yaml"))
    kubeconfig = tmp_path / "kubeconfig"
    described = ("--site", EXAMPLES / "site.yaml", "--hosts", tmp_path / "hosts.yaml")
    async with running("sim", "up", "--kubeconfig", kubeconfig, "--profile", "instant", *described) as site:
        await site.until_out_has("dpf-async watch")
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            (before,) = (await dpf.node(host.name).until(node_effect_held, timeout=60)).dpus

            output = await done_by(program, kubeconfig)

            # Its DPUSet creates it again. On a timeout, the error has the last state.
            recreated = Level[NodeView](
                "recreated", lambda view: {dpu.uid for dpu in view.dpus} - {before.uid} != set()
            )
            await dpf.node(host.name).until(recreated, timeout=60)
        site.interrupt()

    assert output == [before.name, SEEN]

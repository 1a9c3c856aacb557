"""The simulated site as a process: what it tells whoever starts it, and how it ends."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio

from dpf_async import DPFClient
from dpf_async.levels import node_effect_held
from tests.cli.conftest import RunCLI
from tests.cli.running import HOSTS, SITE, in_group, running

NODES = [f"node-02-00-00-00-0a-0{number}" for number in range(1, 5)]


async def test_a_site_that_is_described_is_there_with_its_hosts_when_it_says_so(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kube config"
    options = ("--kubeconfig", kubeconfig, "--profile", "instant")
    async with running("sim", "up", *options, "--site", SITE, "--hosts", HOSTS) as site:
        await site.has_said("dpf-async watch")
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            views = [await dpf.node(name).until(node_effect_held, timeout=60) for name in NODES]
        site.interrupt()

    lines = site.said.splitlines()
    assert lines[0] == "3 groups defined and accepted; 4 hosts registered"
    assert lines[1].startswith("simulated site: http://127.0.0.1:")
    assert f"  export KUBECONFIG='{kubeconfig}'" in lines
    assert sum(len(view.dpus) for view in views) == 6


async def test_a_site_is_ended_by_sigterm_as_by_ctrl_c_and_leaves_nothing_running(tmp_path: Path) -> None:
    async with running("sim", "up", "--kubeconfig", tmp_path / "kubeconfig") as site:
        await site.has_said("dpf-async watch")
        site.process.terminate()

    assert site.process.returncode == 0
    assert in_group(site.process.pid) == []


async def test_a_port_that_is_taken_is_named(tmp_path: Path, run_cli: RunCLI) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = await run_cli("sim", "up", "--port", str(port))

    assert ended.status == 2
    assert ended.err.startswith(f"error: port {port} on 127.0.0.1 cannot be used: ")
    assert not (tmp_path / "dpf-sim.kubeconfig").exists()


async def test_a_site_is_where_it_was_asked_to_be(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running("sim", "up", "--kubeconfig", tmp_path / "kubeconfig", "--port", str(port)) as site:
        await site.has_said("dpf-async watch")
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.aclose()
        site.interrupt()

    assert f"http://127.0.0.1:{port}," in site.said


async def test_hosts_without_their_site_are_refused(run_cli: RunCLI) -> None:
    ended = await run_cli("sim", "up", "--hosts", HOSTS)

    assert ended.status == 2
    assert "--hosts needs --site" in ended.err

"""dpf-async sim up: what it prints, the options of the site, and how it ends."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio

from dpf_async import DPFClient
from dpf_async.levels import node_effect_held
from tests.cli.conftest import RunCLI
from tests.cli.processes import HOSTS, SITE, in_group, running

NODES = [f"node-02-00-00-00-0a-0{number}" for number in range(1, 5)]


async def test_the_site_and_host_files_are_applied_before_the_address_is_printed(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kube config"
    options = ("--kubeconfig", kubeconfig, "--profile", "instant")
    async with running("sim", "up", *options, "--site", SITE, "--hosts", HOSTS) as site:
        await site.until_out_has("dpf-async watch")
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            views = [await dpf.node(name).until(node_effect_held, timeout=60) for name in NODES]
        site.interrupt()

    lines = site.out.splitlines()
    assert lines[0] == "3 groups applied and accepted; 4 hosts registered"
    assert lines[1].startswith("simulated site: http://127.0.0.1:")
    assert f"  export KUBECONFIG='{kubeconfig}'" in lines
    assert sum(len(view.dpus) for view in views) == 6


async def test_sigterm_ends_a_site_with_status_0_and_leaves_no_process_running(tmp_path: Path) -> None:
    async with running("sim", "up", "--kubeconfig", tmp_path / "kubeconfig") as site:
        await site.until_out_has("dpf-async watch")
        site.process.terminate()

    assert site.process.returncode == 0
    assert in_group(site.process.pid) == []


async def test_a_port_that_is_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        at = ("--kubeconfig", tmp_path / "kubeconfig", "--port", str(port))
        async with running("sim", "up", *at) as site:
            pass

    assert site.process.returncode == 2
    assert site.err.startswith(f"error: port {port} on 127.0.0.1 cannot be opened: ")
    assert not (tmp_path / "kubeconfig").exists()


async def test_a_site_listens_on_the_requested_port(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running("sim", "up", "--kubeconfig", tmp_path / "kubeconfig", "--port", str(port)) as site:
        await site.until_out_has("dpf-async watch")
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.aclose()
        site.interrupt()

    assert f"http://127.0.0.1:{port}," in site.out


async def test_a_host_file_without_a_site_file_is_rejected(run_cli: RunCLI) -> None:
    ended = await run_cli("sim", "up", "--hosts", HOSTS)

    assert ended.status == 2
    assert "--hosts needs --site" in ended.err


async def test_a_site_serves_other_processes_until_it_is_interrupted(tmp_path: Path, run_cli: RunCLI) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with running("sim", "up", "--kubeconfig", kubeconfig, "--site", SITE) as site:
        await site.until_out_has("Ctrl-C stops it")
        ended = await run_cli("status", "--kubeconfig", kubeconfig)
        async with DPFClient(kubeconfig=kubeconfig) as dpf:
            version = await dpf.server_version()
        site.interrupt()

    assert "groups applied and accepted" in site.out
    assert f"export KUBECONFIG={kubeconfig}" in site.out
    assert ended.status == 0
    assert version.startswith("v1.")
    assert site.process.returncode == 130

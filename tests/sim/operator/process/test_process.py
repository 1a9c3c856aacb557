"""The operator as a separate process, with an API server in another process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from dpf_async import DPFClient, crds, provision
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.sim.operator.__main__ import main
from dpf_async.sim.simulator import Simulator, minimal_site

COMMAND = [sys.executable, "-m", "dpf_async.sim.operator"]


@asynccontextmanager
async def running(kubeconfig: Path, *options: str) -> AsyncIterator[Process]:
    """The operator process after it reported that it simulates; it receives SIGTERM at the end."""
    command = [*COMMAND, "--kubeconfig", str(kubeconfig), *options]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        output = ""
        async for text in TextReceiveStream(process.stdout):
            output += text
            if "simulating DPF" in output:
                break
        yield process
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(60):
            assert await process.wait() == 0


async def test_a_host_is_provisioned_by_an_operator_in_another_process(tmp_path: Path) -> None:
    manifests = json.loads(json.dumps(crds.manifests()))
    async with EmbeddedServer(crds=manifests) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        reboots: list[str] = []

        async def reboot(node: str) -> None:
            reboots.append(node)

        async with (
            running(tmp_path / "kubeconfig", "--profile", "demo", "--speed", "40", "--trouble", "reboots=2"),
            DPFClient(kubeconfig=server.kubeconfig()) as dpf,
        ):
            site, host = minimal_site(), Simulator(operator=False).host(devices=2)
            await dpf.create_initialization_objects(site, bmc_password="secret")
            await dpf.site_accepted(site, timeout=60)
            view = await provision(dpf, host, reboot=reboot, timeout=60)

        assert view.ready
        assert reboots == [host.name, host.name]


def test_an_unreachable_server_is_reported_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{}")

    completed = subprocess.run(
        [*COMMAND, "--kubeconfig", str(tmp_path / "kubeconfig")], capture_output=True, text=True, check=False
    )

    assert completed.returncode == 1
    assert "Traceback" not in completed.stderr
    assert len(completed.stderr.splitlines()) <= 3


@pytest.mark.parametrize("trouble", ["watch_lag=1", "unknown_trouble"])
def test_troubles_of_the_server_and_unknown_troubles_are_rejected(
    trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["--kubeconfig", "/nowhere", "--trouble", trouble])
    except SystemExit as exit_:
        code = int(str(exit_.code))

    assert code != 0
    assert trouble.partition("=")[0] in capsys.readouterr().err

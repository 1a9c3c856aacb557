"""The console script `dpf-async`: its name, its exit status as a process, and its output in pipes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import anyio
import pytest

from dpf_async import __version__
from dpf_async.sim import Simulator
from tests.cli.processes import DPF_ASYNC, SITE

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_package_installs_one_program_which_is_not_named_like_that_of_nvidia() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]

    assert project["scripts"] == {"dpf-async": "dpf_async.cli:main"}
    assert "gui-scripts" not in project
    assert "entry-points" not in project


@pytest.mark.parametrize(
    ("arguments", "status", "out", "err"),
    [
        (["--version"], 0, f"dpf-async {__version__}\n", ""),
        (["status", "--kubeconfig", "nowhere.yaml"], 2, "", "error: kubeconfig nowhere.yaml does not exist"),
        (["status", "--kubeconfig", "kubeconfig"], 1, "", "error: GET dpunodes"),
    ],
    ids=["done", "usage", "failed"],
)
async def test_the_exit_status_and_the_streams_of_the_process_are_those_of_the_verb(
    tmp_path: Path, arguments: list[str], status: int, out: str, err: str
) -> None:
    async with Simulator(operator=False) as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        sim.server.faults.deny(resource="dpunodes")
        with anyio.fail_after(120):
            done = await anyio.run_process([str(DPF_ASYNC), *arguments], check=False, cwd=tmp_path)

    assert (done.returncode, done.stdout.decode()) == (status, out)
    assert done.stderr.decode().startswith(err)
    assert len(done.stderr.decode().splitlines()) == bool(err)


async def test_a_table_in_a_pipe_has_whole_names(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold()
        environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        command = [str(DPF_ASYNC), "dpu", "status", "--kubeconfig", str(tmp_path / "kubeconfig")]
        with anyio.fail_after(120):
            done = await anyio.run_process(command, check=False, env=environment)

    (row,) = done.stdout.decode().splitlines()[1:]
    assert row.split()[:2] == [node.dpus[0].name, node.dpus[0].device]
    assert "…" not in row
    assert len(row) > 120


async def test_an_empty_password_from_a_pipe_is_rejected_before_anything_is_sent(tmp_path: Path) -> None:
    command = [str(DPF_ASYNC), "site", "apply", str(SITE), "--bmc-password-file", "-"]
    with anyio.fail_after(120):
        done = await anyio.run_process(command, check=False, cwd=tmp_path, input=b"\n")

    assert done.stderr == b"error: --bmc-password-file - is empty; nothing was done\n"
    assert (done.returncode, done.stdout) == (2, b"")

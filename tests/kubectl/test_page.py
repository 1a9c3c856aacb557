"""The commands of docs/how-to/kubectl.md run unchanged, in their order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.apiserver.build import find
from tests.cli.processes import DPF_ASYNC
from tests.kubectl.conftest import EXAMPLES, running

pytestmark = pytest.mark.apiserver

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "kubectl.md"


def commands_of_the_page() -> list[str]:
    """The commands of the page, block by block."""
    return re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"))


def test_the_commands_of_the_page_provision_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, *commands = commands_of_the_page()
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    path = f"{DPF_ASYNC.parent}:{find().folder}:{os.environ['PATH']}"
    ready = "kubectl get dpus -o jsonpath='{.items[?(@.status.phase==\"Ready\")].metadata.name}'\n"

    with running([*start.split()[1:], "--profile", "instant"], until="dpf-async watch"):
        done = subprocess.run(
            ["sh", "-e", "-c", "".join([*commands, ready])],
            env={"HOME": str(tmp_path), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "node-02-00-00-00-0a-02-device-02-00-00-00-0b-03"
    assert "bfb.provisioning.dpu.nvidia.com/candidate created (server dry run)" in done.stdout


def test_the_page_has_the_commands_that_release_a_hold_and_confirm_a_reboot() -> None:
    commands = "".join(commands_of_the_page()).replace("\\\n  ", "")

    release = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect=false --overwrite"
    rebooted = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required-\n"
    node, annotate = "node-02-00-00-00-0a-02", "kubectl -n dpf-operator-system annotate"
    assert f"{annotate} dpunodemaintenance {node}-hold {release}" in commands
    assert f"{annotate} dpunode {node} {rebooted}" in commands

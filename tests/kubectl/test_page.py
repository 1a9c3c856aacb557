"""What docs/how-to/look-with-kubectl.md shows runs as it stands, from its first command to its last."""

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

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "look-with-kubectl.md"


def shown() -> list[str]:
    """The commands of the page, block by block."""
    return re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"))


def test_the_commands_of_the_page_drive_a_host_to_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, *typed = shown()
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    path = f"{DPF_ASYNC.parent}:{find().folder}:{os.environ['PATH']}"
    ready = "kubectl get dpus -o jsonpath='{.items[?(@.status.phase==\"Ready\")].metadata.name}'\n"

    with running([*start.split()[1:], "--profile", "instant"], until="dpf-async watch"):
        done = subprocess.run(
            ["sh", "-e", "-c", "".join([*typed, ready])],
            env={"HOME": str(tmp_path), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "node-02-00-00-00-0a-02-device-02-00-00-00-0b-03"
    assert "bfb.provisioning.dpu.nvidia.com/candidate created (server dry run)" in done.stdout


def test_the_two_commands_of_the_requirement_are_on_the_page() -> None:
    commands = "".join(shown()).replace("\\\n  ", "")

    release = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect=false --overwrite"
    rebooted = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required-\n"
    node, annotate = "node-02-00-00-00-0a-02", "kubectl -n dpf-operator-system annotate"
    assert f"{annotate} dpunodemaintenance {node}-hold {release}" in commands
    assert f"{annotate} dpunode {node} {rebooted}" in commands

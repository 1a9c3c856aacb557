"""dpf-async demo: its table and its end."""

from __future__ import annotations

import re
import sys

import anyio
import pytest

from tests.cli.conftest import RunCLI
from tests.cli.processes import EXAMPLES, in_group, running


async def test_the_demo_provisions_every_dpu_reprovisions_one_and_shows_the_durations(
    run_cli: RunCLI,
) -> None:
    ended = await run_cli("demo", EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml")

    assert ended.status == 0, ended.err
    assert ended.err == ""
    total = re.search(r"(\d+) hosts with (\d+) DPUs", ended.out)
    assert total is not None
    rows = {line.strip().rpartition("  ")[0].split("  ")[0]: line.split() for line in ended.out.splitlines()}
    runs = int(total[2]) + 1
    assert len(rows["until Ready"]) == 2 + runs, (
        "one column for each DPU, and another for the reprovisioned one"
    )
    assert rows["services ready"][2:] == ["yes"] * runs
    assert rows["reboots answered"][2:] == ["1"] * runs
    assert "OS Installing" in rows
    assert "and then reprovisioned" in ended.out
    assert "no process is left running" in ended.out


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_interrupted_demo_ends_at_once_and_leaves_no_process_running() -> None:
    async with running("demo", EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml") as demo:
        await demo.until_out_has("OS Installing")
        url = re.search(r"http://127\.0\.0\.1:(\d+)", demo.out)
        assert url is not None
        demo.interrupt()

    assert demo.process.returncode == 130
    assert in_group(demo.process.pid) == []
    with pytest.raises(OSError, match=r"\S"):
        await anyio.connect_tcp("127.0.0.1", int(url[1]))

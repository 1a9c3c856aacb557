"""Runs dpf-async for a test: its output and its exit status."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.cli.in_process import Completed, run

RunCLI = Callable[..., Awaitable[Completed]]


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCLI:
    """Runs dpf-async in tmp_path, without a terminal and without a kubeconfig unless an option names one."""

    async def run_here(*arguments: str | Path, stdin: bytes = b"", columns: int | None = 200) -> Completed:
        unset = {"KUBECONFIG", "COLUMNS"}
        environment = {key: value for key, value in os.environ.items() if key not in unset}
        environment["HOME"] = str(tmp_path)
        if columns is not None:
            environment["COLUMNS"] = str(columns)
        return await run(list(map(str, arguments)), cwd=tmp_path, environment=environment, stdin=stdin)

    return run_here

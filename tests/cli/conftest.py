"""dpf-async as its users have it: a process, its output, its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

DPF_ASYNC = Path(sys.executable).with_name("dpf-async")


@dataclass(frozen=True)
class Ended:
    """A verb that came to its end."""

    status: int
    out: str
    err: str


RunCLI = Callable[..., Awaitable[Ended]]


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCLI:
    """Runs dpf-async where there is no kubeconfig but a named one, and no terminal."""

    async def run(*arguments: str | Path, stdin: bytes = b"") -> Ended:
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        environment |= {"HOME": str(tmp_path), "COLUMNS": "200"}
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [str(DPF_ASYNC), *map(str, arguments)],
                check=False,
                cwd=tmp_path,
                env=environment,
                input=stdin,
            )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run

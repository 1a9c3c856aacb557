"""Runs dpf-async in this process, in a thread with streams, environment and directory as a process would have them.

Starting Python and importing the command costs about a second of CPU for each process. Tests about processes (signals,
terminals, pipes, the console script) use `processes` instead.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import anyio.to_thread
import pytest
import structlog
import typer

from dpf_async.cli import console
from dpf_async.cli.app import app


@dataclass(frozen=True)
class Completed:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str


async def run(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], stdin: bytes = b""
) -> Completed:
    """Run dpf-async while the servers of the test run in the event loop of the caller."""
    with anyio.fail_after(120):
        return await anyio.to_thread.run_sync(
            partial(_run, arguments, cwd, environment, stdin), abandon_on_cancel=True
        )


def _run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], stdin: bytes) -> Completed:
    with tempfile.TemporaryDirectory() as folder, _structlog_as_configured():
        out, err = Path(folder) / "stdout", Path(folder) / "stderr"
        with contextlib.ExitStack() as stack:
            # Files, since commands for hosts inherit stderr; appending, since they share its position.
            stdout, stderr = (stack.enter_context(file.open("a", buffering=1)) for file in (out, err))
            stack.enter_context(mock.patch.dict(os.environ, environment, clear=True))
            stack.enter_context(contextlib.chdir(cwd))
            stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))))
            stack.enter_context(contextlib.redirect_stdout(stdout))
            stack.enter_context(contextlib.redirect_stderr(stderr))
            stack.enter_context(mock.patch.object(console, "out", console.open_stdout()))
            stack.enter_context(mock.patch.object(console, "err", console.open_stderr()))
            status = _exit_status(arguments)
        return Completed(status, out.read_text(), err.read_text())


def _exit_status(arguments: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as exited:
        _command().main(args=list(arguments), prog_name="dpf-async")
    assert exited.value.code is None or isinstance(exited.value.code, int)
    return exited.value.code or 0


@cache
def _command() -> Any:  # Any: a group of click, of which typer has its own copy
    return typer.main.get_command(app)


@contextlib.contextmanager
def _structlog_as_configured() -> Iterator[None]:
    """Restore structlog, which a verb configures for its stderr; until then, log nothing to stdout."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)

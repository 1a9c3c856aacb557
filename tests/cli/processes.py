"""dpf-async as a process: its output while it runs, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

DPF_ASYNC = Path(sys.executable).with_name("dpf-async")
EXAMPLES = Path(__file__).parents[2] / "examples"
SITE, HOSTS = EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml"


class RunningCommand:
    """A command that runs, and what it has written so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._received = anyio.Event()

    async def read_output(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, self.process.stdout, "out")
            tasks.start_soon(self._read, self.process.stderr, "err")

    async def _read(self, stream: ByteReceiveStream | None, attribute: str) -> None:
        assert stream is not None
        async for text in TextReceiveStream(stream):
            setattr(self, attribute, getattr(self, attribute) + text)
            self._received.set()
            self._received = anyio.Event()

    async def until_out_has(self, text: str) -> None:
        with anyio.fail_after(120):
            while text not in self.out:
                await self._received.wait()

    async def until_err_has(self, text: str) -> None:
        with anyio.fail_after(120):
            while text not in self.err:
                await self._received.wait()

    def interrupt(self) -> None:
        """Send SIGINT to the process group, as a terminal does for Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)


@asynccontextmanager
async def running(*arguments: str | Path, stdin: int = subprocess.DEVNULL) -> AsyncIterator[RunningCommand]:
    """Run a command in its own process group; leaving the block waits for its end."""
    command = [str(DPF_ASYNC), *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    async with (
        await anyio.open_process(command, env=environment, stdin=stdin, start_new_session=True) as process,
        anyio.create_task_group() as tasks,
    ):
        running_command = RunningCommand(process)
        tasks.start_soon(running_command.read_output)
        try:
            yield running_command
            with anyio.fail_after(60):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


def in_group(group: int) -> list[str]:
    """The processes that remain in a process group."""
    remaining = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(fields.split()[2]) == group and fields.split()[0] != "Z":
            remaining.append(name)
    return remaining

"""dpf-async while it runs: what it has said so far, on stdout and on stderr, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from tests.cli.conftest import DPF_ASYNC

EXAMPLES = Path(__file__).parents[2] / "examples"
SITE, HOSTS = EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml"


class Verb:
    """A verb that runs."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said = ""
        """On stdout."""
        self.told = ""
        """On stderr."""
        self._more = anyio.Event()

    async def listen(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, self.process.stdout, "said")
            tasks.start_soon(self._read, self.process.stderr, "told")

    async def _read(self, stream: ByteReceiveStream | None, where: str) -> None:
        assert stream is not None
        async for text in TextReceiveStream(stream):
            setattr(self, where, getattr(self, where) + text)
            self._more.set()
            self._more = anyio.Event()

    async def has_said(self, words: str) -> None:
        with anyio.fail_after(120):
            while words not in self.said:
                await self._more.wait()

    async def has_told(self, words: str) -> None:
        with anyio.fail_after(120):
            while words not in self.told:
                await self._more.wait()

    def interrupt(self) -> None:
        """As Ctrl-C does: the whole group is told."""
        os.killpg(self.process.pid, signal.SIGINT)


@asynccontextmanager
async def running(*arguments: str | Path, stdin: int = subprocess.DEVNULL) -> AsyncIterator[Verb]:
    """The verb, in a process group of its own; the block is left when it has ended."""
    command = [str(DPF_ASYNC), *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    async with (
        await anyio.open_process(command, env=environment, stdin=stdin, start_new_session=True) as process,
        anyio.create_task_group() as tasks,
    ):
        verb = Verb(process)
        tasks.start_soon(verb.listen)
        try:
            yield verb
            with anyio.fail_after(20):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


def in_group(group: int) -> list[str]:
    """The processes that are left in a process group."""
    left = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(fields.split()[2]) == group and fields.split()[0] != "Z":
            left.append(name)
    return left

"""A replica: a separate process that claims one request, works on it, and answers it.

    python -m tests.support.replica KUBECONFIG HOLDER SECONDS reboot|hold

It prints "working" in its block, which ends when it reads a line, and afterwards "left" or "lost". The test controls it
through Replica, and can kill or suspend it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from dpf_async import Claims, DPFClient
from dpf_async.errors import ClaimLost
from tests.support.cluster import NODE

About: TypeAlias = Literal["reboot", "hold"]
"""The request of DPF that the replica answers."""

_ROOT = Path(__file__).parents[2]
_PREFIX = "replica: "


class Replica:
    """The process, as the test controls it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        assert process.stdout is not None
        self._output = BufferedByteReceiveStream(process.stdout)

    async def message(self) -> str:
        """The next message of the replica; lines of its log are skipped."""
        while True:
            line = (await self._output.receive_until(b"\n", 10_000)).decode()
            if line.startswith(_PREFIX):
                return line.removeprefix(_PREFIX)

    async def finish(self) -> None:
        """Let its block end without an exception."""
        assert self._process.stdin is not None
        await self._process.stdin.send(b"\n")

    async def kill(self) -> None:
        """Kill it, as the kernel does when memory is exhausted."""
        self._process.kill()
        await self._process.wait()

    def stop(self) -> None:
        """Suspend it, as a suspended virtual machine is."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it after `stop`."""
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def replica(
    kubeconfig: dict[str, Any], holder: str, seconds: int, *, about: About
) -> AsyncIterator[Replica]:
    """Start a replica, which runs until the block is left or it is killed."""
    arguments = [json.dumps(kubeconfig), holder, str(seconds), about]
    command = [sys.executable, "-m", "tests.support.replica", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    async with await anyio.open_process(
        command, stderr=subprocess.STDOUT, env=environment, cwd=_ROOT
    ) as process:
        try:
            yield Replica(process)
        finally:
            if process.returncode is None:
                process.kill()


async def work(kubeconfig: dict[str, Any], holder: str, seconds: int, about: About) -> None:
    """The main function of the process."""
    (context,) = kubeconfig["contexts"]
    namespace = context["context"]["namespace"]
    claims = Claims(holder, seconds)
    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace, claims=claims) as dpf:
        node = dpf.node(NODE)
        try:
            async with node.node_effect_hold() if about == "hold" else node.external_reboot():
                _print("working")
                await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        except ClaimLost:
            _print("lost")
        else:
            _print("left")


def _print(word: str) -> None:
    sys.stdout.write(f"{_PREFIX}{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(work, json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]), cast(About, sys.argv[4]))

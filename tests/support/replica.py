"""A replica: a process of its own that claims one request, works on it, and answers it.

    python -m tests.support.replica KUBECONFIG HOLDER SECONDS reboot|hold

It says "working" in its block, which lasts until a line comes in, and at the end "left" or "lost". The test's side is
Replica, which can be killed and stopped.
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
"""What DPF asks, and the replica answers."""

_ROOT = Path(__file__).parents[2]
_SAYS = "replica: "


class Replica:
    """The process, in a test's hands."""

    def __init__(self, process: Process) -> None:
        self._process = process
        assert process.stdout is not None
        self._says = BufferedByteReceiveStream(process.stdout)

    async def said(self) -> str:
        """What it says next, between the lines of its log."""
        while True:
            line = (await self._says.receive_until(b"\n", 10_000)).decode()
            if line.startswith(_SAYS):
                return line.removeprefix(_SAYS)

    async def finish(self) -> None:
        """Have its block end in good order."""
        assert self._process.stdin is not None
        await self._process.stdin.send(b"\n")

    async def kill(self) -> None:
        """As a kernel kills that has no memory left."""
        self._process.kill()
        await self._process.wait()

    def stop(self) -> None:
        """Let it do nothing, as a machine does that is suspended."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it believe that no time has passed."""
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def replica(
    kubeconfig: dict[str, Any], holder: str, seconds: int, *, about: About
) -> AsyncIterator[Replica]:
    """A replica that lives as long as the block, or until it is killed."""
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
    """What the process does."""
    (context,) = kubeconfig["contexts"]
    namespace = context["context"]["namespace"]
    claims = Claims(holder, seconds)
    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace, claims=claims) as dpf:
        node = dpf.node(NODE)
        try:
            async with node.node_effect_hold() if about == "hold" else node.external_reboot():
                _say("working")
                await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        except ClaimLost:
            _say("lost")
        else:
            _say("left")


def _say(word: str) -> None:
    sys.stdout.write(f"{_SAYS}{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(work, json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]), cast(About, sys.argv[4]))

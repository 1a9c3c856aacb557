"""What is done to hosts, in place of a bare-metal manager: by a command, or by the person at the terminal.

What goes wrong here ends the flow, and DPF is told nothing: it goes on waiting, and the same verb begins there again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import anyio

from dpf_async.cli import terminal
from dpf_async.errors import DPFError, UsageError


class NotDone(DPFError):
    """A host was not rebooted, or not made free."""


class Hands:
    """Reboots hosts, and makes them free.

    Args:
        reboot: the command that does; None asks the terminal.
        drain: the command that does; None asks the terminal.
        yes: every host is free already.

    Raises:
        UsageError: a command cannot be run, or there is no way to do one of the two. Nothing was done to any host.
    """

    def __init__(self, *, reboot: str | None, drain: str | None, yes: bool) -> None:
        self._reboot = _parsed("--reboot-command", reboot)
        self._drain = _parsed("--drain-command", drain)
        self._yes = yes
        if not terminal.is_there():
            if self._reboot is None:
                raise UsageError(
                    "nobody would reboot hosts: give --reboot-command, which is `true` on a simulated site, or run this"
                    " on a terminal; nothing was done"
                )
            if self._drain is None and not yes:
                raise UsageError(
                    "nobody would make hosts free: give --drain-command, or --yes if they may be disturbed, or run this"
                    " on a terminal; nothing was done"
                )

    async def reboot(self, node: str) -> None:
        """Reboot a host.

        Raises:
            NotDone: it was not rebooted; DPF's request stands.
        """
        if self._reboot is not None:
            await _run(self._reboot, node, then="the request for a reboot stands")
        elif not await terminal.confirmed(f"DPUNode {node}: reboot it now. Was it power-cycled?"):
            raise NotDone(f"DPUNode {node} was not rebooted; the request stands: run this again to go on")

    async def drain(self, node: str) -> None:
        """Make a host free to be disturbed.

        Raises:
            NotDone: it is not free; DPF's question stands.
        """
        if self._drain is not None:
            await _run(self._drain, node, then="the hold stands")
        elif not self._yes and not await terminal.confirmed(f"DPUNode {node}: may it be disturbed?"):
            raise NotDone(f"DPUNode {node} may not be disturbed; the hold stands: run this again to go on")


def _parsed(option: str, command: str | None) -> list[str] | None:
    if command is None:
        return None
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{option} {command!r} cannot be read: {error}") from error
    if not argv or shutil.which(argv[0]) is None:
        raise UsageError(f"{option} {command!r}: there is no such command; nothing was done")
    return argv


async def _run(command: list[str], node: str, *, then: str) -> None:
    """Run a command for a node, its output on our stderr."""
    # Filled in after splitting: whatever the name is, it is one word, or part of one.
    argv = [word.replace("{node}", node) for word in command]
    process = await anyio.open_process(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        env=os.environ | {"DPF_NODE": node},
    )
    async with process:
        status = await process.wait()
    if status:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise NotDone(f"DPUNode {node}: {shlex.join(argv)} ended with {how}; {then}: run this again to go on")

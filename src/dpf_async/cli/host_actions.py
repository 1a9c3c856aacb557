"""Drain and reboot of hosts in place of a bare-metal manager: by a command, or by the user at the terminal.

If one of them fails, the flow ends for that host, DPF's request stays pending, and running the verb again resumes.
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


class HostActionFailed(DPFError):
    """A host was not rebooted or not drained."""


class HostActions:
    """Reboots and drains hosts.

    Args:
        reboot: the command that reboots a host; None prompts the user.
        drain: the command that drains a host; None prompts the user.
        yes: every host may be disrupted: do not prompt for the drain.

    Raises:
        UsageError: a command cannot be run, or there is neither a command nor a terminal. No host was changed.
    """

    def __init__(self, *, reboot: str | None, drain: str | None, yes: bool) -> None:
        self._reboot = _split_command("--reboot-command", reboot)
        self._drain = _split_command("--drain-command", drain)
        self._yes = yes
        if not terminal.is_interactive():
            if self._reboot is None:
                raise UsageError(
                    "no way to reboot hosts: give --reboot-command (`true` on a simulated site), or run this on a"
                    " terminal; nothing was done"
                )
            if self._drain is None and not yes:
                raise UsageError(
                    "no way to drain hosts: give --drain-command, or --yes to skip the confirmation, or run this on a"
                    " terminal; nothing was done"
                )

    async def reboot(self, node: str) -> None:
        """Reboot a host.

        Raises:
            HostActionFailed: it was not rebooted; the reboot request stays pending.
        """
        if self._reboot is not None:
            await _run(self._reboot, node, pending="the reboot request is still pending")
        elif not await terminal.confirm(f"DPUNode {node}: reboot it now. Was it power-cycled?"):
            raise HostActionFailed(
                f"DPUNode {node} was not rebooted; the reboot request is still pending: run this again to resume"
            )

    async def drain(self, node: str) -> None:
        """Drain a host.

        Raises:
            HostActionFailed: it may not be disrupted; the hold is not released.
        """
        if self._drain is not None:
            await _run(self._drain, node, pending="the hold is not released")
        elif not self._yes and not await terminal.confirm(f"DPUNode {node}: may it be disrupted now?"):
            raise HostActionFailed(
                f"DPUNode {node} may not be disrupted; the hold is not released: run this again to resume"
            )


def _split_command(option: str, command: str | None) -> list[str] | None:
    if command is None:
        return None
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{option} {command!r} cannot be parsed: {error}; nothing was done") from error
    if not argv or shutil.which(argv[0]) is None:
        raise UsageError(f"{option} {command!r}: no such command; nothing was done")
    return argv


async def _run(command: list[str], node: str, *, pending: str) -> None:
    """Run a command for a node, with its output on our stderr."""
    # Replace after splitting, so that a name stays within one argument.
    argv = [argument.replace("{node}", node) for argument in command]
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
        raise HostActionFailed(
            f"DPUNode {node}: {shlex.join(argv)} ended with {how}; {pending}: run this again to resume"
        )

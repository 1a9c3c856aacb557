"""Prompts for the user at the terminal, one at a time."""

from __future__ import annotations

import os
import sys
from typing import Final

import anyio

from dpf_async.cli import console
from dpf_async.errors import DPFError, UsageError


class Declined(DPFError):
    """The user answered no; nothing was done."""


_one_prompt: Final = anyio.Lock()


def is_interactive() -> bool:
    """Whether stdin is a terminal, so that a prompt can be answered."""
    return sys.stdin.isatty()


async def confirm(prompt: str) -> bool:
    """Prompt the user; only y and yes confirm."""
    async with _one_prompt:
        console.err.print(f"{prompt} [y/N] ", end="", soft_wrap=True, markup=False)
        # Not typer.confirm: it would block every other flow, and in a thread it would survive Ctrl-C until Enter.
        await anyio.wait_readable(sys.stdin)
        # A terminal returns one line per read; the buffer of sys.stdin would swallow the answer to the next prompt.
        answer = os.read(sys.stdin.fileno(), 1024).decode(errors="replace")
        if not answer:
            console.err.print()
        return answer.strip().lower() in {"y", "yes"}


async def require_confirmation(prompt: str, *, yes: bool) -> None:
    """Have the user confirm, unless --yes does.

    Raises:
        UsageError: stdin is not a terminal.
        Declined: the user did not confirm.
    """
    if yes:
        return
    if not is_interactive():
        raise UsageError(f"{prompt} stdin is not a terminal; give --yes to confirm; nothing was done")
    if not await confirm(prompt):
        raise Declined("not confirmed; nothing was done")

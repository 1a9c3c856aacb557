"""The person at the terminal, who is asked before something is done, one question at a time."""

from __future__ import annotations

import os
import sys
from typing import Final

import anyio

from dpf_async.cli import console
from dpf_async.errors import DPFError, UsageError


class Declined(DPFError):
    """Somebody said no; nothing was done."""


_turn: Final = anyio.Lock()


def is_there() -> bool:
    """Somebody can be asked."""
    return sys.stdin.isatty()


async def confirmed(question: str) -> bool:
    """Ask; only a plain yes is one."""
    async with _turn:
        console.err.print(f"{question} [y/N] ", end="", soft_wrap=True, markup=False)
        # Not typer.confirm: it would block every other flow, and in a thread outlive Ctrl-C until Enter is pressed.
        await anyio.wait_readable(sys.stdin)
        # A terminal hands over a line at a time; the reader of sys.stdin would swallow the answer to the next question.
        answer = os.read(sys.stdin.fileno(), 1024).decode(errors="replace")
        if not answer:
            console.err.print()
        return answer.strip().lower() in {"y", "yes"}


async def make_sure(question: str, *, yes: bool) -> None:
    """Have something confirmed, unless that was done by --yes.

    Raises:
        UsageError: there is nobody to ask.
        Declined: the answer is no.
    """
    if yes:
        return
    if not is_there():
        raise UsageError(f"{question} Say --yes: there is no terminal to ask on, and nothing was done")
    if not await confirmed(question):
        raise Declined("declined; nothing was done")

"""How the verbs speak and end: one sentence for an error, an exit status that scripts can use, nothing left running.

What a verb found out is on stdout, as a table or as one JSON document. What happens on the way, questions, and errors
are on stderr.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import anyio
import structlog
import typer
from rich.console import Console
from rich.table import Table

from dpf_async import Progress
from dpf_async.errors import DPFError, UsageError

DONE: Final = 0
"""What was asked for is so."""
FAILED: Final = 1
"""The cluster said no or could not be reached, a wait was in vain, or the answer is no: it differs, is not ready, …"""
USAGE: Final = 2
"""The caller's mistake; nothing was sent."""
INTERRUPTED: Final = 130
"""Ctrl-C. What DPF asked for and was not done stands; the same verb goes on from there."""

_BOUNDLESS: Final = 10_000
"""Columns where there is no screen: what reads a pipe wants whole names, and lines that are not broken."""


def _width() -> int | None:
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _BOUNDLESS


out: Console = Console(highlight=False, width=_width())
err: Console = Console(stderr=True, highlight=False)


def teach(example: str, *, no: str = "it failed") -> str:
    """What stands below the options of a verb's help: a line to try, and what its exit status means.

    Args:
        example: the line, without "dpf-async".
        no: what status 1 means here.
    """
    return (
        f"Example: dpf-async {example}\n\n"
        f"Exit status: {DONE} done; {FAILED} {no}; {USAGE} a mistake in the command or in a description;"
        f" {INTERRUPTED} interrupted."
    )


def run(verb: Callable[[], Awaitable[object]]) -> None:
    """Run one verb to its end; turn what goes wrong into a sentence and an exit status."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        anyio.run(verb)
    except KeyboardInterrupt:
        err.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (DPFError, OSError) as error:
        fail(error)


def status_of(error: Exception) -> int:
    """The exit status that an error ends with."""
    return USAGE if isinstance(error, UsageError) else FAILED


def fail(error: Exception) -> NoReturn:
    """Say what is wrong, and end."""
    say_error(error)
    raise typer.Exit(status_of(error)) from None


def say_error(error: Exception) -> None:
    """Say what is wrong, with the notes that were added on the way."""
    err.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        err.print(f"  {_plain(note)}", soft_wrap=True)


def say(text: object) -> None:
    """Say something on the way, on stderr."""
    err.print(str(text), soft_wrap=True, markup=False)


def say_progress(progress: Progress) -> None:
    """Say what a flow is at, and how long it has been under way."""
    say(f"{progress.seconds:7.1f} s  {progress}")


def show(text: object) -> None:
    """Show what was found out, for a person."""
    out.print(str(text), soft_wrap=True, markup=False)


def show_json(document: Any) -> None:  # Any: JSON
    """Show what was found out, for a program."""
    out.print_json(json.dumps(document))


def show_line(document: Any) -> None:  # Any: JSON
    """Show one of many things, for a program that reads line by line."""
    out.print(json.dumps(document), soft_wrap=True, markup=False)


def table(*titles: str) -> Table:
    """A table in the manner of kubectl."""
    new = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        new.add_column(title, no_wrap=True)
    return new


def yes(truth: bool) -> str:
    """A truth in a table."""
    return "yes" if truth else "no"


def _plain(text: Any) -> str:  # Any: whatever has a str
    # rich reads [words] as markup; object text is not ours.
    return str(text).replace("[", r"\[")

"""Output, errors and exit status of the verbs.

A verb writes its result to stdout, as a table or as one JSON document. Progress, prompts and errors go to stderr. An
error is one sentence and ends the process with a status that scripts can use; nothing is left running.
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
"""The requested state is reached."""
FAILED: Final = 1
"""The cluster refused or was unreachable, a wait timed out, or a check is negative: it differs, is not ready, …"""
USAGE: Final = 2
"""The caller's mistake; nothing was sent."""
INTERRUPTED: Final = 130
"""Ctrl-C. Requests of DPF that were not answered stay pending; the same verb resumes."""

_WIDTH_OF_A_PIPE: Final = 10_000
"""Columns if stdout is not a terminal: the reader of a pipe needs whole names and unbroken lines."""


def open_stdout() -> Console:
    """The console for the present stdout: as wide as its terminal or $COLUMNS, unlimited in a pipe."""
    fits_a_screen = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if fits_a_screen else _WIDTH_OF_A_PIPE)


def open_stderr() -> Console:
    """The console for the present stderr."""
    return Console(stderr=True, highlight=False)


out: Console = open_stdout()
err: Console = open_stderr()


def epilog(example: str, *, failed: str = "it failed") -> str:
    """The end of a verb's help: an example, and the meaning of each exit status.

    Args:
        example: a command line without "dpf-async".
        failed: the meaning of status 1 for this verb.
    """
    return (
        f"Example: dpf-async {example}\n\n"
        f"Exit status: {DONE} done; {FAILED} {failed}; {USAGE} a mistake in the command, or in a site or host file;"
        f" {INTERRUPTED} interrupted."
    )


def run(verb: Callable[[], Awaitable[object]]) -> None:
    """Run one verb; turn an error into one sentence on stderr and an exit status."""
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
    """The exit status for an error."""
    return USAGE if isinstance(error, UsageError) else FAILED


def fail(error: Exception) -> NoReturn:
    """Print the error and exit."""
    print_error(error)
    raise typer.Exit(status_of(error)) from None


def print_error(error: Exception) -> None:
    """Print an error and its notes to stderr."""
    err.print(f"[bold red]error:[/] {_escaped(error)}", soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        err.print(f"  {_escaped(note)}", soft_wrap=True)


def print_note(text: object) -> None:
    """Print a line to stderr that is not part of the result."""
    err.print(str(text), soft_wrap=True, markup=False)


def print_progress(progress: Progress) -> None:
    """Print a step of a flow to stderr, with the seconds since the flow began."""
    print_note(f"{progress.seconds:7.1f} s  {progress}")


def show(text: object) -> None:
    """Print a result for a person."""
    out.print(str(text), soft_wrap=True, markup=False)


def show_json(document: Any) -> None:  # Any: JSON
    """Print a result for a program, as one document."""
    out.print_json(json.dumps(document))


def show_line(document: Any) -> None:  # Any: JSON
    """Print one of several results for a program that reads line by line."""
    out.print(json.dumps(document), soft_wrap=True, markup=False)


def table(*titles: str) -> Table:
    """A table in the style of kubectl."""
    new = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        new.add_column(title, no_wrap=True)
    return new


def yes_or_no(value: bool) -> str:
    """A boolean in a table."""
    return "yes" if value else "no"


def _escaped(text: object) -> str:
    # rich reads [text] as markup, and names of objects may contain brackets.
    return str(text).replace("[", r"\[")

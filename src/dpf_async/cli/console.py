"""How the verbs speak and end: one sentence for an error, an exit status that scripts can use, nothing left running.

Exit status: 0 done; 1 the cluster said no, or could not be reached; 2 the caller's mistake; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import anyio
import structlog
import typer
from rich.console import Console

from dpf_async.errors import DPFError, UsageError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


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
        raise typer.Exit(130) from None
    except UsageError as error:
        fail(error, 2)
    except DPFError as error:
        fail(error, 1)
    except OSError as error:
        fail(error, 1)


def fail(error: Exception, status: int) -> NoReturn:
    """Say what is wrong, with the notes that were added on the way, and end."""
    err.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        err.print(f"  {_plain(note)}", soft_wrap=True)
    raise typer.Exit(status) from None


def _plain(text: Any) -> str:  # Any: whatever has a str
    # rich reads [words] as markup; object text is not ours.
    return str(text).replace("[", r"\[")

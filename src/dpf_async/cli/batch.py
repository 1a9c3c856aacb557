"""One operation on several hosts concurrently.

A host that fails does not cancel the others, whose power cycles may be in progress.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import typer

from dpf_async._base.concurrency import wait_all
from dpf_async.cli import console
from dpf_async.cli.options import Output
from dpf_async.errors import DPFError

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """The result or the error for one name."""

    name: str
    result: R | None = None
    error: Exception | None = None


async def run_for_each(
    names: Iterable[str], operation: Callable[[str], Awaitable[R]], *, max_parallel: int | None = None
) -> list[Outcome[R]]:
    """Run the operation for every name; print an error when it occurs, and return it as the outcome.

    Args:
        names: in the order in which they are begun.
        operation: on one of them.
        max_parallel: how many may be in progress; None for all.
    """

    async def run_one(name: str) -> Outcome[R]:
        try:
            return Outcome(name, result=await operation(name))
        except (DPFError, OSError) as error:
            console.print_error(error)
            return Outcome(name, error=error)

    outcomes = await wait_all({name: partial(run_one, name) for name in names}, limit=max_parallel)
    return list(outcomes.values.values())


def show_outcomes(
    outcomes: Iterable[Outcome[R]],
    output: Output,
    *,
    subject: str,
    text: Callable[[R], str],
    document: Callable[[R], dict[str, Any]],
) -> None:
    """Print every outcome, and exit with the most severe status if one is an error.

    Args:
        outcomes: of `run_for_each`.
        output: the format.
        subject: the kind of the names, as a JSON key: "node".
        text: formats a result for a person.
        document: formats a result for a program.
    """
    outcomes = list(outcomes)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if output.is_json:
        console.show_json([_document(outcome, subject, document) for outcome in outcomes])
    else:
        for outcome in outcomes:
            if outcome.result is not None:
                console.show(text(outcome.result))
    if errors:
        raise typer.Exit(max(map(console.status_of, errors)))


def _document(
    outcome: Outcome[R], subject: str, document: Callable[[R], dict[str, Any]]
) -> dict[str, Any]:  # Any: JSON
    result = {} if outcome.result is None else document(outcome.result)
    error = None if outcome.error is None else str(outcome.error)
    return {subject: outcome.name, **result, "error": error}

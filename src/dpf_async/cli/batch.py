"""The same for several hosts at a time: one that fails ends none of the others, whose power cycles may be half done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
import typer

from dpf_async.cli import console
from dpf_async.cli.options import Output
from dpf_async.errors import DPFError

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What came of one: a result, or an error."""

    name: str
    result: R | None = None
    error: Exception | None = None


async def each(
    names: Iterable[str], work: Callable[[str], Awaitable[R]], *, max_parallel: int | None = None
) -> list[Outcome[R]]:
    """Do the work for every name. What fails is said at once, and is the outcome.

    Args:
        names: in the order in which they are begun.
        work: on one of them.
        max_parallel: how many are in progress, at most; None is all.
    """
    outcomes: dict[str, Outcome[R]] = {}
    turns = anyio.CapacityLimiter(math.inf if max_parallel is None else max_parallel)
    names = list(dict.fromkeys(names))

    async def one(name: str) -> None:
        async with turns:
            try:
                outcomes[name] = Outcome(name, result=await work(name))
            except (DPFError, OSError) as error:
                console.say_error(error)
                outcomes[name] = Outcome(name, error=error)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(one, name)
    return [outcomes[name] for name in names]


def show_outcomes(
    outcomes: Iterable[Outcome[R]],
    output: Output,
    *,
    subject: str,
    words: Callable[[R], str],
    document: Callable[[R], dict[str, Any]],
) -> None:
    """Show what came of each, and end with the gravest status.

    Args:
        outcomes: of `each`.
        output: how.
        subject: what they are, as a key: "node".
        words: a result for a person.
        document: a result for a program.
    """
    outcomes = list(outcomes)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if output.is_json:
        console.show_json([_document(outcome, subject, document) for outcome in outcomes])
    else:
        for outcome in outcomes:
            if outcome.result is not None:
                console.show(words(outcome.result))
    if errors:
        raise typer.Exit(max(map(console.status_of, errors)))


def _document(
    outcome: Outcome[R], subject: str, document: Callable[[R], dict[str, Any]]
) -> dict[str, Any]:  # Any: JSON
    result = {} if outcome.result is None else document(outcome.result)
    error = None if outcome.error is None else str(outcome.error)
    return {subject: outcome.name, **result, "error": error}

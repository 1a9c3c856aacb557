"""Evaluates CEL rules as an API server does: an error during evaluation is a rejection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cel

__all__ = ["accepts"]

_NOTHING: Any = object()


def accepts(rules: Iterable[str], value: Any, old: Any = _NOTHING) -> bool:
    """Whether the value satisfies all these rules; with old, as an update from old to value."""
    context = cel.Context()
    # A function of Kubernetes' CEL library, not of the language.
    context.add_function("lowerAscii", str.lower)
    context.add_variable("self", value)
    if old is not _NOTHING:
        context.add_variable("oldSelf", old)
    return all(_holds(rule, context) for rule in rules)


def _holds(rule: str, context: cel.Context) -> bool:
    try:
        return cel.evaluate(rule, context) is True
    except (KeyError, RuntimeError, TypeError, ValueError):
        return False

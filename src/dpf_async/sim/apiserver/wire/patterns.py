"""Go's regular expressions: RE2, through google-re2, which ships no types."""

from __future__ import annotations

from typing import Protocol, cast

import re2  # type: ignore[import-untyped]


class Match(Protocol):
    """A match of a pattern."""

    def __getitem__(self, group: int) -> str:
        """The text of a group; 0 is the whole match."""


class Pattern(Protocol):
    """A compiled expression."""

    def search(self, text: str) -> Match | None:
        """Find the first match anywhere."""

    def fullmatch(self, text: str) -> Match | None:
        """Match the whole text."""


class PatternError(ValueError):
    """Not an RE2 expression."""


def compile_pattern(expression: str) -> Pattern:
    """Compile an expression.

    Raises:
        PatternError: it is not valid in RE2.
    """
    try:
        return cast("Pattern", re2.compile(expression))
    except re2.error as error:
        raise PatternError(str(error)) from None


def find_all(expression: str, text: str) -> list[str]:
    """Find every match, left to right."""
    return [match[0] for match in re2.finditer(expression, text)]

"""The known differences with their reasons, from differences.toml, and their table in docs/embedded-server.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.conformance.comparison import Difference

__all__ = ["PAGE", "KnownDifference", "known_differences", "missing", "new", "shown", "table"]

_FILE: Final = Path(__file__).with_name("differences.toml")
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "embedded-server.md"
_BEGIN, _END = "<!-- differences: begin -->", "<!-- differences: end -->"


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """A difference that is accepted.

    Attributes:
        exchange: SCENARIO/LABEL; `*` matches any text.
        path: in the answer; paths below it are included.
        embedded: what the embedded server does.
        reason: why the difference is accepted.
    """

    exchange: str
    path: str
    embedded: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether a difference is this one."""
        path = self.path.replace("[", "[[]")  # a bracket is a position, not a choice of characters
        inside = any(fnmatchcase(difference.path, f"{path}{more}") for more in ("", ".*", "[[]*"))
        return fnmatchcase(difference.exchange, self.exchange) and inside


def known_differences() -> list[KnownDifference]:
    """Read the file."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return [KnownDifference(**entry) for entry in content.get("difference", [])]


def new(found: Iterable[Difference], known: Sequence[KnownDifference]) -> list[Difference]:
    """List the differences that are found but not known."""
    return [difference for difference in found if not any(each.covers(difference) for each in known)]


def missing(found: Sequence[Difference], known: Iterable[KnownDifference]) -> list[KnownDifference]:
    """List the differences that are known but not found."""
    return [each for each in known if not any(each.covers(difference) for difference in found)]


def table(known: Iterable[KnownDifference]) -> str:
    """The table of the known differences for the page."""
    rows = ["| exchange | where | the embedded server | why |", "| --- | --- | --- | --- |"]
    rows += [f"| `{each.exchange}` | `{each.path}` | {each.embedded} | {each.reason} |" for each in known]
    return "\n".join(rows)


def shown(page: str, known: Iterable[KnownDifference]) -> str:
    """Replace the table in the page.

    Raises:
        ValueError: the page has no markers for the table.
    """
    before, found, rest = page.partition(_BEGIN)
    _, also_found, after = rest.partition(_END)
    if not (found and also_found):
        raise ValueError(f"{PAGE.name} lacks {_BEGIN} or {_END}")
    return f"{before}{_BEGIN}\n\n{table(known)}\n\n{_END}{after}"

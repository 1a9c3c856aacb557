"""What came of deletions: gone by themselves, or by force, and what that left behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dpf_async import ForcedDeletion
from dpf_async.cli.options import Output
from dpf_async.cli.several import Outcome, show_outcomes


def show(outcomes: Iterable[Outcome[ForcedDeletion]], output: Output, *, subject: str) -> None:
    """Show what came of each deletion."""
    show_outcomes(outcomes, output, subject=subject, words=words, document=_document)


def words(report: ForcedDeletion) -> str:
    """A deletion for a person."""
    if report.orderly:
        return "gone"
    lines = [*(f"taken off by force: {one}" for one in report.removed)]
    return "\n  ".join(["gone, by force", *lines, *(f"left behind: {one}" for one in report.left_behind)])


def _document(report: ForcedDeletion) -> dict[str, Any]:  # Any: JSON
    return {
        "orderly": report.orderly,
        "removed": list(report.removed),
        "left_behind": list(report.left_behind),
    }

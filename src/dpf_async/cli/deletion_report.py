"""The results of deletions: completed by DPF, or forced, and what a forced one left behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dpf_async import ForcedDeletion
from dpf_async.cli.batch import Outcome, show_outcomes
from dpf_async.cli.options import Output


def show(outcomes: Iterable[Outcome[ForcedDeletion]], output: Output, *, subject: str) -> None:
    """Print the result of each deletion."""
    show_outcomes(outcomes, output, subject=subject, text=_text, document=_document)


def _text(report: ForcedDeletion) -> str:
    """A deletion for a person."""
    if report.graceful:
        return "deleted"
    return "\n  ".join(["deleted by force", *str(report).splitlines()])


def _document(report: ForcedDeletion) -> dict[str, Any]:  # Any: JSON
    return {
        "graceful": report.graceful,
        "reason": report.reason,
        "removed": list(report.removed),
        "left_behind": list(report.left_behind),
    }

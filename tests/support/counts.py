"""Counts of integration tests that passed on each backend; `python -m tests.support.counts` compares them.

The integration suite is meant to run on both servers; this detects a run that used only one of them.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["Counts", "main", "refusal"]

EMBEDDED, REAL = "embedded", "kube-apiserver"


class Counts:
    """A pytest plugin: adds the number of passed tests of this run to a JSON file, by backend."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._passed: Counter[str] = Counter()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for reports of xdist's workers as well."""
        if report.when == "call" and report.passed and "/integration/" in report.nodeid:
            self._passed.update(backend for backend in (EMBEDDED, REAL) if f"[{backend}" in report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """Write the counts to the file."""
        before = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(Counter(before) + self._passed))


def refusal(passed: dict[str, int]) -> str:
    """Why these counts are rejected; empty if they are accepted."""
    embedded, real = passed.get(EMBEDDED, 0), passed.get(REAL, 0)
    if not embedded:
        return "no integration test passed on the embedded server"
    if real < embedded:
        return f"{real} integration tests passed on kube-apiserver, {embedded} on the embedded server"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Compare the counts in a file; the exit status is 1 if fewer passed on the real server."""
    passed = json.loads(Path(arguments[0]).read_text())
    if message := refusal(passed):
        sys.stderr.write(f"{message}\n")
        return 1
    sys.stdout.write(f"integration tests: {passed[EMBEDDED]} embedded, {passed[REAL]} on kube-apiserver\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

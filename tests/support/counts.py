"""How many integration tests passed on which backend: kept by test runs, compared by `python -m tests.support.counts`.

A suite that is written once for two servers and runs on one of them proves half of what it says.
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
    """A pytest plugin: adds what passed in this run to a JSON file, by backend."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._passed: Counter[str] = Counter()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also called for what xdist's workers report."""
        if report.when == "call" and report.passed and "/integration/" in report.nodeid:
            self._passed.update(backend for backend in (EMBEDDED, REAL) if f"[{backend}" in report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """Write them down."""
        before = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(Counter(before) + self._passed))


def refusal(passed: dict[str, int]) -> str:
    """Why these counts will not do; empty if they do."""
    embedded, real = passed.get(EMBEDDED, 0), passed.get(REAL, 0)
    if not embedded:
        return "no integration test passed on the embedded server"
    if real < embedded:
        return f"{real} integration tests passed on kube-apiserver, {embedded} on the embedded server"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Compare the counts in a file; the exit status is 1 if fewer passed on the real server."""
    passed = json.loads(Path(arguments[0]).read_text())
    if said := refusal(passed):
        sys.stderr.write(f"{said}\n")
        return 1
    sys.stdout.write(f"integration tests: {passed[EMBEDDED]} embedded, {passed[REAL]} on kube-apiserver\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

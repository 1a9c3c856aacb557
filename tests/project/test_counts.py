"""Counts of passed integration tests by backend, and their comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.counts import Counts, main, refusal


def report(nodeid: str, outcome: str = "passed", when: str = "call") -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", None, ""), {}, outcome, None, when)  # type: ignore[arg-type]


def test_passed_tests_are_counted_by_backend_over_several_runs(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    for run in (["embedded", "embedded-1"], ["kube-apiserver"], ["kube-apiserver-1"]):
        counts = Counts(file)
        for parameters in run:
            counts.pytest_runtest_logreport(report(f"tests/integration/test_a.py::test_b[{parameters}]"))
        counts.pytest_runtest_logreport(report("tests/integration/test_a.py::test_c[embedded]", "failed"))
        counts.pytest_runtest_logreport(report("tests/integration/test_a.py::test_c[embedded]", when="setup"))
        counts.pytest_runtest_logreport(report("tests/sim/test_a.py::test_b[embedded]"))
        counts.pytest_sessionfinish()

    assert json.loads(file.read_text()) == {"embedded": 2, "kube-apiserver": 2}
    assert main([str(file)]) == 0


@pytest.mark.parametrize(
    "passed", [{}, {"kube-apiserver": 3}, {"embedded": 3}, {"embedded": 3, "kube-apiserver": 2}]
)
def test_fewer_passed_tests_on_the_real_server_are_rejected(passed: dict[str, int]) -> None:
    assert refusal(passed)

"""Rules for all tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def all_tests() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(TESTS)}::{node.name}", node


def test_only_tests_in_virtual_time_sleep() -> None:
    sleeping = [
        name
        for name, test in all_tests()
        if not any("virtual_time" in ast.unparse(decorator) for decorator in test.decorator_list)
        and any(
            isinstance(call, ast.Call) and ast.unparse(call.func).endswith("sleep") for call in ast.walk(test)
        )
    ]

    assert sleeping == []


def test_a_wait_that_is_expected_to_succeed_has_a_minute() -> None:
    hurried = [
        f"{name}: {ast.unparse(call)}"
        for name, test in all_tests()
        if not any("virtual_time" in ast.unparse(decorator) for decorator in test.decorator_list)
        for call in ast.walk(test)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "anyio.fail_after"
        and isinstance(call.args[0], ast.Constant)
        and float(str(call.args[0].value)) < 60
    ]

    assert hurried == []


def test_names_of_tests_are_unique_in_a_module() -> None:
    names = [name for name, _ in all_tests()]

    assert sorted({name for name in names if names.count(name) > 1}) == []

"""The Python of each how-to page is one program, and the tests at the end of the page pass."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
NAMES = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "README")


def program_of(name: str) -> str:
    """The Python blocks of a page as one program, in which every line has its line number in the page."""
    text = (PAGES / f"{name}.md").read_text()
    program = ["\n"] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines(keepends=True)):
            program[first + offset] = line
    return "".join(program)


def shown_tests(name: str) -> list[str]:
    return re.findall(r"^async def (test_\w+)\(\)", program_of(name), re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "test"), [pytest.param(page, test, id=test) for page in NAMES for test in shown_tests(page)]
)
async def test_the_program_of_a_page_runs(page: str, test: str) -> None:
    names: dict[str, object] = {"__name__": f"how_to_{page.replace('-', '_')}"}
    exec(compile(program_of(page), str(PAGES / f"{page}.md"), "exec"), names)
    shown = names[test]
    assert inspect.iscoroutinefunction(shown)
    run: Callable[[], Awaitable[None]] = shown

    await run()


def test_every_page_ends_with_a_test_and_is_in_the_index() -> None:
    index = (PAGES / "README.md").read_text()

    for name in NAMES:
        assert f"({name}.md)" in index, f"{name} is not in docs/how-to/README.md"
        assert "```python" not in (PAGES / f"{name}.md").read_text() or shown_tests(name), (
            f"{name} has no test"
        )

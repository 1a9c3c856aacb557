"""The reference page is up to date, and the help of every verb is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpf_async.cli.reference import page, verbs
from tests.cli.conftest import RunCLI

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dpf-async.md"
DOCUMENTED = [name for name, _ in verbs() if name != "dpf-async sim operator"]  # its help is argparse's
FLOWS = {
    *(f"dpf-async site {verb}" for verb in ("plan", "apply", "status")),
    *(f"dpf-async host {verb}" for verb in ("register", "provision", "delete")),
    *(f"dpf-async dpu {verb}" for verb in ("reprovision", "delete", "status")),
    *(f"dpf-async node {verb}" for verb in ("rebooted", "release")),
    *(f"dpf-async {verb}" for verb in ("upgrade", "watch", "snapshot", "compat")),
}


def test_the_page_is_generated_from_the_present_verbs() -> None:
    assert PAGE.read_text() == page(), "python -m dpf_async.cli.reference > docs/reference/dpf-async.md"


def test_there_is_a_verb_for_each_flow() -> None:
    assert set(DOCUMENTED) >= FLOWS


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_verb_has_help_an_example_and_its_exit_status(name: str) -> None:
    verb = dict(verbs())[name]

    assert verb.help
    assert verb.epilog.startswith(f"Example: {name}")
    assert "Exit status: 0 done; 1 " in verb.epilog
    for parameter in verb.params:
        assert parameter.help, f"{name} {parameter.name}"


async def test_help_shows_example_and_exit_status(run_cli: RunCLI) -> None:
    for verb in (("host", "provision"), ("--help",)):
        ended = await run_cli(*verb, "--help")

        assert ended.status == 0
        assert "dpf-async host provision examples/hosts.yaml" in ended.out or verb == ("--help",)
        assert "130 interrupted" in ended.out

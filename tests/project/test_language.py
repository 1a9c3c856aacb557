"""All text and all names are in the vocabulary of the field, without the words of rejected_words.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.language import (
    CODE,
    PROSE,
    ROOT,
    Finding,
    Vocabulary,
    check,
    first_letters,
    help_texts,
    split_name,
)

VOCABULARY = Vocabulary.load()


def places() -> Iterator[str]:
    """Every directory that has files to check, and every file at the root."""
    for name in (*CODE, *PROSE):
        path = ROOT / name
        if path.is_dir():
            yield name
            yield from (
                below.relative_to(ROOT).as_posix()
                for below in sorted(path.rglob("*"))
                if below.is_dir()
                and not any(p.startswith((".", "__")) for p in below.relative_to(ROOT).parts)
            )
        elif path.exists():
            yield name


def found(path: str, source: str) -> list[tuple[str, str, int]]:
    """Kind, text and line of the findings in source."""
    return [(f.kind, f.found.lower(), f.line) for f in VOCABULARY.findings(path, source)]


@pytest.mark.parametrize("place", list(places()))
def test_text_and_names_use_no_rejected_word(place: str) -> None:
    path = ROOT / place
    here = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())

    findings = check(here, VOCABULARY)

    assert not findings, report(findings)


def test_help_of_every_verb_uses_no_rejected_word() -> None:
    texts = dict(help_texts())
    assert len(texts) > 20

    findings = [
        Finding(f"{verb} --help", 1, "help", text[start:end], entry.use)
        for verb, text in texts.items()
        for start, end, entry in VOCABULARY.matches(text)
    ]

    assert not findings, report(findings)


def report(findings: list[Finding]) -> str:
    return "\n".join([f"{len(findings)} rejected words:", *map(str, findings)])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""The worker is told."""\n', ("docstring", "told", 1)),
        ('"""One.\n\nIt has to\ngather.\n"""\n', ("docstring", "gather", 4)),
        ("x = 1\n# It goes\n# on later.\n", ("comment", "goes on", 2)),
        ("x = 1  # it hears of it\n", ("comment", "hears", 1)),
        ('x = 1\n"""The request stands."""\n', ("docstring", "stands", 2)),
        ('raise ValueError("a request stands")\n', ("literal", "stands", 1)),
        ('x = 1\ny = (\n    "first "\n    "it is stirred"\n)\n', ("literal", "stirred", 4)),
        ('f"{x} was made anew"\n', ("literal", "anew", 1)),
        ('log.info("worker_told", node=1)\n', ("literal", "told", 1)),
        ("def test_a_deletion_raises_nobody():\n    pass\n", ("name", "nobody", 1)),
        ("class HealthTeller:\n    pass\n", ("name", "teller", 1)),
        ("def f(patience):\n    pass\n", ("name", "patience", 1)),
        ("last_told = 1\n", ("name", "told", 1)),
        ("self._pictures = 1\n", ("name", "pictures", 1)),
        ("import x as world\n", ("name", "world", 1)),
    ],
)
def test_rejected_word_is_found_wherever_it_is_in_code(source: str, expected: tuple[str, str, int]) -> None:
    assert found("src/dpf_async/example.py", source) == [expected]


def test_rejected_word_is_found_in_the_name_of_a_module() -> None:
    assert found("src/dpf_async/_sdk/partway.py", "x = 1\n") == [("name", "partway", 1)]


def test_rejected_word_is_found_in_markdown_and_comments_of_yaml() -> None:
    assert found("docs/how-to/look-with-kubectl.md", "# Page\n") == [("name", "look", 1)]
    assert found("docs/page.md", "# Page\n\nThe node is\ntold.\n") == [("text", "told", 4)]
    assert found("deploy/rbac.yaml", "told: 1\n# Whoever asks.\n") == [("comment", "whoever", 2)]


def test_rejected_word_is_found_in_help() -> None:
    assert [entry.word for _, _, entry in VOCABULARY.matches("Show what a host was told.")] == ["tell"]


@pytest.mark.parametrize(
    "text",
    [
        "standard",
        "a stand-in",
        "a standalone server",
        "look up the name",
        "the source of truth",
        "broadcast",
        "roadmap",
    ],
)
def test_technical_uses_are_accepted(text: str) -> None:
    assert not list(VOCABULARY.matches(text))


@pytest.mark.parametrize("value", ["docs/how-to/told.md", "spec.told", "https://example.com/told", "t0ld-1"])
def test_paths_and_dotted_names_are_not_text(value: str) -> None:
    assert not found("src/example.py", f"x = {value!r}\n")


def test_glossary_and_table_of_old_names_may_name_rejected_words() -> None:
    table = "## Old and new names\n\n| pictures | caches |\n\n"
    changelog = f"# Changelog\n\nIt was told.\n\n{table}## Next\n\nIt stands.\n"

    assert not found("docs/glossary.md", "told\n")
    assert found("CHANGELOG.md", changelog) == [("text", "told", 3), ("text", "stands", 11)]


def test_every_entry_has_a_word_of_its_own_and_a_replacement() -> None:
    for entry in VOCABULARY.rejected:
        assert entry.use, entry.word
        assert first_letters(entry.pattern), entry.word
    assert len({entry.word for entry in VOCABULARY.rejected}) == len(VOCABULARY.rejected)


def test_names_are_split_into_words() -> None:
    assert split_name("HTTPTeller_isTold") == "http teller is told"


def test_every_exempt_path_exists() -> None:
    missing = [
        glob
        for entry in VOCABULARY.exempt
        for glob in entry.paths
        if not any(True for _ in Path(ROOT).glob(glob))
    ]

    assert missing == []

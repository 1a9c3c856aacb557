"""Citations: each one leads to a heading of a page in docs/, and none to a document that users do not have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "docs", "benchmarks", "deploy", "examples")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")
ENDINGS = (".py", ".md", ".toml", ".yaml", ".yml", ".sh")
SAMPLES = (ROOT / "tests/project/test_citations.py", ROOT / "tests/project/test_language.py")
"""Tests with made-up citations in them."""

_CITATION = re.compile(r"(?<![\w./-])docs/(?!public/)[\w./-]+\.md(?:#[\w-]+)?")
"""docs/public/ is a folder of NVIDIA/doca-platform, named as a source in docs/dpf/."""
_LINK = re.compile(r"\]\((?!\w+:)([\w./-]*)(#[\w-]+)?\)")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_BREAK = r"(?:\s|#)+"
_INTERNAL = re.compile(
    rf"dpf-facts|\breliability{_BREAK}(?:notes\b|\d|[A-Z]\d)|\bpeers{_BREAK}\d|\(G\d+\)|\bdesign\.md|\.\./shared"
)
"""The documents this project was planned in; users do not have them."""


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of the project in which something may be cited."""
    paths = [ROOT / name for name in FILES if (ROOT / name).exists()]
    for folder in FOLDERS:
        paths += sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS)
    for path in paths:
        if path not in SAMPLES:
            yield path, path.read_text()


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: Counter[str] = Counter()
    given = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", _FENCE.sub("", page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        given.add(f"{anchor}-{found[anchor]}" if found[anchor] else anchor)
        found[anchor] += 1
    return given


def resolves(page: Path, anchor: str) -> bool:
    """Whether there is such a page, and, if an anchor is given, such a heading on it."""
    return page.exists() and (not anchor or (page.is_file() and anchor in anchors(page.read_text())))


def broken(text: str, root: Path) -> list[str]:
    """The citations `docs/page.md#heading` in a text without a page or heading."""
    return [
        citation
        for citation in _CITATION.findall(text)
        if not resolves(root / citation.partition("#")[0], citation.partition("#")[2])
    ]


def broken_links(text: str, page: Path) -> list[str]:
    """The relative links of a page without a target."""
    return [
        f"{target}{anchor}"
        for target, anchor in _LINK.findall(_CODE.sub("", _FENCE.sub("", text)))
        if not resolves(page.parent / target if target else page, anchor[1:])
    ]


def test_every_citation_leads_to_a_heading() -> None:
    wrong = {
        str(path.relative_to(ROOT)): missing for path, text in texts() if (missing := broken(text, ROOT))
    }

    assert wrong == {}


def test_every_relative_link_of_a_page_leads_to_a_heading() -> None:
    wrong = {
        str(path.relative_to(ROOT)): missing
        for path, text in texts()
        if path.suffix == ".md" and (missing := broken_links(text, path))
    }

    assert wrong == {}


def test_nothing_cites_a_document_that_users_do_not_have() -> None:
    wrong = {
        str(path.relative_to(ROOT)): found for path, text in texts() if (found := _INTERNAL.findall(text))
    }

    assert wrong == {}


def test_the_facts_about_dpf_and_watches_are_cited() -> None:
    cited = {
        citation
        for path, text in texts()
        if path.is_relative_to(ROOT / "src")
        for citation in _CITATION.findall(text)
    }

    assert any(citation.startswith("docs/dpf/") for citation in cited)
    assert any(citation.startswith("docs/watching.md#") for citation in cited)


# --- The checks themselves


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("# Page\n\n## A heading\n\n```\n## Not one\n```\n")
    return tmp_path


@pytest.mark.parametrize(
    "citation", ["docs/page.md#another", "docs/none.md", "docs/none.md#page", "docs/page.md#not-one"]
)
def test_a_citation_without_a_heading_is_found(citation: str, site: Path) -> None:
    assert broken(f"Source: {citation}.", site) == [citation]


@pytest.mark.parametrize("citation", ["docs/page.md", "docs/page.md#page", "docs/page.md#a-heading"])
def test_a_citation_of_a_heading_resolves(citation: str, site: Path) -> None:
    assert broken(f"(see {citation}).", site) == []


def test_a_link_without_a_heading_is_found(site: Path) -> None:
    text = "[a](page.md#a-heading) [b](page.md#b) [c](#c) [d](none.md) [e](https://kubernetes.io/x.md#y)"

    assert broken_links(text, site / "docs" / "page.md") == ["page.md#b", "#c", "none.md"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("DPU Config", "dpu-config"),
        ("`osInstallTimeout`, in minutes", "osinstalltimeout-in-minutes"),
        ("See [the page](page.md)", "see-the-page"),
        ("node_effect: hold", "node_effect-hold"),
    ],
)
def test_an_anchor_is_made_as_github_makes_it(heading: str, anchor: str) -> None:
    assert anchors(f"## {heading}\n") == {anchor}


def test_the_second_heading_of_one_name_has_a_number() -> None:
    assert anchors("## Name\n\n## Name\n") == {"name", "name-1"}


@pytest.mark.parametrize(
    "text",
    [
        "(dpf-facts 3.4)",
        "Source: reliability 4.2.",
        "# see reliability\n# notes 1.3",
        "(reliability K2)",
        "peers 2.3",
        "(G19)",
        "../shared/design.md",
    ],
)
def test_an_internal_document_is_found(text: str) -> None:
    assert _INTERNAL.search(text)


@pytest.mark.parametrize("text", ["reliability is measured", "peers {", "clients, peers = 1", "(GPU)"])
def test_an_ordinary_word_is_no_internal_document(text: str) -> None:
    assert not _INTERNAL.search(text)

"""Find rejected words in everything that a person reads: code, documentation and help texts.

`python -m tests.project.language [PATH...] [--summary] [--words FILE]` prints one line per finding, or counts per
directory. It needs only the standard library, except for `help_texts`.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORDS: Final = Path(__file__).with_name("rejected_words.toml")
CODE: Final = ("src", "tests", "benchmarks", "examples")
PROSE: Final = (
    "docs",
    "deploy",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "pyproject.toml",
)
SUFFIXES: Final = {".py", ".md", ".yaml", ".yml", ".toml", ""}

_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_NOT_TEXT: Final = re.compile(r"\S*[./:@%+*\\\[\]{}()=,<>|?!$#~^&;\"'`-]\S*|\S*\d\S*")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_READ: Final = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Expr, ast.Constant),
    *(ast.arg, ast.Name, ast.Attribute, ast.MatchAs, ast.alias, ast.ExceptHandler),
)
_OLD_NAMES: Final = re.compile(
    r"^#+ (?=.*\bnames?\b)(?=.*\b(?:old|renamed)\b).*\n(?:(?!#).*\n?)*", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected word or phrase, and what to use instead."""

    word: str
    use: str
    pattern: str
    allow: re.Pattern[str] | None
    only_names: bool


@dataclass(frozen=True, slots=True)
class Exempt:
    """Text that is not ours to choose; the whole file if pattern is None."""

    paths: tuple[str, ...]
    pattern: re.Pattern[str] | None

    def covers(self, path: str) -> bool:
        return any(fnmatch.fnmatch(path, glob) for glob in self.paths)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A rejected word at a place."""

    path: str
    line: int
    kind: str
    found: str
    use: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.found!r} -> {self.use}"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that a person reads, and the lines that it covers."""

    kind: str
    text: str
    line: int
    last: int


class Vocabulary:
    """The rejected words, compiled; `findings` checks one file."""

    def __init__(self, document: dict[str, Any]) -> None:  # Any: TOML
        self.rejected = [_rejected(entry) for entry in document["rejected"]]
        self.exempt = [_exempt(entry) for entry in document.get("exempt", ())]
        self._prose = _compile((i, e) for i, e in enumerate(self.rejected) if not e.only_names)
        self._names = _compile(enumerate(self.rejected))

    @classmethod
    def load(cls, path: Path = WORDS) -> Vocabulary:
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def findings(self, path: str, source: str) -> Iterator[Finding]:
        """Everything rejected in the source of the file at path, which is relative to the repository."""
        exempt = [entry for entry in self.exempt if entry.covers(path)]
        if any(entry.pattern is None for entry in exempt):
            return
        pieces = python_pieces(path, source) if path.endswith(".py") else prose_pieces(path, source)
        lines = source.split("\n")
        for piece in pieces:
            spans = [m.span() for e in exempt if e.pattern for m in e.pattern.finditer(piece.text)]
            for start, end, entry in self.matches(piece.text, names=piece.kind == "name"):
                if not any(a < end and start < b for a, b in spans):
                    found = " ".join(piece.text[start:end].split())
                    yield Finding(path, _line(piece, start, found, lines), piece.kind, found, entry.use)

    def matches(self, text: str, *, names: bool = False) -> Iterator[tuple[int, int, Rejected]]:
        """Where text uses a rejected word; names: text is a name, split into words."""
        for match in (self._names if names else self._prose).finditer(text):
            entry = self.rejected[int((match.lastgroup or "r0")[1:])]
            start, end = match.span()
            if entry.allow and any(m.start() < end and start < m.end() for m in entry.allow.finditer(text)):
                continue
            yield start, end, entry


def python_pieces(path: str, source: str) -> Iterator[Piece]:
    """Docstrings, comments, string literals and the names that a Python module defines."""
    yield Piece("name", split_name(Path(path).stem), 1, 1)
    yield from _comments(source)
    tree = ast.parse(source)
    docstrings = set[int]()
    for node in ast.walk(tree):
        if not isinstance(node, _READ):
            continue
        match node:
            case ast.Expr(value=ast.Constant()):  # of a module, class or function, or after an attribute
                docstrings.add(id(node.value))
            case ast.Constant(value=str(text)):
                kind = "docstring" if id(node) in docstrings else "literal"
                piece = literal(text)
                if piece:
                    yield Piece(kind, piece, node.lineno, node.end_lineno or node.lineno)
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.arg(arg=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.MatchAs(name=str(name))
                | ast.alias(asname=str(name))
                | ast.ExceptHandler(name=str(name))
            ):
                yield Piece("name", split_name(name), node.lineno, node.lineno)
            case _:
                pass


def literal(text: str) -> str | None:
    """What a reader reads of a string literal; None where it is a path, a dotted name or the like.

    A name (of a log event, a key, an option's value) is split into words.
    """
    if _NAME.fullmatch(text):
        return split_name(text)
    return None if _NOT_TEXT.fullmatch(text) else text


def split_name(name: str) -> str:
    """The words of a name in snake_case or CamelCase."""
    return " ".join(word for word in _CAMEL.split(name) if word).lower()


def prose_pieces(path: str, source: str) -> Iterator[Piece]:
    """The text of a file that is not Python: Markdown as a whole, of other files the comments."""
    if path.endswith(".md"):
        yield Piece("name", split_name(Path(path).stem.replace("-", "_")), 1, 1)
    if path.endswith((".md", ".txt")) or "." not in Path(path).name:
        text = source
        if Path(path).name == "CHANGELOG.md":  # its table of old and new names has to name the old ones
            text = _OLD_NAMES.sub(lambda m: "\n" * m.group().count("\n"), source)
        yield Piece("text", text, 1, source.count("\n") + 1)
        return
    for number, line in enumerate(source.split("\n"), 1):
        if "#" in line:
            yield Piece("comment", line[line.index("#") :], number, number)
        if path.endswith("pyproject.toml") and re.match(r"(?:name|description) =", line):
            yield Piece("text", line, number, number)


def help_texts() -> Iterator[tuple[str, str]]:
    """The `--help` of every verb, rendered, with the verb's name."""
    import click  # noqa: PLC0415  the checker itself runs without the command-line tool
    import typer  # noqa: PLC0415

    from dpf_async.cli.app import app  # noqa: PLC0415

    def below(
        name: str, command: Any
    ) -> Iterator[tuple[str, str]]:  # Any: typer has a copy of click's classes
        context = click.Context(command, info_name=name, terminal_width=10_000, max_content_width=10_000)
        parts = [command.help, command.epilog, command.short_help]
        for parameter in command.get_params(context):
            parts += [getattr(parameter, "help", None), getattr(parameter, "metavar", None), *parameter.opts]
        yield name, "\n".join(part for part in parts if part)
        for sub, child in getattr(command, "commands", {}).items():
            yield from below(f"{name} {sub}", child)

    yield from below("", typer.main.get_command(app))


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files to check among and below paths."""
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            hidden = any(
                part.startswith(".") or part == "__pycache__" for part in file.parts[len(path.parts) :]
            )
            if file.is_file() and not hidden and file.suffix in SUFFIXES:
                yield file


def check(paths: Iterable[Path], vocabulary: Vocabulary, *, root: Path = ROOT) -> list[Finding]:
    """Findings in the files among and below paths, in order."""
    found = list[Finding]()
    for file in files(paths):
        name = (
            file.resolve().relative_to(root).as_posix() if file.resolve().is_relative_to(root) else str(file)
        )
        found += vocabulary.findings(name, file.read_text(encoding="utf-8"))
    return sorted(found)


def _rejected(entry: dict[str, Any]) -> Rejected:  # Any: TOML
    allow = entry.get("allow")
    return Rejected(
        word=entry["word"],
        use=entry["use"],
        pattern=_spaces(entry.get("pattern") or re.escape(entry["word"]).replace("\\ ", " ")),
        allow=re.compile("|".join(_spaces(a) for a in allow), re.IGNORECASE) if allow else None,
        only_names=entry.get("only") == "names",
    )


def _exempt(entry: dict[str, Any]) -> Exempt:  # Any: TOML
    pattern = entry.get("pattern")
    assert entry["reason"], entry
    return Exempt(tuple(entry["paths"]), re.compile(pattern) if pattern else None)


def _spaces(pattern: str) -> str:
    return pattern.replace(" ", r"[\s_]+")


def _compile(entries: Iterable[tuple[int, Rejected]]) -> re.Pattern[str]:
    """One expression for all: a named group per entry; `_` separates words as a space does.

    Entries are grouped by the letter that they begin with: six times faster than trying each at every word.
    """
    groups = defaultdict[str, list[str]](list)
    for index, entry in entries:
        groups[first_letters(entry.pattern)].append(f"(?P<r{index}>{entry.pattern})")
    branches = "|".join(f"(?=[{letters}])(?:{'|'.join(group)})" for letters, group in groups.items())
    return re.compile(rf"(?<![^\W_])(?=[a-z'])(?:{branches})(?![^\W_])", re.IGNORECASE)


def first_letters(pattern: str) -> str:
    """The letters, sorted, that a text matched by pattern can begin with.

    Understands what the list uses: letters, `^`, groups without a name, `|` and `?`.
    """
    return "".join(sorted(set().union(*(_first(branch) for branch in _branches(pattern)))))


def _branches(pattern: str) -> list[str]:
    """The alternatives of pattern, those of a group in it left as they are."""
    depth, branches = 0, [""]
    for character in pattern:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            branches.append("")
        else:
            branches[-1] += character
    return branches


def _first(branch: str) -> set[str]:
    branch = branch.removeprefix("^")
    if branch.startswith("(?:"):
        depth = 0
        for end, character in enumerate(branch):  # noqa: B007  the loop is left at the group's end
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                break
        letters, rest = set(first_letters(branch[3:end])), branch[end + 1 :]
    else:
        letters, rest = {branch[0].lower()}, branch[1:]
    if not all(letter.isalpha() or letter == "'" for letter in letters):
        raise ValueError(f"{branch}: begin the pattern with letters or with a group (?:...) of them")
    return letters | _first(rest[1:]) if rest.startswith("?") else letters


def _comments(source: str) -> Iterator[Piece]:
    """Comments; those on consecutive lines of their own are one piece, so that phrases are found across lines."""
    block = list[str]()
    first = last = 0
    if "#" not in source:
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            if block and line != last + 1:
                yield Piece("comment", "\n".join(block), first, last)
                block = []
            if not block:
                first = line
            last = line
            block.append(token.string.lstrip("#:"))
    if block:
        yield Piece("comment", "\n".join(block), first, last)


def _line(piece: Piece, start: int, found: str, lines: list[str]) -> int:
    """The line of a finding: by counting, or, where a literal is spliced together, by searching its lines."""
    if piece.text.count("\n") == piece.last - piece.line:
        return piece.line + piece.text.count("\n", 0, start)
    first = found.split(maxsplit=1)[0]
    candidates = range(piece.line, piece.last + 1)
    return next((n for n in candidates if first in lines[n - 1]), piece.line)


def _directory(path: str) -> str:
    return str(Path(path).parent) if Path(path).parent != Path() else path


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="language", description="Find rejected words.")
    parser.add_argument(
        "paths", nargs="*", type=Path, help="files and directories; the repository if there is none"
    )
    parser.add_argument("--summary", action="store_true", help="counts per directory and per word")
    parser.add_argument("--words", type=Path, default=WORDS, help="the list of rejected words")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    paths = options.paths or [root / name for name in (*CODE, *PROSE) if (root / name).exists()]
    found = check(paths, Vocabulary.load(options.words), root=root)
    if options.summary:
        for title, counts in (
            ("directory", Counter(_directory(f.path) for f in found)),
            ("kind", Counter(f.kind for f in found)),
            ("instead", Counter(f"{f.found.lower()} -> {f.use}" for f in found)),
        ):
            _write(f"--- {title}")
            for name, count in counts.most_common(40):
                _write(f"{count:6} {name}")
    else:
        for finding in found:
            _write(str(finding))
    _write(f"{len(found)} findings")
    return 1 if found else 0


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

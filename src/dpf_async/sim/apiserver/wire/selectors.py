"""Label and field selectors, with the syntax and the error messages of apimachinery.

Source: apimachinery pkg/labels and pkg/fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.field_errors import go_value
from dpf_async.sim.apiserver.wire.names import label_key_problems, label_value_problems
from dpf_async.sim.apiserver.wire.status import bad_request

_TOKEN = re.compile(r"\s*(!=|==|=|!|\(|\)|,|<|>|[^\s!=(),<>]+)")


@dataclass(frozen=True, slots=True)
class _Requirement:
    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: dict[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case ">":
                return _number(value) is not None and _number(value) > _number(next(iter(self.values)))
            case _:
                return _number(value) is not None and _number(value) < _number(next(iter(self.values)))


def _number(value: str | None) -> Any:
    try:
        return int(value) if value is not None else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Selection:
    """The parsed selectors of a list or watch; empty selects every object."""

    labels: tuple[_Requirement, ...] = ()
    fields: tuple[tuple[str, bool, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, obj: Obj) -> bool:
        """Whether an object is selected."""
        labels = obj["metadata"].get("labels") or {}
        if not all(requirement.holds(labels) for requirement in self.labels):
            return False
        return all((_read(obj, path) == value) is equal for path, equal, value in self.fields)


def _read(obj: Any, path: str) -> str:
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return "true" if obj else "false"
    return "" if obj is None else str(obj)


def parse(
    label_selector: str, field_selector: str, known_fields: Iterable[str], *, custom: bool
) -> Selection:
    """Parse both selectors of a request.

    Raises:
        StatusError: 400, with Kubernetes' message.
    """
    return Selection(
        _parse_labels(label_selector), _parse_fields(field_selector, tuple(known_fields), custom=custom)
    )


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        position = 0
        while position < len(text) and text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise _unparsable(f"found '{text[position:]}', expected: identifier")
            self._tokens.append(match[1])
            position = match.end()
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        lexeme = self.peek()
        self._at += 1
        return lexeme

    def requirements(self) -> tuple[_Requirement, ...]:
        found: list[_Requirement] = []
        while self.peek():
            found.append(self._requirement())
            lexeme = self.take()
            if lexeme not in ("", ","):
                raise bad_request(f"found '{lexeme}', expected: ',' or 'end of string'")
            if lexeme == "," and self.peek() in ("", ","):
                raise bad_request(f"found '{self.peek()}', expected: identifier after ','")
        return tuple(sorted(found, key=lambda requirement: requirement.key))

    def _requirement(self) -> _Requirement:
        negated = self.peek() == "!"
        if negated:
            self.take()
        key = self.take()
        if negated and not key:
            raise _unparsable("found '', expected: identifier")
        if not key or not re.match(r"[^!=(),<>]", key):
            raise bad_request(f"found '{key}', expected: !, identifier, or 'end of string'")
        _check_key(key)
        if self.peek() in ("", ",") or negated:
            return _Requirement(key, "!" if negated else "exists", frozenset())
        operator = self.take()
        if operator in ("in", "notin"):
            return _requirement_of(key, operator, self._values())
        if operator in ("=", "==", "!="):
            return _requirement_of(key, "notin" if operator == "!=" else "in", [self._exact()])
        if operator in ("<", ">"):
            value = self._exact()
            if _number(value) is None:
                text = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise _unparsable(f"values[0]: Invalid value: {go_value(value)}: {text}")
            return _Requirement(key, operator, frozenset({value}))
        raise _unparsable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _exact(self) -> str:
        if self.peek() in ("", ","):
            return ""
        return self.take()

    def _values(self) -> list[str]:
        lexeme = self.take()
        if lexeme != "(":
            raise _unparsable(f"found '{lexeme}' expected: '('")
        values = [""] if self.peek() in (",", ")") else []
        while True:
            lexeme = self.take()
            if lexeme == ")":
                return values
            if lexeme == ",":
                if self.peek() in (",", ")"):
                    values.append("")
            elif lexeme:
                values.append(lexeme)
            else:
                raise _unparsable("found '', expected: ',', or ')'")


def _unparsable(what: str) -> Exception:
    return bad_request(f"unable to parse requirement: {what}")


def _check_key(key: str) -> None:
    problems = label_key_problems(key)
    if problems:
        raise _unparsable(f"<nil>: Invalid value: {go_value(key)}: {'; '.join(problems)}")


def _requirement_of(key: str, operator: str, values: list[str]) -> _Requirement:
    for index, value in enumerate(values):
        problems = label_value_problems(value)
        if problems:
            where = f"values[{index}][{key}]"
            raise _unparsable(f"{where}: Invalid value: {go_value(value)}: {'; '.join(problems)}")
    return _Requirement(key, operator, frozenset(values))


def _parse_labels(text: str) -> tuple[_Requirement, ...]:
    return _Parser(text).requirements()


def _parse_fields(text: str, known: tuple[str, ...], *, custom: bool) -> tuple[tuple[str, bool, str], ...]:
    terms = []
    for part in filter(None, re.split(r"(?<!\\),", text)):
        match = re.match(r"(?P<path>[^=!]*)(?P<operator>!=|==|=)(?P<value>.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path = match["path"]
        if path not in known:
            raise bad_request(_unknown_field(path, custom=custom))
        value = re.sub(r"\\([\\,=])", r"\1", match["value"])
        terms.append((path, match["operator"] != "!=", value))
    return tuple(terms)


def _unknown_field(path: str, *, custom: bool) -> str:
    if custom:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'

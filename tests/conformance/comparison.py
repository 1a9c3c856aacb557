"""The differences between two masked answers: a path, and the value of each server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ABSENT", "Difference", "compare"]

Json = Any  # JSON documents have no narrower type at this edge

ABSENT: Final = "(absent)"
_BEFORE_CHARACTERS, _SHOWN_CHARACTERS = 60, 360


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the servers differ; the exchange is SCENARIO/LABEL."""

    exchange: str
    path: str
    embedded: str
    real: str

    def __str__(self) -> str:
        return f"{self.exchange}  {self.path}\n  embedded: {self.embedded}\n  real:     {self.real}"


def compare(exchange: str, embedded: Json, real: Json) -> list[Difference]:
    """List every path at which two answers differ; only the status if that differs."""
    if embedded["status"] != real["status"]:
        return [Difference(exchange, "status", _summary(embedded), _summary(real))]
    return [
        Difference(exchange, path, *_shown(ours, theirs))
        for path, ours, theirs in _differing("", embedded, real)
    ]


class _Absent:
    pass


_ABSENT: Final = _Absent()


def _differing(path: str, ours: Json, theirs: Json) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in sorted(ours.keys() | theirs.keys()):
            here = f"{path}.{name}" if path else name
            yield from _differing(here, ours.get(name, _ABSENT), theirs.get(name, _ABSENT))
    elif isinstance(ours, list) and isinstance(theirs, list):
        for index in range(max(len(ours), len(theirs))):
            mine = ours[index] if index < len(ours) else _ABSENT
            other = theirs[index] if index < len(theirs) else _ABSENT
            yield from _differing(f"{path}[{index}]", mine, other)
    elif type(ours) is not type(theirs) or ours != theirs:
        yield path, ours, theirs


def _summary(answer: Json) -> str:
    body = answer["body"]
    text = body.get("message", body) if isinstance(body, dict) else body
    return f"{answer['status']} {_cut(json.dumps(text, ensure_ascii=False), 0)}"


def _shown(*values: Json) -> tuple[str, str]:
    """Both values as JSON; long ones are truncated around the first difference."""
    ours, theirs = (
        ABSENT if value is _ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for value in values
    )
    same = next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
    start = max(0, same - _BEFORE_CHARACTERS)
    return _cut(ours, start), _cut(theirs, start)


def _cut(text: str, start: int) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    end = start + _SHOWN_CHARACTERS
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

"""The schema: types, bounds, patterns, formats, lists and maps, and ratcheting of updates."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import Exchange, create, merge, put, scenario
from tests.conformance.kinds import WIDGETS, widget

__all__ = ["SCENARIOS"]

_WRONG: Final[dict[str, dict[str, Any]]] = {
    "too-small": {"size": 0},
    "too-large": {"size": 101},
    "text-for-integer": {"size": "1"},
    "float-for-integer": {"size": 1.5},
    "list-for-text": {"colour": []},
    "number-for-text": {"colour": 1},
    "enum": {"colour": "pink"},
    "enum-empty": {"colour": ""},
    "text-for-boolean": {"ready": "true"},
    "not-above": {"weight": 0.0},
    "not-a-multiple": {"weight": 0.75},
    "integer-multiple": {"weight": 2},
    "pattern": {"url": "ftp://x"},
    "pattern-and-length": {"url": "x" * 41},
    "too-short": {"label": "x"},
    "too-long": {"label": "äöüßéé"},
    "no-date": {"since": "yesterday"},
    "date-alone": {"since": "2001-01-01"},
    "no-address": {"address": "1.2.3"},
    "no-mac": {"mac": "00:11:22"},
    "int-or-string-list": {"port": []},
    "int-or-string-float": {"port": 1.5},
    "int32": {"count": 3000000000},
    "nullable-text": {"count": "x"},
    "map-key-missing": {"parts": [{"note": "x"}]},
    "map-key-twice": {"parts": [{"name": "x"}, {"name": "x"}, {"name": "x"}]},
    "map-too-many": {"parts": [{"name": str(i)} for i in range(5)]},
    "map-of-texts": {"parts": ["x"]},
    "map-null-item": {"parts": [None]},
    "set-twice": {"tags": ["a", "b", "a"]},
    "set-of-numbers": {"tags": [1, 2]},
    "list-too-short": {"order": []},
    "list-of-objects": {"order": [{"a": 1}]},
    "object-for-list": {"order": {"a": 1}},
    "options-too-many": {"options": {"a": "1", "b": "2", "c": "3", "d": "4"}},
    "options-number": {"options": {"a": 1}},
    "options-null": {"options": {"a": None}},
    "choice-none": {"choice": {}},
    "choice-both": {"choice": {"left": "l", "right": "r"}},
    "all-of-none": {"both": "x"},
    "all-of-one": {"both": "a"},
    "all-of-both": {"both": "b"},
    "text-with-format-number": {"address": 7, "since": True},
    "text-with-format-list": {"address": [], "since": {}},
    "integer-with-format": {"count": True},
    "nested-wrong": {"nested": {"inner": {"level": "x"}}},
    "nested-list": {"nested": []},
    "several": {"size": 0, "colour": "pink", "order": [], "nested": {"inner": 1}},
}


def _cases() -> list[Exchange]:
    return [
        create(label, WIDGETS, widget(f"w{index}", spec))
        for index, (label, spec) in enumerate(_WRONG.items())
    ]


_HALF: Final = len(_WRONG) // 2

SCENARIOS: Final = (
    scenario("validate-values", *_cases()[:_HALF]),
    scenario("validate-collections", *_cases()[_HALF:]),
    scenario(
        "validate-objects",
        create("spec-missing", WIDGETS, {k: v for k, v in widget().items() if k != "spec"}),
        create("spec-null", WIDGETS, {**widget(), "spec": None}),
        create("spec-list", WIDGETS, {**widget(), "spec": []}),
        create("made", WIDGETS, widget()),
        merge("to-wrong", f"{WIDGETS}/a", {"spec": {"size": 500}}),
        merge("to-wrong-type", f"{WIDGETS}/a", {"spec": "x"}),
        merge("remove-required", f"{WIDGETS}/a", {"spec": None}),
        merge("unknown", f"{WIDGETS}/a", {"spec": {"wrong": 1}}),
        merge("unknown-strict", f"{WIDGETS}/a", {"spec": {"wrong": 1}}, fieldValidation="Strict"),
        merge("unknown-top", f"{WIDGETS}/a", {"wrong": 1}),
        put("put-unknown-strict", f"{WIDGETS}/a", {**widget(), "wrong": 1}, fieldValidation="Strict"),
        merge("status-wrong", f"{WIDGETS}/a/status", {"status": {"phase": "Odd"}}),
        merge("status-conditions", f"{WIDGETS}/a/status", {"status": {"conditions": [{"type": "Ready"}]}}),
    ),
)

"""CEL rules and their messages."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import create, get, merge, scenario
from tests.conformance.kinds import RULED, ruled

__all__ = ["SCENARIOS"]

_A: Final = f"{RULED}/a"

SCENARIOS: Final = (
    scenario(
        "rules-create",
        create("plain", RULED, ruled("a", {"low": 1, "high": 2})),
        create("order", RULED, ruled("b", {"low": 3, "high": 2})),
        create("bound", RULED, ruled("c", {"high": 1000})),
        create("two-rules", RULED, ruled("d", {"low": 2000, "high": 1000})),
        create("required-by-rule", RULED, ruled("e", {"mode": "fixed"})),
        create("message-expression", RULED, ruled("f", {"title": "hey!"})),
        create("root", RULED, ruled("a-name-that-is-too-long-for-this")),
        create("generated-root", RULED, ruled("", generateName="a-name-that-is-generated-")),
        create("date", RULED, ruled("g", {"until": "1999-01-01T00:00:00Z"})),
        create("schema-first", RULED, ruled("h", {"high": 1000, "mode": "odd"})),
        create("schema-not-blocking", RULED, ruled("i", {"high": 1000, "hosts": [{"name": "x", "port": 0}]})),
        create(
            "ports",
            RULED,
            ruled("j", {"hosts": [{"name": "x", "port": 1}, {"name": "y", "port": 1}]}),
        ),
        create("item", RULED, ruled("k", {"hosts": [{"name": "x1", "port": 1}]})),
        create("map-values", RULED, ruled("l", {"limits": {"cpu": "m1", "mem": "x"}})),
        create("wrong-type", RULED, ruled("m", {"high": "x", "low": 1})),
    ),
    scenario(
        "rules-update",
        create("made", RULED, ruled("a", {"once": "x", "low": 1, "hosts": [{"name": "x", "port": 1}]})),
        merge("immutable", _A, {"spec": {"once": "y"}}),
        merge("removed", _A, {"spec": {"once": None}}),
        merge("same", _A, {"spec": {"once": "x"}}),
        merge("item-immutable", _A, {"spec": {"hosts": [{"name": "x", "port": 2}]}}),
        merge("item-new", _A, {"spec": {"hosts": [{"name": "y", "port": 2}]}}),
        merge("order", _A, {"spec": {"low": 9, "high": 3}}),
        merge("fine", _A, {"spec": {"low": 1, "high": 3}}),
        merge("several", _A, {"spec": {"once": "z", "low": 9}}),
        merge("status", f"{_A}/status", {"status": {"phase": "Done"}}),
        get("read", _A),
    ),
)

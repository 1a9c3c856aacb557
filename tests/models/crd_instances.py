"""Values for the evaluation of CEL rules: all combinations of the properties that the rules at one path read.

Properties that the rules name are absent and present; strings are those in the rules, and strings with lengths just
below and just above the limits in the rules. If there are too many combinations, a fixed sample is used.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["changes", "instances", "is_transition"]

JSON = Any  # a JSON value

MOST = 1500
"""Maximum number of values per path: all combinations for most paths, and about a second of work."""


def instances(schema: Mapping[str, JSON], rules: Iterable[str]) -> list[JSON]:
    """Values that match the schema, and differ in the properties that these CEL rules read."""
    text = " ".join(rules)
    if "self.metadata.name" in text:
        # The schema of a CRD does not describe metadata, but rules at the root may read the name.
        return [{"metadata": {"name": "n" * length}} for length in range(1, 254)]
    return _Instances(text).of(schema)


def changes(values: Sequence[JSON]) -> list[tuple[JSON, JSON]]:
    """Pairs of these values, as old and new value of an update."""
    few = _sample(values, 40)
    return list(itertools.product(few, few))


def is_transition(rule: str) -> bool:
    """Whether a CEL rule is a transition rule, which the API server evaluates for updates only."""
    return "oldSelf" in rule


class _Instances:
    def __init__(self, rules: str) -> None:
        self._rules = rules
        quoted = sorted(set(re.findall(r"'([^']*)'", rules)) - {""})
        lengths = sorted({int(number) + more for number in re.findall(r"\d+", rules) for more in (0, 1)})
        self._strings = [
            "",
            "a",
            *quoted,
            *(f"a{word}" for word in quoted),
            *(f"{word}/b" for word in quoted),
            *("x" * length for length in lengths if length),
        ]

    def of(self, schema: Mapping[str, JSON]) -> list[JSON]:
        if "enum" in schema:
            return list(schema["enum"])
        match schema.get("type"):
            case "boolean":
                return [True, False]
            case "integer":
                return [schema.get("minimum", 0), schema.get("minimum", 0) + 1]
            case "string":
                return self._strings
            case "array":
                return self._arrays(self.of(schema["items"]))
            case "object" if isinstance(schema.get("additionalProperties"), Mapping):
                return self._maps(self.of(schema["additionalProperties"]))
            case "object":
                return self._objects(schema)
            case _:  # int-or-string
                return [1, "1"]

    def _objects(self, schema: Mapping[str, JSON]) -> list[JSON]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        named = {name for name in properties if re.search(rf"\b{name}\b", self._rules)}
        choices: dict[str, list[JSON]] = {}
        for name, value in properties.items():
            absent = [] if name in required else [...]
            if name in named:
                choices[name] = [*absent, *self.of(value)]
            elif name in required or not named:  # a rule that names no property applies to the object
                choices[name] = [*absent, self.of(value)[0]]
        return [
            {name: value for name, value in zip(choices, chosen, strict=True) if value is not ...}
            for chosen in _product(list(choices.values()))
        ]

    def _arrays(self, items: Sequence[JSON]) -> list[JSON]:
        few = _sample(items, 12)
        return [
            [],
            *([item] for item in items),
            *map(list, _product([few] * 2)),
            *map(list, _product([few] * 3)),
        ]

    def _maps(self, values: Sequence[JSON]) -> list[JSON]:
        keys = [string for string in self._strings if string]
        pairs = itertools.combinations(keys, 2)
        return [
            {},
            *({key: values[0]} for key in keys),
            *({one: values[0], two: values[-1]} for one, two in pairs),
        ]


def _product(choices: Sequence[Sequence[JSON]]) -> list[tuple[JSON, ...]]:
    total = 1
    for options in choices:
        total *= len(options)
    if total <= MOST:
        return list(itertools.product(*choices))
    generator = random.Random(total)
    return [tuple(generator.choice(options) for options in choices) for _ in range(MOST)]


def _sample(values: Sequence[JSON], most: int) -> Sequence[JSON]:
    return values if len(values) <= most else random.Random(len(values)).sample(list(values), most)

"""Comparison of two OpenAPI schemas, field by field in both directions.

Descriptions and CEL rules are ignored: the text of a rule does not show which values it accepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "compared", "normal_schema", "schema_differences"]

JSON = Any  # a piece of a schema

FIELD = "field"
"""The keyword of a difference in which only one schema has the field."""

_IGNORED = frozenset({"description", "x-kubernetes-validations"})
_NESTED = frozenset({"properties", "items", "additionalProperties"})
_CONTAINERS = (("items", "[]"), ("additionalProperties", "{}"))


@dataclass(frozen=True, slots=True)
class Difference:
    """A keyword in which two schemas differ; its value is None where it is absent.

    Attributes:
        path: of the field, such as ".spec.dpus[].name"; {} means the values of a map.
        keyword: of the schema there, or "field" if only one schema has the field.
    """

    path: str
    keyword: str
    ours: JSON
    theirs: JSON

    def __str__(self) -> str:
        return f"{self.path} {self.keyword}: ours {self.ours!r}, theirs {self.theirs!r}"


def normal_schema(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """The schema without ignored keywords, and with equivalent keywords in one form."""
    normal = {keyword: value for keyword, value in schema.items() if keyword not in _IGNORED}
    if "required" in normal:
        normal["required"] = sorted(normal["required"])
    if any("enum" in part for part in normal.get("allOf", ())):
        # Several enumerations in allOf are equivalent to their intersection.
        first, *others = (part["enum"] for part in normal.pop("allOf"))
        normal["enum"] = [value for value in first if all(value in other for other in others)]
    if "properties" in normal:
        normal["properties"] = {name: normal_schema(value) for name, value in normal["properties"].items()}
    for keyword, _ in _CONTAINERS:
        if isinstance(normal.get(keyword), Mapping):
            normal[keyword] = normal_schema(normal[keyword])
    return normal


def schema_differences(
    ours: Mapping[str, JSON], theirs: Mapping[str, JSON], path: str = ""
) -> Iterator[Difference]:
    """All differences between two normalized schemas."""
    yield from compared(
        {keyword: value for keyword, value in ours.items() if keyword not in _NESTED},
        {keyword: value for keyword, value in theirs.items() if keyword not in _NESTED},
        path,
    )
    our_fields, their_fields = ours.get("properties", {}), theirs.get("properties", {})
    for name in sorted(our_fields.keys() | their_fields.keys()):
        field_path = f"{path}.{name}"
        if name not in our_fields or name not in their_fields:
            yield Difference(field_path, FIELD, our_fields.get(name), their_fields.get(name))
        else:
            yield from schema_differences(our_fields[name], their_fields[name], field_path)
    for keyword, suffix in _CONTAINERS:
        our_value, their_value = ours.get(keyword), theirs.get(keyword)
        if isinstance(our_value, Mapping) and isinstance(their_value, Mapping):
            yield from schema_differences(our_value, their_value, path + suffix)
        elif our_value != their_value:
            yield Difference(path, keyword, our_value, their_value)


def compared(ours: Mapping[str, JSON], theirs: Mapping[str, JSON], path: str = "") -> Iterator[Difference]:
    """The keys in which two mappings differ."""
    for keyword in sorted(ours.keys() | theirs.keys()):
        if ours.get(keyword) != theirs.get(keyword):
            yield Difference(path, keyword, ours.get(keyword), theirs.get(keyword))

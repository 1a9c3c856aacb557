"""Holds one CRD against another: schemas field by field in both directions, and the rest of the manifest.

Descriptions do not count. CEL rules are not compared here, only collected by place: what counts is what they
accept, and that needs an engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "differences", "normal_schema", "rules_by_path", "schema_in"]

JSON = Any  # a piece of a manifest

IGNORED = frozenset({"description", "x-kubernetes-validations"})
NESTED = frozenset({"properties", "items", "additionalProperties"})


@dataclass(frozen=True, slots=True)
class Difference:
    """A keyword that two manifests do not agree on; None where it is absent."""

    path: str
    keyword: str
    ours: JSON
    theirs: JSON

    def __str__(self) -> str:
        return f"{self.path} {self.keyword}: ours {self.ours!r}, theirs {self.theirs!r}"


def schema_in(manifest: Mapping[str, JSON]) -> dict[str, JSON]:
    """The OpenAPI schema of a CRD's only version."""
    (version,) = manifest["spec"]["versions"]
    schema: dict[str, JSON] = version["schema"]["openAPIV3Schema"]
    return schema


def differences(ours: Mapping[str, JSON], theirs: Mapping[str, JSON]) -> Iterator[Difference]:
    """Everything in which two CRDs differ, except CEL rules, descriptions and annotations."""
    yield from _compared("", _identity(ours), _identity(theirs))
    yield from _schema_differences("", normal_schema(schema_in(ours)), normal_schema(schema_in(theirs)))


def normal_schema(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """The schema without what does not count, and with what says the same said the same way."""
    normal = {keyword: value for keyword, value in schema.items() if keyword not in IGNORED}
    if "required" in normal:
        normal["required"] = sorted(normal["required"])
    if any("enum" in part for part in normal.get("allOf", ())):
        # Several enumerations that must all hold are their intersection.
        first, *others = (part["enum"] for part in normal.pop("allOf"))
        normal["enum"] = [value for value in first if all(value in other for other in others)]
    if "properties" in normal:
        normal["properties"] = {name: normal_schema(value) for name, value in normal["properties"].items()}
    for keyword in ("items", "additionalProperties"):
        if isinstance(normal.get(keyword), Mapping):
            normal[keyword] = normal_schema(normal[keyword])
    return normal


def rules_by_path(
    schema: Mapping[str, JSON], path: str = ""
) -> dict[str, tuple[Mapping[str, JSON], list[str]]]:
    """The places that have CEL rules: the schema there, and the rules."""
    found: dict[str, tuple[Mapping[str, JSON], list[str]]] = {}
    if schema.get("x-kubernetes-validations"):
        found[path] = (schema, [rule["rule"] for rule in schema["x-kubernetes-validations"]])
    for name, value in schema.get("properties", {}).items():
        found |= rules_by_path(value, f"{path}.{name}")
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), Mapping):
            found |= rules_by_path(schema[keyword], path + suffix)
    return found


def _identity(manifest: Mapping[str, JSON]) -> dict[str, JSON]:
    spec = manifest["spec"]
    (version,) = spec["versions"]
    names = spec["names"]
    return {
        "name": manifest["metadata"]["name"],
        "group": spec["group"],
        "scope": spec["scope"],
        "names": {key: names.get(key) for key in ("kind", "listKind", "plural", "singular", "shortNames")},
        "version": version["name"],
        "served": version["served"],
        "storage": version["storage"],
        "subresources": version.get("subresources"),
        "printer columns": [
            (column["name"], column["jsonPath"], column["type"])
            for column in version.get("additionalPrinterColumns", ())
        ],
    }


def _schema_differences(
    path: str, ours: Mapping[str, JSON], theirs: Mapping[str, JSON]
) -> Iterator[Difference]:
    yield from _compared(
        path,
        {keyword: value for keyword, value in ours.items() if keyword not in NESTED},
        {keyword: value for keyword, value in theirs.items() if keyword not in NESTED},
    )
    our_fields, their_fields = ours.get("properties", {}), theirs.get("properties", {})
    for name in sorted(our_fields.keys() | their_fields.keys()):
        field_path = f"{path}.{name}"
        if name not in our_fields or name not in their_fields:
            yield Difference(field_path, "field", our_fields.get(name), their_fields.get(name))
        else:
            yield from _schema_differences(field_path, our_fields[name], their_fields[name])
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        our_value, their_value = ours.get(keyword), theirs.get(keyword)
        if isinstance(our_value, Mapping) and isinstance(their_value, Mapping):
            yield from _schema_differences(path + suffix, our_value, their_value)
        elif our_value != their_value:
            yield Difference(path, keyword, our_value, their_value)


def _compared(path: str, ours: Mapping[str, JSON], theirs: Mapping[str, JSON]) -> Iterator[Difference]:
    for keyword in sorted(ours.keys() | theirs.keys()):
        if ours.get(keyword) != theirs.get(keyword):
            yield Difference(path, keyword, ours.get(keyword), theirs.get(keyword))

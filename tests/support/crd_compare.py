"""Compares two CRDs: schemas field by field in both directions, and the rest of the manifest.

CEL rules are only collected by path: whether two rules accept the same values needs a CEL engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dpf_async.models.differences import Difference, compared, normal_schema, schema_differences

__all__ = ["Difference", "differences", "rules_by_path", "schema_in"]

JSON = Any  # a piece of a manifest


def schema_in(manifest: Mapping[str, JSON]) -> dict[str, JSON]:
    """The OpenAPI schema of a CRD's only version."""
    (version,) = manifest["spec"]["versions"]
    schema: dict[str, JSON] = version["schema"]["openAPIV3Schema"]
    return schema


def differences(ours: Mapping[str, JSON], theirs: Mapping[str, JSON]) -> Iterator[Difference]:
    """Everything in which two CRDs differ, except CEL rules, descriptions and annotations."""
    yield from compared(_identity(ours), _identity(theirs))
    yield from schema_differences(normal_schema(schema_in(ours)), normal_schema(schema_in(theirs)))


def rules_by_path(
    schema: Mapping[str, JSON], path: str = ""
) -> dict[str, tuple[Mapping[str, JSON], list[str]]]:
    """The schema and the CEL rules of every path that has rules."""
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

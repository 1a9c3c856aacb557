"""The kinds of DPF: objects with every field of their schema, with the required fields only, and with wrong values.

They are generated from the CRDs; a server may accept or reject them, but both servers must answer the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from dpf_async import crds
from tests.conformance.exchanges import TABLE, Exchange, Scenario, apply, create, delete, get, merge, scenario

__all__ = ["SCENARIOS"]

Json = Any  # JSON documents have no narrower type at this edge

_WRONG: Final[dict[str, Json]] = {
    "string": 7,
    "integer": "seven",
    "number": "seven",
    "boolean": "yes",
    "array": {},
    "object": [],
}


def _filled(schema: Json, *, everything: bool) -> Json:
    """A value of a schema, with all fields or only the required ones."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            names = members if everything else schema.get("required", ())
            value = {name: _filled(members[name], everything=everything) for name in names}
            if everything and isinstance(other := schema.get("additionalProperties"), dict):
                value["key"] = _filled(other, everything=everything)
            return value
        case "array":
            count = max(1 if everything else 0, schema.get("minItems", 0))
            return [_filled(schema["items"], everything=everything)] * count
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    if schema.get("format") == "date-time":
        return "2001-01-01T00:00:00Z"
    return "a" * max(1, schema.get("minLength", 0))


def _wrong(schema: Json) -> Json:
    """A value of an object's schema in which each member has a wrong type."""
    return {
        name: _WRONG[member["type"]]
        for name, member in schema.get("properties", {}).items()
        if member.get("type") in _WRONG
    }


def _exchanges(version: Json, spec: Json) -> Iterator[Exchange]:
    group, name = spec["group"], version["name"]
    path = f"/apis/{group}/{name}/namespaces/{{ns}}/{spec['names']['plural']}"
    parts = version["schema"]["openAPIV3Schema"]["properties"]
    schema, status = parts.get("spec", {"type": "object"}), parts.get("status", {"type": "object"})

    def obj(called: str, content: Json) -> dict[str, Json]:
        typed = {"apiVersion": f"{group}/{name}", "kind": spec["names"]["kind"], "metadata": {"name": called}}
        return typed | ({} if content is None else {"spec": content})

    yield create("without-spec", path, obj("without", None))
    yield create("empty", path, obj("empty", {}))
    yield create("required", path, obj("required", _filled(schema, everything=False)))
    yield create("everything", path, obj("everything", _filled(schema, everything=True)))
    yield create("wrong", path, obj("wrong", _wrong(schema)))
    yield create("unknown", path, obj("unknown", {"noSuchField": 1}), fieldValidation="Strict")
    yield apply("applied", f"{path}/applied", obj("applied", _filled(schema, everything=True)))
    yield apply("applied-less", f"{path}/applied", obj("applied", _filled(schema, everything=False)))
    for called in ("required", "without", "applied"):
        everything = {"status": _filled(status, everything=True)}
        yield merge(f"status-of-{called}", f"{path}/{called}/status", everything)
        yield merge(f"wrong-status-of-{called}", f"{path}/{called}/status", {"status": _wrong(status)})
        yield merge(f"changed-{called}", f"{path}/{called}", {"spec": _filled(schema, everything=True)})
    yield get("listed", path)
    yield get("rows", path, accept=TABLE)
    yield delete("deleted", path, labelSelector="!none")


def _scenarios() -> Iterator[Scenario]:
    for manifest in crds.manifests():
        spec = manifest["spec"]
        for version in spec["versions"]:
            yield scenario(f"dpf-{spec['names']['plural']}", *_exchanges(version, spec))


SCENARIOS: Final = tuple(_scenarios())

"""The OpenAPI v3 schemas of kinds: the schema of a CRD, and the additions of Kubernetes.

Shared schemas (ObjectMeta, Status, …) and those of core kinds are data of a real server in openapi_kubernetes.json,
written by tests/apiserver/published.py.
Source of the changes: apiextensions-apiserver pkg/controller/openapi/builder and pkg/apiserver/schema/unfold.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from dpf_async.sim.apiserver.storage.kinds import Kind
from dpf_async.sim.apiserver.wire.codec import Obj, copy

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
DELETE_OPTIONS: Final = f"{_META}DeleteOptions"
PATCH: Final = f"{_META}Patch"
STATUS: Final = f"{_META}Status"
_SHARED: Final = (DELETE_OPTIONS, f"{_META}ListMeta", f"{_META}ObjectMeta", PATCH, STATUS)
_PREFIX: Final = "#/components/schemas/"

_CONVENTIONS: Final = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_METADATA: Final = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_METADATA: Final = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_EMBEDDED: Final = {
    "apiVersion": "apiVersion defines the versioned schema of this representation of an object. More info: "
    f"{_CONVENTIONS}#resources",
    "kind": "kind is a string value representing the type of this object. In CamelCase. More info: "
    f"{_CONVENTIONS}#types-kinds",
}
_INTEGER_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_CHOICES: Final = ("allOf", "anyOf", "oneOf")
_SCHEMAS: Final = ("items", "additionalProperties", "not")


@cache
def published() -> Mapping[str, Obj]:
    """The data of the real server: parameters, and schemas by name."""
    text = files(__package__).joinpath("openapi_kubernetes.json").read_text(encoding="utf-8")
    content: dict[str, Obj] = json.loads(text)
    return content


def reference(name: str) -> Obj:
    """A reference to a schema of the same document."""
    return {"$ref": _PREFIX + name}


def schema_name(kind: Kind, version: str, *, many: bool = False) -> str:
    """The name of the schema of a kind, or of its lists."""
    name = kind.list_name() if many else kind.kind
    if not kind.custom:
        wanted = {"group": kind.group, "version": version, "kind": name}
        for known, schema in published()["schemas"].items():
            if schema.get("x-kubernetes-group-version-kind") == [wanted]:
                return str(known)
    return ".".join([*reversed(kind.group.split(".")), version, name])


def schemas_of(kind: Kind, version: str) -> dict[str, Obj]:
    """The schemas of a kind and of its lists, by name."""
    one, many = schema_name(kind, version), schema_name(kind, version, many=True)
    if not kind.custom:
        return {name: schema for name in (one, many) if (schema := published()["schemas"].get(name))}
    return {one: _object_schema(kind, version), many: _list_schema(kind, version, one)}


def with_references(schemas: Mapping[str, Obj]) -> dict[str, Obj]:
    """Add the schemas that the given ones refer to, and those of every document."""
    known = published()["schemas"]
    found = dict(schemas)
    todo = [*_SHARED, *(name for schema in schemas.values() for name in _referred(schema))]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = known[name]
            todo += _referred(known[name])
    return dict(sorted(found.items()))


def _referred(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _referred(item)
    elif isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(_PREFIX)
        for item in value.values():
            yield from _referred(item)


def _object_schema(kind: Kind, version: str) -> Obj:
    schema = _publish(kind.versions[version].schema or {"type": "object"})
    schema.setdefault("properties", {}).update(_type_meta(), metadata=_described("ObjectMeta", _METADATA))
    return schema | _extensions(kind, version, kind.kind)


def _list_schema(kind: Kind, version: str, item: str) -> Obj:
    items = {
        "description": f"List of {kind.plural}. More info: {_CONVENTIONS}",
        "type": "array",
        "items": reference(item),
    }
    return {
        "description": f"{kind.list_name()} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_type_meta(),
            "items": items,
            "metadata": _described("ListMeta", _LIST_METADATA),
        },
        **_extensions(kind, version, kind.list_name()),
    }


def _extensions(kind: Kind, version: str, name: str) -> Obj:
    extensions: Obj = {
        "x-kubernetes-group-version-kind": [{"group": kind.group, "kind": name, "version": version}]
    }
    if selectable := kind.versions[version].selectable:
        extensions["x-kubernetes-selectable-fields"] = [{"fieldPath": path} for path in selectable]
    return extensions


def _type_meta() -> Obj:
    properties: Obj = published()["schemas"][DELETE_OPTIONS]["properties"]
    return {name: properties[name] for name in ("apiVersion", "kind")}


def _described(name: str, description: str) -> Obj:
    # allOf, because siblings of a $ref are ignored.
    return {"description": description, "allOf": [reference(_META + name)]}


def _publish(schema: Mapping[str, Any]) -> Obj:
    """The published form of a CRD's schema: without empty keywords, with x-kubernetes extensions expanded."""
    shown: Obj = {}
    for name, value in schema.items():
        published_value: Any
        if name == "properties":
            published_value = {key: _publish(each) for key, each in value.items()}
        elif name in _CHOICES:
            published_value = [_publish(each) for each in value]
        elif name in _SCHEMAS and isinstance(value, Mapping):
            published_value = _publish(value)
        else:
            published_value = copy(value)
        if published_value or type(published_value) in (int, float) or name in ("default", *_SCHEMAS):
            shown[name] = published_value
    if schema.get("x-kubernetes-int-or-string"):
        _unfold(shown)
    if schema.get("x-kubernetes-embedded-resource"):
        _embed(shown)
    return shown


def _unfold(shown: Obj) -> None:
    known = shown.get("anyOf")
    if known == _INTEGER_OR_STRING or {"anyOf": _INTEGER_OR_STRING} in shown.get("allOf", [])[:1]:
        return
    if known:
        shown["allOf"] = [{"anyOf": _INTEGER_OR_STRING}, *shown.get("allOf", [])]
    else:
        shown["anyOf"] = _INTEGER_OR_STRING


def _embed(shown: Obj) -> None:
    for name, description in _EMBEDDED.items():
        shown.setdefault("properties", {})[name] = {"type": "string", "description": description}
    shown["properties"]["metadata"] = _described("ObjectMeta", _METADATA)
    required = shown.setdefault("required", [])
    required += [name for name in ("kind", "apiVersion") if name not in required]

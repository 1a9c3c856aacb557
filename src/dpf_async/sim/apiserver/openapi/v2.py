"""The OpenAPI v2 document of all kinds, converted from the v3 documents; kubectl reads it for kinds that v3 lacks.

Source of the keywords that v2 cannot express: apiextensions-apiserver pkg/controller/openapi/v2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dpf_async.sim.apiserver.wire.codec import Obj

_V3, _V2 = "#/components/schemas/", "#/definitions/"
_V3_ONLY: Final = ("allOf", "anyOf", "oneOf", "not", "nullable", "default")
_GVK: Final = "x-kubernetes-group-version-kind"


def document_v2(documents: Iterable[Obj], *, minor: int) -> Obj:
    """Convert the v3 documents to one v2 document."""
    definitions: dict[str, Obj] = {}
    paths: dict[str, Obj] = {}
    for document in documents:
        for name, schema in document["components"]["schemas"].items():
            definitions.setdefault(name, _root(schema))
        paths |= {path: _path(item) for path, item in document["paths"].items()}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"1.{minor}"},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def _root(schema: Obj) -> Obj:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        # If any property is declared, kubectl rejects the undeclared ones.
        return {"type": "object", _GVK: schema[_GVK]}
    return _schema(schema)


def _schema(schema: Mapping[str, Any]) -> Obj:
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_V3, _V2)}
    match schema.get("allOf"):
        case [{"$ref": target}]:
            rest = {name: value for name, value in schema.items() if name not in _V3_ONLY}
            return {**rest, "$ref": target.replace(_V3, _V2)}
    shown = {name: value for name, value in schema.items() if name not in _V3_ONLY}
    preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    untyped = schema.get("nullable") or (preserves and schema.get("type") == "object")
    if schema.get("nullable") or preserves:
        # kubectl would reject values that v2 cannot express.
        shown.pop("items", None)
        shown.pop("properties", None)
    if untyped or (shown.get("type") == "array" and "items" not in shown):
        shown.pop("type", None)
    if any(each.get("type") == "string" for each in schema.get("oneOf", ())):
        shown.setdefault("type", "string")  # a Quantity, which may be a number in v3
    if "items" in shown:
        shown["items"] = _schema(shown["items"])
    if isinstance(shown.get("additionalProperties"), dict):
        shown["additionalProperties"] = _schema(shown["additionalProperties"])
    if "properties" in shown:
        shown["properties"] = {name: _schema(each) for name, each in shown["properties"].items()}
        nullable = {name for name, each in schema["properties"].items() if each.get("nullable")}
        shown["required"] = [name for name in shown.get("required", ()) if name not in nullable]
        if not shown["required"]:
            del shown["required"]
    return shown


def _path(item: Obj) -> Obj:
    operations: Obj = {method: _operation(value) for method, value in item.items() if isinstance(value, dict)}
    return operations | {"parameters": [_parameter(each) for each in item["parameters"]]}


def _operation(operation: Obj) -> Obj:
    shown = {name: value for name, value in operation.items() if name != "requestBody"}
    parameters = [_parameter(each) for each in operation.get("parameters", ())]
    consumes = ["*/*"]
    if body := operation.get("requestBody"):
        consumes = list(body["content"])
        schema = _schema(body["content"][consumes[0]]["schema"])
        parameter = {"name": "body", "in": "body", "schema": schema}
        parameters.insert(0, parameter | ({"required": True} if body.get("required") else {}))
    produces = list(operation["responses"]["200"]["content"])
    responses = {code: _response(answer) for code, answer in operation["responses"].items()}
    return shown | {
        "consumes": consumes,
        "produces": produces,
        "parameters": parameters,
        "responses": responses,
    }


def _parameter(parameter: Obj) -> Obj:
    return {**{name: value for name, value in parameter.items() if name != "schema"}, **parameter["schema"]}


def _response(answer: Obj) -> Obj:
    shown: Obj = {"description": answer["description"]}
    for content in answer.get("content", {}).values():
        shown["schema"] = _schema(content["schema"])
        break
    return shown

"""The OpenAPI schema of a model for its CRD: structural, with defaults and CEL rules.

Source: Kubernetes' "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from dpf_async.models.meta import Resource
from dpf_async.models.phases import OpenEnum
from dpf_async.models.rules import Rule, TransitionRule
from dpf_async.models.shape import ABSENT, FieldShape, Shape, fields_of
from dpf_async.models.wire import Wire

__all__ = ["schema_of"]

JSONSchema = dict[str, Any]  # Any: the values of a JSON schema's keywords


def schema_of(kind: type[Resource]) -> JSONSchema:
    """The `openAPIV3Schema` of a kind's CRD."""
    schema = _object(kind)
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object"
        },  # the API server has its own schema for metadata, and permits no other
    }
    schema["required"] = ["spec"] if kind.SPEC_REQUIRED else []
    return _without_empty(schema)


def _object(model: type[Wire]) -> JSONSchema:
    fields = fields_of(model)
    descriptions = _field_docs(model)
    schema: JSONSchema = {
        "type": "object",
        "description": _description(model.__doc__),
        "properties": {field.wire_name: _field(field, descriptions.get(field.name, "")) for field in fields},
        "required": [field.wire_name for field in fields if field.required],
        "x-kubernetes-validations": _validations(model.RULES),
    }
    if model.ATOMIC:
        schema["x-kubernetes-map-type"] = "atomic"
    if model.OPEN:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    return _without_empty(schema)


def _field(field: FieldShape, description: str) -> JSONSchema:
    schema = _value(field.shape)
    if field.default is not ABSENT:
        schema["default"] = field.default
    if description:
        schema["description"] = description
    return schema


def _value(shape: Shape) -> JSONSchema:
    schema = _bare(shape)
    for marker in shape.markers:
        if isinstance(marker, Rule | TransitionRule):
            schema["x-kubernetes-validations"] = [
                *schema.get("x-kubernetes-validations", ()),
                *_validations((marker,)),
            ]
        else:
            schema |= marker.keywords
    if "x-kubernetes-preserve-unknown-fields" in schema:
        schema.pop("additionalProperties", None)
    return schema


def _bare(shape: Shape) -> JSONSchema:
    kind = shape.type
    if kind is tuple or kind is Mapping:
        keyword, container = ("items", "array") if kind is tuple else ("additionalProperties", "object")
        return {"type": container, keyword: _value(shape.items)} if shape.items else {"type": container}
    if kind is Any or not isinstance(kind, type):
        return {}  # a value of a free-form object; or int-or-string, whose keywords are in its marker
    if issubclass(kind, Wire):
        return _object(kind)
    if issubclass(kind, OpenEnum):
        return {"type": "string", "enum": list(kind.VALUES)}
    return {"type": {str: "string", bool: "boolean", int: "integer"}[kind]}


def _validations(rules: tuple[Rule | TransitionRule, ...]) -> list[dict[str, str]]:
    return [{"rule": rule.cel, "message": rule.message} for rule in rules]


def _without_empty(schema: JSONSchema) -> JSONSchema:
    return {keyword: value for keyword, value in schema.items() if value or keyword == "default"}


def _field_docs(model: type[Wire]) -> dict[str, str]:
    """The docstring below each field, by attribute; `kubectl explain` shows it."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Wire):
            docs |= _docs_in_module(base.__module__).get(base.__name__, {})
    return docs


@cache
def _docs_in_module(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_docs_in_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docs_in_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for pair in pairwise(node.body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, _description(text)


def _description(doc: str | None) -> str:
    """The first paragraph of a docstring, without its citations."""
    paragraph = " ".join(inspect.cleandoc(doc or "").split("\n\n")[0].split())
    return re.sub(r" \(docs/[^)]*\)", "", paragraph)

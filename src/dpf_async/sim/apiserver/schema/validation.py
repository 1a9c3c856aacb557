"""Values held against an OpenAPI schema, with violations in the API server's order and words.

jsonschema walks the schema; here is what OpenAPI 3.0 and kube-openapi do otherwise: nullable, int-or-string,
RE2 patterns, string formats, the order of checks, and the wording.
Source: kube-openapi pkg/validation/{validate,errors}, apiextensions pkg/apiserver/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.codec import same
from dpf_async.sim.apiserver.wire.field_errors import (
    FieldError,
    go_value,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from dpf_async.sim.apiserver.wire.formats import CHECKS
from dpf_async.sim.apiserver.wire.patterns import compile_pattern

# jsonschema's types carry no annotations for keyword functions.
_Errors = Iterator[ValidationError]


class SchemaValidator:
    """One schema, compiled; finds violations of a value.

    below: the member of an object that the values are, whose name is in the field of an error and not in its words.
    """

    def __init__(self, schema: Mapping[str, Any], root: Node, *, below: str = "") -> None:
        self._validator = _Validator(_ordered(schema))
        self._root = root
        self._below = below

    def errors(self, value: Any, old: Any = None) -> list[FieldError]:
        """List violations; on update (old given) not those of parts that are as they were.

        Source: CRDValidationRatcheting, on since Kubernetes 1.30.
        """
        found = list(self._validator.iter_errors(value))
        if old is not None:
            found = [
                error for error in found if not _unchanged(list(error.absolute_path), value, old, self._root)
            ]
        errors = [_field_error(error) for error in found]
        return [error.below(self._below) for error in errors] if self._below else errors


def _unchanged(path: list[Any], new: Any, old: Any, node: Node | None) -> bool:
    for depth in range(len(path) + 1):
        if depth and same(new, old):
            return True
        if depth == len(path):
            return False
        step = path[depth]
        if isinstance(new, dict) and isinstance(old, dict):
            if step not in old:
                return False
            new, old = new[step], old[step]
            node = node.child(step) if node is not None else None
        elif isinstance(new, list) and isinstance(old, list) and node is not None:
            match = correlated(new[step], old, node)
            if match is None:
                return False
            new, old = new[step], match
            node = node.items
        else:
            return False
    return False


def correlated(item: Any, old: list[Any] | None, node: Node) -> Any:
    """Find the element of the old list that an element of a map list continues, or None."""
    if node.list_type != "map" or not isinstance(item, dict) or not old:
        return None
    key = [item.get(name) for name in node.list_keys]
    for candidate in old:
        if isinstance(candidate, dict) and [candidate.get(name) for name in node.list_keys] == key:
            return candidate
    return None


# jsonschema checks keywords in the order of the schema's members: this is kube-openapi's order.
_ORDER = (
    "kind-of",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "text",
    "format",
    "range",
    "multipleOf",
    "maximum",
    "minimum",
    "items",
    "minItems",
    "maxItems",
    "enum",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "properties",
    "required",
)
_KEPT = ("exclusiveMaximum", "exclusiveMinimum")


def _ordered(schema: Mapping[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {key: schema[key] for key in (*_ORDER, *_KEPT) if schema.get(key) is not None}
    types = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [schema.get("type")]
    if types != [None]:
        members["kind-of"] = {
            "types": types,
            "nullable": bool(schema.get("nullable")),
            "format": _known_format(schema),
        }
    if schema.get("type") in ("integer", "number"):
        members["range"] = {"type": schema["type"], "format": _known_format(schema)}
    text = {key: schema[key] for key in ("maxLength", "minLength", "pattern") if schema.get(key) is not None}
    if pattern := text.get("pattern"):
        text["compiled"] = compile_pattern(pattern)
    if text:
        members["text"] = text
    for key in ("anyOf", "oneOf", "allOf"):
        if key in members:
            members[key] = [_ordered(sub) for sub in members[key]]
    for key in ("not", "items", "additionalProperties"):
        if isinstance(members.get(key), Mapping):
            members[key] = _ordered(members[key])
    if "properties" in members:
        members["properties"] = {name: _ordered(sub) for name, sub in members["properties"].items()}
    return {key: members[key] for key in (*_ORDER, *_KEPT) if key in members}


def _known_format(schema: Mapping[str, Any]) -> str:
    """The format, as far as it is looked at for a type. Source: apiextensions pkg/apiserver/validation/formats.go."""
    name = str(schema.get("format", ""))
    match schema.get("type"):
        case "integer":
            known = name in ("int32", "int64")
        case "number":
            known = name in ("float", "double")
        case _:
            known = name in CHECKS
    return name if known else ""


def _type_of(value: Any) -> str:
    kinds = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return "null" if value is None else kinds[type(value)]


def _kind_of(_validator: Any, wanted: Any, value: Any, _schema: Any) -> _Errors:
    if value is None and wanted["nullable"]:
        return
    types = wanted["types"]
    actual = _type_of(value)
    if actual in types or (actual == "integer" and "number" in types):
        return
    # Where there is a format, it is looked at before the type, though not of a text or a list.
    if wanted["format"] and actual not in ("string", "array", "null"):
        yield ValidationError(_FORMATS.get(actual, ""), cause=_OfFormat())
        return
    if wanted["format"] and actual == "array" and "string" in types:
        return
    yield ValidationError(actual)


_FORMATS = {"integer": "int64", "number": "double"}
"""Of values, as Go's validation calls them."""


class _OfFormat(Exception):
    """Marks a violation that is told with the format in place of the type."""


def _combined(how: str) -> Any:
    stock = jsonschema.Draft4Validator.VALIDATORS[how]

    def check(validator: Any, schemas: Any, value: Any, schema: Any) -> _Errors:
        if value is None:
            return  # kube-openapi checks nothing but type and enum of a null
        if how == "not":
            yield from stock(validator, schemas, value, schema) or ()
            return
        outcomes = [list(validator.descend(value, sub, schema_path=i)) for i, sub in enumerate(schemas)]
        valid = sum(not errors for errors in outcomes)
        if how == "allOf":
            yield from (error for errors in outcomes for error in errors)
            if valid < len(outcomes):
                yield ValidationError("" if valid else ". None validated")
            return
        if valid == 1 or (valid and how == "anyOf"):
            return
        yield ValidationError("Found none valid" if not valid else f"Found {valid} valid alternatives")
        if not valid:
            yield from outcomes[0]

    return check


def _text(_validator: Any, wanted: Any, value: Any, _schema: Any) -> _Errors:
    if not isinstance(value, str):
        return
    if "maxLength" in wanted and len(value) > wanted["maxLength"]:
        yield ValidationError("maxLength")
    elif "minLength" in wanted and len(value) < wanted["minLength"]:
        yield ValidationError("minLength")
    elif "compiled" in wanted and not wanted["compiled"].search(value):
        yield ValidationError("pattern")


def _in_range(_validator: Any, wanted: Any, value: Any, _schema: Any) -> _Errors:
    """Numbers that do not fit into the Go type of their schema."""
    if type(value) not in (int, float) or wanted["type"] != "integer":
        return
    low, high = _RANGES[wanted["format"] or "int64"]
    if type(value) is float or not low <= value <= high:
        named = f"with format {wanted['format']}" if wanted["format"] else "(default format)"
        yield ValidationError(f"Checked value must be of type integer {named}")


_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


_FACTOR = "must be positive"


def _multiple_of(validator: Any, factor: Any, value: Any, schema: Any) -> _Errors:
    if type(value) is int and int(factor) == 0:
        yield ValidationError(_FACTOR)  # of whole numbers, Go takes the whole part of the factor
    else:
        stock = jsonschema.Draft4Validator.VALIDATORS["multipleOf"]
        yield from stock(validator, int(factor) if type(value) is int else factor, value, schema) or ()


def _format(_validator: Any, name: Any, value: Any, _schema: Any) -> _Errors:
    check = CHECKS.get(name)
    if check is not None and isinstance(value, str) and not check(value):
        yield ValidationError(name)


def _required(_validator: Any, names: Any, value: Any, _schema: Any) -> _Errors:
    if isinstance(value, dict):
        for name in names:
            if name not in value:
                yield ValidationError(name)


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft4Validator,
    {
        "kind-of": _kind_of,
        "anyOf": _combined("anyOf"),
        "oneOf": _combined("oneOf"),
        "allOf": _combined("allOf"),
        "not": _combined("not"),
        "text": _text,
        "format": _format,
        "range": _in_range,
        "multipleOf": _multiple_of,
        "required": _required,
    },
)


def _field_error(error: ValidationError) -> FieldError:
    path = _path(list(error.absolute_path))
    value: Any = error.instance
    keyword = str(error.validator)
    limit: Any = error.validator_value
    subject = f"{path} in body"
    if keyword == "required":
        return required(f"{path}.{error.message}" if path else error.message)
    if (worded := _WORDED_BY.get(keyword)) is not None:
        return worded(path, value, error.message, limit)
    if keyword == "kind-of":
        wanted = limit["format"] if error.cause is not None else ",".join(limit["types"])
        text = f'{subject} must be of type {wanted}: "{error.message}"'
        return type_invalid(path, error.message, text)
    if keyword == "enum":
        return not_supported(path, value, limit)
    if keyword == "format":
        return type_invalid(path, value, f"{subject} must be of type {limit}: {go_value(value)}")
    if keyword in ("maxItems", "maxProperties"):
        return too_many(path, len(value), limit)
    if keyword in _COMBINATIONS:
        # These name no field: kube-openapi reports them as plain errors.
        return invalid("", "", f'"{path}" {_COMBINATIONS[keyword].format(error.message)}')
    shown = len(value) if keyword in ("minItems", "minProperties") else value
    return invalid(path, shown, f"{subject} {_worded(keyword, limit, error.schema)}")


_COMBINATIONS = {
    "anyOf": "must validate at least one schema (anyOf)",
    "oneOf": "must validate one and only one schema (oneOf). {}",
    "allOf": "must validate all the schemas (allOf){}",
    "not": "must not validate the schema (not)",
}


def _number_error(path: str, value: Any, broken: str, limit: Any) -> FieldError:
    if isinstance(limit, Mapping):
        return invalid("", "", f"{broken} in {path}")
    if broken == _FACTOR:
        return invalid(path, 0, f"factor MultipleOf declared for {path} {_FACTOR}: 0")
    return invalid(path, value, f"{path} in body should be a multiple of {limit}")


def _text_error(path: str, value: str, broken: str, limits: Mapping[str, Any]) -> FieldError:
    if broken == "maxLength":
        return too_long(path, limits["maxLength"])
    if broken == "minLength":
        return invalid(path, value, f"{path} in body should be at least {limits['minLength']} chars long")
    return invalid(path, value, f"{path} in body should match '{limits['pattern']}'")


_WORDED_BY = {"range": _number_error, "multipleOf": _number_error, "text": _text_error}


def _worded(keyword: str, limit: Any, schema: Any) -> str:
    if keyword == "minimum":
        than = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        return f"should be {than} {limit}"
    if keyword == "maximum":
        than = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        return f"should be {than} {limit}"
    if keyword == "additionalProperties":
        return "has a forbidden property"
    return f"should have at least {limit} {'items' if keyword == 'minItems' else 'properties'}"


def _path(steps: list[Any]) -> str:
    """Write a path as kube-openapi does: members and map keys alike after a dot."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else str(step)
    return path

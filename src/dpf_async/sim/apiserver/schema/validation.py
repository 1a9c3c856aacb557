"""Validation of values against an OpenAPI schema, with the errors in the API server's order and wording.

jsonschema implements the keywords. This module implements what OpenAPI 3.0 and kube-openapi do differently (nullable,
int-or-string, RE2 patterns, string formats, the order of checks, the wording), and validation ratcheting: of an update
it validates only the values that have changed.
Source: kube-openapi pkg/validation/{validate,errors}, apiextensions pkg/apiserver/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema
from jsonschema.exceptions import ValidationError

from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.codec import encode_plain, same
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


_ABSENT: Final[Any] = object()
_EMPTY: Final[Mapping[str, Any]] = {}


class SchemaValidator:
    """One compiled schema.

    below: the member of an object that the values are; errors have its name in their field, but not in their message.
    """

    def __init__(self, schema: Mapping[str, Any], root: Node, *, below: str = "") -> None:
        self._schema = _ordered(schema)
        self._root = root
        self._below = below

    def errors(self, value: Any, old: Any = None) -> list[FieldError]:
        """List violations; of an update (old given) only those in values that have changed.

        Source: the feature CRDValidationRatcheting, enabled since Kubernetes 1.30.
        """
        found: list[_Violation] = []
        before = _ABSENT if old is None else old
        _validate(_Part(value, before, self._root, ()), self._schema, found)
        errors = [_field_error(violation) for violation in found]
        return [error.below(self._below) for error in errors] if self._below else errors


@dataclass(frozen=True, slots=True)
class _Part:
    """A value inside the object, the value that it replaces, and its schema node."""

    value: Any
    old: Any
    node: Node | None
    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Violation:
    """A keyword of a schema that a value violates.

    Attributes:
        message: for the keywords of this module what is violated; see each of them.
        of_format: whether the error names the format instead of the type.
    """

    path: tuple[str | int, ...]
    value: Any
    keyword: str
    limit: Any
    schema: Any
    message: str
    of_format: bool


class _Schema(dict[str, Any]):
    """A schema whose keywords are in kube-openapi's order.

    Attributes:
        valid: list elements without violations, encoded. A change of an atomic list, such as the conditions of a DPU,
            validates all of its elements again, most of which have not changed.
    """

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        super().__init__(keywords)
        self.valid: set[str] = set()

    def add_valid(self, element: str) -> None:
        if len(self.valid) >= _VALID_ELEMENTS:
            self.valid.clear()
        self.valid.add(element)


# The conditions of some hundred DPUs; chosen.
_VALID_ELEMENTS: Final = 4096


def _validate(part: _Part, schema: Mapping[str, Any], found: list[_Violation]) -> None:
    value = part.value
    for keyword, wanted in schema.items():
        if keyword == "properties":
            if isinstance(value, dict):
                _validate_members(part, {name: wanted[name] for name in wanted if name in value}, found)
        elif keyword == "additionalProperties" and isinstance(wanted, Mapping):
            if isinstance(value, dict):
                declared = schema.get("properties", _EMPTY)
                _validate_members(part, {name: wanted for name in value if name not in declared}, found)
        elif keyword == "items" and isinstance(wanted, _Schema):
            if isinstance(value, list):
                _validate_elements(part, wanted, found)
        elif (check := _BASE.VALIDATORS.get(keyword)) is not None:
            found += [
                _violation(part, keyword, wanted, schema, error)
                for error in check(_BASE, wanted, value, schema) or ()
                if not _ratcheted(part, list(error.absolute_path))
            ]


def _validate_members(part: _Part, schemas: Mapping[str, Any], found: list[_Violation]) -> None:
    olds = part.old if isinstance(part.old, dict) else _EMPTY
    for name, schema in schemas.items():
        value, old = part.value[name], olds.get(name, _ABSENT)
        if old is _ABSENT or not same(value, old):
            node = part.node.child(name) if part.node is not None else None
            _validate(_Part(value, old, node, (*part.path, name)), schema, found)


def _validate_elements(part: _Part, schema: _Schema, found: list[_Violation]) -> None:
    olds = part.old if isinstance(part.old, list) else None
    node = part.node.items if part.node is not None else None
    for index, value in enumerate(part.value):
        path = (*part.path, index)
        old = correlated(value, olds, part.node) if part.node is not None else None
        if old is not None:
            if not same(value, old):
                _validate(_Part(value, old, node, path), schema, found)
        elif (encoded := encode_plain(value)) not in schema.valid:
            before = len(found)
            _validate(_Part(value, _ABSENT, node, path), schema, found)
            if len(found) == before:
                schema.add_valid(encoded)


def _violation(part: _Part, keyword: str, wanted: Any, schema: Any, error: ValidationError) -> _Violation:
    value = part.value
    if isinstance(error.validator, str):  # set for errors of a schema inside anyOf, oneOf or allOf
        keyword, wanted, schema, value = error.validator, error.validator_value, error.schema, error.instance
    path = (*part.path, *error.absolute_path)
    return _Violation(path, value, keyword, wanted, schema, error.message, of_format=error.cause is not None)


def _ratcheted(part: _Part, path: list[Any]) -> bool:
    """Whether a value on the path below the part is unchanged, so that its errors do not count."""
    new, old, node = part.value, part.old, part.node
    if old is _ABSENT:
        return False
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
    """Find the element of the old list with the same keys as an element of a map list, or None."""
    if node.list_type != "map" or not isinstance(item, dict) or not old:
        return None
    key = [item.get(name) for name in node.list_keys]
    for candidate in old:
        if isinstance(candidate, dict) and [candidate.get(name) for name in node.list_keys] == key:
            return candidate
    return None


# Keywords are checked in the order of the schema's members: this is kube-openapi's order.
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


def _ordered(schema: Mapping[str, Any]) -> _Schema:
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
    return _Schema({key: members[key] for key in (*_ORDER, *_KEPT) if key in members})


def _known_format(schema: Mapping[str, Any]) -> str:
    """The format, if it is checked for the type. Source: apiextensions pkg/apiserver/validation/formats.go."""
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
    # A format is checked before the type, except for strings and arrays.
    if wanted["format"] and actual not in ("string", "array", "null"):
        yield ValidationError(_FORMATS.get(actual, ""), cause=_OfFormat())
        return
    if wanted["format"] and actual == "array" and "string" in types:
        return
    yield ValidationError(actual)


_FORMATS = {"integer": "int64", "number": "double"}
"""By JSON type, as the error names the format of a value."""


class _OfFormat(Exception):
    """Marks a violation whose error names the format instead of the type."""


def _combined(how: str) -> Any:
    stock = jsonschema.Draft4Validator.VALIDATORS[how]

    def check(validator: Any, schemas: Any, value: Any, schema: Any) -> _Errors:
        if value is None:
            return  # kube-openapi checks only type and enum of a null
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
    """Report numbers that do not fit into the Go type of their schema."""
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
        yield ValidationError(_FACTOR)  # for integers, Go truncates the factor
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


# Checks of single keywords get this validator; it descends into anyOf, oneOf, allOf and not.
_BASE: Final = _Validator({})


def _field_error(error: _Violation) -> FieldError:
    path = _path(error.path)
    value, keyword, limit = error.value, error.keyword, error.limit
    subject = f"{path} in body"
    if keyword == "required":
        return required(f"{path}.{error.message}" if path else error.message)
    if (error_of := _ERRORS.get(keyword)) is not None:
        return error_of(path, value, error.message, limit)
    if keyword == "kind-of":
        wanted = limit["format"] if error.of_format else ",".join(limit["types"])
        text = f'{subject} must be of type {wanted}: "{error.message}"'
        return type_invalid(path, error.message, text)
    if keyword == "enum":
        return not_supported(path, value, limit)
    if keyword == "format":
        return type_invalid(path, value, f"{subject} must be of type {limit}: {go_value(value)}")
    if keyword in ("maxItems", "maxProperties"):
        return too_many(path, len(value), limit)
    if keyword in _COMBINATIONS:
        # kube-openapi reports these as plain errors without a field.
        return invalid("", "", f'"{path}" {_COMBINATIONS[keyword].format(error.message)}')
    shown = len(value) if keyword in ("minItems", "minProperties") else value
    return invalid(path, shown, f"{subject} {_message(keyword, limit, error.schema)}")


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


_ERRORS = {"range": _number_error, "multipleOf": _number_error, "text": _text_error}


def _message(keyword: str, limit: Any, schema: Any) -> str:
    if keyword == "minimum":
        than = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        return f"should be {than} {limit}"
    if keyword == "maximum":
        than = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        return f"should be {than} {limit}"
    if keyword == "additionalProperties":
        return "has a forbidden property"
    return f"should have at least {limit} {'items' if keyword == 'minItems' else 'properties'}"


def _path(steps: tuple[str | int, ...]) -> str:
    """Write a path as kube-openapi does: both members and map keys follow a dot."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else str(step)
    return path

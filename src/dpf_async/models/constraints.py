"""Constraints of a field: markers for `Annotated[…]`, which models validate and CRD manifests contain.

Reading is lenient, writing is strict. A marker validates values from Python (a constructor, `model_validate` of a
dict) and accepts any JSON, because JSON comes from a server that may be newer than this library and has validated
it already. Values of a wrong *type* are rejected in both cases, by pydantic itself, without a marker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, StrictBool, StrictInt
from pydantic_core import PydanticCustomError, core_schema

from dpf_async.models.times import duration_seconds, parse_time

__all__ = [
    "ATOMIC_LIST",
    "INT_OR_STRING",
    "PRESERVE_UNKNOWN",
    "REQUIRED",
    "Bool",
    "Constraint",
    "Int",
    "Int32",
    "Int64",
    "Marker",
    "Quantity",
    "Required",
    "at_least",
    "at_most",
    "format_of",
    "map_list",
    "max_items",
    "max_length",
    "max_properties",
    "min_items",
    "min_length",
    "min_properties",
    "one_of",
    "pattern",
    "server_default",
    "when_built",
]

JSONSchema = Mapping[str, Any]  # Any: the values of a JSON schema's keywords


@dataclass(frozen=True, slots=True)
class Marker:
    """Keywords in the OpenAPI schema of a field.

    Attributes:
        keywords: to add to the schema.
    """

    keywords: JSONSchema = field(hash=False)


@dataclass(frozen=True, slots=True)
class Constraint(Marker):
    """A marker that also validates values from Python.

    Attributes:
        message: the requirement. It does not repeat the value, which may be a secret.
        holds: whether a value satisfies the requirement.
    """

    message: str
    holds: Callable[[Any], bool]  # Any: a value of the field's type

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return when_built(handler(source), self._check)

    def _check(self, value: Any) -> Any:  # Any: as in `holds`
        if value is None or self.holds(value):
            return value
        raise PydanticCustomError("constraint", "{message}", {"message": self.message})


def when_built(schema: core_schema.CoreSchema, check: Callable[[Any], Any]) -> core_schema.JsonOrPythonSchema:
    """The same schema with a validator function for values from Python only.

    JSON is decoded in pydantic's Rust core without a call of a Python function.
    """
    if schema["type"] == "json-or-python":
        read, build = schema["json_schema"], schema["python_schema"]
    else:
        read = build = schema
    return core_schema.json_or_python_schema(
        json_schema=read,
        python_schema=core_schema.no_info_after_validator_function(check, build),
    )


def pattern(regex: str) -> Constraint:
    """Text that contains a match of this regular expression, in the syntax of RE2, which the API server uses."""
    return Constraint(
        keywords={"pattern": regex},
        message=f"must match {regex}",
        # In an int-or-string schema, a pattern applies to strings only.
        holds=lambda value: not isinstance(value, str) or bool(_compiled(regex).search(value)),
    )


@cache
def _compiled(regex: str) -> re.Pattern[str]:
    # In Go `$` is the end of the text, and \d, \s, \w are ASCII. Python's `$` also matches before a last newline.
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", regex), re.ASCII)


def one_of(*values: str) -> Constraint:
    """One of these texts, for writes; a server may return others."""
    return Constraint(
        keywords={"enum": list(values)},
        message=f"must be one of {', '.join(values)}",
        holds=lambda value: value in values,
    )


def at_least(bound: int) -> Constraint:
    """A number of at least this."""
    return Constraint({"minimum": bound}, f"must be at least {bound}", lambda value: value >= bound)


def at_most(bound: int) -> Constraint:
    """A number of at most this."""
    return Constraint({"maximum": bound}, f"must be at most {bound}", lambda value: value <= bound)


def min_length(bound: int) -> Constraint:
    """Text with at least this number of characters."""
    return _not_shorter("minLength", bound, "characters")


def max_length(bound: int) -> Constraint:
    """Text with at most this number of characters: code points, not bytes."""
    return _not_longer("maxLength", bound, "characters")


def min_items(bound: int) -> Constraint:
    """A list with at least this number of items."""
    return _not_shorter("minItems", bound, "items")


def max_items(bound: int) -> Constraint:
    """A list with at most this number of items."""
    return _not_longer("maxItems", bound, "items")


def min_properties(bound: int) -> Constraint:
    """A map with at least this number of entries."""
    return _not_shorter("minProperties", bound, "entries")


def max_properties(bound: int) -> Constraint:
    """A map with at most this number of entries."""
    return _not_longer("maxProperties", bound, "entries")


def _not_shorter(keyword: str, bound: int, of: str) -> Constraint:
    return Constraint({keyword: bound}, f"must have at least {bound} {of}", lambda value: len(value) >= bound)


def _not_longer(keyword: str, bound: int, of: str) -> Constraint:
    return Constraint({keyword: bound}, f"must have at most {bound} {of}", lambda value: len(value) <= bound)


def format_of(name: str) -> Constraint:
    """One of OpenAPI's named formats: int32, int64, ipv4, date-time, duration."""
    return Constraint({"format": name}, f"must be of format {name}", _FORMATS[name])


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


_FORMATS: dict[str, Callable[[Any], bool]] = {
    "int32": lambda number: -(2**31) <= number < 2**31,
    "int64": lambda number: -(2**63) <= number < 2**63,
    "ipv4": _is_ipv4,
    "date-time": lambda text: parse_time(text) is not None,
    "duration": lambda text: duration_seconds(text) is not None,
}


@dataclass(frozen=True, slots=True)
class Required:
    """See REQUIRED."""


REQUIRED = Required()
"""The schema requires this field, but an object without it can be read: some release omits it.

The field needs a Python default for such objects. An object cannot be built without the field.
A field that every release has needs no marker: without a Python default it is required in both cases.
"""

INT_OR_STRING = Marker(
    {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
)
"""An integer or a text: Kubernetes' IntOrString and Quantity."""

PRESERVE_UNKNOWN = Marker({"x-kubernetes-preserve-unknown-fields": True})
"""A free-form object: the API server keeps all fields in it."""

ATOMIC_LIST = Marker({"x-kubernetes-list-type": "atomic"})
"""A list that one field manager owns completely (server-side apply)."""


def map_list(*keys: str) -> Marker:
    """A list whose items are identified by these keys, and have separate owners (server-side apply)."""
    return Marker({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def server_default(value: Mapping[str, Any]) -> Marker:  # Any: JSON
    """The API server's default of an object-valued field, as JSON.

    Scalars need no marker: their Python default is that of the API server (see `dpf_async.models.wire`).
    """
    return Marker({"default": value})


def _any_of(parts: Sequence[str]) -> str:
    return "|".join(f"({part})" for part in parts)


# resource.Quantity: a sign, a decimal number, and a binary suffix, a decimal suffix or an exponent.
_SIGN = r"(\+|-)?"
_NUMBER = _any_of((r"[0-9]+(\.[0-9]*)?", r"\.[0-9]+"))
_SUFFIX = f"([KMGTPE]i)|[numkMGTPE]|([eE]{_SIGN}({_NUMBER}))"

# bool and int as JSON has them: neither "true" nor 1 is a bool, neither "8" nor 8.0 nor true is an int.
Bool = StrictBool
Int = StrictInt
Int32 = Annotated[StrictInt, format_of("int32")]
Int64 = Annotated[StrictInt, format_of("int64")]
Quantity = Annotated[StrictInt | str, INT_OR_STRING, pattern(f"^{_SIGN}({_NUMBER})({_SUFFIX})?$")]

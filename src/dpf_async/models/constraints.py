"""What a field may hold: markers for `Annotated[…]` that the models check and the CRD manifests repeat.

Reading is open, writing is strict. A marker checks values given from Python (a constructor, `model_validate`
of a dict) and lets JSON pass, because JSON comes from a server that may be newer than this library and has
validated already. Wrong *types* are refused both ways; that is pydantic's own part and needs no marker.
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
    """Something a field's OpenAPI schema says.

    Attributes:
        keywords: what it adds to the schema.
    """

    keywords: JSONSchema = field(hash=False)


@dataclass(frozen=True, slots=True)
class Constraint(Marker):
    """A marker that also refuses values given from Python.

    Attributes:
        message: what the value must be. It does not repeat the value, which may be a secret.
        holds: whether the value is that.
    """

    message: str
    holds: Callable[[Any], bool]  # Any: whatever the field's own type lets through

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return when_built(handler(source), self._check)

    def _check(self, value: Any) -> Any:  # Any: as in `holds`
        if value is None or self.holds(value):
            return value
        raise PydanticCustomError("constraint", "{message}", {"message": self.message})


def when_built(schema: core_schema.CoreSchema, check: Callable[[Any], Any]) -> core_schema.JsonOrPythonSchema:
    """The same schema, with check called after it for values given from Python, and only for those.

    Reading thus stays inside pydantic's Rust core: no Python function is called for it.
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
    """Text in which this regular expression is found. The syntax is RE2's, since the API server is Go."""
    return Constraint(
        keywords={"pattern": regex},
        message=f"must match {regex}",
        # Where the schema says int-or-string, a pattern speaks of the strings only.
        holds=lambda value: not isinstance(value, str) or bool(_compiled(regex).search(value)),
    )


@cache
def _compiled(regex: str) -> re.Pattern[str]:
    # In Go `$` is the end of the text, and \d, \s, \w are ASCII. Python's `$` lets a last newline pass.
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", regex), re.ASCII)


def one_of(*values: str) -> Constraint:
    """One of these texts. A server may answer with others; we do not write others."""
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
    """Text of at least so many characters."""
    return _not_shorter("minLength", bound, "characters")


def max_length(bound: int) -> Constraint:
    """Text of at most so many characters: code points, not bytes."""
    return _not_longer("maxLength", bound, "characters")


def min_items(bound: int) -> Constraint:
    """A list of at least so many items."""
    return _not_shorter("minItems", bound, "items")


def max_items(bound: int) -> Constraint:
    """A list of at most so many items."""
    return _not_longer("maxItems", bound, "items")


def min_properties(bound: int) -> Constraint:
    """A map of at least so many entries."""
    return _not_shorter("minProperties", bound, "entries")


def max_properties(bound: int) -> Constraint:
    """A map of at most so many entries."""
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
"""The schema requires this field, yet an object without it can be read: some release leaves it out.

Give the field a Python default that reads well where it is absent. Building without it is refused.
A field that no release leaves out needs no marker: without a Python default it is required both ways.
"""

INT_OR_STRING = Marker(
    {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
)
"""An integer or a text: Kubernetes' IntOrString and Quantity."""

PRESERVE_UNKNOWN = Marker({"x-kubernetes-preserve-unknown-fields": True})
"""A free-form object: the API server keeps whatever is in it."""

ATOMIC_LIST = Marker({"x-kubernetes-list-type": "atomic"})
"""A list that one field manager owns as a whole (server-side apply)."""


def map_list(*keys: str) -> Marker:
    """A list whose items are told apart by these keys, each owned for itself (server-side apply)."""
    return Marker({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def server_default(value: Mapping[str, Any]) -> Marker:  # Any: JSON
    """The API server's default for an object-valued field, as it stands on the wire.

    Scalars need no marker: there, the Python default is the API server's (see `dpf_async.models.meta`).
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

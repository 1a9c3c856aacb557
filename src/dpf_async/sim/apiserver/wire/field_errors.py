"""Errors of one field, with Kubernetes' messages, for the causes of a 422.

Source: apimachinery pkg/util/validation/field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain

_LABELS = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
}

# Violations that make the API server skip CEL. Source: apiextensions hasBlockingErr.
_BLOCKING = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}


_NO_FIELD = "<nil>"


class _Omitted:
    """Marks an error that does not contain the value."""


OMITTED = _Omitted()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error: its type, the path of the field and the message."""

    type: str
    field: str
    body: str

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"

    def below(self, name: str) -> FieldError:
        """The same error inside a member of an object; an error without a field gets the member as its field."""
        return replace(
            self, field=name if self.field == _NO_FIELD else f"{name}.{self.field.removeprefix('.')}"
        )

    @property
    def blocking(self) -> bool:
        """Whether CEL rules are skipped because of this error."""
        return self.type in _BLOCKING

    @property
    def cause(self) -> Obj:
        """The entry of details.causes."""
        return {"reason": self.type, "message": self.body, "field": self.field}


def _error(kind: str, path: str, value: Any, detail: str) -> FieldError:
    body = _LABELS[kind]
    if value is not OMITTED:
        body += f": {go_value(value)}"
    if detail:
        body += f": {detail}"
    return FieldError(kind, path or _NO_FIELD, body)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """Report a malformed value."""
    return _error("FieldValueInvalid", path, value, detail)


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """Report a value of the wrong type."""
    return _error("FieldValueTypeInvalid", path, value, detail)


def required(path: str, detail: str = "") -> FieldError:
    """Report a missing value."""
    return _error("FieldValueRequired", path, OMITTED, detail)


def field_forbidden(path: str, detail: str) -> FieldError:
    """Report a value that may not be set now."""
    return _error("FieldValueForbidden", path, OMITTED, detail)


def duplicate(path: str, value: Any) -> FieldError:
    """Report a value that occurs twice."""
    return _error("FieldValueDuplicate", path, value, "")


def not_supported(path: str, value: Any, supported: Iterable[Any]) -> FieldError:
    """Report a value outside an enumeration."""
    listed = ", ".join(
        go_value(item) if isinstance(item, str) else go_value(encode_plain(item)) for item in supported
    )
    detail = f"supported values: {listed}" if listed else ""
    return _error("FieldValueNotSupported", path, value, detail)


def too_long(path: str, limit: int) -> FieldError:
    """Report a string that exceeds its limit in bytes."""
    unit = "byte" if limit == 1 else "bytes"
    return _error("FieldValueTooLong", path, OMITTED, f"may not be more than {limit} {unit}")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    """Report a list or map that exceeds its limit."""
    unit = "item" if limit == 1 else "items"
    return _error("FieldValueTooMany", path, actual, f"must have at most {limit} {unit}")


def go_value(value: Any) -> str:
    """Format a value for an error: strings as Go's %q, everything else as JSON."""
    if isinstance(value, str):
        return '"' + "".join(_go_char(char) for char in value) + '"'
    return encode_plain(value)


def _go_char(char: str) -> str:
    simple = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b"}
    simple |= {"\f": "\\f", "\v": "\\v"}
    if char in simple:
        return simple[char]
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

"""The protobuf encoding of an OpenAPI v2 document, the only one that kubectl requests.

Source: OpenAPIv2.proto of gnostic-models, without the fields that this server's documents do not have.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain

_VARINT, _DOUBLE, _BYTES = 0, 1, 2


@dataclass(frozen=True)
class _Message:
    """Fields by their JSON names: (number, type); a type is a name below, a message, [type], or a map as {"": type}.

    Attributes:
        fields: as above.
        extensions: the number of the field for members that begin with x-.
        wrapped: number and type of the only field of a message that has no counterpart in JSON.
    """

    fields: dict[str, tuple[int, Any]] = field(default_factory=dict)
    extensions: int = 0
    wrapped: tuple[int, Any] | None = None


def _one(number: int, kind: Any) -> _Message:
    return _Message(wrapped=(number, kind))


_SCHEMA: Final = _Message(extensions=31)
_SCHEMAS: Final = {"": _SCHEMA}
_SCHEMA.fields.update(
    {
        "$ref": (1, "string"),
        "format": (2, "string"),
        "title": (3, "string"),
        "description": (4, "string"),
        "multipleOf": (6, "double"),
        "maximum": (7, "double"),
        "exclusiveMaximum": (8, "bool"),
        "minimum": (9, "double"),
        "exclusiveMinimum": (10, "bool"),
        "maxLength": (11, "int"),
        "minLength": (12, "int"),
        "pattern": (13, "string"),
        "maxItems": (14, "int"),
        "minItems": (15, "int"),
        "uniqueItems": (16, "bool"),
        "maxProperties": (17, "int"),
        "minProperties": (18, "int"),
        "required": (19, ["string"]),
        "enum": (20, ["any"]),
        "additionalProperties": (21, "schema or bool"),
        "type": (22, _one(1, "string")),
        "items": (23, _one(1, _SCHEMA)),
        "properties": (25, _one(1, _SCHEMAS)),
    }
)
_BODY: Final = _Message(
    {"name": (2, "string"), "in": (3, "string"), "required": (4, "bool"), "schema": (5, _SCHEMA)}
)
_QUERY: Final = _Message(
    {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (6, "string"),
        "uniqueItems": (20, "bool"),
    }
)
_IN_PATH: Final = _Message(
    {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (5, "string"),
        "uniqueItems": (18, "bool"),
    }
)
# ParametersItem.parameter, then Parameter.body_parameter or .non_body_parameter, then the field for a query or a path.
_PARAMETERS: Final = {
    "body": _one(1, _one(1, _BODY)),
    "query": _one(1, _one(2, _one(3, _QUERY))),
    "path": _one(1, _one(2, _one(4, _IN_PATH))),
}
_RESPONSE: Final = _Message({"description": (1, "string"), "schema": (2, _one(1, _SCHEMA))})
_OPERATION: Final = _Message(
    {
        "tags": (1, ["string"]),
        "description": (3, "string"),
        "operationId": (5, "string"),
        "produces": (6, ["string"]),
        "consumes": (7, ["string"]),
        "parameters": (8, ["parameter"]),
        "responses": (9, _one(1, {"": _one(1, _RESPONSE)})),
    },
    extensions=13,
)
_PATH: Final = _Message(
    {
        "get": (2, _OPERATION),
        "put": (3, _OPERATION),
        "post": (4, _OPERATION),
        "delete": (5, _OPERATION),
        "patch": (8, _OPERATION),
        "parameters": (9, ["parameter"]),
    }
)
_DOCUMENT: Final = _Message(
    {
        "swagger": (1, "string"),
        "info": (2, _Message({"title": (1, "string"), "version": (2, "string")})),
        "paths": (8, _one(2, {"": _PATH})),
        "definitions": (9, _one(1, _SCHEMAS)),
    }
)


def encode_document(document: Obj) -> bytes:
    """Encode a v2 document."""
    return _encoded(_DOCUMENT, document)


def _encoded(message: _Message, value: Any) -> bytes:
    if message.wrapped is not None:
        return _field(*message.wrapped, value)
    parts = []
    for name, item in value.items():
        if name in message.fields:
            parts.append(_field(*message.fields[name], item))
        elif name.startswith("x-") and message.extensions:
            parts.append(_field(message.extensions, {"": "any"}, {name: item}))
    return b"".join(parts)


def _field(number: int, kind: Any, value: Any) -> bytes:
    if isinstance(kind, list):
        return b"".join(_field(number, kind[0], item) for item in value)
    if isinstance(kind, Mapping):
        # A map is a list of messages with a name and a value.
        return b"".join(
            _with_length(number, _field(1, "string", name) + _field(2, kind[""], item))
            for name, item in value.items()
        )
    if isinstance(kind, _Message):
        return _with_length(number, _encoded(kind, value))
    return _SIMPLE[kind](number, value)


def _integer(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(int(value))


def _double(number: int, value: float) -> bytes:
    return _tag(number, _DOUBLE) + struct.pack("<d", value)


def _any(number: int, value: Any) -> bytes:
    # The value is YAML text; JSON is YAML.
    return _with_length(number, _field(2, "string", encode_plain(value)))


def _schema_or_bool(number: int, value: Obj | bool) -> bytes:
    content = _field(2, "bool", value) if isinstance(value, bool) else _field(1, _SCHEMA, value)
    return _with_length(number, content)


_SIMPLE: Final[Mapping[str, Callable[[int, Any], bytes]]] = {
    "string": lambda number, value: _with_length(number, value.encode()),
    "bool": _integer,
    "int": _integer,
    "double": _double,
    "any": _any,
    "parameter": lambda number, value: _field(number, _PARAMETERS[value["in"]], value),
    "schema or bool": _schema_or_bool,
}


def _with_length(number: int, content: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(content)) + content


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

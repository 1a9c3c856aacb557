"""Decoder of Kubernetes' protobuf, for the core kinds that clients send in it, such as kubectl create secret.

Responses are JSON, which those clients also accept. Source: the generated.proto of core/v1, coordination/v1,
authorization/v1, meta/v1 and runtime.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj

MAGIC = b"k8s\x00"

# A message's fields by number: (name, type); a type is a name below, a message, [type] or {type: ...} for a map.
_Message = Mapping[int, tuple[str, Any]]

_OWNER: _Message = {
    1: ("kind", "string"),
    3: ("name", "string"),
    4: ("uid", "string"),
    5: ("apiVersion", "string"),
    6: ("controller", "bool"),
    7: ("blockOwnerDeletion", "bool"),
}
_META: _Message = {
    1: ("name", "string"),
    2: ("generateName", "string"),
    3: ("namespace", "string"),
    5: ("uid", "string"),
    6: ("resourceVersion", "string"),
    7: ("generation", "int"),
    8: ("creationTimestamp", "time"),
    9: ("deletionTimestamp", "time"),
    10: ("deletionGracePeriodSeconds", "int"),
    11: ("labels", {"": "string"}),
    12: ("annotations", {"": "string"}),
    13: ("ownerReferences", [_OWNER]),
    14: ("finalizers", ["string"]),
}
_REFERENCE: _Message = {3: ("name", "string")}
_KINDS: Mapping[str, _Message] = {
    "ConfigMap": {
        1: ("metadata", _META),
        2: ("data", {"": "string"}),
        3: ("binaryData", {"": "bytes"}),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", _META),
        2: ("data", {"": "bytes"}),
        3: ("type", "string"),
        4: ("stringData", {"": "string"}),
        5: ("immutable", "bool"),
    },
    "Namespace": {1: ("metadata", _META), 2: ("spec", {1: ("finalizers", ["string"])})},
    "ServiceAccount": {
        1: ("metadata", _META),
        2: ("secrets", [_REFERENCE]),
        3: ("imagePullSecrets", [{1: ("name", "string")}]),
        4: ("automountServiceAccountToken", "bool"),
    },
    "Lease": {
        1: ("metadata", _META),
        2: (
            "spec",
            {
                1: ("holderIdentity", "string"),
                2: ("leaseDurationSeconds", "int"),
                3: ("acquireTime", "micro time"),
                4: ("renewTime", "micro time"),
                5: ("leaseTransitions", "int"),
            },
        ),
    },
    "SelfSubjectAccessReview": {
        1: ("metadata", _META),
        2: (
            "spec",
            {
                1: (
                    "resourceAttributes",
                    {
                        1: ("namespace", "string"),
                        2: ("verb", "string"),
                        3: ("group", "string"),
                        4: ("version", "string"),
                        5: ("resource", "string"),
                        6: ("subresource", "string"),
                        7: ("name", "string"),
                    },
                ),
                2: ("nonResourceAttributes", {1: ("path", "string"), 2: ("verb", "string")}),
            },
        ),
    },
}
_UNKNOWN: _Message = {
    1: ("typeMeta", {1: ("apiVersion", "string"), 2: ("kind", "string")}),
    2: ("raw", "raw"),
}
_TIME: _Message = {1: ("seconds", "int"), 2: ("nanos", "int")}


class ProtobufError(ValueError):
    """The bytes are not a message that this server can decode."""


def decode_protobuf(data: bytes) -> Obj:
    """Decode an object in its envelope.

    Raises:
        ProtobufError: it is malformed, or its kind is not supported in protobuf.
    """
    if not data.startswith(MAGIC):
        raise ProtobufError(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = _decode(data[len(MAGIC) :], _UNKNOWN)
        types = envelope.get("typeMeta", {})
        message = _KINDS.get(types.get("kind", ""))
        if message is None:
            raise ProtobufError(f"no protobuf for kind {types.get('kind', '')!r}")
        return {**types, **_decode(envelope.get("raw", b""), message)}
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ProtobufError(f"unexpected EOF: {error}") from None


def _decode(data: bytes, message: _Message) -> Obj:
    result: Obj = {}
    for number, value in _fields(data):
        if number not in message:
            continue
        name, kind = message[number]
        if isinstance(kind, list):
            result.setdefault(name, []).append(_value(value, kind[0]))
        elif isinstance(kind, Mapping) and "" in kind:
            entry = _decode(value, {1: ("key", "string"), 2: ("value", kind[""])})
            result.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        else:
            result[name] = _value(value, kind)
    return result


def _value(value: Any, kind: Any) -> Any:
    if isinstance(kind, Mapping):
        return _decode(value, kind)
    match kind:
        case "string":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "bool":
            return bool(value)
        case "int":
            return value - (1 << 64) if value >> 63 else value
        case "raw":
            return value
        case _:
            return _time(_decode(value, _TIME), micro=kind == "micro time")


def _time(moment: Obj, *, micro: bool) -> str | None:
    if not moment.get("seconds"):
        return None
    at = datetime.fromtimestamp(moment["seconds"], UTC) + timedelta(
        microseconds=moment.get("nanos", 0) // 1000
    )
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Iterate over the fields of one message: varints as int, length-delimited fields as bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            number, position = _varint(data, position)
            yield tag >> 3, number
        elif wire == 2:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ProtobufError("unexpected EOF")
            yield tag >> 3, data[position : position + length]
            position += length
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        result |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if not byte & 0x80:
            return result, position

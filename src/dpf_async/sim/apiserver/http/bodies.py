"""Request bodies: reading up to the API server's limit, and decoding with its error messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from dpf_async.sim.apiserver.cluster.admission import fields_without_schema, not_served
from dpf_async.sim.apiserver.cluster.requests import Body, Target
from dpf_async.sim.apiserver.http.representations import JSON, NAMED, PROTOBUF, YAML
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import DecodeError, Document, Obj, decode_json, decode_yaml, summarise
from dpf_async.sim.apiserver.wire.protobuf import ProtobufError, decode_protobuf

ACCEPTED = (JSON, YAML)
# Source: apiserver server/config.go MaxRequestBodyBytes; observed in docs/watching.md#framing.
MAX_BODY_BYTES = 3 * 1024 * 1024


async def read_body(request: web.BaseRequest) -> bytes:
    """Read a body.

    Raises:
        StatusError: 413.
    """
    too_large = status.request_too_large(f"limit is {MAX_BODY_BYTES}")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.content.iter_any():
        total += len(chunk)
        if total > MAX_BODY_BYTES:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _decode_protobuf(data: bytes) -> Document:
    try:
        return Document(decode_protobuf(data))
    except ProtobufError as error:
        raise DecodeError(str(error)) from None


_DECODERS = {JSON: decode_json, YAML: decode_yaml, PROTOBUF: _decode_protobuf}


@dataclass(frozen=True, slots=True)
class RawBody:
    """An undecoded body."""

    data: bytes
    content_type: str


async def read_object_body(request: web.BaseRequest, target: Target) -> RawBody:
    """Read the body of a create or update.

    Raises:
        StatusError: 413 or 415.
    """
    content_type = request.headers.get("Content-Type", JSON).split(";")[0].strip()
    # Protobuf is in the error's list for custom resources as well, although they do not support it.
    if content_type not in ACCEPTED and (target.kind.custom or content_type != PROTOBUF):
        raise status.unsupported_media_type(NAMED)
    return RawBody(await read_body(request), content_type)


def decode_object(raw: RawBody, target: Target) -> Body:
    """Decode the object of a create or update.

    Raises:
        StatusError: 400.
    """
    data = raw.data
    unrecognized = f"the object provided is unrecognized (must be of type {target.kind.kind}): "
    try:
        document = _DECODERS[raw.content_type](data)
    except DecodeError as error:
        why = (
            f"couldn't get version/kind; json parse error: {error}"
            if raw.content_type == JSON
            else str(error)
        )
        raise status.bad_request(f"{unrecognized}{why} ({summarise(data)})") from None
    value = document.value
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise status.bad_request(f"{unrecognized}{not_an_object(value)} ({summarise(data)})")
    wanted = target.api_version
    if not target.kind.custom:
        value.setdefault("kind", target.kind.kind)
        value.setdefault("apiVersion", wanted)
    if not value.get("kind"):
        text = f"Object 'Kind' is missing in '{data.decode(errors='replace')}' ({summarise(data)})"
        raise status.bad_request(unrecognized + text)
    given = value.get("apiVersion") or ""
    if given != wanted:
        text = f"the API version in the data ({given}) does not match the expected API version ({wanted})"
        mismatch = status.bad_request(text)
        if not_served(target, value):
            mismatch.warnings = [f'unknown field "{name}"' for name in fields_without_schema(value)]
        raise mismatch
    if not target.kind.custom and value["kind"] != target.kind.kind:
        raise status.bad_request(_no_conversion(value["kind"], target))
    return Body(value, document.strict_errors)


def _no_conversion(kind: str, target: Target) -> str:
    version = target.version.name
    package = target.kind.group.partition(".")[0] or "core"
    how = f"converting ({version}.{kind}) to ({package}.{target.kind.kind}): unknown conversion"
    return f'{kind} in version "{version}" cannot be handled as a {target.kind.kind}: {how}'


async def read_delete_options(request: web.BaseRequest) -> Obj | None:
    """Read the DeleteOptions in the body of a deletion; None without a body."""
    data = await read_body(request)
    if not data.strip():
        return None
    content_type = request.headers.get("Content-Type", JSON).split(";")[0].strip()
    prefix = "couldn't get version/kind; json parse error: "
    document = _decoded(decode_yaml if content_type == YAML else decode_json, data, prefix)
    value = document.value
    if not isinstance(value, dict):
        raise status.bad_request(not_an_object(value))
    if value.get("kind") not in (None, "", "DeleteOptions"):
        text = f'no kind "{value["kind"]}" is registered for version "{value.get("apiVersion", "")}"'
        raise status.bad_request(f'{text} in scheme "pkg/runtime/scheme.go:111"')
    grace = value.get("gracePeriodSeconds")
    if grace is not None and type(grace) is not int:
        text = f"json: cannot unmarshal {json_kind(grace)} into Go struct field"
        raise status.bad_request(f"{text} DeleteOptions.gracePeriodSeconds of type int64")
    return dict(value)


def not_an_object(value: object) -> str:
    """The message for a document that should have a kind but is not an object."""
    what = f"json: cannot unmarshal {json_kind(value)} into Go value of type"
    return f"couldn't get version/kind; json parse error: {what} {_TYPE_META}"


_TYPE_META = (
    r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
)
_JSON_KINDS = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}


def json_kind(value: object) -> str:
    """The name of the type of a JSON value in Go's decoder."""
    return _JSON_KINDS.get(type(value), "null")


def decode_patch(data: bytes) -> Document:
    """Decode a JSON patch or merge patch.

    Raises:
        StatusError: 400.
    """
    try:
        return decode_json(data)
    except DecodeError:
        raise status.bad_request("invalid JSON patch") from None


def decode_configuration(data: bytes) -> Body:
    """Decode an applied configuration; an empty one is an object without a kind.

    Raises:
        StatusError: 400.
    """
    document = _decoded(decode_yaml, data, "error encoding patch: ")
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        text = f"json: cannot unmarshal {json_kind(value)} into Go value of type map[string]interface {{}}"
        raise status.bad_request(
            f"error decoding patch: error unmarshaling JSON: while decoding JSON: {text}"
        )
    return Body(value, document.strict_errors)


def _decoded(decode: Callable[[bytes], Document], data: bytes, prefix: str) -> Document:
    try:
        return decode(data)
    except DecodeError as error:
        raise status.bad_request(f"{prefix}{error}") from None

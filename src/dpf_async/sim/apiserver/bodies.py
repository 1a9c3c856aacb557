"""Request bodies: read up to the API server's limit, decoded, and refused in its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from . import status
from .codec import DecodeError, Document, Obj, decode_json, decode_yaml, summarise
from .protobuf import ProtobufError, decode_protobuf
from .requests import Body, Target

JSON, YAML = "application/json", "application/yaml"
ACCEPTED = (JSON, YAML)
PROTOBUF = "application/vnd.kubernetes.protobuf"
# Source: apiserver server/config.go MaxRequestBodyBytes; observed in reliability notes 1.3.
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
    """A body as it came."""

    data: bytes
    content_type: str


async def read_object_body(request: web.BaseRequest, target: Target) -> RawBody:
    """Read the body of a create or update.

    Raises:
        StatusError: 413 or 415.
    """
    content_type = request.headers.get("Content-Type", JSON).split(";")[0].strip()
    accepted = ACCEPTED if target.kind.custom else (*ACCEPTED, PROTOBUF)
    if content_type not in accepted:
        raise status.unsupported_media_type(accepted)
    return RawBody(await read_body(request), content_type)


def decode_object(raw: RawBody, target: Target) -> Body:
    """Decode the object of a create or update.

    Raises:
        StatusError: 400.
    """
    data = raw.data
    unrecognised = f"the object provided is unrecognized (must be of type {target.kind.kind}): "
    try:
        document = _DECODERS[raw.content_type](data)
    except DecodeError as error:
        text = f"{unrecognised}couldn't get version/kind; json parse error: {error} ({summarise(data)})"
        raise status.bad_request(text) from None
    value = document.value
    if not isinstance(value, dict):
        text = "couldn't get version/kind; json parse error: json: cannot unmarshal value into Go value of type struct"
        raise status.bad_request(f"{unrecognised}{text} ({summarise(data)})")
    wanted = target.api_version
    if not target.kind.custom:
        value.setdefault("kind", target.kind.kind)
        value.setdefault("apiVersion", wanted)
    if not value.get("kind"):
        text = f"Object 'Kind' is missing in '{data.decode(errors='replace')}' ({summarise(data)})"
        raise status.bad_request(unrecognised + text)
    given = value.get("apiVersion") or ""
    if given != wanted:
        text = f"the API version in the data ({given}) does not match the expected API version ({wanted})"
        raise status.bad_request(text)
    return Body(value, document.strict_errors)


async def read_delete_options(request: web.BaseRequest) -> Obj | None:
    """Read the options in the body of a deletion; None without a body."""
    data = await read_body(request)
    if not data.strip():
        return None
    content_type = request.headers.get("Content-Type", JSON).split(";")[0].strip()
    document = decode_patch(decode_yaml if content_type == YAML else decode_json, data, "")
    if not isinstance(document.value, dict):
        raise status.bad_request("expect options, got something else")
    return document.value


def decode_patch(decode: Callable[[bytes], Document], data: bytes, prefix: str) -> Document:
    """Decode a body that is no object of its own.

    Raises:
        StatusError: 400, beginning with prefix.
    """
    try:
        return decode(data)
    except DecodeError as error:
        raise status.bad_request(f"{prefix}{error}") from None

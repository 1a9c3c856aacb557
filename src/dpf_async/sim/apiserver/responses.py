"""Responses: objects, failures and plain pages, with the headers Kubernetes sends."""

from __future__ import annotations

import gzip
import uuid

import yaml
from aiohttp import web

from . import status
from .bodies import JSON, NAMED, YAML
from .codec import Obj, encode, encode_in_order
from .faults import Answer
from .requests import WriteOptions
from .status import StatusError

# Source: apiserver endpoints/handlers/responsewriters defaultGzipThresholdBytes.
_GZIP_FROM_BYTES = 128 * 1024


def check_accept(request: web.BaseRequest) -> None:
    """Refuse clients that take neither JSON nor YAML."""
    accept = request.headers.get("Accept", "")
    types = [part.split(";")[0].strip() for part in accept.split(",") if part.strip()]
    if types and not any(kind in (JSON, YAML, "*/*", "application/*") for kind in types):
        raise status.not_acceptable(NAMED)


def _wants_yaml(request: web.BaseRequest) -> bool:
    accept = request.headers.get("Accept", "")
    return accept.split(",")[0].split(";")[0].strip() == YAML


def headers_with(more: dict[str, str]) -> dict[str, str]:
    """Add the headers every response has."""
    return {"Audit-Id": str(uuid.uuid4()), "Cache-Control": "no-cache, private", **more}


def object_response(
    request: web.BaseRequest, obj: Obj, code: int, how: WriteOptions | None = None
) -> web.Response:
    """Answer with an object, in YAML if that is asked for, and with the warnings of a write."""
    response = json_response(request, encode(obj), code)
    if _wants_yaml(request):
        response = web.Response(
            body=yaml.safe_dump(obj, allow_unicode=True).encode(),
            status=code,
            headers=headers_with({"Content-Type": YAML}),
        )
    for warning in dict.fromkeys(how.warnings if how is not None else ()):
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def json_response(
    request: web.BaseRequest, content: bytes, code: int, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer with encoded JSON, compressed if it is large and the client takes it."""
    more = {"Content-Type": JSON, **(headers or {})}
    if len(content) >= _GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        more |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=content, status=code, headers=headers_with(more))


def page_not_found() -> web.Response:
    """What a path that is not served gets: no Status (reliability notes, finding 9)."""
    headers = headers_with({"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"})
    return web.Response(body=b"404 page not found\n", status=404, headers=headers)


_REASONS = {
    400: ("BadRequest", "bad request"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("NotFound", "not found"),
    409: ("Conflict", "conflict"),
    410: ("Expired", "too old resource version"),
    429: ("TooManyRequests", "too many requests, please try again later"),
    500: ("InternalError", "Internal error occurred: fault"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


def planned_response(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Answer as a fault asks."""
    headers = {}
    details = None
    if answer.retry_after is not None:
        headers["Retry-After"] = f"{answer.retry_after:g}"
        details = {"retryAfterSeconds": int(answer.retry_after)}
    if answer.body is not None:
        headers |= {"Content-Type": "text/html"}
        return json_response(request, answer.body.encode(), answer.status, headers)
    reason, message = _REASONS.get(answer.status, ("", "fault"))
    error = StatusError(answer.status, reason, message, details=details)
    return json_response(request, encode_in_order(error.status), answer.status, headers)

"""Responses: objects, errors and plain text, with Kubernetes' headers."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterable

import yaml
from aiohttp import web

from dpf_async.sim.apiserver.cluster.requests import WriteOptions
from dpf_async.sim.apiserver.faults import Answer
from dpf_async.sim.apiserver.http.representations import JSON, YAML
from dpf_async.sim.apiserver.wire.codec import Obj, encode, encode_in_order
from dpf_async.sim.apiserver.wire.status import StatusError

# Source: apiserver endpoints/handlers/responsewriters defaultGzipThresholdBytes.
_GZIP_FROM_BYTES = 128 * 1024


def headers_with(more: dict[str, str]) -> dict[str, str]:
    """Add the headers of every response."""
    return {"Audit-Id": str(uuid.uuid4()), "Cache-Control": "no-cache, private", **more}


def object_response(
    request: web.BaseRequest, obj: Obj, code: int, how: WriteOptions | None = None
) -> web.Response:
    """Answer with an object, in YAML if the client accepts it first, and with the warnings of a write."""
    wants_yaml = _wants_yaml(request)
    response = _yaml_response(obj, code) if wants_yaml else json_response(request, encode(obj), code)
    _warn(response, how.warnings if how is not None else ())
    return response


def error_response(request: web.BaseRequest, error: StatusError) -> web.Response:
    """Answer with an error, in YAML if the client accepts it first, and with its warnings."""
    if _wants_yaml(request):
        response = _yaml_response(error.status, error.code)
        response.headers.update(error.headers)
    else:
        response = json_response(request, encode_in_order(error.status), error.code, error.headers)
    _warn(response, error.warnings)
    return response


def _wants_yaml(request: web.BaseRequest) -> bool:
    accept = request.headers.get("Accept", "")
    return accept.split(",")[0].split(";")[0].strip() == YAML


def _yaml_response(obj: Obj, code: int) -> web.Response:
    body = yaml.safe_dump(obj, allow_unicode=True).encode()
    return web.Response(body=body, status=code, headers=headers_with({"Content-Type": YAML}))


def _warn(response: web.Response, warnings: Iterable[str]) -> None:
    for warning in dict.fromkeys(warnings):
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{quoted}"')


def json_response(
    request: web.BaseRequest, content: bytes, code: int, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer with encoded JSON, compressed if it is large and the client accepts gzip."""
    more = {"Content-Type": JSON, **(headers or {})}
    if len(content) >= _GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        more |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=content, status=code, headers=headers_with(more))


def page_not_found() -> web.Response:
    """The answer for a path that is not served, which is not a Status (docs/watching.md#not-found)."""
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
    """Build the answer of a fault."""
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

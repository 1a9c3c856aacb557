"""Maps an HTTP error answer of the API server to one class of the error tree.

The reason in the Status selects the class; without one (proxies, old servers, CRDs that are not installed) the HTTP
status does. Sources: Kubernetes API conventions, "Status" and the StatusReason constants of apimachinery;
docs/watching.md#refusals.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import msgspec

from dpf_async import errors
from dpf_async._api import paths
from dpf_async._api.codec import read_first
from dpf_async._api.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONS: Final[dict[str, type[errors.APIError]]] = {
    "AlreadyExists": errors.AlreadyExists,
    "BadRequest": errors.BadRequest,
    "Conflict": errors.Conflict,
    "Expired": errors.Gone,
    "Forbidden": errors.Forbidden,
    "Gone": errors.Gone,
    "InternalError": errors.ServerError,
    "Invalid": errors.Invalid,
    "MethodNotAllowed": errors.BadRequest,
    "NotAcceptable": errors.BadRequest,
    "NotFound": errors.NotFound,
    "RequestEntityTooLarge": errors.BadRequest,
    "ServerTimeout": errors.ServerError,
    "ServiceUnavailable": errors.ServerError,
    "StoreReadError": errors.ServerError,
    "Timeout": errors.ServerError,
    "TooManyRequests": errors.TooManyRequests,
    "Unauthorized": errors.Unauthorized,
    "UnsupportedMediaType": errors.BadRequest,
}
"""The class for every StatusReason of Kubernetes."""

_CODES: Final[dict[int, type[errors.APIError]]] = {
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}

RETRY_AFTER_LIMIT: Final = 300.0
"""Seconds; longer values of Retry-After are reduced to this (docs/watching.md#limits)."""

_ADVICE: Final[dict[type[errors.APIError], str]] = {
    errors.Unauthorized: "the credentials are missing, wrong or expired: renew the token or the client certificate",
    errors.KindNotServed: "the server does not serve this kind: install the CRDs of DPF, or check the version",
    errors.TooManyRequests: "the server asks to slow down",
}

_DENIED: Final = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
"""The message of a 403 of every authorizer (apiserver, responsewriters/errors.go). Its verb may differ from that of
the request: an apply of an object that does not exist is a PATCH that needs "create"."""

_GRANT: Final = (
    "grant it with a Role and a RoleBinding, see deploy/rbac.yaml; `dpf-async access` lists what is missing"
)

_VERBS: Final = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: float | None = None


class _BareStatus(msgspec.Struct):
    kind: str = ""
    reason: str | None = None
    message: str | None = None


class _Status(_BareStatus):
    details: _Details | None = None


def error_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    path: str,
    target: str,
    origin: str = "",
    verb: str = "",
) -> errors.APIError:
    """The error for an HTTP answer with status 300 or above.

    Args:
        status: HTTP status code.
        headers: HTTP headers; the lookup is case-insensitive.
        body: of the answer, a Status or anything else.
        method: of the request.
        path: of the request, without the query.
        target: description of the target of the request: "DPU dpu-1", "dpus in namespace x".
        origin: description of where the credentials were loaded from.
        verb: of the request, as a Role names it, if it does not follow from method and path: "watch".
    """
    answer = _read(body)
    if answer is None:
        cls = _class_of_page(status, headers)
        message, reason = _plain(status, headers, body), ""
        causes: tuple[errors.Cause, ...] = ()
    else:
        reason = answer.reason or ""
        cls = _class_of(status, reason)
        message = printable(answer.message or "")
        causes = tuple(
            errors.Cause(printable(cause.field), printable(cause.message), cause.reason)
            for cause in (answer.details.causes if answer.details else None) or ()
        )
    parts = [f"{method} {target}: {message or f'HTTP {status}'}"]
    if advice := _ADVICE.get(cls):
        parts.append(advice)
    denied = _DENIED.search(message)
    if cls is errors.Forbidden and denied:
        parts.append(_GRANT)
    if cls is errors.Unauthorized and origin:
        parts.append(f"they came from {origin}")
    if 300 <= status < 400 and origin:
        parts.append(f"an API server does not redirect: check its address, which comes from {origin}")
    error = cls(
        "; ".join(parts),
        status=status,
        reason=reason,
        method=method,
        path=path,
        object=target,
        server_message=message,
        causes=causes,
        retry_after=retry_after(
            headers, answer.details.retry_after_seconds if answer and answer.details else None
        ),
    )
    if isinstance(error, errors.Forbidden):
        reported = denied.groupdict(default="") if denied else {}
        requested = paths.parse(path)
        error.verb = reported.get("verb") or verb or _verb(method, requested)
        error.group = reported.get("group", requested.group)
        error.resource = reported.get("resource", requested.resource)
        error.namespace = reported.get("namespace", requested.namespace)
    return error


def _verb(method: str, requested: paths.Target) -> str:
    is_list = method == "GET" and requested.resource and not requested.name
    return "list" if is_list else _VERBS.get(method, "")


def retry_after(headers: Mapping[str, str], in_body: float | None = None) -> float:
    """Seconds the server asks to wait: the Retry-After header, else the field of the Status; 0 if neither is valid.

    Header values are seconds or an HTTP date (RFC 9110 10.2.3); the result is within [0, RETRY_AFTER_LIMIT].
    """
    seconds = _seconds(headers.get("Retry-After", "").strip())
    if math.isnan(seconds):
        seconds = in_body or 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT)


def media_type(headers: Mapping[str, str]) -> str:
    """Content-Type without parameters and in lower case; empty if the header is absent."""
    return headers.get("Content-Type", "").split(";")[0].strip().lower()


def _seconds(value: str) -> float:
    """Seconds of a Retry-After header; NaN if it is absent or malformed."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _class_of(status: int, reason: str) -> type[errors.APIError]:
    if cls := REASONS.get(reason):
        return cls
    if cls := _CODES.get(status):
        return cls
    return errors.ServerError if status >= 500 else errors.BadRequest


def _read(body: bytes) -> _Status | None:
    # Details of another type must not hide the reason: a NotFound without a reason would become KindNotServed.
    status = read_first(body, _Status, _BareStatus)
    if status is None or status.kind != "Status":
        return None
    details = status.details if isinstance(status, _Status) else None
    return _Status(status.kind, status.reason, status.message, details)


def _class_of_page(status: int, headers: Mapping[str, str]) -> type[errors.APIError]:
    """The class of an answer that is not a Status. The server's own 404 for a kind is text/plain.

    Source: docs/watching.md#not-found.
    """
    if status != 404:
        return _class_of(status, "")
    # Any other content type is from a proxy, and says nothing about the kinds that the server serves.
    return errors.KindNotServed if media_type(headers) in {"text/plain", ""} else errors.ServerError


def _plain(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """The message for an answer that is not a Status: a proxy's page, or the server's own text/plain 404."""
    if _class_of_page(status, headers) is errors.KindNotServed:
        return "404 page not found"
    if 300 <= status < 400:
        # Without its query, which may contain secrets for a login page.
        location = printable(headers.get("Location", "").partition("?")[0], 200) or "an unknown location"
        return f"HTTP {status} redirects to {location}, which was not followed"
    content = media_type(headers) or "no content type"
    lines = body[:200].decode("utf-8", "replace").strip().splitlines()
    text = f": {printable(lines[0], 80)}" if lines and content == "text/plain" else ""
    return f"HTTP {status} with {content} instead of a Kubernetes Status{text}"

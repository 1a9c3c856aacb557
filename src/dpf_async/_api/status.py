"""What a refusal of the API server means: from an HTTP answer to one class of the error tree.

The reason in the Status decides; where there is none (proxies, old servers, CRDs that are not there) the HTTP status
does. Sources: Kubernetes API conventions, "Status" and the StatusReason constants of apimachinery; reliability 1.4.
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
"""Every StatusReason of Kubernetes to its class."""

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
"""Seconds. A server that asks for more, or for nonsense, gets this (reliability 7.6)."""

_ADVICE: Final[dict[type[errors.APIError], str]] = {
    errors.Unauthorized: "the credentials are missing, wrong or expired: renew the token or the client certificate",
    errors.KindNotServed: "the server does not serve this kind: install the CRDs of DPF, or check the version",
    errors.TooManyRequests: "the server asks to slow down",
}

_DENIED: Final = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
"""How every authorizer's refusal is worded (apiserver, responsewriters/errors.go). Its verb may be another than the
request's: an apply of what does not exist yet is a PATCH that lacks "create"."""

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
    """The error that an HTTP answer of 400 and above means.

    Args:
        status: HTTP status code.
        headers: HTTP headers, looked up without regard to case.
        body: what was answered, a Status or anything else.
        method: of the request.
        path: of the request, without the query.
        target: what was asked for, in words: "DPU dpu-1", "dpus in namespace x".
        origin: where our credentials came from, in words.
        verb: what a Role calls the request, where method and path do not tell: "watch".
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
        parts.append(f"an API server does not redirect: look at its address, which comes from {origin}")
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
        told = denied.groupdict(default="") if denied else {}
        place = paths.place_of(path)
        error.verb = told.get("verb") or verb or _verb(method, place)
        error.group = told.get("group", place.group)
        error.resource = told.get("resource", place.resource)
        error.namespace = told.get("namespace", place.namespace)
    return error


def _verb(method: str, place: paths.Place) -> str:
    return "list" if method == "GET" and place.resource and not place.name else _VERBS.get(method, "")


def retry_after(headers: Mapping[str, str], in_body: float | None = None) -> float:
    """Seconds the server asks to wait: the Retry-After header, else the Status's own field; 0 if neither is sane.

    Header values are seconds or an HTTP date (RFC 9110 10.2.3); the result is within [0, RETRY_AFTER_LIMIT].
    """
    seconds = _seconds(headers.get("Retry-After", "").strip())
    if math.isnan(seconds):
        seconds = in_body or 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT)


def media_type(headers: Mapping[str, str]) -> str:
    """What the answer says it is, without parameters and in lower case; empty if it does not say."""
    return headers.get("Content-Type", "").split(";")[0].strip().lower()


def _seconds(value: str) -> float:
    """What a Retry-After header says; NaN if that is nothing sane."""
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
    # Odd details must not hide the reason: a NotFound without one would be taken for a kind that is not served.
    status = read_first(body, _Status, _BareStatus)
    if status is None or status.kind != "Status":
        return None
    details = status.details if isinstance(status, _Status) else None
    return _Status(status.kind, status.reason, status.message, details)


def _class_of_page(status: int, headers: Mapping[str, str]) -> type[errors.APIError]:
    """The class of an answer that is not a Status. The server's own 404 for a kind is text/plain (reliability 0.9)."""
    if status != 404:
        return _class_of(status, "")
    # Of another kind it is somebody's on the way, and says nothing of what the server has.
    return errors.KindNotServed if media_type(headers) in {"text/plain", ""} else errors.ServerError


def _plain(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Words for an answer that is not a Status: a proxy's page, or the server's own text/plain 404."""
    if _class_of_page(status, headers) is errors.KindNotServed:
        return "404 page not found"
    if 300 <= status < 400:
        # Without its query, in which login pages are told secrets.
        there = printable(headers.get("Location", "").partition("?")[0], 200) or "nowhere"
        return f"HTTP {status} redirects to {there}, where nothing was sent"
    kind = media_type(headers) or "no content type"
    first_line = body[:200].decode("utf-8", "replace").strip().splitlines()
    said = f": {printable(first_line[0], 80)}" if first_line and kind == "text/plain" else ""
    return f"HTTP {status} with {kind} instead of a Kubernetes Status{said}"

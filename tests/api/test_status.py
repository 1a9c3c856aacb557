"""Mapping of HTTP error answers to the error tree, and the messages of the errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dpf_async import errors
from dpf_async._api.status import error_of, retry_after
from dpf_async._api.text import printable
from tests.support.scripted import status

STATUS_REASONS = {
    # Every StatusReason constant of k8s.io/apimachinery/pkg/apis/meta/v1/types.go (v1.34), except Unknown, which is "".
    "Unauthorized": errors.Unauthorized,
    "Forbidden": errors.Forbidden,
    "NotFound": errors.NotFound,
    "AlreadyExists": errors.AlreadyExists,
    "Conflict": errors.Conflict,
    "Gone": errors.Gone,
    "Invalid": errors.Invalid,
    "ServerTimeout": errors.ServerError,
    "StoreReadError": errors.ServerError,
    "Timeout": errors.ServerError,
    "TooManyRequests": errors.TooManyRequests,
    "BadRequest": errors.BadRequest,
    "MethodNotAllowed": errors.BadRequest,
    "NotAcceptable": errors.BadRequest,
    "RequestEntityTooLarge": errors.BadRequest,
    "UnsupportedMediaType": errors.BadRequest,
    "InternalError": errors.ServerError,
    "Expired": errors.Gone,
    "ServiceUnavailable": errors.ServerError,
}


def refusal(
    code: int, body: object = b"", headers: dict[str, str] | None = None, *, target: str = "DPU dpu-1"
) -> errors.APIError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_of(code, headers or {}, raw, method="GET", path="/apis/x/dpus/dpu-1", target=target)


@pytest.mark.parametrize(("reason", "expected"), STATUS_REASONS.items(), ids=STATUS_REASONS)
def test_a_reason_of_kubernetes_selects_the_class_for_any_http_status(
    reason: str, expected: type[errors.APIError]
) -> None:
    for code in (400, 418, 500):
        error = refusal(code, status(code, reason))

        assert type(error) is expected
        assert (error.status, error.reason) == (code, reason)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.BadRequest),
        (406, errors.BadRequest),
        (409, errors.Conflict),
        (410, errors.Gone),
        (413, errors.BadRequest),
        (415, errors.BadRequest),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
        (599, errors.ServerError),
    ],
)
@pytest.mark.parametrize("reason", ["", "AReasonOfTheFuture"])
def test_without_a_known_reason_the_http_status_selects_the_class(
    code: int, expected: type[errors.APIError], reason: str
) -> None:
    assert type(refusal(code, status(code, reason))) is expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b"{", b"[]", b'{"kind":"DPU"}', b"\xff\xfe"]
)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (429, errors.TooManyRequests),
        (502, errors.ServerError),
    ],
)
def test_the_http_status_selects_the_class_of_an_answer_that_is_not_a_status(
    body: bytes, code: int, expected: type[errors.APIError]
) -> None:
    error = refusal(code, body, {"Content-Type": "text/html; charset=utf-8"})

    assert type(error) is expected
    assert f"HTTP {code} with text/html instead of a Kubernetes Status" in str(error)
    assert "bad gateway" not in str(error)


def test_a_404_for_a_kind_is_not_a_not_found() -> None:
    no_kind = refusal(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})
    no_object = refusal(404, status(404, "NotFound", message='dpus "dpu-1" not found'))

    assert type(no_kind) is errors.KindNotServed
    assert not isinstance(no_kind, errors.NotFound)
    assert "install the CRDs of DPF" in str(no_kind)
    assert type(no_object) is errors.NotFound


@pytest.mark.parametrize(
    "odd",
    [
        {"details": {"causes": [None]}},
        {"details": {"causes": [{"field": None, "message": 7}]}},
        {"details": {"retryAfterSeconds": "soon"}},
        {"details": "none"},
        {"code": "404"},
        {"metadata": None},
        {"message": None},
    ],
)
def test_malformed_details_do_not_hide_the_reason(odd: dict[str, object]) -> None:
    assert type(refusal(404, status(404, "NotFound") | odd)) is errors.NotFound


DENIED = 'cannot list resource "dpus" in API group "provisioning.dpu.nvidia.com" in the namespace "dpf"'


def test_the_message_has_the_target_and_the_message_of_the_server() -> None:
    message = f'dpus.provisioning.dpu.nvidia.com is forbidden: User "bot" {DENIED}'
    error = refusal(403, status(403, "Forbidden", message=message))

    assert str(error) == (
        f"GET DPU dpu-1: {message}; grant it with a Role and a RoleBinding, see deploy/rbac.yaml;"
        " `dpf-async access` lists what is missing"
    )
    assert (error.method, error.path, error.object) == ("GET", "/apis/x/dpus/dpu-1", "DPU dpu-1")
    assert error.server_message == message


def lacking(error: errors.APIError) -> tuple[str, str, str, str]:
    assert isinstance(error, errors.Forbidden)
    return error.verb, error.group, error.resource, error.namespace


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        (f'User "bot" {DENIED}', ("list", "provisioning.dpu.nvidia.com", "dpus", "dpf")),
        (
            'User "a\\" cannot get resource \\"b" cannot create resource "x/y" in API group "" in the namespace "n": -',
            ("create", "", "x/y", "n"),
        ),
        (
            'User "bot" cannot get resource "nodes" in API group "" at the cluster scope',
            ("get", "", "nodes", ""),
        ),
    ],
)
def test_the_missing_permission_is_parsed_from_the_message_of_the_server(
    message: str, lacks: tuple[str, str, str, str]
) -> None:
    assert lacking(refusal(403, status(403, "Forbidden", message=message))) == lacks


@pytest.mark.parametrize(
    ("method", "path", "verb", "lacks"),
    [
        ("GET", "/apis/x/v1/namespaces/n/dpus", "", ("list", "x", "dpus", "n")),
        ("GET", "/apis/x/v1/namespaces/n/dpus", "watch", ("watch", "x", "dpus", "n")),
        ("GET", "/apis/x/v1/namespaces/n/dpus/a", "", ("get", "x", "dpus", "n")),
        ("POST", "/api/v1/namespaces/n/secrets", "", ("create", "", "secrets", "n")),
        ("PATCH", "/apis/x/v1/namespaces/n/dpus/a/status", "", ("patch", "x", "dpus/status", "n")),
        ("DELETE", "/apis/x/v1/namespaces/n/dpus/%C3%A4", "", ("delete", "x", "dpus", "n")),
        ("POST", "/apis/x/v1/reviews", "", ("create", "x", "reviews", "")),
        ("GET", "/version", "", ("get", "", "", "")),
        ("GET", "/apis/x/v1", "", ("get", "x", "", "")),
    ],
)
@pytest.mark.parametrize("body", [b"<html>no</html>", status(403, "Forbidden", message="exceeded quota")])
def test_without_a_message_the_missing_permission_is_that_of_the_request(
    method: str, path: str, verb: str, lacks: tuple[str, str, str, str], body: object
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    error = error_of(403, {}, raw, method=method, path=path, target="it", verb=verb)

    assert lacking(error) == lacks
    assert "Role" not in str(error)


def test_causes_have_field_and_rule_of_each_violation() -> None:
    causes = [
        {"reason": "FieldValueInvalid", "message": "must be immutable", "field": "spec.bfb"},
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.serialNumber"},
        {"message": "no field"},
    ]

    error = refusal(422, status(422, "Invalid", details={"causes": causes}))

    assert isinstance(error, errors.Invalid)
    assert [str(cause) for cause in error.causes] == [
        "spec.bfb: must be immutable",
        "spec.serialNumber: Required value",
        "no field",
    ]
    assert error.causes[0].type == "FieldValueInvalid"


def test_f5_already_exists_distinguishes_an_object_that_is_being_deleted() -> None:
    existing = refusal(409, status(409, "AlreadyExists", message='dpus "a" already exists'))
    being_deleted = refusal(
        409, status(409, "AlreadyExists", message="object is being deleted: dpus 'a' already exists")
    )

    assert isinstance(existing, errors.AlreadyExists)
    assert isinstance(being_deleted, errors.AlreadyExists)
    assert (existing.terminating, being_deleted.terminating) == (False, True)


@pytest.mark.parametrize(
    ("header", "in_body", "expected"),
    [
        (None, None, 0),
        (None, 7, 7),
        ("3", None, 3),
        ("3", 7, 3),
        (" 2.5 ", None, 2.5),
        ("0", None, 0),
        ("-5", None, 0),
        ("1e9", None, 300),
        ("inf", None, 300),
        ("-inf", None, 0),
        ("nan", None, 0),
        ("nan", 7, 7),
        ("", 7, 7),
        ("soon", None, 0),
        ("soon", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None, 300),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", 7, 7),
        (None, -5, 0),
        (None, 1e9, 300),
    ],
)
def test_c8_retry_after_is_read_from_the_header_or_the_status_and_limited(
    header: str | None, in_body: float | None, expected: float
) -> None:
    headers = {} if header is None else {"Retry-After": header}

    assert retry_after(headers, in_body) == expected


def test_c8_retry_after_may_be_a_date() -> None:
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)

    assert 100 < retry_after({"Retry-After": in_two_minutes}) <= 120


def test_an_error_has_retry_after_of_header_or_status() -> None:
    by_header = refusal(429, status(429, "TooManyRequests"), {"Retry-After": "3"})
    by_body = refusal(429, status(429, "TooManyRequests", details={"retryAfterSeconds": 4}))

    assert (by_header.retry_after, by_body.retry_after) == (3, 4)


HOSTILE = "ok\x1b[2J\r\nroot# \x9b\u202egnp.exe\u2028\u0000\u200f"


def test_m3_control_and_format_characters_are_escaped() -> None:
    causes = [{"message": HOSTILE, "field": HOSTILE}]

    error = refusal(422, status(422, "Invalid", message=HOSTILE, details={"causes": causes}))

    for text in (str(error), error.server_message, str(error.causes[0])):
        assert text.isprintable()
        assert r"ok\x1b[2J\r\nroot# \x9b\u202egnp.exe\u2028\x00\u200f" in text


def test_m3_only_the_first_line_of_a_plain_text_answer_is_repeated() -> None:
    error = refusal(502, f"upstream {HOSTILE}\nsecond line".encode(), {"Content-Type": "text/plain"})

    assert str(error).isprintable()
    assert "upstream" in str(error)
    assert "second line" not in str(error)


def test_a_long_message_is_truncated() -> None:
    error = refusal(500, status(500, "InternalError", message="x" * 100_000))

    assert len(str(error)) < 3000


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 界 €", "a b", "tab\tless"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(text) == text.replace("\t", r"\t")


def test_a_404_of_a_proxy_is_a_server_error() -> None:
    error = refusal(404, b"<html>default backend - 404</html>", {"Content-Type": "text/html"})

    assert type(error) is errors.ServerError
    assert "HTTP 404 with text/html instead of a Kubernetes Status" in str(error)

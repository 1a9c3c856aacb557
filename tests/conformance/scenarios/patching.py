"""Merge patch, JSON patch and strategic merge patch."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import (
    JSON,
    MERGE,
    STRATEGIC,
    ask,
    create,
    get,
    json_patch,
    merge,
    of,
    scenario,
)
from tests.conformance.kinds import WIDGETS, widget

__all__ = ["SCENARIOS"]

_A: Final = f"{WIDGETS}/a"
_MAP: Final = "/api/v1/namespaces/{ns}/configmaps/a"
_FULL: Final = {"size": 1, "order": ["x", "y"], "options": {"a": "1"}, "parts": [{"name": "p", "note": "n"}]}

SCENARIOS: Final = (
    scenario(
        "patch-merge",
        create("made", WIDGETS, widget("a", _FULL, annotations={"k": "v"})),
        merge("nested", _A, {"spec": {"options": {"b": "2"}, "order": ["z"]}}),
        merge(
            "null-removes", _A, {"spec": {"options": None, "parts": None}, "metadata": {"annotations": None}}
        ),
        merge("empty", _A, {}),
        merge("not-there", _A, {"spec": {"url": None}}),
        merge("locked", _A, {"metadata": {"resourceVersion": of("nested", "metadata.resourceVersion")}}),
        merge("locked-0", _A, {"metadata": {"resourceVersion": "0"}, "spec": {"size": 3}}),
        merge("uid-wrong", _A, {"metadata": {"uid": "x"}, "spec": {"size": 4}}),
        merge("missing", f"{WIDGETS}/b", {}),
        merge("list", _A, []),
        merge("text", _A, '"x"'),
        merge("null", _A, "null"),
        merge("no-json", _A, "{x"),
        merge("no-body", _A, ""),
        merge("dry-run", _A, {"spec": {"size": 9}}, dryRun="All"),
        merge("force", _A, {"spec": {"size": 9}}, force="true"),
        merge("duplicate", _A, '{"spec":{"size":5,"size":6}}'),
        merge("duplicate-strict", _A, '{"spec":{"size":5,"size":6}}', fieldValidation="Strict"),
        merge("collection", WIDGETS, {}),
        get("read", _A),
        ask("plain-json", "PATCH", _A, {}, content_type=JSON),
        ask("strategic", "PATCH", _A, {}, content_type=STRATEGIC),
        ask("no-type", "PATCH", _A, {}, content_type="application/octet-stream"),
        ask("charset", "PATCH", _A, {}, content_type=f"{MERGE}; charset=utf-8"),
    ),
    scenario(
        "patch-json",
        create("made", WIDGETS, widget("a", _FULL)),
        json_patch("replace", _A, ("replace", "/spec/size", 2)),
        json_patch("add", _A, ("add", "/spec/label", "abc"), ("add", "/spec/order/-", "z")),
        json_patch("insert", _A, ("add", "/spec/order/0", "first")),
        json_patch("remove", _A, ("remove", "/spec/label")),
        json_patch("test", _A, ("test", "/spec/size", 2), ("replace", "/spec/size", 3)),
        json_patch("test-fails", _A, ("test", "/spec/size", 9), ("replace", "/spec/size", 4)),
        json_patch("test-missing", _A, ("test", "/spec/url", None)),
        json_patch("remove-missing", _A, ("remove", "/spec/nothing")),
        json_patch("replace-missing", _A, ("replace", "/spec/url", "http://x")),
        json_patch("add-below-missing", _A, ("add", "/spec/none/x", 1)),
        json_patch("index-too-high", _A, ("add", "/spec/order/9", "x")),
        json_patch("copy", _A, {"op": "copy", "from": "/spec/size", "path": "/metadata/generation"}),
        json_patch("move", _A, {"op": "move", "from": "/spec/order/0", "path": "/spec/order/1"}),
        json_patch(
            "annotation", _A, ("add", "/metadata/annotations", {}), ("add", "/metadata/annotations/a~1b", "c")
        ),
        json_patch("unknown-op", _A, ("frob", "/spec", 1)),
        json_patch("no-path", _A, {"op": "add", "value": 1}),
        json_patch("no-value", _A, {"op": "add", "path": "/spec/label"}),
        json_patch("no-slash", _A, ("add", "spec/label", "ab")),
        json_patch("root", _A, ("replace", "", {})),
        json_patch("uid", _A, ("replace", "/metadata/uid", "x")),
        json_patch("invalid", _A, ("replace", "/spec/size", 0)),
        json_patch("empty", _A),
        ask("object", "PATCH", _A, {"op": "add"}, content_type="application/json-patch+json"),
        ask("no-json", "PATCH", _A, "[", content_type="application/json-patch+json"),
        json_patch("unknown-member", _A, {"op": "replace", "path": "/spec/size", "value": 7, "extra": 1}),
        json_patch("status", f"{_A}/status", ("add", "/status", {"phase": "New"})),
        get("read", _A),
    ),
    scenario(
        "patch-strategic",
        create(
            "made",
            "/api/v1/namespaces/{ns}/configmaps",
            {
                "metadata": {"name": "a", "finalizers": ["example.com/a"], "labels": {"x": "y"}},
                "data": {"a": "1", "b": "2"},
            },
        ),
        ask("data", "PATCH", _MAP, {"data": {"a": None, "c": "3"}}, content_type=STRATEGIC),
        ask(
            "finalizers",
            "PATCH",
            _MAP,
            {"metadata": {"finalizers": ["example.com/b"]}},
            content_type=STRATEGIC,
        ),
        ask(
            "finalizers-ordered",
            "PATCH",
            _MAP,
            {
                "metadata": {
                    "finalizers": ["example.com/c"],
                    "$setElementOrder/finalizers": ["example.com/a", "example.com/c", "example.com/b"],
                }
            },
            content_type=STRATEGIC,
        ),
        ask(
            "finalizer-gone",
            "PATCH",
            _MAP,
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}},
            content_type=STRATEGIC,
        ),
        ask("replaced", "PATCH", _MAP, {"data": {"$patch": "replace", "z": "1"}}, content_type=STRATEGIC),
        ask("merge", "PATCH", _MAP, {"metadata": {"finalizers": None}}, content_type=MERGE),
        ask("wrong", "PATCH", _MAP, [], content_type=STRATEGIC),
        get("read", _MAP),
    ),
)

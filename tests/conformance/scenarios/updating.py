"""Updates: optimistic locking, generation, the status subresource, immutable fields."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import create, get, merge, of, put, scenario
from tests.conformance.kinds import GADGETS, GROUP, VERSIONED, WIDGETS, gadget, widget

__all__ = ["SCENARIOS"]

_A: Final = f"{WIDGETS}/a"
_MADE: Final = of("made", "metadata.resourceVersion")
_UID: Final = of("made", "metadata.uid")


def _changed(size: int, version: Any, **metadata: Any) -> dict[str, Any]:
    return widget("a", {"size": size}, resourceVersion=version, **metadata)


SCENARIOS: Final = (
    scenario(
        "update-lock",
        create("made", WIDGETS, widget()),
        put("without-version", _A, widget("a", {"size": 2})),
        put("version-zero", _A, _changed(2, "0")),
        put("version-text", _A, _changed(2, "x")),
        put("first", _A, _changed(2, _MADE)),
        put("stale", _A, _changed(3, _MADE)),
        put("future", _A, _changed(3, "999999999")),
        put("same", _A, _changed(2, of("first", "metadata.resourceVersion"))),
        put("uid-right", _A, _changed(3, of("first", "metadata.resourceVersion"), uid=_UID)),
        put("uid-wrong", _A, _changed(4, of("uid-right", "metadata.resourceVersion"), uid="0b5f-not-this")),
        put("dry-run", _A, _changed(5, of("uid-right", "metadata.resourceVersion")), dryRun="All"),
        get("read", _A),
        put("missing", f"{WIDGETS}/b", widget("b", resourceVersion="1")),
        put("other-name", _A, widget("b", resourceVersion=_MADE)),
        put("no-name", _A, widget("")),
        put("other-namespace", _A, widget(namespace="default")),
        put("collection", WIDGETS, widget()),
        put("dry-run-wrong", _A, widget(), dryRun="x"),
    ),
    scenario(
        "update-identity",
        create(
            "made", WIDGETS, widget(labels={"a": "b"}, annotations={"x": "y"}, finalizers=["example.com/f"])
        ),
        put("labels-gone", _A, _changed(1, _MADE)),
        put(
            "system-fields",
            _A,
            _changed(
                1,
                of("labels-gone", "metadata.resourceVersion"),
                creationTimestamp="2001-01-01T00:00:00Z",
                generation=40,
                deletionTimestamp="2001-01-01T00:00:00Z",
                deletionGracePeriodSeconds=5,
                selfLink="/x",
            ),
        ),
        merge("merge-uid", _A, {"metadata": {"uid": "another"}}),
        merge("merge-name", _A, {"metadata": {"name": "b"}}),
        merge("merge-namespace", _A, {"metadata": {"namespace": "default"}}),
        merge("merge-created", _A, {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}),
        merge("merge-kind", _A, {"kind": "Gadget"}),
        merge("merge-api-version", _A, {"apiVersion": f"{GROUP}/v2"}),
        merge("merge-generation", _A, {"metadata": {"generation": 90}}),
        merge("labels-only", _A, {"metadata": {"labels": {"c": "d"}}}),
        merge("bad-label", _A, {"metadata": {"labels": {"c": "d e"}}}),
        get("read", _A),
    ),
    scenario(
        "update-status",
        create("made", WIDGETS, {**widget(), "status": {"phase": "New"}}),
        put("main", _A, {**_changed(2, _MADE), "status": {"phase": "Done"}}),
        merge("status", f"{_A}/status", {"status": {"phase": "Done"}, "spec": {"size": 9}}),
        merge("status-labels", f"{_A}/status", {"metadata": {"labels": {"a": "b"}, "finalizers": ["a/b"]}}),
        put(
            "status-put",
            f"{_A}/status",
            {**_changed(50, of("status", "metadata.resourceVersion")), "status": {"phase": "New"}},
        ),
        put("status-stale", f"{_A}/status", {**_changed(50, _MADE), "status": {"phase": "New"}}),
        put("status-unlocked", f"{_A}/status", {**widget(), "status": {"phase": "New"}}),
        merge("status-same", f"{_A}/status", {"status": {"phase": "New"}}),
        merge("status-gone", f"{_A}/status", {"status": None}),
        get("read", f"{_A}/status"),
        merge("main-status-only", _A, {"status": {"phase": "Done"}}),
        get("missing", f"{WIDGETS}/b/status"),
        create("status-create", f"{_A}/status", widget()),
        create("gadget", GADGETS, gadget("{ns}-s", {"x": 1})),
        get("gadget-status", f"{GADGETS}/{{ns}}-s/status"),
        merge("gadget-field", f"{GADGETS}/{{ns}}-s", {"status": {"x": 1}}),
        get("scale", f"{_A}/scale"),
        get("unknown-subresource", f"{_A}/unknown"),
    ),
    scenario(
        "update-generation",
        create("made", WIDGETS, widget()),
        merge("metadata", _A, {"metadata": {"annotations": {"a": "b"}}}),
        merge("spec", _A, {"spec": {"size": 2}}),
        merge("pruned", _A, {"spec": {"wrong": 2}}),
        merge("default-removed", _A, {"spec": {"colour": None}}),
        merge("status", f"{_A}/status", {"status": {"phase": "New"}}),
        merge("nothing", _A, {}),
        create("gadget", GADGETS, gadget("{ns}-u", {"x": 1})),
        merge("gadget-spec", f"{GADGETS}/{{ns}}-u", {"spec": {"x": 2, "y": None}}),
        create("versioned", VERSIONED, {**gadget("a", {"x": 1}), "kind": "Versioned"}),
        merge("beta", f"/apis/{GROUP}/v1beta1/namespaces/{{ns}}/versioneds/a", {"spec": {"y": 2}}),
        get("versioned-read", f"{VERSIONED}/a"),
    ),
    scenario(
        "update-core",
        create("made", "/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "a"}, "data": {"a": "1"}}),
        put(
            "unlocked",
            "/api/v1/namespaces/{ns}/configmaps/a",
            {"metadata": {"name": "a"}, "data": {"b": "1"}},
        ),
        put("new", "/api/v1/namespaces/{ns}/configmaps/b", {"metadata": {"name": "b"}}),
        put(
            "stale",
            "/api/v1/namespaces/{ns}/configmaps/a",
            {"metadata": {"name": "a", "resourceVersion": _MADE}, "data": {"c": "1"}},
        ),
        merge("merge", "/api/v1/namespaces/{ns}/configmaps/a", {"data": {"c": "2"}}),
        get("read", "/api/v1/namespaces/{ns}/configmaps/a"),
    ),
)

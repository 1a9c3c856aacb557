"""Server-side apply: field ownership, conflicts, force, and the effects of other writes on ownership."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import APPLY, apply, ask, create, get, json_patch, merge, of, put, scenario
from tests.conformance.kinds import GADGETS, GROUP, WIDGETS, gadget, widget

__all__ = ["SCENARIOS"]

_A: Final = f"{WIDGETS}/a"
_B: Final = f"{WIDGETS}/b"
_MAP: Final = "/api/v1/namespaces/{ns}/configmaps/m"


def _config(data: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", **metadata}, "data": data}


SCENARIOS: Final = (
    scenario(
        "apply-basics",
        apply("new", _A, widget("a", {"size": 1, "tags": ["x", "y"], "options": {"a": "1"}})),
        apply("same", _A, widget("a", {"size": 1, "tags": ["x", "y"], "options": {"a": "1"}})),
        apply("changed", _A, widget("a", {"size": 2, "tags": ["y", "z"]})),
        apply("dropped", _A, widget("a", {"size": 2})),
        apply("second-agrees", _A, widget("a", {"size": 2}), "second"),
        apply("second-conflicts", _A, widget("a", {"size": 3}), "second"),
        apply("second-adds", _A, widget("a", {"label": "abc"}), "second"),
        apply("second-forces", _A, widget("a", {"size": 4, "label": "abc"}), "second", force="true"),
        apply("first-conflicts", _A, widget("a", {"size": 5, "label": "xyz"})),
        apply("first-lets-go", _A, widget("a", {})),
        merge("merge-takes", _A, {"spec": {"size": 6}}, fieldManager="merger"),
        apply("many-conflicts", _A, widget("a", {"size": 7, "label": "no"}), "third"),
        apply("dry-run", _A, widget("a", {"size": 8}), "second", force="true", dryRun="All"),
        get("read", _A),
    ),
    scenario(
        "apply-lists",
        apply("new", _A, widget("a", {"parts": [{"name": "p", "count": 2}, {"name": "q", "note": "n"}]})),
        apply("second", _A, widget("a", {"parts": [{"name": "r"}, {"name": "q", "note": "n"}]}), "second"),
        apply("item-conflict", _A, widget("a", {"parts": [{"name": "q", "note": "other"}]}), "second"),
        apply("item-gone", _A, widget("a", {"parts": [{"name": "q", "note": "n"}]})),
        apply("list-gone", _A, widget("a", {})),
        apply("atomic", _A, widget("a", {"order": ["a", "b"], "frozen": {"a": "1"}})),
        apply("atomic-conflict", _A, widget("a", {"order": ["a"], "frozen": {"b": "2"}}), "second"),
        apply(
            "atomic-forced", _A, widget("a", {"order": ["c"], "frozen": {"b": "2"}}), "second", force="true"
        ),
        apply("set", _A, widget("a", {"tags": ["one"]})),
        apply("set-second", _A, widget("a", {"tags": ["two", "one"]}), "second"),
        apply("set-gone", _A, widget("a", {})),
        apply("duplicate-keys", _A, widget("a", {"parts": [{"name": "p"}, {"name": "p"}]})),
        apply("key-missing", _A, widget("a", {"parts": [{"note": "p"}]})),
        apply("set-duplicate", _A, widget("a", {"tags": ["x", "x"]})),
        apply("free", _A, widget("a", {"free": {"a": {"b": [1, 2]}, "c": None}})),
        get("read", _A),
    ),
    scenario(
        "apply-empties",
        apply("new", _A, widget("a", {"options": {"a": "1"}, "tags": ["x"], "parts": [{"name": "p"}]})),
        apply("empty-map", _A, widget("a", {"options": {}, "tags": ["x"], "parts": [{"name": "p"}]})),
        apply("empty-set", _A, widget("a", {"tags": [], "parts": [{"name": "p"}]})),
        apply("empty-map-list", _A, widget("a", {"parts": []})),
        get("read", _A),
        apply("again", _A, widget("a", {"options": {"a": "1"}, "frozen": {"a": "x"}, "order": ["x"]})),
        apply("atomic-empties", _A, widget("a", {"options": {"a": "1"}, "frozen": {}, "order": []})),
        apply("free", _A, widget("a", {"free": {"a": {"b": 1}, "c": 2}})),
        apply("free-less", _A, widget("a", {"free": {"a": {}, "c": 2}})),
        apply("free-empty", _A, widget("a", {"free": {}})),
        apply("free-gone", _A, widget("a", {})),
        apply("nested", _A, widget("a", {"nested": {"inner": {"deep": "x"}}})),
        apply("nested-less", _A, widget("a", {"nested": {"inner": {}}})),
        apply("nested-empty", _A, widget("a", {"nested": {}})),
    ),
    scenario(
        "apply-refusals",
        apply("no-manager", _A, widget(), ""),
        ask("manager-missing", "PATCH", _A, widget(), content_type=APPLY),
        apply("no-api-version", _A, {"kind": "Widget", "metadata": {"name": "a"}}),
        apply("no-kind", _A, {"apiVersion": f"{GROUP}/v1", "metadata": {"name": "a"}}),
        apply("other-kind", _A, {**widget(), "kind": "Gadget"}),
        apply("other-version", _A, {**widget(), "apiVersion": f"{GROUP}/v2"}),
        apply("other-name", _A, widget("b")),
        apply("no-name", _A, widget("")),
        apply("other-namespace", _A, widget(namespace="default")),
        apply("unknown-field", _A, widget("a", {"wrong": 1, "label": "ab"})),
        apply("unknown-and-type", _A, widget("a", {"nested": {"wrong": 1}, "size": "x"})),
        apply("number-for-text", _A, widget("a", {"label": 1})),
        apply("float-for-text", _A, widget("a", {"label": 1.5})),
        apply("object-for-text", _A, widget("a", {"label": {"a": "x"}})),
        apply("text-for-boolean", _A, widget("a", {"ready": "x"})),
        apply("list-for-object", _A, widget("a", {"nested": [1, {"a": "b"}]})),
        apply("list-for-int-or-string", _A, widget("a", {"port": [1]})),
        apply("object-in-set", _A, widget("a", {"tags": ["a", {}]})),
        apply("null-in-set", _A, widget("a", {"tags": [None]})),
        apply("null-in-map-list", _A, widget("a", {"parts": [None]})),
        apply("text-in-map-list", _A, widget("a", {"parts": ["x"]})),
        apply("number-in-set", _A, widget("a", {"tags": [1]})),
        apply("unknown-metadata", _A, widget(wrong=1)),
        apply("managed-fields", _A, widget(managedFields=[{"manager": "x"}])),
        apply("invalid", _A, widget("a", {"size": 0})),
        apply("wrong-type", _A, widget("a", {"size": "x"})),
        apply("wrong-type-list", _A, widget("a", {"parts": {}})),
        apply("null-values", _A, widget("a", {"size": None, "label": None})),
        apply("no-yaml", _A, "a: b: c"),
        apply("text", _A, '"x"'),
        apply("list", _A, []),
        apply("empty", _A, ""),
        apply("uid-new", f"{WIDGETS}/u", widget("u", uid="x")),
        apply("version-new", f"{WIDGETS}/v", widget("v", resourceVersion="1")),
        apply(
            "duplicate",
            _B,
            f"apiVersion: {GROUP}/v1\nkind: Widget\nmetadata: {{name: b}}\nspec: {{size: 1, size: 2}}",
        ),
        apply(
            "duplicate-strict",
            _B,
            f"apiVersion: {GROUP}/v1\nkind: Widget\nmetadata: {{name: b}}\nspec: {{size: 1, size: 2}}",
            fieldValidation="Strict",
        ),
        apply("gone-namespace", f"/apis/{GROUP}/v1/namespaces/no-such/widgets/a", widget()),
    ),
    scenario(
        "apply-with-others",
        create(
            "made", WIDGETS, widget("a", {"size": 1, "label": "abc"}, labels={"l": "1"}), fieldManager="maker"
        ),
        apply("conflicts", _A, widget("a", {"size": 2}, labels={"l": "2"})),
        apply("shares", _A, widget("a", {"size": 1}, labels={"l": "1"})),
        put(
            "put-drops",
            _A,
            widget("a", {"size": 1}, resourceVersion=of("shares", "metadata.resourceVersion")),
            fieldManager="putter",
        ),
        json_patch("json", _A, ("replace", "/spec/size", 9), fieldManager="patcher"),
        apply(
            "status", f"{_A}/status", {**widget("a", {"size": 77}), "status": {"phase": "New"}}, "controller"
        ),
        apply("status-missing", f"{_B}/status", {**widget("b"), "status": {"phase": "New"}}, "controller"),
        merge("status-merge", f"{_A}/status", {"status": {"phase": "Done"}}, fieldManager="other"),
        apply(
            "status-conflict", f"{_A}/status", {**widget("a", {}), "status": {"phase": "New"}}, "controller"
        ),
        apply("main-with-status", _A, {**widget("a", {}), "status": {"phase": "New"}}),
        merge("untracked", _A, {"metadata": {"managedFields": [{}]}}),
        merge("untracked-stays", _A, {"spec": {"size": 10}}),
        apply("tracked-again", _A, widget("a", {"label": "xyz"})),
        apply(
            "locked",
            _A,
            widget("a", {"size": 1}, resourceVersion=of("made", "metadata.resourceVersion")),
            force="true",
        ),
        apply("uid-wrong", _A, widget("a", {}, uid="x")),
        apply("finalizers", _A, widget("a", {}, finalizers=["example.com/a"], annotations={"a": "b"})),
        apply(
            "owners",
            _A,
            widget(
                "a",
                {},
                ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"}],
            ),
        ),
        apply(
            "owners-second",
            _A,
            widget(
                "a",
                {},
                ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "p", "uid": "u-2"}],
            ),
            "second",
        ),
        get("read", _A),
    ),
    scenario(
        "apply-elsewhere",
        apply("config-map", _MAP, _config({"a": "1"})),
        apply("config-map-conflict", _MAP, _config({"a": "2"}), "second"),
        apply("config-map-second", _MAP, _config({"b": "2"}), "second"),
        apply("gadget", f"{GADGETS}/{{ns}}-a", gadget("{ns}-a", {"x": {"y": [1]}})),
        apply("gadget-second", f"{GADGETS}/{{ns}}-a", gadget("{ns}-a", {"x": {"z": 1}}), "second"),
        apply("gadget-conflict", f"{GADGETS}/{{ns}}-a", gadget("{ns}-a", {"x": {"y": [2]}}), "second"),
        apply("gadget-gone", f"{GADGETS}/{{ns}}-a", gadget("{ns}-a", {})),
        apply(
            "as-beta",
            f"/apis/{GROUP}/v1beta1/namespaces/{{ns}}/versioneds/v",
            {
                "apiVersion": f"{GROUP}/v1beta1",
                "kind": "Versioned",
                "metadata": {"name": "v"},
                "spec": {"x": 1},
            },
        ),
        apply(
            "as-v1",
            f"/apis/{GROUP}/v1/namespaces/{{ns}}/versioneds/v",
            {"apiVersion": f"{GROUP}/v1", "kind": "Versioned", "metadata": {"name": "v"}, "spec": {"y": 1}},
        ),
    ),
)

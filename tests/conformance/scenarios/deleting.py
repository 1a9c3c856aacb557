"""Deletion: finalizers, preconditions, propagation, collections; owner references."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import create, delete, get, json_patch, merge, of, put, scenario
from tests.conformance.kinds import WIDGETS, widget

__all__ = ["SCENARIOS"]

_A: Final = f"{WIDGETS}/a"


def _owner(uid: Any, name: str = "o", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, **more}


SCENARIOS: Final = (
    scenario(
        "delete-plain",
        create("made", WIDGETS, widget()),
        delete("dry-run", _A, dryRun="All"),
        delete("gone", _A),
        get("read", _A),
        delete("again", _A),
        create("made-2", WIDGETS, widget()),
        delete(
            "with-options",
            _A,
            {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"},
        ),
        create("made-3", WIDGETS, widget()),
        delete("grace", _A, gracePeriodSeconds="30"),
        create("made-4", WIDGETS, widget()),
        delete("grace-body", _A, {"gracePeriodSeconds": 0}),
        create("config-map", "/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "a"}}),
        delete("config-map-gone", "/api/v1/namespaces/{ns}/configmaps/a"),
        delete("config-map-missing", "/api/v1/namespaces/{ns}/configmaps/a"),
    ),
    scenario(
        "delete-options",
        create("made", WIDGETS, widget()),
        delete("uid-wrong", _A, {"preconditions": {"uid": "x"}}),
        delete("version-wrong", _A, {"preconditions": {"resourceVersion": "1"}}),
        delete("both-wrong", _A, {"preconditions": {"uid": "x", "resourceVersion": "1"}}),
        delete("policy-wrong", _A, {"propagationPolicy": "Sometimes"}),
        delete("policy-query-wrong", _A, propagationPolicy="Sometimes"),
        delete("policy-and-orphan", _A, {"propagationPolicy": "Orphan", "orphanDependents": True}),
        delete("dry-run-wrong", _A, {"dryRun": ["Some"]}),
        delete("grace-negative", _A, {"gracePeriodSeconds": -5}),
        delete("not-options", _A, widget()),
        delete("unknown-option", _A, {"wrong": 1}),
        delete("list", _A, []),
        delete("no-json", _A, "{"),
        delete("wrong-type", _A, {"gracePeriodSeconds": "x"}),
        get("still-there", _A),
        delete(
            "right",
            _A,
            {
                "preconditions": {
                    "uid": of("made", "metadata.uid"),
                    "resourceVersion": of("made", "metadata.resourceVersion"),
                }
            },
        ),
    ),
    scenario(
        "delete-finalizers",
        create("made", WIDGETS, widget(finalizers=["example.com/a", "example.com/b"])),
        delete("marked", _A),
        delete("marked-again", _A),
        create("in-the-way", WIDGETS, widget()),
        merge(
            "add-finalizer",
            _A,
            {"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}},
        ),
        merge("unmark", _A, {"metadata": {"deletionTimestamp": None}}),
        merge("change-spec", _A, {"spec": {"size": 5}}),
        merge("one-left", _A, {"metadata": {"finalizers": ["example.com/b"]}}),
        put(
            "grace",
            _A,
            widget(finalizers=["example.com/b"], resourceVersion=of("one-left", "metadata.resourceVersion")),
        ),
        merge("dry-run", _A, {"metadata": {"finalizers": None}}, dryRun="All"),
        merge("gone", _A, {"metadata": {"finalizers": None}}),
        get("read", _A),
        create("again", WIDGETS, widget(finalizers=["example.com/a"])),
        merge("only-marked-objects-go", _A, {"metadata": {"finalizers": []}}),
        get("still-there", _A),
    ),
    scenario(
        "delete-propagation",
        create("made", WIDGETS, widget(finalizers=["example.com/a"])),
        delete("foreground", _A, propagationPolicy="Foreground"),
        delete("orphan-later", _A, propagationPolicy="Orphan"),
        create("b", WIDGETS, widget("b", finalizers=["example.com/a"])),
        delete("orphan", f"{WIDGETS}/b", {"orphanDependents": True}),
        create("c", WIDGETS, widget("c", finalizers=["example.com/a", "orphan"])),
        delete("background-drops-orphan", f"{WIDGETS}/c", propagationPolicy="Background"),
    ),
    scenario(
        "delete-collection",
        create("a", WIDGETS, widget("a", labels={"x": "1"})),
        create("b", WIDGETS, widget("b", labels={"x": "1"}, finalizers=["example.com/a"])),
        create("c", WIDGETS, widget("c", labels={"x": "2"})),
        create("d", WIDGETS, widget("d", {"colour": "green"})),
        delete("dry-run", WIDGETS, labelSelector="x=2", dryRun="All"),
        delete("selected", WIDGETS, labelSelector="x=1"),
        get("left", WIDGETS),
        delete("by-field", WIDGETS, fieldSelector="metadata.name=c"),
        delete("nothing", WIDGETS, labelSelector="x=9"),
        delete("options", WIDGETS, {"propagationPolicy": "Orphan"}, fieldSelector="metadata.name=d"),
        get("left-2", WIDGETS),
        delete("bad-selector", WIDGETS, labelSelector="x in"),
        delete("namespaces", "/api/v1/namespaces", labelSelector="x=9"),
    ),
    scenario(
        "owners",
        create("incomplete", WIDGETS, widget(ownerReferences=[{"name": "o"}])),
        create("no-version", WIDGETS, widget(ownerReferences=[_owner("u") | {"apiVersion": ""}])),
        create(
            "two-controllers",
            WIDGETS,
            widget(ownerReferences=[_owner("u", controller=True), _owner("v", "p", controller=True)]),
        ),
        create("twice", WIDGETS, widget("b", ownerReferences=[_owner("u"), _owner("u")])),
        create("of-an-event", WIDGETS, widget(ownerReferences=[_owner("u") | {"kind": "Event"}])),
        create(
            "controlled",
            WIDGETS,
            widget("c", ownerReferences=[_owner("u", controller=True, blockOwnerDeletion=True)]),
        ),
        merge("more", f"{WIDGETS}/c", {"metadata": {"ownerReferences": [_owner("u"), _owner("w", "q")]}}),
        json_patch("one", f"{WIDGETS}/c", ("remove", "/metadata/ownerReferences/0")),
        merge("none", f"{WIDGETS}/c", {"metadata": {"ownerReferences": None}}),
        merge("unknown-member", f"{WIDGETS}/c", {"metadata": {"ownerReferences": [_owner("u", wrong=1)]}}),
    ),
)

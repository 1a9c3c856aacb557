"""Lists: selectors, pages, resourceVersions, expired tokens and versions."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import Exchange, compact, create, delete, get, merge, of, scenario
from tests.conformance.kinds import GROUP, RULED, WIDGETS, widget

__all__ = ["SCENARIOS"]

_ALL: Final = f"/apis/{GROUP}/v1/widgets"
_CONFIG_MAPS: Final = "/api/v1/namespaces/{ns}/configmaps"


def _some() -> tuple[Exchange, ...]:
    return (
        create("a", WIDGETS, widget("a", {"size": 1}, labels={"tier": "one", "n": "1"})),
        create("b", WIDGETS, widget("b", {"size": 2, "colour": "green"}, labels={"tier": "two", "n": "12"})),
        create("c", WIDGETS, widget("c", {"size": 3}, labels={"tier": "one"})),
        create("d", WIDGETS, widget("d", {"size": 3, "colour": "blue"})),
    )


_LABELS: Final = {
    "equal": "tier=one",
    "equal-2": "tier==one",
    "unequal": "tier!=one",
    "in": "tier in (one, two)",
    "notin": "tier notin (one)",
    "exists": "tier",
    "not-exists": "!tier",
    "greater": "n>5",
    "less": "n<5",
    "both": "tier=one,n",
    "empty-value": "tier=",
    "spaces": " tier = one , n ",
    "in-broken": "tier in",
    "in-empty": "tier in ()",
    "key-bad": "a b=c",
    "value-bad": "tier=a b",
    "greater-text": "n>x",
    "operator-bad": "tier ~ one",
    "comma": "tier,",
    "lead-comma": ",tier",
    "only-not": "!",
    "key-characters": "-x=1",
    "slashes": "a/b/c=1",
    "value-characters": "tier=-",
}
_FIELDS: Final = {
    "name": "metadata.name=b",
    "name-not": "metadata.name!=b",
    "namespace": "metadata.namespace={ns}",
    "namespace-other": "metadata.namespace=default",
    "colour": "spec.colour=green",
    "size": "spec.size=3",
    "two": "spec.size=3,spec.colour=blue",
    "double": "spec.colour==red",
    "unknown": "spec.label=x",
    "unknown-status": "status.phase=New",
    "broken": "metadata.name",
    "empty": "spec.colour=",
}


def _queries(name: str, cases: dict[str, str]) -> list[Exchange]:
    return [get(label, WIDGETS, view=_names, **{name: text}) for label, text in cases.items()]


def _names(listed: Any) -> Any:
    """The names of the objects in a successful list."""
    return {
        **listed,
        "items": [
            [item["metadata"]["name"], item["metadata"]["resourceVersion"]][:1] for item in listed["items"]
        ],
    }


def _size(_body: Any) -> Any:
    """Only the headers are relevant."""
    return "large"


SCENARIOS: Final = (
    scenario("list-labels", *_some(), *_queries("labelSelector", _LABELS)),
    scenario("list-fields", *_some(), *_queries("fieldSelector", _FIELDS)),
    scenario(
        "list-plain",
        get("empty", WIDGETS),
        *_some(),
        get("all", WIDGETS),
        get("item-and-list-agree", f"{WIDGETS}/a"),
        get("across", _ALL, labelSelector="tier", fieldSelector="metadata.namespace={ns}"),
        get("gone-namespace", f"/apis/{GROUP}/v1/namespaces/no-such/widgets"),
        create("config-map", _CONFIG_MAPS, {"metadata": {"name": "m"}, "data": {"a": "b"}}),
        get("config-maps", _CONFIG_MAPS),
        get("config-maps-none", _CONFIG_MAPS, labelSelector="x=y"),
        get("config-maps-field", _CONFIG_MAPS, fieldSelector="data.a=b"),
        get("config-maps-limit", _CONFIG_MAPS, limit=1),
        get("as-yaml", RULED, accept="application/yaml"),
        get("partial", WIDGETS, accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
        get(
            "partial-item",
            f"{WIDGETS}/a",
            accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        ),
        get(
            "partial-beta",
            f"{WIDGETS}/a",
            accept="application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io",
        ),
        get(
            "partial-of-list", WIDGETS, accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
        ),
        get(
            "partials-of-item",
            f"{WIDGETS}/a",
            accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        ),
        get(
            "partials-of-config-map",
            f"{_CONFIG_MAPS}/m",
            accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        ),
        get("bad-limit", WIDGETS, limit="x"),
        get("negative-limit", WIDGETS, limit=-1),
        get("bad-timeout", WIDGETS, timeoutSeconds="x"),
        get("initial-events", WIDGETS, sendInitialEvents="true"),
        get("item-version-future", f"{WIDGETS}/a", resourceVersion="x"),
        get("item-version-zero", f"{WIDGETS}/a", resourceVersion="0"),
        get("item-version-old", f"{WIDGETS}/a", resourceVersion=of("a", "metadata.resourceVersion")),
    ),
    scenario(
        "list-large",
        create("a", WIDGETS, widget("a", annotations={"a": "x" * 150_000})),
        get("plain", f"{WIDGETS}/a", view=_size),
        get("gzip", f"{WIDGETS}/a", headers={"Accept-Encoding": "gzip"}, view=_size),
        get("gzip-list", WIDGETS, headers={"Accept-Encoding": "deflate, gzip"}, view=_size),
        get("gzip-none", f"{WIDGETS}/b", headers={"Accept-Encoding": "gzip"}),
        create(
            "gzip-create",
            WIDGETS,
            widget("b", annotations={"a": "x" * 150_000}),
            headers={"Accept-Encoding": "gzip"},
            view=_size,
        ),
        create("too-large", WIDGETS, widget("c", {"free": {"a": "x" * 1_600_000}})),
        create("far-too-large", WIDGETS, widget("c", {"free": {"a": "x" * 3_200_000}})),
    ),
    scenario(
        "list-versions",
        *_some(),
        merge("changed", f"{WIDGETS}/a", {"spec": {"size": 9}}),
        delete("deleted", f"{WIDGETS}/d"),
        get("any", WIDGETS, resourceVersion="0"),
        get("any-limit", WIDGETS, resourceVersion="0", limit=1),
        get(
            "not-older",
            WIDGETS,
            resourceVersion=of("b", "metadata.resourceVersion"),
            resourceVersionMatch="NotOlderThan",
        ),
        get("unset-match", WIDGETS, resourceVersion=of("b", "metadata.resourceVersion")),
        get(
            "exact",
            WIDGETS,
            resourceVersion=of("b", "metadata.resourceVersion"),
            resourceVersionMatch="Exact",
        ),
        get(
            "exact-4",
            WIDGETS,
            resourceVersion=of("d", "metadata.resourceVersion"),
            resourceVersionMatch="Exact",
        ),
        get("limit-old", WIDGETS, resourceVersion=of("c", "metadata.resourceVersion"), limit=2),
        get(
            "exact-limit",
            WIDGETS,
            resourceVersion=of("d", "metadata.resourceVersion"),
            resourceVersionMatch="Exact",
            limit=3,
        ),
        get("exact-zero", WIDGETS, resourceVersion="0", resourceVersionMatch="Exact"),
        get("match-alone", WIDGETS, resourceVersionMatch="Exact"),
        get("match-unknown", WIDGETS, resourceVersion="1", resourceVersionMatch="Roughly"),
        get("text", WIDGETS, resourceVersion="x"),
        get("future", WIDGETS, resourceVersion="99999999"),
        get("future-exact", WIDGETS, resourceVersion="99999999", resourceVersionMatch="Exact"),
        get("future-item", f"{WIDGETS}/a", resourceVersion="99999999"),
        get("text-exact", WIDGETS, resourceVersion="x", resourceVersionMatch="Exact"),
    ),
    scenario(
        "list-pages",
        *_some(),
        get("first", WIDGETS, limit=2),
        delete("deleted-between", f"{WIDGETS}/c"),
        create("made-between", WIDGETS, widget("bb")),
        get("second", WIDGETS, limit=2, continue_=of("first", "metadata.continue")),
        get("rest", WIDGETS, continue_=of("first", "metadata.continue")),
        get("selected", WIDGETS, limit=1, labelSelector="tier"),
        get(
            "selected-2",
            WIDGETS,
            limit=1,
            labelSelector="tier",
            continue_=of("selected", "metadata.continue"),
        ),
        get("exactly", WIDGETS, limit=4),
        get(
            "with-version", WIDGETS, limit=1, continue_=of("first", "metadata.continue"), resourceVersion="5"
        ),
        get(
            "with-version-zero",
            WIDGETS,
            limit=1,
            continue_=of("first", "metadata.continue"),
            resourceVersion="0",
        ),
        get(
            "with-match",
            WIDGETS,
            continue_=of("first", "metadata.continue"),
            resourceVersion="5",
            resourceVersionMatch="Exact",
        ),
        get("token-no-base64", WIDGETS, limit=1, continue_="%%%"),
        get("token-no-json", WIDGETS, limit=1, continue_="YWJj"),
        get("token-other", WIDGETS, limit=1, continue_="eyJ2IjoidjkifQ"),
        get("token-no-start", WIDGETS, limit=1, continue_="eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NX0"),
        get("across", _ALL, limit=1, labelSelector="tier,n", fieldSelector="metadata.namespace={ns}"),
    ),
    scenario(
        "list-expired",
        *_some(),
        get("first", WIDGETS, limit=2),
        create("later", WIDGETS, widget("z")),
        compact(),
        get("expired", WIDGETS, limit=2, continue_=of("first", "metadata.continue")),
        get("inconsistent", WIDGETS, limit=2, continue_=of("expired", "metadata.continue")),
        get(
            "exact",
            WIDGETS,
            resourceVersion=of("a", "metadata.resourceVersion"),
            resourceVersionMatch="Exact",
        ),
        get("limited", WIDGETS, resourceVersion=of("a", "metadata.resourceVersion"), limit=1),
        get("not-older", WIDGETS, resourceVersion=of("a", "metadata.resourceVersion"), view=_names),
    ),
)

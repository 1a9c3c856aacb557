"""Watches: start, events, bookmarks, initial events and errors."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import (
    TABLE,
    Exchange,
    create,
    delete,
    get,
    merge,
    of,
    scenario,
    watch,
)
from tests.conformance.kinds import GROUP, WIDGETS, widget

__all__ = ["SCENARIOS"]

_A: Final = f"{WIDGETS}/a"
_B: Final = f"{WIDGETS}/b"
_FIRST: Final = of("a", "metadata.resourceVersion")
_LIST: Final = of("listed", "metadata.resourceVersion")


def _some() -> tuple[Exchange, ...]:
    return (
        create("a", WIDGETS, widget("a", labels={"x": "1"})),
        create("b", WIDGETS, widget("b", {"colour": "green"})),
        merge("a-2", _A, {"spec": {"size": 2}}),
        get("listed", WIDGETS),
    )


SCENARIOS: Final = (
    scenario(
        "watch-start",
        *_some(),
        watch("from-nothing", WIDGETS, events=2),
        watch("from-zero", WIDGETS, events=2, resourceVersion="0"),
        watch("from-first", WIDGETS, events=2, resourceVersion=_FIRST),
        watch("from-now", WIDGETS, resourceVersion=_LIST),
        watch("one-object", WIDGETS, events=1, fieldSelector="metadata.name=b"),
        watch("the-item", _B, events=1),
        watch("from-text", WIDGETS, resourceVersion="x"),
        watch("from-one", WIDGETS, resourceVersion="1"),
        watch("from-the-future", WIDGETS, resourceVersion="99999999"),
        watch("from-negative", WIDGETS, resourceVersion="-1"),
        watch("nowhere", f"/apis/{GROUP}/v1/namespaces/no-such/widgets"),
        watch("deprecated-path", f"/apis/{GROUP}/v1/watch/namespaces/{{ns}}/widgets", events=2),
        watch("across", f"/apis/{GROUP}/v1/widgets", events=2, fieldSelector="metadata.namespace={ns}"),
        watch("bad-selector", WIDGETS, labelSelector="a in"),
        watch("bad-field", WIDGETS, fieldSelector="spec.label=x"),
        watch("bad-timeout", WIDGETS, timeoutSeconds="x"),
        watch("limited", WIDGETS, events=2, limit=1),
        watch("watch-one", WIDGETS, events=2, watch="1"),
        watch("yaml", WIDGETS, events=2, accept="application/yaml"),
    ),
    scenario(
        "watch-changes",
        *_some(),
        watch(
            "everything",
            WIDGETS,
            resourceVersion=_LIST,
            events=8,
            during=(
                create("c", WIDGETS, widget("c")),
                merge("c-changed", f"{WIDGETS}/c", {"spec": {"size": 3}}),
                merge("c-not-changed", f"{WIDGETS}/c", {"spec": {"size": 3}}),
                merge("c-status", f"{WIDGETS}/c/status", {"status": {"phase": "New"}}),
                merge("c-held", f"{WIDGETS}/c", {"metadata": {"finalizers": ["example.com/x"]}}),
                delete("c-marked", f"{WIDGETS}/c"),
                merge("c-gone", f"{WIDGETS}/c", {"metadata": {"finalizers": None}}),
                delete("b-gone", _B),
                merge("last", _A, {"metadata": {"labels": {"end": "1"}}}),
            ),
        ),
    ),
    scenario(
        "watch-selected",
        *_some(),
        watch(
            "labels",
            WIDGETS,
            resourceVersion=_LIST,
            labelSelector="x=1",
            events=5,
            during=(
                merge("b-enters", _B, {"metadata": {"labels": {"x": "1"}}}),
                merge("b-stays", _B, {"spec": {"size": 5}}),
                merge("b-leaves", _B, {"metadata": {"labels": {"x": "2"}}}),
                merge("b-outside", _B, {"spec": {"size": 6}}),
                delete("a-gone", _A),
                create("last", WIDGETS, widget("last", labels={"x": "1"})),
            ),
        ),
        watch(
            "fields",
            WIDGETS,
            resourceVersion=of("last", "metadata.resourceVersion"),
            fieldSelector="spec.colour=green",
            events=2,
            during=(
                merge("b-red", _B, {"spec": {"colour": "red"}}),
                create("green", WIDGETS, widget("green", {"colour": "green"})),
            ),
        ),
        watch("past-labels", WIDGETS, resourceVersion=_LIST, labelSelector="x=1", events=5),
    ),
    scenario(
        "watch-initial",
        *_some(),
        watch(
            "streamed",
            WIDGETS,
            events=3,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ),
        watch(
            "streamed-from-zero",
            WIDGETS,
            events=3,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            resourceVersion="0",
        ),
        watch(
            "streamed-from-old",
            WIDGETS,
            events=3,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            resourceVersion=_FIRST,
        ),
        watch(
            "streamed-selected",
            WIDGETS,
            events=2,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            labelSelector="x=1",
        ),
        watch(
            "streamed-nothing",
            WIDGETS,
            events=1,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            labelSelector="x=9",
        ),
        watch(
            "then-live",
            WIDGETS,
            events=3,
            before=2,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            during=(create("c", WIDGETS, widget("c")),),
            labelSelector="!x",
        ),
        watch(
            "without-bookmarks",
            WIDGETS,
            events=3,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
        ),
        watch("refused-match", WIDGETS, sendInitialEvents="true"),
        watch("not-wanted", WIDGETS, sendInitialEvents="false", resourceVersionMatch="NotOlderThan"),
        watch(
            "not-wanted-from",
            WIDGETS,
            sendInitialEvents="false",
            resourceVersionMatch="NotOlderThan",
            resourceVersion=_FIRST,
            events=3,
        ),
        watch("match-alone", WIDGETS, resourceVersionMatch="NotOlderThan"),
        watch("match-exact", WIDGETS, resourceVersionMatch="Exact", sendInitialEvents="true"),
        watch(
            "continue", WIDGETS, resourceVersionMatch="NotOlderThan", sendInitialEvents="true", continue_="x"
        ),
        watch(
            "future",
            WIDGETS,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            resourceVersion="99999999",
        ),
    ),
    scenario(
        "watch-tables",
        *_some(),
        watch("rows", WIDGETS, events=2, accept=TABLE),
        watch(
            "bookmark",
            WIDGETS,
            events=3,
            accept=TABLE,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ),
        watch(
            "partial",
            WIDGETS,
            events=2,
            accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        ),
    ),
    scenario(
        "watch-bookmarks",
        *_some(),
        # The real server may send another bookmark a second later: its bookmark timer has a resolution of 1 s.
        watch(
            "before-the-end",
            WIDGETS,
            resourceVersion=_LIST,
            allowWatchBookmarks="true",
            timeoutSeconds=4,
            events=1,
            bookmarks=True,
        ),
    ),
)

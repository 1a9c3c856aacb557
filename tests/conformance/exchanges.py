"""What is asked of a server: exchanges, and scenarios made of them, as data.

In every text of an exchange, `{ns}` stands for the namespace of the scenario. `of(label, path)` stands for a value in
the answer of an earlier exchange of the same scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = [
    "APPLY",
    "JSON",
    "JSON_PATCH",
    "MERGE",
    "STRATEGIC",
    "TABLE",
    "YAML",
    "Exchange",
    "Ref",
    "Scenario",
    "apply",
    "ask",
    "compact",
    "create",
    "delete",
    "get",
    "json_patch",
    "merge",
    "of",
    "put",
    "scenario",
    "watch",
]

Json = Any  # JSON documents have no narrower type at this edge

JSON: Final = "application/json"
YAML: Final = "application/yaml"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"

COMPACT: Final = "COMPACT"
"""The method of the exchange that is none: the server forgets its history."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A value in an earlier answer; plus is added to it if it is a number."""

    label: str
    path: str
    plus: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and how its answer is read.

    Attributes:
        label: unique in its scenario.
        body: text is sent as it is, everything else as JSON; None sends nothing.
        events: of a watch: how many are read; None reads until the server ends it.
        during: of a watch: what is asked while it runs.
        before: of a watch: how many events are read before that.
        bookmarks: of a watch: whether those are told that a server sends when it likes, beside the one that ends
            the initial events.
        until: ask again and again until the answer has this status, for what takes a server a moment.
        view: what of the body is compared; all of it by default.
    """

    label: str
    method: str
    path: str
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    watch: bool = False
    events: int | None = None
    during: tuple[Exchange, ...] = ()
    before: int = 0
    bookmarks: bool = False
    until: int = 0
    view: Callable[[Json], Json] | None = None

    def named(self, label: str) -> Exchange:
        """The same under another label."""
        return replace(self, label=label)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Exchanges that build upon each other."""

    name: str
    exchanges: tuple[Exchange, ...]

    @property
    def forgets(self) -> bool:
        """Whether history is forgotten in it."""
        return any(exchange.method == COMPACT for exchange in self.exchanges)

    def all(self) -> list[Exchange]:
        """Every exchange, those during watches included."""
        found: list[Exchange] = []
        for exchange in self.exchanges:
            found += [*exchange.during, exchange]
        return [exchange for exchange in found if exchange.method != COMPACT]


def scenario(name: str, *exchanges: Exchange) -> Scenario:
    """A scenario; its labels are unique."""
    made = Scenario(name, exchanges)
    labels = [exchange.label for exchange in made.all()]
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"{name}: {', '.join(sorted(repeated))} more than once")
    return made


def of(label: str, path: str, *, plus: int = 0) -> Ref:
    """The value at a path (a.b[0].c) in the answer of an earlier exchange."""
    return Ref(label, path, plus)


def ask(
    label: str,
    method: str,
    path: str,
    body: Json = None,
    *,
    content_type: str = "",
    accept: str = "",
    headers: Mapping[str, str] | None = None,
    until: int = 0,
    view: Callable[[Json], Json] | None = None,
    **query: Any,
) -> Exchange:
    """Any request. A name of the query that Python reserves takes an underscore at its end."""
    sent = dict(headers or {})
    if content_type:
        sent["Content-Type"] = content_type
    if accept:
        sent["Accept"] = accept
    asked = {name.removesuffix("_"): value for name, value in query.items()}
    return Exchange(label, method, path, body, sent, asked, until=until, view=view)


def get(label: str, path: str, **more: Any) -> Exchange:
    """Read an object or a list."""
    return ask(label, "GET", path, **more)


def create(label: str, path: str, body: Json, **more: Any) -> Exchange:
    """Create an object in a collection."""
    return ask(label, "POST", path, body, **more)


def put(label: str, path: str, body: Json, **more: Any) -> Exchange:
    """Replace an object."""
    return ask(label, "PUT", path, body, **more)


def merge(label: str, path: str, body: Json, **more: Any) -> Exchange:
    """Patch by JSON merge."""
    return ask(label, "PATCH", path, body, content_type=MERGE, **more)


def json_patch(label: str, path: str, *operations: Json, **more: Any) -> Exchange:
    """Patch by a list of operations, each (op, path) or (op, path, value)."""
    body = [
        dict(zip(("op", "path", "value"), operation, strict=False))
        if isinstance(operation, tuple)
        else operation
        for operation in operations
    ]
    return ask(label, "PATCH", path, body, content_type=JSON_PATCH, **more)


def apply(label: str, path: str, body: Json, manager: str = "applier", **more: Any) -> Exchange:
    """Apply on the server's side."""
    return ask(label, "PATCH", path, body, content_type=APPLY, fieldManager=manager, **more)


def delete(label: str, path: str, body: Json = None, **more: Any) -> Exchange:
    """Delete an object or a collection."""
    return ask(label, "DELETE", path, body, **more)


def watch(
    label: str,
    path: str,
    *,
    events: int | None = None,
    during: Sequence[Exchange] = (),
    before: int = 0,
    bookmarks: bool = False,
    accept: str = "",
    **query: Any,
) -> Exchange:
    """Watch a collection: read so many events, or until the server ends the watch after a second."""
    timeout = 1 if events is None else 30
    asked = {"watch": "true", "timeoutSeconds": timeout, **query}
    headers = {"Accept": accept} if accept else {}
    return Exchange(
        label,
        "GET",
        path,
        None,
        headers,
        asked,
        watch=True,
        events=events,
        during=tuple(during),
        before=before,
        bookmarks=bookmarks,
    )


def compact() -> Exchange:
    """The server forgets its history, as etcd's compaction and a restarted watch cache have it."""
    return Exchange("compact", COMPACT, "")

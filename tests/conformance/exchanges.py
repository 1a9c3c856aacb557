"""Exchanges with a server, and scenarios of exchanges, as data.

In every string of an exchange, `{ns}` is replaced by the namespace of the scenario. `of(label, path)` is replaced by a
value in the answer of an earlier exchange of the same scenario.
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
"""The method of an exchange that is not a request: the history of the server is compacted."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A value in an earlier answer; plus is added to a number."""

    label: str
    path: str
    plus: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and the options for reading its answer.

    Attributes:
        label: unique in its scenario.
        body: a string is sent unchanged, everything else as JSON; None sends no body.
        events: of a watch: the number of events to read; None reads until the server ends the watch.
        during: of a watch: the exchanges to send while it runs.
        before: of a watch: the number of events to read before these exchanges.
        bookmarks: of a watch: whether the answer includes periodic bookmarks, which servers send at different times;
            the bookmark that ends the initial events is always included.
        until: repeat the request until the answer has this status, for effects that take a moment.
        view: returns the part of the body to compare; all of it by default.
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
        """The same exchange with another label."""
        return replace(self, label=label)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A sequence of exchanges in one namespace."""

    name: str
    exchanges: tuple[Exchange, ...]

    @property
    def compacts(self) -> bool:
        """Whether it compacts the history."""
        return any(exchange.method == COMPACT for exchange in self.exchanges)

    def all(self) -> list[Exchange]:
        """Every exchange, including those during watches."""
        found: list[Exchange] = []
        for exchange in self.exchanges:
            found += [*exchange.during, exchange]
        return [exchange for exchange in found if exchange.method != COMPACT]


def scenario(name: str, *exchanges: Exchange) -> Scenario:
    """Create a scenario, and check that its labels are unique."""
    made = Scenario(name, exchanges)
    labels = [exchange.label for exchange in made.all()]
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"{name}: {', '.join(sorted(repeated))} more than once")
    return made


def of(label: str, path: str, *, plus: int = 0) -> Ref:
    """Refer to the value at a path (a.b[0].c) in the answer of an earlier exchange."""
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
    """Send any request; query parameters whose names Python reserves end in an underscore."""
    sent = dict(headers or {})
    if content_type:
        sent["Content-Type"] = content_type
    if accept:
        sent["Accept"] = accept
    parameters = {name.removesuffix("_"): value for name, value in query.items()}
    return Exchange(label, method, path, body, sent, parameters, until=until, view=view)


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
    """Patch an object by a merge patch."""
    return ask(label, "PATCH", path, body, content_type=MERGE, **more)


def json_patch(label: str, path: str, *operations: Json, **more: Any) -> Exchange:
    """Patch an object by a JSON patch; each operation is (op, path) or (op, path, value)."""
    body = [
        dict(zip(("op", "path", "value"), operation, strict=False))
        if isinstance(operation, tuple)
        else operation
        for operation in operations
    ]
    return ask(label, "PATCH", path, body, content_type=JSON_PATCH, **more)


def apply(label: str, path: str, body: Json, manager: str = "applier", **more: Any) -> Exchange:
    """Apply a configuration server-side."""
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
    """Watch a collection: read the given number of events, or until the server ends the watch after 1 s."""
    timeout = 1 if events is None else 30
    parameters = {"watch": "true", "timeoutSeconds": timeout, **query}
    headers = {"Accept": accept} if accept else {}
    return Exchange(
        label,
        "GET",
        path,
        None,
        headers,
        parameters,
        watch=True,
        events=events,
        during=tuple(during),
        before=before,
        bookmarks=bookmarks,
    )


def compact() -> Exchange:
    """Compact the history of the server, as etcd and a restarted watch cache do."""
    return Exchange("compact", COMPACT, "")

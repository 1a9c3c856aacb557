"""Masks for the values in the answers of one scenario that differ between any two servers.

uids and resourceVersions of objects are named after the exchange in which they occur first, so that equality remains
visible; a version that is older than an earlier one is marked as such. The version of a list or a bookmark is compared
only with its items. Times of the test run become `<time>`, ages in Tables `<age>`. Everything else is compared
unchanged, except for the order of lists that Go builds from maps or by time: causes of a Status, field managers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.conformance.servers import Answer

__all__ = ["masked"]

Json = Any  # JSON documents have no narrower type at this edge

_UID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_VERSIONS_IN_TEXT: Final = re.compile(
    r"(?<=resource version: )\d+(?: \(\d+\))?|(?<=, current: )\d+"
    r"|(?<=ResourceVersion in record \()\d+|(?<=ResourceVersion in the precondition \()\d+"
    r"|(?<=\"resourceVersion\\\":\\\")\d+"
)
_CONTINUE: Final = re.compile(r"\beyJ[\w-]{20,}")
_GENERATED: Final = re.compile(r"(?<=enerated-)[a-z0-9]{5}\b")
_AGE: Final = re.compile(r"\d+s|\d+m(\d+s)?")
_SERVER_TIMES: Final = timedelta(days=1)
"""Times within this distance of now are set by the server; times in scenarios are further away."""


def masked(answers: Mapping[str, Answer], namespace: str) -> dict[str, Json]:
    """Mask the answers of one scenario; by label."""
    mask = _Mask(namespace)
    return {label: mask.document(label, answer.document()) for label, answer in answers.items()}


@dataclass(slots=True)
class _Names:
    """Names for values, after the exchange in which they occur first."""

    known: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, value: str, what: str, label: str) -> str:
        if value not in self.known:
            count = self.counts[label] = self.counts.get(label, 0) + 1
            self.known[value] = f"<{what} {label}{f' {count}' if count > 1 else ''}>"
        return self.known[value]


@dataclass(slots=True)
class _Mask:
    namespace: str
    uids: _Names = field(default_factory=_Names)
    versions: _Names = field(default_factory=_Names)
    newest: int = 0
    label: str = ""

    def document(self, label: str, document: Json) -> Json:
        self.label = label
        return self._walk(document)

    def _walk(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            value = _in_order(value)
            # Sorted, because uids are named in the order of their occurrence.
            shown = {self._text(name): self._walk(item) for name, item in sorted(value.items())}
            meta = value.get("metadata")
            if isinstance(meta, dict) and str(meta.get("resourceVersion", "")).isdigit():
                shown["metadata"] = shown["metadata"] | {"resourceVersion": self._version(value, meta)}
            return shown
        return value

    def _version(self, value: Json, meta: Mapping[str, Json]) -> str:
        version = int(meta["resourceVersion"])
        if "uid" not in meta:
            newest = max((int(each["resourceVersion"]) for each in _objects_in(value)), default=0)
            return "<older than its items>" if version < newest else "<list version>"
        what = "version" if version >= self.newest else "older version"
        self.newest = max(self.newest, version)
        return self.versions.of(str(version), what, self.label)

    def _text(self, value: str) -> str:
        value = value.replace(self.namespace, "<namespace>")
        value = _UID.sub(lambda found: self.uids.of(found[0], "uid", self.label), value)
        value = _TIME.sub(_time, value)
        value = _CONTINUE.sub("<continue>", value)
        value = _GENERATED.sub("<random>", value)
        return _VERSIONS_IN_TEXT.sub("<version>", value)


def _in_order(value: Mapping[str, Json]) -> Mapping[str, Json]:
    if isinstance(value.get("managedFields"), list):
        managers = sorted(value["managedFields"], key=_identity)
        return {**value, "managedFields": managers}
    if isinstance(value.get("cells"), list):
        ages = [isinstance(cell, str) and _AGE.fullmatch(cell) for cell in value["cells"]]
        return {
            **value,
            "cells": ["<age>" if age else cell for age, cell in zip(ages, value["cells"], strict=True)],
        }
    if value.get("kind") == "Status":
        return _status_in_order(value)
    return value


def _status_in_order(status: Mapping[str, Json]) -> Mapping[str, Json]:
    # structured-merge-diff reports one error per line.
    message, found, lines = status.get("message", "").partition("errors:\n")
    if found:
        status = {**status, "message": message + found + "\n".join(sorted(lines.splitlines()))}
    causes = (status.get("details") or {}).get("causes")
    if not causes:
        return status
    causes = sorted(causes, key=lambda cause: (cause.get("field", ""), cause["message"]))
    texts = list(dict.fromkeys(f"{cause.get('field')}: {cause['message']}" for cause in causes))
    message, found, listed = status["message"].partition(" is invalid: [")
    if found and len(listed) == len(", ".join(texts)) + 1 and all(text in listed for text in texts):
        status = {**status, "message": f"{message}{found}{', '.join(texts)}]"}
    return {**status, "details": {**status["details"], "causes": causes}}


def _identity(manager: Mapping[str, str]) -> list[str]:
    return [str(manager.get(name)) for name in ("manager", "operation", "subresource", "apiVersion")]


def _objects_in(value: Json) -> Iterator[Mapping[str, Json]]:
    """The metadata of all objects in a list."""
    if isinstance(value, list):
        for item in value:
            yield from _objects_in(item)
    elif isinstance(value, dict):
        meta = value.get("metadata")
        if isinstance(meta, dict) and "uid" in meta and str(meta.get("resourceVersion", "")).isdigit():
            yield meta
        for item in value.values():
            yield from _objects_in(item)


def _time(found: re.Match[str]) -> str:
    distance = datetime.fromisoformat(found[0]) - datetime.now(UTC)
    return "<time>" if abs(distance) < _SERVER_TIMES else found[0]

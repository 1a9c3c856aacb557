"""JSON values as CEL reads them: typed by the schema, with member names escaped to CEL identifiers.

Source: apiserver pkg/cel/escaping.go, apiextensions pkg/apiserver/schema/cel/values.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dpf_async.sim.apiserver.schema.structure import Node

_KEYWORDS = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


def to_cel(value: Any, node: Node, members: frozenset[str] | None, *, root: bool) -> Any:
    """Convert a value to its CEL type.

    members: the only members that the rule reads; None for all of them.
    root: the value is the object itself, of whose metadata rules read only the names.
    """
    if not isinstance(value, dict):
        return _typed(value, node)
    if members is not None:
        value = {name: item for name, item in value.items() if _key(name, node) in members}
    result = {_key(name, node): _typed(item, node.child(name)) for name, item in value.items()}
    if root and "metadata" in result:
        meta = value["metadata"]
        result["metadata"] = {name: meta[name] for name in ("name", "generateName") if name in meta}
    return result


def _typed(value: Any, node: Node | None) -> Any:
    if node is None or value is None:
        return value
    if isinstance(value, dict):
        return {_key(name, node): _typed(item, node.child(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, node.items) for item in value]
    if node.type == "number":
        return float(value)
    if node.type == "string" and node.format in _CONVERSIONS:
        try:
            return _CONVERSIONS[node.format](value)
        except ValueError:
            return value
    return value


def _key(name: str, node: Node) -> str:
    """The name by which a rule reads a member: a declared property is escaped, the key of a map is not."""
    return _escape(name) if name in node.properties else name


def _escape(name: str) -> str:
    """Escape a name to a CEL identifier."""
    if name in _KEYWORDS:
        return f"__{name}__"
    if name.isidentifier() and "__" not in name:
        return name
    for raw, escaped in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(raw, escaped)
    return name


def _timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00")).astimezone(UTC)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9.]+)(ms|us|µs|ns|h|m|s)")


def _duration(text: str) -> timedelta:
    if not _PART.search(text):
        raise ValueError(text)
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


_CONVERSIONS: Mapping[str, Any] = {
    "date-time": _timestamp,
    "date": _timestamp,
    "duration": _duration,
}

"""Sets of fields and their representation in managedFields (FieldsV1).

A path is a tuple of FieldsV1 elements: "f:name" a member, 'k:{"type":"Ready"}' an element of a map list,
'v:"x"' an element of a set. A set of fields is a plain set of paths.
Source: structured-merge-diff fieldpath.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain

Path = tuple[str, ...]
Fields = set[Path]


def member(name: str) -> str:
    """The path element of a member of an object."""
    return f"f:{name}"


def element(item: Any, node: Node) -> str | None:
    """The path element of an element of a set or map list; None if its key is missing."""
    if node.list_type == "set":
        return "v:" + encode_plain(item)
    if not isinstance(item, dict):
        return None
    key: Obj = {}
    for name in node.list_keys:
        if name in item:
            key[name] = item[name]
        elif node.items is not None and (sub := node.items.properties.get(name)) and sub.has_default:
            key[name] = sub.default
    return "k:" + encode_plain(key) if key else None


def to_fields_v1(fields: Iterable[Path]) -> Obj:
    """Encode a set of fields as the tree in managedFields."""
    root: Obj = {}
    for path in fields:
        node = root
        for step in path:
            node = node.setdefault(step, {})
    for path in fields:
        node = root
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    return root


def from_fields_v1(tree: Obj) -> Fields:
    """Decode the tree in managedFields."""
    fields: Fields = set()

    def visit(node: Obj, path: Path) -> None:
        if path and (not node or "." in node):
            fields.add(path)
        for step, child in node.items():
            if step != ".":
                visit(child, (*path, step))

    visit(tree, ())
    return fields


def without(fields: Fields, prefixes: Iterable[Path]) -> Fields:
    """Remove every field at or below the given ones."""
    removed = set(prefixes)
    depths = {len(prefix) for prefix in removed}
    return {path for path in fields if not any(path[:depth] in removed for depth in depths)}


def with_named_parents(fields: Fields, root: Node) -> Fields:
    """Add the declared members on the path of each field, which sets of fields do not contain."""
    result = set(fields)
    for path in fields:
        node: Node | None = root
        for depth, step in enumerate(path):
            if step.startswith("f:"):
                name = step[2:]
                declared = node is not None and name in node.properties
                if declared:
                    result.add(path[: depth + 1])
                node = node.child(name) if node is not None else None
            else:
                node = node.items if node is not None else None
    return result


def show(path: Path) -> str:
    """Format a path as in conflicts: .spec.list[name="x"].field."""
    return "".join(show_step(step) for step in path)


def show_step(step: str) -> str:
    """Format one element of a path."""
    if step.startswith("f:"):
        return "." + step[2:]
    if step.startswith("k:"):
        key = json.loads(step[2:])
        return "[" + ",".join(f"{name}={encode_plain(value)}" for name, value in key.items()) + "]"
    return f"[={step[2:]}]"

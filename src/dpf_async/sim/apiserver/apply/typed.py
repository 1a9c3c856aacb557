"""Merge, comparison and removal of fields by the schema, for server-side apply.

Where the schema has no type, it is deduced: objects are granular, lists atomic.
Source: structured-merge-diff typed (merge, compare, tofieldset, remove).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dpf_async.sim.apiserver.apply.fieldpaths import Fields, Path, element, member
from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.codec import Obj, same

_STRING = Node(type="string")
_BOOLEAN = Node(type="boolean")
_ANYTHING = Node()
_OWNER = Node(
    type="object",
    atomic_map=True,
    properties={
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _STRING),
        **dict.fromkeys(("controller", "blockOwnerDeletion"), _BOOLEAN),
    },
)
OBJECT_META = Node(
    type="object",
    properties={
        **dict.fromkeys(("name", "namespace", "generateName", "uid", "resourceVersion"), _STRING),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp", "generation", "selfLink"), _ANYTHING),
        "deletionGracePeriodSeconds": _ANYTHING,
        "labels": Node(type="object", additional=_STRING),
        "annotations": Node(type="object", additional=_STRING),
        "finalizers": Node(type="array", list_type="set", items=_STRING),
        "ownerReferences": Node(type="array", list_type="map", list_keys=("uid",), items=_OWNER),
        "managedFields": Node(type="array"),
    },
)


def with_metadata(schema: Node | None) -> Node:
    """Add the types of the metadata to a schema; without a schema, all other types are deduced."""
    root = schema or Node(type="object", preserve=True)
    known = {**root.properties, "apiVersion": _STRING, "kind": _STRING, "metadata": OBJECT_META}
    return Node(type="object", preserve=root.preserve, properties=known, additional=root.additional)


def _granular_map(value: Any, node: Node | None) -> bool:
    return isinstance(value, dict) and not (node is not None and node.atomic_map)


def _keyed_list(value: Any, node: Node | None) -> bool:
    return isinstance(value, list) and node is not None and node.list_type in ("set", "map")


def _elements(value: list[Any], node: Node) -> dict[str, Any]:
    named = ((element(item, node), item) for item in value)
    return {name: item for name, item in named if name is not None}


def fields_of(value: Any, node: Node | None) -> Fields:
    """List the fields that an applied configuration sets."""
    fields: Fields = set()
    _collect(value, node, (), fields)
    return fields


def _collect(value: Any, node: Node | None, path: Path, fields: Fields) -> None:
    if _granular_map(value, node):
        for name, item in value.items():
            here = (*path, member(name))
            _collect(item, node.child(name) if node is not None else None, here, fields)
            declared = node is not None and name in node.properties
            if item is None or item == {} or not declared:
                fields.add(here)
    elif node is not None and _keyed_list(value, node):
        for name, item in _elements(value, node).items():
            _collect(item, node.items, (*path, name), fields)
            fields.add((*path, name))
    else:
        fields.add(path)


@dataclass(slots=True)
class Comparison:
    """The fields in which two objects differ."""

    added: Fields = field(default_factory=set)
    modified: Fields = field(default_factory=set)
    removed: Fields = field(default_factory=set)

    @property
    def touched(self) -> Fields:
        """Fields that are new or have another value."""
        return self.added | self.modified


def compare(old: Obj, new: Obj, root: Node) -> Comparison:
    """Compare two objects field by field."""
    result = Comparison()
    _compare(old, new, root, (), result)
    return result


def _compare(old: Any, new: Any, node: Node | None, path: Path, result: Comparison) -> None:
    if _granular_map(old, node) and _granular_map(new, node):
        for name in old.keys() | new.keys():
            child = node.child(name) if node is not None else None
            here = (*path, member(name))
            _compare_parts(old.get(name, _ABSENT), new.get(name, _ABSENT), child, here, result)
    elif node is not None and _keyed_list(old, node) and _keyed_list(new, node):
        olds, others = _elements(old, node), _elements(new, node)
        for name in olds.keys() | others.keys():
            here = (*path, name)
            _compare_parts(olds.get(name, _ABSENT), others.get(name, _ABSENT), node.items, here, result)
    elif not same(old, new):
        result.modified.add(path)


_ABSENT: Any = object()


def _compare_parts(old: Any, new: Any, node: Node | None, path: Path, result: Comparison) -> None:
    if old is _ABSENT:
        _everything(new, node, path, result.added)
    elif new is _ABSENT:
        _everything(old, node, path, result.removed)
    elif not same(old, new):
        _compare(old, new, node, path, result)


def _everything(value: Any, node: Node | None, path: Path, fields: Fields) -> None:
    fields.add(path)
    if _granular_map(value, node):
        for name, item in value.items():
            _everything(item, node.child(name) if node is not None else None, (*path, member(name)), fields)
    elif node is not None and _keyed_list(value, node):
        for name, item in _elements(value, node).items():
            _everything(item, node.items, (*path, name), fields)


def merge(live: Any, applied: Any, node: Node | None) -> Any:
    """Merge an applied configuration into the live object."""
    if _granular_map(live, node) and _granular_map(applied, node):
        result = dict(live)
        for name, item in applied.items():
            child = node.child(name) if node is not None else None
            result[name] = merge(live[name], item, child) if name in live else item
        return result
    if node is not None and _keyed_list(live, node) and _keyed_list(applied, node):
        return _merge_lists(_elements(live, node), _elements(applied, node), node)
    return applied


def _merge_lists(live: dict[str, Any], applied: dict[str, Any], node: Node) -> list[Any]:
    """Keep the order of the applied elements; each other element follows its predecessor in the live list."""
    result: list[Any] = []
    pending = iter(applied.items())
    for name, item in live.items():
        if name not in applied:
            result.append(item)
            continue
        for applied_name, applied_item in pending:
            known = applied_name in live
            result.append(merge(live[applied_name], applied_item, node.items) if known else applied_item)
            if applied_name == name:
                break
    for applied_name, applied_item in pending:
        known = applied_name in live
        result.append(merge(live[applied_name], applied_item, node.items) if known else applied_item)
    return result


def remove(value: Any, fields: Fields, node: Node | None) -> Any:
    """Remove fields and everything below them; objects and lists that become empty are null."""
    return _remove(value, _tree(fields), node) if fields else value


_Tree = dict[str, Any]  # by path elements; an empty tree ends a path
_END: _Tree = {}


def _tree(fields: Fields) -> _Tree:
    root: _Tree = {}
    for path in sorted(fields, key=len):
        below = root
        for step in path[:-1]:
            below = below.setdefault(step, {})
            if below is _END:
                break  # removed with the field above it
        else:
            below[path[-1]] = _END
    return root


def _remove(value: Any, removed: _Tree, node: Node | None) -> Any:
    if _granular_map(value, node):
        kept = {}
        for name, item in value.items():
            below = removed.get(member(name))
            child = node.child(name) if node is not None else None
            if below is not _END:
                kept[name] = item if below is None else _remove(item, below, child)
        return kept or None
    if node is not None and _keyed_list(value, node):
        left = []
        for item in value:
            below = removed.get(element(item, node) or "")
            if below is not _END:
                left.append(item if below is None else _remove(item, below, node.items))
        return left or None
    return None if isinstance(value, dict | list) else value

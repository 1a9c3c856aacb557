"""The structural schema of a custom resource: pruning, defaulting, list types.

Assumes that the schema is structural (apiextensions.k8s.io/v1 serves no other). Source of the algorithms:
apiextensions-apiserver pkg/apiserver/schema/{pruning,defaulting,listtype}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj, copy, encode_plain, same
from dpf_async.sim.apiserver.wire.field_errors import FieldError, duplicate, invalid

_ABSENT: Any = object()
_TYPE_META = frozenset(("apiVersion", "kind", "metadata"))


@dataclass(slots=True, eq=False)
class Node:
    """One level of a compiled schema."""

    type: str = ""
    format: str = ""
    nullable: bool = False
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    default: Any = _ABSENT
    properties: dict[str, Node] = field(default_factory=dict)
    additional: Node | None = None
    additional_allowed: bool = False
    items: Node | None = None
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    atomic_map: bool = False
    rules: tuple[Mapping[str, Any], ...] = ()
    all_of: tuple[Node, ...] = ()
    defaults_below: bool = False
    """Whether any value inside this one has a default."""

    @property
    def has_default(self) -> bool:
        """Whether the schema has a default for this value."""
        return self.default is not _ABSENT

    def child(self, name: str) -> Node | None:
        """Find the schema of a member."""
        return self.properties.get(name) or self.additional


def compile_schema(schema: Mapping[str, Any]) -> Node:
    """Compile an openAPIV3Schema."""
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    node = Node(
        type=schema.get("type", ""),
        format=schema.get("format", ""),
        nullable=bool(schema.get("nullable")),
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(schema.get("x-kubernetes-int-or-string")),
        default=schema.get("default", _ABSENT),
        properties={name: compile_schema(sub) for name, sub in (schema.get("properties") or {}).items()},
        additional=compile_schema(additional) if isinstance(additional, Mapping) else None,
        additional_allowed=additional is True,
        items=compile_schema(items) if isinstance(items, Mapping) else None,
        list_type=schema.get("x-kubernetes-list-type", "atomic"),
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
        atomic_map=schema.get("x-kubernetes-map-type") == "atomic",
        rules=tuple(schema.get("x-kubernetes-validations", ())),
        all_of=tuple(compile_schema(sub) for sub in schema.get("allOf") or ()),
    )
    below = (*node.properties.values(), node.additional, node.items)
    node.defaults_below = any(sub.has_default or sub.defaults_below for sub in below if sub is not None)
    return node


def prune(obj: Obj, root: Node, known: Obj | None = None) -> list[str]:
    """Remove every field that is not in the schema; return their paths, sorted.

    known: an object that is already pruned, whose parts are skipped where obj shares them.
    """
    unknown: list[str] = []
    _prune_map(obj, root, "", unknown, known, resource=True)
    return sorted(unknown)


def _prune(value: Any, node: Node | None, path: str, unknown: list[str], known: Any) -> None:
    if type(value) is dict:
        _prune_map(value, node, path, unknown, known, resource=node is not None and node.embedded)
    elif type(value) is list:
        items = node.items if node is not None else None
        if node is not None and node.preserve and items is None:
            return
        for index, item in enumerate(value):
            if item.__class__ in _CONTAINERS:
                _prune(item, items, f"{path}[{index}]", unknown, None)


def _prune_map(
    value: Obj, node: Node | None, path: str, unknown: list[str], known: Any, *, resource: bool
) -> None:
    olds = known if type(known) is dict else _NO_MEMBERS
    for name, item in list(value.items()):
        if resource and name in _TYPE_META:
            continue
        child = node.child(name) if node is not None else None
        if child is not None:
            if item.__class__ in _CONTAINERS and item is not (old := olds.get(name)):
                _prune(item, child, f"{path}.{name}" if path else name, unknown, old)
        elif node is None or not (node.preserve or node.additional_allowed):
            unknown.append(f"{path}.{name}" if path else name)
            del value[name]


def apply_defaults(obj: Obj, root: Node, known: Obj | None = None) -> None:
    """Fill in defaults at every depth, and remove nulls that the schema does not allow.

    known: an object for which this was done, whose parts are skipped where obj shares them.
    """
    if root.defaults_below:
        _default(obj, root, known)
    _drop_nulls(obj, root, known)


def fill_defaults(obj: Obj, root: Node) -> None:
    """Fill in defaults at every depth; nulls without a default stay."""
    if root.defaults_below:
        _default(obj, root, None)


def _default(value: Any, node: Node, known: Any) -> None:
    if type(value) is dict:
        _default_members(value, node, known if type(known) is dict else _NO_MEMBERS)
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            if item is None and node.items.has_default and not node.items.nullable:
                value[index] = copy(node.items.default)
            if value[index].__class__ in _CONTAINERS and node.items.defaults_below:
                _default(value[index], node.items, None)


def _default_members(value: Obj, node: Node, known: Obj) -> None:
    for name, child in node.properties.items():
        if child.has_default and (name not in value or (value[name] is None and not child.nullable)):
            value[name] = copy(child.default)
    for name, item in value.items():
        old = known.get(name)
        if item is old is not None or (sub := node.child(name)) is None:
            continue
        if item is None and sub.has_default and not sub.nullable:
            value[name] = copy(sub.default)
        if value[name].__class__ in _CONTAINERS and sub.defaults_below:
            _default(value[name], sub, old)


_CONTAINERS = (dict, list)
_NO_MEMBERS: Obj = {}


def _drop_nulls(value: Any, node: Node, known: Any) -> None:
    if type(value) is dict:
        olds = known if type(known) is dict else _NO_MEMBERS
        for name in [name for name, item in value.items() if item is None]:
            child = node.child(name)
            if child is not None and not child.nullable and not child.has_default:
                del value[name]
        for name, item in value.items():
            if item.__class__ not in _CONTAINERS or item is (old := olds.get(name)):
                continue
            if (sub := node.child(name)) is not None:
                _drop_nulls(item, sub, old)
    elif type(value) is list and node.items is not None:
        for item in value:
            if item.__class__ in _CONTAINERS:
                _drop_nulls(item, node.items, None)


def list_type_errors(obj: Obj, root: Node | None, old: Obj | None = None) -> list[FieldError]:
    """Check that sets contain each value once, and map lists each key once.

    Of an update (old given), only values that have changed are checked; if the old object has errors, none.
    Source: apiextensions registry/customresource/strategy.go.
    """
    errors = _list_type_errors(obj, root, "", old)
    if errors and old is not None and _list_type_errors(old, root, "", None):
        return []
    return errors


def _list_type_errors(value: Any, node: Node | None, path: str, old: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    if node is None or (old is not None and same(value, old)):
        return errors
    if type(value) is dict:
        olds = old if type(old) is dict else {}
        for name, item in value.items():
            if item.__class__ in _CONTAINERS and (child := node.child(name)) is not None:
                member = f"{path}.{name}" if path else name
                here = member if name in node.properties else f"{path}[{name}]"
                errors += _list_type_errors(item, child, here, olds.get(name))
    elif type(value) is list:
        if node.list_type == "set":
            errors += [duplicate(f"{path}[{i}]", value[i]) for i in _repeated(value)]
        elif node.list_type == "map":
            errors += _list_map_errors(value, node, path)
        for index, item in enumerate(value):
            errors += _list_type_errors(item, node.items, f"{path}[{index}]", None)
    return errors


def _list_map_errors(value: list[Any], node: Node, path: str) -> list[FieldError]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            text = "must be an object for an array of list-type map"
            return [invalid(f"{path}[{index}]", item, text)]
    keys = [{key: item[key] for key in node.list_keys if key in item} if item else {} for item in value]
    return [duplicate(f"{path}[{i}]", keys[i]) for i in _repeated(keys)]


def _repeated(values: list[Any]) -> list[int]:
    """Indices of the second occurrence of each value; further ones are not reported."""
    seen: dict[str, int] = {}
    repeated = []
    for index, value in enumerate(values):
        key = encode_plain(value)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            repeated.append(index)
    return repeated

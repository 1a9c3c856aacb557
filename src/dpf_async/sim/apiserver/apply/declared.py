"""Validation of applied configurations: undeclared fields, wrong types, list elements without a key.

The messages are those of structured-merge-diff (typed/validate.go), which formats values as Go does.
"""

from __future__ import annotations

from typing import Any

from dpf_async.sim.apiserver.apply.fieldpaths import element, show_step
from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.field_errors import go_value


def configuration_errors(value: Any, node: Node | None, path: str = "") -> list[str]:
    """List the errors of a configuration; of the undeclared fields of one object only the first."""
    if node is None or value is None:
        return []
    if wrong := _wrong_type(value, node):
        return [f"{path}: {wrong}"]
    problems: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            child = node.child(name)
            if child is not None:
                problems += configuration_errors(item, child, f"{path}.{name}")
            elif not (node.preserve or node.additional_allowed or node.embedded):
                problems.append(f"{path}.{name}: field not declared in schema")
                break
    elif isinstance(value, list):
        if node.list_type in ("set", "map"):
            return _list_problems(value, node, path)
        for index, item in enumerate(value):
            problems += configuration_errors(item, node.items, f"{path}[{index}]")
    return problems


def _wrong_type(value: Any, node: Node) -> str:
    match node.type:
        case "integer" | "number" if type(value) not in (int, float):
            kinds = {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}
            return f"expected numeric (int or float), got {kinds[type(value)]}"
        case "string" if not isinstance(value, str):
            return f"expected string, got &value.valueUnstructured{{Value:{_with_types(value)}}}"
        case "boolean" if not isinstance(value, bool):
            return f"expected boolean, got {_shown(value)}"
        case "array" if not isinstance(value, list):
            return f"expected list, got {_shown(value)}"
        case "object" if not isinstance(value, dict):
            return f"expected map, got {_shown(value)}"
    return ""


def _shown(value: Any) -> str:
    return "&{" + _plain(value) + "}"


def _plain(value: Any) -> str:
    """Format a value as Go's %v."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case dict():
            return "map[" + " ".join(f"{name}:{_plain(item)}" for name, item in sorted(value.items())) + "]"
        case list():
            return "[" + " ".join(map(_plain, value)) + "]"
    return str(value)


def _with_types(value: Any) -> str:
    """Format a value as Go's %#v."""
    match value:
        case None:
            return "interface {}(nil)"
        case dict():
            members = (f"{go_value(name)}:{_with_types(item)}" for name, item in sorted(value.items()))
            return f"map[string]interface {{}}{{{', '.join(members)}}}"
        case list():
            return f"[]interface {{}}{{{', '.join(map(_with_types, value))}}}"
    return go_value(value)


def _list_problems(value: list[Any], node: Node, path: str) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        name = element(item, node)
        if unkeyed := _unkeyed(item, name, node):
            return [*problems, f"{path}: element {index}: {unkeyed}"]  # it reports no further elements
        label = show_step(name or "")
        if label in seen:
            problems.append(f"{path}: duplicate entries for key {label}")
        seen.add(label)
        problems += configuration_errors(item, node.items, f"{path}{label}")
    return problems


def _unkeyed(item: Any, name: str | None, node: Node) -> str:
    """Explain why an element has no key; empty if it has one."""
    if node.list_type == "set":
        prefix = "associative list without keys has an element that's"
        match item:
            case dict():
                return f"{prefix} a map type"
            case list():
                return "not supported: associative list with lists as elements"
            case None:
                return f"{prefix} an explicit null"
        return ""
    prefix = "associative list with keys"
    if item is None:
        return f"{prefix} may not have a null element"
    if not isinstance(item, dict):
        return f"{prefix} may not have non-map elements"
    if name is None:
        keys = " ".join(f'"{key}"' for key in node.list_keys)
        what = f"omits all key fields [{keys}] (and doesn't have default values for any key fields)"
        return f"{prefix} has an element that {what}"
    return ""

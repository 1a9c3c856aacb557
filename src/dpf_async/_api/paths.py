"""Paths of objects on a Kubernetes API server, and the description of objects in messages.

Source: Kubernetes API concepts, "Resource URIs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from dpf_async.errors import UsageError

if TYPE_CHECKING:
    from dpf_async.models import Resource

Query = list[tuple[str, str]]


def collection(kind: type[Resource], namespace: str) -> str:
    """The path of all objects of a kind in one namespace; every kind of DPF is namespaced.

    Source: docs/dpf/objects.md#kinds.
    """
    root = f"/apis/{kind.GROUP}/{kind.VERSION}" if kind.GROUP else f"/api/{kind.VERSION}"
    return f"{root}/namespaces/{_part(namespace)}/{kind.PLURAL}"


def item(kind: type[Resource], namespace: str, name: str, subresource: str = "") -> str:
    """The path of one object, or of a subresource of it."""
    path = f"{collection(kind, namespace)}/{_part(name)}"
    return f"{path}/{subresource}" if subresource else path


class Target(NamedTuple):
    """The object or objects that a path addresses, in the terms of a Role; empty where the path has no such part."""

    group: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""


def parse(path: str) -> Target:
    """The inverse of `collection` and `item`: "dpus/status" is the resource of a path to a subresource."""
    match [unquote(part) for part in path.split("/")]:
        case ["", "api", _, *rest]:
            group = ""
        case ["", "apis", group, _, *rest]:
            pass
        case _:
            return Target()
    match rest:
        case ["namespaces", namespace, resource, *below]:
            pass
        case [resource, *below]:
            namespace = ""
        case _:
            return Target(group)
    name, *subresource = below or [""]
    return Target(group, namespace, "/".join([resource, *subresource]), name)


def _part(name: str) -> str:
    # A proxy that normalizes the path would change its target: deletion of "." would be deletion of all objects.
    if name in {"", ".", ".."}:
        raise UsageError(f"{name!r} is not the name of an object: pass metadata.name")
    return quote(name, safe="")


def describe(kind: type[Resource], namespace: str, name: str = "") -> str:
    """The target of a request, for messages: "DPU dpu-1", or "dpus in namespace dpf-operator-system"."""
    return f"{kind.KIND} {name}" if name else f"{kind.PLURAL} in namespace {namespace}"


def selectors(label_selector: str, field_selector: str) -> Query:
    """The query parameters that narrow a list or a watch; empty selectors select everything."""
    query: Query = []
    if label_selector:
        query.append(("labelSelector", label_selector))
    if field_selector:
        query.append(("fieldSelector", field_selector))
    return query

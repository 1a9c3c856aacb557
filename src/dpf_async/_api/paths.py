"""Where things are on a Kubernetes API server, and what they are called in messages.

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
    """The path of all objects of a kind in one namespace; every kind of DPF is namespaced (dpf-facts 1.1)."""
    root = f"/apis/{kind.GROUP}/{kind.VERSION}" if kind.GROUP else f"/api/{kind.VERSION}"
    return f"{root}/namespaces/{_part(namespace)}/{kind.PLURAL}"


def item(kind: type[Resource], namespace: str, name: str, subresource: str = "") -> str:
    """The path of one object, or of a subresource of it."""
    path = f"{collection(kind, namespace)}/{_part(name)}"
    return f"{path}/{subresource}" if subresource else path


class Place(NamedTuple):
    """What a path is about, in the words of a Role; empty where it does not say."""

    group: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""


def place_of(path: str) -> Place:
    """The other way round: "dpus/status" is the resource of a path to a subresource."""
    match [unquote(part) for part in path.split("/")]:
        case ["", "api", _, *rest]:
            group = ""
        case ["", "apis", group, _, *rest]:
            pass
        case _:
            return Place()
    match rest:
        case ["namespaces", namespace, resource, *named]:
            pass
        case [resource, *named]:
            namespace = ""
        case _:
            return Place(group)
    name, *sub = named or [""]
    return Place(group, namespace, "/".join([resource, *sub]), name)


def _part(name: str) -> str:
    # Whoever normalises the path would make another one of these: the deletion of "." is that of all objects.
    if name in {"", ".", ".."}:
        raise UsageError(f"{name!r} is not the name of an object")
    return quote(name, safe="")


def words(kind: type[Resource], namespace: str, name: str = "") -> str:
    """The same in words: "DPU dpu-1", or "dpus in namespace dpf-operator-system"."""
    return f"{kind.KIND} {name}" if name else f"{kind.PLURAL} in namespace {namespace}"


def selectors(label_selector: str, field_selector: str) -> Query:
    """The query parameters that narrow a list or a watch; empty selectors select everything."""
    query: Query = []
    if label_selector:
        query.append(("labelSelector", label_selector))
    if field_selector:
        query.append(("fieldSelector", field_selector))
    return query

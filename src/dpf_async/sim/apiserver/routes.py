"""What a URL asks for: path and method become a verb on a target.

Source: apiserver pkg/endpoints/request/requestinfo.go, apiextensions customresource_handler.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from . import status
from .kinds import Registry
from .requests import Target
from .status import StatusError

_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STATUS_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch"}
_ACROSS_NAMESPACES = ("list", "watch")


@dataclass(frozen=True, slots=True)
class Route:
    """A path below /api or /apis, taken apart; verb is empty where the path has no such method."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str
    subresource: str
    verb: str

    @property
    def resource(self) -> str:
        """The resource as permissions name it."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


def parse_route(method: str, path: str, *, watch: bool) -> Route | None:
    """Take a path apart; None when it names no resource."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _of_namespace_itself(rest):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3 or not all(rest):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    verb = _verb(method, name, subresource)
    if verb == "list" and watch:
        verb = "watch"
    return Route(group, version, plural, namespace, name, subresource, verb)


def _of_namespace_itself(rest: list[str]) -> bool:
    return len(rest) == 3 and rest[2] in ("status", "finalize")


def _verb(method: str, name: str, subresource: str) -> str:
    if subresource:
        return _STATUS_VERBS.get(method, "")
    return (_ITEM_VERBS if name else _COLLECTION_VERBS).get(method, "")


def resolve(registry: Registry, route: Route) -> Target | StatusError | None:
    """Find what a route is about: a target, a refusal, or nothing there (404 as plain text)."""
    kind = registry.find(route.group, route.version, route.plural)
    if kind is None:
        return None
    version = kind.versions[route.version]
    if route.subresource and not (route.subresource == "status" and version.has_status):
        return None
    if bool(route.namespace) != kind.namespaced and (route.namespace or route.verb not in _ACROSS_NAMESPACES):
        return None
    if not route.verb or (kind.verbs and route.verb not in kind.verbs):
        return status.method_not_allowed()
    if route.verb == "deletecollection" and kind.plural == "namespaces":
        return status.method_not_allowed()
    return Target(kind, version, route.namespace, route.name, route.subresource)

"""Routes: the verb and the target of a request, from its method and path.

Source: apiserver pkg/endpoints/request/requestinfo.go, apiextensions customresource_handler.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from dpf_async.sim.apiserver.cluster.requests import Target
from dpf_async.sim.apiserver.storage.kinds import Registry
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.status import StatusError

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_COLLECTION_VERBS = {"get": "list", "delete": "deletecollection"}
_STATUS_VERBS = ("get", "update", "patch")
_ACROSS_NAMESPACES = ("list", "watch")


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed path below /api or /apis; verb is empty for an unsupported method."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str
    subresource: str
    verb: str
    method: str = ""

    @property
    def resource(self) -> str:
        """The resource as in permissions, "dpus" or "dpus/status"."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


def parse_route(method: str, path: str, *, watch: bool) -> Route | None:
    """Parse a path; None if it names no resource."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    # The deprecated path of watches.
    watch_path = rest[0] == "watch" and len(rest) > 1
    if watch_path:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _of_namespace_itself(rest):
        namespace, rest = rest[1], rest[2:]
    if not all(rest):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    verb = _VERBS.get(method, "")
    if not name:
        verb = _COLLECTION_VERBS.get(verb, verb)
    if watch_path or (verb == "list" and watch):
        verb = "watch"
    return Route(group, version, plural, namespace, name, subresource, verb, method)


def _of_namespace_itself(rest: list[str]) -> bool:
    return len(rest) == 3 and rest[2] in ("status", "finalize")


def resolve(registry: Registry, route: Route) -> Target | StatusError | None:
    """Return the target of a route, or the error to answer; None is the 404 in plain text."""
    kind = registry.find(route.group, route.version, route.plural)
    if kind is None:
        return status.no_such_path() if registry.is_built_in(route.group) else None
    version = kind.versions[route.version]
    target = Target(kind, version, route.namespace, route.name, route.subresource)
    misplaced = bool(route.namespace) != kind.namespaced and not (
        kind.namespaced and route.verb in _ACROSS_NAMESPACES
    )
    if not kind.custom:
        return _core_error(target, route, misplaced=misplaced) or target
    if misplaced:
        return None
    if route.subresource and not (route.subresource == "status" and version.has_status):
        return status.not_found(kind.resource, route.name)
    if not route.verb or (route.subresource and route.verb not in _STATUS_VERBS):
        return status.method_not_supported(kind.resource, route.verb)
    if route.verb in ("update", "patch") and not route.name:
        return status.bad_request("name must be provided")
    return target


def _core_error(target: Target, route: Route, *, misplaced: bool) -> StatusError | None:
    """The error for a path or method that a core kind does not support."""
    kind = target.kind
    if misplaced or (route.subresource and not (route.subresource == "status" and target.version.has_status)):
        return status.no_such_path()
    if kind.verbs and route.name:
        return status.no_such_path()  # objects that are not stored have no path
    allowed = {"get", "update", "patch", "delete"} if route.name else {"list", "create", "deletecollection"}
    if route.subresource:
        allowed = {*_STATUS_VERBS}
    elif kind.plural == "namespaces":
        allowed -= {"deletecollection"}
    if kind.verbs:
        allowed &= {*kind.verbs}
    if route.method == "HEAD" or route.verb not in {*allowed, *(("watch",) if not kind.verbs else ())}:
        return status.method_not_allowed()
    return None

"""HTTP of the server: one request, one response or watch stream.

Assumes aiohttp's low-level server, which calls handle() in one task per connection and cancels it when the client
disconnects.
"""

from __future__ import annotations

import anyio
from aiohttp import web

from dpf_async.sim.apiserver.cluster.cluster import Cluster
from dpf_async.sim.apiserver.faults import Faults, Request
from dpf_async.sim.apiserver.http.access import Access
from dpf_async.sim.apiserver.http.resources import Resources
from dpf_async.sim.apiserver.http.responses import (
    error_response,
    headers_with,
    json_response,
    page_not_found,
    planned_response,
)
from dpf_async.sim.apiserver.http.routes import parse_route, resolve
from dpf_async.sim.apiserver.openapi import discovery
from dpf_async.sim.apiserver.openapi.documents import OpenAPI, is_published
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Obj, encode_in_order
from dpf_async.sim.apiserver.wire.status import StatusError

_HEALTH_PATHS = ("/healthz", "/livez", "/readyz")


class HTTPServer:
    """Answers requests for one cluster."""

    def __init__(
        self, *, cluster: Cluster, access: Access, faults: Faults, resources: Resources, minor: int
    ) -> None:
        self._cluster = cluster
        self._access = access
        self._faults = faults
        self._resources = resources
        self._minor = minor
        self._openapi = OpenAPI(cluster.registry, minor=minor)
        self._stopping = anyio.Event()

    def stop(self) -> None:
        """End every watch and every stalled request."""
        self._stopping.set()
        self._resources.stop()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._serve(request)
        except StatusError as error:
            return error_response(request, error)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        user = self._access.user_of(request.headers.get("Authorization", ""))
        watching = request.query.get("watch", "false").lower() not in ("false", "0")
        route = parse_route(request.method, request.path, watch=watching)
        attributes = Request(user, request.method.lower(), "")
        if route is not None:
            attributes = Request(user, route.verb, route.resource, route.namespace, route.name)
        if self._faults.stalls(attributes):
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_on_stop, group.cancel_scope)
                await self._faults.wait_while_stalled(attributes)
                group.cancel_scope.cancel()
        if (answer := self._faults.planned_answer(attributes)) is not None:
            return planned_response(request, answer)
        self._access.check(attributes, route.group if route is not None else "", request.path)
        if route is None:
            return self._document(request)
        target = resolve(self._cluster.registry, route)
        if isinstance(target, StatusError):
            raise target
        if target is None:
            return page_not_found()
        return await self._resources.serve(request, target, attributes)

    async def _cancel_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    # Paths that are not resources

    def _document(self, request: web.BaseRequest) -> web.Response:
        if is_published(request.path):
            return self._openapi.respond(request)
        path = request.path.rstrip("/")
        if path in _HEALTH_PATHS:
            headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
            return web.Response(body=b"ok", headers=headers_with(headers))
        registry = self._cluster.registry
        parts = path.split("/")[1:]
        if request.method != "GET" and not self._of_any_method(parts):
            raise status.method_not_allowed()
        if path in ("/api", "/apis") and discovery.wants_aggregated(request.headers.get("Accept", "")):
            content = encode_in_order(discovery.aggregated(registry, legacy=path == "/api"))
            return json_response(request, content, 200, dict(discovery.AGGREGATED_HEADERS))
        document = self._discovered(parts, request.host)
        if document is None:
            if self._is_built_in(parts):
                raise status.no_such_path()
            return page_not_found()
        return json_response(request, encode_in_order(document), 200)

    def _discovered(self, parts: list[str], host: str) -> Obj | None:
        registry = self._cluster.registry
        match parts:
            case ["version"]:
                return discovery.version_document(self._minor)
            case ["api"]:
                return discovery.legacy_versions(host)
            case ["api", version]:
                return discovery.resource_list(registry, "", version)
            case ["apis"]:
                return discovery.group_list(registry)
            case ["apis", group]:
                return discovery.group(registry, group)
            case ["apis", group, version]:
                return discovery.resource_list(registry, group, version)
            case _:
                return None

    def _of_any_method(self, parts: list[str]) -> bool:
        """Whether a path answers every method: those that belong to no group of core kinds."""
        match parts:
            case ["version"] | ["api", *_]:
                return False
            case ["apis", _, _, *_]:
                return not self._is_built_in(parts)
            case _:
                return True

    def _is_built_in(self, parts: list[str]) -> bool:
        group = "" if parts[0] == "api" else (*parts, "", "")[1]
        return parts[0] in ("api", "apis") and self._cluster.registry.is_built_in(group)

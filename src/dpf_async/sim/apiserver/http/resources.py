"""The verbs of a resource: read the body, call the cluster, write the answer.

Nothing is awaited between reading a body and answering, so writes are serialized.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from dpf_async.sim.apiserver.apply.patches import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    json_patch,
    merge_patch,
    strategic_patch,
    unknown_members,
)
from dpf_async.sim.apiserver.cluster.cluster import Cluster
from dpf_async.sim.apiserver.cluster.requests import Target, WriteOptions
from dpf_async.sim.apiserver.faults import Faults, Request
from dpf_async.sim.apiserver.http import options
from dpf_async.sim.apiserver.http.access import reviewed
from dpf_async.sim.apiserver.http.bodies import (
    decode_configuration,
    decode_object,
    decode_patch,
    json_kind,
    read_body,
    read_delete_options,
    read_object_body,
)
from dpf_async.sim.apiserver.http.lists import list_objects, selection_of, wanted_version
from dpf_async.sim.apiserver.http.representations import (
    JSON,
    TABLE,
    Partials,
    Representation,
    Wanted,
    negotiate,
)
from dpf_async.sim.apiserver.http.responses import headers_with, json_response, object_response
from dpf_async.sim.apiserver.http.tables import Tables
from dpf_async.sim.apiserver.http.watches import Watch, WatchSettings
from dpf_async.sim.apiserver.storage.kinds import ACCESS_REVIEWS
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Document, Obj, encode_in_order
from dpf_async.sim.apiserver.wire.status import StatusError

# Minimum duration of watches without timeoutSeconds; at most twice as long. Source: --min-request-timeout.
_WATCH_SECONDS = 1800.0
# Timeout for sending the end of a watch to a client that does not read; chosen.
_END_TIMEOUT = 30.0


class Resources:
    """Answers requests for the objects of one cluster."""

    def __init__(
        self, *, cluster: Cluster, faults: Faults, watch_settings: WatchSettings, freshness_timeout: float
    ) -> None:
        self._cluster = cluster
        self._faults = faults
        self._watch_settings = watch_settings
        self._freshness_timeout = freshness_timeout
        self._watches: set[Watch] = set()
        self._stopping = anyio.Event()
        self._idle = anyio.Event()

    def stop(self) -> None:
        """End every watch."""
        self._stopping.set()
        for watch in list(self._watches):
            watch.end()

    @property
    def caught_up(self) -> bool:
        """Whether every watch has sent all events."""
        return all(watch.caught_up for watch in self._watches)

    async def watch_progressed(self) -> None:
        """Wait until a watch has caught up or ended."""
        if self._idle.is_set():
            self._idle = anyio.Event()
        await self._idle.wait()

    async def serve(
        self, request: web.BaseRequest, target: Target, attributes: Request
    ) -> web.StreamResponse:
        """Answer one request.

        Raises:
            StatusError: the request fails.
        """
        # Negotiated before anything is written.
        negotiate(request.headers.get("Accept", ""), streams=attributes.verb == "watch")
        match attributes.verb:
            case "get":
                return await self._get(request, target)
            case "list":
                return await self._list(request, target)
            case "watch":
                return await self._watch(request, target, attributes)
            case "create":
                return await self._create(request, target, attributes)
            case "update":
                return await self._update(request, target)
            case "patch":
                return await self._patch(request, target)
            case "delete":
                return await self._delete(request, target)
            case _:
                return await self._delete_collection(request, target)

    async def _get(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        version = request.query.get("resourceVersion", "")
        if version not in ("", "0"):
            await self._wait_for(options.parse_resource_version(version))
        shown = self._cluster.show(target, self._cluster.read(target))
        return self._answer(request, target, shown, 200)

    async def _list(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        wanted = options.list_options(request.query)
        await self._wait_for(wanted_version(wanted))
        return self._answer(request, target, list_objects(self._cluster, target, wanted), 200, many=True)

    async def _wait_for(self, version: int) -> None:
        """Wait until a resourceVersion exists, as the watch cache does.

        Raises:
            StatusError: 504 ResourceVersionTooLarge.
        """
        store = self._cluster.store
        if version <= store.revision:
            return
        reached = anyio.Event()

        def check(*_: object) -> None:
            if store.revision >= version:
                reached.set()

        store.listeners.append(check)
        try:
            with anyio.move_on_after(self._freshness_timeout):
                await reached.wait()
                return
        finally:
            store.listeners.remove(check)
        raise status.too_large_resource_version(version, store.revision)

    async def _create(
        self, request: web.BaseRequest, target: Target, attributes: Request
    ) -> web.StreamResponse:
        raw = await read_object_body(request, target)
        how = options.write_options(request.query, _user_agent(request), what="CreateOptions")
        if target.resource == ACCESS_REVIEWS:
            body = decode_object(raw, target)
            review = self._cluster.answered(
                target, body, how, lambda obj: reviewed(obj, attributes.user, self._faults)
            )
            return self._answer(request, target, review, 201, how)
        with _warning(how):
            created = self._cluster.create(target, decode_object(raw, target), how)
        return self._answer(request, target, self._cluster.show(target, created), 201, how)

    async def _update(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        raw = await read_object_body(request, target)
        how = options.write_options(request.query, _user_agent(request), what="UpdateOptions")
        with _warning(how):
            updated = self._cluster.update(target, decode_object(raw, target), how)
        return self._answer(request, target, self._cluster.show(target, updated), 200, how)

    async def _patch(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
        if not target.kind.custom:
            accepted.insert(2, STRATEGIC_PATCH)
        patch_type = request.headers.get("Content-Type", "").split(";")[0].strip()
        if patch_type not in accepted:
            raise status.unsupported_media_type(accepted)
        data = await read_body(request)
        agent = _user_agent(request)
        how = options.write_options(request.query, agent, what="PatchOptions", patch_type=patch_type)
        code = 200
        with _warning(how):
            if patch_type == APPLY_PATCH:
                changed, created = self._cluster.apply(target, decode_configuration(data), how)
                code = 201 if created else 200
            else:
                document = decode_patch(data)
                change, strict_errors = _change(patch_type, document)
                changed = self._cluster.patch(target, change, how, strict_errors=strict_errors)
        return self._answer(request, target, self._cluster.show(target, changed), code, how)

    async def _delete(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        how = options.delete_options(request.query, await read_delete_options(request))
        obj, removed = self._cluster.delete(target, how)
        if not removed:
            return self._answer(request, target, self._cluster.show(target, obj), 200)
        details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural}
        details = {name: value for name, value in details.items() if value}
        details["uid"] = obj["metadata"]["uid"]
        return json_response(request, encode_in_order(status.success(details)), 200)

    async def _delete_collection(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        wanted = options.list_options(request.query)
        how = options.delete_options(request.query, await read_delete_options(request))
        listed = list_objects(self._cluster, target, wanted)
        for item in listed["items"]:
            meta = item["metadata"]
            one = Target(target.kind, target.version, meta.get("namespace", ""), meta["name"])
            self._cluster.delete(one, how)
        return self._answer(request, target, listed, 200, many=True)

    def _answer(
        self,
        request: web.BaseRequest,
        target: Target,
        shown: Obj,
        code: int,
        how: WriteOptions | None = None,
        *,
        many: bool = False,
    ) -> web.Response:
        """Answer with an object or a list in the negotiated representation."""
        wanted = negotiate(request.headers.get("Accept", ""))
        if (representation := self._representation(request, target, wanted)) is not None:
            shown = representation.of_list(shown) if many else representation.of_object(shown)
        return object_response(request, shown, code, how)

    def _representation(
        self, request: web.BaseRequest, target: Target, wanted: Wanted
    ) -> Representation | None:
        if wanted.kind == TABLE:
            return Tables(target.version.columns, request.query, self._cluster.now, wanted.api_version)
        return Partials(wanted, target.kind) if wanted.kind else None

    # Watching

    async def _watch(
        self, request: web.BaseRequest, target: Target, attributes: Request
    ) -> web.StreamResponse:
        wanted = options.list_options(request.query)
        shape = negotiate(request.headers.get("Accept", ""), streams=True)
        if target.name:
            wanted = options.of_one_object(wanted, target.name)
        selection = selection_of(target, wanted)
        start: int | None = None
        failure: StatusError | None = None
        if wanted.resource_version not in ("", "0"):
            start = options.parse_resource_version(wanted.resource_version)
            if wanted.send_initial_events:
                try:
                    await self._wait_for(start)
                except StatusError as error:
                    failure = error  # sent as an event
                start = None
        if self._stopping.is_set():
            raise StatusError(503, "ServiceUnavailable", "the server is shutting down")
        watch = Watch(
            cluster=self._cluster,
            target=target,
            options=wanted,
            selection=selection,
            start=start,
            settings=self._watch_settings,
            faults=self._faults,
            request=attributes,
            on_idle=self._notify_idle,
            representation=self._representation(request, target, shape),
            failure=failure,
        )
        response = web.StreamResponse(headers=headers_with({"Content-Type": JSON}))
        response.enable_chunked_encoding()
        self._watches.add(watch)
        try:
            await response.prepare(request)
            timeout = wanted.timeout or _WATCH_SECONDS * (1 + random.random())  # noqa: S311 - jitter
            with self._faults.droppable(_dropper(watch, request)):
                await watch.run(response.write, timeout=timeout)
            await self._send_end(response, request)
        except (ClientConnectionResetError, ConnectionResetError):
            pass  # the client has disconnected, or drop_watches has reset the connection
        finally:
            self._watches.discard(watch)
            self._notify_idle()
        return response

    async def _send_end(self, response: web.StreamResponse, request: web.BaseRequest) -> None:
        """Send the terminating chunk; abort the connection of a client that does not read it."""
        with anyio.move_on_after(0 if self._stopping.is_set() else _END_TIMEOUT) as scope:
            await response.write_eof()
        if scope.cancelled_caught and request.transport is not None:
            request.transport.abort()

    def _notify_idle(self) -> None:
        self._idle.set()


def _dropper(watch: Watch, request: web.BaseRequest) -> Callable[[bool], None]:
    def drop(reset: bool) -> None:
        transport = request.transport
        if reset and transport is not None:
            connection = transport.get_extra_info("socket")
            if connection is not None:
                # Closing with a linger of zero sends RST instead of FIN.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        watch.end()

    return drop


@contextmanager
def _warning(how: WriteOptions) -> Iterator[None]:
    """Add the warnings of a write to the error if it fails."""
    try:
        yield
    except StatusError as error:
        error.warnings = [*how.warnings, *error.warnings]
        raise


def _change(patch_type: str, document: Document) -> tuple[Callable[[Obj], Any], list[str]]:
    """Return the function that applies a patch, and the errors of a strict decoder."""
    patch = document.value
    if patch_type == JSON_PATCH:
        if patch is not None and not isinstance(patch, list):
            raise _unmarshal_error(patch, "[]handlers.jsonPatchOp")
        strict_errors = [*document.strict_errors, *unknown_members(patch)]
        return lambda obj: json_patch(obj, patch or []), [f"json patch {text}" for text in strict_errors]
    if patch is None and patch_type == MERGE_PATCH:
        raise status.bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        prefix = "" if patch_type == STRATEGIC_PATCH else "error decoding patch: "
        raise _unmarshal_error(patch, "map[string]interface {}", prefix)
    if patch_type == STRATEGIC_PATCH:
        return lambda obj: strategic_patch(obj, patch), document.strict_errors
    return lambda obj: merge_patch(obj, patch), document.strict_errors


def _unmarshal_error(patch: Any, go: str, prefix: str = "error decoding patch: ") -> StatusError:
    return status.bad_request(f"{prefix}json: cannot unmarshal {json_kind(patch)} into Go value of type {go}")


def _user_agent(request: web.BaseRequest) -> str:
    return request.headers.get("User-Agent", "")

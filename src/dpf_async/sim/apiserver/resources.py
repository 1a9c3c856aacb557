"""What each verb does with a request for objects: read the body, ask the cluster, write the answer.

Between reading a body and answering nothing waits, so writes happen one at a time.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from typing import Any

import anyio
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from . import options, status
from .access import reviewed
from .bodies import JSON, decode_object, decode_patch, read_body, read_delete_options, read_object_body
from .cluster import Cluster
from .codec import Obj, decode_json, decode_yaml, encode_in_order
from .faults import Faults, Request
from .kinds import ACCESS_REVIEWS
from .lists import list_objects, selection_of, wanted_version
from .patches import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    json_patch,
    merge_patch,
    strategic_patch,
)
from .requests import Body, Target, WriteOptions
from .responses import headers_with, json_response, object_response
from .status import StatusError
from .tables import Tables, wants_table
from .watches import Watch, WatchSettings

# Watches without timeoutSeconds live this long, up to twice. Source: --min-request-timeout.
_WATCH_SECONDS = 1800.0
# How long the end of a watch may take to reach a client that does not read; chosen.
_GOODBYE_SECONDS = 30.0


class Resources:
    """Serves the objects of one cluster."""

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
        """Whether no watch has anything left to send."""
        return all(watch.caught_up for watch in self._watches)

    async def watch_progressed(self) -> None:
        """Wait until a watch has caught up or ended."""
        if self._idle.is_set():
            self._idle = anyio.Event()
        await self._idle.wait()

    async def serve(self, request: web.BaseRequest, target: Target, asked: Request) -> web.StreamResponse:
        """Answer one request.

        Raises:
            StatusError: what the API server would answer instead.
        """
        match asked.verb:
            case "get":
                return await self._get(request, target)
            case "list":
                return await self._list(request, target)
            case "watch":
                return await self._watch(request, target, asked)
            case "create":
                return await self._create(request, target, asked)
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
        asked = options.list_options(request.query)
        await self._wait_for(wanted_version(asked))
        return self._answer(request, target, list_objects(self._cluster, target, asked), 200, many=True)

    async def _wait_for(self, version: int) -> None:
        """Wait until a resourceVersion exists, as the watch cache would.

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

    async def _create(self, request: web.BaseRequest, target: Target, asked: Request) -> web.StreamResponse:
        raw = await read_object_body(request, target)
        if target.resource == ACCESS_REVIEWS:
            review = decode_object(raw, target).value
            return json_response(request, encode_in_order(reviewed(review, asked.user, self._faults)), 201)
        how = options.write_options(request.query, _user_agent(request), what="CreateOptions")
        created = self._cluster.create(target, decode_object(raw, target), how)
        return self._answer(request, target, self._cluster.show(target, created), 201, how)

    async def _update(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        raw = await read_object_body(request, target)
        how = options.write_options(request.query, _user_agent(request), what="UpdateOptions")
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
        if patch_type == APPLY_PATCH:
            document = decode_patch(decode_yaml, data, "error decoding YAML: ")
            if not isinstance(document.value, dict):
                text = "json: cannot unmarshal non-object into Go value of type map[string]interface {}"
                raise status.bad_request(f"error decoding YAML: {text}")
            changed, created = self._cluster.apply(target, Body(document.value, document.strict_errors), how)
            code = 201 if created else 200
        else:
            document = decode_patch(decode_json, data, "error decoding patch: ")
            change = _change(patch_type, document.value)
            changed = self._cluster.patch(target, change, how, strict_errors=document.strict_errors)
        return self._answer(request, target, self._cluster.show(target, changed), code, how)

    async def _delete(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        how = options.delete_options(request.query, await read_delete_options(request))
        obj, gone = self._cluster.delete(target, how)
        if not gone:
            return self._answer(request, target, self._cluster.show(target, obj), 200)
        details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural}
        details = {name: value for name, value in details.items() if value}
        details["uid"] = obj["metadata"]["uid"]
        return json_response(request, encode_in_order(status.success(details)), 200)

    async def _delete_collection(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        asked = options.list_options(request.query)
        how = options.delete_options(request.query, await read_delete_options(request))
        listed = list_objects(self._cluster, target, asked)
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
        """Answer with an object or a list of them, as a Table if that is what the client prefers."""
        if (tables := self._tables(request, target)) is not None:
            table = tables.of_list(shown) if many else tables.of_object(shown)
            return json_response(request, encode_in_order(table), code)
        return object_response(request, shown, code, how)

    def _tables(self, request: web.BaseRequest, target: Target) -> Tables | None:
        if not wants_table(request.headers.get("Accept", "")):
            return None
        return Tables(target.version.columns, request.query, self._cluster.now)

    # Watching

    async def _watch(self, request: web.BaseRequest, target: Target, asked: Request) -> web.StreamResponse:
        wanted = options.list_options(request.query)
        selection = selection_of(target, wanted)
        start = None
        if wanted.resource_version not in ("", "0"):
            start = options.parse_resource_version(wanted.resource_version)
            if wanted.send_initial_events:
                await self._wait_for(start)
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
            request=asked,
            on_idle=self._notify_idle,
            tables=self._tables(request, target),
        )
        response = web.StreamResponse(headers=headers_with({"Content-Type": JSON}))
        response.enable_chunked_encoding()
        self._watches.add(watch)
        try:
            await response.prepare(request)
            timeout = wanted.timeout or _WATCH_SECONDS * (1 + random.random())  # noqa: S311 - jitter
            with self._faults.droppable(_dropper(watch, request)):
                await watch.run(response.write, timeout=timeout)
            await self._say_goodbye(response, request)
        except (ClientConnectionResetError, ConnectionResetError):
            pass  # the client is gone, or drop_watches has cut the connection
        finally:
            self._watches.discard(watch)
            self._notify_idle()
        return response

    async def _say_goodbye(self, response: web.StreamResponse, request: web.BaseRequest) -> None:
        """End cleanly, with a terminating chunk; a client that does not read it is cut off."""
        with anyio.move_on_after(0 if self._stopping.is_set() else _GOODBYE_SECONDS) as patience:
            await response.write_eof()
        if patience.cancelled_caught and request.transport is not None:
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


def _change(patch_type: str, patch: Any) -> Callable[[Obj], Any]:
    if patch_type == JSON_PATCH:
        if not isinstance(patch, list):
            raise _wrong_patch(patch, "[]handlers.jsonPatchOp")
        return lambda obj: json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise _wrong_patch(patch, "map[string]interface {}")
    if patch_type == STRATEGIC_PATCH:
        return lambda obj: strategic_patch(obj, patch)
    return lambda obj: merge_patch(obj, patch)


def _wrong_patch(patch: Any, go: str) -> StatusError:
    kinds = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    text = f"cannot unmarshal {kinds.get(type(patch), 'null')} into Go value of type {go}"
    return status.bad_request(f"error decoding patch: json: {text}")


def _user_agent(request: web.BaseRequest) -> str:
    return request.headers.get("User-Agent", "")

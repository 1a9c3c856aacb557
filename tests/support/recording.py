"""Records which permissions the requests of a client require.

The records are made at the transport of the client, below everything that decides what to send.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from dpf_async import DPFClient, Permission
from dpf_async._api.resource import APPLY_PATCH

if TYPE_CHECKING:
    import pytest

    from dpf_async._api.transport import Answer, Stream

__all__ = ["Recorder", "permissions_of"]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def permissions_of(method: str, path: str, content_type: str = "", *, watch: bool = False) -> set[Permission]:
    """The permissions that a request requires; none if it is not about objects in a namespace.

    Server-side apply requires "create" as well, because the object may not exist. A subresource is part of it:
    "dpus/status" (Kubernetes, "Determine the Request Verb" and "Server-Side Apply").
    """
    _, prefix, *rest = path.split("/")
    group = "" if prefix == "api" else rest.pop(0) if rest else ""
    if len(rest) < 4 or rest[1] != "namespaces":
        return set()
    resource, name, *subresource = [*rest[3:], ""] if len(rest) == 4 else rest[3:]
    resource = "/".join([resource, *subresource])
    if method == "GET":
        return {Permission(group, resource, "watch" if watch else "get" if name else "list", name)}
    verb = "deletecollection" if method == "DELETE" and not name else _VERBS[method]
    verbs = {verb, "create"} if content_type == APPLY_PATCH else {verb}
    return {Permission(group, resource, verb, name) for verb in verbs}


class Recorder:
    """Records the permissions by the operation for which a client was created.

    Attributes:
        sent: for each operation every permission that a request required, with the name of the object if it had one.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: dict[str, set[Permission]] = defaultdict(set)
        self._monkeypatch = monkeypatch
        self._added = anyio.Event()

    def observe(self, operation: str, dpf: DPFClient) -> DPFClient:
        """Record all requests of an entered client from now on, and return it."""
        transport = dpf._entered.transport
        request, stream = transport.request, transport.stream

        async def recorded_request(
            method: str, path: str, *, content_type: str = "application/json", **options: Any
        ) -> Answer:
            self._add(operation, permissions_of(method, path, content_type))
            answer: Answer = await request(method, path, content_type=content_type, **options)
            return answer

        @asynccontextmanager
        async def recorded_stream(
            path: str, *, query: Sequence[tuple[str, str]] = ()
        ) -> AsyncIterator[Stream]:
            self._add(operation, permissions_of("GET", path, watch=True))
            async with stream(path, query=query) as opened:
                yield opened

        self._monkeypatch.setattr(transport, "request", recorded_request)
        self._monkeypatch.setattr(transport, "stream", recorded_stream)
        return dpf

    async def until_sent(self, operation: str, verb: str, resource: str) -> None:
        """Wait until a request of the operation required this verb on this resource."""
        while not any((one.verb, one.resource) == (verb, resource) for one in self.sent[operation]):
            await self._added.wait()

    def _add(self, operation: str, permissions: set[Permission]) -> None:
        self.sent[operation] |= permissions
        self._added.set()
        self._added = anyio.Event()

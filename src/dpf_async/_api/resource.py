"""Typed create, read, update and delete of any kind.

Each call is one request, and one result: a model, or an error that names the object. Only 429 is retried, since the
server has not processed such a request. Waits and watches are in the layers above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
import msgspec

from dpf_async._api import paths
from dpf_async._api.codec import (
    UNREADABLE,
    Codec,
    ObjectState,
    Page,
    Undecodable,
    decode_model,
    undecodable_of,
)
from dpf_async._api.feed import PAGE_SIZE, Feed
from dpf_async._api.transport import is_json
from dpf_async.errors import (
    Conflict,
    ConnectionFailed,
    DecodeError,
    Gone,
    Invalid,
    TooManyRequests,
    UsageError,
)
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dpf_async._api.transport import Answer, Transport

T = TypeVar("T", bound=Resource)

FIELD_MANAGER: Final = "dpf-async"
"""The default field manager."""

_THROTTLED_ATTEMPTS: Final = 5
_LIST_ATTEMPTS: Final = 3
NOT_JSON: Final = "the answer is not JSON; check the proxies before the API server"

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class ResourceList(Generic[T]):
    """A consistent list: all objects at one resourceVersion.

    Attributes:
        items: the objects, as models.
        resource_version: of the list; a watch from it misses no event.
        undecodable: the objects whose bytes do not match the model; the others are not affected.
    """

    items: tuple[T, ...]
    resource_version: str
    undecodable: tuple[Undecodable, ...] = ()


class ResourceClient(Generic[T]):
    """The objects of one kind in one namespace. Get one from DPFClient.resource."""

    def __init__(
        self, transport: Transport, kind: type[T], namespace: str, *, field_manager: str = FIELD_MANAGER
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self._transport = transport
        self._codec = Codec(kind)
        self.field_manager = field_manager
        self._manager = ("fieldManager", field_manager)

    async def get(self, name: str) -> T:
        """Read one object, from the most recent state.

        Raises:
            NotFound: no object has this name.
            APIError, ConnectionFailed: it could not be read.
            DecodeError: it does not match the model.
        """
        return self._model(await self._call("GET", name))

    async def get_state(self, name: str) -> ObjectState[T]:
        """Read one object as `get` does, but decode only its record, which levels and views are evaluated against.

        Raises:
            NotFound: no object has this name.
            APIError, ConnectionFailed: it could not be read.
            DecodeError: it is not an object of this kind.
        """
        return self._codec.read_object((await self._call("GET", name)).body)

    async def list(self, *, label_selector: str = "", field_selector: str = "") -> ResourceList[T]:
        """Read all objects that match both selectors, at one resourceVersion, in pages.

        If the continue token of a page expires, the list starts again from the first page; pages of two
        resourceVersions are never combined, since the result could contain deleted objects (docs/watching.md#pages).

        Raises:
            APIError, ConnectionFailed, DecodeError: they could not be read.
        """
        page = await self.list_states(label_selector=label_selector, field_selector=field_selector)
        items: list[T] = []
        undecodable = [*page.undecodable]
        for state in page.items:
            try:
                items.append(state.object)
            except DecodeError as error:
                undecodable.append(undecodable_of(state, error))
        return ResourceList(tuple(items), page.resource_version, tuple(undecodable))

    async def list_states(self, *, label_selector: str = "", field_selector: str = "") -> Page[T]:
        """List objects as `list` does, but decode only their records; an object whose model cannot be read is included.

        Raises:
            APIError, ConnectionFailed, DecodeError: they could not be read.
        """
        feed = Feed(
            self._transport,
            self.kind,
            self.namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        for attempt in range(_LIST_ATTEMPTS):
            try:
                return await _read_all(feed, limit=PAGE_SIZE if attempt == 0 else 0)
            except Gone:
                if attempt == _LIST_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        """Create an object; return it as the server stored it, with its uid and defaults.

        Args:
            obj: the object to create; it is created in the namespace of this client.
            dry_run: the server validates the request and stores nothing.

        Raises:
            AlreadyExists: an object of this name exists; `.terminating` if it is being deleted.
            Invalid: the object violates a rule; `.causes` has the fields.
        """
        query = [self._manager, ("fieldValidation", "Strict"), *_dry(dry_run)]
        return self._model(await self._call("POST", "", body=self._wire(obj), query=query, about=obj.name))

    async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
        """Server-side apply: write the fields set in obj, or create the object; no other field is modified.

        Args:
            obj: the fields to own, with metadata.name.
            force: take ownership of fields from other field managers; False raises Conflict instead.
            dry_run: the server validates the request and stores nothing.

        Raises:
            Conflict: another field manager owns a field, and force is False.
            Invalid: the object violates a rule; `.causes` has the fields.
        """
        query = [
            self._manager,
            ("fieldValidation", "Strict"),
            ("force", "true" if force else "false"),
            *_dry(dry_run),
        ]
        return self._model(
            await self._call("PATCH", obj.name, body=self._wire(obj), content_type=APPLY_PATCH, query=query)
        )

    async def patch(
        self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, uid: str | None = None
    ) -> T:
        """Change parts of an object: a mapping is a JSON merge patch (RFC 7386), a sequence a JSON patch (RFC 6902).

        A merge patch with metadata.resourceVersion is rejected if the object has another resourceVersion.

        Args:
            name: of the object.
            patch: the change.
            uid: precondition: do not change an object that was re-created under this name; for merge patches.

        Raises:
            NotFound: no object has this name.
            Conflict: the object has another uid, or another resourceVersion than the patch.
            Invalid: the result would violate a rule.
        """
        if uid is None:
            return await self._patch(name, patch, "")
        if not isinstance(patch, Mapping):
            raise UsageError("uid= requires a merge patch; in a JSON patch, add a test of /metadata/uid")
        try:
            return await self._patch(
                name, {**patch, "metadata": {**patch.get("metadata", {}), "uid": uid}}, ""
            )
        except Invalid as error:
            if not any(cause.field == "metadata.uid" for cause in error.causes):
                raise
            # Patches have no uid precondition: the server rejects the patch because it would change the uid.
            raise Conflict(
                f"PATCH {self.kind.KIND} {name}: the object was re-created and its uid is not {uid}; read it again",
                status=409,
                reason="Conflict",
                method=error.method,
                path=error.path,
                object=error.object,
            ) from error

    async def patch_status(self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> T:
        """Patch the status subresource: nothing but status is modified.

        Raises:
            NotFound: no object has this name.
            UsageError: the kind has no status subresource.
        """
        if not self.kind.HAS_STATUS:
            raise UsageError(f"{self.kind.KIND} has no status subresource: use patch()")
        return await self._patch(name, patch, "status")

    async def delete(self, name: str, *, uid: str | None = None, dry_run: bool = False) -> T | None:
        """Request the deletion of an object.

        Args:
            name: of the object.
            uid: precondition: do not delete an object that was re-created under this name.
            dry_run: the server validates the request and deletes nothing.

        Returns:
            The object with its deletionTimestamp if finalizers remain; None if it was deleted.

        Raises:
            NotFound: no object has this name.
            Conflict: the object has another uid.
        """
        remaining, _ = await self._delete(name, uid=uid, dry_run=dry_run)
        return remaining

    async def _delete(self, name: str, *, uid: str | None, dry_run: bool) -> tuple[T | None, str]:
        """The object while finalizers remain, or None; and its uid, empty if the server did not return it."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if dry_run:
            # In the body: if there is one, the server ignores the query (apiserver, handlers/delete.go).
            options["dryRun"] = ["All"]
        # A deletion with a uid precondition is idempotent.
        body = msgspec.json.encode(options)
        answer = await self._call("DELETE", name, body=body, repeatable=uid is not None)
        deletion = _decode(answer.body, _Deletion, f"DELETE {self.kind.KIND} {name}")
        if deletion.kind == "Status":
            return None, deletion.details.uid if deletion.details is not None else ""
        remaining = self._model(answer)
        return remaining, remaining.uid

    async def server_version(self) -> str:
        """The version of the API server, such as "v1.34.1".

        Raises:
            APIError, ConnectionFailed: it could not be read.
        """
        path = "/version"
        answer = await self._transport.request("GET", path)
        if answer.status >= 300:
            raise self._transport.refusal(
                answer.status, answer.headers, answer.body, method="GET", path=path, target="version"
            )
        if not is_json(answer.headers):
            raise ConnectionFailed(f"GET {path}: {NOT_JSON}")
        return _decode(answer.body, _Version, f"GET {path}").git_version

    async def _patch(
        self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str
    ) -> T:
        return self._model(
            await self._call(
                "PATCH",
                name,
                subresource=subresource,
                body=msgspec.json.encode(patch),
                content_type=JSON_PATCH if isinstance(patch, list | tuple) else MERGE_PATCH,
                query=[self._manager],
            )
        )

    async def _call(
        self,
        method: str,
        name: str,
        *,
        subresource: str = "",
        body: bytes | None = None,
        content_type: str = JSON,
        query: Sequence[tuple[str, str]] = (),
        about: str = "",
        repeatable: bool = False,
    ) -> Answer:
        if not name and method != "POST":
            raise UsageError(f"{method} {self.kind.KIND}: the name is empty; pass metadata.name")
        path = (
            paths.item(self.kind, self.namespace, name, subresource)
            if name
            else paths.collection(self.kind, self.namespace)
        )
        target = paths.describe(self.kind, self.namespace, name or about)

        async def call() -> Answer:
            answer = await self._transport.request(
                method, path, query=query, body=body, content_type=content_type, repeatable=repeatable
            )
            if answer.status >= 300:
                raise self._transport.refusal(
                    answer.status, answer.headers, answer.body, method=method, path=path, target=target
                )
            if not is_json(answer.headers):
                raise ConnectionFailed(f"{method} {target}: {NOT_JSON}")
            return answer

        return await retry_throttled(call)

    def _wire(self, obj: T) -> bytes:
        wire = obj.to_wire()
        wire["metadata"]["namespace"] = self.namespace
        return msgspec.json.encode(wire)

    def _model(self, answer: Answer) -> T:
        return decode_model(self.kind, answer.body)


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


class _DeletionDetails(msgspec.Struct):
    uid: str = ""


class _Deletion(msgspec.Struct):
    """The answer to a DELETE: the object if finalizers remain, else a Status with the uid in its details."""

    kind: str = ""
    details: _DeletionDetails | None = None


S = TypeVar("S", bound=msgspec.Struct)
A = TypeVar("A")


def _decode(body: bytes, type_: type[S], request: str) -> S:
    try:
        return msgspec.json.decode(body, type=type_)
    except UNREADABLE as error:
        raise DecodeError(f"the answer to {request} cannot be read: {error}") from error


def _dry(dry_run: bool) -> Sequence[tuple[str, str]]:
    return [("dryRun", "All")] if dry_run else []


async def retry_throttled(request: Callable[[], Awaitable[A]]) -> A:
    """Send a request, and repeat it up to four times after 429 and the seconds that the server asks to wait."""
    for _ in range(_THROTTLED_ATTEMPTS - 1):
        try:
            return await request()
        except TooManyRequests as error:
            await anyio.sleep(error.retry_after or 1.0)
    return await request()


async def _read_all(feed: Feed[T], *, limit: int) -> Page[T]:
    items: list[ObjectState[T]] = []
    undecodable: list[Undecodable] = []
    continue_ = ""
    while True:
        page = await retry_throttled(partial(feed.page, limit=limit, continue_=continue_))
        items += page.items
        undecodable += page.undecodable
        continue_ = page.continue_
        if not continue_:
            return Page(items, undecodable, page.resource_version, "")

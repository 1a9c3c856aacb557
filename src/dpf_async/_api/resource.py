"""Typed create, read, update and delete of any kind.

Each call is one request, and one answer: a model, or an error that names the object. Only 429 is tried again, since the
server says that nothing was done. Waiting and watching live further up the corridor.
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
"""Who we are in managedFields, unless somebody says otherwise."""

_THROTTLED_TRIES: Final = 5
_LIST_TRIES: Final = 3

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class ResourceList(Generic[T]):
    """A list as it was at one moment.

    Attributes:
        items: the objects, as models.
        resource_version: of the list; a watch from here misses nothing.
        undecodable: the objects whose bytes are not what the model says; the others are not affected.
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
            NotFound: there is none of that name.
            APIError, ConnectionFailed: it could not be read.
            DecodeError: it is not what the model says.
        """
        return self._model(await self._call("GET", name))

    async def snapshot(self, name: str) -> ObjectState[T]:
        """The same as `get`, but only its record decoded: what levels and views are asked about.

        Raises:
            NotFound: there is none of that name.
            APIError, ConnectionFailed: it could not be read.
            DecodeError: it is no object of this kind.
        """
        return self._codec.read_object((await self._call("GET", name)).body)

    async def list(self, *, label_selector: str = "", field_selector: str = "") -> ResourceList[T]:
        """Read all objects that match both selectors, from one moment, in pages.

        A page whose token expired starts the list over; tokens of two moments are never mixed, since that can show
        objects that are gone (reliability 1.5).

        Raises:
            APIError, ConnectionFailed, DecodeError: it could not be read.
        """
        page = await self.snapshots(label_selector=label_selector, field_selector=field_selector)
        items: list[T] = []
        undecodable = [*page.undecodable]
        for snapshot in page.items:
            try:
                items.append(snapshot.object)
            except DecodeError as error:
                undecodable.append(undecodable_of(snapshot, error))
        return ResourceList(tuple(items), page.resource_version, tuple(undecodable))

    async def snapshots(self, *, label_selector: str = "", field_selector: str = "") -> Page[T]:
        """The same as `list`, but only their records decoded: an object whose model cannot be read is among them.

        Raises:
            APIError, ConnectionFailed, DecodeError: it could not be read.
        """
        feed = Feed(
            self._transport,
            self.kind,
            self.namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        for attempt in range(_LIST_TRIES):
            try:
                return await _read_all(feed, limit=PAGE_SIZE if attempt == 0 else 0)
            except Gone:
                if attempt == _LIST_TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        """Create an object; return it as the server stored it, with its uid and defaults.

        Args:
            obj: what to create; its namespace is this client's.
            dry_run: have the server check everything and store nothing.

        Raises:
            AlreadyExists: there is one of that name, or it is still on its way out (`.terminating`).
            Invalid: it breaks a rule; `.causes` says which fields.
        """
        query = [self._manager, ("fieldValidation", "Strict"), *_dry(dry_run)]
        return self._model(await self._call("POST", "", body=self._wire(obj), query=query, about=obj.name))

    async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
        """Server-side apply: make the fields set in obj so, creating the object if need be; leave all others alone.

        Args:
            obj: the fields to own, with metadata.name.
            force: take fields over from other managers; False makes that a Conflict.
            dry_run: have the server check everything and store nothing.

        Raises:
            Conflict: another field manager owns a field, and force is False.
            Invalid: it breaks a rule; `.causes` says which fields.
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

        With metadata.resourceVersion in it, a merge patch is refused for any other state of the object.

        Args:
            name: of the object.
            patch: the change.
            uid: change only this very object, not another one that has its name meanwhile; for merge patches.

        Raises:
            NotFound: there is none of that name.
            Conflict: the one of that name has another uid, or another resourceVersion than the patch says.
            Invalid: the result would break a rule.
        """
        if uid is None:
            return await self._patch(name, patch, "")
        if not isinstance(patch, Mapping):
            raise UsageError("uid= goes with a merge patch; in a JSON patch, test /metadata/uid first")
        try:
            return await self._patch(
                name, {**patch, "metadata": {**patch.get("metadata", {}), "uid": uid}}, ""
            )
        except Invalid as error:
            if not any(cause.field == "metadata.uid" for cause in error.causes):
                raise
            # The server has no precondition for patches; it finds that the uid would change, and refuses that.
            raise Conflict(
                f"PATCH {self.kind.KIND} {name}: the one of that name is another object now, not {uid}",
                status=409,
                reason="Conflict",
                method=error.method,
                path=error.path,
                object=error.object,
            ) from error

    async def patch_status(self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> T:
        """The same, on the status subresource: everything but status is left alone.

        Raises:
            NotFound: there is none of that name.
            UsageError: the kind has no status subresource.
        """
        if not self.kind.HAS_STATUS:
            raise UsageError(f"{self.kind.KIND} has no status subresource: patch the object itself")
        return await self._patch(name, patch, "status")

    async def delete(self, name: str, *, uid: str | None = None, dry_run: bool = False) -> T | None:
        """Ask for an object's deletion.

        Args:
            name: of the object.
            uid: delete only this very object, not another one that has its name meanwhile.
            dry_run: have the server check everything and delete nothing.

        Returns:
            The object on its way out while finalizers hold it; None if it is gone.

        Raises:
            NotFound: there is none of that name.
            Conflict: the one of that name has another uid.
        """
        left, _ = await self._delete(name, uid=uid, dry_run=dry_run)
        return left

    async def _delete(self, name: str, *, uid: str | None, dry_run: bool) -> tuple[T | None, str]:
        """The object on its way out, or None; and its uid, as far as the server tells."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if dry_run:
            # In the body: with one, the server does not look at the query (apiserver, handlers/delete.go).
            options["dryRun"] = ["All"]
        # With its uid, a deletion that was done already does nothing more.
        body = msgspec.json.encode(options)
        answer = await self._call("DELETE", name, body=body, repeatable=uid is not None)
        told = _decode(answer.body, _Deletion, f"deletion of {self.kind.KIND} {name}")
        if told.kind == "Status":
            return None, told.details.uid if told.details is not None else ""
        left = self._model(answer)
        return left, left.uid

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
            raise ConnectionFailed(f"GET {path}: answered with something that is not JSON")
        return _decode(answer.body, _Version, path).git_version

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
            raise UsageError(f"{method} {self.kind.KIND}: the name is empty")
        path = (
            paths.item(self.kind, self.namespace, name, subresource)
            if name
            else paths.collection(self.kind, self.namespace)
        )
        target = paths.words(self.kind, self.namespace, name or about)

        async def call() -> Answer:
            answer = await self._transport.request(
                method, path, query=query, body=body, content_type=content_type, repeatable=repeatable
            )
            if answer.status >= 300:
                raise self._transport.refusal(
                    answer.status, answer.headers, answer.body, method=method, path=path, target=target
                )
            if not is_json(answer.headers):
                raise ConnectionFailed(f"{method} {target}: answered with something that is not JSON")
            return answer

        return await patiently(call)

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
    """The object, if finalizers hold it; else a Status whose details name it."""

    kind: str = ""
    details: _DeletionDetails | None = None


S = TypeVar("S", bound=msgspec.Struct)
A = TypeVar("A")


def _decode(body: bytes, type_: type[S], what: str) -> S:
    try:
        return msgspec.json.decode(body, type=type_)
    except UNREADABLE as error:
        raise DecodeError(f"the answer about {what} cannot be read: {error}") from error


def _dry(dry_run: bool) -> Sequence[tuple[str, str]]:
    return [("dryRun", "All")] if dry_run else []


async def patiently(request: Callable[[], Awaitable[A]]) -> A:
    """Do what the server asks for when it is busy: wait as long as it says, and ask again; a few times."""
    for _ in range(_THROTTLED_TRIES - 1):
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
        page = await patiently(partial(feed.page, limit=limit, continue_=continue_))
        items += page.items
        undecodable += page.undecodable
        continue_ = page.continue_
        if not continue_:
            return Page(items, undecodable, page.resource_version, "")

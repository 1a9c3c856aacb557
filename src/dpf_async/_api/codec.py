"""Decodes the bytes of the API server to records, once per object, and to full models on request.

One object that cannot be decoded does not end a stream: it becomes an Undecodable, delivered like any other update.
A line that is not a watch event becomes a Malformed; the rest of that stream cannot be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
from pydantic import ValidationError

from dpf_async._api.records import RECORDS, ConditionRecord, Envelope, Record
from dpf_async._api.text import printable
from dpf_async.errors import DecodeError
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

S = TypeVar("S")
T = TypeVar("T", bound=Resource)
T_co = TypeVar("T_co", bound=Resource, covariant=True)

LIVE: Final = frozenset(("ADDED", "MODIFIED", "DELETED"))
"""Event types that carry an object's state (Kubernetes API concepts, "Efficient detection of changes")."""


class ObjectState(msgspec.Struct, Generic[T_co], gc=False, frozen=True):
    """One state of one object as the API server returned it: its record, and the bytes it was decoded from.

    The full model is built on each access to `object` and not kept: a garbage collection that traverses models of
    10,000 DPUs stops the process for 520 ms, against 27 ms for records and bytes (docs/watching.md#garbage-collection).
    """

    kind: type[T_co]
    record: Record
    raw: bytes
    enveloped: bool
    """True: `raw` is a complete line of a watch, which contains the object. False: `raw` is the object."""

    def __repr__(self) -> str:
        # Without the bytes: they are long, and may be those of a Secret.
        return f"<ObjectState {self.kind.KIND} {self.name!r} at {self.resource_version}>"

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.record.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace; empty for a cluster-scoped kind."""
        return self.record.metadata.namespace or ""

    @property
    def uid(self) -> str:
        """metadata.uid: the identity of the object; a re-created object has the same name and another uid."""
        return self.record.metadata.uid

    @property
    def resource_version(self) -> str:
        """metadata.resourceVersion."""
        return self.record.metadata.resource_version

    @property
    def terminating(self) -> bool:
        """Deletion was requested (deletionTimestamp is set); the object exists until its finalizers are removed."""
        return self.record.metadata.deletion_timestamp is not None

    @property
    def labels(self) -> dict[str, str]:
        """metadata.labels; do not change it."""
        return self.record.metadata.labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        """metadata.annotations; do not change it."""
        return self.record.metadata.annotations or {}

    @property
    def phase(self) -> str:
        """status.phase; empty where the kind has none or the status is absent."""
        status = self.record.status
        return (status.phase or "") if status is not None else ""

    @property
    def conditions(self) -> tuple[ConditionRecord, ...]:
        """status.conditions."""
        status = self.record.status
        return (status.conditions or ()) if status is not None else ()

    @property
    def current(self) -> bool:
        """The status was computed from the current spec: observedGeneration has reached generation.

        True if the controller does not report observedGeneration.
        """
        status, generation = self.record.status, self.record.metadata.generation
        if status is None or status.observed_generation is None or generation is None:
            return True
        return status.observed_generation >= generation

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of this type; the last one if the server sent several."""
        return find_condition(self.conditions, type_)

    @property
    def object(self) -> T_co:
        """The full model.

        Raises:
            DecodeError: a field that is not part of the record does not match the model.
        """
        return decode_model(self.kind, self.document)

    @property
    def document(self) -> bytes:
        """The object as the server wrote it: JSON, every field."""
        return bytes(msgspec.json.decode(self.raw, type=_RawEnvelope).object) if self.enveloped else self.raw


class Undecodable(msgspec.Struct, frozen=True):
    """An object whose bytes do not match its kind. `uid` and `name` are empty if they could not be read either.

    `deleted`: these bytes are the final state of a deleted object.
    """

    kind: type[Resource]
    name: str
    namespace: str
    uid: str
    resource_version: str
    error: str
    raw: bytes
    deleted: bool = False

    def __repr__(self) -> str:
        return f"<Undecodable {self.kind.KIND} {self.name!r} at {self.resource_version}: {self.error}>"


class StatusEvent(msgspec.Struct, frozen=True):
    """An ERROR event: the reason for which the server ends this watch. Absent fields are zero or empty."""

    code: int
    reason: str
    message: str
    retry_after: float


class Malformed(msgspec.Struct, frozen=True):
    """A line that is not a watch event: the stream is corrupt, or a proxy answered instead of the server."""

    error: str


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: list[ObjectState[T]]
    undecodable: list[Undecodable]
    resource_version: str
    continue_: str


class _RawEnvelope(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"")


class _ListMeta(msgspec.Struct, rename={"continue_": "continue", "resource_version": "resourceVersion"}):
    resource_version: str = ""
    continue_: str = ""


class _RawList(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Identity(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Identified(msgspec.Struct):
    metadata: _Identity


class _StatusDetails(msgspec.Struct, rename="camel"):
    retry_after_seconds: float | None = None


class _BareStatus(msgspec.Struct):
    code: int | None = None
    reason: str | None = None
    message: str | None = None


class _Status(_BareStatus):
    details: _StatusDetails | None = None


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes that do not match the requested type; ValueError is invalid UTF-8."""


class Codec(Generic[T]):
    """Decodes watch lines, list pages and single objects of one kind."""

    def __init__(self, kind: type[T]) -> None:
        record = RECORDS.get(kind.KIND, Record)
        self.kind = kind
        # mypy cannot follow a type argument chosen at run time; Record is the common part.
        self._line = msgspec.json.Decoder(Envelope[record])  # type: ignore[valid-type]
        self._item = msgspec.json.Decoder(record)
        self._page = msgspec.json.Decoder(_RawList)

    def read(self, line: bytes) -> Envelope[Record] | Undecodable | StatusEvent | Malformed:
        """Decode one line of a watch. Never raises."""
        try:
            event = self._line.decode(line)
        except UNREADABLE as error:
            return self._diagnose(line, error)
        # A Status with metadata also decodes as a Record.
        return event if event.type != "ERROR" else self._diagnose(line, None)

    def state(self, record: Record, line: bytes) -> ObjectState[T]:
        """The state of the object in a decoded line."""
        return ObjectState(self.kind, record, line, True)

    def read_object(self, body: bytes) -> ObjectState[T]:
        """Decode one object on its own.

        Raises:
            DecodeError: it is not an object of this kind.
        """
        try:
            return ObjectState(self.kind, self._item.decode(body), body, False)
        except UNREADABLE as error:
            name = self._undecodable(body, error).name
            raise DecodeError(
                f"{self.kind.KIND} {printable(name) or '(unreadable name)'} cannot be read: {error}",
                kind=self.kind.KIND,
                name=name,
            ) from error

    def read_page(self, body: bytes) -> Page[T]:
        """Decode one page of a list.

        Raises:
            DecodeError: this is not a list of Kubernetes objects, or it has no resourceVersion.
        """
        try:
            page = self._page.decode(body)
        except UNREADABLE as error:
            raise DecodeError(
                f"the list of {self.kind.PLURAL} is not a Kubernetes list: {error}", kind=self.kind.KIND
            ) from error
        if not page.metadata.resource_version:
            raise DecodeError(
                f"the list of {self.kind.PLURAL} has no metadata.resourceVersion",
                kind=self.kind.KIND,
                path="metadata.resourceVersion",
            )
        items: list[ObjectState[T]] = []
        undecodable: list[Undecodable] = []
        decode, kind = self._item.decode, self.kind
        for raw in page.items or ():
            try:
                record = decode(raw)
            except UNREADABLE as error:
                undecodable.append(self._undecodable(bytes(raw), error))
            else:
                items.append(ObjectState(kind, record, bytes(raw), False))
        return Page(items, undecodable, page.metadata.resource_version, page.metadata.continue_)

    def _diagnose(self, line: bytes, error: Exception | None) -> Undecodable | StatusEvent | Malformed:
        try:
            envelope = msgspec.json.decode(line, type=_RawEnvelope)
        except UNREADABLE:
            return Malformed(f"not a watch event: {error}")
        document = bytes(envelope.object)
        if not document:
            return Malformed("a watch event without an object")
        if envelope.type == "ERROR":
            return read_status(document)
        return self._undecodable(document, error, deleted=envelope.type == "DELETED")

    def _undecodable(self, raw: bytes, error: Exception | None, *, deleted: bool = False) -> Undecodable:
        try:
            identity = msgspec.json.decode(raw, type=_Identified).metadata
        except UNREADABLE:
            identity = _Identity()
        return Undecodable(
            kind=self.kind,
            name=identity.name,
            namespace=identity.namespace,
            uid=identity.uid,
            resource_version=identity.resource_version,
            error=str(error),
            raw=raw,
            deleted=deleted,
        )


def undecodable_of(state: ObjectState[T], error: DecodeError) -> Undecodable:
    """The Undecodable for an object whose record could be decoded and whose model could not."""
    return Undecodable(
        kind=state.kind,
        name=state.name,
        namespace=state.namespace,
        uid=state.uid,
        resource_version=state.resource_version,
        error=str(error),
        raw=state.document,
    )


def read_status(document: bytes) -> StatusEvent:
    """Decode a Status in which any field may be absent: servers omit reason and details (docs/watching.md#events).

    Details of another type do not hide the reason: without the reason Expired, the watch would be resumed from the
    expired resourceVersion again and again.
    """
    status = read_first(document, _Status, _BareStatus) or _BareStatus()
    details = status.details if isinstance(status, _Status) else None
    retry_after = details.retry_after_seconds if details is not None else None
    return StatusEvent(status.code or 0, status.reason or "", status.message or "", retry_after or 0.0)


def read_first(document: bytes, *types: type[S]) -> S | None:
    """Decode the document as the first of these types that it matches; None if it matches none of them."""
    for type_ in types:
        try:
            return msgspec.json.decode(document, type=type_)
        except UNREADABLE:
            continue
    return None


def find_condition(conditions: Iterable[ConditionRecord], type_: str) -> ConditionRecord | None:
    """The last condition of this type: if a server sent a type twice, the later one is the newer."""
    found = None
    for condition in conditions:
        if condition.type == type_:
            found = condition
    return found


def decode_model(kind: type[T], document: bytes) -> T:
    """The full model of one object.

    Raises:
        DecodeError: with kind, object and the path of the first field that does not match the model.
    """
    try:
        return kind.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = printable(".".join(str(part) for part in first["loc"]))
        try:
            name = msgspec.json.decode(document, type=_Identified).metadata.name
        except UNREADABLE:
            name = ""
        raise DecodeError(
            f"{kind.KIND} {printable(name) or '(unreadable name)'}: {path or 'document'}: {first['msg']}",
            kind=kind.KIND,
            name=name,
            path=path,
        ) from error

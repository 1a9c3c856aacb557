"""Turns the bytes of the API server into records, once; and into full models when somebody asks.

One bad object never kills a stream: what cannot be decoded becomes an Undecodable and travels on like any other news.
What is not a watch event at all becomes a Malformed, which means the stream itself cannot be trusted any more.
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
    """One state of one object that the API server really served: its record, and the bytes it came in.

    The full model is built on each access to `object` and not kept: a cache of models is what makes the garbage
    collector stop the process (750 ms for 10,000 DPUs, against 11 ms for records and bytes; peers 4).
    """

    kind: type[T_co]
    record: Record
    raw: bytes
    enveloped: bool
    """raw is a whole line of a watch, the object inside it; a list item otherwise."""

    def __repr__(self) -> str:
        # Without the bytes: they may be those of a Secret, and are more than anybody wants to see.
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
        """metadata.uid: the identity. The name is only a label."""
        return self.record.metadata.uid

    @property
    def resource_version(self) -> str:
        """metadata.resourceVersion."""
        return self.record.metadata.resource_version

    @property
    def terminating(self) -> bool:
        """Deletion was asked for; finalizers may still hold the object."""
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
        """The controller's status speaks of the spec that stands: observedGeneration has reached generation.

        True where the controller does not report observedGeneration at all.
        """
        status, generation = self.record.status, self.record.metadata.generation
        if status is None or status.observed_generation is None or generation is None:
            return True
        return status.observed_generation >= generation

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of that type; the last one if the server sent several."""
        return find_condition(self.conditions, type_)

    @property
    def object(self) -> T_co:
        """The full model.

        Raises:
            DecodeError: a field that the record does not look at is not what the model says.
        """
        return decode_model(self.kind, self.document)

    @property
    def document(self) -> bytes:
        """The object as the server wrote it: JSON, every field."""
        return bytes(msgspec.json.decode(self.raw, type=_RawEnvelope).object) if self.enveloped else self.raw


class Undecodable(msgspec.Struct, frozen=True):
    """An object whose bytes are not what its kind says. `uid` and `name` are empty if not even they could be read.

    `deleted`: these bytes are the final state of an object that is gone.
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
    """An ERROR event: the server's reason to end this watch. Fields it left out are zero or empty."""

    code: int
    reason: str
    message: str
    retry_after: float


class Malformed(msgspec.Struct, frozen=True):
    """Not a watch event: the stream is broken, or something between us and the server answered."""

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
"""What msgspec raises for bytes that are not the document asked for; ValueError is bad UTF-8."""


class Codec(Generic[T]):
    """Reads watch lines and list pages of one kind."""

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
        # A Status with metadata looks like an object.
        return event if event.type != "ERROR" else self._diagnose(line, None)

    def snapshot(self, record: Record, line: bytes) -> ObjectState[T]:
        """The state that a line carried."""
        return ObjectState(self.kind, record, line, True)

    def read_object(self, body: bytes) -> ObjectState[T]:
        """Decode one object on its own.

        Raises:
            DecodeError: it is no object of this kind.
        """
        try:
            return ObjectState(self.kind, self._item.decode(body), body, False)
        except UNREADABLE as error:
            raise DecodeError(
                f"{self.kind.KIND} cannot be read: {error}",
                kind=self.kind.KIND,
                name=self._undecodable(body, error).name,
            ) from error

    def read_page(self, body: bytes) -> Page[T]:
        """Decode one page of a list.

        Raises:
            DecodeError: this is no list of Kubernetes objects, or it does not say its resourceVersion.
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


def undecodable_of(snapshot: ObjectState[T], error: DecodeError) -> Undecodable:
    """An object whose record could be read and whose model cannot."""
    return Undecodable(
        kind=snapshot.kind,
        name=snapshot.name,
        namespace=snapshot.namespace,
        uid=snapshot.uid,
        resource_version=snapshot.resource_version,
        error=str(error),
        raw=snapshot.document,
    )


def read_status(document: bytes) -> StatusEvent:
    """A Status, whatever is missing in it: servers leave out reason and details (reliability 1.2).

    Odd details do not hide the reason: a watch that has expired would be begun again where it ended, for ever.
    """
    status = read_first(document, _Status, _BareStatus) or _BareStatus()
    details = status.details if isinstance(status, _Status) else None
    asked = details.retry_after_seconds if details is not None else None
    return StatusEvent(status.code or 0, status.reason or "", status.message or "", asked or 0.0)


def read_first(document: bytes, *types: type[S]) -> S | None:
    """The document as the first of these types that it can be read as; None if it can be read as none of them."""
    for type_ in types:
        try:
            return msgspec.json.decode(document, type=type_)
        except UNREADABLE:
            continue
    return None


def find_condition(conditions: Iterable[ConditionRecord], type_: str) -> ConditionRecord | None:
    """The last condition of that type: where a server sent a type twice, the later one is the newer."""
    found = None
    for condition in conditions:
        if condition.type == type_:
            found = condition
    return found


def decode_model(kind: type[T], document: bytes) -> T:
    """The full model of one object.

    Raises:
        DecodeError: naming kind, object and the path of the first field that is not what the model says.
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

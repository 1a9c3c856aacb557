"""Representations of objects: complete objects, rows of a Table, or PartialObjectMetadata.

Source: apiserver pkg/endpoints/handlers/{negotiation,response.go}; Kubernetes API concepts, "Receiving resources as
Tables" and "Metadata-only fetches".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from dpf_async.sim.apiserver.storage.kinds import Kind
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.status import StatusError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
NAMED: Final = (JSON, YAML, PROTOBUF)
"""The media types that errors list."""
_STREAMS: Final = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
TABLE, PARTIAL, PARTIALS = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
_TRANSFORMED: Final = (TABLE, PARTIAL, PARTIALS)
_ANY: Final = ("*/*", "application/*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The negotiated representation.

    Attributes:
        media: JSON or YAML.
        kind: Table or one of the partial kinds; empty for complete objects.
        version: of meta.k8s.io.
    """

    media: str = JSON
    kind: str = ""
    version: str = "v1"

    @property
    def api_version(self) -> str:
        """The apiVersion of the Table or partial object."""
        return f"meta.k8s.io/{self.version}"


def negotiate(accept: str, *, streams: bool = False) -> Wanted:
    """Find the first clause of an Accept header that can be served.

    Args:
        accept: the header; empty accepts everything.
        streams: whether the request is a watch, which does not support YAML.

    Raises:
        StatusError: 406.
    """
    clauses = [clause for clause in accept.split(",") if clause.strip()]
    for clause in clauses:
        if (wanted := _wanted(clause, streams=streams)) is not None:
            return wanted
    if clauses:
        raise status.not_acceptable(_STREAMS if streams else NAMED)
    return Wanted()


def _wanted(clause: str, *, streams: bool) -> Wanted | None:
    media, *rest = (part.strip() for part in clause.split(";"))
    parameters = dict(part.partition("=")[::2] for part in rest)
    if media in _ANY:
        media = JSON
    if media not in ((JSON,) if streams else (JSON, YAML)):
        return None
    kind, version = parameters.get("as", ""), parameters.get("v", "")
    if not kind:
        return Wanted(media)
    known = kind in _TRANSFORMED and parameters.get("g") == "meta.k8s.io" and version in ("v1", "v1beta1")
    return Wanted(media, kind, version) if known else None


class Representation(Protocol):
    """Converts objects and lists to the negotiated representation."""

    def of_object(self, obj: Obj) -> Obj:
        """Convert one object."""

    def of_list(self, listed: Obj) -> Obj:
        """Convert a list."""


class Partials:
    """Converts objects to PartialObjectMetadata."""

    def __init__(self, wanted: Wanted, kind: Kind) -> None:
        self._wanted = wanted
        self._custom = kind.custom
        self._go = "*unstructured.Unstructured" if kind.custom else f"*core.{kind.kind}"

    def of_object(self, obj: Obj) -> Obj:
        """Convert one object.

        Raises:
            StatusError: 406 or 500, the client requested a list.
        """
        if self._wanted.kind == PARTIALS and self._custom:
            raise status.internal("content is not a list")
        if self._wanted.kind == PARTIALS:
            raise self._not_acceptable(f"the requested object is not a list ({self._go})")
        return partial(obj, self._wanted.api_version)

    def of_list(self, listed: Obj) -> Obj:
        """Convert a list.

        Raises:
            StatusError: 406, the client requested an object.
        """
        if self._wanted.kind == PARTIAL:
            raise self._not_acceptable(f"the requested object is a list ({self._go}List)")
        version = self._wanted.api_version
        return {
            "kind": PARTIALS,
            "apiVersion": version,
            "metadata": list_metadata(listed),
            "items": [partial(item, version) for item in listed["items"]],
        }

    def _not_acceptable(self, why: str) -> StatusError:
        return StatusError(406, "NotAcceptable", f"you requested {self._wanted.kind}, but {why}")


def partial(obj: Obj, api_version: str) -> Obj:
    """The metadata of an object as PartialObjectMetadata."""
    return {"kind": PARTIAL, "apiVersion": api_version, "metadata": obj["metadata"]}


def list_metadata(listed: Obj) -> Obj:
    """The metadata of a list without empty members, as Go encodes it."""
    metadata: dict[str, Any] = listed["metadata"]
    return {name: value for name, value in metadata.items() if value != ""}

"""Models common to all kinds: metadata, conditions, selectors, and `Resource`, the base of the kinds.

Source: Kubernetes API conventions, unless another source is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field
from pydantic_core import InitErrorDetails

from dpf_async.models.constraints import (
    ATOMIC_LIST,
    REQUIRED,
    Bool,
    Constraint,
    Int64,
    at_least,
    format_of,
    max_length,
    min_length,
    one_of,
    pattern,
)
from dpf_async.models.names import UID, ResourceVersion
from dpf_async.models.wire import ListOf, StringMap, Wire, mistake

__all__ = [
    "AGE",
    "READY",
    "Condition",
    "LabelSelector",
    "LabelSelectorRequirement",
    "ObjectMeta",
    "OwnerReference",
    "PrinterColumn",
    "Resource",
    "find_condition",
    "ready_reason",
]

# Source: Kubernetes' "Object Names and IDs" and "Labels and Selectors".
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_KEY = re.compile(
    rf"(?=[^/]{{1,253}}/|[^/]+$)({_DNS_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile("([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def _has_valid_keys(entries: Mapping[str, str]) -> bool:
    return all(_KEY.fullmatch(key) for key in entries)


def _has_valid_values(labels: Mapping[str, str]) -> bool:
    return all(_LABEL_VALUE.fullmatch(value) for value in labels.values())


_KEYS = Constraint({}, "must have keys of the form name or dns.name/name", _has_valid_keys)
_LABEL_VALUES = Constraint({}, "must have values that are valid label values", _has_valid_values)


class OwnerReference(Wire):
    """The owner of an object; garbage collection deletes the object after its owner."""

    api_version: str
    kind: str
    name: str
    uid: UID
    controller: Bool | None = None
    block_owner_deletion: Bool | None = None


class ObjectMeta(Wire):
    """Metadata of an object. Fields that only the server writes are empty in an object that is not stored yet."""

    name: Annotated[str, max_length(253), pattern(f"^{_DNS_SUBDOMAIN}$"), REQUIRED] = ""
    namespace: Annotated[str, max_length(63), pattern(f"^({_DNS_LABEL})?$")] = ""
    uid: UID = UID("")
    resource_version: ResourceVersion = ResourceVersion("")
    generation: Int64 | None = None
    """Counts changes of spec; changes of status or metadata do not count."""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    """Set when deletion was requested; the object exists until its finalizers are removed."""
    deletion_grace_period_seconds: Int64 | None = None
    labels: Annotated[StringMap, _KEYS, _LABEL_VALUES] = Field(default_factory=dict)
    annotations: Annotated[StringMap, _KEYS] = Field(default_factory=dict)
    finalizers: ListOf[str] = ()
    owner_references: ListOf[OwnerReference] = ()


class Condition(Wire):
    """One aspect of an object's state, as its controller last wrote it."""

    type: Annotated[
        str,
        max_length(316),
        pattern(rf"^({_DNS_SUBDOMAIN}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"),
    ]
    status: Annotated[str, one_of("True", "False", "Unknown")]
    reason: Annotated[
        str,
        min_length(1),
        max_length(1024),
        pattern("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        REQUIRED,
    ] = ""
    message: Annotated[str, max_length(32768), REQUIRED] = ""
    last_transition_time: Annotated[str, format_of("date-time"), REQUIRED] = ""
    """Time of the last change of status; a change of only reason or message does not update it."""
    observed_generation: Annotated[Int64, at_least(0)] | None = None
    """The generation that it was computed from. Absent in conditions of DPU and DPUNode.

    Source: docs/dpf/conditions.md#writing-rules, docs/dpf/conditions.md#observed-generation.
    """

    @property
    def is_true(self) -> bool:
        """Status is "True"; "Unknown" is not."""
        return self.status == "True"


def find_condition(
    conditions: Iterable[Condition],
    type: str,  # noqa: A002  Kubernetes' word
) -> Condition | None:
    """The condition of this type; None if there is none."""
    return next((condition for condition in conditions if condition.type == type), None)


class LabelSelectorRequirement(Wire):
    """A label key, an operator (In, NotIn, Exists, DoesNotExist), and the values for it."""

    key: str
    operator: str
    values: Annotated[ListOf[str], ATOMIC_LIST] = ()


class LabelSelector(Wire):
    """Selects objects whose labels meet all requirements; an empty selector selects all objects."""

    ATOMIC: ClassVar[bool] = True

    match_labels: StringMap = Field(default_factory=dict)
    match_expressions: Annotated[ListOf[LabelSelectorRequirement], ATOMIC_LIST] = ()


class PrinterColumn(NamedTuple):
    """A column that `kubectl get` shows."""

    name: str
    json_path: str
    type: str = "string"


AGE = PrinterColumn("Age", ".metadata.creationTimestamp", "date")
READY = PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status")


def ready_reason(name: str) -> PrinterColumn:
    """A column with the reason of the condition Ready."""
    return PrinterColumn(name, ".status.conditions[?(@.type=='Ready')].reason")


class Resource(Wire):
    """Base of the kinds: objects that the API server stores.

    A kind defines GROUP, KIND and PLURAL, and the other properties of its CRD outside the schema.
    """

    GROUP: ClassVar[str]
    VERSION: ClassVar[str] = "v1alpha1"
    KIND: ClassVar[str]
    PLURAL: ClassVar[str]
    SINGULAR: ClassVar[str]
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ()
    API_VERSION: ClassVar[str]
    """The value of the field apiVersion."""
    HAS_STATUS: ClassVar[bool] = True
    """Status is a subresource: a write of the object does not change it, and the reverse."""
    SPEC_REQUIRED: ClassVar[bool] = False
    """The schema requires spec. If False, an object without spec still cannot be read here."""
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = ()

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # Any: pydantic's signature
        """Set SINGULAR and API_VERSION."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.SINGULAR = cls.KIND.lower()
        cls.API_VERSION = f"{cls.GROUP}/{cls.VERSION}" if cls.GROUP else cls.VERSION

    def to_wire(self) -> dict[str, Any]:  # Any: JSON
        """The JSON object: the fields that were set or read, apiVersion and kind."""
        return {"apiVersion": self.API_VERSION, "kind": self.KIND, **super().to_wire()}

    @property
    def name(self) -> str:
        """metadata.name. Not the identity of the object: see `uid`."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace; empty if it is not set."""
        return self.metadata.namespace

    @property
    def uid(self) -> UID:
        """metadata.uid, the object's identity; empty before a server has stored it."""
        return self.metadata.uid

    @property
    def terminating(self) -> bool:
        """Deletion was requested, and finalizers remain."""
        return self.metadata.deletion_timestamp is not None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """status.conditions; empty for a kind that has none."""
        conditions: tuple[Condition, ...] = getattr(getattr(self, "status", None), "conditions", ())
        return conditions

    def condition(self, type: str) -> Condition | None:  # noqa: A002  Kubernetes' word
        """The condition of this type in status.conditions; None if its controller has not written it."""
        return find_condition(self.conditions, type)

    def _mistakes(self) -> list[InitErrorDetails]:
        mistakes = super()._mistakes()
        if self.api_version not in {"", self.API_VERSION}:
            mistakes.append(mistake(f"must be {self.API_VERSION}", "apiVersion"))
        if self.kind not in {"", self.KIND}:
            mistakes.append(mistake(f"must be {self.KIND}", "kind"))
        return mistakes

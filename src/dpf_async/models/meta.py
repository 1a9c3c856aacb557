"""What all kinds have in common: metadata, conditions, selectors, and `Resource`, the base of the kinds.

Source: Kubernetes API conventions, where nothing else is said.
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
    """The object that this one belongs to, and is collected with."""

    api_version: str
    kind: str
    name: str
    uid: UID
    controller: Bool | None = None
    block_owner_deletion: Bool | None = None


class ObjectMeta(Wire):
    """Metadata of an object. What only the server writes is empty until it has."""

    name: Annotated[str, max_length(253), pattern(f"^{_DNS_SUBDOMAIN}$"), REQUIRED] = ""
    namespace: Annotated[str, max_length(63), pattern(f"^({_DNS_LABEL})?$")] = ""
    uid: UID = UID("")
    resource_version: ResourceVersion = ResourceVersion("")
    generation: Int64 | None = None
    """Counts changes of spec; changes of status or metadata do not count."""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    """Set once deletion was asked for; the object stays until its finalizers are gone."""
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
    """When status last changed; a change of reason or message alone leaves it."""
    observed_generation: Annotated[Int64, at_least(0)] | None = None
    """The metadata.generation it speaks of. Conditions of DPU and DPUNode do not say (dpf-facts 2.3, 7.3)."""

    @property
    def is_true(self) -> bool:
        """Status is "True"; "Unknown" is not."""
        return self.status == "True"


def find_condition(
    conditions: Iterable[Condition],
    type: str,  # noqa: A002  Kubernetes' word
) -> Condition | None:
    """The condition of that type, if it is among them."""
    return next((condition for condition in conditions if condition.type == type), None)


class LabelSelectorRequirement(Wire):
    """A label key, an operator (In, NotIn, Exists, DoesNotExist), and the values for it."""

    key: str
    operator: str
    values: Annotated[ListOf[str], ATOMIC_LIST] = ()


class LabelSelector(Wire):
    """Objects whose labels meet every one of these; an empty selector selects all."""

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
    """The column of that name that shows why an object is Ready or is not."""
    return PrinterColumn(name, ".status.conditions[?(@.type=='Ready')].reason")


class Resource(Wire):
    """Base of the kinds: objects with a name, kept by the API server.

    A kind says GROUP, KIND and PLURAL, and whatever else its CRD says beside the schema.
    """

    GROUP: ClassVar[str]
    VERSION: ClassVar[str] = "v1alpha1"
    KIND: ClassVar[str]
    PLURAL: ClassVar[str]
    SINGULAR: ClassVar[str]
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ()
    API_VERSION: ClassVar[str]
    """What stands in the field apiVersion."""
    HAS_STATUS: ClassVar[bool] = True
    """Status is a subresource: writing the object leaves it, writing it leaves the object."""
    SPEC_REQUIRED: ClassVar[bool] = False
    """The schema requires spec. Where it does not, an object without spec still cannot be read here."""
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = ()

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # Any: pydantic's signature
        """Fill in what follows from the rest."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.SINGULAR = cls.KIND.lower()
        cls.API_VERSION = f"{cls.GROUP}/{cls.VERSION}" if cls.GROUP else cls.VERSION

    def to_wire(self) -> dict[str, Any]:  # Any: JSON
        """The JSON object under wire names: what was set, or read, with apiVersion and kind."""
        return {"apiVersion": self.API_VERSION, "kind": self.KIND, **super().to_wire()}

    @property
    def name(self) -> str:
        """metadata.name. A label rather than an identity: see `uid`."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace; empty if it is not said."""
        return self.metadata.namespace

    @property
    def uid(self) -> UID:
        """metadata.uid, the object's identity; empty before a server has stored it."""
        return self.metadata.uid

    @property
    def terminating(self) -> bool:
        """Deletion was asked for, and finalizers keep the object until those who set them are done."""
        return self.metadata.deletion_timestamp is not None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """status.conditions; empty for a kind that has none."""
        conditions: tuple[Condition, ...] = getattr(getattr(self, "status", None), "conditions", ())
        return conditions

    def condition(self, type: str) -> Condition | None:  # noqa: A002  Kubernetes' word
        """The condition of that type in status.conditions, if its controller has written it."""
        return find_condition(self.conditions, type)

    def _mistakes(self) -> list[InitErrorDetails]:
        mistakes = super()._mistakes()
        if self.api_version not in {"", self.API_VERSION}:
            mistakes.append(mistake(f"must be {self.API_VERSION}", "apiVersion"))
        if self.kind not in {"", self.KIND}:
            mistakes.append(mistake(f"must be {self.KIND}", "kind"))
        return mistakes

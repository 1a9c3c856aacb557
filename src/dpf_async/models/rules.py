"""What must hold between fields, and between an object and its next version: the CEL rules, said once.

A `Rule` carries the CEL text that goes into the CRD manifests, and the same sentence in Python, which is
asked when an object is built. A `Transition` compares a value with what it was; `changes` asks it.
The wording is this project's own; a test holds each against the DPF v26.4 CRDs by what it accepts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from dpf_async.models.constraints import when_built

__all__ = [
    "Rule",
    "Rules",
    "Transition",
    "exactly_one_of",
    "has",
    "immutable",
    "name_at_most",
    "not_both",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence that every value must satisfy: in a model's RULES, or as a marker on a list or a map.

    Attributes:
        cel: the sentence for the API server; `self` is the value.
        message: what the one who broke it is told.
        holds: the sentence in Python, asked of the model, tuple or mapping.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]  # Any: the type of the value it is attached to

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return when_built(handler(source), self._check)

    def _check(self, value: Any) -> Any:  # Any: as in `holds`
        if self.holds(value):
            return value
        raise PydanticCustomError("rule", "{message}", {"message": self.message})


@dataclass(frozen=True, slots=True)
class Transition:
    """A sentence that every change of a value must satisfy. It is asked only where there was a value before.

    Attributes:
        cel: the sentence for the API server; `self` is the value, `oldSelf` what it was.
        message: what the one who broke it is told.
        allows: the sentence in Python, allows(old, new): of models where it stands in RULES, of JSON as the
            server stores it where it is a field's marker.
    """

    cel: str
    message: str
    allows: Callable[[Any, Any], bool]  # Any: the type of the value it is attached to


Rules = tuple[Rule | Transition, ...]
"""The rules of one model."""


def immutable(what: str) -> Transition:
    """A value that never changes once it is there. It may appear later, and it may go.

    Args:
        what: the field as a person calls it, for the message.
    """
    return Transition("self == oldSelf", f"{what} cannot be changed", operator.eq)


def has(value: BaseModel, wire_name: str) -> bool:
    """Whether the field of that wire name is set: CEL's `has(self.field)`."""
    name = _attributes(type(value))[wire_name]
    return name in value.model_fields_set and getattr(value, name) is not None


@cache
def _attributes(model: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: name for name, field in model.model_fields.items()}


def name_at_most(characters: int) -> Rule:
    """The object's name has a limit below Kubernetes' own 253, because other names are made from it."""
    return Rule(
        cel=f"size(self.metadata.name) <= {characters}",
        message=f"metadata.name must have at most {characters} characters",
        holds=lambda resource: len(resource.metadata.name) <= characters,
    )


def not_both(one: str, other: str) -> Rule:
    """At most one of two fields is set; wire names."""
    return Rule(
        cel=f"!has(self.{one}) || !has(self.{other})",
        message=f"set {one} or {other}, not both",
        holds=lambda value: not (has(value, one) and has(value, other)),
    )


def exactly_one_of(*ways: str | tuple[str, ...]) -> Rule:
    """Exactly one way is chosen. A way is a field, or several fields that may be set together; wire names."""
    choices = tuple((way,) if isinstance(way, str) else way for way in ways)
    chosen = ", ".join(" || ".join(f"has(self.{field})" for field in way) for way in choices)
    names = ", ".join("/".join(way) for way in choices)
    return Rule(
        cel=f"[{chosen}].exists_one(chosen, chosen)",
        message=f"set exactly one of {names}",
        holds=lambda value: sum(any(has(value, field) for field in way) for way in choices) == 1,
    )

"""CEL rules: constraints between fields, and between an object and its previous version.

A `Rule` has the CEL expression for the CRD manifests and an equivalent predicate in Python, which is evaluated when an
object is built. A `TransitionRule` compares a value with its previous one; `changes` evaluates it.
The expressions are this project's own; a test compares with the DPF v26.4 CRDs which values they accept.
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
    "TransitionRule",
    "exactly_one_of",
    "has",
    "immutable",
    "name_at_most",
    "not_both",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint of a value: in the RULES of a model, or as a marker of a list or a map.

    Attributes:
        cel: the expression for the API server; `self` is the value.
        message: of the error for a value that violates it.
        holds: the predicate in Python, on the model, tuple or mapping.
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
class TransitionRule:
    """A constraint of a change of a value; evaluated only if there was a previous value.

    Attributes:
        cel: the expression for the API server; `self` is the value, `oldSelf` the previous one.
        message: of the error for a change that violates it.
        allows: the predicate in Python, allows(old, new): on models for a rule in RULES, on JSON as the server
            stores it for a marker of a field.
    """

    cel: str
    message: str
    allows: Callable[[Any, Any], bool]  # Any: the type of the value it is attached to


Rules = tuple[Rule | TransitionRule, ...]
"""The rules of one model."""


def immutable(what: str) -> TransitionRule:
    """The value cannot be changed; it can be added later, and removed.

    Args:
        what: the name of the field in the message.
    """
    return TransitionRule("self == oldSelf", f"{what} cannot be changed", operator.eq)


def has(value: BaseModel, wire_name: str) -> bool:
    """Whether the field with this JSON name is set: CEL's `has(self.field)`."""
    name = _attributes(type(value))[wire_name]
    return name in value.model_fields_set and getattr(value, name) is not None


@cache
def _attributes(model: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: name for name, field in model.model_fields.items()}


def name_at_most(characters: int) -> Rule:
    """The name of the object has a limit below Kubernetes' own 253, because other names contain it."""
    return Rule(
        cel=f"size(self.metadata.name) <= {characters}",
        message=f"metadata.name must have at most {characters} characters",
        holds=lambda resource: len(resource.metadata.name) <= characters,
    )


def not_both(one: str, other: str) -> Rule:
    """At most one of two fields is set; JSON names."""
    return Rule(
        cel=f"!has(self.{one}) || !has(self.{other})",
        message=f"set {one} or {other}, not both",
        holds=lambda value: not (has(value, one) and has(value, other)),
    )


def exactly_one_of(*choices: str | tuple[str, ...]) -> Rule:
    """Exactly one choice is set. A choice is a field, or several fields that may be set together; JSON names."""
    groups = tuple((choice,) if isinstance(choice, str) else choice for choice in choices)
    chosen = ", ".join(" || ".join(f"has(self.{field})" for field in group) for group in groups)
    names = ", ".join("/".join(group) for group in groups)
    return Rule(
        cel=f"[{chosen}].exists_one(chosen, chosen)",
        message=f"set exactly one of {names}",
        holds=lambda value: sum(any(has(value, field) for field in group) for group in groups) == 1,
    )

"""Base of all models: reading and writing of JSON, and the types of lists and maps.

A field is named in snake_case; its name in JSON is the camelCase of that, or `Field(alias=…)` where DPF spells it
differently (`bmcIP`). Its constraints are in `Annotated` (`constraints`), constraints between fields in the RULES of
the class (`rules`). A Python default of None, "" or an empty list means that the field may be absent; any other
default is also that of the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema, to_json

from dpf_async.models.constraints import Required, when_built
from dpf_async.models.rules import Rule, Rules

__all__ = ["ListOf", "MapOf", "StringMap", "Wire", "mistake"]

T = TypeVar("T")


class _NullIsEmpty:
    """Reads null as an empty list or map: Go's encoding/json writes null for either."""

    def __init__(self, empty: type[tuple[Any, ...]] | type[dict[str, Any]]) -> None:  # Any: items of any type
        self.empty = empty

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        empty = self.empty
        if empty is tuple:
            inner = handler(source)
        else:
            # Built here, since pydantic's own schema for Mapping calls a Python function for each map.
            keys, values = source.__args__
            inner = core_schema.dict_schema(handler.generate_schema(keys), handler.generate_schema(values))
        return core_schema.no_info_after_validator_function(
            lambda value: empty() if value is None else value, core_schema.nullable_schema(inner)
        )


ListOf = Annotated[tuple[T, ...], _NullIsEmpty(tuple)]
"""A list; absent and null read as empty."""
MapOf = Annotated[Mapping[str, T], _NullIsEmpty(dict)]
"""A map with text keys; absent and null read as empty."""
StringMap = MapOf[str]
"""Labels, annotations, and other maps from text to text."""


class Wire(BaseModel):
    """Base of all models. Reading is lenient, writing is strict.

    Read with `model_validate_json` or `from_wire`: unknown fields are kept, values that violate a rule are accepted
    (the server that sent them has its own rules), wrong types are rejected. Build with the constructor or
    `model_validate`: all rules of the schema are checked. None for a field means that it is not set.

    Raises:
        pydantic.ValidationError: every mistake with its path, `loc`, in the names that the caller used, and without
            the value.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="allow",
        populate_by_name=True,
        alias_generator=to_camel,
        defer_build=True,  # building all takes half the time of the import, and most programs use few kinds
        hide_input_in_errors=True,  # DPUFlavors and Secrets contain passwords
    )

    RULES: ClassVar[Rules] = ()
    """Constraints between fields, and between this object and its previous version."""
    ATOMIC: ClassVar[bool] = False
    """One field manager owns the complete object (server-side apply)."""
    OPEN: ClassVar[bool] = False
    """Only a part of the schema is modeled: the API server keeps other fields."""

    def to_wire(self) -> dict[str, Any]:  # Any: JSON
        """The JSON object: the fields that were set or read."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:  # Any: JSON
        """Read a JSON object from a dict, as leniently as bytes from a server."""
        return cls.model_validate_json(to_json(wire))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema = handler(source)
        if schema["type"] != "model":
            return schema  # already built and wrapped
        # The reference moves to the outer schema, so that all fields of this type share it.
        inner = cast("core_schema.ModelSchema", schema)
        reference = inner.pop("ref")
        outer = when_built(inner, _checked)
        outer["ref"] = reference
        return outer

    def _mistakes(self) -> list[InitErrorDetails]:
        """Violations of rules between fields; the fields themselves were validated before."""
        missing = [
            InitErrorDetails(type="missing", loc=(wire_name,), input=None)
            for name, wire_name in _required(type(self))
            if name not in self.model_fields_set
        ]
        if missing:
            return missing
        rules = (rule for rule in self.RULES if isinstance(rule, Rule))
        return [mistake(rule.message) for rule in rules if not rule.holds(self)]


def mistake(message: str, *loc: str) -> InitErrorDetails:
    """A violated rule, for pydantic's error; loc is the path relative to the object."""
    error = PydanticCustomError("rule", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=loc, input=None)


def _checked(model: Wire) -> Wire:
    fields = model.model_fields_set
    fields -= {name for name in fields if getattr(model, name, None) is None}
    mistakes = model._mistakes()  # noqa: SLF001  the base class's own hook
    if mistakes:
        raise ValidationError.from_exception_data(type(model).__name__, mistakes, hide_input=True)
    return model


@cache
def _required(model: type[Wire]) -> tuple[tuple[str, str], ...]:
    """Attribute and JSON name of the fields marked REQUIRED that have no default of the API server."""
    return tuple(
        (name, field.alias or name)
        for name, field in model.model_fields.items()
        if any(isinstance(marker, Required) for marker in field.metadata) and not field.default
    )

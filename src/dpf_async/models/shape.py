"""Field types: the annotations of model fields, parsed for schemas and comparisons.

Assumes the conventions of `wire`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Union

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dpf_async.models.constraints import Marker, Required
from dpf_async.models.phases import OpenEnum
from dpf_async.models.rules import Rule, TransitionRule
from dpf_async.models.wire import Wire

__all__ = ["ABSENT", "FieldShape", "Shape", "fields_of"]

ABSENT: Any = PydanticUndefined  # Any: used instead of a JSON value
"""There is no value; null is a value."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of a value: its Python type, its markers, and the type of the items of a list or a map."""

    type: Any  # Any: a type, or a union of types
    markers: tuple[Marker | Rule | TransitionRule, ...] = ()
    items: Shape | None = None


@dataclass(frozen=True, slots=True)
class FieldShape:
    """One field of a model.

    Attributes:
        name: the Python attribute.
        wire_name: the key in JSON.
        required: the schema lists it as required.
        default: of the API server, as JSON; ABSENT if there is none.
        shape: type of its value.
    """

    name: str
    wire_name: str
    required: bool
    default: Any  # Any: JSON
    shape: Shape


@cache
def fields_of(model: type[Wire]) -> tuple[FieldShape, ...]:
    """The fields of a model, in order."""
    return tuple(_field(name, info) for name, info in model.model_fields.items())


def _field(name: str, info: FieldInfo) -> FieldShape:
    shape = _shape(info.annotation)
    markers = (*shape.markers, *_markers(info.metadata))
    absent = info.default is None or info.default in ("", ())
    default = ABSENT if absent else info.default
    for marker in markers:
        if isinstance(marker, Marker):
            default = marker.keywords.get("default", default)
    if isinstance(default, OpenEnum):
        default = str(default)  # as JSON: encoders do not support subclasses of str
    return FieldShape(
        name=name,
        wire_name=info.alias or name,
        required=info.is_required() or any(isinstance(marker, Required) for marker in info.metadata),
        default=default,
        shape=replace(shape, markers=markers),
    )


def _shape(annotation: Any) -> Shape:  # Any: any annotation
    if hasattr(annotation, "__supertype__"):  # a NewType
        return _shape(annotation.__supertype__)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inner = _shape(arguments[0])
        return replace(inner, markers=(*inner.markers, *_markers(arguments[1:])))
    if origin in (Union, types.UnionType):
        present = [argument for argument in arguments if argument is not types.NoneType]
        return _shape(present[0]) if len(present) == 1 else Shape(annotation)
    if origin is tuple:
        return Shape(tuple, items=_shape(arguments[0]))
    if origin is Mapping:
        return Shape(Mapping, items=_shape(arguments[1]))
    return Shape(annotation)


def _markers(metadata: Any) -> tuple[Marker | Rule | TransitionRule, ...]:
    return tuple(marker for marker in metadata if isinstance(marker, Marker | Rule | TransitionRule))

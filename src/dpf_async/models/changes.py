"""Which changes of an object the API server would refuse: its immutable fields and transition rules, asked here.

It is for "create it, or see whether what is there will do": a refusal is better known before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from dpf_async.errors import Cause
from dpf_async.models.meta import Resource
from dpf_async.models.rules import Transition
from dpf_async.models.shape import ABSENT, FieldShape, fields_of
from dpf_async.models.wire import Wire

__all__ = ["as_stored", "refused_changes"]

_ResourceT = TypeVar("_ResourceT", bound=Resource)


def refused_changes(old: _ResourceT, new: _ResourceT) -> tuple[Cause, ...]:
    """What the API server would say against replacing old by new, as far as it follows from what old was.

    Values are compared as they are stored, with the API server's defaults: what `new` leaves out is no change
    where `old` has the default. As in the API server, a rule is asked only where both sides have a value.

    Source: Kubernetes' "CustomResourceDefinition", transition rules.
    """
    return tuple(_refused(old, new, ""))


def _refused(old: Wire, new: Wire, path: str) -> Iterator[Cause]:
    for rule in old.RULES:
        if isinstance(rule, Transition) and not rule.allows(old, new):
            yield Cause(path, rule.message, "FieldValueInvalid")
    for field in fields_of(type(old)):
        before, after = _stored(old, field), _stored(new, field)
        if before is ABSENT or after is ABSENT:
            continue
        field_path = f"{path}.{field.wire_name}" if path else field.wire_name
        for marker in field.shape.markers:
            if isinstance(marker, Transition) and not marker.allows(as_stored(before), as_stored(after)):
                yield Cause(field_path, marker.message, "FieldValueInvalid")
        if isinstance(before, Wire):
            yield from _refused(before, after, field_path)


def _stored(model: Wire, field: FieldShape) -> Any:  # Any: the value of some field
    """The field's value if it was set, or if the API server would set it; else ABSENT."""
    value = getattr(model, field.name)
    if value is None or (field.name not in model.model_fields_set and field.default is ABSENT):
        return ABSENT
    return value


def as_stored(value: Any) -> Any:  # Any: a model, or what is in one; JSON comes out
    """The JSON that the API server would keep: what was set, and its own defaults for the rest."""
    if isinstance(value, Wire):
        fields = {field.wire_name: _stored(value, field) for field in fields_of(type(value))}
        known = {name: as_stored(content) for name, content in fields.items() if content is not ABSENT}
        return known | (value.model_extra or {})
    if isinstance(value, tuple):
        return [as_stored(item) for item in value]
    if isinstance(value, Mapping):
        return {key: as_stored(item) for key, item in value.items()}
    return value

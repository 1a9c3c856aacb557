"""Changes of an object that the API server would reject: immutable fields and transition rules, evaluated locally.

For callers that create an object or update the existing one, and report a rejection before they send a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from dpf_async.errors import Cause
from dpf_async.models.meta import Resource
from dpf_async.models.rules import TransitionRule
from dpf_async.models.shape import ABSENT, FieldShape, fields_of
from dpf_async.models.wire import Wire

__all__ = ["as_stored", "refused_changes"]

_ResourceT = TypeVar("_ResourceT", bound=Resource)


def refused_changes(old: _ResourceT, new: _ResourceT) -> tuple[Cause, ...]:
    """The causes for which the API server would reject the update from old to new.

    Values are compared as they are stored, with the API server's defaults: a field that `new` omits is unchanged
    if `old` has the default. As in the API server, a rule is evaluated only if both objects have a value.

    Source: Kubernetes' "CustomResourceDefinition", transition rules.
    """
    return tuple(_refused(old, new, ""))


def _refused(old: Wire, new: Wire, path: str) -> Iterator[Cause]:
    for rule in old.RULES:
        if isinstance(rule, TransitionRule) and not rule.allows(old, new):
            yield Cause(path, rule.message, "FieldValueInvalid")
    for field in fields_of(type(old)):
        before, after = _stored(old, field), _stored(new, field)
        if before is ABSENT or after is ABSENT:
            continue
        field_path = f"{path}.{field.wire_name}" if path else field.wire_name
        for marker in field.shape.markers:
            if isinstance(marker, TransitionRule) and not marker.allows(as_stored(before), as_stored(after)):
                yield Cause(field_path, marker.message, "FieldValueInvalid")
        if isinstance(before, Wire):
            yield from _refused(before, after, field_path)


def _stored(model: Wire, field: FieldShape) -> Any:  # Any: the value of some field
    """The value of the field if it was set, or if the API server has a default for it; else ABSENT."""
    value = getattr(model, field.name)
    if value is None or (field.name not in model.model_fields_set and field.default is ABSENT):
        return ABSENT
    return value


def as_stored(value: Any) -> Any:  # Any: a model or a value in one; returns JSON
    """The JSON that the API server would store: the fields that were set, and its defaults for the others."""
    if isinstance(value, Wire):
        fields = {field.wire_name: _stored(value, field) for field in fields_of(type(value))}
        known = {name: as_stored(content) for name, content in fields.items() if content is not ABSENT}
        return known | (value.model_extra or {})
    if isinstance(value, tuple):
        return [as_stored(item) for item in value]
    if isinstance(value, Mapping):
        return {key: as_stored(item) for key, item in value.items()}
    return value

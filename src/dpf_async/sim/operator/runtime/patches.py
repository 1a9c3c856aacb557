"""The difference of two states of an object as a JSON merge patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dpf_async.models import Wire

W = TypeVar("W", bound=Wire)


def changed(model: W, **fields: Any) -> W:  # Any: values of the model's fields
    """A copy of the model with other values for some fields; None removes a field.

    Raises:
        TypeError: the model has no such field; pydantic would keep it as an unknown field of the server.
    """
    unknown = fields.keys() - type(model).model_fields.keys()
    if unknown:
        raise TypeError(f"{type(model).__name__} has no {', '.join(sorted(unknown))}")
    return model.model_copy(update=fields)


def merge_patch(before: Wire, after: Wire) -> dict[str, Any]:  # Any: JSON
    """The patch (RFC 7386) that turns before into after; empty if they are the same.

    None and empty lists and maps count as absent, like Go's omitempty in the types of DPF.
    """
    return _difference(_present(before.to_wire()), _present(after.to_wire()))


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            if inner := _difference(known, value):
                patch[key] = inner
        elif key not in before or known != value:
            patch[key] = value
    return patch


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _present(inner) for key, inner in value.items() if inner not in (None, [], {})}
    if isinstance(value, list):
        return [_present(inner) for inner in value]
    return value

"""Compare two states of an object field by field, without showing values that may contain passwords. Pure.

A field may contain passwords if its model excludes it from its repr: settings of bf.cfg, files, values of Helm charts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from dpf_async.models import Resource, as_stored
from dpf_async.models.shape import Shape, fields_of
from dpf_async.models.wire import Wire

JSON = Any  # a value as it is on the wire

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN: Final = 200
"""Characters of a value that a message shows (chosen: two lines of a terminal). The attributes have all of it."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field in which an object differs from its description.

    Attributes:
        path: such as "spec.dpus.bfb" or "spec.nvconfig[0].parameters[2]".
        present: the value on the server, as JSON; None if there is none.
        wanted: the value that it should have; None if none.
        secret: the values may contain passwords, so neither is included; they differ.
    """

    path: str
    present: JSON
    wanted: JSON
    secret: bool = False

    def __str__(self) -> str:
        if self.secret:
            return f"{self.path}: differs (not shown: it may contain passwords)"
        return f"{self.path}: the value is {_shown(self.present)}, wanted is {_shown(self.wanted)}"


def field_differences(
    present: Resource, wanted: Resource, *, additions: bool = True
) -> tuple[FieldDifference, ...]:
    """Return the fields of spec in which the two differ, with the API server's defaults filled in.

    Args:
        present: as it is on the server.
        wanted: as it is described, or as the server would store it.
        additions: also report fields that only `present` has, if the model knows them.
    """
    (spec,) = (field for field in fields_of(type(present)) if field.wire_name == "spec")
    before, after = as_stored(present)["spec"], as_stored(wanted)["spec"]
    if not additions:
        before = {key: value for key, value in before.items() if key in after}
    return tuple(_walk(spec.shape, "spec", before, after, secret=False))


def _walk(
    shape: Shape | None, path: str, before: JSON, after: JSON, *, secret: bool
) -> Iterator[FieldDifference]:
    if before == after:
        return
    # An absent mapping or list is compared as an empty one, so that only single values are ever shown.
    if _both_are(dict, before, after):
        before, after = before or {}, after or {}
        for key in sorted(before.keys() | after.keys()):
            known, inner, hidden = _inside(shape, key)
            if not known and key not in after:
                continue  # a field of a newer server, which no description can contain
            inner_path = f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f'{path}["{key}"]'
            yield from _walk(inner, inner_path, before.get(key), after.get(key), secret=secret or hidden)
    elif _both_are(list, before, after):
        before, after = before or [], after or []
        items = shape.items if shape is not None else None
        for position in range(max(len(before), len(after))):
            one, other = (side[position] if position < len(side) else None for side in (before, after))
            yield from _walk(items, f"{path}[{position}]", one, other, secret=secret)
    elif secret or isinstance(before, dict | list) or isinstance(after, dict | list):
        yield FieldDifference(path, None, None, secret=True)
    else:
        yield FieldDifference(path, _without_credentials(before), _without_credentials(after))


def _both_are(kind: type[dict[Any, Any] | list[Any]], before: JSON, after: JSON) -> bool:
    """Whether both are of this type, or one is and the other is absent; and not all are empty."""
    sides = [side for side in (before, after) if side is not None]
    return all(isinstance(side, kind) for side in sides) and any(sides)


def _inside(shape: Shape | None, key: str) -> tuple[bool, Shape | None, bool]:
    """For a key: whether the model knows it, its shape, and whether the model excludes it from its repr."""
    if shape is None:
        return True, None, False
    if isinstance(shape.type, type) and issubclass(shape.type, Wire):
        for field in fields_of(shape.type):
            if field.wire_name == key:
                return True, field.shape, not shape.type.model_fields[field.name].repr
        return False, None, False
    return True, shape.items if shape.type is Mapping else None, False


def _without_credentials(value: JSON) -> JSON:
    """A URL without user, password and query, which may contain tokens."""
    if not isinstance(value, str) or "://" not in value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    host = parts.netloc.rpartition("@")[2]
    user = "…@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, user + host, parts.path, "…" if parts.query else "", ""))


def _shown(value: JSON) -> str:
    if value is None:
        return "absent"
    # ASCII JSON: values that other clients wrote cannot contain terminal control sequences.
    text = json.dumps(value).replace("\\u2026", "…")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"

"""Tables: objects as rows, with the printer columns of a CRD.

Source: Kubernetes API concepts, "Receiving resources as Tables"; apiextensions customresource/tableconvertor;
apimachinery util/duration HumanDuration for the column of type date.
Nodes, events and definitions have Name and Age only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import jsonpath

from dpf_async.sim.apiserver.http.representations import list_metadata, partial
from dpf_async.sim.apiserver.storage.core_kinds import AGE
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain

_NAME: Final[Obj] = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "The name of the object, which is unique among the objects of a kind in a namespace.",
    "priority": 0,
}
_INCLUDE: Final = ("Metadata", "None", "Object")

_SECOND, _MINUTE, _HOUR, _DAY, _YEAR = 1, 60, 3600, 86400, 365 * 86400


class Tables:
    """Converts objects of one kind to Tables, for one request; only the first Table of a watch defines the columns."""

    def __init__(
        self, columns: Iterable[Obj], query: Mapping[str, str], now: Callable[[], str], api_version: str
    ) -> None:
        """Prepare the columns.

        Args:
            columns: the additional printer columns.
            query: the query of the request.
            now: the server's clock.
            api_version: the apiVersion of the Tables.

        Raises:
            StatusError: 400, includeObject has an invalid value.
        """
        self._columns = tuple(columns) or (AGE | {"type": "date"},)
        self._paths = [jsonpath.compile(f"${column.get('jsonPath', '')}") for column in self._columns]
        self._now = now
        self._api_version = api_version
        self._include = query.get("includeObject") or "Metadata"
        self._headed = False
        if self._include not in _INCLUDE:
            wanted = "must be 'Metadata', 'Object', 'None', or empty"
            text = f'includeObject: Invalid value: "{self._include}": {wanted}'
            raise status.bad_request(f"Unable to convert to Table as requested: {text}")

    def of_object(self, obj: Obj) -> Obj:
        """Convert one object to a Table of one row."""
        return self._table({"resourceVersion": obj["metadata"].get("resourceVersion", "")}, [obj])

    def of_list(self, listed: Obj) -> Obj:
        """Convert a list to a Table with its metadata."""
        kind = listed["kind"].removesuffix("List")
        typed = {"apiVersion": listed["apiVersion"], "kind": kind}
        return self._table(list_metadata(listed), [typed | item for item in listed["items"]])

    def _table(self, metadata: Obj, objects: list[Obj]) -> Obj:
        definitions = None if self._headed else [_NAME, *map(_definition, self._columns)]
        self._headed = True
        return {
            "kind": "Table",
            "apiVersion": self._api_version,
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": [self._row(obj) for obj in objects],
        }

    def _row(self, obj: Obj) -> Obj:
        cells = [obj["metadata"].get("name", "")]
        for column, path in zip(self._columns, self._paths, strict=True):
            if "count" in column:
                cells.append(sum(len(obj.get(member) or ()) for member in column["count"]))
                continue
            found = path.match(obj)
            shown_as = str(column.get("shows") or column["type"])
            cells.append(None if found is None else self._cell(shown_as, found.obj))
        shown: Obj | None = None
        if self._include == "Object":
            shown = obj
        elif self._include == "Metadata":
            shown = partial(obj, self._api_version)
        return {"cells": cells, "object": shown}

    def _cell(self, type_: str, value: Any) -> Any:
        """The cell for a value; None if the value does not have the type of the column."""
        match type_, value:
            case "string", str():
                return value
            case "string", _ if value is not None:
                return encode_plain(value)
            case "boolean", bool():
                return value
            case "integer", int() | float() if not isinstance(value, bool):
                return int(value)
            case "number", int() | float() if not isinstance(value, bool):
                return value
            case "date", str():
                return self._age(value)
        return None

    def _age(self, timestamp: str) -> str:
        try:
            then, now = datetime.fromisoformat(timestamp), datetime.fromisoformat(self._now())
        except ValueError:
            return "<invalid>"
        return human_duration(int((now.astimezone(UTC) - then.astimezone(UTC)).total_seconds()))


def human_duration(seconds: int) -> str:
    """Format seconds with at most two units: "45s", "3m20s", "7h5m", "5d3h", "2y14d"."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(0, seconds)
    for end, unit, part, letters in (
        (2 * _MINUTE, _SECOND, 0, "s"),
        (10 * _MINUTE, _MINUTE, _SECOND, "ms"),
        (3 * _HOUR, _MINUTE, 0, "m"),
        (8 * _HOUR, _HOUR, _MINUTE, "hm"),
        (2 * _DAY, _HOUR, 0, "h"),
        (8 * _DAY, _DAY, _HOUR, "dh"),
        (2 * _YEAR, _DAY, 0, "d"),
        (8 * _YEAR, _YEAR, _DAY, "yd"),
    ):
        if seconds < end:
            rest = seconds % unit // part if part else 0
            return f"{seconds // unit}{letters[0]}" + (f"{rest}{letters[1]}" if rest else "")
    return f"{seconds // _YEAR}y"


def _definition(column: Obj) -> Obj:
    """The columnDefinition of a printer column."""
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description")
        or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
        "priority": column.get("priority", 0),
    }

"""The CEL functions that Kubernetes adds to the language, for the rules of custom resources.

Source: apiserver pkg/cel/library and cel-go ext/strings. Not implemented: URL, IP, CIDR, quantity, semver and format;
a CRD whose rules call them is rejected, see rules.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from cel.stdlib import STDLIB_FUNCTIONS

from dpf_async.sim.apiserver.wire.patterns import compile_pattern, find_all


def _size(value: Any) -> int:
    """Count code points, elements or entries; the library counts the bytes of a string."""
    return len(value)


def _find(text: str, pattern: str) -> str:
    match = compile_pattern(pattern).search(text)
    return match[0] if match else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = find_all(pattern, text)
    return found if limit < 0 else found[:limit]


def _index_of(value: Any, item: Any, *start: int) -> int:
    if isinstance(value, str):
        return value.find(item, *start)
    return next((index for index, candidate in enumerate(value) if candidate == item), -1)


def _last_index_of(value: Any, item: Any, *start: int) -> int:
    if isinstance(value, str):
        return value.rfind(item, 0, *(offset + len(item) for offset in start))
    return next((i for i in range(len(value) - 1, -1, -1) if value[i] == item), -1)


def _is_sorted(values: list[Any]) -> bool:
    return all(left <= right for left, right in pairwise(values))


def _min(values: list[Any]) -> Any:
    if not values:
        raise ValueError("min called on empty list")
    return min(values)


def _max(values: list[Any]) -> Any:
    if not values:
        raise ValueError("max called on empty list")
    return max(values)


_STANDARD = (
    "charAt",
    "substring",
    "replace",
    "split",
    "join",
    "lowerAscii",
    "upperAscii",
    "trim",
    "reverse",
    "sum",
    "bool",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "base64.encode",
    "base64.decode",
)

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: STDLIB_FUNCTIONS[name] for name in _STANDARD},
    "size_": _size,
    "find": _find,
    "findAll": _find_all,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "isSorted": _is_sorted,
    "min": _min,
    "max": _max,
}

# Functions that the library implements. Source: common-expression-language 0.10, each of them called once.
NATIVE = frozenset(
    (
        *(
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "has",
            "all",
            "exists",
            "exists_one",
            "map",
            "filter",
        ),
        *("int", "uint", "double", "string", "bytes", "timestamp", "duration", "dyn", "type"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
        *("optional", "optional.of", "optional.none", "optional.ofNonZeroValue"),
        *("hasValue", "value", "orValue", "or", "optMap", "optFlatMap"),
    )
)

_TOKEN = re.compile(r"""(r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*')|\bsize(?=\s*\()""")


def rewrite(expression: str) -> str:
    """Replace calls of size() by calls of _size(), except inside string literals."""
    return _TOKEN.sub(lambda match: match[1] or "size_", expression)

"""JSON patch, merge patch, and the strategic merge patch of core kinds."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from dpf_async.sim.apiserver.wire.codec import Obj, copy
from dpf_async.sim.apiserver.wire.status import request_too_large, unprocessable

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

# Source: apiserver endpoints/handlers/patch.go.
MAX_OPERATIONS = 10_000


def json_patch(document: Obj, operations: list[Any]) -> Any:
    """Apply RFC 6902 operations.

    Raises:
        StatusError: 413 for too many operations, 422 if one cannot be applied to the document.
    """
    if len(operations) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise request_too_large(text)
    document = copy(document)
    try:
        for operation in operations:
            document = jsonpatch.JsonPatch([_as_go_reads(operation, document)]).apply(document)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError):
        raise unprocessable() from None
    return document


def _as_go_reads(given: Any, document: Any) -> Any:
    """Convert an operation that evanphx/json-patch accepts beyond RFC 6902.

    A missing value is null; a missing member can be replaced, and equals null; the part of a path before its first
    slash is ignored.
    """
    if not isinstance(given, dict):
        return given
    operation: dict[str, Any] = dict(given)
    for name in ("path", "from"):
        if isinstance(pointer := operation.get(name), str) and "/" in pointer:
            operation[name] = pointer[pointer.index("/") :]
    if operation.get("op") not in ("add", "replace", "test"):
        return operation
    operation = {"value": None, **operation}
    if operation["op"] == "add":
        return operation
    parent, member = jsonpointer.JsonPointer(operation["path"]).to_last(document)
    if isinstance(parent, dict) and member is not None and member not in parent:
        if operation["op"] == "replace":
            return {**operation, "op": "add"}
        if operation["value"] is None:
            return {"op": "test", "path": "", "value": document}
    return operation


_OPERATION = ("op", "path", "from", "value")


def unknown_members(operations: Any) -> list[str]:
    """List the members of operations that a strict decoder rejects."""
    return [
        f'unknown field "[{index}].{name}"'
        for index, operation in enumerate(operations if isinstance(operations, list) else [])
        if isinstance(operation, dict)
        for name in operation
        if name not in _OPERATION
    ]


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply an RFC 7386 merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


# Lists of the core kinds served here that merge by a key. Source: the patchMergeKey tags of core/v1.
_MERGE_KEYS = {"ownerReferences": "uid", "conditions": "type", "addresses": "type", "taints": "key"}
_MERGE_SETS = frozenset({"finalizers"})


def strategic_patch(document: Any, patch: Any, field: str = "") -> Any:
    """Apply a strategic merge patch to a core kind; $setElementOrder is honored only for sets."""
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {name: value for name, value in patch.items() if name != "$patch"}
        result = dict(document) if isinstance(document, dict) else {}
        for name, value in patch.items():
            if name.startswith("$deleteFromPrimitiveList/"):
                target = name.partition("/")[2]
                result[target] = [item for item in result.get(target, []) if item not in value]
            elif name.startswith("$"):
                continue
            elif value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
                result.pop(name, None)
            else:
                result[name] = strategic_patch(result.get(name), value, name)
        for name in _MERGE_SETS & result.keys():
            if order := patch.get(f"$setElementOrder/{name}"):
                result[name] = [item for item in order if item in result[name]] + [
                    item for item in result[name] if item not in order
                ]
        return result
    if isinstance(patch, list) and isinstance(document, list):
        if field in _MERGE_SETS:
            return patch + [item for item in document if item not in patch]
        if field in _MERGE_KEYS:
            return _merge_by_key(document, patch, _MERGE_KEYS[field])
    return patch


def _merge_by_key(document: list[Any], patch: list[Any], key: str) -> list[Any]:
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    result = {item.get(key): item for item in document}
    for item in patch:
        if item.get("$patch") == "delete":
            result.pop(item.get(key), None)
        else:
            result[item.get(key)] = strategic_patch(result.get(item.get(key)), item)
    return list(result.values())

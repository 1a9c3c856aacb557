"""Validation of object metadata: types, names and immutable fields.

Source: apimachinery pkg/api/validation/objectmeta.go, pkg/util/validation, and the metadata coercion of
apiextensions-apiserver pkg/apiserver/schema/objectmeta.
"""

from __future__ import annotations

import re
from typing import Any

from dpf_async.sim.apiserver.wire.codec import Obj, encode_in_order
from dpf_async.sim.apiserver.wire.field_errors import FieldError, field_forbidden, invalid, required, too_long
from dpf_async.sim.apiserver.wire.names import (
    label_key_problems,
    label_problems,
    label_value_problems,
    qualified_name_problems,
    subdomain_problems,
)
from dpf_async.sim.apiserver.wire.status import StatusError, bad_request

ANNOTATION_BYTES = 256 * 1024
GC_FINALIZERS = ("orphan", "foregroundDeletion")

_STRING, _INTEGER, _BOOLEAN = "string", "int64", "bool"
_OWNER: dict[str, Any] = {
    "apiVersion": _STRING,
    "kind": _STRING,
    "name": _STRING,
    "uid": _STRING,
    "controller": _BOOLEAN,
    "blockOwnerDeletion": _BOOLEAN,
}
_MANAGED: dict[str, Any] = {
    "manager": _STRING,
    "operation": _STRING,
    "apiVersion": _STRING,
    "time": _STRING,
    "fieldsType": _STRING,
    "fieldsV1": dict,
    "subresource": _STRING,
}
# The type of a member: a name for a scalar, {"": type} for a map, [type] for a list, a dict for an object.
_OBJECT_META: dict[str, Any] = {
    "name": _STRING,
    "generateName": _STRING,
    "namespace": _STRING,
    "selfLink": _STRING,
    "uid": _STRING,
    "resourceVersion": _STRING,
    "generation": _INTEGER,
    "creationTimestamp": _STRING,
    "deletionTimestamp": _STRING,
    "deletionGracePeriodSeconds": _INTEGER,
    "labels": {"": _STRING},
    "annotations": {"": _STRING},
    "ownerReferences": [_OWNER],
    "finalizers": [_STRING],
    "managedFields": [_MANAGED],
}


def coerce(obj: Obj, kind: str, version: str, known: Obj | None = None) -> list[str]:
    """Remove unknown and null members of the metadata; return the paths of the unknown ones.

    Args:
        obj: gets new metadata.
        kind: of the object, for errors.
        version: of the object, for errors.
        known: stored metadata, whose members are skipped where those of obj are the same objects.

    Raises:
        StatusError: 400, a member has the wrong type.
    """
    meta = obj.get("metadata")
    if meta is None:
        obj["metadata"] = {}
        return []
    unknown: list[str] = []
    try:
        coerced = _coerce(meta, _OBJECT_META, "metadata", "ObjectMeta", unknown, known=known or {})
    except _WrongType as error:
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from None
    # Go omits empty lists and maps; empty managedFields stay, because they reset the ownership of fields.
    obj["metadata"] = {
        name: item for name, item in coerced.items() if name == "managedFields" or item not in ([], {})
    }
    obj["metadata"].pop("selfLink", None)
    return sorted(unknown)


class _WrongType(Exception):
    pass


_NOTHING: Any = {}


def _coerce(
    value: Any, wanted: Any, path: str, struct: str, unknown: list[str], *, known: Obj = _NOTHING
) -> Any:
    if isinstance(wanted, list):
        _expect(value, list, path, struct, "[]" + _go_type(wanted[0]))
        return [
            _coerce(item, wanted[0], f"{path}[{index}]", struct, unknown)
            for index, item in enumerate(value)
            if item is not None
        ]
    if wanted is dict:
        _expect(value, dict, path, struct, "v1.FieldsV1")
        return value
    if isinstance(wanted, dict):
        _expect(value, dict, path, struct, _go_type(wanted))
        if "" in wanted:
            return {
                key: _coerce("" if item is None else item, wanted[""], path, struct, unknown)
                for key, item in value.items()
            }
        result = {}
        for name, item in value.items():
            if name not in wanted:
                unknown.append(f"{path}.{name}")
            elif item is not None and item is known.get(name):
                result[name] = item
            elif item is not None:
                result[name] = _coerce(item, wanted[name], f"{path}.{name}", struct, unknown)
        return result
    python = {_STRING: str, _INTEGER: int, _BOOLEAN: bool}[wanted]
    _expect(value, python, path, struct, wanted)
    return value


def _expect(value: Any, python: type, path: str, struct: str, go: str) -> None:
    if isinstance(value, python) and not (python is int and isinstance(value, bool)):
        return
    kinds = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    got = kinds[type(value)]
    member = re.sub(r"\[\d+\]", "", path).removeprefix("metadata").removeprefix(".")
    where = f"struct field {struct}.{member}" if member else "value"
    raise _WrongType(f"json: cannot unmarshal {got} into Go {where} of type {go}")


def _go_type(wanted: Any) -> str:
    if wanted is _OWNER:
        return "v1.OwnerReference"
    if wanted is _MANAGED:
        return "v1.ManagedFieldsEntry"
    if isinstance(wanted, dict):
        return "map[string]string" if "" in wanted else "v1.ObjectMeta"
    return str(wanted)


def creation_errors(
    meta: Obj, *, namespaced: bool, name_problems: Any = subdomain_problems
) -> list[FieldError]:
    """Validate metadata of a new object."""
    errors = []
    if generate := meta.get("generateName"):
        masked = generate[:-1] + "a" if generate.endswith(("-", ".")) else generate
        errors += [invalid("metadata.generateName", generate, text) for text in name_problems(masked)]
    if name := meta.get("name"):
        errors += [invalid("metadata.name", name, text) for text in name_problems(name)]
    else:
        errors.append(required("metadata.name", "name or generateName is required"))
    if namespaced:
        if namespace := meta.get("namespace"):
            errors += [invalid("metadata.namespace", namespace, text) for text in label_problems(namespace)]
        else:
            errors.append(required("metadata.namespace"))
    elif meta.get("namespace"):
        errors.append(field_forbidden("metadata.namespace", "not allowed on this type"))
    return errors + _common_errors(meta)


def _common_errors(meta: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    if meta.get("generation", 0) < 0:
        text = "must be greater than or equal to 0"
        errors.append(invalid("metadata.generation", meta["generation"], text))
    for key, value in meta.get("labels", {}).items():
        errors += [invalid("metadata.labels", key, text) for text in label_key_problems(key)]
        errors += [invalid("metadata.labels", value, text) for text in label_value_problems(value)]
    annotations = meta.get("annotations", {})
    for key in annotations:
        errors += [
            invalid("metadata.annotations", key, text) for text in qualified_name_problems(key.lower())
        ]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATION_BYTES:
        errors.append(too_long("metadata.annotations", ANNOTATION_BYTES))
    errors += _owner_errors(meta.get("ownerReferences", []))
    finalizers = meta.get("finalizers", [])
    for finalizer in finalizers:
        problems = qualified_name_problems(finalizer)
        errors += [invalid("metadata.finalizers", finalizer, text) for text in problems]
    if set(GC_FINALIZERS) <= set(finalizers):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.append(invalid("metadata.finalizers", finalizers, text))
    return errors


def _owner_errors(owners: list[Obj]) -> list[FieldError]:
    errors = []
    path = "metadata.ownerReferences"
    controller = ""
    for index, owner in enumerate(owners):
        missing = [name for name in ("apiVersion", "kind", "name", "uid") if not owner.get(name)]
        errors += [required(f"{path}[{index}].{name}", "must not be empty") for name in missing]
        if (owner.get("apiVersion"), owner.get("kind")) in _NO_OWNERS:
            text = f"/{owner['apiVersion']}, Kind={owner['kind']} is disallowed from being an owner"
            errors.append(_invalid_in_order(f"{path}[{index}]", _in_go_order(owner), text))
        if owner.get("controller"):
            current = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                text = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {current}'
                )
                errors.append(_invalid_in_order(path, [_in_go_order(each) for each in owners], text))
            else:
                controller = current
    return errors


_NO_OWNERS = {("v1", "Event")}
_OWNER_MEMBERS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def _in_go_order(owner: Obj) -> Obj:
    """An owner reference with its members in the order of the Go struct."""
    return {name: owner[name] for name in _OWNER_MEMBERS if name in owner}


def _invalid_in_order(path: str, value: Any, detail: str) -> FieldError:
    shown = encode_in_order(value).decode().strip()
    return FieldError("FieldValueInvalid", path, f"Invalid value: {shown}: {detail}")


_IMMUTABLE = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def update_errors(new: Obj, old: Obj) -> list[FieldError]:
    """Validate the metadata of an update against the stored one."""
    errors = []
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers", [])) - set(old.get("finalizers", [])))
        if extra:
            listed = ", ".join(f'"{name}"' for name in extra)
            text = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            errors.append(field_forbidden("metadata.finalizers", text))
    if not new.get("resourceVersion"):
        errors.append(invalid("metadata.resourceVersion", "", "must be specified for an update"))
    changed = [name for name in _IMMUTABLE if new.get(name) != old.get(name)]
    errors += [invalid(f"metadata.{name}", new.get(name, ""), "field is immutable") for name in changed]
    return errors + _common_errors(new)


def match_namespace(meta: Obj, namespace: str) -> None:
    """Set the namespace of the object to the namespace of the request.

    Raises:
        StatusError: 400, the object names another namespace.
    """
    if not namespace:
        meta.pop("namespace", None)
    elif not meta.get("namespace"):
        meta["namespace"] = namespace
    elif meta["namespace"] != namespace:
        raise namespace_mismatch()


def namespace_mismatch() -> StatusError:
    """Answer 400 to an object whose namespace is not the one in the URL."""
    text = "the namespace of the provided object does not match the namespace sent on the request"
    return bad_request(text)

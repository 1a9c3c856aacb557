"""Admission: decoding of bodies, defaulting, the fields that the server sets, and validation.

Source of the order and the messages: apiserver registry/rest/{create,update,delete}.go, apiextensions
registry/customresource/{strategy,validator}.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from dpf_async.sim.apiserver.cluster.requests import Body, Target, WriteOptions
from dpf_async.sim.apiserver.schema.structure import apply_defaults, list_type_errors, prune
from dpf_async.sim.apiserver.storage import metadata
from dpf_async.sim.apiserver.storage.kinds import DEFINITIONS, NAMESPACES, SECRETS
from dpf_async.sim.apiserver.wire import field_errors, names, status
from dpf_async.sim.apiserver.wire.codec import Obj, encode
from dpf_async.sim.apiserver.wire.field_errors import FieldError
from dpf_async.sim.apiserver.wire.status import GroupResource, StatusError


def decode(
    target: Target, body: Body, options: WriteOptions, *, patch: bool = False, known: Obj | None = None
) -> Obj:
    """Decode an object of a kind: check metadata, prune unknown fields, fill in defaults.

    Args:
        target: of the request.
        body: the object; its parts are modified unless known has them too.
        options: of the request.
        patch: whether the body is the result of a patch.
        known: the stored object, with whose parts nothing is left to do.

    Raises:
        StatusError: 400 or, for a patch, 422.
    """
    obj = body.value
    version = target.version
    patched = encode(obj).decode().strip() if patch and options.field_validation == "Strict" else ""
    unknown = metadata.coerce(obj, target.kind.kind, version.name, known["metadata"] if known else None)
    if target.resource == SECRETS:
        _merge_string_data(obj)
        obj.setdefault("type", "Opaque")
    if target.resource == DEFINITIONS:
        _complete_definition(obj)
    if version.root is not None:
        unknown = sorted(unknown + prune(obj, version.root, known))
        apply_defaults(obj, version.root, known)
    if not_served(target, obj):
        unknown = fields_without_schema(obj)
    strict = [*body.strict_errors, *(f'unknown field "{path}"' for path in unknown)]
    report_strict_errors(strict, options, obj, patched=patched)
    return obj


def not_served(target: Target, obj: Obj) -> bool:
    """Whether the apiVersion of a custom object is not served, so that it has no schema."""
    given = str(obj.get("apiVersion", "")).rpartition("/")[2]
    return target.kind.custom and given not in target.kind.versions


def fields_without_schema(obj: Obj) -> list[str]:
    """List the fields that are unknown without a schema: all but those of every object."""
    return sorted(name for name in obj if name not in ("apiVersion", "kind", "metadata"))


def report_strict_errors(
    errors: Sequence[str], options: WriteOptions, obj: Obj, *, patched: str = ""
) -> None:
    """Warn of unknown and duplicate fields, or reject them, as fieldValidation says.

    patched: the result of a patch, as JSON.
    """
    if not errors or options.field_validation == "Ignore":
        return
    if options.field_validation == "Warn":
        options.warnings += errors
        return
    text = "strict decoding error: " + ", ".join(errors)
    if patched:
        raise invalid_patch(patched, text)
    kind, version = obj.get("kind", ""), str(obj.get("apiVersion", "")).split("/")[-1]
    raise status.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {text}')


def invalid_patch(result: str, why: str) -> StatusError:
    """Answer 422 to a patch whose result (JSON) is not a valid object."""
    return status.invalid_object(GroupResource("", ""), "", [field_errors.invalid("patch", result, why)])


def report_repeated_keys(errors: Sequence[str], options: WriteOptions) -> None:
    """Warn of repeated keys in an applied configuration, or reject them."""
    if errors and options.field_validation == "Strict":
        listed = "\n".join(f"  {error}" for error in errors)
        text = f"error converting YAML to JSON: yaml: unmarshal errors:\n{listed}"
        raise status.bad_request(f"error strict decoding patch: {text}")
    if options.field_validation == "Warn":
        options.warnings += errors


def prepare_new(target: Target, obj: Obj) -> None:
    """Set the fields of a new object that only the server sets."""
    meta = obj["metadata"]
    if target.version.has_status and target.kind.custom:
        obj.pop("status", None)
    if target.kind.has_generation:
        meta["generation"] = 1
    else:
        meta.pop("generation", None)
    if target.resource == NAMESPACES:
        obj["spec"] = {**(obj.get("spec") or {}), "finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
        label_namespace(target, obj)


def label_namespace(target: Target, obj: Obj) -> None:
    """Add the label with its name to a namespace; its creator is the field manager."""
    meta = obj["metadata"]
    if target.resource == NAMESPACES and meta.get("name"):
        meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]


def creation_errors(target: Target, obj: Obj) -> list[FieldError]:
    """Validate a new object."""
    if errors := _type_errors(target, obj):
        return errors
    checks = names.label_problems if target.resource == NAMESPACES else names.subdomain_problems
    errors = metadata.creation_errors(
        obj["metadata"], namespaced=target.kind.namespaced, name_problems=checks
    )
    return errors + _value_errors(target, obj, None)


def update_errors(target: Target, obj: Obj, old: Obj) -> list[FieldError]:
    """Validate an update.

    The API server validates metadata for all kinds and again for each kind, so causes are repeated.
    """
    meta, old_meta = obj["metadata"], old["metadata"]
    errors = metadata.creation_errors(
        meta, namespaced=target.kind.namespaced, name_problems=names.path_segment_problems
    )
    repeated = metadata.update_errors(meta, old_meta)
    errors += repeated
    if type_errors := _type_errors(target, obj):
        return errors + type_errors
    return errors + repeated + _value_errors(target, obj, old)


def _type_errors(target: Target, obj: Obj) -> list[FieldError]:
    errors = []
    if obj.get("kind") != target.kind.kind:
        errors.append(field_errors.invalid("kind", obj.get("kind", ""), f"must be {target.kind.kind}"))
    if obj.get("apiVersion") != target.api_version:
        text = f"must be {target.api_version}"
        errors.append(field_errors.invalid("apiVersion", obj.get("apiVersion", ""), text))
    return errors


def _value_errors(target: Target, obj: Obj, old: Obj | None) -> list[FieldError]:
    """Validate by the schema, list types and, unless another error blocks them, CEL rules."""
    version = target.version
    if version.validator is None or version.rules is None:
        return []
    errors = _schema_errors(target, obj, old) + list_type_errors(obj, version.root, old)
    if not version.rules.empty and any(error.blocking for error in errors):
        text = (
            "some validation rules were not checked because the object was invalid; "
            "correct the existing errors to complete validation"
        )
        return [*errors, field_errors.invalid("", None, text)]
    return errors + version.rules.errors(obj, old)


def _schema_errors(target: Target, obj: Obj, old: Obj | None) -> list[FieldError]:
    validator, status_validator = target.version.validator, target.version.status_validator
    if target.subresource != "status" or old is None:
        return validator.errors(obj, old) if validator is not None else []
    if status_validator is None or "status" not in obj:
        return []
    return status_validator.errors(obj["status"], old.get("status"))


def wipe_system_fields(meta: Obj) -> None:
    """Remove the metadata that a client cannot set."""
    for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(name, None)


def kind_in(obj: Obj) -> GroupResource:
    """The group and kind that an object names, for 422 messages."""
    group, _, _ = str(obj.get("apiVersion", "")).rpartition("/")
    return GroupResource(group, str(obj.get("kind", "")))


def content(obj: Obj) -> Obj:
    """Everything but the metadata; a change of it increases the generation."""
    return {name: value for name, value in obj.items() if name != "metadata"}


def set_or_drop(obj: Obj, name: str, value: Any) -> None:
    """Set a member, or remove it for None."""
    if value is None:
        obj.pop(name, None)
    else:
        obj[name] = value


def deduplicate_owners(meta: Obj, options: WriteOptions) -> None:
    """Remove repeated owner references, with a warning."""
    owners = meta.get("ownerReferences", [])
    unique = {encode(owner): owner for owner in owners}
    if len(unique) == len(owners):
        return
    meta["ownerReferences"] = list(unique.values())
    uids = [owner.get("uid", "") for owner in owners]
    repeated = list(dict.fromkeys(uid for uid in uids if uids.count(uid) > 1))
    options.warnings.append(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
        "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        f"{', '.join(repeated)}"
    )


_PATH = " including a path (/)"


def finalizer_warnings(new: Sequence[str], old: Sequence[str]) -> list[str]:
    """Warn of new finalizers without a domain."""
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name{_PATH if "." in name else ""} '
        "to avoid accidental conflicts with other finalizer writers"
        for name in sorted(set(new) - set(old))
        if "/" not in name and name not in ("orphan", "foregroundDeletion", "kubernetes")
    ]


def finalizers_for_deletion(finalizers: Sequence[str], propagation: str | None) -> list[str]:
    """Add or remove the finalizers of the garbage collector, as the propagation policy says."""
    if propagation is None:
        return list(finalizers)
    kept = [name for name in finalizers if name not in metadata.GC_FINALIZERS]
    wanted = {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"]}
    return kept + wanted.get(propagation, [])


def _complete_definition(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    names.setdefault("singular", names.get("kind", "").lower())
    names.setdefault("listKind", f"{names.get('kind', '')}List")
    spec.setdefault("conversion", {"strategy": "None"})


def _merge_string_data(obj: Obj) -> None:
    """Merge the stringData of a Secret into its data, and reject data that is not base64."""
    text = obj.pop("stringData", None) or {}
    encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
    if encoded or obj.get("data"):
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    for value in (obj.get("data") or {}).values():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            why = "illegal base64 data at input byte 0"
            raise status.bad_request(f'Secret in version "v1" cannot be handled as a Secret: {why}') from None

"""CustomResourceDefinitions: their validation, and the kinds that they add, change and remove.

Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/controller/{status,establish,finalizer},
and docs/watching.md#crd-changes for the effects of a change on clients.
Not implemented: the checks that make a schema structural, conversion webhooks, the scale subresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpf_async.sim.apiserver.cluster.cluster import CLEANUP, Cluster
from dpf_async.sim.apiserver.schema.compiled import compiled
from dpf_async.sim.apiserver.schema.rules import RuleError
from dpf_async.sim.apiserver.schema.structure import apply_defaults, prune
from dpf_async.sim.apiserver.storage.kinds import DEFINITIONS, Kind, Version
from dpf_async.sim.apiserver.storage.store import Event
from dpf_async.sim.apiserver.wire import field_errors, status
from dpf_async.sim.apiserver.wire.codec import Obj, copy, same
from dpf_async.sim.apiserver.wire.content import Content
from dpf_async.sim.apiserver.wire.field_errors import FieldError
from dpf_async.sim.apiserver.wire.status import GroupResource


class Definitions:
    """Updates the registry when CRDs are stored in a cluster."""

    def __init__(self, cluster: Cluster, *, minor: int) -> None:
        self._cluster = cluster
        self._minor = minor
        cluster.admit_definition = self.admit
        cluster.store.listeners.append(self._on_event)

    def admit(self, new: Obj, old: Obj | None) -> None:
        """Complete a CRD before it is stored: conditions, accepted names, stored versions.

        Raises:
            StatusError: 422, the CRD is invalid.
        """
        if old is not None and new["metadata"].get("deletionTimestamp"):
            reason = "InstanceDeletionPending"
            _set_condition(new, _condition("Terminating", reason, "", self._cluster.now()))
            return
        errors = _errors(new, old, self._minor)
        if errors:
            kind = GroupResource("apiextensions.k8s.io", "CustomResourceDefinition")
            raise status.invalid_object(kind, new["metadata"].get("name", ""), errors)
        state = new.setdefault("status", {})
        if old is not None and old.get("status"):
            state = new["status"] = copy(old["status"])
        now = self._cluster.now()
        _set_condition(new, _condition("NamesAccepted", "NoConflicts", "no conflicts found", now))
        text = "the initial names have been accepted"
        _set_condition(new, _condition("Established", "InitialNamesAccepted", text, now))
        state["acceptedNames"] = copy(new["spec"]["names"])
        stored = state.setdefault("storedVersions", [])
        current = _storage_version(new)
        if current not in stored:
            stored.append(current)

    def _on_event(self, resource: GroupResource, event: Event) -> None:
        if resource != DEFINITIONS:
            return
        obj, old = event.obj, event.old
        if event.type == "DELETED":
            removed = _resource(obj)
            self._cluster.registry.remove(removed)
            self._cluster.store.drop(removed)
        elif obj["metadata"].get("deletionTimestamp"):
            if (kind := self._cluster.registry.kinds.get(_resource(obj))) is not None:
                kind.terminating = True
        elif old is None or not same(obj["spec"], old["spec"]):
            self._serve(obj, changed=old is not None)

    def _serve(self, definition: Obj, *, changed: bool) -> None:
        kind = kind_of(definition, self._minor)
        self._cluster.registry.add(kind)
        if not changed:
            self._cluster.store.collection(kind.resource)
            return
        self._cluster.store.restart(kind.resource, lambda obj: _reread(obj, kind))


def _reread(obj: Obj, kind: Kind) -> Obj:
    """Convert a stored object to the new schema, as decoding it from etcd does."""
    version = kind.versions.get(kind.storage_version)
    if version is None or version.root is None:
        return obj
    reread: Obj = {**copy(obj), "apiVersion": kind.api_version(version.name)}
    prune(reread, version.root)
    apply_defaults(reread, version.root)
    return reread


def kind_of(definition: Obj, minor: int) -> Kind:
    """Build the kind that a CRD defines."""
    spec = definition["spec"]
    names = spec["names"]
    versions = {entry["name"]: _version(entry, minor) for entry in spec["versions"] if entry.get("served")}
    return Kind(
        group=spec["group"],
        plural=names["plural"],
        kind=names["kind"],
        versions=versions,
        storage_version=_storage_version(definition),
        namespaced=spec["scope"] == "Namespaced",
        singular=names["singular"],
        list_kind=names["listKind"],
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        custom=True,
        has_generation=True,
    )


def _version(entry: Mapping[str, Any], minor: int) -> Version:
    return Version(
        name=entry["name"],
        schema=entry["schema"]["openAPIV3Schema"],
        has_status="status" in (entry.get("subresources") or {}),
        columns=tuple(entry.get("additionalPrinterColumns", ())),
        selectable=tuple(field["jsonPath"].removeprefix(".") for field in entry.get("selectableFields", ())),
        minor=minor,
    )


def _storage_version(definition: Obj) -> str:
    return next(str(entry["name"]) for entry in definition["spec"]["versions"] if entry.get("storage"))


def _resource(definition: Obj) -> GroupResource:
    return GroupResource(definition["spec"]["group"], definition["spec"]["names"]["plural"])


def _errors(definition: Obj, old: Obj | None, minor: int) -> list[FieldError]:
    spec = definition["spec"]
    names = spec["names"]
    errors: list[FieldError] = []
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if old is None and definition["metadata"].get("name") != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        errors.append(field_errors.invalid("metadata.name", definition["metadata"].get("name", ""), text))
    errors += [field_errors.required(f"spec.{name}") for name in ("group", "scope") if not spec.get(name)]
    if spec.get("scope") not in (None, "Cluster", "Namespaced"):
        errors.append(field_errors.not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced")))
    errors += [
        field_errors.required(f"spec.names.{name}") for name in ("plural", "kind") if not names.get(name)
    ]
    versions = spec.get("versions") or []
    if sum(bool(entry.get("storage")) for entry in versions) != 1:
        text = "must have exactly one version marked as storage version"
        errors.append(field_errors.invalid("spec.versions", [entry.get("name") for entry in versions], text))
    for index, entry in enumerate(versions):
        errors += _schema_errors(entry, f"spec.versions[{index}].schema", minor)
    if old is not None:
        immutable = {"spec.group": ("group",), "spec.scope": ("scope",), "spec.names.kind": ("names", "kind")}
        for path, steps in immutable.items():
            now, before = _at(spec, steps), _at(old["spec"], steps)
            if now != before:
                errors.append(field_errors.invalid(path, now, "field is immutable"))
    return errors


def _schema_errors(entry: Mapping[str, Any], path: str, minor: int) -> list[FieldError]:
    schema = (entry.get("schema") or {}).get("openAPIV3Schema")
    if not isinstance(schema, Mapping):
        return [field_errors.required(f"{path}.openAPIV3Schema", "schemas are required")]
    if schema.get("type") != "object":
        text = "must be object at the root"
        return [field_errors.invalid(f"{path}.openAPIV3Schema.type", schema.get("type", ""), text)]
    try:
        _ = compiled(Content.of(schema), minor=minor).rules
    except RuleError as error:
        return [field_errors.invalid(f"{path}.openAPIV3Schema.x-kubernetes-validations", "", str(error))]
    return []


def _at(value: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        value = (value or {}).get(step)
    return value


def _condition(kind: str, reason: str, message: str, now: str) -> Obj:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}


def _set_condition(definition: Obj, condition: Obj) -> None:
    conditions = definition.setdefault("status", {}).setdefault("conditions", [])
    if all(known["type"] != condition["type"] for known in conditions):
        conditions.append(condition)


def without_cleanup(definition: Obj) -> Obj:
    """The CRD without the finalizer that waits until its objects are deleted."""
    released: Obj = copy(definition)
    finalizers = [name for name in released["metadata"].get("finalizers", []) if name != CLEANUP]
    released["metadata"]["finalizers"] = finalizers
    return released

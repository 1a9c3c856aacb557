"""Reads and writes of objects, without HTTP: create, update, patch, apply and delete.

Each method is synchronous, so writes never interleave. Source of the order and the messages: apiserver
registry/generic/registry/store.go and endpoints/handlers.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from dpf_async.sim.apiserver.apply import ownership
from dpf_async.sim.apiserver.cluster import admission
from dpf_async.sim.apiserver.cluster.requests import Body, DeleteOptions, Target, WriteOptions
from dpf_async.sim.apiserver.schema.structure import apply_defaults, fill_defaults, prune
from dpf_async.sim.apiserver.storage import metadata
from dpf_async.sim.apiserver.storage.kinds import DEFINITIONS, NAMESPACES, Kind, Registry, Version
from dpf_async.sim.apiserver.storage.store import Key, Store
from dpf_async.sim.apiserver.wire import field_errors, status
from dpf_async.sim.apiserver.wire.codec import Obj, copy, copy_changes, encode, same

# etcd refuses requests over 1.5 MiB. Source: docs/watching.md#framing, etcd --max-request-bytes.
MAX_OBJECT_BYTES = 1_572_864
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_LOCK_FAILED = "the object has been modified; please apply your changes to the latest version and try again"
# Source: apimachinery util/rand; without vowels.
_NAME_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAME_ATTEMPTS = 8
_PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")


class Cluster:
    """The kinds and objects of one server."""

    def __init__(self, *, history: int, clock: Callable[[], datetime]) -> None:
        self.registry: Registry = Registry()
        self.store: Store = Store(history=history)
        self._clock = clock
        # Called with the new and the old CRD before it is stored; see definitions.py.
        self.admit_definition: Callable[[Obj, Obj | None], None] = lambda _new, _old: None

    def now(self) -> str:
        """The time in the format of metadata."""
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Reading

    def show(self, target: Target, obj: Obj) -> Obj:
        """Convert a stored object to the requested version."""
        return self.convert(target.kind, target.version, obj)

    def convert(self, kind: Kind, version: Version, obj: Obj) -> Obj:
        """Convert an object as conversion strategy None does: change apiVersion, prune, fill in defaults."""
        wanted = kind.api_version(version.name)
        if obj.get("apiVersion") == wanted:
            return obj
        converted: Obj = {**copy(obj), "apiVersion": wanted}
        if version.root is not None:
            prune(converted, version.root)
            apply_defaults(converted, version.root)
        return converted

    def read(self, target: Target) -> Obj:
        """Read one object as stored.

        Raises:
            StatusError: 404.
        """
        obj = self.store.get(target.resource, target.key)
        if obj is None:
            raise status.not_found(target.resource, target.name)
        return obj

    # Creating

    def create(self, target: Target, body: Body, options: WriteOptions) -> Obj:
        """Create an object and return it as stored.

        Raises:
            StatusError: 400, 403, 404, 409, 422 or 500.
        """
        obj = admission.decode(target, body, options)
        meta = obj["metadata"]
        admission.wipe_system_fields(meta)
        metadata.match_namespace(meta, target.namespace)
        self._require_namespace(target, meta.get("name", ""))
        if not meta.get("name") and meta.get("generateName"):
            return self._create_generated(target, obj, options)
        return self._create(target, obj, options)

    def _create_generated(self, target: Target, obj: Obj, options: WriteOptions) -> Obj:
        prefix = obj["metadata"]["generateName"][:58]
        name = ""
        for _ in range(_NAME_ATTEMPTS):
            name = prefix + "".join(random.choices(_NAME_CHARACTERS, k=5))  # noqa: S311 - not a secret
            attempt = copy(obj)
            attempt["metadata"]["name"] = name
            if self.store.get(target.resource, (target.namespace, name)) is None:
                return self._create(target, attempt, options)
        raise status.name_not_generated(target.resource, name)

    def _create(self, target: Target, obj: Obj, options: WriteOptions) -> Obj:
        writer = options.writer(target, ownership.UPDATE)
        admission.label_namespace(target, obj)
        ownership.record_update(None, obj, writer, target.version.fieldset(""), self.now())
        return self._store_new(target, obj, options)

    def _store_new(self, target: Target, obj: Obj, options: WriteOptions) -> Obj:
        meta = obj["metadata"]
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = self.now()
        admission.deduplicate_owners(meta, options)
        admission.prepare_new(target, obj)
        if target.resource == DEFINITIONS:
            self.admit_definition(obj, None)
        errors = admission.creation_errors(target, obj)
        if errors:
            raise status.invalid_object(admission.kind_in(obj), meta.get("name", ""), errors)
        options.warnings += admission.finalizer_warnings(meta.get("finalizers", []), [])
        key = (target.namespace, meta["name"])
        if (existing := self.store.get(target.resource, key)) is not None:
            deleting = bool(existing["metadata"].get("deletionTimestamp"))
            raise status.already_exists(target.resource, meta["name"], being_deleted=deleting)
        given = meta.pop("resourceVersion", "")
        if given.isdigit() and int(given):  # ignored unless it is a number
            raise status.internal("resourceVersion should not be set on objects to be created")
        if target.version.root is not None:
            apply_defaults(obj, target.version.root)  # also of the status, which a create cannot set
        return self._commit(target, key, obj, options)

    def answered(
        self, target: Target, body: Body, options: WriteOptions, answer: Callable[[Obj], Obj]
    ) -> Obj:
        """Answer the create of a kind that is not stored; the caller owns the fields of the request.

        Raises:
            StatusError: 400, or an error of answer().
        """
        obj = admission.decode(target, body, options)
        writer = options.writer(target, ownership.UPDATE)
        ownership.record_update(None, obj, writer, target.version.fieldset(""), self.now())
        return answer(obj)

    # Updating

    def update(self, target: Target, body: Body, options: WriteOptions) -> Obj:
        """Replace an object (or its status) and return it as stored."""
        obj = admission.decode(target, body, options)
        self._check_identity(target, obj)
        old = self.read(target)
        # The uid of an update is a precondition; the uid of a patch is a change like any other.
        uid, actual = obj["metadata"].get("uid"), old["metadata"]["uid"]
        if uid and uid != actual:
            raise status.conflict(target.resource, target.name, self._uid_differs(target, uid, actual))
        return self._update(target, obj, old, options)

    def patch(
        self,
        target: Target,
        change: Callable[[Obj], Any],
        options: WriteOptions,
        *,
        strict_errors: Sequence[str] = (),
    ) -> Obj:
        """Modify an object by a function of its current state and return it as stored."""
        old = self.read(target)
        shown = self.show(target, old)
        patched = change(shown)
        if not isinstance(patched, dict):
            raise status.bad_request("the patch does not result in an object")
        if target.kind.custom and not patched.get("kind"):
            result = encode(patched).decode().strip()
            raise admission.invalid_patch(result, f"Object 'Kind' is missing in '{result}'")
        # The parts of a custom object that the patch does not change are shared with the stored object.
        known = shown if target.kind.custom else None
        body = Body(copy_changes(patched, known), strict_errors)
        obj = admission.decode(target, body, options, patch=True, known=known)
        self._check_identity(target, obj)
        return self._update(target, obj, old, options)

    def apply(self, target: Target, body: Body, options: WriteOptions) -> tuple[Obj, bool]:
        """Apply a configuration server-side; return the object as stored and whether it is new."""
        applied = body.value
        _check_applied_type(target, applied)
        metadata.coerce(copy(applied), target.kind.kind, target.version.name)  # rejects wrong types
        writer = options.writer(target, ownership.APPLY)
        old = self.store.get(target.resource, target.key)
        if old is None and target.subresource:
            raise status.not_found(target.resource, target.name)
        live = self.show(target, old) if old is not None else None
        types = target.version.fieldset(target.subresource)
        obj = ownership.apply(live, applied, writer, types, self.now(), force=options.force)
        admission.report_repeated_keys(body.strict_errors, options)
        if target.version.root is not None:
            fill_defaults(obj, target.version.root)
        if old is None:
            return self._create_applied(target, obj, options), True
        self._check_identity(target, obj)
        return self._update(target, obj, old, options, owned=True), False

    def _create_applied(self, target: Target, obj: Obj, options: WriteOptions) -> Obj:
        meta = obj["metadata"]
        if uid := meta.get("uid"):
            text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise status.conflict(target.resource, target.name, text)
        self._check_identity(target, obj)
        admission.wipe_system_fields(meta)
        meta.pop("resourceVersion", None)
        self._require_namespace(target, target.name)
        return self._store_new(target, obj, options)

    def _update(
        self, target: Target, obj: Obj, old: Obj, options: WriteOptions, *, owned: bool = False
    ) -> Obj:
        stored = self.show(target, old)
        meta, old_meta = obj["metadata"], old["metadata"]
        if not owned:
            writer = options.writer(target, ownership.UPDATE)
            types = target.version.fieldset(target.subresource)
            ownership.record_update(stored, obj, writer, types, self.now())
        self._check_lock(target, meta, old_meta)
        admission.deduplicate_owners(meta, options)
        obj = self._prepare_update(target, obj, stored)
        meta = obj["metadata"]
        if target.resource == DEFINITIONS:
            self.admit_definition(obj, old)
        errors = admission.update_errors(target, obj, stored)
        if errors:
            raise status.invalid_object(admission.kind_in(obj), target.name, errors)
        options.warnings += admission.finalizer_warnings(
            meta.get("finalizers", []), old_meta.get("finalizers", [])
        )
        if target.version.root is not None:
            apply_defaults(obj, target.version.root, stored)
        ownership.keep_times_if_unchanged(obj, stored)
        if old_meta.get("deletionTimestamp") and not meta.get("finalizers") and not self._held(target, obj):
            return self._remove(target, obj, dry_run=options.dry_run)
        if same(obj, stored):
            return old
        return self._commit(target, target.key, obj, options)

    def _prepare_update(self, target: Target, obj: Obj, old: Obj) -> Obj:
        meta, old_meta = obj["metadata"], old["metadata"]
        if target.subresource == "status":
            merged = {**old, "metadata": {**old_meta}} if target.kind.custom else copy(old)
            admission.set_or_drop(merged["metadata"], "managedFields", meta.get("managedFields"))
            admission.set_or_drop(merged, "status", obj.get("status"))
            return dict(merged)
        if target.version.has_status:
            before = old.get("status")
            admission.set_or_drop(obj, "status", before if target.kind.custom else copy(before))
        admission.set_or_drop(meta, "generation", old_meta.get("generation"))
        if "generation" in old_meta and not same(admission.content(obj), admission.content(old)):
            meta["generation"] = old_meta["generation"] + 1
        meta.setdefault("uid", old_meta["uid"])
        meta["creationTimestamp"] = old_meta["creationTimestamp"]
        # Omitted, they are kept; set on an object that is not being deleted, validation rejects them.
        if "deletionTimestamp" in old_meta:
            meta["deletionTimestamp"] = old_meta["deletionTimestamp"]
        if "deletionGracePeriodSeconds" in old_meta:
            meta.setdefault("deletionGracePeriodSeconds", old_meta["deletionGracePeriodSeconds"])
        return obj

    def _check_lock(self, target: Target, meta: Obj, old_meta: Obj) -> None:
        given = meta.get("resourceVersion", "")
        if given in ("", "0"):
            if target.kind.custom or target.resource == DEFINITIONS:
                error = field_errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
                raise status.invalid_object(target.resource, target.name, [error])
            meta["resourceVersion"] = old_meta["resourceVersion"]
        elif not given.isdigit():
            raise status.internal(f'strconv.ParseUint: parsing "{given}": invalid syntax')
        elif given != old_meta["resourceVersion"]:
            raise status.conflict(target.resource, target.name, _LOCK_FAILED)

    def _uid_differs(self, target: Target, wanted: str, actual: str) -> str:
        path = "/".join(filter(None, (target.kind.storage_prefix(), target.namespace, target.name)))
        return (
            f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
        )

    @staticmethod
    def _check_identity(target: Target, obj: Obj) -> None:
        name = obj["metadata"].get("name", "")
        if not name:
            text = f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
            raise status.bad_request(text)
        if name != target.name:
            text = f"the name of the object ({name}) does not match the name on the URL ({target.name})"
            raise status.bad_request(text)
        metadata.match_namespace(obj["metadata"], target.namespace)

    # Deleting

    def delete(self, target: Target, options: DeleteOptions) -> tuple[Obj, bool]:
        """Delete an object; return it, and whether it was removed, which finalizers prevent."""
        obj = self.read(target)
        meta = obj["metadata"]
        if target.resource == NAMESPACES and target.name in _PROTECTED_NAMESPACES:
            raise status.forbidden(target.resource, target.name, "this namespace may not be deleted")
        self._check_preconditions(target, meta, options)
        finalizers = admission.finalizers_for_deletion(meta.get("finalizers", []), options.propagation)
        if target.resource == DEFINITIONS and CLEANUP not in finalizers:
            finalizers = [*finalizers, CLEANUP]
        marked = {**copy(obj)}
        admission.set_or_drop(marked["metadata"], "finalizers", finalizers or None)
        if not finalizers and not self._held(target, obj):
            return self._remove(target, obj, dry_run=options.dry_run), True
        if not meta.get("deletionTimestamp"):
            if "generation" in meta and target.resource != DEFINITIONS:
                marked["metadata"]["generation"] = meta["generation"] + 1
            marked["metadata"]["deletionTimestamp"] = self.now()
        if target.resource == NAMESPACES:
            marked["status"] = {**(marked.get("status") or {}), "phase": "Terminating"}
        else:
            marked["metadata"]["deletionGracePeriodSeconds"] = 0
        if target.resource == DEFINITIONS:
            self.admit_definition(marked, obj)
        if options.dry_run or same(marked, obj):
            return marked, False
        return self.store.put(target.resource, target.key, marked), False

    @staticmethod
    def _held(target: Target, obj: Obj) -> bool:
        """Whether spec.finalizers hold a namespace, until the namespace controller removes them."""
        return target.resource == NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))

    @staticmethod
    def _check_preconditions(target: Target, meta: Obj, options: DeleteOptions) -> None:
        kind = target.kind.group_kind
        if options.uid is not None and options.uid != meta["uid"]:
            text = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise status.conflict(kind, target.name, text)
        wanted, actual = options.resource_version, meta["resourceVersion"]
        if wanted is not None and wanted != actual:
            text = (
                f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record "
                f"({actual}). The object might have been modified"
            )
            raise status.conflict(kind, target.name, text)

    def _remove(self, target: Target, obj: Obj, *, dry_run: bool) -> Obj:
        if not dry_run:
            self.store.delete(target.resource, target.key)
        return obj

    # Shared

    def _commit(self, target: Target, key: Key, obj: Obj, options: WriteOptions) -> Obj:
        if len(encode(obj)) > MAX_OBJECT_BYTES:
            raise status.internal("etcdserver: request is too large")
        storage = target.kind.versions.get(target.kind.storage_version, target.version)
        obj = self.convert(target.kind, storage, obj)
        if options.dry_run:
            return obj
        return self.store.put(target.resource, key, obj)

    def _require_namespace(self, target: Target, name: str) -> None:
        if not target.kind.namespaced:
            return
        namespace = self.store.get(NAMESPACES, ("", target.namespace))
        if namespace is None:
            raise status.not_found(NAMESPACES, target.namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            text = f"namespace {target.namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": text, "field": "metadata.namespace"}
            why = (
                f"unable to create new content in namespace {target.namespace} because it is being terminated"
            )
            raise status.forbidden(target.resource, name, why, causes=[cause])
        if target.kind.terminating:
            text = "create not allowed while custom resource definition is terminating"
            raise status.forbidden(target.resource, name, text)


def _check_applied_type(target: Target, applied: Obj) -> None:
    kind, given = str(applied.get("kind") or ""), str(applied.get("apiVersion") or "")
    group, _, version = given.rpartition("/")
    if kind != target.kind.kind or group != target.kind.group or version not in target.kind.versions:
        raise status.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    if given != target.api_version:
        text = "Incorrect version specified in apply patch. "
        text += f"Specified patch version: {given}, expected: {target.api_version}"
        raise status.bad_request(text)

"""The core kinds, which are served without a CRD: their fields and printer columns.

Unknown fields are pruned with a warning, as for custom resources; values are not validated.
Source: the types of core/v1, coordination/v1 and authorization/v1; kubernetes pkg/printers/internalversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dpf_async.sim.apiserver.storage.kinds import ACCESS_REVIEWS, Kind, Version
from dpf_async.sim.apiserver.wire.codec import Obj

_STRING: Final[Obj] = {"type": "string"}
_BOOLEAN: Final[Obj] = {"type": "boolean"}
_INTEGER: Final[Obj] = {"type": "integer"}
_STRING_MAP: Final[Obj] = {"type": "object", "additionalProperties": _STRING}
_LIST: Final[Obj] = {"type": "array", "items": _STRING}


def _object(**fields: Obj) -> Obj:
    return {"type": "object", "properties": fields}


def _map_list(key: str, **fields: Obj) -> Obj:
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        "items": _object(**fields),
    }


_CONDITIONS: Final = _map_list(
    "type",
    **dict.fromkeys(("type", "status", "lastTransitionTime", "reason", "message"), _STRING),
)
_REFERENCE: Final = _object(
    **dict.fromkeys(
        ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), _STRING
    )
)


def _column(name: str, description: str, path: str = "", **more: Any) -> Obj:
    """A column as in a CRD; in addition, count: the fields whose members it counts; shows: the type of its cells."""
    source = {"jsonPath": path} if path else {}
    return {"name": name, "type": "string", "description": description, **source, **more}


AGE: Final = _column(
    "Age",
    "The time since the object was created, by the clock of the API server.",
    ".metadata.creationTimestamp",
    shows="date",
)


def _core(
    plural: str,
    kind: str,
    group: str = "",
    *,
    status: bool = False,
    fields: Mapping[str, Any] | None = None,
    structs: Mapping[str, Obj] | None = None,
    columns: tuple[Obj, ...] = (),
    **more: Any,
) -> Kind:
    schema = _object(**fields) if fields is not None else None
    version = Version(
        "v1", schema, has_status=status, columns=(*columns, AGE), structs=structs or {}, validated=False
    )
    return Kind(group, plural, kind, {"v1": version}, "v1", singular=kind.lower(), **more)


def core_kinds() -> list[Kind]:
    """Build the core kinds."""
    return [
        _core(
            "configmaps",
            "ConfigMap",
            short_names=("cm",),
            fields={"data": _STRING_MAP, "binaryData": _STRING_MAP, "immutable": _BOOLEAN},
            columns=(_column("Data", "The number of keys.", count=("data", "binaryData")),),
        ),
        _core("events", "Event", short_names=("ev",)),
        _core(
            "namespaces",
            "Namespace",
            namespaced=False,
            short_names=("ns",),
            status=True,
            fields={
                "spec": _object(finalizers=_LIST),
                "status": _object(phase=_STRING, conditions=_CONDITIONS),
            },
            structs={"spec": {}, "status": {}},
            columns=(_column("Status", "The status of the namespace", ".status.phase"),),
        ),
        _core("nodes", "Node", namespaced=False, short_names=("no",), status=True),
        _core(
            "secrets",
            "Secret",
            fields={"data": _STRING_MAP, "stringData": _STRING_MAP, "type": _STRING, "immutable": _BOOLEAN},
            columns=(
                _column("Type", "The type of the secret.", ".type"),
                _column("Data", "The number of keys.", count=("data",)),
            ),
        ),
        _core(
            "serviceaccounts",
            "ServiceAccount",
            short_names=("sa",),
            fields={
                "secrets": _map_list("name", **_REFERENCE["properties"]),
                "imagePullSecrets": {
                    "type": "array",
                    "items": _object(name=_STRING),
                },
                "automountServiceAccountToken": _BOOLEAN,
            },
        ),
        _core(
            "leases",
            "Lease",
            "coordination.k8s.io",
            fields={
                "spec": _object(
                    **dict.fromkeys(
                        ("holderIdentity", "acquireTime", "renewTime", "strategy", "preferredHolder"), _STRING
                    ),
                    leaseDurationSeconds=_INTEGER,
                    leaseTransitions=_INTEGER,
                )
            },
            structs={"spec": {}},
            columns=(_column("Holder", "The holder of the lease.", ".spec.holderIdentity"),),
        ),
        _core(
            ACCESS_REVIEWS.resource,
            "SelfSubjectAccessReview",
            ACCESS_REVIEWS.group,
            namespaced=False,
            verbs=("create",),
            structs={"spec": {}, "status": {}},
        ),
        _core(
            "customresourcedefinitions",
            "CustomResourceDefinition",
            "apiextensions.k8s.io",
            namespaced=False,
            short_names=("crd", "crds"),
            categories=("api-extensions",),
            has_generation=True,
            status=True,
            structs={"spec": {"names": {}}, "status": {"acceptedNames": {}}},
        ),
    ]

"""The custom kinds of the scenarios, which together use every relevant feature of a CRD."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "GADGETS",
    "GROUP",
    "RULED",
    "VERSIONED",
    "WIDGETS",
    "definition",
    "definitions",
    "gadget",
    "ruled",
    "widget",
]

Manifest = dict[str, Any]  # Any: it is JSON

GROUP: Final = "conformance.example.com"
_NAMESPACED: Final = f"/apis/{GROUP}/v1/namespaces/{{ns}}"
WIDGETS: Final = f"{_NAMESPACED}/widgets"
"""Namespaced, with status, columns, selectable fields and every type of list and map."""
RULED: Final = f"{_NAMESPACED}/ruleds"
"""Namespaced, with CEL rules."""
VERSIONED: Final = f"{_NAMESPACED}/versioneds"
"""Served as v1 and v1beta1."""
GADGETS: Final = f"/apis/{GROUP}/v1/gadgets"
"""Cluster-scoped, without status and columns; unknown fields of the spec are preserved."""

_STRING: Final[Manifest] = {"type": "string"}
_INTEGER: Final[Manifest] = {"type": "integer"}


def widget(name: str = "a", spec: Any = None, **metadata: Any) -> Manifest:
    """A Widget; with spec None a valid one."""
    return _object("Widget", name, {"size": 1} if spec is None else spec, metadata)


def ruled(name: str = "a", spec: Any = None, **metadata: Any) -> Manifest:
    """A Ruled."""
    return _object("Ruled", name, {} if spec is None else spec, metadata)


def gadget(name: str, spec: Any = None, **metadata: Any) -> Manifest:
    """A Gadget; its name must contain {ns}, because names of Gadgets are unique in the cluster."""
    return _object("Gadget", name, {} if spec is None else spec, metadata)


def _object(kind: str, name: str, spec: Any, metadata: Manifest) -> Manifest:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {**({"name": name} if name else {}), **metadata},
        "spec": spec,
    }


def definitions() -> list[Manifest]:
    """The CRDs of these kinds."""
    return [
        definition("Widget", _WIDGET, columns=_COLUMNS, selectable=(".spec.colour", ".spec.size")),
        definition("Ruled", _RULED),
        definition("Gadget", _FREE, scope="Cluster", status=False),
        definition("Versioned", _FREE, versions=("v1", "v1beta1")),
    ]


def definition(
    kind: str,
    schema: Manifest,
    *,
    group: str = GROUP,
    scope: str = "Namespaced",
    status: bool = True,
    versions: tuple[str, ...] = ("v1",),
    columns: tuple[Manifest, ...] = (),
    selectable: tuple[str, ...] = (),
) -> Manifest:
    """A CustomResourceDefinition."""
    plural = f"{kind.lower()}s"
    served: Manifest = {"served": True, "schema": {"openAPIV3Schema": schema}}
    if status:
        served["subresources"] = {"status": {}}
    if columns:
        served["additionalPrinterColumns"] = list(columns)
    if selectable:
        served["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [kind[:3].lower()],
                "categories": ["conformance"],
            },
            "versions": [
                {"name": version, "storage": version == versions[0], **served} for version in versions
            ],
        },
    }


_COLUMNS: Final[tuple[Manifest, ...]] = (
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {
        "name": "Colour",
        "type": "string",
        "jsonPath": ".spec.colour",
        "description": "The colour of the widget.",
    },
    {"name": "Ready", "type": "boolean", "jsonPath": ".spec.ready", "priority": 1},
    {"name": "Weight", "type": "number", "format": "double", "jsonPath": ".spec.weight"},
    {"name": "Parts", "type": "string", "jsonPath": ".spec.parts[*].name"},
    {"name": "Second", "type": "string", "jsonPath": '.spec.parts[?(@.name=="second")].note'},
    {"name": "Options", "type": "string", "jsonPath": ".spec.options"},
    {"name": "Since", "type": "date", "jsonPath": ".spec.since"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)

_WIDGET: Final[Manifest] = {
    "type": "object",
    "description": "A test object.",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {**_INTEGER, "minimum": 1, "maximum": 100},
                "colour": {**_STRING, "enum": ["red", "green", "blue"], "default": "red"},
                "ready": {"type": "boolean"},
                "weight": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "multipleOf": 0.5},
                "url": {**_STRING, "pattern": "^https?://.+$", "maxLength": 40},
                "label": {**_STRING, "minLength": 2, "maxLength": 5},
                "since": {**_STRING, "format": "date-time"},
                "address": {**_STRING, "format": "ipv4"},
                "mac": {**_STRING, "format": "mac"},
                "port": {"x-kubernetes-int-or-string": True},
                "count": {**_INTEGER, "format": "int32", "nullable": True, "default": 3},
                "parts": {
                    "type": "array",
                    "maxItems": 4,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": _STRING,
                            "count": {**_INTEGER, "default": 1},
                            "note": _STRING,
                        },
                    },
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": _STRING},
                "order": {"type": "array", "minItems": 1, "items": _STRING},
                "options": {"type": "object", "maxProperties": 3, "additionalProperties": _STRING},
                "frozen": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"a": _STRING, "b": _STRING},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "choice": {
                    "type": "object",
                    "properties": {"left": _STRING, "right": _STRING},
                    "oneOf": [{"required": ["left"]}, {"required": ["right"]}],
                },
                "both": {**_STRING, "allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
                "nested": {
                    "type": "object",
                    "default": {"inner": {}},
                    "required": ["inner"],
                    "properties": {
                        "inner": {
                            "type": "object",
                            "default": {"level": 7},
                            "properties": {"level": _INTEGER, "deep": {**_STRING, "default": "down"}},
                        },
                    },
                },
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "phase": {**_STRING, "enum": ["New", "Done"]},
                "observedGeneration": _INTEGER,
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {
                        "type": "object",
                        "required": ["type", "status"],
                        "properties": {"type": _STRING, "status": _STRING, "reason": _STRING},
                    },
                },
            },
        },
    },
}

_FREE: Final[Manifest] = {
    "type": "object",
    "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}

_RULED: Final[Manifest] = {
    "type": "object",
    "x-kubernetes-validations": [
        {"rule": "self.metadata.name.size() <= 20", "message": "the name is too long for this kind"},
    ],
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-validations": [
                {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high"},
                {
                    "rule": "!has(self.mode) || self.mode != 'fixed' || has(self.low)",
                    "message": "low is required when mode is fixed",
                    "reason": "FieldValueRequired",
                    "fieldPath": ".low",
                },
                {
                    "rule": "!has(oldSelf.once) || has(self.once)",
                    "message": "once may not be removed",
                    "reason": "FieldValueForbidden",
                },
            ],
            "properties": {
                "low": _INTEGER,
                "high": {
                    **_INTEGER,
                    "x-kubernetes-validations": [{"rule": "self < 1000", "message": "must be below 1000"}],
                },
                "title": {
                    **_STRING,
                    "maxLength": 30,
                    "x-kubernetes-validations": [
                        {"rule": "!self.contains('!')", "messageExpression": "self + ' is too loud'"}
                    ],
                },
                "mode": {**_STRING, "enum": ["free", "fixed"]},
                "once": {
                    **_STRING,
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "once is immutable"}],
                },
                "until": {
                    **_STRING,
                    "format": "date-time",
                    "x-kubernetes-validations": [{"rule": "self > timestamp('2000-01-01T00:00:00Z')"}],
                },
                "hosts": {
                    "type": "array",
                    "maxItems": 5,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "x-kubernetes-validations": [
                        {
                            "rule": "self.all(host, self.exists_one(other, other.port == host.port))",
                            "message": "ports are unique",
                            "reason": "FieldValueDuplicate",
                        }
                    ],
                    "items": {
                        "type": "object",
                        "required": ["name", "port"],
                        "x-kubernetes-validations": [
                            {"rule": "self.port == oldSelf.port", "message": "port is immutable"},
                            {"rule": "self.name.matches('^[a-z-]+$')", "fieldPath": ".name"},
                        ],
                        "properties": {
                            "name": {**_STRING, "maxLength": 20},
                            "port": {**_INTEGER, "minimum": 1},
                        },
                    },
                },
                "limits": {
                    "type": "object",
                    "maxProperties": 5,
                    "additionalProperties": {
                        **_STRING,
                        "maxLength": 20,
                        "x-kubernetes-validations": [
                            {"rule": "self.startsWith('m')", "message": "must start with m"}
                        ],
                    },
                },
            },
        },
        "status": {"type": "object", "properties": {"phase": _STRING}},
    },
}

"""The kinds this server knows: those of core_kinds.py, and those that definitions add at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dpf_async.sim.apiserver.apply.ownership import Fieldset
from dpf_async.sim.apiserver.apply.typed import with_metadata
from dpf_async.sim.apiserver.schema.rules import Rules
from dpf_async.sim.apiserver.schema.structure import Node, compile_schema
from dpf_async.sim.apiserver.schema.validation import SchemaValidator
from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.status import GroupResource

_STATUS_RESETS = (("f:metadata",), ("f:spec",))
_MAIN_RESETS = (("f:status",),)


@dataclass(eq=False)
class Version:
    """One served version of a kind; schema and rules are compiled when first needed."""

    name: str
    schema: Mapping[str, Any] | None = None
    has_status: bool = False
    columns: tuple[Obj, ...] = ()
    selectable: tuple[str, ...] = ()
    minor: int = 34
    structs: Mapping[str, Obj] = field(default_factory=dict)
    checked: bool = True

    @cached_property
    def root(self) -> Node | None:
        """The structural schema, None for a kind whose fields are not known here."""
        return compile_schema(self.schema) if self.schema is not None else None

    @cached_property
    def validator(self) -> SchemaValidator | None:
        """Checks values against the schema."""
        if self.schema is None or self.root is None or not self.checked:
            return None
        return SchemaValidator(self.schema, self.root)

    @cached_property
    def status_validator(self) -> SchemaValidator | None:
        """Checks the status that is written through its own endpoint, of which nothing else is looked at."""
        schema = ((self.schema or {}).get("properties") or {}).get("status")
        node = self.root.properties.get("status") if self.root is not None else None
        if schema is None or node is None or not self.checked:
            return None
        return SchemaValidator(schema, node, below="status")

    @cached_property
    def rules(self) -> Rules | None:
        """The CEL rules."""
        return Rules(self.root, minor=self.minor) if self.root is not None else None

    @cached_property
    def types(self) -> Node:
        """The types field ownership works with."""
        return with_metadata(self.root)

    def fieldset(self, subresource: str) -> Fieldset:
        """What an endpoint's writes may own."""
        if not self.has_status:
            return Fieldset(self.types, structs=self.structs)
        reset = _STATUS_RESETS if subresource == "status" else _MAIN_RESETS
        return Fieldset(self.types, reset, self.structs)


@dataclass(eq=False)
class Kind:
    """A kind of object and how it is served."""

    group: str
    plural: str
    kind: str
    versions: dict[str, Version]
    storage_version: str
    namespaced: bool = True
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom: bool = False
    has_generation: bool = False
    terminating: bool = False
    verbs: tuple[str, ...] = ()
    """The only ones there are, for a kind whose objects are answered and not stored; empty for all."""

    @cached_property
    def resource(self) -> GroupResource:
        """The resource, as messages name it."""
        return GroupResource(self.group, self.plural)

    @cached_property
    def group_kind(self) -> GroupResource:
        """The kind, as 422 messages name it."""
        return GroupResource(self.group, self.kind)

    def api_version(self, version: str) -> str:
        """The apiVersion of objects of a version."""
        return f"{self.group}/{version}" if self.group else version

    def list_name(self) -> str:
        """The kind of lists."""
        return self.list_kind or f"{self.kind}List"

    def storage_prefix(self) -> str:
        """The key prefix in etcd, which some messages show."""
        return f"/registry/{self.group}/{self.plural}" if self.custom else f"/registry/{self.plural}"


@dataclass(eq=False)
class Registry:
    """The kinds being served."""

    kinds: dict[GroupResource, Kind] = field(default_factory=dict)

    def add(self, kind: Kind) -> None:
        """Serve a kind, in place of any of that name."""
        self.kinds[kind.resource] = kind

    def remove(self, resource: GroupResource) -> None:
        """Serve a kind no longer."""
        self.kinds.pop(resource, None)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Find a served kind."""
        kind = self.kinds.get(GroupResource(group, plural))
        return kind if kind is not None and version in kind.versions else None

    def find_kind(self, group: str, version: str, name: str) -> Kind | None:
        """Find a served kind by the name of the kind."""
        for kind in self.of(group, version):
            if kind.kind == name:
                return kind
        return None

    def is_built_in(self, group: str) -> bool:
        """Whether a group is there without a definition."""
        return any(kind.group == group and not kind.custom for kind in self.kinds.values())

    def groups(self) -> dict[str, list[str]]:
        """Versions by group, the most stable first."""
        groups: dict[str, set[str]] = {}
        for kind in self.kinds.values():
            groups.setdefault(kind.group, set()).update(kind.versions)
        return {group: sorted(versions, key=version_priority) for group, versions in sorted(groups.items())}

    def of(self, group: str, version: str) -> Iterator[Kind]:
        """Iterate over the kinds of a group's version."""
        for _, kind in sorted(self.kinds.items()):
            if kind.group == group and version in kind.versions:
                yield kind


def version_priority(name: str) -> tuple[int, int, int, str]:
    """Order versions as kube-aware version strings: v2, v1, v1beta1, v1alpha1, then the rest by name."""
    digits, stage, rest = _split_version(name)
    if digits is None:
        return (1, 0, 0, name)
    return (0, {"": 0, "beta": 1, "alpha": 2}[stage] * 1000 - digits, -rest, name)


def _split_version(name: str) -> tuple[int | None, str, int]:
    if not name.startswith("v"):
        return None, "", 0
    for stage in ("alpha", "beta"):
        major, found, minor = name[1:].partition(stage)
        if found:
            return (int(major), stage, int(minor)) if major.isdigit() and minor.isdigit() else (None, "", 0)
    return (int(name[1:]), "", 0) if name[1:].isdigit() else (None, "", 0)


DEFINITIONS = GroupResource("apiextensions.k8s.io", "customresourcedefinitions")
NAMESPACES = GroupResource("", "namespaces")
SECRETS = GroupResource("", "secrets")
ACCESS_REVIEWS = GroupResource("authorization.k8s.io", "selfsubjectaccessreviews")

"""The registry of served kinds: the core kinds, and the kinds that CustomResourceDefinitions add at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dpf_async.sim.apiserver.apply.ownership import Fieldset
from dpf_async.sim.apiserver.apply.typed import with_metadata
from dpf_async.sim.apiserver.schema.compiled import CompiledSchema, compiled
from dpf_async.sim.apiserver.schema.rules import Rules
from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.schema.validation import SchemaValidator
from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.content import Content
from dpf_async.sim.apiserver.wire.status import GroupResource

_STATUS_RESETS = (("f:metadata",), ("f:spec",))
_MAIN_RESETS = (("f:status",),)


@dataclass(eq=False)
class Version:
    """One served version of a kind.

    Attributes:
        schema: None for a kind whose fields this server does not know.
        columns: the additional printer columns.
        selectable: the fields that field selectors accept, in addition to those of the metadata.
        structs: members that every object of the kind has, as a Go struct does; no field manager owns them.
        validated: whether values are validated; metadata always is.
    """

    name: str
    schema: Mapping[str, Any] | None = None
    has_status: bool = False
    columns: tuple[Obj, ...] = ()
    selectable: tuple[str, ...] = ()
    minor: int = 34
    structs: Mapping[str, Obj] = field(default_factory=dict)
    validated: bool = True

    @cached_property
    def content(self) -> Content:
        """The schema as a key of caches."""
        return Content.of(self.schema)

    @cached_property
    def _compiled(self) -> CompiledSchema | None:
        return compiled(self.content, minor=self.minor) if self.schema is not None else None

    @property
    def root(self) -> Node | None:
        """The structural schema; None for a kind whose fields this server does not know."""
        return self._compiled.root if self._compiled is not None else None

    @property
    def validator(self) -> SchemaValidator | None:
        """Validates whole objects against the schema; None if values are not validated."""
        return self._compiled.validator if self._compiled is not None and self.validated else None

    @property
    def status_validator(self) -> SchemaValidator | None:
        """Validates only the status, for writes to the status subresource."""
        return self._compiled.status_validator if self._compiled is not None and self.validated else None

    @property
    def rules(self) -> Rules | None:
        """The CEL rules."""
        return self._compiled.rules if self._compiled is not None else None

    @cached_property
    def types(self) -> Node:
        """The types that field ownership is computed with."""
        return with_metadata(self.root)

    def fieldset(self, subresource: str) -> Fieldset:
        """The fields that writes to an endpoint may own."""
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
    """The supported verbs of a kind whose objects are answered and not stored; empty for all verbs."""

    @cached_property
    def resource(self) -> GroupResource:
        """The resource, as messages name it."""
        return GroupResource(self.group, self.plural)

    @cached_property
    def group_kind(self) -> GroupResource:
        """The kind, as 422 messages name it."""
        return GroupResource(self.group, self.kind)

    def api_version(self, version: str) -> str:
        """The apiVersion of objects in a version."""
        return f"{self.group}/{version}" if self.group else version

    def list_name(self) -> str:
        """The kind of lists."""
        return self.list_kind or f"{self.kind}List"

    def storage_prefix(self) -> str:
        """The key prefix in etcd, which some error messages contain."""
        return f"/registry/{self.group}/{self.plural}" if self.custom else f"/registry/{self.plural}"


@dataclass(eq=False)
class Registry:
    """The served kinds."""

    kinds: dict[GroupResource, Kind] = field(default_factory=dict)

    def add(self, kind: Kind) -> None:
        """Serve a kind; it replaces the kind of the same resource."""
        self.kinds[kind.resource] = kind

    def remove(self, resource: GroupResource) -> None:
        """Stop serving a kind."""
        self.kinds.pop(resource, None)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Find a served kind by its plural name."""
        kind = self.kinds.get(GroupResource(group, plural))
        return kind if kind is not None and version in kind.versions else None

    def find_kind(self, group: str, version: str, name: str) -> Kind | None:
        """Find a served kind by its kind name."""
        for kind in self.of(group, version):
            if kind.kind == name:
                return kind
        return None

    def is_built_in(self, group: str) -> bool:
        """Whether a group has core kinds, which need no definition."""
        return any(kind.group == group and not kind.custom for kind in self.kinds.values())

    def groups(self) -> dict[str, list[str]]:
        """Versions by group, the most stable first."""
        groups: dict[str, set[str]] = {}
        for kind in self.kinds.values():
            groups.setdefault(kind.group, set()).update(kind.versions)
        return {group: sorted(versions, key=version_priority) for group, versions in sorted(groups.items())}

    def of(self, group: str, version: str) -> Iterator[Kind]:
        """Iterate over the kinds of a group and version."""
        for _, kind in sorted(self.kinds.items()):
            if kind.group == group and version in kind.versions:
                yield kind


def version_priority(name: str) -> tuple[int, int, int, str]:
    """Sort key by version priority: v2, v1, v1beta1, v1alpha1, then the rest by name."""
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

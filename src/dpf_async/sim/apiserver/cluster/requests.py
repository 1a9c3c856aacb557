"""The target, options and body of one request, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dpf_async.sim.apiserver.apply.ownership import Writer, manager_name
from dpf_async.sim.apiserver.storage.kinds import Kind, Version
from dpf_async.sim.apiserver.storage.store import Key
from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.status import GroupResource


@dataclass(frozen=True, slots=True)
class Target:
    """The kind, version and object that a request addresses."""

    kind: Kind
    version: Version
    namespace: str
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        """The key of the object in the store."""
        return (self.namespace, self.name)

    @property
    def resource(self) -> GroupResource:
        """The resource of the kind."""
        return self.kind.resource

    @property
    def api_version(self) -> str:
        """The apiVersion of the objects in the answer."""
        return self.kind.api_version(self.version.name)


@dataclass(slots=True)
class WriteOptions:
    """The options of a write; it collects the warnings for the response."""

    dry_run: bool = False
    field_manager: str = ""
    user_agent: str = ""
    field_validation: str = "Warn"
    force: bool = False
    warnings: list[str] = field(default_factory=list)

    def writer(self, target: Target, operation: str) -> Writer:
        """The field manager of this write."""
        name = manager_name(self.field_manager, self.user_agent)
        return Writer(name, operation, target.api_version, target.subresource)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a deletion."""

    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded request body, with the errors of a strict decoder."""

    value: Obj
    strict_errors: Sequence[str] = ()

"""Compiled schemas: what validation, pruning, defaulting and CEL need of an openAPIV3Schema.

Compiling the schemas of DPF's CRDs takes most of the time in which a server starts, and every test starts servers with
the same CRDs. The compiled forms hold no state of a server, so all servers of a process share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from dpf_async.sim.apiserver.schema.rules import Rules
from dpf_async.sim.apiserver.schema.structure import Node, compile_schema
from dpf_async.sim.apiserver.schema.validation import SchemaValidator
from dpf_async.sim.apiserver.wire.content import Content

# DPF has 17 kinds of one version each; chosen so that several releases and the tests' own kinds fit.
_CACHED_SCHEMAS = 256


class CompiledSchema:
    """One schema; each part is compiled when it is first used."""

    def __init__(self, schema: Mapping[str, Any], minor: int) -> None:
        self._schema = schema
        self._minor = minor

    @cached_property
    def root(self) -> Node:
        """The structural schema."""
        return compile_schema(self._schema)

    @cached_property
    def validator(self) -> SchemaValidator:
        """Validates whole objects."""
        return SchemaValidator(self._schema, self.root)

    @cached_property
    def status_validator(self) -> SchemaValidator | None:
        """Validates only the status, for writes to the status subresource; None if the schema has no status."""
        schema = (self._schema.get("properties") or {}).get("status")
        node = self.root.properties.get("status")
        return None if schema is None or node is None else SchemaValidator(schema, node, below="status")

    @cached_property
    def rules(self) -> Rules:
        """The CEL rules.

        Raises:
            RuleError: a rule does not parse, or calls a function that does not exist.
        """
        return Rules(self.root, minor=self._minor)


@lru_cache(maxsize=_CACHED_SCHEMAS)
def compiled(schema: Content, *, minor: int) -> CompiledSchema:
    """Return the compiled form of a schema.

    minor: the minor release of Kubernetes, on which the messages of CEL rules depend.
    """
    return CompiledSchema(schema.value, minor)

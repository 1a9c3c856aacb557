"""Compatibility: compare the CRDs of the cluster with the models of this version of the library.

Flow 12 of the requirement: DPF is upgraded while clients run. Clients read unknown fields and values unchanged and keep
them when they write, so most changes of a release are harmless. This report lists the others before operations fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import msgspec

from dpf_async._api.published import schemas_published, versions_served
from dpf_async._api.records import RECORDS, Record
from dpf_async._diagnostics.permissions import NEEDS
from dpf_async.errors import NotFound
from dpf_async.models import KINDS, Resource
from dpf_async.models.differences import FIELD, Difference, normal_schema, schema_differences
from dpf_async.models.schema import schema_of

if TYPE_CHECKING:
    from dpf_async._api.transport import Transport

JSONSchema = Mapping[str, Any]  # Any: the values of a JSON schema's keywords


class Effect(StrEnum):
    """The effect of a difference on the users of this version of the library."""

    BREAKS = "breaks"
    """An operation of this library fails, or waits for something that never occurs."""
    MAY_BREAK = "may break"
    """An operation fails for some values, because the server accepts other values than this version expects."""
    HARMLESS = "harmless"
    """An addition: it is read unchanged and kept by writes."""


_ORDER: Final = tuple(Effect)
_OPEN: Final = "x-kubernetes-preserve-unknown-fields"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference and its effect.

    Attributes:
        kind: such as "DPUDeployment".
        path: the path of the field, such as ".spec.dpus.bfb"; empty for the kind itself.
        effect: the effect.
        text: what differs, and its consequence.
        operations: the affected methods of DPFClient, sorted; empty if the difference is harmless.
    """

    kind: str
    path: str
    effect: Effect
    text: str
    operations: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.kind}{self.path}"
        hit = f" (used by {', '.join(self.operations)})" if self.operations else ""
        return f"{self.effect}: {place}: {self.text}{hit}"


@dataclass(frozen=True, slots=True)
class Compatibility:
    """The result of a comparison with the cluster.

    Attributes:
        findings: every difference, the most severe first.
        unpublished: group versions, such as "svc.dpu.nvidia.com/v1alpha1", whose schemas the server does not publish:
            only the presence of the version was checked.
    """

    findings: tuple[Finding, ...]
    unpublished: tuple[str, ...] = ()

    @property
    def compatible(self) -> bool:
        """Whether no difference breaks an operation of this library, as far as schemas describe behavior."""
        return not self.of(Effect.BREAKS)

    def of(self, effect: Effect) -> tuple[Finding, ...]:
        """The findings of one effect."""
        return tuple(finding for finding in self.findings if finding.effect is effect)

    def __str__(self) -> str:
        verdict = "compatible" if self.compatible else "not compatible"
        counts = ", ".join(f"{len(self.of(effect))} {effect}" for effect in Effect if self.of(effect))
        lines = [f"{verdict}: {counts or 'no differences'}", *map(str, self.findings)]
        lines += [f"not checked: the server publishes no schemas of {group}" for group in self.unpublished]
        return "\n  ".join(lines)


async def check_compatibility(transport: Transport, kinds: Iterable[type[Resource]] = KINDS) -> Compatibility:
    """Compare the kinds of the cluster with those of this version. Every authenticated user may; nothing is written.

    Raises:
        APIError, ConnectionFailed, DecodeError: the schemas could not be read.
    """
    kinds = tuple(kinds)
    served = await versions_served(transport)
    wanted = sorted({(kind.GROUP, kind.VERSION) for kind in kinds})
    published: dict[tuple[str, str], Mapping[str, JSONSchema]] = {}
    unpublished: list[str] = []

    for group, version in wanted:
        if version not in served.get(group, ()):
            continue
        try:
            published[group, version] = await schemas_published(transport, group, version)
        except NotFound:
            unpublished.append(f"{group}/{version}")
    findings: list[Finding] = []
    for kind in kinds:
        versions = served.get(kind.GROUP, ())
        if kind.VERSION not in versions:
            findings.append(_not_served(kind, versions))
        elif (schemas := published.get((kind.GROUP, kind.VERSION))) is not None:
            if kind.KIND in schemas:
                findings += findings_about(kind, schemas[kind.KIND])
            else:
                findings.append(_not_served(kind, versions))
    findings.sort(key=lambda finding: (_ORDER.index(finding.effect), finding.kind, finding.path))
    return Compatibility(tuple(findings), tuple(sorted(unpublished)))


def findings_about(kind: type[Resource], theirs: JSONSchema) -> Iterator[Finding]:
    """The findings for the difference between a kind of this version and the schema that a server publishes for it."""
    our_schema, their_schema = (normal_schema(_object_part(schema)) for schema in (schema_of(kind), theirs))
    for difference in schema_differences(our_schema, their_schema):
        if not _is_open(difference, our_schema):
            yield from _meaning(kind, difference, their_schema)


def _is_open(difference: Difference, ours: JSONSchema) -> bool:
    """Whether our model declares this part as open: it omits most of its fields, so a difference means nothing."""
    if difference.keyword == _OPEN:
        return bool(difference.ours)
    parent, _, _ = difference.path.rpartition(".")
    return difference.keyword == FIELD and difference.ours is None and bool(_at(ours, parent).get(_OPEN))


def _object_part(schema: JSONSchema) -> JSONSchema:
    """A schema without the parts that the API server adds to every kind."""
    properties = {
        name: schema["properties"][name] for name in ("spec", "status") if name in schema["properties"]
    }
    return {"type": "object", "properties": properties, "required": schema.get("required", [])}


def _not_served(kind: type[Resource], versions: tuple[str, ...]) -> Finding:
    others = (
        f"; the group is served as {', '.join(versions)}" if versions else "; its group is not served either"
    )
    text = f"{kind.GROUP}/{kind.VERSION} {kind.KIND} is not served{others}"
    return _finding(kind, "", Effect.BREAKS, text)


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a difference, and whether this library writes it."""

    kind: type[Resource]
    path: str

    @property
    def is_written(self) -> bool:
        """Whether this library writes the field."""
        return self.path.startswith(".spec") and self.kind.PLURAL in _CREATED

    def found(self, effect: Effect, text: str, *, below: str = "") -> Finding:
        return _finding(self.kind, self.path + below, effect, text)


def _meaning(kind: type[Resource], difference: Difference, theirs: JSONSchema) -> Iterator[Finding]:
    place, ours, new = _Place(kind, difference.path), difference.ours, difference.theirs
    match difference.keyword:
        case keyword if keyword == FIELD:
            yield _of_field(place, is_new=ours is None)
        case "required":
            yield from _of_required(place, frozenset(ours or ()), frozenset(new or ()), theirs)
        case "enum":
            yield from _of_enum(place, frozenset(ours or ()), frozenset(new or ()))
        case keyword if keyword == _OPEN:
            yield place.found(Effect.HARMLESS, "unknown fields are kept now")
        case "type" | "items" | "additionalProperties" as keyword:
            yield place.found(Effect.BREAKS, f"{keyword} was {_brief(ours)}, is {_brief(new)}")
        case keyword:
            yield place.found(Effect.MAY_BREAK, f"{keyword} was {_brief(ours)}, is {_brief(new)}")


def _of_field(place: _Place, *, is_new: bool) -> Finding:
    if is_new:
        return place.found(Effect.HARMLESS, "new: it is kept when an object is read and written")
    if place.is_written:
        return place.found(Effect.BREAKS, "removed: the server drops the value that this version writes")
    if _is_read(place.kind, place.path):
        return place.found(Effect.BREAKS, "removed: this version depends on it")
    return place.found(Effect.MAY_BREAK, "removed: clients that read it find no value")


def _of_required(
    place: _Place, ours: frozenset[str], new: frozenset[str], theirs: JSONSchema
) -> Iterator[Finding]:
    for name in sorted(new - ours):
        if "default" in _property(theirs, place.path, name):
            continue
        if place.is_written or place.path == "":
            yield place.found(
                Effect.BREAKS, "required now: objects without it are rejected", below=f".{name}"
            )
        else:
            text = "required now, in objects that this version does not create"
            yield place.found(Effect.HARMLESS, text, below=f".{name}")
    if ours - new:
        yield place.found(Effect.HARMLESS, f"no longer required: {_listed(ours - new)}")


def _of_enum(place: _Place, ours: frozenset[Any], new: frozenset[Any]) -> Iterator[Finding]:
    # An empty set means that there is no enumeration, so that any value is valid.
    if not new:
        yield place.found(Effect.HARMLESS, "any value is allowed now")
        return
    if not ours:
        yield place.found(Effect.MAY_BREAK, f"only the values {_listed(new)} are allowed now")
        return
    if new - ours:
        yield place.found(Effect.HARMLESS, f"new values {_listed(new - ours)}: they are read unchanged")
    if ours - new and place.is_written:
        yield place.found(Effect.BREAKS, f"values {_listed(ours - new)} are rejected now")
    elif ours - new:
        yield place.found(Effect.HARMLESS, f"values {_listed(ours - new)} do not occur any more")


def _finding(kind: type[Resource], path: str, effect: Effect, text: str) -> Finding:
    operations = () if effect is Effect.HARMLESS else _OPERATIONS.get((kind.GROUP, kind.PLURAL), ())
    return Finding(kind.KIND, path, effect, text, operations)


def _operations() -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], set[str]] = {}
    for operation, needs in NEEDS.items():
        for need in needs:
            found.setdefault((need.group, need.resource), set()).add(operation)
    return {resource: tuple(sorted(operations)) for resource, operations in found.items()}


_OPERATIONS: Final = _operations()
_CREATED: Final = frozenset(
    need.resource for needs in NEEDS.values() for need in needs if need.verb == "create"
)
"""Resources that this library creates; of others it changes only metadata."""


def _is_read(kind: type[Resource], path: str) -> bool:
    """Whether a record, and therefore a view, contains the field; see records."""
    return path.replace("[]", "") in _read_paths(RECORDS.get(kind.KIND, Record))


def _read_paths(record: Any, path: str = "") -> frozenset[str]:  # Any: a msgspec struct's type
    paths: set[str] = set()
    hints = get_type_hints(record)
    for field in msgspec.structs.fields(record):
        below = f"{path}.{field.encode_name}"
        paths.add(below)
        for part in _structs_in(hints[field.name]):
            paths |= _read_paths(part, below)
    return frozenset(paths)


def _structs_in(annotation: Any) -> Iterator[Any]:  # Any: a type
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in get_args(annotation):
        yield from _structs_in(part)


def _property(schema: JSONSchema, path: str, name: str) -> JSONSchema:
    found: JSONSchema = _at(schema, path).get("properties", {}).get(name, {})
    return found


def _at(schema: JSONSchema, path: str) -> JSONSchema:
    for step in path.replace("[]", ".[]").replace("{}", ".{}").split(".")[1:]:
        keyword = {"[]": "items", "{}": "additionalProperties"}.get(step)
        schema = schema[keyword] if keyword else schema["properties"][step]
    return schema


def _listed(values: Iterable[object]) -> str:
    return ", ".join(repr(value) for value in sorted(values, key=str))


def _brief(value: object) -> str:
    text = repr(value)
    return "absent" if value is None else text if len(text) <= 60 else f"{text[:57]}…"

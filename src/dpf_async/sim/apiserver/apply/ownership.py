"""Field ownership: metadata.managedFields for every field manager, and server-side apply.

Source: apimachinery pkg/util/managedfields and structured-merge-diff merge/update.go.
Not implemented: merging the field managers beyond ten into ancient-changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dpf_async.sim.apiserver.apply.declared import configuration_errors
from dpf_async.sim.apiserver.apply.fieldpaths import (
    Fields,
    Path,
    from_fields_v1,
    show,
    to_fields_v1,
    with_named_parents,
    without,
)
from dpf_async.sim.apiserver.apply.typed import compare, fields_of, merge, remove
from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.wire.codec import Obj, copy, encode_plain, same
from dpf_async.sim.apiserver.wire.status import StatusError, bad_request, internal

APPLY, UPDATE = "Apply", "Update"
# Source: managedfields/internal/skipnonapplied.go.
BEFORE_FIRST_APPLY = "before-first-apply"

# Fields of metadata that no field manager owns. Source: managedfields/internal/stripmeta.go.
_STRIPPED: frozenset[Path] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    }
)


@dataclass(frozen=True, slots=True)
class Writer:
    """A field manager: its name, its operation, and the version and subresource that it writes to."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The key of its entry; an applier has one for all versions, an updater one for each."""
        version = "" if self.operation == APPLY else self.api_version
        return (self.manager, self.operation, version, self.subresource)

    def __str__(self) -> str:
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(slots=True)
class _Claim:
    writer: Writer
    fields: Fields  # never modified in place: _decoded shares it
    time: str
    stored: Obj | None = None  # fieldsV1 of the entry that it was read from


# By id, with the tree itself so that the id remains its own. A write decodes the entries of all field managers,
# most of which no write changes.
_DECODED: dict[int, tuple[Obj, Fields]] = {}
_MAX_DECODED: Final = 2048  # the entries of some hundred objects; chosen


def _decoded(tree: Obj) -> Fields:
    """Decode fieldsV1, which is never modified in place."""
    known = _DECODED.get(id(tree))
    if known is None:
        known = _remember(tree, from_fields_v1(tree))
    return known[1]


def _remember(tree: Obj, fields: Fields) -> tuple[Obj, Fields]:
    if len(_DECODED) >= _MAX_DECODED:
        _DECODED.clear()
    known = _DECODED[id(tree)] = (tree, fields)
    return known


def _encoded(claim: _Claim) -> Obj:
    """Encode fieldsV1; the stored tree is used again if the fields are the same."""
    if claim.stored and _decoded(claim.stored) == claim.fields:
        return claim.stored
    tree = to_fields_v1(claim.fields)
    _remember(tree, claim.fields)
    return tree


@dataclass(slots=True)
class _Claims:
    """All field managers of one object."""

    by_writer: dict[tuple[str, str, str, str], _Claim] = field(default_factory=dict)

    @classmethod
    def read(cls, entries: Iterable[Obj], *, canonical: bool = True) -> _Claims:
        """Decode managedFields.

        canonical: this server encoded them; a client may encode the same fields in another way.
        """
        claims = cls()
        for entry in entries:
            writer = Writer(
                manager=entry.get("manager", ""),
                operation=entry.get("operation", ""),
                api_version=entry.get("apiVersion", ""),
                subresource=entry.get("subresource", ""),
            )
            stored = entry.get("fieldsV1") or {}
            fields = _decoded(stored) if canonical else from_fields_v1(stored)
            claims.by_writer[writer.identity] = _Claim(
                writer, fields, entry.get("time", ""), stored if canonical else None
            )
        return claims

    def write(self) -> list[Obj]:
        entries = []
        ordered = sorted(
            (claim for claim in self.by_writer.values() if claim.fields),
            key=lambda claim: (claim.writer.operation, claim.time, *claim.writer.identity),
        )
        for claim in ordered:
            writer = claim.writer
            entry: Obj = {
                "manager": writer.manager,
                "operation": writer.operation,
                "apiVersion": writer.api_version,
                **({"time": claim.time} if claim.time else {}),
                "fieldsType": "FieldsV1",
                "fieldsV1": _encoded(claim),
            }
            if writer.subresource:
                entry["subresource"] = writer.subresource
            entries.append(entry)
        return entries

    def others(self, writer: Writer) -> list[_Claim]:
        return [claim for identity, claim in self.by_writer.items() if identity != writer.identity]


@dataclass(frozen=True, slots=True)
class Fieldset:
    """The types of an endpoint, and the fields that it does not write."""

    root: Node
    reset: tuple[Path, ...] = ()
    structs: Mapping[str, Obj] = field(default_factory=dict)
    """Members that every object of the kind has, as a Go struct does; no field manager owns them."""


def manager_name(field_manager: str, user_agent: str) -> str:
    """Return the field manager of a write: the given one, or the beginning of the client's User-Agent."""
    prefix = user_agent.split("/", maxsplit=1)[0]
    printable = "".join(char for char in prefix if char.isprintable())
    return field_manager or printable[:128] or "unknown"


def record_update(live: Obj | None, new: Obj, writer: Writer, types: Fieldset, now: str) -> None:
    """Record in new.metadata.managedFields which fields this write changes or removes."""
    claims, tracked = _claims_for_update(live, new, writer)
    new["metadata"].pop("managedFields", None)
    if not tracked:
        return
    before = _with_structs(_without_managers(live) if live else {}, types.structs)
    difference = compare(before, _with_structs(_without_managers(new), types.structs), types.root)
    # Fields that this endpoint does not write keep their managers.
    touched, removed = without(difference.touched, types.reset), without(difference.removed, types.reset)
    changed = touched | removed
    for claim in claims.others(writer):
        if not claim.fields.isdisjoint(changed):
            claim.fields = claim.fields - changed
    mine = claims.by_writer.get(writer.identity)
    owned = mine.fields if mine is not None else set()
    written = _ownable(touched, types)
    if written:
        claims.by_writer[writer.identity] = _Claim(
            writer, (owned - removed) | written, now, mine.stored if mine is not None else None
        )
    elif mine is not None:
        mine.fields = owned - removed
    _store(new, claims)


def _with_structs(obj: Obj, structs: Mapping[str, Obj]) -> Obj:
    if not structs:
        return obj
    return obj | {name: _with_structs(obj.get(name) or {}, below) for name, below in structs.items()}


def _claims_for_update(live: Obj | None, new: Obj, writer: Writer) -> tuple[_Claims, bool]:
    stored = (live or {}).get("metadata", {}).get("managedFields") or []
    given = new["metadata"].get("managedFields") or []
    if writer.subresource or not given or given is stored:
        # An object that lost its managedFields is not tracked again by updates.
        return _Claims.read(stored), bool(stored) or live is None
    if given == [{}]:
        return _Claims(), False
    return _Claims.read(given, canonical=False), True


def apply(live: Obj | None, applied: Obj, writer: Writer, types: Fieldset, now: str, *, force: bool) -> Obj:
    """Apply a configuration: set its fields, and remove those that the last configuration had in addition.

    Raises:
        StatusError: 409 with one cause per field that another manager owns with another value; 400 or 500 for an
            invalid configuration.
    """
    meta = applied.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    _require_types(applied, types.root)
    base: Obj = copy(_without_managers(live)) if live else {}
    claims = _Claims.read((live or {}).get("metadata", {}).get("managedFields") or [])
    if live and not claims.by_writer:
        _claim_untracked(claims, base, writer, types, now)
    mine = claims.by_writer.get(writer.identity)
    last = mine.fields if mine is not None else set()
    claimed = _ownable(fields_of(applied, types.root), types)
    claims.by_writer[writer.identity] = _Claim(writer, claimed, now)
    merged = merge(base, copy(applied), types.root)
    merged = _prune(merged, last, claims, types.root)
    if live and same(merged, base):
        # An apply that changes nothing keeps the time of the last one.
        claims.by_writer[writer.identity].time = mine.time if mine is not None else ""
    difference = compare(base, merged, types.root)
    touched = without(difference.touched, types.reset)
    conflicts = [(claim, claim.fields & touched) for claim in claims.others(writer)]
    if not force:
        _raise_conflicts([(claim, fields) for claim, fields in conflicts if fields])
    for claim, fields in conflicts:
        claim.fields = claim.fields - fields - without(difference.removed, types.reset)
    merged.setdefault("metadata", {})
    _store(merged, claims)
    return dict(merged)


def _claim_untracked(claims: _Claims, live: Obj, writer: Writer, types: Fieldset, now: str) -> None:
    """Record the manager before-first-apply as the owner of the fields of an object without managedFields."""
    earlier = Writer(BEFORE_FIRST_APPLY, UPDATE, writer.api_version)
    fields = _ownable(compare({}, live, types.root).added, types)
    if fields:
        claims.by_writer[earlier.identity] = _Claim(earlier, fields, now)


def _require_types(applied: Obj, root: Node) -> None:
    problems = configuration_errors(applied, root)
    if not problems:
        return
    listed = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in problems)
    meta: Any = applied.get("metadata") or {}
    group, _, version = str(applied.get("apiVersion", "")).rpartition("/")
    subject = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={applied.get('kind', '')}"
    raise internal(f"failed to create typed patch object ({subject}): {listed}")


def _prune(merged: Obj, last: Fields, claims: _Claims, root: Node) -> Any:
    """Remove the fields that this manager applied the last time and that no manager owns now."""
    if not last:
        return merged
    owned: Fields = set()
    for claim in claims.by_writer.values():
        owned |= claim.fields
    unowned = with_named_parents(last, root) - with_named_parents(owned, root)
    return remove(merged, unowned, root)


def _raise_conflicts(conflicts: list[tuple[_Claim, Fields]]) -> None:
    if not conflicts:
        return
    found = sorted(
        ((str(claim.writer), show(path)) for claim, fields in conflicts for path in fields),
    )
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in found):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {path}" for owner, path in found if owner == manager]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    raise StatusError(409, "Conflict", message, details={"causes": causes})


def _ownable(fields: Fields, types: Fieldset) -> Fields:
    return without({path for path in fields if path not in _STRIPPED}, types.reset)


def _store(obj: Obj, claims: _Claims) -> None:
    entries = claims.write()
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def _without_managers(obj: Obj) -> Obj:
    meta = {name: item for name, item in obj.get("metadata", {}).items() if name != "managedFields"}
    return {**obj, "metadata": meta}


def keep_times_if_unchanged(new: Obj, old: Obj) -> None:
    """Restore the old managedFields if only their times differ."""
    if not same(_without_managers(new), _without_managers(old)):
        return
    now, before = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if now and before and _without_times(now) == _without_times(before):
        new["metadata"]["managedFields"] = before


def _without_times(entries: list[Obj]) -> list[str]:
    return sorted(encode_plain({k: v for k, v in entry.items() if k != "time"}) for entry in entries)

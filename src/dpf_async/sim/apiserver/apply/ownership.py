"""Who owns which field: metadata.managedFields, kept for every writer, and server-side apply upon it.

Source: apimachinery pkg/util/managedfields and structured-merge-diff merge/update.go.
Not done: folding the managers beyond ten into ancient-changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dpf_async.sim.apiserver.apply.declared import undeclared
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

# Fields of metadata that nobody owns. Source: managedfields/internal/stripmeta.go.
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
    """A manager of fields: who writes, how, through which version and subresource."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """An applier stays the same across versions, an updater does not."""
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
    fields: Fields
    time: str


@dataclass(slots=True)
class _Claims:
    """All managers of one object."""

    by_writer: dict[tuple[str, str, str, str], _Claim] = field(default_factory=dict)

    @classmethod
    def read(cls, entries: Iterable[Obj]) -> _Claims:
        claims = cls()
        for entry in entries:
            writer = Writer(
                manager=entry.get("manager", ""),
                operation=entry.get("operation", ""),
                api_version=entry.get("apiVersion", ""),
                subresource=entry.get("subresource", ""),
            )
            fields = from_fields_v1(entry.get("fieldsV1") or {})
            claims.by_writer[writer.identity] = _Claim(writer, fields, entry.get("time", ""))
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
                "fieldsV1": to_fields_v1(claim.fields),
            }
            if writer.subresource:
                entry["subresource"] = writer.subresource
            entries.append(entry)
        return entries

    def others(self, writer: Writer) -> list[_Claim]:
        return [claim for identity, claim in self.by_writer.items() if identity != writer.identity]


@dataclass(frozen=True, slots=True)
class Fieldset:
    """What field ownership needs to know of an endpoint: the types, and the fields it does not write."""

    root: Node
    reset: tuple[Path, ...] = ()
    structs: Mapping[str, Obj] = field(default_factory=dict)
    """Members, and theirs, that every object of the kind has, as a Go struct does: nobody is the one who set them."""


def manager_name(field_manager: str, user_agent: str) -> str:
    """Name the manager of a write: as asked, or the first word of the client's User-Agent."""
    prefix = user_agent.split("/", maxsplit=1)[0]
    printable = "".join(char for char in prefix if char.isprintable())
    return field_manager or printable[:128] or "unknown"


def record_update(live: Obj | None, new: Obj, writer: Writer, types: Fieldset, now: str) -> None:
    """Note in new.metadata.managedFields which fields this write has taken or dropped."""
    claims, tracked = _claims_for_update(live, new, writer)
    new["metadata"].pop("managedFields", None)
    if not tracked:
        return
    before = _with_structs(_bare(live) if live else {}, types.structs)
    difference = compare(before, _with_structs(_bare(new), types.structs), types.root)
    # What this endpoint does not write, it takes from nobody.
    touched, removed = without(difference.touched, types.reset), without(difference.removed, types.reset)
    for claim in claims.others(writer):
        claim.fields -= touched
        claim.fields -= removed
    mine = claims.by_writer.get(writer.identity)
    owned = mine.fields if mine is not None else set()
    taken = _ownable(touched, types)
    if taken:
        claims.by_writer[writer.identity] = _Claim(writer, (owned - removed) | taken, now)
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
    if writer.subresource or not given:
        # An object that lost its managedFields is not tracked again by updates.
        return _Claims.read(stored), bool(stored) or live is None
    if given == [{}]:
        return _Claims(), False
    return _Claims.read(given), True


def apply(live: Obj | None, applied: Obj, writer: Writer, types: Fieldset, now: str, *, force: bool) -> Obj:
    """Apply a configuration: take its fields, drop those it no longer names, respect other owners.

    Raises:
        StatusError: 409 with one cause per field another manager owns with another value; 400 or 500 for a
            configuration that cannot be applied.
    """
    meta = applied.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    _require_types(applied, types.root)
    base: Obj = copy(_bare(live)) if live else {}
    claims = _Claims.read((live or {}).get("metadata", {}).get("managedFields") or [])
    if live and not claims.by_writer:
        _claim_the_past(claims, base, writer, types, now)
    mine = claims.by_writer.get(writer.identity)
    last = mine.fields if mine is not None else set()
    claimed = _ownable(fields_of(applied, types.root), types)
    claims.by_writer[writer.identity] = _Claim(writer, claimed, now)
    merged = merge(base, copy(applied), types.root)
    merged = _prune(merged, last, claims, types.root)
    if live and same(merged, base):
        # Whoever changes nothing is not noted to have done so now.
        claims.by_writer[writer.identity].time = mine.time if mine is not None else ""
    difference = compare(base, merged, types.root)
    touched = without(difference.touched, types.reset)
    conflicts = [(claim, claim.fields & touched) for claim in claims.others(writer)]
    if not force:
        _raise_conflicts([(claim, fields) for claim, fields in conflicts if fields])
    for claim, fields in conflicts:
        claim.fields -= fields
        claim.fields -= without(difference.removed, types.reset)
    merged.setdefault("metadata", {})
    _store(merged, claims)
    return dict(merged)


def _claim_the_past(claims: _Claims, live: Obj, writer: Writer, types: Fieldset, now: str) -> None:
    """Give what an untracked object holds to a manager of its own, so that applying has somebody to ask."""
    past = Writer(BEFORE_FIRST_APPLY, UPDATE, writer.api_version)
    fields = _ownable(compare({}, live, types.root).added, types)
    if fields:
        claims.by_writer[past.identity] = _Claim(past, fields, now)


def _require_types(applied: Obj, root: Node) -> None:
    problems = undeclared(applied, root)
    if not problems:
        return
    listed = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in problems)
    meta: Any = applied.get("metadata") or {}
    group, _, version = str(applied.get("apiVersion", "")).rpartition("/")
    subject = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={applied.get('kind', '')}"
    raise internal(f"failed to create typed patch object ({subject}): {listed}")


def _prune(merged: Obj, last: Fields, claims: _Claims, root: Node) -> Any:
    """Remove what this manager named the last time and nobody names now."""
    if not last:
        return merged
    owned: Fields = set()
    for claim in claims.by_writer.values():
        owned |= claim.fields
    doomed = with_named_parents(last, root) - with_named_parents(owned, root)
    return remove(merged, doomed, root)


def _raise_conflicts(conflicts: list[tuple[_Claim, Fields]]) -> None:
    if not conflicts:
        return
    found = sorted(
        ((str(claim.writer), show(path)) for claim, fields in conflicts for path in fields),
    )
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines = []
        for who in dict.fromkeys(who for who, _ in found):
            lines.append(f"conflicts with {who}:")
            lines += [f"- {path}" for owner, path in found if owner == who]
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


def _bare(obj: Obj) -> Obj:
    meta = {name: item for name, item in obj.get("metadata", {}).items() if name != "managedFields"}
    return {**obj, "metadata": meta}


def keep_times_of_no_change(new: Obj, old: Obj) -> None:
    """Give new the old managedFields if nothing but their times differs."""
    if encode_plain(_bare(new)) != encode_plain(_bare(old)):
        return
    now, before = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if now and before and _timeless(now) == _timeless(before):
        new["metadata"]["managedFields"] = before


def _timeless(entries: list[Obj]) -> list[str]:
    return sorted(encode_plain({k: v for k, v in entry.items() if k != "time"}) for entry in entries)

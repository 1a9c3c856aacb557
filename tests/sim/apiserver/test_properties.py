"""Properties of the store, field ownership and the codec, tested with generated histories and objects."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpf_async.sim.apiserver.apply.fieldpaths import from_fields_v1, to_fields_v1
from dpf_async.sim.apiserver.apply.patches import merge_patch
from dpf_async.sim.apiserver.apply.typed import compare, fields_of, merge, remove, with_metadata
from dpf_async.sim.apiserver.schema.structure import apply_defaults, compile_schema, prune
from dpf_async.sim.apiserver.storage.store import Store
from dpf_async.sim.apiserver.wire.codec import copy, copy_changes, decode_json, encode, same
from dpf_async.sim.apiserver.wire.status import GroupResource
from tests.sim.apiserver.api import WIDGET_SCHEMA

KIND = GroupResource("example.com", "widgets")
ROOT = compile_schema(WIDGET_SCHEMA)
TYPES = with_metadata(ROOT)

texts = st.text(st.characters(codec="utf-8"), max_size=5)
names = st.sampled_from("abc")
parts = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"count": st.integers(0, 3), "note": names}),
    max_size=3,
    unique_by=lambda part: part["name"],
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 3),
        "colour": st.sampled_from(["red", "green"]),
        "parts": parts,
        "tags": st.lists(names, max_size=3, unique=True),
        "order": st.lists(names, max_size=2),
        "options": st.dictionaries(names, names, max_size=3),
        "frozen": st.dictionaries(st.sampled_from("ab"), names, max_size=2),
        "free": st.dictionaries(names, st.one_of(names, st.lists(names, max_size=2)), max_size=2),
    },
)
objects = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"name": st.just("a")}, optional={"labels": st.dictionaries(names, names)}
        )
    },
    optional={"spec": specs},
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["put", "delete"]), names, st.integers(0, 9)), max_size=40))
def test_a_list_and_the_events_after_it_lead_to_the_current_state(steps: list[tuple[str, str, int]]) -> None:
    store = Store(history=1000)
    moments: dict[int, dict[str, Any]] = {store.revision: {}}
    for step, name, number in steps:
        key = ("ns", name)
        if step == "put":
            store.put(KIND, key, {"metadata": {"name": name, "uid": name}, "spec": number})
        elif store.get(KIND, key) is not None:
            store.delete(KIND, key)
        moments[store.revision] = {key[1]: obj for key, obj in store.list(KIND, "")}

    collection = store.collection(KIND)
    for version, then in moments.items():
        state = {key[1]: obj for key, obj in store.list(KIND, "", at=version)}
        assert state == then
        for event in collection.events[collection.position_after(version) - collection.first :]:
            assert event.version > version
            assert (event.key[1] in state) is (event.type != "ADDED")
            if event.type == "DELETED":
                del state[event.key[1]]
            else:
                state[event.key[1]] = event.obj
        assert state == moments[store.revision]


@given(objects, objects)
def test_comparison_finds_exactly_the_fields_that_differ(old: dict[str, Any], new: dict[str, Any]) -> None:
    difference = compare(old, new, TYPES)

    assert (not difference.added and not difference.modified and not difference.removed) is same(
        _by_value(old), _by_value(new)
    )
    back = compare(new, old, TYPES)
    assert (back.added, back.modified, back.removed) == (
        difference.removed,
        difference.modified,
        difference.added,
    )
    assert not difference.added & difference.removed


def _by_value(obj: dict[str, Any]) -> dict[str, Any]:
    """Sets and map lists do not differ by order."""
    ordered: dict[str, Any] = copy(obj)
    spec = ordered.get("spec", {})
    if "tags" in spec:
        spec["tags"] = sorted(spec["tags"])
    if "parts" in spec:
        spec["parts"] = sorted(spec["parts"], key=lambda part: str(part["name"]))
    return ordered


@given(objects, objects)
def test_a_merged_object_has_the_applied_fields(live: dict[str, Any], applied: dict[str, Any]) -> None:
    merged = merge(copy(live), copy(applied), TYPES)

    claimed = fields_of(applied, TYPES)
    assert not compare(merged, merge(merged, applied, TYPES), TYPES).touched
    assert not claimed & compare(merge(merged, applied, TYPES), merged, TYPES).touched
    assert from_fields_v1(to_fields_v1(claimed)) == claimed
    left = remove(merged, claimed, TYPES)
    assert not claimed & fields_of(left, TYPES)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "x"]), anything))
def test_pruning_and_defaulting_are_idempotent(obj: dict[str, Any]) -> None:
    prune(obj, ROOT)
    apply_defaults(obj, ROOT)
    once = copy(obj)

    assert prune(obj, ROOT) == []
    apply_defaults(obj, ROOT)
    assert same(obj, once)


@given(objects, objects | st.dictionaries(st.sampled_from(["spec", "status", "x"]), anything))
def test_a_patched_object_that_shares_parts_is_completed_like_a_full_copy(
    stored: dict[str, Any], patch: dict[str, Any]
) -> None:
    apply_defaults(stored, ROOT)
    before, patched = copy(stored), merge_patch(stored, patch)
    full = copy(patched)

    shared = copy_changes(patched, stored)
    unknown = prune(shared, ROOT, stored)
    apply_defaults(shared, ROOT, stored)

    assert unknown == prune(full, ROOT)
    apply_defaults(full, ROOT)
    assert same(shared, full)
    assert same(stored, before)


@settings(max_examples=200)
@given(anything)
def test_an_encoded_value_is_decoded_to_the_same_value(value: Any) -> None:
    encoded = encode(value)

    assert same(decode_json(encoded).value, value)
    assert not any(char in encoded for char in b"<>&")
    assert encoded.count(b"\n") == 1

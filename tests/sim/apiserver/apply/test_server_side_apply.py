"""Server-side apply: field ownership, conflicts, and the removal of fields that no manager applies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.sim.apiserver.api import WIDGETS, Reply, serving, widget

ONE = f"{WIDGETS}/a"


def config(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return widget("a", spec, **metadata)


def owners(reply: Reply) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in reply.body["metadata"].get("managedFields", [])}


async def test_applying_creates_the_object_and_owns_exactly_the_applied_fields() -> None:
    async with serving() as api:
        made = await api.apply(ONE, config({"size": 2}, labels={"k": "v"}), "one")

        assert made.code == 201
        assert made.body["spec"] == {"size": 2, "colour": "red"}
        assert made.body["metadata"]["generation"] == 1
        entry = made.body["metadata"]["managedFields"][0]
        assert (entry["manager"], entry["operation"]) == ("one", "Apply")
        assert entry["fieldsV1"] == {"f:metadata": {"f:labels": {"f:k": {}}}, "f:spec": {"f:size": {}}}


async def test_applying_again_changes_nothing() -> None:
    seconds = count()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    async with serving(clock=lambda: start + timedelta(seconds=next(seconds))) as api:
        made = await api.apply(ONE, config({"size": 2}), "one")

        again = await api.apply(ONE, config({"size": 2}), "one")

        assert (again.code, again.version) == (200, made.version)


async def test_an_applied_configuration_can_be_yaml() -> None:
    async with serving() as api:
        text = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n  size: 3\n"

        made = await api.apply(ONE, text)

        assert made.body["spec"]["size"] == 3


async def test_a_field_that_is_no_longer_applied_is_removed_unless_another_manager_owns_it() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2, "url": "http://x", "options": {"a": "1", "b": "2"}}), "one")
        await api.apply(ONE, config({"url": "http://x"}), "two")

        left = await api.apply(ONE, config({"options": {"b": "2"}}), "one")

        assert left.body["spec"] == {"url": "http://x", "options": {"b": "2"}, "colour": "red"}
        assert owners(left) == {
            "one": {"f:spec": {"f:options": {"f:b": {}}}},
            "two": {"f:spec": {"f:url": {}}},
        }


async def test_an_apply_keeps_the_fields_that_an_updater_added() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2}), "one")
        await api.merge(ONE, {"spec": {"options": {"x": "1"}}}, fieldManager="updater")

        left = await api.apply(ONE, config({"colour": "green"}), "one")

        assert left.body["spec"] == {"colour": "green", "options": {"x": "1"}}


async def test_changing_a_field_of_another_manager_is_a_conflict() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2, "colour": "red"}), "one")

        refused = await api.apply(ONE, config({"size": 3}), "two")

        assert (refused.code, refused.body["reason"]) == (409, "Conflict")
        assert refused.message == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
        assert refused.causes == [("FieldManagerConflict", ".spec.size", 'conflict with "one"')]
        assert (await api.get(ONE)).body["spec"]["size"] == 2


async def test_every_conflict_is_listed_by_manager() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"parts": [{"name": "p", "count": 1}]}), "one")
        await api.merge(ONE, {"spec": {"size": 5}}, fieldManager="updater")
        await api.merge(f"{ONE}/status", {"status": {"phase": "X"}}, fieldManager="reporter")

        refused = await api.apply(ONE, config({"size": 6, "parts": [{"name": "p", "count": 2}]}), "two")

        assert refused.message == (
            'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.parts[name="p"].count\n'
            'conflicts with "updater" using example.com/v1:\n- .spec.size'
        )


async def test_force_transfers_the_ownership_of_a_field() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2, "url": "http://x"}), "one")

        forced = await api.apply(ONE, config({"size": 3}), "two", force="true")

        assert forced.body["spec"]["size"] == 3
        assert owners(forced) == {"one": {"f:spec": {"f:url": {}}}, "two": {"f:spec": {"f:size": {}}}}


async def test_applying_the_same_value_shares_the_field() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2}), "one")

        shared = await api.apply(ONE, config({"size": 2}), "two")
        changed = await api.apply(ONE, config({"size": 3}), "one")

        assert set(owners(shared)) == {"one", "two"}
        assert changed.code == 409


async def test_an_update_transfers_the_ownership_of_fields_without_a_conflict() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2}), "one")

        updated = await api.merge(ONE, {"spec": {"size": 3}}, fieldManager="updater")

        assert owners(updated) == {"updater": {"f:spec": {"f:size": {}}}}


async def test_elements_of_map_lists_are_owned_individually() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"parts": [{"name": "a", "count": 1}, {"name": "b"}]}), "one")
        await api.apply(
            ONE, config({"parts": [{"name": "c", "count": 3}, {"name": "a", "note": "x"}]}), "two"
        )

        left = await api.apply(ONE, config({"parts": [{"name": "b"}]}), "one")

        assert left.body["spec"]["parts"] == [
            {"name": "c", "count": 3},
            {"name": "a", "note": "x"},
            {"name": "b"},
        ]
        assert owners(left)["two"] == {
            "f:spec": {
                "f:parts": {
                    'k:{"name":"a"}': {".": {}, "f:name": {}, "f:note": {}},
                    'k:{"name":"c"}': {".": {}, "f:count": {}, "f:name": {}},
                }
            }
        }


async def test_elements_of_sets_are_owned_individually() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"tags": ["a", "b"]}), "one")
        await api.apply(ONE, config({"tags": ["b", "c"]}), "two")

        left = await api.apply(ONE, config({"tags": ["a"]}), "one")

        assert sorted(left.body["spec"]["tags"]) == ["a", "b", "c"]
        assert owners(left)["two"] == {"f:spec": {"f:tags": {'v:"b"': {}, 'v:"c"': {}}}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"order": ["a"]}, {"order": ["a", "b"]}),
        ({"frozen": {"a": "1"}}, {"frozen": {"b": "2"}}),
    ],
)
async def test_atomic_lists_and_maps_are_owned_as_one_field(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    async with serving() as api:
        made = await api.apply(ONE, config(first), "one")

        refused = await api.apply(ONE, config(second), "two")
        forced = await api.apply(ONE, config(second), "two", force="true")

        (field,) = first
        assert owners(made) == {"one": {"f:spec": {f"f:{field}": {}}}}
        assert refused.code == 409
        assert forced.body["spec"][field] == second[field]
        assert owners(forced) == {"two": {"f:spec": {f"f:{field}": {}}}}


async def test_status_is_applied_through_its_subresource() -> None:
    async with serving() as api:
        missing = await api.apply(f"{ONE}/status", {**config({}), "status": {"phase": "X"}}, "one")
        await api.apply(ONE, {**config({"size": 2}), "status": {"phase": "ignored"}}, "one")

        applied = await api.apply(f"{ONE}/status", {**config({}), "status": {"phase": "Ready"}}, "one")

        assert missing.code == 404
        assert applied.body["status"] == {"phase": "Ready"}
        assert applied.body["spec"]["size"] == 2
        fields = [
            (e.get("subresource", ""), e["fieldsV1"]) for e in applied.body["metadata"]["managedFields"]
        ]
        assert sorted(fields, key=lambda pair: pair[0]) == [
            ("", {"f:spec": {"f:size": {}}}),
            ("status", {"f:status": {"f:phase": {}}}),
        ]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {**config({}), "apiVersion": "example.com/v2"},
            400,
            "invalid object type: example.com/v2, Kind=Widget",
        ),
        (config({}, managedFields=[{"manager": "x"}]), 400, "metadata.managedFields must be nil"),
        (
            {**config({}), "metadata": []},
            400,
            (
                'Widget in version "v1" cannot be handled as a Widget: json: cannot unmarshal array '
                "into Go value of type v1.ObjectMeta"
            ),
        ),
        (
            {**config({}), "metadata": {}},
            400,
            "the name of the object (a based on URL) was undeterminable: name must be provided",
        ),
        (
            config({"bogus": 1}),
            500,
            (
                "failed to create typed patch object (/a; example.com/v1, Kind=Widget): .spec.bogus: "
                "field not declared "
                "in schema"
            ),
        ),
        (
            config({}, uid="4"),
            409,
            (
                'Operation cannot be fulfilled on widgets.example.com "a": uid mismatch: the provided object specified '
                "uid 4, and no existing object was found"
            ),
        ),
        (
            config({"size": 0}),
            422,
            (
                'Widget.example.com "a" is invalid: spec.size: Invalid value: 0: spec.size in body '
                "should be greater than "
                "or equal to 1"
            ),
        ),
    ],
)
async def test_an_invalid_configuration_is_rejected(body: Any, code: int, message: str) -> None:
    async with serving() as api:
        refused = await api.apply(ONE, body)

        assert (refused.code, refused.message) == (code, message)


async def test_applying_with_a_stale_version_is_a_conflict() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2}))

        refused = await api.apply(ONE, config({"size": 3}, resourceVersion="1"))

        assert refused.code == 409
        assert "the object has been modified" in refused.message


async def test_ownership_can_be_reset() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"size": 2}), "one")

        reset = await api.merge(ONE, {"metadata": {"managedFields": [{}]}})

        assert "managedFields" not in reset.body["metadata"]


async def test_a_dry_run_apply_stores_nothing() -> None:
    async with serving() as api:
        tried = await api.apply(ONE, config({"size": 2}), dryRun="All")

        assert tried.code == 201
        assert (await api.get(ONE)).code == 404


async def test_repeated_keys_cause_a_warning_or_an_error() -> None:
    async with serving() as api:
        text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec:\n  size: 1\n  size: 2\n"

        refused = await api.apply(ONE, text, fieldValidation="Strict")
        warned = await api.apply(ONE, text)

        assert refused.message == (
            "error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:\n"
            '  line 6: key "size" already set in map'
        )
        assert warned.body["spec"]["size"] == 2
        assert "already set in map" in warned.warnings[0]


async def test_a_conflict_names_the_subresource_of_the_other_manager() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        await api.merge(f"{ONE}/status", {"status": {"phase": "X"}}, fieldManager="reporter")

        refused = await api.apply(f"{ONE}/status", {**config({}), "status": {"phase": "Y"}}, "one")

        assert refused.message == (
            'Apply failed with 1 conflict: conflict with "reporter" with subresource "status" using example.com/v1: '
            ".status.phase"
        )


async def test_empty_and_untyped_values_are_owned_too() -> None:
    async with serving() as api:
        made = await api.apply(ONE, config({"options": {}, "free": {"any": {"depth": [1]}}}), "one")
        gone = await api.apply(ONE, config({"size": 1}), "one")

        assert owners(made) == {
            "one": {"f:spec": {"f:free": {"f:any": {".": {}, "f:depth": {}}}, "f:options": {}}}
        }
        assert gone.body["spec"] == {"size": 1, "colour": "red"}


async def test_a_list_element_is_removed_with_its_last_applier_even_if_an_updater_changed_it() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"parts": [{"name": "p", "count": 1}, {"name": "q"}]}), "one")
        await api.merge(
            ONE, {"spec": {"parts": [{"name": "p", "count": 2}, {"name": "q"}]}}, fieldManager="updater"
        )

        left = await api.apply(ONE, config({"parts": [{"name": "q"}]}), "one")

        assert left.body["spec"]["parts"] == [{"name": "q"}]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"parts": [{"count": 1}]},
            (
                '.spec.parts: element 0: associative list with keys has an element that omits all key fields ["name"] '
                "(and doesn't have default values for any key fields)"
            ),
        ),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
        (
            {"parts": [{"name": "p", "odd": 1}], "order": ["x"], "odd": 1},
            (
                'errors:\n  .spec.parts[name="p"].odd: field not declared in schema\n'
                "  .spec.odd: field not declared in schema"
            ),
        ),
        ({"odd": 1, "odder": 2}, ".spec.odd: field not declared in schema"),
        ({"size": "x"}, ".spec.size: expected numeric (int or float), got string"),
        ({"colour": 1}, ".spec.colour: expected string, got &value.valueUnstructured{Value:1}"),
        (
            {"colour": {"a": ["x"]}},
            (
                ".spec.colour: expected string, got "
                '&value.valueUnstructured{Value:map[string]interface {}{"a":[]interface {}{"x"}}}'
            ),
        ),
        ({"parts": {}}, ".spec.parts: expected list, got &{map[]}"),
        ({"options": [1, {"a": None}]}, ".spec.options: expected map, got &{[1 map[a:<nil>]]}"),
        (
            {"parts": [None]},
            ".spec.parts: element 0: associative list with keys may not have a null element",
        ),
        (
            {"parts": ["x"]},
            ".spec.parts: element 0: associative list with keys may not have non-map elements",
        ),
        (
            {"tags": ["a", {}]},
            ".spec.tags: element 1: associative list without keys has an element that's a map type",
        ),
        (
            {"tags": [None]},
            ".spec.tags: element 0: associative list without keys has an element that's an explicit null",
        ),
    ],
)
async def test_a_configuration_must_fit_the_schema(spec: dict[str, Any], problem: str) -> None:
    async with serving() as api:
        refused = await api.apply(ONE, config(spec))

        subject = "(/a; example.com/v1, Kind=Widget)"
        assert refused.code == 500
        assert refused.message == f"failed to create typed patch object {subject}: {problem}"


async def test_an_owner_reference_is_owned_as_one_field_by_its_uid() -> None:
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": "0000",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    async with serving() as api:
        made = await api.apply(ONE, config({"size": 2}, ownerReferences=[owner]), "one")

        assert made.code == 201
        assert made.body["metadata"]["ownerReferences"] == [owner]
        assert owners(made)["one"]["f:metadata"] == {"f:ownerReferences": {'k:{"uid":"0000"}': {}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid object type: /, Kind="),
        ("a: b: c", "error encoding patch: yaml: mapping values are not allowed in this context"),
        (
            "[]",
            (
                "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array "
                "into Go value of type map[string]interface {}"
            ),
        ),
    ],
)
async def test_a_body_that_is_not_a_configuration_is_rejected(text: str, message: str) -> None:
    async with serving() as api:
        refused = await api.apply(ONE, text)

        assert (refused.code, refused.message) == (400, message)


async def test_an_object_that_an_applier_leaves_empty_becomes_null_and_is_rejected_if_not_nullable() -> None:
    async with serving() as api:
        await api.apply(ONE, config({"options": {"a": "1"}}))

        emptied = await api.apply(ONE, config({"options": {}}))

        assert emptied.code == 422
        assert [field for _, field, _ in emptied.causes] == ["spec.options"]
        assert (
            emptied.causes[0][2]
            == 'Invalid value: "null": spec.options in body must be of type object: "null"'
        )

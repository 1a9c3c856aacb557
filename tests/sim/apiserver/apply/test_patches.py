"""JSON patch, merge patch and strategic merge patch, and the field managers that they record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import CONFIG_MAPS, WIDGETS, serving, widget


async def test_a_merge_patch_merges_and_null_removes() -> None:
    async with serving() as api:
        await api.create(
            WIDGETS, widget("a", {"size": 1, "options": {"a": "1", "b": "2"}, "order": ["x", "y"]})
        )

        patched = await api.merge(
            f"{WIDGETS}/a", {"spec": {"size": None, "options": {"a": None, "c": "3"}, "order": ["z"]}}
        )

        assert patched.code == 200
        assert patched.body["spec"] == {"colour": "red", "options": {"b": "2", "c": "3"}, "order": ["z"]}


async def test_a_json_patch_is_applied_completely_or_not_at_all() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", {"size": 1, "order": ["x"]}))
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/spec/size", "value": 1},
            {"op": "add", "path": "/spec/order/-", "value": "y"},
            {"op": "replace", "path": "/spec/size", "value": 2},
        ]

        patched = await api.patch(f"{WIDGETS}/a", operations)
        refused = await api.patch(
            f"{WIDGETS}/a", [{"op": "add", "path": "/spec/order/-", "value": "z"}, operations[0]]
        )

        assert patched.body["spec"] == {"size": 2, "colour": "red", "order": ["x", "y"]}
        assert (refused.code, refused.body["reason"]) == (422, "Invalid")
        assert refused.message == "the server rejected our request due to an error in our request"
        assert (await api.get(f"{WIDGETS}/a")).version == patched.version


@pytest.mark.parametrize(
    ("content_type", "path", "body", "code", "message"),
    [
        (
            "application/strategic-merge-patch+json",
            f"{WIDGETS}/a",
            {},
            415,
            (
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            ),
        ),
        (
            "application/json",
            f"{WIDGETS}/a",
            {},
            415,
            (
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            ),
        ),
        (
            "application/merge-patch+json",
            f"{WIDGETS}/x",
            {},
            404,
            'widgets.example.com "x" not found',
        ),
        (
            "application/merge-patch+json",
            f"{WIDGETS}/a",
            {"metadata": {"resourceVersion": "1"}},
            409,
            (
                'Operation cannot be fulfilled on widgets.example.com "a": the object has been '
                "modified; please apply your "
                "changes to the latest version and try again"
            ),
        ),
        (
            "application/merge-patch+json",
            f"{WIDGETS}/a",
            {"metadata": {"name": "b"}},
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            "application/merge-patch+json",
            f"{WIDGETS}/a",
            {"spec": {"size": 0}},
            422,
            (
                'Widget.example.com "a" is invalid: spec.size: Invalid value: 0: spec.size in body '
                "should be greater than "
                "or equal to 1"
            ),
        ),
        ("application/merge-patch+json", f"{WIDGETS}/a", "{x", 400, "invalid JSON patch"),
        ("application/merge-patch+json", f"{WIDGETS}/a", "", 400, "invalid JSON patch"),
        ("application/merge-patch+json", f"{WIDGETS}/a", "null", 400, "Invalid JSON Patch"),
        (
            "application/merge-patch+json",
            f"{WIDGETS}/a",
            [],
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        ("application/json-patch+json", f"{WIDGETS}/a", "[", 400, "invalid JSON patch"),
        (
            "application/json-patch+json",
            f"{WIDGETS}/a",
            [{"op": "replace", "path": "", "value": {}}],
            422,
            " \"\" is invalid: patch: Invalid value: \"{}\": Object 'Kind' is missing in '{}'",
        ),
        (
            "application/apply-patch+yaml",
            f"{WIDGETS}/a",
            {},
            422,
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        ),
    ],
)
async def test_an_invalid_patch_is_rejected_with_the_message_of_kubernetes(
    content_type: str, path: str, body: Any, code: int, message: str
) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.call("PATCH", path, body, headers={"Content-Type": content_type})

        assert (refused.code, refused.message) == (code, message)


async def test_core_kinds_support_strategic_merge_patches() -> None:
    async with serving() as api:
        await api.create(
            CONFIG_MAPS, {"metadata": {"name": "c", "finalizers": ["x.io/a"]}, "data": {"a": "1"}}
        )

        patched = await api.call(
            "PATCH",
            f"{CONFIG_MAPS}/c",
            {
                "metadata": {"finalizers": ["x.io/b"], "$setElementOrder/finalizers": ["x.io/a", "x.io/b"]},
                "data": {"b": "2"},
            },
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )

        emptied = await api.call(
            "PATCH",
            f"{CONFIG_MAPS}/c",
            {
                "metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a"]},
                "data": {"$patch": "replace", "z": "9"},
            },
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )

        assert patched.body["metadata"]["finalizers"] == ["x.io/a", "x.io/b"]
        assert patched.body["data"] == {"a": "1", "b": "2"}
        assert emptied.body["metadata"]["finalizers"] == ["x.io/b"]
        assert emptied.body["data"] == {"z": "9"}


async def test_lists_of_core_kinds_merge_by_their_key() -> None:
    async with serving() as api:
        nodes = "/api/v1/nodes"
        await api.create(nodes, {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a"}, {"key": "b"}]}})

        patched = await api.call(
            "PATCH",
            f"{nodes}/n",
            {"spec": {"taints": [{"key": "b", "$patch": "delete"}, {"key": "a", "effect": "NoSchedule"}]}},
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )

        assert patched.body["spec"]["taints"] == [{"key": "a", "effect": "NoSchedule"}]


async def test_force_is_rejected_except_for_apply() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.merge(f"{WIDGETS}/a", {}, force="true")

        text = "force: Forbidden: may not be specified for non-apply patch"
        assert refused.message == f'PatchOptions.meta.k8s.io "" is invalid: {text}'


async def test_a_patch_without_a_change_writes_nothing() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        patched = await api.patch(f"{WIDGETS}/a", [])

        assert patched.version == made.version


async def test_every_manager_is_recorded_with_the_fields_that_it_wrote() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", labels={"k": "v"}, finalizers=["x.io/f"]))
        await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}}, fieldManager="resizer")
        status = await api.merge(
            f"{WIDGETS}/a/status", {"status": {"phase": "Ready"}}, fieldManager="reporter"
        )

        entries = {
            (entry["manager"], entry.get("subresource", "")): entry
            for entry in status.body["metadata"]["managedFields"]
        }
        assert entries["tester", ""]["fieldsV1"] == {
            "f:metadata": {
                "f:finalizers": {".": {}, 'v:"x.io/f"': {}},
                "f:labels": {".": {}, "f:k": {}},
            },
            "f:spec": {".": {}, "f:colour": {}},
        }
        assert entries["resizer", ""]["fieldsV1"] == {"f:spec": {"f:size": {}}}
        assert entries["reporter", "status"]["fieldsV1"] == {"f:status": {"f:phase": {}}}
        assert {entry["operation"] for entry in entries.values()} == {"Update"}
        assert {entry["fieldsType"] for entry in entries.values()} == {"FieldsV1"}


async def test_a_removed_field_is_removed_from_its_manager() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        await api.merge(f"{WIDGETS}/a", {"spec": {"url": "http://x"}}, fieldManager="linker")

        left = await api.merge(f"{WIDGETS}/a", {"spec": {"url": None}}, fieldManager="other")

        assert [entry["manager"] for entry in left.body["metadata"]["managedFields"]] == ["tester"]


async def test_the_part_of_a_path_before_its_first_slash_is_ignored() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        patched = await api.patch(f"{WIDGETS}/a", [{"op": "replace", "path": "x/spec/size", "value": 7}])

        assert patched.body["spec"]["size"] == 7


async def test_an_unknown_member_of_an_operation_causes_a_warning() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        operation = {"op": "replace", "path": "/spec/size", "value": 7, "extra": 1}
        patched = await api.patch(f"{WIDGETS}/a", [operation])

        assert patched.warnings == ['299 - "json patch unknown field \\"[0].extra\\""']


async def test_the_error_of_a_strict_patch_has_the_result() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.merge(f"{WIDGETS}/a", {"spec": {"wrong": 1}}, fieldValidation="Strict")

        assert refused.code == 422
        assert r"\"wrong\":1" in refused.message
        assert refused.message.endswith('strict decoding error: unknown field "spec.wrong"')


async def test_a_strategic_patch_sets_the_order_of_a_set() -> None:
    async with serving() as api:
        await api.create(CONFIG_MAPS, {"metadata": {"name": "c", "finalizers": ["x.io/a", "x.io/b"]}})

        patched = await api.call(
            "PATCH",
            f"{CONFIG_MAPS}/c",
            {
                "metadata": {
                    "finalizers": ["x.io/c"],
                    "$setElementOrder/finalizers": ["x.io/a", "x.io/c", "x.io/b"],
                }
            },
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )

        assert patched.body["metadata"]["finalizers"] == ["x.io/a", "x.io/c", "x.io/b"]


async def test_a_failed_write_has_the_warnings() -> None:
    async with serving() as api:
        invalid = await api.create(WIDGETS, widget("a", {"size": 0, "wrong": 1}))
        other = await api.create(WIDGETS, {**widget("a"), "apiVersion": "example.com/v9"})
        await api.create(WIDGETS, widget("a"))
        patched = await api.merge(f"{WIDGETS}/a", {"apiVersion": "example.com/v9"})

        assert [refused.code for refused in (invalid, other, patched)] == [422, 400, 422]
        assert invalid.warnings == ['299 - "unknown field \\"spec.wrong\\""']
        of_no_schema = ['299 - "unknown field \\"spec\\""', '299 - "unknown field \\"status\\""']
        assert other.warnings == of_no_schema[:1]
        assert patched.warnings == of_no_schema

"""Creating, reading and updating objects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import (
    ALL_WIDGETS,
    CONFIG_MAPS,
    GADGETS,
    SECRETS,
    WIDGETS,
    definition,
    serving,
    widget,
)


async def test_a_created_object_has_the_metadata_that_the_server_sets() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        assert made.code == 201
        meta = made.body["metadata"]
        assert meta["namespace"] == "default"
        assert meta["generation"] == 1
        assert len(meta["uid"]) == 36
        assert meta["creationTimestamp"].endswith("Z")
        assert int(meta["resourceVersion"]) == api.server.resource_version
        assert made.body["status"] == {"phase": "New"}
        assert (await api.get(f"{WIDGETS}/a")).body == made.body


async def test_resource_versions_increase_across_all_kinds() -> None:
    async with serving() as api:
        first = await api.create(WIDGETS, widget("a"))
        second = await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}})
        third = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}})

        assert int(first.version) < int(second.version) < int(third.version)


async def test_a_generated_name_begins_with_generate_name() -> None:
    async with serving() as api:
        body = widget()
        body["metadata"] = {"generateName": "host-"}

        made = await api.create(WIDGETS, body)

        assert made.code == 201
        assert made.body["metadata"]["name"].startswith("host-")
        assert len(made.body["metadata"]["name"]) == len("host-") + 5


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "message"),
    [
        ("GET", f"{WIDGETS}/x", None, 404, 'widgets.example.com "x" not found'),
        ("GET", f"{CONFIG_MAPS}/x", None, 404, 'configmaps "x" not found'),
        ("DELETE", f"{WIDGETS}/x", None, 404, 'widgets.example.com "x" not found'),
        ("PUT", f"{WIDGETS}/x", widget("x"), 404, 'widgets.example.com "x" not found'),
        ("POST", WIDGETS, widget("a"), 409, 'widgets.example.com "a" already exists'),
        (
            "POST",
            WIDGETS.replace("default", "nowhere"),
            widget("b"),
            404,
            'namespaces "nowhere" not found',
        ),
        (
            "POST",
            WIDGETS,
            widget("b", namespace="other"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "PUT",
            f"{WIDGETS}/a",
            widget("b"),
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            "POST",
            WIDGETS,
            {**widget("b"), "apiVersion": "example.com/v2"},
            400,
            "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)",
        ),
        (
            "POST",
            WIDGETS,
            {"kind": "Widget", "metadata": {"name": "b"}},
            400,
            "the API version in the data () does not match the expected API version (example.com/v1)",
        ),
        (
            "POST",
            WIDGETS,
            {**widget("b"), "kind": "Other"},
            422,
            'Other.example.com "b" is invalid: kind: Invalid value: "Other": must be Widget',
        ),
        (
            "POST",
            WIDGETS,
            {"metadata": {"name": "b"}},
            400,
            (
                "the object provided is unrecognized (must be of type Widget): Object 'Kind' is missing in "
                '\'{"metadata": {"name": "b"}}\' ({"metadata": {"name": "b"}})'
            ),
        ),
        (
            "POST",
            WIDGETS,
            widget("b", labels={"k": 1}),
            400,
            (
                'Widget in version "v1" cannot be handled as a Widget: json: cannot unmarshal number into Go struct '
                "field ObjectMeta.labels of type string"
            ),
        ),
        (
            "POST",
            WIDGETS,
            widget("b", resourceVersion="7"),
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            "POST",
            WIDGETS,
            '{"a": tru}',
            400,
            (
                "the object provided is unrecognized (must be of type Widget): couldn't get version/kind; json parse "
                "error: invalid character '}' in literal true (expecting 'e') ({\"a\": tru})"
            ),
        ),
        (
            "PUT",
            f"{WIDGETS}/a",
            widget("a"),
            422,
            (
                'widgets.example.com "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for '
                "an update"
            ),
        ),
        (
            "PUT",
            f"{WIDGETS}/a",
            widget("a", resourceVersion="1"),
            409,
            (
                'Operation cannot be fulfilled on widgets.example.com "a": the object has been modified; please apply '
                "your changes to the latest version and try again"
            ),
        ),
        ("PATCH", WIDGETS, {}, 400, "name must be provided"),
    ],
)
async def test_a_rejected_request_has_the_message_of_kubernetes(
    method: str, path: str, body: Any, code: int, message: str
) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.call(method, path, body)

        assert (refused.code, refused.message) == (code, message)
        assert refused.body["kind"] == "Status"
        assert refused.body["status"] == "Failure"
        assert refused.body["code"] == code


async def test_not_found_names_the_object_in_its_details() -> None:
    async with serving() as api:
        missing = await api.get(f"{WIDGETS}/x")

        assert missing.body["reason"] == "NotFound"
        assert missing.body["details"] == {"name": "x", "group": "example.com", "kind": "widgets"}


@pytest.mark.parametrize(
    "path",
    ["/apis/example.com/v1/nothings", "/apis/example.com/v2/widgets", "/nowhere", "/apis/no.such.group"],
)
async def test_a_path_that_is_not_served_is_answered_in_plain_text(path: str) -> None:
    async with serving() as api:
        missing = await api.get(path)

        assert missing.code == 404
        assert missing.body == "404 page not found\n"
        assert missing.headers["Content-Type"].startswith("text/plain")


async def test_a_write_without_a_change_keeps_the_resource_version() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        put = await api.put(f"{WIDGETS}/a", made.body)
        merged = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 1}})

        assert put.version == merged.version == made.version
        assert put.body["metadata"]["managedFields"] == made.body["metadata"]["managedFields"]


async def test_generation_counts_changes_of_spec_but_not_of_metadata_or_status() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        labelled = await api.merge(f"{WIDGETS}/a", {"metadata": {"labels": {"k": "v"}}})
        reported = await api.merge(f"{WIDGETS}/a/status", {"status": {"phase": "Ready"}})
        resized = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}})

        assert labelled.body["metadata"]["generation"] == 1
        assert reported.body["metadata"]["generation"] == 1
        assert resized.body["metadata"]["generation"] == 2


async def test_each_endpoint_writes_only_spec_or_status() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, {**widget("a"), "status": {"phase": "Mine"}})
        assert made.body["status"] == {"phase": "New"}

        main = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}, "status": {"phase": "Lost"}})
        half = await api.merge(
            f"{WIDGETS}/a/status",
            {"spec": {"size": 3}, "status": {"phase": "Ready"}, "metadata": {"labels": {"k": "v"}}},
        )

        assert (main.body["spec"]["size"], main.body["status"]["phase"]) == (2, "New")
        assert (half.body["spec"]["size"], half.body["status"]["phase"]) == (2, "Ready")
        assert "labels" not in half.body["metadata"]


async def test_without_a_status_subresource_status_is_an_ordinary_field() -> None:
    async with serving(definition(status=False)) as api:
        made = await api.create(WIDGETS, {**widget("a"), "status": {"phase": "Mine"}})

        changed = await api.merge(f"{WIDGETS}/a", {"status": {"phase": "Yours"}})

        assert made.body["status"]["phase"] == "Mine"
        assert changed.body["metadata"]["generation"] == 2
        assert (await api.get(f"{WIDGETS}/a/status")).code == 404


async def test_metadata_that_the_server_sets_cannot_be_changed() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))
        body = made.body
        body["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 77}

        changed = await api.put(f"{WIDGETS}/a", body)

        assert changed.code == 200
        assert changed.body["metadata"]["generation"] == 1
        assert changed.version == made.version


async def test_another_uid_is_a_conflict() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))
        uid = made.body["metadata"]["uid"]

        made.body["metadata"]["uid"] = "other"
        refused = await api.put(f"{WIDGETS}/a", made.body)
        patched = await api.merge(f"{WIDGETS}/a", {"metadata": {"uid": "other"}})

        assert (patched.code, patched.causes[0][2]) == (422, 'Invalid value: "other": field is immutable')
        assert refused.code == 409
        assert refused.message == (
            'Operation cannot be fulfilled on widgets.example.com "a": StorageError: invalid object, Code: 4, Key: '
            "/registry/example.com/widgets/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
            f"UID in precondition: other, UID in object meta: {uid}"
        )


async def test_a_dry_run_answers_without_storing() -> None:
    async with serving() as api:
        before = api.server.resource_version

        made = await api.create(WIDGETS, widget("a"), dryRun="All")
        refused = await api.create(WIDGETS, widget("a"), dryRun="Some")

        assert made.code == 201
        assert made.body["status"] == {"phase": "New"}
        assert (await api.get(f"{WIDGETS}/a")).code == 404
        assert api.server.resource_version == before
        assert refused.message == (
            'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"'
        )


async def test_cluster_scoped_kinds_have_no_namespace() -> None:
    async with serving(definition("Gadget", scope="Cluster")) as api:
        body = {**widget("a"), "kind": "Gadget"}

        made = await api.create(GADGETS, body)

        assert made.code == 201
        assert "namespace" not in made.body["metadata"]
        assert (await api.create("/apis/example.com/v1/namespaces/default/gadgets", body)).code == 404


async def test_namespaced_kinds_are_created_only_in_a_namespace() -> None:
    async with serving() as api:
        assert (await api.create(ALL_WIDGETS, widget("a"))).code == 404


async def test_a_secret_stores_string_data_as_base64() -> None:
    async with serving() as api:
        made = await api.create(SECRETS, {"metadata": {"name": "s"}, "stringData": {"password": "pw"}})

        assert made.body["data"] == {"password": "cHc="}
        assert made.body["type"] == "Opaque"
        assert "stringData" not in made.body


async def test_a_body_that_is_too_large_and_an_object_that_is_too_large_have_different_errors() -> None:
    async with serving() as api:
        huge = widget("a", annotations={"k": "v"})
        huge["spec"]["free"] = {"text": "x" * 1_600_000}
        body = await api.create(WIDGETS, "x" * (3 * 1024 * 1024 + 1))

        stored = await api.create(WIDGETS, huge)

        assert (body.code, body.message) == (413, "Request entity too large: limit is 3145728")
        assert (stored.code, stored.message) == (500, "etcdserver: request is too large")


async def test_yaml_is_accepted_and_returned() -> None:
    async with serving() as api:
        text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {size: 2}\n"
        headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}

        made = await api.call("POST", WIDGETS, text, headers=headers)

        assert made.code == 201
        assert made.headers["Content-Type"] == "application/yaml"
        assert "size: 2" in made.body


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        (
            {"Content-Type": "text/plain"},
            415,
            (
                "the body of the request was in an unknown format - accepted media types include: application/json, "
                "application/yaml, application/vnd.kubernetes.protobuf"
            ),
        ),
        (
            {"Accept": "text/html"},
            406,
            (
                "only the following media types are accepted: application/json, application/yaml, "
                "application/vnd.kubernetes.protobuf"
            ),
        ),
    ],
)
async def test_media_types_are_negotiated(headers: dict[str, str], code: int, message: str) -> None:
    async with serving() as api:
        refused = await api.call("POST", WIDGETS, widget("a"), headers=headers)

        assert (refused.code, refused.message) == (code, message)


async def test_strings_are_escaped_as_in_go() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", annotations={"k": "<&>\u0085\u2028\u2029\x7f"}))

        async with api.session.get(f"{WIDGETS}/a") as response:
            raw = await response.read()

        assert rb'"k":"\u003c\u0026\u003e' + "\u0085".encode() + rb"\u2028\u2029" + b'\x7f"' in raw
        assert raw.endswith(b"}\n")


async def test_an_update_keeps_metadata_that_it_omits() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        put = await api.put(f"{WIDGETS}/a", widget("a", {"size": 2}, resourceVersion=made.version))

        assert put.code == 200
        assert put.body["metadata"]["uid"] == made.body["metadata"]["uid"]
        assert put.body["metadata"]["creationTimestamp"] == made.body["metadata"]["creationTimestamp"]
        assert put.body["status"] == {"phase": "New"}


async def test_core_kinds_can_be_updated_without_a_resource_version() -> None:
    async with serving() as api:
        await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "1"}})

        put = await api.put(f"{CONFIG_MAPS}/c", {"metadata": {"name": "c"}, "data": {"k": "2"}})

        assert (put.code, put.body["data"]) == (200, {"k": "2"})
        assert "generation" not in put.body["metadata"]


async def test_an_omitted_status_is_replaced_by_its_default() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        put = await api.put(f"{WIDGETS}/a/status", widget("a", resourceVersion=made.version))

        assert put.version == made.version
        assert put.body["status"] == {"phase": "New"}


async def test_a_new_namespace_is_active_and_has_its_label() -> None:
    async with serving() as api:
        made = await api.create("/api/v1/namespaces", {"metadata": {"name": "new"}})

        assert made.body["status"] == {"phase": "Active"}
        assert made.body["spec"] == {"finalizers": ["kubernetes"]}
        assert made.body["metadata"]["labels"] == {"kubernetes.io/metadata.name": "new"}
        refused = await api.create("/api/v1/namespaces", {"metadata": {"name": "a.b"}})
        assert "a lowercase RFC 1123 label must consist of" in refused.message


async def test_a_secret_that_is_not_base64_is_rejected() -> None:
    async with serving() as api:
        refused = await api.create(SECRETS, {"metadata": {"name": "s"}, "data": {"k": "?"}})

        assert refused.code == 400
        assert refused.message.startswith(
            'Secret in version "v1" cannot be handled as a Secret: illegal base64'
        )
        assert "?" not in refused.message


async def test_causes_of_an_update_are_repeated_as_in_kubernetes() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))
        made.body["metadata"]["labels"] = {"k": "a b"}

        refused = await api.put(f"{WIDGETS}/a", made.body)

        assert [field for _, field, _ in refused.causes] == ["metadata.labels"] * 3
        assert refused.message.count("metadata.labels") == 1


async def test_an_update_cannot_change_the_kind() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        refused = await api.put(f"{WIDGETS}/a", {**made.body, "kind": "Other"})

        assert (
            refused.message
            == 'Other.example.com "a" is invalid: kind: Invalid value: "Other": must be Widget'
        )


async def test_a_patch_must_be_valid_and_result_in_an_object() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        merged = await api.merge(f"{WIDGETS}/a", [])
        patched = await api.patch(f"{WIDGETS}/a", {})
        emptied = await api.patch(f"{WIDGETS}/a", [{"op": "replace", "path": "", "value": 1}])

        prefix = "error decoding patch: json: cannot unmarshal"
        assert merged.message == f"{prefix} array into Go value of type map[string]interface {{}}"
        assert patched.message == f"{prefix} object into Go value of type []handlers.jsonPatchOp"
        assert emptied.code == 400


async def test_duplicate_fields_of_a_patch_cause_a_warning_or_an_error() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        warned = await api.merge(f"{WIDGETS}/a", '{"spec":{"size":2,"size":3}}')
        refused = await api.merge(f"{WIDGETS}/a", '{"spec":{"size":2,"size":3}}', fieldValidation="Strict")

        assert warned.warnings == ['299 - "duplicate field \\"spec.size\\""']
        assert refused.code == 422
        assert refused.message.startswith(' "" is invalid: patch: Invalid value: "{')
        assert refused.message.endswith('strict decoding error: duplicate field "spec.size"')


async def test_repeated_owner_references_are_removed() -> None:
    async with serving() as api:
        owner = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}

        made = await api.create(WIDGETS, widget("a", ownerReferences=[owner, owner]))

        assert made.body["metadata"]["ownerReferences"] == [owner]
        assert "duplicate UID(s) observed: u" in made.warnings[0]


async def test_new_finalizers_without_a_domain_cause_one_warning() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a", finalizers=["short", "x.io/long"]))
        kept = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}})
        added = await api.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": ["short", "x.io/long", "tiny"]}})

        assert made.warnings == [
            (
                '299 - "metadata.finalizers: \\"short\\": prefer a domain-qualified finalizer name to avoid '
                'accidental conflicts with other finalizer writers"'
            )
        ]
        assert kept.warnings == []
        assert len(added.warnings) == 1
        assert "tiny" in added.warnings[0]


async def test_a_client_that_expects_100_continue_receives_it() -> None:
    async with serving() as api:
        body = {"metadata": {"name": "c"}, "data": {"k": "v"}}
        async with api.session.post(CONFIG_MAPS, json=body, expect100=True) as response:
            assert response.status == 201

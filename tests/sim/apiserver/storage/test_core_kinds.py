"""Core kinds: their fields, and the field managers."""

from __future__ import annotations

from tests.sim.apiserver.api import CONFIG_MAPS, DEFINITIONS, SECRETS, definition, serving

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def test_an_unknown_field_of_a_core_kind_is_pruned_with_a_warning() -> None:
    async with serving() as api:
        made = await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}, "wrong": 1})

        assert "wrong" not in made.body
        assert made.warnings == ['299 - "unknown field \\"wrong\\""']


async def test_strict_field_validation_rejects_an_unknown_field_of_a_core_kind() -> None:
    async with serving() as api:
        body = {"metadata": {"name": "l"}, "spec": {"holder": "me"}}

        refused = await api.create(LEASES, body, fieldValidation="Strict")

        assert refused.code == 400
        assert refused.message == (
            'Lease in version "v1" cannot be handled as a Lease: strict decoding error: unknown field "spec.holder"'
        )


async def test_an_object_of_another_core_kind_cannot_be_converted() -> None:
    async with serving() as api:
        refused = await api.create(
            CONFIG_MAPS, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "c"}}
        )

        assert refused.code == 400
        assert refused.message == (
            'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): '
            "unknown conversion"
        )


async def test_members_that_every_object_of_a_kind_has_are_owned_by_no_manager() -> None:
    async with serving() as api:
        lease = await api.create(LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
        config_map = await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}})
        defined = await api.create(DEFINITIONS, definition("Thing"))

        owned = [
            made.body["metadata"]["managedFields"][0]["fieldsV1"] for made in (lease, config_map, defined)
        ]
        assert owned[0] == {"f:spec": {"f:holderIdentity": {}}}
        assert owned[1] == {"f:data": {".": {}, "f:k": {}}}
        assert "." not in owned[2]["f:spec"]
        assert "." not in owned[2]["f:spec"]["f:names"]
        assert owned[2]["f:spec"]["f:conversion"] == {".": {}, "f:strategy": {}}, (
            "completed before it is noted"
        )


async def test_an_applied_map_is_owned_by_its_keys() -> None:
    async with serving() as api:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}

        applied = await api.apply(f"{CONFIG_MAPS}/c", body)

        assert applied.body["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {"f:a": {}}}


async def test_a_secret_keeps_its_type_and_string_data_becomes_data() -> None:
    async with serving() as api:
        made = await api.create(SECRETS, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})

        assert (made.body["type"], made.body["data"]) == ("Opaque", {"k": "dg=="})
        assert "stringData" not in made.body


async def test_the_creator_of_a_review_owns_the_fields_of_its_spec() -> None:
    async with serving() as api:
        spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}

        review = await api.create(REVIEWS, {"spec": spec})

        assert review.body["status"] == {"allowed": True}
        assert review.body["metadata"]["managedFields"][0]["fieldsV1"] == {
            "f:spec": {"f:resourceAttributes": {".": {}, "f:resource": {}, "f:verb": {}}}
        }


async def test_a_review_of_two_permissions_or_none_is_rejected_with_the_spec() -> None:
    async with serving() as api:
        both = await api.create(
            REVIEWS, {"spec": {"resourceAttributes": {}, "nonResourceAttributes": {"verb": "get"}}}
        )
        neither = await api.create(REVIEWS, {"spec": {}})

        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        assert both.message == (
            f'.authorization.k8s.io "" is invalid: spec: Invalid value: {{"Path":"","Verb":"get"}}: {text}'
        )
        assert neither.message == f'.authorization.k8s.io "" is invalid: spec: Invalid value: null: {text}'

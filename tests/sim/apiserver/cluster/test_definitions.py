"""CustomResourceDefinitions that are created, changed and deleted while the server runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import DEFINITIONS, STRING, WIDGETS, definition, serving, widget


async def test_a_crd_is_established_and_its_kind_served_immediately() -> None:
    async with serving() as api:
        made = await api.create(DEFINITIONS, definition("Gadget"))
        gadget = {**widget("g"), "kind": "Gadget"}
        served = await api.create(WIDGETS.replace("widgets", "gadgets"), gadget)

        conditions = {entry["type"]: entry["status"] for entry in made.body["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        assert made.body["status"]["acceptedNames"]["listKind"] == "GadgetList"
        assert made.body["status"]["storedVersions"] == ["v1"]
        assert served.code == 201
        listed = await api.get(DEFINITIONS)
        assert [item["metadata"]["name"] for item in listed.body["items"]] == [
            "gadgets.example.com",
            "widgets.example.com",
        ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"metadata": {"name": "other.example.com"}},
            'metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group',
        ),
        (
            {"scope": "Galaxy"},
            'spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"',
        ),
        (
            {"versions": []},
            "spec.versions: Invalid value: []: must have exactly one version marked as storage version",
        ),
        ({"schema": None}, "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"),
    ],
)
async def test_an_invalid_crd_is_rejected(change: dict[str, Any], message: str) -> None:
    async with serving() as api:
        crd = definition("Gadget")
        if "metadata" in change:
            crd["metadata"] = change["metadata"]
        elif "schema" in change:
            del crd["spec"]["versions"][0]["schema"]
        else:
            crd["spec"] |= change

        refused = await api.create(DEFINITIONS, crd)

        assert refused.code == 422
        assert message in refused.message
        assert refused.message.startswith("CustomResourceDefinition.apiextensions.k8s.io ")


async def test_two_versions_of_a_kind_serve_the_same_objects() -> None:
    crd = definition()
    old = crd["spec"]["versions"][0]
    new = {**old, "name": "v2", "storage": False}
    new["schema"] = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "properties": {"label": {**STRING, "default": "none"}}}
            },
        }
    }
    crd["spec"]["versions"] = [old, new]
    async with serving(crd) as api:
        await api.create(WIDGETS, widget("a"))

        async with api.watch(WIDGETS.replace("v1", "v2")) as stream:
            _, shown = await stream.next()
        group = (await api.get("/apis/example.com")).body

        assert (shown["apiVersion"], shown["spec"]) == ("example.com/v2", {"label": "none"})
        assert (await api.get(f"{WIDGETS}/a")).body["spec"]["size"] == 1
        assert [entry["version"] for entry in group["versions"]] == ["v2", "v1"]


async def test_a_version_that_is_no_longer_served_is_not_found() -> None:
    async with serving() as api:
        crd = (await api.get(f"{DEFINITIONS}/widgets.example.com")).body
        renamed = {**crd["spec"]["versions"][0], "name": "v2"}
        retired = {**crd["spec"]["versions"][0], "served": False, "storage": False}
        crd["spec"]["versions"] = [retired, renamed]

        await api.put(f"{DEFINITIONS}/widgets.example.com", crd)

        assert (await api.get(WIDGETS)).body == "404 page not found\n"
        assert (await api.get(WIDGETS.replace("v1", "v2"))).code == 200


async def test_the_scope_of_a_crd_is_immutable() -> None:
    async with serving() as api:
        refused = await api.merge(f"{DEFINITIONS}/widgets.example.com", {"spec": {"scope": "Cluster"}})

        assert refused.message.endswith('spec.scope: Invalid value: "Cluster": field is immutable')


async def test_the_name_of_a_crd_is_not_validated_again_when_its_group_is_changed() -> None:
    async with serving() as api:
        refused = await api.merge(f"{DEFINITIONS}/widgets.example.com", {"spec": {"group": "other.com"}})

        assert refused.causes == [
            ("FieldValueInvalid", "spec.group", 'Invalid value: "other.com": field is immutable')
        ]


async def test_deleting_a_crd_does_not_increase_its_generation() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", finalizers=["x.io/hold"]))

        marked = await api.delete(f"{DEFINITIONS}/widgets.example.com")

        assert marked.body["metadata"]["generation"] == 1


async def test_no_object_is_created_of_a_kind_whose_crd_is_terminating() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", finalizers=["x.io/hold"]))
        await api.delete(f"{DEFINITIONS}/widgets.example.com")
        await api.server.settled()

        refused = await api.create(WIDGETS, widget("b"))
        await api.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": None}})
        await api.server.settled()

        assert refused.code == 403
        assert refused.message == (
            'widgets.example.com "b" is forbidden: create not allowed while custom resource definition is terminating'
        )
        assert (await api.get(f"{DEFINITIONS}/widgets.example.com")).code == 404


async def test_other_finalizers_keep_a_crd_after_its_objects_were_deleted() -> None:
    async with serving() as api:
        path = f"{DEFINITIONS}/widgets.example.com"
        await api.merge(path, {"metadata": {"finalizers": ["x.io/hold"]}})
        await api.create(WIDGETS, widget("a"))

        await api.delete(path)
        await api.server.settled()

        assert (await api.get(WIDGETS)).body["items"] == []
        assert (await api.get(path)).body["metadata"]["finalizers"] == ["x.io/hold"]
        await api.merge(path, {"metadata": {"finalizers": None}})
        assert (await api.get(path)).code == 404

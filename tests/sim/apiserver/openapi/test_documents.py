"""OpenAPI documents: paths and schemas of the served kinds, for kubectl's explain, validation and patches.

tests/apiserver/test_openapi.py compares the documents with a real server's.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dpf_async.sim.apiserver.openapi.v2_protobuf import encode_document
from tests.sim.apiserver.api import API, DEFINITIONS, GROUP, definition, serving

DOCUMENT = f"/openapi/v3/apis/{GROUP}/v1"
NAME = "com.example.v1.Widget"


async def index(api: API) -> dict[str, str]:
    reply = await api.get("/openapi/v3")
    assert reply.code == 200
    paths = json.loads(reply.body)["paths"]  # of type text/plain, as kube-apiserver sends it
    return {name: item["serverRelativeURL"] for name, item in paths.items()}


async def document(api: API, path: str = DOCUMENT) -> dict[str, Any]:
    reply = await api.get(path)
    assert reply.code == 200
    found: dict[str, Any] = reply.body
    return found


async def test_the_index_has_the_url_of_the_document_of_every_group_version() -> None:
    async with serving() as api:
        found = await index(api)
        documents = {name: await document(api, url) for name, url in found.items()}

    assert {"api/v1", "apis/apiextensions.k8s.io/v1", f"apis/{GROUP}/v1"} <= found.keys()
    assert all(re.fullmatch(rf"/openapi/v3/{name}\?hash=[0-9A-F]{{128}}", url) for name, url in found.items())
    assert all(each["paths"] for each in documents.values())


async def test_every_reference_in_a_document_resolves() -> None:
    async with serving() as api:
        for url in (await index(api)).values():
            found = await document(api, url)

            referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found)))
            assert referred - found["components"]["schemas"].keys() == set()


async def test_the_schema_of_a_kind_has_the_schema_of_its_crd_and_the_shared_fields() -> None:
    async with serving() as api:
        schemas = (await document(api))["components"]["schemas"]

    widget = schemas[NAME]
    assert widget["x-kubernetes-group-version-kind"] == [{"group": GROUP, "kind": "Widget", "version": "v1"}]
    assert widget["properties"]["spec"]["properties"]["size"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
    }
    assert widget["properties"]["apiVersion"]["description"].startswith("APIVersion defines")
    assert widget["properties"]["metadata"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    ]
    assert schemas[f"{NAME}List"]["required"] == ["items"]


async def test_x_kubernetes_extensions_of_a_crd_are_expanded() -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "nullable": False,
                "properties": {
                    "port": {"x-kubernetes-int-or-string": True},
                    "bounded": {"x-kubernetes-int-or-string": True, "anyOf": [{"minimum": 1}]},
                    "spelled": {
                        "x-kubernetes-int-or-string": True,
                        "anyOf": [{"type": "integer"}, {"type": "string"}],
                    },
                    "template": {"type": "object", "x-kubernetes-embedded-resource": True, "required": []},
                },
            }
        },
    }
    async with serving(definition(schema=schema)) as api:
        spec = (await document(api))["components"]["schemas"][NAME]["properties"]["spec"]

    either = [{"type": "integer"}, {"type": "string"}]
    properties = spec["properties"]
    assert "nullable" not in spec
    assert properties["port"]["anyOf"] == either
    assert properties["bounded"]["allOf"] == [{"anyOf": either}]
    assert properties["spelled"]["anyOf"] == either
    assert "allOf" not in properties["spelled"]
    assert properties["template"]["required"] == ["kind", "apiVersion"]
    assert {*properties["template"]["properties"]} == {"apiVersion", "kind", "metadata"}


async def test_paths_have_an_operation_per_verb() -> None:
    async with serving() as api:
        paths = (await document(api))["paths"]
        reviews = (await document(api, "/openapi/v3/apis/authorization.k8s.io/v1"))["paths"]

    item = paths[f"/apis/{GROUP}/v1/namespaces/{{namespace}}/widgets/{{name}}"]
    actions = {method: item[method]["x-kubernetes-action"] for method in ("get", "put", "patch", "delete")}
    assert actions == {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}
    assert [each["name"] for each in item["parameters"]] == ["name", "namespace", "pretty"]
    # kubectl uses these two to detect server-side validation and dry run.
    assert {"dryRun", "fieldValidation"} <= {each["name"] for each in item["patch"]["parameters"]}
    assert "application/strategic-merge-patch+json" not in item["patch"]["requestBody"]["content"]
    assert f"/apis/{GROUP}/v1/widgets" in paths
    ((path, review),) = reviews.items()
    assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert {*review} == {"post", "parameters"}


async def test_a_document_can_be_cached_by_its_hash() -> None:
    async with serving() as api:
        url = (await index(api))[f"apis/{GROUP}/v1"]
        reply = await api.get(url)
        again = await api.call("GET", url, headers={"If-None-Match": reply.headers["Etag"]})
        unhashed = await api.get(DOCUMENT)

    assert reply.headers["Cache-Control"] == "public, immutable"
    assert reply.headers["Etag"] == f'"{url.rpartition("=")[2]}"'
    assert (again.code, again.body) == (304, "")
    assert unhashed.headers["Cache-Control"] == "no-cache, private"
    assert unhashed.headers["Etag"] == reply.headers["Etag"]


async def test_an_outdated_hash_is_redirected_to_the_current_document() -> None:
    versions = definition()["spec"]["versions"]
    changed = {**versions[0], "schema": {"openAPIV3Schema": {"type": "object", "description": "changed"}}}
    async with serving() as api:
        before = (await index(api))[f"apis/{GROUP}/v1"]
        await api.merge(f"{DEFINITIONS}/widgets.{GROUP}", {"spec": {"versions": [changed]}})
        async with api.session.get(before, allow_redirects=False) as reply:
            location = reply.headers["Location"]
        after = (await index(api))[f"apis/{GROUP}/v1"]
        found = await document(api, after)

    assert reply.status == 301
    assert location == after != before
    assert found["components"]["schemas"][NAME]["description"] == "changed"


async def test_a_deleted_crd_is_no_longer_published() -> None:
    async with serving() as api:
        await index(api)
        await api.delete(f"{DEFINITIONS}/widgets.{GROUP}")
        await api.server.settled()
        found = await index(api)
        reply = await api.get(DOCUMENT)

    assert f"apis/{GROUP}/v1" not in found
    assert reply.code == 404


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/com.github.proto-openapi.spec.v3@v1.0+protobuf,application/json", 200),
        ("application/com.github.proto-openapi.spec.v3@v1.0+protobuf", 406),
        ("application/yaml", 406),
    ],
)
async def test_documents_are_json(accept: str, code: int) -> None:
    async with serving() as api:
        reply = await api.call("GET", DOCUMENT, headers={"Accept": accept})

    assert reply.code == code
    assert reply.headers["Vary"] == "Accept"


async def test_v2_converts_the_schemas_to_one_document() -> None:
    optional = {"type": "object", "nullable": True, "properties": {"a": {"type": "string"}}}
    spec = {
        "type": "object",
        "required": ["size", "optional"],
        "properties": {
            "size": {"type": "integer", "minimum": 0, "default": 3, "not": {"enum": [7]}},
            "optional": optional,
            "free": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"type": "string"}},
            },
            "port": {"x-kubernetes-int-or-string": True},
        },
    }
    async with serving(definition(schema={"type": "object", "properties": {"spec": spec}})) as api:
        reply = await api.get("/openapi/v2")

    assert reply.body["swagger"] == "2.0"
    shown = reply.body["definitions"][NAME]["properties"]
    assert shown["metadata"]["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    assert shown["spec"]["required"] == ["size"]
    assert shown["spec"]["properties"] == {
        "size": {"type": "integer", "minimum": 0},
        "optional": {},
        "free": {"x-kubernetes-preserve-unknown-fields": True},
        "port": {"x-kubernetes-int-or-string": True},
    }
    item = reply.body["paths"][f"/apis/{GROUP}/v1/namespaces/{{namespace}}/widgets/{{name}}"]
    by_place = {each["name"]: each["in"] for each in item["patch"]["parameters"]}
    assert by_place == {"body": "body"} | dict.fromkeys(
        ["dryRun", "fieldManager", "fieldValidation", "force"], "query"
    )
    assert "application/merge-patch+json" in item["patch"]["consumes"]


async def test_a_crd_that_preserves_unknown_fields_has_no_properties_in_v2() -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    async with serving(definition(schema=schema)) as api:
        reply = await api.get("/openapi/v2")

    assert reply.body["definitions"][NAME].keys() == {"type", "x-kubernetes-group-version-kind"}


@pytest.mark.parametrize("dot", ["@", "."])
async def test_v2_is_protobuf_if_the_client_requests_it(dot: str) -> None:
    accept = f"application/com.github.proto-openapi.spec.v2{dot}v1.0+protobuf"
    async with serving() as api, api.session.get("/openapi/v2", headers={"Accept": accept}) as reply:
        content = await reply.read()

    assert reply.headers["Content-Type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert content.startswith(b"\x0a\x032.0")


def test_a_v2_document_is_encoded_as_its_protobuf_message() -> None:
    schema = {"type": "integer", "minimum": 1.5, "minLength": 300, "x-kubernetes-list-type": "set"}
    document = {
        "swagger": "2.0",
        "paths": {},
        "definitions": {"W": {"properties": {"a": schema}, "additionalProperties": True}},
    }

    # Encoded manually: field number << 3 | wire type, length, content; see OpenAPIv2.proto.
    extension = b"\x0a\x16x-kubernetes-list-type" + b"\x12\x07" + b'\x12\x05"set"'
    field = (
        b"\xb2\x01\x09\x0a\x07integer"
        b"\x49\x00\x00\x00\x00\x00\x00\xf8\x3f"
        b"\x60\xac\x02"
        b"\xfa\x01" + bytes([len(extension)]) + extension
    )
    named = b"\x0a\x01a\x12" + bytes([len(field)]) + field
    properties = b"\x0a" + bytes([len(named)]) + named
    whole = b"\xca\x01" + bytes([len(properties)]) + properties + b"\xaa\x01\x02\x10\x01"
    definition_ = b"\x0a\x01W\x12" + bytes([len(whole)]) + whole
    definitions = b"\x0a" + bytes([len(definition_)]) + definition_
    expected = b"\x0a\x032.0" + b"\x42\x00" + b"\x4a" + bytes([len(definitions)]) + definitions
    assert encode_document(document) == expected

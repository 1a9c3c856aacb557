"""Discovery, health and the version of the server."""

from __future__ import annotations

import pytest

from tests.sim.apiserver.api import serving

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def test_discovery_lists_groups_versions_and_resources() -> None:
    async with serving() as api:
        versions = (await api.get("/api")).body
        groups = (await api.get("/apis")).body
        group = (await api.get("/apis/example.com")).body
        resources = (await api.get("/apis/example.com/v1")).body

        assert versions["versions"] == ["v1"]
        names = [entry["name"] for entry in groups["groups"]]
        assert names == [
            "apiextensions.k8s.io",
            "authorization.k8s.io",
            "coordination.k8s.io",
            "example.com",
        ]
        version = {"groupVersion": "example.com/v1", "version": "v1"}
        assert group == {
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": "example.com",
            "versions": [version],
            "preferredVersion": version,
        }
        assert resources["groupVersion"] == "example.com/v1"
        assert resources["resources"] == [
            {
                "name": "widgets",
                "singularName": "widget",
                "namespaced": True,
                "kind": "Widget",
                "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
                "shortNames": ["wi"],
            },
            {
                "name": "widgets/status",
                "singularName": "",
                "namespaced": True,
                "kind": "Widget",
                "verbs": ["get", "patch", "update"],
            },
        ]
        core = (await api.get("/api/v1")).body["resources"]
        assert {"secrets", "configmaps", "namespaces", "nodes", "events"} <= {entry["name"] for entry in core}


async def test_aggregated_discovery_lists_every_resource_in_one_document() -> None:
    async with serving() as api:
        async with api.session.get("/apis", headers={"Accept": AGGREGATED}) as response:
            body = await response.json(content_type=None)

        assert "as=APIGroupDiscoveryList" in response.headers["Content-Type"]
        found = {item["metadata"]["name"]: item for item in body["items"]}["example.com"]
        (resource,) = found["versions"][0]["resources"]
        assert resource["resource"] == "widgets"
        assert resource["scope"] == "Namespaced"
        assert resource["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Widget"}
        assert [sub["subresource"] for sub in resource["subresources"]] == ["status"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_the_server_is_healthy(path: str) -> None:
    async with serving() as api:
        assert (await api.get(path)).body == "ok"


async def test_the_reported_version_is_the_configured_one() -> None:
    async with serving(minor=36) as api:
        assert (await api.get("/version")).body["gitVersion"] == "v1.36.0"

"""The embedded server publishes the same OpenAPI documents as a real one with the same CRDs."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest

from dpf_async import crds
from dpf_async.sim.apiserver import EmbeddedServer
from tests.apiserver.admin import Admin
from tests.apiserver.cluster import RealCluster
from tests.apiserver.published import CORE, collected, document
from tests.conformance.kinds import definitions

both_crd_sets = pytest.mark.parametrize("cluster", ["generated", "upstream"], indirect=True)


async def documents_of(server: EmbeddedServer) -> dict[str, Any]:
    """Every document in the index of an embedded server."""
    found = {}
    async with aiohttp.ClientSession(server.url) as session:
        async with session.get("/openapi/v3") as answer:
            index = msgspec.json.decode(await answer.read())["paths"]
        for name, item in index.items():
            async with session.get(item["serverRelativeURL"]) as answer:
                found[name] = await answer.json()
    return found


@both_crd_sets
async def test_the_documents_of_the_dpf_kinds_equal_those_of_a_real_server(cluster: Admin) -> None:
    manifests = [
        {"metadata": {"name": crd["metadata"]["name"]}, "spec": crd["spec"]}
        for crd in await cluster.crds()
        if crd["spec"]["group"].endswith(".dpu.nvidia.com")
    ]
    async with EmbeddedServer(crds=manifests) as server:
        ours = await documents_of(server)

    names = {f"apis/{crd['spec']['group']}/v1alpha1" for crd in manifests}
    theirs = {name: await document(cluster, name) for name in names}

    assert {name: ours[name] for name in names} == theirs


async def test_the_documents_of_the_conformance_kinds_equal_those_of_a_real_server(cluster: Admin) -> None:
    await cluster.install_crds(definitions())
    async with EmbeddedServer(crds=definitions()) as server:
        ours = await documents_of(server)

    for version in "v1", "v1beta1":
        name = f"apis/conformance.example.com/{version}"
        assert ours[name] == await document(cluster, name)


async def test_the_schemas_of_core_kinds_equal_those_of_a_real_server(cluster: Admin) -> None:
    async with EmbeddedServer(crds=()) as server:
        ours = await documents_of(server)

    for name, kinds in CORE.items():
        theirs = (await document(cluster, name))["components"]["schemas"]
        shown = ours[name]["components"]["schemas"]
        assert {kind for kind in kinds if any(each.endswith(f".{kind}") for each in shown)} == {*kinds}
        assert [each for each in shown if each in theirs and not each.endswith("DeleteOptions")] != []
        for each in shown.keys() & theirs.keys():
            if not each.endswith(".DeleteOptions"):  # documents differ in the groups that they name
                assert shown[each] == theirs[each]


@pytest.mark.parametrize("cluster", ["generated"], indirect=True)
async def test_the_definitions_of_v2_equal_those_of_a_real_server(cluster: Admin) -> None:
    manifests = [*definitions(), *json.loads(json.dumps(crds.manifests()))]
    await cluster.install_crds(manifests)
    async with (
        EmbeddedServer(crds=manifests) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/openapi/v2") as answer,
    ):
        ours = (await answer.json())["definitions"]
    custom = {name for name in ours if name.startswith(("com.example.", "com.nvidia."))}
    theirs: dict[str, Any] = {}

    with anyio.fail_after(120):
        # The server builds the document at intervals, without an event.
        while not custom <= theirs.keys():
            theirs = (await cluster.ask("GET", "/openapi/v2"))["definitions"]

    assert custom
    for name in ours.keys() - {"io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"}:
        assert ours[name] == theirs[name]


async def test_the_file_of_shared_schemas_is_up_to_date(own_cluster: RealCluster) -> None:
    await own_cluster.install_crds(definitions())
    text = files("dpf_async.sim.apiserver.openapi").joinpath("openapi_kubernetes.json").read_bytes()

    found = await collected(own_cluster)

    assert msgspec.json.decode(text) == found, "run python -m tests.apiserver.published"

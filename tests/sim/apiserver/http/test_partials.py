"""Objects, lists and watches as PartialObjectMetadata."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import CONFIG_MAPS, WIDGETS, Stream, serving, widget


def accept(kind: str, version: str = "v1") -> dict[str, str]:
    return {"Accept": f"application/json;as={kind};v={version};g=meta.k8s.io"}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_an_object_can_be_read_as_partial_metadata(version: str) -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a", labels={"k": "v"}))

        partial = await api.call("GET", f"{WIDGETS}/a", headers=accept("PartialObjectMetadata", version))

        assert partial.body == {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": made.body["metadata"],
        }


async def test_a_list_can_be_read_as_partial_metadata_in_pages() -> None:
    async with serving() as api:
        for name in "abc":
            await api.create(WIDGETS, widget(name))

        first = await api.call("GET", WIDGETS, headers=accept("PartialObjectMetadataList"), limit=2)
        rest = await api.call(
            "GET",
            WIDGETS,
            headers=accept("PartialObjectMetadataList"),
            **{"continue": first.body["metadata"]["continue"]},
        )

        assert first.body["kind"] == "PartialObjectMetadataList"
        assert [set(item) for item in first.body["items"]] == [{"kind", "apiVersion", "metadata"}] * 2
        assert [item["metadata"]["name"] for item in rest.body["items"]] == ["c"]
        assert "continue" not in rest.body["metadata"]


async def test_a_watch_can_send_partial_metadata() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        async with api.session.get(
            WIDGETS, params={"watch": "true"}, headers=accept("PartialObjectMetadata")
        ) as response:
            kind, obj = await Stream(response).next()

        assert (kind, obj["kind"], obj["metadata"]["name"]) == ("ADDED", "PartialObjectMetadata", "a")
        assert "spec" not in obj


@pytest.mark.parametrize(
    ("path", "kind", "code", "message"),
    [
        (
            WIDGETS,
            "PartialObjectMetadata",
            406,
            "you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)",
        ),
        (f"{WIDGETS}/a", "PartialObjectMetadataList", 500, "content is not a list"),
        (
            f"{CONFIG_MAPS}/a",
            "PartialObjectMetadataList",
            406,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
    ],
)
async def test_an_object_cannot_be_read_as_a_partial_list_nor_a_list_as_a_partial_object(
    path: str, kind: str, code: int, message: str
) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        await api.create(CONFIG_MAPS, {"metadata": {"name": "a"}})

        refused = await api.call("GET", path, headers=accept(kind))

        assert (refused.code, refused.message) == (code, message)


@pytest.mark.parametrize(
    ("clauses", "kind"),
    [
        ("application/json;as=Nonsense;v=v1;g=meta.k8s.io,application/json", "Widget"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,*/*", "Widget"),
        ("text/html,application/json;as=Table;v=v1;g=meta.k8s.io", "Table"),
        ("application/yaml;q=0.5,application/json", None),
    ],
)
async def test_the_first_supported_clause_of_the_accept_header_is_used(
    clauses: str, kind: str | None
) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        reply = await api.call("GET", f"{WIDGETS}/a", headers={"Accept": clauses})

        shown: Any = reply.body
        assert (shown["kind"] if isinstance(shown, dict) else None) == kind


async def test_a_request_without_a_supported_clause_is_not_acceptable() -> None:
    async with serving() as api:
        refused = await api.call("GET", WIDGETS, headers=accept("Table", "v9"))

        assert refused.code == 406

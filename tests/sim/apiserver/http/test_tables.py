"""Objects as rows of a Table, as kubectl requests them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dpf_async.sim.apiserver.http.representations import negotiate
from dpf_async.sim.apiserver.http.tables import human_duration
from tests.sim.apiserver.api import API, CONFIG_MAPS, SECRETS, WIDGETS, Stream, definition, serving, widget

ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
COLUMNS: list[dict[str, Any]] = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "how large"},
    {"name": "First", "type": "string", "jsonPath": ".spec.parts[?(@.name=='b')].note"},
    {"name": "Parts", "type": "string", "jsonPath": ".spec.parts", "priority": 1},
    {"name": "Wrong", "type": "boolean", "jsonPath": ".spec.size"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def table(api: API, path: str, **query: Any) -> dict[str, Any]:
    reply = await api.call("GET", path, headers={"Accept": ACCEPT}, **query)
    assert reply.code == 200
    assert reply.body["kind"] == "Table"
    assert reply.body["apiVersion"] == "meta.k8s.io/v1"
    document: dict[str, Any] = reply.body
    return document


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (ACCEPT, True),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", True),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", True),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", False),
        ("application/json", False),
        ("application/json,application/json;as=Table;v=v1;g=meta.k8s.io", False),
        ("", False),
    ],
)
def test_the_first_supported_media_type_is_used(accept: str, wanted: bool) -> None:
    assert (negotiate(accept).kind == "Table") is wanted


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (7 * 3600 + 300, "7h5m"),
        (8 * 3600 + 300, "8h"),
        (2 * 86400, "2d"),
        (5 * 86400 + 3 * 3600, "5d3h"),
        (9 * 86400 + 3 * 3600, "9d"),
        (800 * 86400, "2y70d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_an_age_has_at_most_two_units(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


async def test_a_list_becomes_rows_with_the_columns_of_its_crd() -> None:
    clock = Clock()
    async with serving(definition(additionalPrinterColumns=COLUMNS), clock=clock) as api:
        spec = {"size": 7, "parts": [{"name": "a"}, {"name": "b", "note": "n"}]}
        await api.create(WIDGETS, widget("a", spec))
        clock.now = clock.now.replace(minute=3, second=5)
        await api.create(WIDGETS, widget("b", {}))

        found = await table(api, WIDGETS)

        assert [column["name"] for column in found["columnDefinitions"]] == [
            "Name",
            "Size",
            "First",
            "Parts",
            "Wrong",
            "Age",
        ]
        assert found["columnDefinitions"][1] == {
            "name": "Size",
            "type": "integer",
            "format": "",
            "description": "how large",
            "priority": 0,
        }
        assert found["columnDefinitions"][3]["priority"] == 1
        assert [row["cells"] for row in found["rows"]] == [
            ["a", 7, "n", '[{"name":"a"},{"name":"b","note":"n"}]', None, "3m5s"],
            ["b", None, None, None, None, "0s"],
        ]
        assert found["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        assert "spec" not in found["rows"][0]["object"]
        assert found["metadata"]["resourceVersion"] == str(api.server.resource_version)


async def test_a_kind_without_printer_columns_has_name_and_age() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        found = [await table(api, f"{WIDGETS}/a"), await table(api, "/api/v1/namespaces/default")]

        names = [[column["name"] for column in one["columnDefinitions"]] for one in found]
        assert names == [["Name", "Age"], ["Name", "Status", "Age"]]
        assert [one["rows"][0]["cells"][:-1] for one in found] == [["a"], ["default", "Active"]]


async def test_core_kinds_have_the_columns_of_kubernetes() -> None:
    async with serving() as api:
        await api.create(
            CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": "eA=="}}
        )
        await api.create(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "1"}})

        config_map, secret = await table(api, f"{CONFIG_MAPS}/c"), await table(api, f"{SECRETS}/s")

        assert [column["name"] for column in config_map["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert config_map["rows"][0]["cells"][:2] == ["c", 2]
        assert [column["name"] for column in secret["columnDefinitions"]] == ["Name", "Type", "Data", "Age"]
        assert secret["rows"][0]["cells"][:3] == ["s", "Opaque", 1]


async def test_tables_honor_limit_and_include_object() -> None:
    async with serving() as api:
        for name in "abc":
            await api.create(WIDGETS, widget(name))

        first = await table(api, WIDGETS, limit=2, includeObject="Object")
        rest = await table(api, WIDGETS, **{"continue": first["metadata"]["continue"]}, includeObject="None")
        core = await table(api, CONFIG_MAPS, includeObject="Object")
        refused = await api.call("GET", WIDGETS, headers={"Accept": ACCEPT}, includeObject="Half")

        assert [row["object"]["spec"] for row in first["rows"]] == [{"size": 1, "colour": "red"}] * 2
        assert first["metadata"]["remainingItemCount"] == 1
        assert [row["cells"][0] for row in rest["rows"]] == ["c"]
        assert rest["rows"][0]["object"] is None
        assert "continue" not in rest["metadata"]
        assert core["rows"] == []
        assert (refused.code, refused.body["reason"]) == (400, "BadRequest")


async def test_a_watch_sends_a_row_per_event_and_the_columns_once() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        async with (
            api.session.get(WIDGETS, params={"watch": "true"}, headers={"Accept": ACCEPT}) as response,
            api.watch(WIDGETS) as plain,
        ):
            stream = Stream(response)
            first = await stream.next()
            changed = await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}})
            second = await stream.next()
            objects = [await plain.next() for _ in range(2)]

        assert [kind for kind, _ in (first, second)] == ["ADDED", "MODIFIED"]
        assert [obj["kind"] for _, obj in (first, second)] == ["Table", "Table"]
        assert len(first[1]["columnDefinitions"]) == 2
        assert second[1]["columnDefinitions"] is None
        assert second[1]["metadata"]["resourceVersion"] == changed.version
        assert [obj["kind"] for _, obj in objects] == ["Widget", "Widget"], (
            "other watches receive complete objects"
        )


async def test_a_write_is_answered_with_a_row_too() -> None:
    async with serving() as api:
        created = await api.call("POST", WIDGETS, widget("a"), headers={"Accept": ACCEPT})

        assert created.code == 201
        assert created.body["rows"][0]["cells"][0] == "a"

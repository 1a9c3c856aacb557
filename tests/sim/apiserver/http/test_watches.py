"""Watches: their start, their events and their end."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.sim.apiserver.api import (
    ALL_WIDGETS,
    API,
    DEFINITIONS,
    WIDGETS,
    definition,
    serving,
    widget,
)


async def change(api: API, name: str, size: int) -> str:
    return (await api.merge(f"{WIDGETS}/{name}", {"spec": {"size": size}})).version


async def test_a_watch_from_a_version_sends_every_change_after_it_in_order() -> None:
    async with serving() as api:
        start = (await api.create(WIDGETS, widget("a"))).version
        versions = [await change(api, "a", 2)]

        async with api.watch(WIDGETS, resourceVersion=start) as stream:
            versions.append((await api.create(WIDGETS, widget("b"))).version)
            await api.delete(f"{WIDGETS}/a")
            versions.append(str(api.server.resource_version))
            events = [await stream.next() for _ in range(3)]

        assert [kind for kind, _ in events] == ["MODIFIED", "ADDED", "DELETED"]
        assert [obj["metadata"]["resourceVersion"] for _, obj in events] == versions
        assert events[2][1]["spec"]["size"] == 2


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
async def test_a_watch_without_a_version_begins_with_the_current_objects(query: dict[str, str]) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("b"))
        await api.create(WIDGETS, widget("a"))

        async with api.watch(WIDGETS, **query) as stream:
            there = await stream.names(2)
            await change(api, "b", 2)
            then = await stream.names(1)

        assert there == [("ADDED", "a"), ("ADDED", "b")]
        assert then == [("MODIFIED", "b")]


async def test_an_expired_version_gets_one_error_event_and_a_clean_end() -> None:
    async with serving() as api:
        start = (await api.create(WIDGETS, widget("a"))).version
        await change(api, "a", 2)
        api.server.compact()

        async with api.watch(WIDGETS, resourceVersion=start) as stream:
            events = await stream.rest()

        assert events == [
            (
                "ERROR",
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Failure",
                    "message": f"too old resource version: {start} ({api.server.resource_version})",
                    "reason": "Expired",
                    "code": 410,
                },
            )
        ]


async def test_versions_outside_the_history_are_expired() -> None:
    async with serving(history=10) as api:
        start = (await api.create(WIDGETS, widget("a"))).version
        for size in range(2, 90):
            await change(api, "a", size)
        recent = api.server.resource_version - 5

        async with api.watch(WIDGETS, resourceVersion=start) as stream:
            assert (await stream.next())[1]["code"] == 410
        async with api.watch(WIDGETS, resourceVersion=recent) as stream:
            assert [kind for kind, _ in await stream.names(5)] == ["MODIFIED"] * 5


async def test_a_watch_from_a_future_version_sends_nothing_until_it_is_reached() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        future = api.server.resource_version + 2

        async with api.watch(WIDGETS, resourceVersion=future) as stream:
            versions = [await change(api, "a", size) for size in (2, 3, 4)]
            _, obj = await stream.next()

        assert obj["metadata"]["resourceVersion"] == versions[2]


async def test_running_watches_continue_after_a_compaction() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        async with api.watch(WIDGETS, resourceVersion=api.server.resource_version) as stream:
            api.server.compact()
            await change(api, "a", 2)

            assert await stream.names(1) == [("MODIFIED", "a")]


async def test_a_streaming_list_ends_with_its_bookmark() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        version = api.server.resource_version

        async with api.watch(
            WIDGETS, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true"
        ) as stream:
            added = await stream.names(1)
            bookmark = await stream.next()
            await change(api, "a", 2)
            then = await stream.names(1)

        assert added == [("ADDED", "a")]
        assert bookmark == (
            "BOOKMARK",
            {
                "apiVersion": "example.com/v1",
                "kind": "Widget",
                "metadata": {
                    "annotations": {"k8s.io/initial-events-end": "true"},
                    "resourceVersion": str(version),
                },
            },
        )
        assert then == [("MODIFIED", "a")]


async def test_no_initial_events_are_sent_if_the_client_declines_them() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        async with api.watch(
            WIDGETS, sendInitialEvents="false", resourceVersionMatch="NotOlderThan"
        ) as stream:
            await api.create(WIDGETS, widget("b"))

            assert await stream.names(1) == [("ADDED", "b")]


async def test_an_idle_watch_receives_bookmarks_if_it_allows_them() -> None:
    async with serving(bookmark_interval=0.01) as api:
        await api.create(WIDGETS, widget("a"))
        version = api.server.resource_version

        async with api.watch(WIDGETS, resourceVersion=version, allowWatchBookmarks="true") as stream:
            first, second = await stream.next(), await stream.next()
            async with api.watch(WIDGETS, resourceVersion=version) as other:
                for _ in range(5):
                    await stream.next()
                await change(api, "a", 2)
                received = await other.names(1)

        assert first == second
        assert first[0] == "BOOKMARK"
        assert first[1]["metadata"] == {"resourceVersion": str(version)}
        assert received == [("MODIFIED", "a")]


async def test_a_bookmark_has_the_global_resource_version() -> None:
    async with serving(bookmark_interval=0.01) as api:
        await api.create(WIDGETS, widget("a"))

        async with api.watch(
            WIDGETS, resourceVersion=api.server.resource_version, allowWatchBookmarks="true"
        ) as stream:
            await api.create("/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
            now = str(api.server.resource_version)
            with anyio.fail_after(60):
                while (await stream.next())[1]["metadata"]["resourceVersion"] != now:
                    pass


async def test_a_watch_of_one_namespace_receives_no_events_of_others() -> None:
    async with serving(namespaces=("default", "other")) as api:
        version = api.server.resource_version
        async with (
            api.watch(WIDGETS, resourceVersion=version) as one,
            api.watch(ALL_WIDGETS, resourceVersion=version) as every,
        ):
            await api.create(WIDGETS.replace("default", "other"), widget("there"))
            await api.create(WIDGETS, widget("here"))

            assert await one.names(1) == [("ADDED", "here")]
            assert await every.names(2) == [("ADDED", "there"), ("ADDED", "here")]


async def test_an_object_that_stops_matching_is_sent_as_deleted_with_its_old_labels() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", labels={"k": "in"}))

        async with api.watch(
            WIDGETS, resourceVersion=api.server.resource_version, labelSelector="k=in"
        ) as stream:
            out = await api.merge(f"{WIDGETS}/a", {"metadata": {"labels": {"k": "out"}}})
            await change(api, "a", 5)
            back = await api.merge(f"{WIDGETS}/a", {"metadata": {"labels": {"k": "in"}}})
            await change(api, "a", 6)
            await api.delete(f"{WIDGETS}/a")
            events = [await stream.next() for _ in range(4)]

        assert [kind for kind, _ in events] == ["DELETED", "ADDED", "MODIFIED", "DELETED"]
        assert events[0][1]["metadata"]["labels"] == {"k": "in"}
        assert events[0][1]["metadata"]["resourceVersion"] == out.version
        assert events[1][1]["metadata"]["resourceVersion"] == back.version


async def test_a_watch_by_name_receives_no_events_of_other_objects() -> None:
    async with (
        serving() as api,
        api.watch(
            WIDGETS, resourceVersion=api.server.resource_version, fieldSelector="metadata.name=b"
        ) as stream,
    ):
        await api.create(WIDGETS, widget("a"))
        await api.create(WIDGETS, widget("b"))

        assert await stream.names(1) == [("ADDED", "b")]


async def test_a_watch_ends_cleanly_at_its_timeout() -> None:
    async with serving() as api, api.watch(WIDGETS, timeoutSeconds=1) as stream:
        assert await stream.rest() == []


async def test_every_event_is_one_line_in_a_chunk_of_its_own() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", annotations={"k": "line\nbreak\u0085\u2028"}))
        await api.create(WIDGETS, widget("b"))
        await api.create(WIDGETS, widget("c"))

        async with api.session.get(WIDGETS, params={"watch": "1"}) as response:
            await api.server.settled()
            api.server.faults.drop_watches()
            chunks = []
            pieces = b""
            async for data, ends_chunk in response.content.iter_chunks():
                pieces += data
                if ends_chunk:
                    chunks.append(pieces)
                    pieces = b""

        assert [json.loads(chunk)["object"]["metadata"]["name"] for chunk in chunks if chunk] == [
            "a",
            "b",
            "c",
        ]
        assert all(chunk.count(b"\n") == 1 and chunk.endswith(b"}\n") for chunk in chunks if chunk)
        assert "\u0085".encode() in chunks[0]


async def test_watchers_share_the_encoding_of_an_event() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        version = api.server.resource_version
        async with (
            api.watch(WIDGETS, resourceVersion=version) as one,
            api.watch(WIDGETS, resourceVersion=version, labelSelector="!k") as two,
        ):
            await change(api, "a", 2)
            await one.next()
            await two.next()

        kind = api.server._cluster.registry.find("example.com", "v1", "widgets")
        assert kind is not None
        event = api.server._cluster.store.collection(kind.resource).events[-1]
        assert len(event.encoded) == 1


async def test_a_changed_crd_ends_every_watch_of_its_kind_and_expires_its_versions() -> None:
    async with serving(definition(), definition("Gadget")) as api:
        start = (await api.create(WIDGETS, widget("a"))).version
        gadgets = WIDGETS.replace("widgets", "gadgets")
        async with (
            api.watch(WIDGETS, resourceVersion=start) as stream,
            api.watch(gadgets, resourceVersion=start) as untouched,
        ):
            await change(api, "a", 2)
            await api.merge(f"{DEFINITIONS}/widgets.example.com", describe("new text"))

            events = await stream.rest()
            await api.create(gadgets, {**widget("g"), "kind": "Gadget"})
            assert await untouched.names(1) == [("ADDED", "g")]
        async with api.watch(WIDGETS, resourceVersion=start) as again:
            expired = await again.next()

        assert [kind for kind, _ in events] == ["MODIFIED"]
        assert expired[1]["reason"] == "Expired"
        assert (await api.get(f"{WIDGETS}/a")).body["spec"]["size"] == 2


def describe(text: str) -> dict[str, Any]:
    crd = definition()
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = text
    return {"spec": {"versions": crd["spec"]["versions"]}}


async def test_changed_labels_of_a_crd_do_not_end_watches() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        async with api.watch(WIDGETS, resourceVersion=api.server.resource_version) as stream:
            await api.merge(f"{DEFINITIONS}/widgets.example.com", {"metadata": {"labels": {"k": "v"}}})
            await change(api, "a", 2)

            assert await stream.names(1) == [("MODIFIED", "a")]


async def test_deleting_a_crd_deletes_its_objects_then_ends_its_watches_then_removes_it() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        await api.create(WIDGETS, widget("b"))
        async with api.watch(WIDGETS, resourceVersion=api.server.resource_version) as stream:
            deleted = await api.delete(f"{DEFINITIONS}/widgets.example.com")
            events = await stream.rest()
            await api.server.settled()

        assert deleted.body["metadata"]["deletionTimestamp"]
        assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
            ("DELETED", "a"),
            ("DELETED", "b"),
        ]
        assert (await api.get(WIDGETS)).body == "404 page not found\n"
        assert (await api.create(DEFINITIONS, definition())).code == 201
        assert (await api.get(WIDGETS)).body["items"] == []


async def test_the_watch_of_a_client_that_does_not_read_ends_and_can_be_resumed() -> None:
    async with serving(watch_buffer=20) as api:
        await api.create(WIDGETS, widget("a"))
        start = api.server.resource_version
        async with api.watch(WIDGETS, resourceVersion=start) as stream:
            for round_ in range(80):
                note = {"annotations": {"k": f"{round_}:" + "x" * 200_000}}
                await api.merge(f"{WIDGETS}/a", {"metadata": note})

            events = await stream.rest()

        assert 0 < len(events) < 80
        assert all(kind == "MODIFIED" for kind, _ in events)
        last = events[-1][1]["metadata"]["resourceVersion"]
        async with api.watch(WIDGETS, resourceVersion=last) as resumed:
            versions = [
                int((await resumed.next())[1]["metadata"]["resourceVersion"]) for _ in range(80 - len(events))
            ]
        assert versions == list(range(int(last) + 1, start + 81))


async def test_settled_returns_after_every_event_was_sent() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))
        async with api.watch(WIDGETS, resourceVersion=api.server.resource_version) as stream:
            api.server.faults.watch_lag = 0.05
            await change(api, "a", 2)

            with anyio.fail_after(60):
                await api.server.settled()

            api.server.faults.watch_lag = 600
            assert await stream.names(1) == [("MODIFIED", "a")]


async def test_a_list_at_an_older_version_is_converted_to_a_changed_crd() -> None:
    async with serving() as api:
        past = (await api.create(WIDGETS, widget("a", {"size": 3, "url": "http://x"}))).version
        await change(api, "a", 2)
        changed = definition()
        schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["url"]

        await api.merge(
            f"{DEFINITIONS}/widgets.example.com",
            {"spec": {"versions": [{**changed["spec"]["versions"][0]}]}},
        )

        listed = await api.get(WIDGETS, resourceVersion=past, resourceVersionMatch="Exact")
        assert [item["spec"] for item in listed.body["items"]] == [{"size": 3, "colour": "red"}]


async def test_a_streaming_list_at_a_future_version_ends_with_a_timeout_event() -> None:
    async with serving(freshness_timeout=0.01) as api:
        future = api.server.resource_version + 10
        async with api.watch(
            WIDGETS,
            resourceVersion=future,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ) as stream:
            events = await stream.rest()

        assert [(kind, status["code"]) for kind, status in events] == [("ERROR", 504)]
        assert events[0][1]["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

"""Lists and watches of a current API server: the protocol facts that the client relies on.

Most of them were read in the server's source first. If a test fails with a newer server, an assumption of the client
may be wrong. Results: docs/decisions/0012.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dpf_async.models import DPU
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.apiserver.kinds import install_kinds
from tests.apiserver.wire import Answer, Wire, settled

INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
"""The parameters of a streaming list."""

END = {"k8s.io/initial-events-end": "true"}
GZIP = {"Accept-Encoding": "gzip"}
NAMESPACE = "facts"

Event = dict[str, Any]  # Any: it is JSON


def named(events: list[Event]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def error_in(event: Event | None) -> tuple[int, str]:
    """Code and reason of an ERROR."""
    assert event is not None
    assert event["type"] == "ERROR"
    return event["object"]["code"], event["object"]["reason"]


def members(body: bytes) -> list[bytes]:
    """The members of a gzip file, decompressed."""
    parts = []
    while body:
        reader = zlib.decompressobj(wbits=31)
        parts.append(reader.decompress(body))
        body = reader.unused_data
    return parts


@asynccontextmanager
async def connected(cluster: RealCluster, namespace: str) -> AsyncGenerator[Wire]:
    """Connect to a server, and wait until its watch cache is filled; the first requests may be answered with 429."""
    async with Wire(cluster, namespace) as wire:
        await settled(wire.list)
        yield wire


@asynccontextmanager
async def own_server(*flags: str) -> AsyncGenerator[tuple[RealCluster, Wire]]:
    """A server that a test can stop or change."""
    async with RealCluster(find(), flags=flags, users=["alice"]) as cluster:
        await cluster.create_namespace(NAMESPACE)
        await install_kinds(cluster)
        async with connected(cluster, NAMESPACE) as wire:
            yield cluster, wire


# Streaming lists and their encoding.


async def test_a_streaming_list_sends_the_objects_by_name_and_then_the_final_bookmark(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        older, newer = await wire.create("b"), await wire.create("a")
        async with wire.watch(INITIAL, timeoutSeconds="1") as watch:
            events = await watch.to_end()

    assert named(events) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
    assert [event["object"]["metadata"]["resourceVersion"] for event in events[:2]] == [newer, older]
    assert events[2]["object"]["metadata"]["annotations"] == END
    assert int(events[2]["object"]["metadata"]["resourceVersion"]) >= int(newer)
    assert "Content-Encoding" not in watch.headers
    assert watch.ended_cleanly


async def test_a_compressed_streaming_list_has_one_gzip_member_per_flush(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        await wire.create("a")
        async with wire.watch(INITIAL, headers=GZIP, timeoutSeconds="2") as watch:
            await watch.first_chunk()
            await wire.create("b")
            body = await watch.raw_to_end()

    assert watch.headers["Content-Encoding"] == "gzip"
    parts = members(body)
    assert len(parts) > 1
    # A client that reads only the first gzip member receives no later events.
    assert b'"name":"b"' not in parts[0]
    assert b'"name":"b"' in b"".join(parts)


@pytest.mark.parametrize("version", [{}, {"resourceVersion": "0"}], ids=["no version", "version 0"])
async def test_a_watch_with_bookmarks_and_without_a_version_is_a_streaming_list(
    version: dict[str, str], own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        await wire.create("a")
        await wire.list()  # the cache has seen it
        async with wire.watch(version, allowWatchBookmarks="true", timeoutSeconds="1") as watch:
            events = await watch.to_end()
        async with wire.watch(
            version, headers=GZIP, allowWatchBookmarks="true", timeoutSeconds="1"
        ) as zipped:
            pass

    assert named(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"]["metadata"]["annotations"] == END
    assert zipped.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("bookmarks", ["false", "true"])
async def test_a_watch_from_a_version_is_never_compressed(
    bookmarks: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        since = await wire.version()
        await wire.create("a")
        async with wire.watch(headers=GZIP, resourceVersion=since, allowWatchBookmarks=bookmarks) as watch:
            event = await watch.next()

    assert "Content-Encoding" not in watch.headers
    assert event is not None
    assert event["object"]["metadata"]["name"] == "a"


async def test_a_large_list_is_compressed_only_if_the_client_accepts_gzip(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        await wire.create("large", annotations={"note": "x" * 200_000})
        compressed, plain = await wire.list(headers=GZIP), await wire.list()

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert len(members(compressed.body)) == 1
    assert members(compressed.body)[0] == plain.body


@pytest.mark.parametrize("accept", ["application/cbor", "application/vnd.kubernetes.protobuf", "text/html"])
async def test_a_watch_of_a_custom_kind_supports_only_json(
    accept: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        async with wire.watch(headers={"Accept": accept}, timeoutSeconds="1") as refused:
            pass
        async with wire.watch(headers={"Accept": f"{accept}, application/json"}, timeoutSeconds="1") as watch:
            await watch.to_end()

    assert refused.status == 406
    assert (watch.status, watch.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"sendInitialEvents": "true"}, "sendInitialEvents requires setting resourceVersionMatch"),
        ({"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"}, "is forbidden for watch unless"),
        ({"sendInitialEvents": "true", "resourceVersionMatch": "Exact"}, "supported values"),
    ],
)
async def test_incomplete_parameters_of_a_streaming_list_are_invalid(
    query: dict[str, str], message: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        answer = await wire.list(query, watch="true")

    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert message in answer.json["message"]


# resourceVersions: future, past, invalid.


async def test_a_list_at_a_future_version_times_out_with_retry_after(
    own_cluster: RealCluster, namespace: str
) -> None:
    queries: list[dict[str, str]] = [
        {},
        {"resourceVersionMatch": "NotOlderThan"},
        {"resourceVersionMatch": "Exact"},
        {"limit": "1"},
    ]
    answers: list[Answer] = []

    async with connected(own_cluster, namespace) as wire:
        future = str(int(await wire.version()) + 100_000)

        async def ask(query: dict[str, str]) -> None:
            answers.append(await wire.list(query, resourceVersion=future))

        async with anyio.create_task_group() as tasks:  # each takes three seconds
            for query in queries:
                tasks.start_soon(ask, query)

    assert [answer.status for answer in answers] == [504] * len(queries)
    for answer in answers:
        assert answer.json["reason"] == "Timeout"
        assert answer.json["details"]["retryAfterSeconds"] == 1
        assert [cause["reason"] for cause in answer.json["details"]["causes"]] == ["ResourceVersionTooLarge"]
        assert answer.headers["Retry-After"] == "1"


async def test_a_streaming_list_at_a_future_version_fails_with_an_error_event(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        future = str(int(await wire.version()) + 100_000)
        async with wire.watch(INITIAL, resourceVersion=future) as watch:
            events = await watch.to_end()

    assert watch.status == 200
    assert [error_in(event) for event in events] == [(504, "Timeout")]
    assert events[0]["object"]["details"]["retryAfterSeconds"] == 1
    assert watch.ended_cleanly


async def test_a_watch_from_a_future_version_sends_no_current_events(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        future = str(int(await wire.version()) + 100_000)
        async with wire.watch(resourceVersion=future, timeoutSeconds="1") as watch:
            await wire.create("a")
            events = await watch.to_end()

    assert (watch.status, events) == (200, [])
    assert watch.ended_cleanly


async def test_a_watch_from_an_expired_version_fails_with_an_error_event(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire, wire.watch(resourceVersion="1") as watch:
        events = await watch.to_end()

    assert watch.status == 200
    assert [error_in(event) for event in events] == [(410, "Expired")]
    assert watch.ended_cleanly


async def test_an_invalid_version_is_answered_with_400_to_a_list_and_500_to_a_watch(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        answer = await wire.list(resourceVersion="x7")
        watch = await wire.list(watch="true", resourceVersion="x7")

    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")
    assert watch.status == 500
    assert "reason" not in watch.json


async def test_a_continue_token_cannot_be_combined_with_a_resource_version(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        await wire.create("a")
        await wire.create("b")
        first = await wire.list(limit="1")
        token, version = first.json["metadata"]["continue"], first.resource_version
        second = await wire.list(limit="1", continue_=token)
        refused = await wire.list(limit="1", continue_=token, resourceVersion=version)
        invalid = await wire.list(
            limit="1", continue_=token, resourceVersion=version, resourceVersionMatch="Exact"
        )

    assert [item["metadata"]["name"] for item in second.json["items"]] == ["b"]
    assert second.resource_version == version
    assert (refused.status, invalid.status) == (400, 422)


async def test_a_missing_object_is_a_status_and_a_missing_version_is_plain_text(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with connected(own_cluster, namespace) as wire:
        no_object = await wire.send("GET", "/missing")
        no_version = await wire.send("GET", wire.path.replace(DPU.VERSION, "v9"))

    assert (no_object.status, no_object.json["reason"]) == (404, "NotFound")
    assert (no_version.status, no_version.body) == (404, b"404 page not found\n")
    assert no_version.headers["Content-Type"].startswith("text/plain")


async def test_events_are_ordered_by_version(own_cluster: RealCluster, namespace: str) -> None:
    async with connected(own_cluster, namespace) as wire:
        since = await wire.version()
        async with wire.watch(resourceVersion=since) as watch:
            async with anyio.create_task_group() as tasks:
                for number in range(60):
                    tasks.start_soon(wire.create, f"dpu-{number}")
            events = [await watch.next() for _ in range(60)]

    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events if event]
    assert len(versions) == 60
    assert versions == sorted(set(versions))


async def test_a_next_line_character_is_not_escaped(own_cluster: RealCluster, namespace: str) -> None:
    async with connected(own_cluster, namespace) as wire:
        await wire.create("a", annotations={"note": "one\u0085two\u2028three"})
        async with wire.watch(timeoutSeconds="1") as watch:
            event = await watch.next()

    assert event is not None
    assert event["object"]["metadata"]["annotations"] == {"note": "one\u0085two\u2028three"}
    raw = b"".join(watch.chunks)
    assert "one\u0085two\\u2028three".encode() in raw


# A server that starts, stops, or has lost its storage.


async def test_requests_are_answered_with_429_until_the_watch_cache_is_filled() -> None:
    async with own_server() as (cluster, wire):
        for number in range(200):  # 20 MB take some time to read
            await wire.create(f"dpu-{number}", annotations={"note": "x" * 100_000})
        await cluster.stop(kill=True)
        await cluster.start()
        # The first request creates the cache.
        watch = await wire.list(watch="true", resourceVersion="1", timeoutSeconds="1")
        everything = await wire.list()
        page = await wire.list(limit="1")
        afterwards = await settled(wire.list)

    for refused in (watch, everything):
        assert (refused.status, refused.json["reason"]) == (429, "TooManyRequests")
        assert refused.json["message"] == "storage is (re)initializing"
        assert refused.headers["Retry-After"] == "1"
    assert page.status == 200  # read from etcd
    assert len(afterwards.json["items"]) == 200


async def test_a_starting_server_answers_neither_404_nor_401() -> None:
    async with own_server() as (cluster, admin):
        await cluster.grant(
            "alice",
            [{"apiGroups": [DPU.GROUP], "resources": [DPU.PLURAL], "verbs": ["list"]}],
            namespace=NAMESPACE,
        )
        statuses: dict[str, set[int]] = {"alice": set(), "admin": set()}

        async def ask(user: str, wire: Wire) -> None:
            await wire.listening()
            while 200 not in statuses[user]:
                statuses[user].add((await wire.list(limit="1")).status)

        await cluster.stop(kill=True)
        await cluster.start(ready=False)
        async with Wire(cluster, NAMESPACE, token=cluster.token_of("alice")) as alice:
            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask, "alice", alice)
                    tasks.start_soon(ask, "admin", admin)

    # 403 for about 0.1 s, until the roles are read.
    assert statuses["alice"] <= {403, 503, 429, 200}
    assert statuses["admin"] <= {503, 429, 200}


async def test_a_server_with_a_grace_period_ends_its_watches_cleanly() -> None:
    async with own_server("--shutdown-watch-termination-grace-period=5s") as (cluster, wire):
        since = await wire.version()
        async with wire.watch(resourceVersion=since) as watch, anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.stop)
            events = await watch.to_end()

    assert events == []
    assert watch.ended_cleanly


async def test_a_server_that_is_killed_breaks_its_watches_and_expires_every_version() -> None:
    async with own_server() as (cluster, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as broken:
            await cluster.stop(kill=True)
            assert await broken.next() is None
        await cluster.start()
        await wire.create("b")
        await settled(lambda: wire.list(watch="true", resourceVersion=since, timeoutSeconds="1"))
        async with wire.watch(resourceVersion=since) as watch:
            event = await watch.next()

    assert broken.ended_cleanly is False
    assert error_in(event) == (410, "Expired")


async def test_without_etcd_a_watch_stays_open_and_only_the_cache_can_be_listed() -> None:
    async with own_server() as (cluster, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as watch:
            await settled(wire.list)
            await cluster.stop_etcd()
            old = await wire.list(resourceVersion="0")
            with anyio.move_on_after(4) as scope:
                await wire.list()
            await cluster.start_etcd()
            with anyio.fail_after(120):
                event = await _create_until_accepted(wire, watch.next)

    assert [item["metadata"]["name"] for item in old.json["items"]] == ["a"]
    assert scope.cancelled_caught
    assert event["type"] == "ADDED"


async def _create_until_accepted(wire: Wire, next_event: Callable[[], Awaitable[Event | None]]) -> Event:
    """The event of the first object that could be created."""
    number = 0
    while True:
        number += 1
        try:
            with anyio.fail_after(5):
                await wire.create(f"later-{number}")
            break
        except (AssertionError, TimeoutError):
            continue
    event = await next_event()
    assert event is not None
    return event


# Compacted history.


async def test_a_compaction_does_not_affect_watches_within_the_history_of_the_cache() -> None:
    async with own_server() as (cluster, wire):
        since = await wire.create("a")
        await wire.create("b")
        await wire.create("c")
        await cluster.compact()
        async with wire.watch(resourceVersion=since, timeoutSeconds="1") as watch:
            events = await watch.to_end()

    assert named(events)[:2] == [("ADDED", "b"), ("ADDED", "c")]


async def test_without_a_watch_cache_a_compaction_expires_versions_and_pages() -> None:
    async with own_server("--watch-cache=false") as (cluster, wire):
        since = await wire.create("a")
        await wire.create("b")
        token = (await wire.list(limit="1")).json["metadata"]["continue"]
        await wire.create("c")
        await cluster.compact()
        page = await wire.list(limit="1", continue_=token)
        async with wire.watch(resourceVersion=since) as watch:
            event = await watch.next()

    assert (page.status, page.json["reason"]) == (410, "Expired")
    # The new token is for another resourceVersion, so its pages must not be combined with the first one.
    assert page.json["metadata"]["continue"] != token
    assert watch.status == 200
    assert error_in(event) == (410, "Expired")


# CRDs that change during a watch.


async def test_a_changed_schema_of_a_crd_ends_watches_and_changed_labels_do_not() -> None:
    async with own_server() as (_, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as watch:
            await wire.define(DPU, {"metadata": {"labels": {"release": "next"}}})
            await wire.create("b")
            first = await watch.next()
            await wire.define(DPU, {"spec": {"versions": with_other_description(await wire.definition(DPU))}})
            with anyio.fail_after(120):
                more = await watch.to_end()
        await settled(lambda: wire.list(watch="true", resourceVersion=since, timeoutSeconds="1"))
        async with wire.watch(resourceVersion=since) as again:
            event = await again.next()

    assert first is not None
    assert first["object"]["metadata"]["name"] == "b"
    assert more == []
    assert watch.ended_cleanly
    # No object has changed, but watches cannot resume from earlier versions.
    assert error_in(event) == (410, "Expired")


def with_other_description(definition: Event) -> list[Event]:
    """The versions of a CRD, with another description."""
    versions: list[Event] = definition["spec"]["versions"]
    for version in versions:
        version["schema"]["openAPIV3Schema"]["description"] = "another description"
    return versions


async def test_deleting_a_crd_sends_events_of_its_objects_before_the_watch_ends() -> None:
    async with own_server() as (_, wire):
        await wire.create("a")
        since = await wire.create("b")
        async with wire.watch(resourceVersion=since) as watch:
            deleted = await wire.send("DELETE", wire.path_of_definition(DPU))
            with anyio.fail_after(120):
                events = await watch.to_end()
        afterwards = await wire.list()

    assert deleted.status == 200
    assert sorted(named(events)) == [("DELETED", "a"), ("DELETED", "b")]
    assert watch.ended_cleanly
    assert (afterwards.status, afterwards.body) == (404, b"404 page not found\n")

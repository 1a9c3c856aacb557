"""What lists and watches of a current API server do, byte by byte: facts that the client is built upon.

Most of them were read in the server's source before they could be run; where this file fails with a newer server, the
client may assume what is not so any more. What was found: docs/decisions/0012.
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
"""What makes a watch a streaming list."""

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
    """The parts of a gzip file, of which each is a whole one."""
    parts = []
    while body:
        reader = zlib.decompressobj(wbits=31)
        parts.append(reader.decompress(body))
        body = reader.unused_data
    return parts


@asynccontextmanager
async def asking(cluster: RealCluster, namespace: str) -> AsyncGenerator[Wire]:
    """A wire to a server whose cache of the kind is filled: whoever comes first is told to come again."""
    async with Wire(cluster, namespace) as wire:
        await settled(wire.list)
        yield wire


@asynccontextmanager
async def server_of_its_own(*flags: str) -> AsyncGenerator[tuple[RealCluster, Wire]]:
    """One that a test may ill-treat."""
    async with RealCluster(find(), flags=flags, users=["alice"]) as cluster:
        await cluster.create_namespace(NAMESPACE)
        await install_kinds(cluster)
        async with asking(cluster, NAMESPACE) as wire:
            yield cluster, wire


# Streaming lists, and how they are encoded.


async def test_a_streaming_list_tells_what_stands_by_name_and_then_that_this_was_all(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        older, newer = await wire.create("b"), await wire.create("a")
        async with wire.watch(INITIAL, timeoutSeconds="1") as watch:
            events = await watch.to_end()

    assert named(events) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
    assert [event["object"]["metadata"]["resourceVersion"] for event in events[:2]] == [newer, older]
    assert events[2]["object"]["metadata"]["annotations"] == END
    assert int(events[2]["object"]["metadata"]["resourceVersion"]) >= int(newer)
    assert "Content-Encoding" not in watch.headers
    assert watch.ended_in_good_order


async def test_a_streaming_list_that_may_be_compressed_is_one_gzip_file_per_flush(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        await wire.create("a")
        async with wire.watch(INITIAL, headers=GZIP, timeoutSeconds="2") as watch:
            await watch.first_chunk()
            await wire.create("b")
            body = await watch.raw_to_end()

    assert watch.headers["Content-Encoding"] == "gzip"
    parts = members(body)
    assert len(parts) > 1
    # Who reads one gzip file and takes what follows for rubbish sees nothing of what happens later.
    assert b'"name":"b"' not in parts[0]
    assert b'"name":"b"' in b"".join(parts)


@pytest.mark.parametrize("version", [{}, {"resourceVersion": "0"}], ids=["no version", "version 0"])
async def test_a_watch_with_bookmarks_that_begins_nowhere_is_a_streaming_list_unasked(
    version: dict[str, str], own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
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
async def test_a_watch_that_goes_on_from_a_version_is_never_compressed(
    bookmarks: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        since = await wire.version()
        await wire.create("a")
        async with wire.watch(headers=GZIP, resourceVersion=since, allowWatchBookmarks=bookmarks) as watch:
            event = await watch.next()

    assert "Content-Encoding" not in watch.headers
    assert event is not None
    assert event["object"]["metadata"]["name"] == "a"


async def test_a_large_list_is_compressed_for_those_who_accept_that_only(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        await wire.create("large", annotations={"note": "x" * 200_000})
        compressed, plain = await wire.list(headers=GZIP), await wire.list()

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert len(members(compressed.body)) == 1
    assert members(compressed.body)[0] == plain.body


@pytest.mark.parametrize("accept", ["application/cbor", "application/vnd.kubernetes.protobuf", "text/html"])
async def test_a_watch_of_a_custom_kind_is_json_or_it_is_refused(
    accept: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
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
async def test_half_of_a_streaming_list_is_invalid(
    query: dict[str, str], message: str, own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        answer = await wire.list(query, watch="true")

    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert message in answer.json["message"]


# Versions: future, past, nonsense.


async def test_a_list_of_the_future_is_waited_for_and_then_refused_with_advice(
    own_cluster: RealCluster, namespace: str
) -> None:
    queries: list[dict[str, str]] = [
        {},
        {"resourceVersionMatch": "NotOlderThan"},
        {"resourceVersionMatch": "Exact"},
        {"limit": "1"},
    ]
    answers: list[Answer] = []

    async with asking(own_cluster, namespace) as wire:
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


async def test_a_streaming_list_of_the_future_is_accepted_and_refused_in_the_stream(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        future = str(int(await wire.version()) + 100_000)
        async with wire.watch(INITIAL, resourceVersion=future) as watch:
            events = await watch.to_end()

    assert watch.status == 200
    assert [error_in(event) for event in events] == [(504, "Timeout")]
    assert events[0]["object"]["details"]["retryAfterSeconds"] == 1
    assert watch.ended_in_good_order


async def test_a_watch_from_the_future_is_silent_about_what_happens_now(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        future = str(int(await wire.version()) + 100_000)
        async with wire.watch(resourceVersion=future, timeoutSeconds="1") as watch:
            await wire.create("a")
            events = await watch.to_end()

    assert (watch.status, events) == (200, [])
    assert watch.ended_in_good_order


async def test_a_watch_from_too_far_in_the_past_is_accepted_and_refused_in_the_stream(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire, wire.watch(resourceVersion="1") as watch:
        events = await watch.to_end()

    assert watch.status == 200
    assert [error_in(event) for event in events] == [(410, "Expired")]
    assert watch.ended_in_good_order


async def test_a_version_that_is_none_is_no_fault_of_ours_to_a_watch(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        answer = await wire.list(resourceVersion="x7")
        watch = await wire.list(watch="true", resourceVersion="x7")

    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")
    assert watch.status == 500
    assert "reason" not in watch.json


async def test_a_later_page_must_not_say_a_version(own_cluster: RealCluster, namespace: str) -> None:
    async with asking(own_cluster, namespace) as wire:
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


async def test_what_is_missing_is_told_in_two_ways(own_cluster: RealCluster, namespace: str) -> None:
    async with asking(own_cluster, namespace) as wire:
        no_object = await wire.send("GET", "/nobody")
        no_version = await wire.send("GET", wire.path.replace(DPU.VERSION, "v9"))

    assert (no_object.status, no_object.json["reason"]) == (404, "NotFound")
    assert (no_version.status, no_version.body) == (404, b"404 page not found\n")
    assert no_version.headers["Content-Type"].startswith("text/plain")


async def test_events_come_in_the_order_of_their_versions_however_they_are_framed(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with asking(own_cluster, namespace) as wire:
        since = await wire.version()
        async with wire.watch(resourceVersion=since) as watch:
            async with anyio.create_task_group() as tasks:
                for number in range(60):
                    tasks.start_soon(wire.create, f"dpu-{number}")
            events = [await watch.next() for _ in range(60)]

    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events if event]
    assert len(versions) == 60
    assert versions == sorted(set(versions))


async def test_a_next_line_character_travels_as_it_is(own_cluster: RealCluster, namespace: str) -> None:
    async with asking(own_cluster, namespace) as wire:
        await wire.create("a", annotations={"note": "one\u0085two\u2028three"})
        async with wire.watch(timeoutSeconds="1") as watch:
            event = await watch.next()

    assert event is not None
    assert event["object"]["metadata"]["annotations"] == {"note": "one\u0085two\u2028three"}
    raw = b"".join(watch.chunks)
    assert "one\u0085two\\u2028three".encode() in raw


# A server that begins, ends, or has lost its storage.


async def test_a_cache_that_is_not_filled_yet_is_a_reason_to_ask_again_later() -> None:
    async with server_of_its_own() as (cluster, wire):
        for number in range(200):  # 20 MB are not read in a moment
            await wire.create(f"dpu-{number}", annotations={"note": "x" * 100_000})
        await cluster.stop(kill=True)
        await cluster.start()
        # Whoever asks first makes the cache.
        watch = await wire.list(watch="true", resourceVersion="1", timeoutSeconds="1")
        everything = await wire.list()
        page = await wire.list(limit="1")
        afterwards = await settled(wire.list)

    for refused in (watch, everything):
        assert (refused.status, refused.json["reason"]) == (429, "TooManyRequests")
        assert refused.json["message"] == "storage is (re)initializing"
        assert refused.headers["Retry-After"] == "1"
    assert page.status == 200  # read past the cache
    assert len(afterwards.json["items"]) == 200


async def test_a_server_that_begins_says_neither_that_a_kind_is_missing_nor_that_a_token_is_wrong() -> None:
    async with server_of_its_own() as (cluster, admin):
        await cluster.grant(
            "alice",
            [{"apiGroups": [DPU.GROUP], "resources": [DPU.PLURAL], "verbs": ["list"]}],
            namespace=NAMESPACE,
        )
        told: dict[str, set[int]] = {"alice": set(), "admin": set()}

        async def ask(who: str, wire: Wire) -> None:
            await wire.listening()
            while 200 not in told[who]:
                told[who].add((await wire.list(limit="1")).status)

        await cluster.stop(kill=True)
        await cluster.start(ready=False)
        async with Wire(cluster, NAMESPACE, token=cluster.token_of("alice")) as alice:
            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask, "alice", alice)
                    tasks.start_soon(ask, "admin", admin)

    # 403 for about a tenth of a second, until the roles are read: it means nothing then.
    assert told["alice"] <= {403, 503, 429, 200}
    assert told["admin"] <= {503, 429, 200}


async def test_a_server_that_is_told_to_end_its_watches_ends_them_in_good_order() -> None:
    async with server_of_its_own("--shutdown-watch-termination-grace-period=5s") as (cluster, wire):
        since = await wire.version()
        async with wire.watch(resourceVersion=since) as watch, anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.stop)
            events = await watch.to_end()

    assert events == []
    assert watch.ended_in_good_order


async def test_a_server_that_is_killed_breaks_its_watches_and_expires_every_version() -> None:
    async with server_of_its_own() as (cluster, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as broken:
            await cluster.stop(kill=True)
            assert await broken.next() is None
        await cluster.start()
        await wire.create("b")
        await settled(lambda: wire.list(watch="true", resourceVersion=since, timeoutSeconds="1"))
        async with wire.watch(resourceVersion=since) as watch:
            event = await watch.next()

    assert broken.ended_in_good_order is False
    assert error_in(event) == (410, "Expired")


async def test_without_etcd_a_watch_is_silent_and_alive_and_only_old_news_can_be_listed() -> None:
    async with server_of_its_own() as (cluster, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as watch:
            await settled(wire.list)
            await cluster.stop_etcd()
            old = await wire.list(resourceVersion="0")
            with anyio.move_on_after(4) as patience:
                await wire.list()
            await cluster.start_etcd()
            with anyio.fail_after(120):
                told = await _created_again_and_again(wire, watch.next)

    assert [item["metadata"]["name"] for item in old.json["items"]] == ["a"]
    assert patience.cancelled_caught
    assert told["type"] == "ADDED"


async def _created_again_and_again(wire: Wire, tell: Callable[[], Awaitable[Event | None]]) -> Event:
    """What is told of the first object that could be made."""
    number = 0
    while True:
        number += 1
        try:
            with anyio.fail_after(5):
                await wire.create(f"later-{number}")
            break
        except (AssertionError, TimeoutError):
            continue
    event = await tell()
    assert event is not None
    return event


# History that etcd has forgotten.


async def test_compaction_takes_nothing_from_a_watch_that_the_cache_still_has_the_history_of() -> None:
    async with server_of_its_own() as (cluster, wire):
        since = await wire.create("a")
        await wire.create("b")
        await wire.create("c")
        await cluster.compact()
        async with wire.watch(resourceVersion=since, timeoutSeconds="1") as watch:
            events = await watch.to_end()

    assert named(events)[:2] == [("ADDED", "b"), ("ADDED", "c")]


async def test_without_a_cache_compaction_expires_versions_and_pages() -> None:
    async with server_of_its_own("--watch-cache=false") as (cluster, wire):
        since = await wire.create("a")
        await wire.create("b")
        token = (await wire.list(limit="1")).json["metadata"]["continue"]
        await wire.create("c")
        await cluster.compact()
        page = await wire.list(limit="1", continue_=token)
        async with wire.watch(resourceVersion=since) as watch:
            event = await watch.next()

    assert (page.status, page.json["reason"]) == (410, "Expired")
    # The token is for another moment than the first page's: never to be mixed with it.
    assert page.json["metadata"]["continue"] != token
    assert watch.status == 200
    assert error_in(event) == (410, "Expired")


# Definitions that change under a watch.


async def test_what_a_definition_says_of_itself_ends_no_watch_and_what_it_says_of_objects_does() -> None:
    async with server_of_its_own() as (_, wire):
        since = await wire.create("a")
        async with wire.watch(resourceVersion=since) as watch:
            await wire.define(DPU, {"metadata": {"labels": {"release": "next"}}})
            await wire.create("b")
            told = await watch.next()
            await wire.define(DPU, {"spec": {"versions": described(await wire.definition(DPU))}})
            with anyio.fail_after(120):
                more = await watch.to_end()
        await settled(lambda: wire.list(watch="true", resourceVersion=since, timeoutSeconds="1"))
        async with wire.watch(resourceVersion=since) as again:
            event = await again.next()

    assert told is not None
    assert told["object"]["metadata"]["name"] == "b"
    assert more == []
    assert watch.ended_in_good_order
    # Nothing has happened to any object, and still no version of before can be resumed.
    assert error_in(event) == (410, "Expired")


def described(definition: Event) -> list[Event]:
    """The versions of a definition with other words for what they are."""
    versions: list[Event] = definition["spec"]["versions"]
    for version in versions:
        version["schema"]["openAPIV3Schema"]["description"] = "told in other words"
    return versions


async def test_a_definition_that_is_deleted_takes_its_objects_along_and_says_so_first() -> None:
    async with server_of_its_own() as (_, wire):
        await wire.create("a")
        since = await wire.create("b")
        async with wire.watch(resourceVersion=since) as watch:
            deleted = await wire.send("DELETE", wire.path_of_definition(DPU))
            with anyio.fail_after(120):
                events = await watch.to_end()
        afterwards = await wire.list()

    assert deleted.status == 200
    assert sorted(named(events)) == [("DELETED", "a"), ("DELETED", "b")]
    assert watch.ended_in_good_order
    assert (afterwards.status, afterwards.body) == (404, b"404 page not found\n")

"""A watch of one kind: existing objects, changes, and changes while the watch was interrupted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from dpf_async.models import DPUNode, ObjectMeta
from dpf_async.watch import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from tests.integration.backends import Backend


def node(name: str, **labels: str) -> DPUNode:
    return DPUNode(metadata=ObjectMeta(name=name, labels=labels))


def describe(event: WatchEvent[DPUNode]) -> str:
    match event:
        case Added(obj, _):
            return f"{obj.name} added"
        case Updated(_, after, _, _, _):
            return f"{after.name} updated to {after.object.metadata.labels.get('step', '')}"
        case Deleted(last, _, _, reason):
            return f"{last.name} {reason}"
        case _:
            return type(event).__name__.lower()


async def read(stream: AsyncIterator[WatchEvent[DPUNode]], count: int) -> list[str]:
    """The given number of changes; events about the watch itself are skipped."""
    received: list[str] = []
    with anyio.fail_after(60):
        while len(received) < count:
            event = await anext(stream)
            if not isinstance(event, Gap | Resumed | Synced):
                received.append(describe(event))
    return received


async def test_a_new_reader_receives_the_existing_objects_and_then_the_changes(backend: Backend) -> None:
    async with backend.cluster() as site:
        nodes = site.dpf.resource(DPUNode)
        await nodes.create(node("a"))

        async with nodes.watch() as stream:
            assert await read(stream, 1) == ["a added"]
            await nodes.create(node("b"))
            assert await read(stream, 1) == ["b added"]
            await nodes.patch("a", {"metadata": {"labels": {"step": "1"}}})
            assert await read(stream, 1) == ["a updated to 1"]
            await nodes.delete("b")
            assert await read(stream, 1) == ["b deleted"]


async def test_an_object_that_stops_matching_is_deleted_and_one_that_begins_to_match_is_added(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        nodes = site.dpf.resource(DPUNode)
        await nodes.create(node("a", rack="1"))
        await nodes.create(node("b", rack="2"))

        async with nodes.watch(label_selector="rack=1") as stream:
            assert await read(stream, 1) == ["a added"]
            await nodes.patch("a", {"metadata": {"labels": {"rack": "3"}}})
            (no_longer_matching,) = await read(stream, 1)
            await nodes.patch("b", {"metadata": {"labels": {"rack": "1"}}})
            (now_matching,) = await read(stream, 1)

    assert no_longer_matching.startswith("a ")
    assert now_matching == "b added"


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
async def test_changes_while_the_watch_is_interrupted_are_reported_after_it_resumes(
    backend: Backend, reset: bool
) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        nodes = site.dpf.resource(DPUNode)
        for name in ("changed", "deleted", "unchanged"):
            await nodes.create(node(name))
        async with nodes.watch() as stream:
            await read(stream, 3)
            site.server.faults.answer(503, times=3, verb="watch", resource="dpunodes")
            assert site.server.faults.drop_watches(reset=reset) >= 1
            await other.resource(DPUNode).patch("changed", {"metadata": {"labels": {"step": "1"}}})
            await other.resource(DPUNode).delete("deleted")
            await other.resource(DPUNode).create(node("created"))

            received = await read(stream, 3)

    assert sorted(received) == ["changed updated to 1", "created added", "deleted deleted"]


async def test_changes_in_a_compacted_history_are_found_by_a_list(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        nodes = site.dpf.resource(DPUNode)
        for name in ("changed", "deleted", "unchanged"):
            await nodes.create(node(name))
        async with nodes.watch() as stream:
            await read(stream, 3)
            site.server.faults.answer(410, times=1, verb="watch", resource="dpunodes")
            site.server.faults.drop_watches()
            await other.resource(DPUNode).patch("changed", {"metadata": {"labels": {"step": "1"}}})
            await other.resource(DPUNode).delete("deleted")

            received = await read(stream, 2)

    assert sorted(received) == ["changed updated to 1", "deleted deleted"]


async def test_the_next_view_shows_an_own_write_before_the_watch_does(backend: Backend) -> None:
    async with backend.cluster(watch_lag=0.3) as site:
        await site.create_node()
        before = await site.dpf.node("node-1").view()

        await site.request_reboot()
        view = await site.dpf.node("node-1").view()

    assert not before.external_reboot_required
    assert view.external_reboot_required

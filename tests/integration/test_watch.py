"""Objects of a kind followed through a watch: what stands, what changes, and what happened while nobody could look."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from dpf_async.models import DPUNode, ObjectMeta
from dpf_async.watch import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from tests.integration.backends import Backend


def node(name: str, **labels: str) -> DPUNode:
    return DPUNode(metadata=ObjectMeta(name=name, labels=labels))


def words(event: WatchEvent[DPUNode]) -> str:
    match event:
        case Added(obj, _):
            return f"{obj.name} added"
        case Updated(_, after, _, _, _):
            return f"{after.name} updated to {after.object.metadata.labels.get('step', '')}"
        case Deleted(last, _, _, reason):
            return f"{last.name} {reason}"
        case _:
            return type(event).__name__.lower()


async def told(stream: AsyncIterator[WatchEvent[DPUNode]], count: int) -> list[str]:
    """So many changes; what is said of the connection itself is left out."""
    heard: list[str] = []
    with anyio.fail_after(60):
        while len(heard) < count:
            event = await anext(stream)
            if not isinstance(event, Gap | Resumed | Synced):
                heard.append(words(event))
    return heard


async def test_a_fresh_reader_is_told_what_stands_and_then_what_changes(backend: Backend) -> None:
    async with backend.cluster() as site:
        nodes = site.dpf.resource(DPUNode)
        await nodes.create(node("a"))

        async with nodes.watch() as stream:
            assert await told(stream, 1) == ["a added"]
            await nodes.create(node("b"))
            assert await told(stream, 1) == ["b added"]
            await nodes.patch("a", {"metadata": {"labels": {"step": "1"}}})
            assert await told(stream, 1) == ["a updated to 1"]
            await nodes.delete("b")
            assert await told(stream, 1) == ["b deleted"]


async def test_an_object_that_stops_matching_leaves_and_one_that_begins_to_match_comes(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        nodes = site.dpf.resource(DPUNode)
        await nodes.create(node("a", rack="1"))
        await nodes.create(node("b", rack="2"))

        async with nodes.watch(label_selector="rack=1") as stream:
            assert await told(stream, 1) == ["a added"]
            await nodes.patch("a", {"metadata": {"labels": {"rack": "3"}}})
            (left,) = await told(stream, 1)
            await nodes.patch("b", {"metadata": {"labels": {"rack": "1"}}})
            (came,) = await told(stream, 1)

    assert left.startswith("a ")
    assert came == "b added"


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
async def test_what_happens_while_the_watch_is_down_is_told_once_it_is_back(
    backend: Backend, reset: bool
) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        nodes = site.dpf.resource(DPUNode)
        for name in ("changes", "goes", "stays"):
            await nodes.create(node(name))
        async with nodes.watch() as stream:
            await told(stream, 3)
            site.server.faults.answer(503, times=3, verb="watch", resource="dpunodes")
            assert site.server.faults.drop_watches(reset=reset) >= 1
            await other.resource(DPUNode).patch("changes", {"metadata": {"labels": {"step": "1"}}})
            await other.resource(DPUNode).delete("goes")
            await other.resource(DPUNode).create(node("comes"))

            heard = await told(stream, 3)

    assert sorted(heard) == ["changes updated to 1", "comes added", "goes deleted"]


async def test_a_history_that_the_server_does_not_have_any_more_is_made_up_for_by_a_list(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        nodes = site.dpf.resource(DPUNode)
        for name in ("changes", "goes", "stays"):
            await nodes.create(node(name))
        async with nodes.watch() as stream:
            await told(stream, 3)
            site.server.faults.answer(410, times=1, verb="watch", resource="dpunodes")
            site.server.faults.drop_watches()
            await other.resource(DPUNode).patch("changes", {"metadata": {"labels": {"step": "1"}}})
            await other.resource(DPUNode).delete("goes")

            heard = await told(stream, 2)

    assert sorted(heard) == ["changes updated to 1", "goes deleted"]


async def test_what_we_wrote_is_seen_by_the_next_look_however_late_the_watch_is(backend: Backend) -> None:
    async with backend.cluster(watch_lag=0.3) as site:
        await site.create_node()
        before = await site.dpf.node("node-1").view()

        await site.request_reboot()
        view = await site.dpf.node("node-1").view()

    assert not before.external_reboot_required
    assert view.external_reboot_required

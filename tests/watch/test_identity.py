"""Objects that are deleted and re-created under the same name (F of the catalogue): the uid identifies them."""

from __future__ import annotations

import pytest

from dpf_async import DPFClient, ObjectState, crds
from dpf_async.errors import AlreadyExists, Conflict
from dpf_async.models import BFB, DPU
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.watch import Deleted, Updated
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import dpu, event
from tests.support.scripted import Scripted, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@virtual_time
async def test_f1_recreation_of_an_object_yields_deleted_with_its_final_state_then_added() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(server.deleted(dpu("a", 101, "Deleting")))
        gone = await anext(stream)
        await watch.send(server.added(dpu("a", 102, uid="u2")))
        received = await next_lines(stream, 1)

    assert isinstance(gone, Deleted)
    assert isinstance(gone.last, ObjectState)
    assert (gone.last.resource_version, gone.last.phase, gone.final_state_known) == ("101", "Deleting", True)
    assert received == ["a#u2@102 added (watch)"]


@pytest.mark.parametrize(
    ("uids", "expected"),
    [
        (["u2"], ["a@10 replaced (relist), final state unknown", "a#u2@102 added (relist)"]),  # F2
        (["u2", ""], ["a@10 deleted (relist), final state unknown"]),  # F3
        (["u2", "u3"], ["a@10 replaced (relist), final state unknown", "a#u3@104 added (relist)"]),  # F4
    ],
)
@virtual_time
async def test_f2_f3_f4_an_object_created_and_deleted_inside_a_gap_is_not_reported(
    uids: list[str], expected: list[str]
) -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        version = 101
        for uid in uids:
            server.deleted(dpu("a", version))
            if uid:
                server.added(dpu("a", version + 1, uid=uid))
            version += 2
        await watch.end(EXPIRED)
        received = await next_lines(stream, 2 + len(expected))

    assert received == ["gap", *expected, "resumed"]


@virtual_time
async def test_f6_an_object_that_leaves_the_selection_is_deleted_and_added_when_it_returns() -> None:
    rack = {"rack": "1"}

    async with (
        Scripted(dpu("a", 10, labels=rack)) as server,
        server.client() as dpf,
        dpf.resource(DPU).watch(label_selector="rack=1") as stream,
    ):
        await initial_lines(stream)
        watch = await server.watch()
        await watch.send(event("DELETED", dpu("a", 101, labels=rack)))
        received = await next_lines(stream, 1)
        await watch.send(event("ADDED", dpu("a", 102, labels=rack)))
        received += await next_lines(stream, 1)

    assert received == ["a@101 deleted (watch)", "a@102 added (watch)"]
    assert {request.query["labelSelector"] for request in server.requests} == {"rack=1"}


async def test_f5_an_object_held_by_a_finalizer_is_terminating_and_keeps_its_name() -> None:
    held = BFB.model_validate(
        {
            "metadata": {"name": "bundle", "finalizers": ["example.com/hold"]},
            "spec": {"url": "http://example.com/bundle.bfb"},
        }
    )

    async with (
        EmbeddedServer(crds=crds.manifests()) as server,
        DPFClient(kubeconfig=server.kubeconfig()) as dpf,
    ):
        bfbs = dpf.resource(BFB)
        made = await bfbs.create(held)
        async with bfbs.watch() as stream:
            assert [type(await anext(stream)).__name__ for _ in range(2)] == ["Added", "Synced"]
            left = await bfbs.delete("bundle")
            with pytest.raises(AlreadyExists) as refused:
                await bfbs.create(held)
            terminating = await anext(stream)
            await bfbs.patch("bundle", {"metadata": {"finalizers": None}})
            gone = await anext(stream)

    assert left is not None
    assert left.metadata.deletion_timestamp
    assert refused.value.terminating
    assert isinstance(terminating, Updated)
    assert terminating.after.terminating
    assert terminating.after.uid == made.uid
    assert isinstance(gone, Deleted)
    assert gone.reason == "deleted"


async def test_f8_a_deletion_with_the_uid_of_an_earlier_object_is_rejected() -> None:
    bfb = BFB.model_validate({"metadata": {"name": "b"}, "spec": {"url": "http://example.com/b.bfb"}})

    async with (
        EmbeddedServer(crds=crds.manifests()) as server,
        DPFClient(kubeconfig=server.kubeconfig()) as dpf,
    ):
        bfbs = dpf.resource(BFB)
        first = await bfbs.create(bfb)
        assert await bfbs.delete("b", uid=first.uid) is None
        second = await bfbs.create(bfb)
        with pytest.raises(Conflict):
            await bfbs.delete("b", uid=first.uid)
        there = await bfbs.get("b")

    assert there.uid == second.uid != first.uid

"""Cluster: caches and writes when requests of several controllers overlap."""

from __future__ import annotations

import pytest

from dpf_async.errors import Conflict
from dpf_async.models import DPU
from dpf_async.sim.operator.runtime.cache import Cache
from dpf_async.sim.operator.runtime.cluster import Cluster
from tests.support.objects import dpu
from tests.support.scripted import Exchange, Scripted, status


async def test_refresh_keeps_an_object_recreated_during_the_request() -> None:
    async with Scripted() as server, server.client() as dpf:
        cluster = Cluster(dpf, dpf)
        cluster.all(DPU).put(DPU.from_wire(dpu("a", 10, uid="old")))
        new = DPU.from_wire(dpu("a", 12, uid="new"))

        async def recreate_then_answer_not_found(exchange: Exchange) -> None:
            # Another controller creates it again before this response arrives.
            cluster.all(DPU).remove("a", "old")
            cluster.all(DPU).put(new)
            await exchange.answer(404, status(404, "NotFound"))

        server.on_other = recreate_then_answer_not_found
        await cluster.refresh(DPU, "a")

        assert cluster.get(DPU, "a") == new


async def test_refresh_removes_a_deleted_object() -> None:
    async with Scripted() as server, server.client() as dpf:
        cluster = Cluster(dpf, dpf)
        cluster.all(DPU).put(DPU.from_wire(dpu("a", 10)))

        async def gone(exchange: Exchange) -> None:
            await exchange.answer(404, status(404, "NotFound"))

        server.on_other = gone
        await cluster.refresh(DPU, "a")

        assert cluster.get(DPU, "a") is None


async def test_a_patch_of_an_outdated_state_is_a_conflict_without_a_request() -> None:
    async with Scripted() as server, server.client() as dpf:
        cluster = Cluster(dpf, dpf)
        outdated = DPU.from_wire(dpu("a", 10))
        cluster.all(DPU).put(DPU.from_wire(dpu("a", 11)))

        async def unexpected(exchange: Exchange) -> None:
            raise AssertionError("a request was sent")

        server.on_other = unexpected
        with pytest.raises(Conflict, match="DPU a: changed since it was read"):
            await cluster.patch(outdated, {"metadata": {"labels": {"a": "b"}}})


def test_a_response_without_finalizers_removes_a_terminating_object_at_its_old_version() -> None:
    cache: Cache[DPU] = Cache(DPU)
    deleted = {"deletionTimestamp": "2026-06-01T10:00:00Z"}
    held = dpu("a", 10)
    held["metadata"] |= {**deleted, "finalizers": ["protection"]}
    cache.put(DPU.from_wire(held))

    released = dpu("a", 10)
    released["metadata"] |= deleted
    cache.put(DPU.from_wire(released))

    assert cache.get("a") is None

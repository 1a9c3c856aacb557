"""The operator's picture of the cluster, where what it asked for and what it wrote cross on their way."""

from __future__ import annotations

from dpf_async.models import DPU
from dpf_async.sim.operator.runtime.cluster import Cluster
from tests.support.objects import dpu
from tests.support.scripted import Exchange, Scripted, status


async def test_refresh_keeps_an_object_recreated_during_the_request() -> None:
    async with Scripted() as server, server.client() as dpf:
        cluster = Cluster(dpf, dpf)
        cluster.all(DPU).put(DPU.from_wire(dpu("a", 10, uid="old")))
        new = DPU.from_wire(dpu("a", 12, uid="new"))

        async def gone_at_that_moment(exchange: Exchange) -> None:
            # Another controller has made it anew by the time this answer arrives.
            cluster.all(DPU).remove("a", "old")
            cluster.all(DPU).put(new)
            await exchange.answer(404, status(404, "NotFound"))

        server.on_other = gone_at_that_moment
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

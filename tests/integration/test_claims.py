"""Replicas are killed and suspended at every step: each request is answered exactly once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, get_args

import anyio
import pytest

from dpf_async import Claims, DPFClient, HoldRequest, RebootRequest
from dpf_async._handshakes.claims import lease_name
from dpf_async.errors import NotFound
from dpf_async.levels import external_reboot_required, node_effect_held
from dpf_async.models import DPUNode, DPUNodeMaintenance, Lease, known
from tests.integration.backends import Backend
from tests.support.blocking_proxy import BlockingProxy
from tests.support.cluster import NODE, Cluster
from tests.support.replica import About, Replica, replica
from tests.support.states import condition

SECONDS: Final = 2
"""Duration of a Lease: a test waits until one expires."""

GUARD: Final = 45.0
"""Seconds after which a test that hangs fails."""

ABOUT: Final = get_args(About)

WRITES: Final = ("acquire", "begin", "finish", "answer", "release")
"""The writes of a replica for one request, in order."""


@dataclass(frozen=True)
class Site:
    """A node, a replica as a process whose requests pass the gate, and another replica in this process.

    Attributes:
        about: the kind of request: "reboot" or "hold".
    """

    about: About
    cluster: Cluster[Any]
    gate: BlockingProxy
    process: Replica
    other: DPFClient

    async def request(self, hour: int = 10) -> None:
        """Request as the operator does; a request at another hour is another request."""
        if self.about == "hold":
            # Another request is another object.
            with suppress(NotFound):
                await self.cluster.dpf.resource(DPUNodeMaintenance).delete(f"{NODE}-hold")
            await self.cluster.hold()
            return
        requested = condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")
        requested["lastTransitionTime"] = f"2026-06-01T{hour:02}:00:00Z"
        await self.cluster.write_conditions(DPUNode, NODE, [requested])
        await self.cluster.dpf.resource(DPUNode).patch(
            NODE, {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
        )

    async def is_pending(self) -> bool:
        if self.about == "hold":
            return await self.cluster.hold_annotation() == "true"
        return known.EXTERNAL_REBOOT_REQUIRED in await self.cluster.annotations()

    def requested(self) -> AbstractAsyncContextManager[RebootRequest | HoldRequest]:
        """The wait of the other replica for the request."""
        node = self.other.node(NODE)
        return node.node_effect_hold() if self.about == "hold" else node.external_reboot()

    def requested_unless_answered(self) -> AbstractAsyncContextManager[RebootRequest | HoldRequest | None]:
        node = self.other.node(NODE)
        if self.about == "hold":
            return node.node_effect_hold(unless=~node_effect_held)
        return node.external_reboot(unless=~external_reboot_required)


@asynccontextmanager
async def site(backend: Backend, about: About = "reboot") -> AsyncIterator[Site]:
    async with backend.cluster() as cluster:
        namespace = cluster.dpf.namespace
        async with (
            BlockingProxy(cluster.server.kubeconfig(namespace=namespace)) as gate,
            cluster.another_client(claims=Claims("carbide-2", SECONDS)) as other,
            replica(gate.kubeconfig(namespace=namespace), "carbide-1", SECONDS, about=about) as process,
        ):
            await cluster.create_node()
            with anyio.fail_after(GUARD):
                yield Site(about, cluster, gate, process, other)


@pytest.mark.parametrize("passes", [False, True], ids=["before the server", "after the server"])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("about", ABOUT)
async def test_after_a_replica_is_killed_during_a_write_the_request_is_answered_once(
    backend: Backend, about: About, write: str, passes: bool
) -> None:
    async with site(backend, about) as it:
        it.gate.stop_at(WRITES.index(write) + 1, passes=passes)
        await it.process.finish()
        await it.request(hour=10)
        await it.gate.stopped.wait()
        await it.process.kill()

        done = WRITES[: WRITES.index(write) + passes]
        async with it.requested_unless_answered() as request:
            assert (request is None) == ("answer" in done)
            if request is not None:
                earlier = request.earlier
                assert (earlier is not None) == ("begin" in done)
                assert (earlier is not None and earlier.finished is not None) == ("finish" in done)
        assert not await it.is_pending()

        # The Lease of the killed replica blocks no client, and its record is not treated as one of this request.
        await it.request(hour=11)
        async with it.requested() as again:
            assert again.earlier is None
        assert not await it.is_pending()


@pytest.mark.parametrize("about", ABOUT)
async def test_after_a_replica_is_killed_at_work_the_next_one_receives_its_attempt(
    backend: Backend, about: About
) -> None:
    async with site(backend, about) as it:
        await it.request()
        assert await it.process.message() == "working"
        await it.process.kill()

        async with it.requested() as request:
            assert request.earlier is not None
            assert request.earlier.holder.startswith("carbide-1_")
            assert request.earlier.number == 1
            assert request.earlier.finished is None

        assert not await it.is_pending()


async def test_a_working_replica_is_waited_for_beyond_the_duration_of_its_lease(
    backend: Backend,
) -> None:
    async with site(backend) as it, it.cluster.dpf.resource(Lease).watch() as leases:
        await it.request(hour=10)
        assert await it.process.message() == "working"
        renewed: set[str | None] = set()
        entered: list[object] = []

        async def follow() -> None:
            async with it.other.node(NODE).external_reboot(unless=~external_reboot_required) as request:
                entered.append(request)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            # At least twice its duration, by the clock of the process.
            while len(renewed) < 7:
                lease = await it.cluster.dpf.resource(Lease).get(lease_name(NODE))
                renewed.add(lease.spec.renew_time)
                await anext(leases)
            assert entered == []
            await it.process.finish()

        assert await it.process.message() == "left"
        assert entered == [None]


@pytest.mark.parametrize("about", ABOUT)
async def test_a_replica_that_was_suspended_does_not_answer_the_next_request(
    backend: Backend, about: About
) -> None:
    async with site(backend, about) as it:
        await it.request(hour=10)
        assert await it.process.message() == "working"
        it.process.stop()
        async with it.requested() as request:
            assert request.earlier is not None
        await it.request(hour=11)

        it.process.resume()
        await it.process.finish()

        assert await it.process.message() in ("left", "lost")
        assert await it.is_pending(), "no replica has worked on the new request yet"


@pytest.mark.parametrize("about", ABOUT)
async def test_a_replica_resumed_while_another_one_works_leaves_the_answer_to_it(
    backend: Backend, about: About
) -> None:
    async with site(backend, about) as it:
        await it.request()
        assert await it.process.message() == "working"
        it.process.stop()
        async with it.requested():
            it.process.resume()
            await it.process.finish()

            assert await it.process.message() == "lost"
            assert await it.is_pending()

        assert not await it.is_pending()


@pytest.mark.parametrize("about", ABOUT)
async def test_an_answer_that_arrives_after_that_of_another_client_is_rejected(
    backend: Backend, about: About
) -> None:
    async with site(backend, about) as it:
        it.gate.stop_at(WRITES.index("answer") + 1, passes=False)
        await it.process.finish()
        await it.request(hour=10)
        await it.gate.stopped.wait()
        it.process.stop()
        async with it.requested() as request:
            assert request.earlier is not None
            assert request.earlier.finished is not None
        await it.request(hour=11)

        it.gate.release()
        it.process.resume()

        assert await it.process.message() == "working"
        assert await it.process.message() in ("left", "lost")
        assert await it.is_pending(), "no replica has worked on the new request yet"

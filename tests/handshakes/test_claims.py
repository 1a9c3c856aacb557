"""Several clients claim a node: one works, each request is answered once, and an expired claim is acquired by another.

On a clock that jumps: Leases expire without delay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from dpf_async import Claims, DPFClient, crds, provision
from dpf_async._handshakes.claims import CLAIM_LABEL, lease_name
from dpf_async.errors import ClaimLost, Forbidden, UsageError, WaitTimeout
from dpf_async.levels import Level, external_reboot_required
from dpf_async.models import DPUNode, Lease, known
from dpf_async.sim import Simulator
from dpf_async.sim.apiserver import EmbeddedServer
from dpf_async.transitions import ExternalRebootRequired, NodeEffectHeld
from tests.support.blocking_proxy import BlockingProxy
from tests.support.cluster import NODE, Cluster
from tests.support.states import condition
from tests.support.virtual_time import virtual_time

LEASE = lease_name(NODE)
SECONDS = 150
"""Duration of a Lease: long compared with the time that the clock jumps while a response is in transit."""

AGES = 4 * SECONDS
"""Seconds in which every pending step has ended."""

REQUEST = "dpf-async/external-reboot"
"""Annotation of the Lease that records an attempt."""


@dataclass(frozen=True)
class Two:
    """A node with a pending reboot request, and two clients that claim; the site's own client does not.

    Attributes:
        site: the server.
        first: connected through the gate.
        second: connected directly.
        gate: of the first client.
    """

    site: Cluster[EmbeddedServer]
    first: DPFClient
    second: DPFClient
    gate: BlockingProxy

    async def lease(self) -> Lease:
        return await self.site.dpf.resource(Lease).get(LEASE)

    async def holder(self) -> str:
        return ((await self.lease()).spec.holder_identity or "").split("_")[0]

    async def is_pending(self) -> bool:
        return known.EXTERNAL_REBOOT_REQUIRED in await self.site.annotations()

    async def request_again(self, hour: int) -> None:
        """Request as the operator does: set the condition to True again, then the annotation."""
        requested = condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")
        requested["lastTransitionTime"] = f"2026-06-01T{hour:02}:00:00Z"
        await self.site.write_conditions(DPUNode, NODE, [requested])
        await self.site.dpf.resource(DPUNode).patch(
            NODE, {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
        )


@asynccontextmanager
async def two_clients(*, watch_lag: float = 0.0) -> AsyncIterator[Two]:
    async with (
        EmbeddedServer(crds=crds.manifests()) as server,
        BlockingProxy(server.kubeconfig()) as gate,
        DPFClient(kubeconfig=server.kubeconfig()) as dpf,
        DPFClient(
            kubeconfig=gate.kubeconfig(namespace=dpf.namespace), claims=Claims("carbide-1", SECONDS)
        ) as first,
        DPFClient(kubeconfig=server.kubeconfig(), claims=Claims("carbide-2", SECONDS)) as second,
    ):
        server.faults.watch_lag = watch_lag
        site = Cluster(server, dpf)
        await site.create_node()
        await site.request_reboot()
        yield Two(site, first, second, gate)


@asynccontextmanager
async def failing(dpf: DPFClient) -> AsyncIterator[Any]:  # Any: a RebootRequest whose claim is not None
    """A block that raises its own error."""
    with suppress(ZeroDivisionError):
        async with dpf.node(NODE).external_reboot(timeout=AGES) as request:
            yield request
            raise ZeroDivisionError


@asynccontextmanager
async def losing(dpf: DPFClient) -> AsyncIterator[Any]:  # Any: as above
    """A block whose claim is lost when it is left."""
    with pytest.raises(ClaimLost) as lost:
        async with dpf.node(NODE).external_reboot(timeout=AGES) as request:
            yield request
    claim = request.claim
    assert claim is not None
    assert str(lost.value).startswith(f"DPUNode {NODE}: {claim.holder} lost its claim")
    assert (lost.value.node, lost.value.holder, lost.value.taken_by) == (NODE, claim.holder, claim.taken_by)


# The lease.


@virtual_time
async def test_the_lease_names_its_holder_while_the_block_runs_and_no_holder_afterwards() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS) as request:
            inside = await two.lease()
        after = await two.lease()

        assert request.claim is not None
        assert inside.spec.holder_identity == request.claim.holder
        assert request.claim.holder.startswith("carbide-1_")
        assert inside.spec.lease_duration_seconds == SECONDS
        assert after.spec.holder_identity is None
        assert REQUEST in inside.metadata.annotations
        assert REQUEST not in after.metadata.annotations
        assert not await two.is_pending()


@virtual_time
async def test_a_lease_is_found_by_its_label_and_deleted_with_its_node() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            (found,) = (await two.site.dpf.resource(Lease).list(label_selector=CLAIM_LABEL)).items
        (owner,) = found.metadata.owner_references
        uid = (await two.site.dpf.node(NODE).view()).uid

        await two.site.dpf.delete_dpu_node(NODE, timeout=SECONDS)

        assert (owner.kind, owner.name, owner.uid) == ("DPUNode", NODE, uid)
        await two.site.dpf.handle(Lease, LEASE).until_gone(timeout=60)


@pytest.mark.parametrize("length", [1, 243, 244, 253])
def test_the_name_of_a_lease_is_valid_for_a_node_name_of_any_length(length: int) -> None:
    name = lease_name("a" * length)

    assert len(name) <= 253
    assert name[-1].isalnum()
    assert name != lease_name("a" * (length - 1) + "b")


@virtual_time
async def test_a_lease_is_renewed_while_the_block_runs() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS) as request:
            before = await two.lease()
            await anyio.sleep(AGES)
            after = await two.lease()

            assert request.claim is not None
            assert request.claim.held
        assert after.metadata.resource_version != before.metadata.resource_version
        assert after.spec.lease_transitions == before.spec.lease_transitions


@pytest.mark.parametrize("claims", [{"lease_seconds": 0}, {"holder": "x" * 201}], ids=["seconds", "holder"])
def test_invalid_claims_are_a_usage_error(claims: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"lease_seconds is 0|holder has 201 characters"):
        Claims(**claims)


@virtual_time
async def test_a_client_without_claims_writes_no_lease() -> None:
    async with two_clients() as two:
        async with two.site.dpf.node(NODE).external_reboot(timeout=SECONDS) as request:
            assert request.claim is None
            assert request.earlier is None

        assert (await two.site.dpf.resource(Lease).list()).items == ()


@virtual_time
async def test_without_the_permission_the_error_names_the_rule_and_nothing_is_done() -> None:
    async with two_clients() as two:
        two.gate.faults.deny(verb="create", resource="leases")

        with pytest.raises(Forbidden, match="leases") as caught:
            async with two.first.node(NODE).external_reboot(timeout=SECONDS):
                raise AssertionError

        assert any("deploy/rbac.yaml" in note for note in caught.value.__notes__)
        assert await two.is_pending()


@virtual_time
async def test_a_client_that_must_wait_but_may_not_watch_leases_raises_forbidden() -> None:
    async with two_clients() as two:
        two.gate.faults.deny(verb="watch", resource="leases")

        async with two.second.node(NODE).external_reboot(timeout=SECONDS):
            with pytest.raises(Forbidden, match="leases"):
                async with two.first.node(NODE).external_reboot():
                    raise AssertionError


# One at a time.


@virtual_time
async def test_the_second_client_waits_for_the_first_and_then_finds_the_request_answered() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        entered: list[object] = []
        done = anyio.Event()

        async def follow() -> None:
            async with two.second.node(NODE).external_reboot(unless=~external_reboot_required) as request:
                entered.append(request)
            done.set()

        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            tasks.start_soon(follow)
            await anyio.sleep(AGES)
            assert entered == []
        with anyio.fail_after(5):
            await done.wait()

        assert entered == [None]


@virtual_time
async def test_a_released_claim_is_acquired_at_once() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        entered = anyio.Event()

        async def follow() -> None:
            async with two.second.node(NODE).external_reboot() as request:
                assert request.earlier is not None
                assert request.earlier.holder.startswith("carbide-1_")
                entered.set()

        async with failing(two.first):
            tasks.start_soon(follow)
            await anyio.sleep(1)

        with anyio.fail_after(SECONDS / 3):
            await entered.wait()


@pytest.mark.parametrize("watch_lag", [0.0, 0.05, 1.0])
@virtual_time
async def test_two_clients_make_one_power_cycle_of_one_request_for_any_watch_lag(
    watch_lag: float,
) -> None:
    async with two_clients(watch_lag=watch_lag) as two:
        cycles = 0

        async def worker(dpf: DPFClient) -> None:
            nonlocal cycles
            while True:
                async with dpf.node(NODE).external_reboot() as request:
                    assert request.earlier is None
                    await anyio.sleep(1)
                    cycles += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker, two.first)
            tasks.start_soon(worker, two.second)
            for round_ in range(1, 4):
                await two.site.dpf.node(NODE).until(~external_reboot_required, timeout=AGES)
                await anyio.sleep(AGES)
                assert cycles == round_
                await two.request_again(hour=round_)
            tasks.cancel_scope.cancel()


@virtual_time
async def test_the_two_handshakes_of_a_node_take_turns() -> None:
    async with two_clients() as two:
        await two.site.hold()

        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            with pytest.raises(
                WaitTimeout, match=r"DPUNode node-1: .*not claimed: carbide-1_\w+ works on it"
            ):
                async with two.second.node(NODE).node_effect_hold(timeout=1):
                    raise AssertionError
        async with two.second.node(NODE).node_effect_hold(timeout=SECONDS) as request:
            assert request.claim is not None

        assert await two.site.hold_annotation() == "false"


@virtual_time
async def test_a_check_without_waiting_acquires_a_free_claim_and_does_not_wait_for_another() -> None:
    async with two_clients() as two, two.first.node(NODE).external_reboot(timeout=0):
        with pytest.raises(WaitTimeout, match="works on it"):
            async with two.second.node(NODE).external_reboot(timeout=0):
                raise AssertionError


@virtual_time
async def test_waiting_for_a_claim_ends_when_the_request_is_answered_manually() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        done = anyio.Event()

        async def follow() -> None:
            async with two.second.node(NODE).external_reboot(unless=~external_reboot_required) as request:
                assert request is None
            done.set()

        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            tasks.start_soon(follow)
            await anyio.sleep(1)
            await two.site.dpf.mark_dpu_node_rebooted(NODE)

            with anyio.fail_after(5):
                await done.wait()


@virtual_time
async def test_two_clients_provision_one_host_with_one_power_cycle_for_each_request() -> None:
    async with (
        Simulator() as sim,
        sim.client(claims=Claims("carbide-1", SECONDS)) as first,
        sim.client(claims=Claims("carbide-2", SECONDS)) as second,
        sim.client() as observer,
    ):
        await sim.define_site()
        host = sim.host(devices=2)
        worked: list[str] = []

        async def reboot(node: str) -> None:
            await anyio.sleep(60)
            worked.append("reboot")

        async def drain(node: str) -> None:
            await anyio.sleep(60)
            worked.append("drain")

        async def flow(dpf: DPFClient) -> None:
            assert (await provision(dpf, host, reboot=reboot, node_effect=drain, timeout=7200)).ready

        requested: list[str] = []

        async def count() -> None:
            async with observer.node(host.name).transitions() as stream:
                async for transition in stream:
                    if isinstance(transition, ExternalRebootRequired):
                        requested.append("reboot")
                    if isinstance(transition, NodeEffectHeld):
                        requested.append("drain")

        async with anyio.create_task_group() as counting:
            counting.start_soon(count)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow, first)
                tasks.start_soon(flow, second)
            counting.cancel_scope.cancel()

        assert "reboot" in worked
        assert worked == requested


# Acquiring an expired claim.


@virtual_time
async def test_an_expired_lease_is_acquired_by_another_client_and_its_holder_loses_the_claim() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        over = anyio.Event()
        taken = anyio.Event()

        async def silent() -> None:
            async with losing(two.first) as request:
                two.gate.disconnect()
                await request.claim.until_lost()
                assert not taken.is_set(), (
                    "the holder notices the loss before another client acquires the Lease"
                )
                await taken.wait()
                two.gate.reconnect()
            over.set()

        tasks.start_soon(silent)
        await two.site.dpf.handle(Lease, LEASE).until(held_by("carbide-1"), timeout=SECONDS)
        async with two.second.node(NODE).external_reboot(timeout=AGES) as request:
            taken.set()
            await over.wait()
            assert request.earlier is not None
            assert (request.earlier.number, request.earlier.finished) == (1, None)
            assert await two.is_pending(), "a client that lost its claim answers nothing"

        assert not await two.is_pending()


def held_by(holder: str) -> Level[Any]:
    """The holder has begun to work."""
    return Level(
        f"held by {holder}",
        lambda state: (
            (state.object.spec.holder_identity or "").startswith(holder) and REQUEST in state.annotations
        ),
    )


@virtual_time
async def test_a_disconnected_client_does_not_answer_the_request_after_the_one_it_worked_on() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        answered = anyio.Event()
        over = anyio.Event()

        async def silent() -> None:
            async with losing(two.first):
                two.gate.disconnect()
                await answered.wait()
                # Its watch is late: only writes arrive in time.
                two.gate.faults.watch_lag = AGES
                two.gate.reconnect()
            over.set()

        tasks.start_soon(silent)
        await two.site.dpf.handle(Lease, LEASE).until(held_by("carbide-1"), timeout=SECONDS)
        async with two.second.node(NODE).external_reboot(timeout=AGES):
            pass
        await two.request_again(hour=11)
        answered.set()
        await over.wait()

        assert await two.is_pending(), "no client has worked on the new request yet"


@virtual_time
async def test_a_claim_that_expired_while_disconnected_is_held_again_if_no_client_acquired_it() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot() as request:
            two.gate.disconnect()
            assert request.claim is not None
            await request.claim.until_lost()
            assert not request.claim.held
            two.gate.reconnect()

        assert not await two.is_pending()


@virtual_time
async def test_the_block_is_not_interrupted_and_its_answer_waits_for_the_server() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:

        async def reconnect() -> None:
            await anyio.sleep(SECONDS / 2)
            two.gate.reconnect()

        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            two.gate.disconnect()
            await anyio.sleep(AGES)
            tasks.start_soon(reconnect)

        assert not await two.is_pending()


@virtual_time
async def test_an_answer_that_was_stored_without_a_response_is_not_written_for_the_next_request() -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        before = 0

        async def ask_next() -> None:
            await two.gate.stopped.wait()
            two.gate.disconnect()
            two.gate.release()
            await two.request_again(hour=11)
            # A read from the server shows a pending request long before the watch shows that it is another one.
            two.gate.faults.watch_lag = 30.0
            two.gate.reconnect()

        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            tasks.start_soon(ask_next)
            before = len(two.gate.writes)
            # finish, and then the answer.
            two.gate.stop_at(before + 2, passes=True)

        assert two.gate.writes[before : before + 2] == ["PATCH leases", "PATCH dpunodes"]
        assert await two.is_pending(), "the pending request is a new one"


# Changes of a Lease by others.


@virtual_time
async def test_a_lease_that_another_client_edits_keeps_its_holder() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS) as request:
            labels = {"seen-by": "another", CLAIM_LABEL: None}
            await two.site.dpf.resource(Lease).patch(LEASE, {"metadata": {"labels": labels}})
            await anyio.sleep(AGES)
            assert request.claim is not None
            assert request.claim.held
            assert (await two.lease()).metadata.labels == {"seen-by": "another", CLAIM_LABEL: "dpunode"}

        assert not await two.is_pending()


@virtual_time
async def test_a_lease_without_its_label_is_waited_for_until_it_expires() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            pass
        foreign = {
            "metadata": {"labels": {CLAIM_LABEL: None}},
            "spec": {"holderIdentity": "another", "leaseDurationSeconds": 3 * SECONDS},
        }
        await two.site.dpf.resource(Lease).patch(LEASE, foreign)
        await two.request_again(hour=11)
        began = anyio.current_time()

        async with two.second.node(NODE).external_reboot(timeout=AGES):
            waited = anyio.current_time() - began

        assert 3 * SECONDS <= waited < AGES, "for the duration in the Lease"


@virtual_time
async def test_a_deleted_lease_is_created_again_by_its_holder() -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS) as request:
            await two.site.dpf.resource(Lease).delete(LEASE)
            await two.site.dpf.handle(Lease, LEASE).until(held_by("carbide-1"), timeout=AGES)
            assert request.claim is not None
            assert request.claim.held

        assert not await two.is_pending()


@virtual_time
async def test_a_lease_that_was_deleted_and_acquired_by_another_client_is_lost() -> None:
    async with two_clients() as two:
        async with losing(two.first) as request:
            await two.site.dpf.resource(Lease).delete(LEASE)
            async with failing(two.second):
                await request.claim.until_lost()
                assert request.claim.taken_by.startswith("carbide-2_")

        assert await two.is_pending()


@virtual_time
async def test_a_lease_that_was_deleted_while_its_holder_was_disconnected_too_long_is_lost() -> None:
    async with two_clients() as two:
        async with losing(two.first) as request:
            two.gate.disconnect()
            await request.claim.until_lost()
            # Another client may have held it in between, and answered.
            await two.site.dpf.resource(Lease).delete(LEASE)
            two.gate.reconnect()

        assert request.claim.taken_by == ""
        assert await two.is_pending()


@pytest.mark.parametrize("record", ["", "not JSON", "{}", '{"request": 1}', "[" * 100_000])
@virtual_time
async def test_a_record_that_cannot_be_decoded_is_ignored(record: str) -> None:
    async with two_clients() as two:
        async with two.first.node(NODE).external_reboot(timeout=SECONDS):
            pass
        await two.site.dpf.resource(Lease).patch(LEASE, {"metadata": {"annotations": {REQUEST: record}}})
        await two.request_again(hour=11)

        async with two.second.node(NODE).external_reboot(timeout=SECONDS) as request:
            assert request.earlier is None


@virtual_time
async def test_attempts_at_one_request_are_counted_and_those_at_another_one_are_not() -> None:
    async with two_clients() as two:
        numbers = []
        for dpf in (two.first, two.second, two.first):
            async with failing(dpf) as request:
                numbers.append(request.earlier.number if request.earlier else None)
        await two.site.dpf.mark_dpu_node_rebooted(NODE)
        await two.request_again(hour=11)
        async with two.second.node(NODE).external_reboot(timeout=SECONDS) as request:
            numbers.append(request.earlier.number if request.earlier else None)

        assert numbers == [None, 1, 2, None]


# Faults of the server and cancellation of the worker.
# In real time: nothing waits, and the time after a cancellation is short.


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("status", [409, 500, 503])
async def test_a_write_that_fails_once_is_repeated_and_the_request_is_answered(
    number: int, status: int
) -> None:
    async with two_clients() as two:
        two.gate.answer_at(number, status)

        async with two.first.node(NODE).external_reboot() as request:
            assert request.earlier is None

        assert not await two.is_pending()
        assert await two.holder() == ""


@pytest.mark.parametrize("step", range(1, 6))
async def test_a_worker_that_is_cancelled_at_any_step_releases_its_claim(step: int) -> None:
    async with two_clients() as two, anyio.create_task_group() as tasks:
        two.gate.stop_at(step, passes=True)
        scope = anyio.CancelScope()
        over = anyio.Event()

        async def worker() -> None:
            with scope:
                async with two.first.node(NODE).external_reboot():
                    pass
            over.set()

        tasks.start_soon(worker)
        await two.gate.stopped.wait()
        scope.cancel()
        await over.wait()

        assert await two.holder() == ""
        assert await two.is_pending() == (step < 3), "after the work was done, the answer is still written"

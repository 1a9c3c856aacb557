"""DPF requests, the block works, and the request is answered only if the block succeeded."""

from __future__ import annotations

import anyio
import pytest

from dpf_async._site import manifests
from dpf_async.errors import ObjectReplaced
from dpf_async.levels import external_reboot_required, node_effect_held
from dpf_async.models import DPUNode, DPUNodeMaintenance, known
from tests.integration.backends import Backend
from tests.support.cluster import NODE
from tests.support.states import condition
from tests.support.timeouts import outlast, times_out, with_enough_time


async def test_leaving_the_block_confirms_the_reboot(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        async with site.dpf.node(NODE).external_reboot(timeout=60) as request:
            inside = await site.annotations()

        assert request.node == NODE
        assert known.EXTERNAL_REBOOT_REQUIRED in inside
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()


async def test_the_block_is_entered_when_dpf_requests_a_reboot_and_not_before(backend: Backend) -> None:
    async with backend.cluster() as site, anyio.create_task_group() as tasks:
        await site.create_node()
        entered = anyio.Event()

        async def worker() -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                entered.set()

        tasks.start_soon(worker)
        await site.dpf.resource(DPUNode).patch(
            NODE, {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
        )
        await site.dpf.node(NODE).view()
        assert not entered.is_set(), "the annotation alone is no request"
        await site.write_conditions(
            DPUNode, NODE, [condition("DPUNodeRebootInProgress", reason="WaitForExternalReboot")]
        )

        with anyio.fail_after(60):
            await entered.wait()


async def test_a_failed_block_leaves_the_request_pending_and_raises_its_own_error(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        with pytest.raises(ZeroDivisionError):
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                raise ZeroDivisionError

        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()
        async with site.dpf.node(NODE).external_reboot(timeout=60) as again:
            assert again.node == NODE


async def test_a_cancelled_block_leaves_the_request_pending(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        with anyio.CancelScope() as scope:
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                scope.cancel()
                await anyio.sleep_forever()

        assert scope.cancelled_caught
        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()


async def test_the_answer_is_written_even_if_cancelled_after_the_work(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        with anyio.CancelScope() as scope:
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                # The cancellation interrupts one attempt and one fails: a third one is needed.
                site.server.faults.answer(503, times=2, verb="patch", resource="dpunodes")
                scope.cancel()

        assert scope.cancel_called
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()


async def test_an_answer_is_retried_until_the_server_accepts_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        async with site.dpf.node(NODE).external_reboot(timeout=60):
            site.server.faults.answer(503, times=1, verb="patch", resource="dpunodes")

        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()


@pytest.mark.parametrize("watch_lag", [0.0, 0.05])
async def test_two_workers_of_one_client_make_one_power_cycle_of_one_request_even_when_the_watch_lags(
    backend: Backend, watch_lag: float
) -> None:
    async with backend.cluster(watch_lag=watch_lag) as site:
        await site.create_node()
        cycles = 0

        async def worker() -> None:
            nonlocal cycles
            while True:
                async with site.dpf.node(NODE).external_reboot():
                    cycles += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker)
            tasks.start_soon(worker)
            for round_ in range(1, 4):
                await site.request_reboot()
                with anyio.fail_after(60):
                    await site.dpf.node(NODE).until(~external_reboot_required)
                await site.server.settled()
                assert cycles == round_
            tasks.cancel_scope.cancel()

        assert cycles == 3


async def test_a_request_that_another_client_answered_meanwhile_is_not_answered_again(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        async with site.dpf.node(NODE).external_reboot(timeout=60):
            await site.dpf.mark_dpu_node_rebooted(NODE)
            await site.dpf.node(NODE).until(~external_reboot_required, timeout=60)
            await site.request_reboot()
            await site.dpf.node(NODE).until(external_reboot_required, timeout=60)

        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations(), "the pending request is a new one"


async def test_a_node_that_is_deleted_during_the_block_gets_no_answer(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        async with site.dpf.node(NODE).external_reboot(timeout=60):
            await site.dpf.delete_dpu_node(NODE, timeout=60)
            await site.create_node()
            await site.request_reboot()
            await site.dpf.node(NODE).until(external_reboot_required, timeout=60)

        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()


async def test_a_node_that_was_replaced_before_the_watch_shows_it_gets_no_answer(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        async with site.dpf.node(NODE).external_reboot(timeout=60):
            site.server.faults.watch_lag = 3.0
            await site.dpf.resource(DPUNode).delete(NODE)
            await site.dpf.resource(DPUNode).create(manifests.node(NODE, [], {}))
            await site.request_reboot()

        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()


async def test_no_request_in_time_is_a_timeout_that_names_the_node(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()

        async def work(seconds: float) -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=seconds):
                raise AssertionError

        over = await times_out(
            work, r"DPUNode node-1: not external reboot required after .* s; (?!its state is unknown)"
        )

        assert over.condition == "external reboot required"
        assert over.view.exists


async def test_a_worker_waits_for_another_worker_no_longer_than_its_timeout(backend: Backend) -> None:
    async with backend.cluster() as site, anyio.create_task_group() as tasks:
        await site.create_node()
        await site.request_reboot()
        busy = anyio.Event()

        async def slow() -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                busy.set()
                await anyio.sleep_forever()

        tasks.start_soon(slow)
        await busy.wait()

        async def late(seconds: float) -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=seconds):
                raise AssertionError

        await times_out(late, "another worker of this client still works on")
        tasks.cancel_scope.cancel()


async def test_with_unless_the_block_is_entered_without_a_request_and_answers_nothing(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        await site.create_node()

        async with site.dpf.node(NODE).external_reboot(
            unless=~external_reboot_required, timeout=60
        ) as request:
            assert request is None


async def test_the_timeout_bounds_the_wait_and_not_the_block(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()
        view = await site.dpf.node(NODE).view()

        async def work(seconds: float) -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=seconds):
                await outlast(seconds)

        await with_enough_time(work)

        assert view.exists
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()


async def test_a_node_that_is_deleted_while_waiting_ends_the_wait(backend: Backend) -> None:
    async with backend.cluster() as site, anyio.create_task_group() as tasks:
        await site.create_node()
        uid = (await site.dpf.node(NODE).view()).uid

        async def worker() -> None:
            with pytest.raises(ObjectReplaced) as caught:
                async with site.dpf.node(NODE).external_reboot(timeout=60):
                    raise AssertionError
            assert (caught.value.old_uid, caught.value.new_uid) == (uid, None)

        tasks.start_soon(worker)
        await anyio.wait_all_tasks_blocked()
        await site.dpf.delete_dpu_node(NODE, timeout=60)


async def test_leaving_the_block_of_a_hold_sets_its_annotation_to_false(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.hold(name="named-by-the-operator")

        async with site.dpf.node(NODE).node_effect_hold(timeout=60) as request:
            inside = await site.hold_annotation("named-by-the-operator")

        assert request.maintenance == "named-by-the-operator"
        assert inside == "true"
        assert await site.hold_annotation("named-by-the-operator") == "false"


async def test_a_failed_drain_leaves_the_hold_pending(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.hold()

        with pytest.raises(RuntimeError, match="tenants will not move"):
            async with site.dpf.node(NODE).node_effect_hold(timeout=60):
                raise RuntimeError("tenants will not move")

        assert await site.hold_annotation() == "true"


async def test_a_hold_of_another_maintenance_is_another_request(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.hold()

        async with site.dpf.node(NODE).node_effect_hold(timeout=60):
            await site.dpf.resource(DPUNodeMaintenance).delete(f"{NODE}-hold")
            await site.hold(name=f"{NODE}-other")
            await site.dpf.node(NODE).until(node_effect_held, timeout=60)

        assert await site.hold_annotation(f"{NODE}-other") == "true"


async def test_holds_and_reboots_of_several_nodes_do_not_wait_for_each_other(backend: Backend) -> None:
    async with backend.cluster() as site, anyio.create_task_group() as tasks:
        for name in (NODE, "node-2"):
            await site.create_node(name)
            await site.request_reboot(name)
        inside = anyio.Event()

        async def first() -> None:
            async with site.dpf.node(NODE).external_reboot(timeout=60):
                inside.set()
                await anyio.sleep_forever()

        tasks.start_soon(first)
        await inside.wait()
        async with site.dpf.node("node-2").external_reboot(timeout=60) as request:
            assert request.node == "node-2"
        tasks.cancel_scope.cancel()

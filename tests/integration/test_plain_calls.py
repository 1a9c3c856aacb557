"""The requirement's calls that read or answer once, without waiting for a request; also for absent objects."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.errors import NotFound, UsageError
from dpf_async.models import BFB, DPU, DPUDeployment, DPUFlavor, DPUNode, DPUNodeMaintenance, known
from tests.integration.backends import Backend
from tests.integration.test_setup import site_of
from tests.support.cluster import NODE, Cluster, Server
from tests.support.states import condition
from tests.support.timeouts import times_out

FINALIZER = {"metadata": {"finalizers": ["example.com/stays"]}}


async def dpu_in(site: Cluster[Server], phase: str, *, name: str = "dpu-1") -> DPU:
    """A DPU in this phase, without an operator."""
    spec = {
        "dpuNodeName": NODE,
        "dpuDeviceName": "device-1",
        "serialNumber": "MT1",
        "bfb": "bfb",
        "dpuFlavor": "flavor",
        "nodeEffect": {"hold": True},
    }
    await site.dpf.resource(DPU).create(DPU.model_validate({"metadata": {"name": name}, "spec": spec}))
    conditions = [condition("Ready", reason="DPUReady")] if phase == "Ready" else []
    return await site.dpf.resource(DPU).patch_status(
        name, {"status": {"phase": phase, "conditions": conditions}}
    )


# IsDPUReady


async def test_is_dpu_ready_reads_the_current_state_from_the_server(backend: Backend) -> None:
    async with backend.cluster() as site:
        await dpu_in(site, "Ready")
        assert await site.dpf.is_dpu_ready("dpu-1")

        await site.dpf.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Node Effect"}})
        assert not await site.dpf.is_dpu_ready("dpu-1")


async def test_a_dpu_that_is_being_deleted_is_not_ready_and_an_absent_one_is_not_found(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        await dpu_in(site, "Ready")
        await site.dpf.resource(DPU).patch("dpu-1", FINALIZER)
        await site.dpf.resource(DPU).delete("dpu-1")

        assert not await site.dpf.is_dpu_ready("dpu-1")
        with pytest.raises(NotFound, match="DPU no-such-dpu"):
            await site.dpf.is_dpu_ready("no-such-dpu")


# IsDPUNodeWaitingForReboot, MarkDPUNodeAsRebooted


async def test_a_node_waits_for_a_reboot_from_the_request_to_the_confirmation(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        before = await site.dpf.is_dpu_node_waiting_for_reboot(NODE)
        await site.request_reboot()
        during = await site.dpf.is_dpu_node_waiting_for_reboot(NODE)

        first = await site.dpf.mark_dpu_node_rebooted(NODE)
        again = await site.dpf.mark_dpu_node_rebooted(NODE)

        assert (before, during) == (False, True)
        assert (first, again) == (True, False)
        assert not await site.dpf.is_dpu_node_waiting_for_reboot(NODE)
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()


async def test_a_node_that_does_not_exist_is_not_found(backend: Backend) -> None:
    async with backend.cluster() as site:
        for call in (site.dpf.is_dpu_node_waiting_for_reboot, site.dpf.mark_dpu_node_rebooted):
            with pytest.raises(NotFound, match="DPUNode no-such-node"):
                await call("no-such-node")


async def test_a_node_that_is_being_deleted_waits_for_no_reboot_and_can_still_be_confirmed(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()
        await site.dpf.resource(DPUNode).patch(NODE, FINALIZER)
        await site.dpf.resource(DPUNode).delete(NODE)

        assert not await site.dpf.is_dpu_node_waiting_for_reboot(NODE)
        assert await site.dpf.mark_dpu_node_rebooted(NODE)


async def test_mark_rebooted_with_a_timeout_waits_until_the_operator_accepts_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.request_reboot()

        await times_out(
            lambda seconds: site.dpf.mark_dpu_node_rebooted(NODE, timeout=seconds),
            "done with the reboot",
        )

        await site.request_reboot()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: site.dpf.mark_dpu_node_rebooted(NODE, timeout=60))
            await site.write_conditions(DPUNode, NODE, [condition("DPUNodeRebootInProgress", "False")])


# MarkDPUNodeAsReadyForMaintenance


async def test_a_hold_is_released_once_and_a_second_release_is_no_error(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.hold(name="by-another-name")

        first = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)
        again = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)

        assert (first, again) == (True, False)
        assert await site.hold_annotation("by-another-name") == "false"


async def test_a_hold_is_never_released_in_advance(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        with pytest.raises(NotFound, match="is not held"):
            await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)

        await site.hold()
        await site.dpf.resource(DPUNodeMaintenance).patch(
            f"{NODE}-hold", {"metadata": {"annotations": {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: None}}}
        )
        with pytest.raises(NotFound, match="is not held"):
            await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)

        assert await site.hold_annotation() is None


async def test_a_hold_is_released_in_advance_only_if_the_caller_wants_that(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()
        await site.hold()
        await site.dpf.resource(DPUNodeMaintenance).patch(
            f"{NODE}-hold", {"metadata": {"annotations": {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: None}}}
        )
        with pytest.raises(NotFound, match="waits for other DPUs of the node"):
            await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)

        first = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE, in_advance=True)
        again = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE, in_advance=True)

        assert (first, again) == (True, False)
        assert await site.hold_annotation() == "false"


async def test_an_absent_hold_cannot_be_released_in_advance(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.create_node()

        with pytest.raises(NotFound, match="DPF has not requested a release"):
            await site.dpf.mark_dpu_node_ready_for_maintenance(NODE, in_advance=True)
        with pytest.raises(NotFound, match="DPUNode no-such-node"):
            await site.dpf.mark_dpu_node_ready_for_maintenance("no-such-node")


async def test_a_hold_that_is_being_deleted_or_of_another_node_is_not_released(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.hold(node="node-2")
        await site.hold()
        await site.dpf.resource(DPUNodeMaintenance).patch(f"{NODE}-hold", FINALIZER)
        await site.dpf.resource(DPUNodeMaintenance).delete(f"{NODE}-hold")

        with pytest.raises(NotFound):
            await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)

        assert await site.hold_annotation("node-2-hold") == "true"


async def test_released_with_a_timeout_it_returns_when_the_effect_is_applied(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.hold()
        await times_out(
            lambda seconds: site.dpf.mark_dpu_node_ready_for_maintenance(NODE, timeout=seconds),
            "DPUNodeMaintenance node-1-hold: not applied",
        )

        await site.hold(node="node-2")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: site.dpf.mark_dpu_node_ready_for_maintenance("node-2", timeout=60))
            await site.write_conditions(
                DPUNodeMaintenance, "node-2-hold", [condition("NodeEffectApplied", reason="Success")]
            )


# UpdateDPUDeploymentBFB, UpdateDPUDeploymentConfiguration


async def test_a_deployment_gets_another_bfb_only_if_that_one_is_ready(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).create(
            BFB.model_validate({"metadata": {"name": "newer"}, "spec": {"url": "https://example.com/n.bfb"}})
        )

        with pytest.raises(UsageError, match="BFB newer is in phase Initializing"):
            await site.dpf.update_dpu_deployment_bfb("compute", "newer")
        await site.dpf.resource(BFB).patch_status("newer", {"status": {"phase": "Ready"}})
        first = await site.dpf.update_dpu_deployment_bfb("compute", "newer")
        again = await site.dpf.update_dpu_deployment_bfb("compute", "newer")

        assert (first.changed, again.changed) == (True, False)
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "newer"


async def test_a_deployment_gets_another_flavor_only_if_it_exists(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        with pytest.raises(NotFound, match="DPUFlavor newer"):
            await site.dpf.update_dpu_deployment_configuration("compute", "newer")
        await site.dpf.resource(DPUFlavor).create(
            DPUFlavor.model_validate({"metadata": {"name": "newer"}, "spec": {}})
        )
        first = await site.dpf.update_dpu_deployment_configuration("compute", "newer")
        again = await site.dpf.update_dpu_deployment_configuration("compute", "newer")

        assert (first.changed, again.changed) == (True, False)
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.flavor == "newer"


async def test_a_deployment_that_is_absent_or_being_deleted_is_not_changed(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        await site.dpf.resource(DPUDeployment).patch("compute", FINALIZER)
        await site.dpf.resource(DPUDeployment).delete("compute")

        with pytest.raises(NotFound, match="DPUDeployment no-such"):
            await site.dpf.update_dpu_deployment_bfb("no-such", "bfb")
        with pytest.raises(UsageError, match="DPUDeployment compute is being deleted"):
            await site.dpf.update_dpu_deployment_bfb("compute", "bfb")
        with pytest.raises(UsageError, match="DPUDeployment compute is being deleted"):
            await site.dpf.update_dpu_deployment_configuration("compute", "flavor")


@pytest.mark.parametrize("kind", [BFB, DPUFlavor])
async def test_a_bfb_or_flavor_that_is_being_deleted_is_not_accepted(
    backend: Backend, kind: type[BFB | DPUFlavor]
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        name = "bfb" if kind is BFB else "flavor"
        await site.dpf.resource(kind).patch(name, FINALIZER)
        await site.dpf.resource(kind).delete(name)

        update = (
            site.dpf.update_dpu_deployment_bfb
            if kind is BFB
            else site.dpf.update_dpu_deployment_configuration
        )
        with pytest.raises(UsageError, match=f"{kind.KIND} {name} is being deleted"):
            await update("compute", name)


async def test_the_timeout_of_an_update_says_that_the_operator_has_not_accepted_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        await times_out(
            lambda seconds: site.dpf.update_dpu_deployment_configuration(
                "compute", "flavor", timeout=seconds
            ),
            "DPUDeployment compute: not accepted .* waits for the operator",
        )

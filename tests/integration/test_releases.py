"""Stale releases: a hold released for a deleted DPU does not permit the disruption for the next one.

Source: docs/dpf/hold.md#stale-release.
"""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPFClient, HostSpec, NodeView, ObjectState, Progress, provision
from dpf_async._transitions.levels import Level
from dpf_async.errors import DPUFailed, StaleRelease
from dpf_async.levels import node_effect_held
from dpf_async.models import DPU, DPUNodeMaintenance, known
from dpf_async.sim import Simulator
from tests.integration.backends import Backend
from tests.integration.test_flows import Carbide
from tests.support.cluster import Cluster, Server
from tests.support.states import condition
from tests.support.timeouts import times_out

SERVICE = "dpf-operator-system_compute_dts"
HOST = HostSpec.model_validate(
    {
        "name": "node-1",
        "devices": [{"name": "device-1", "serialNumber": "MT1", "bmcIp": "10.0.0.1"}],
    }
)


async def failed_host(sim: Simulator, dpf: DPFClient, carbide: Carbide) -> NodeView:
    """A host whose only DPU failed after the hold was released; its services still request the maintenance."""
    await sim.define_site()
    sim.trouble("install_failed")
    host = sim.host()
    with pytest.raises(DPUFailed):
        await carbide.provision(host)
    sim.repair()
    await sim.settled()
    return await dpf.node(host.name).view()


async def test_reprovisioning_a_failed_dpu_requests_a_hold_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        carbide = Carbide(dpf)
        failed = await failed_host(sim, dpf, carbide)
        reported: list[Progress] = []

        after = await carbide.reprovision(failed.name, dict(failed.uids), progress=reported.append)

        assert after.ready
        assert carbide.times("drain") == 2, "once for the DPU that failed, once for its successor"
        assert any("DPF will request the hold again" in str(progress) for progress in reported)


async def test_reprovision_dpu_of_a_failed_dpu_requests_a_hold_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        failed = await failed_host(sim, dpf, Carbide(dpf))

        new = await dpf.reprovision_dpu(failed.dpus[0].name, timeout=60)

        held = await dpf.node(failed.name).until(node_effect_held, timeout=60)
        assert held.dpus[0].uid == new.uid


async def test_a_refused_stale_release_deletes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        carbide = Carbide(dpf)
        failed = await failed_host(sim, dpf, carbide)
        dpu = failed.dpus[0]

        with pytest.raises(StaleRelease, match="nothing was deleted") as caught:
            await carbide.reprovision(failed.name, dict(failed.uids), if_released="refuse")
        with pytest.raises(StaleRelease):
            await dpf.reprovision_dpu(dpu.name, if_released="refuse")

        assert caught.value.dpus == (dpu.name,)
        assert caught.value.maintenance in str(caught.value)
        assert (await dpf.resource(DPU).get(dpu.name)).uid == dpu.uid


async def test_an_accepted_stale_release_is_used_and_reported(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        carbide = Carbide(dpf)
        failed = await failed_host(sim, dpf, carbide)
        reported: list[Progress] = []

        after = await carbide.reprovision(
            failed.name, dict(failed.uids), if_released="accept", progress=reported.append
        )

        assert after.ready
        assert carbide.times("drain") == 1
        assert any("are provisioned on it" in str(progress) for progress in reported)


async def test_a_reprovisioned_dpu_requests_a_hold_again_during_provisioning(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.node_waiting_for_external_reboot()
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, dict(before.uids))

        assert after.ready
        assert carbide.times("drain") == 1


async def test_a_dpu_shares_the_released_hold_of_another_dpu_in_progress(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.node_waiting_for_external_reboot(2)
        old = before.dpus[0]
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, {old.name: old.uid}, if_released="refuse")

        assert after.ready
        assert carbide.times("drain") == 0


# provision() of a host whose DPU another client deleted.


async def stale(site: Cluster[Server]) -> None:
    """A released hold that only a service requests, and a DPU that is about to join it."""
    await site.dpf.create_dpu_node(HOST.name, HOST.devices)
    await site.hold()
    patch = {"spec": {"requestor": [SERVICE]}}
    await site.dpf.resource(DPUNodeMaintenance).patch("node-1-hold", patch)
    await site.dpf.mark_dpu_node_ready_for_maintenance("node-1")
    await site.write_conditions(
        DPUNodeMaintenance, "node-1-hold", [condition("NodeEffectApplied", reason="Success")]
    )
    spec = {
        "dpuNodeName": "node-1",
        "dpuDeviceName": "device-1",
        "serialNumber": "MT1",
        "bfb": "bfb",
        "dpuFlavor": "flavor",
        "nodeEffect": {"hold": True},
    }
    await site.dpf.resource(DPU).create(
        DPU.model_validate({"metadata": {"name": "node-1-device-1"}, "spec": spec})
    )


async def nothing(_: str) -> None:
    """No work is needed."""


async def test_provision_refuses_a_stale_release(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)

        with pytest.raises(StaleRelease, match="node-1-hold was released for DPUs that are deleted"):
            await provision(site.dpf, HOST, reboot=nothing, if_released="refuse", timeout=60)


async def test_provision_withdraws_a_stale_release(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)
        unrequested: Level[ObjectState[DPUNodeMaintenance]] = Level(
            "without requestors", lambda state: not state.object.spec.requestor
        )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: provision(site.dpf, HOST, reboot=nothing, timeout=60))
            await site.dpf.handle(DPUNodeMaintenance, "node-1-hold").until(unrequested, timeout=60)
            tasks.cancel_scope.cancel()

        assert await site.hold_annotation() == "false", "its controller deletes the maintenance"


async def test_provision_waits_for_a_dpu_that_uses_an_accepted_release(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)

        await times_out(
            lambda seconds: provision(site.dpf, HOST, reboot=nothing, if_released="accept", timeout=seconds),
            "node-1-device-1 Initializing",
        )

        maintenance = await site.dpf.resource(DPUNodeMaintenance).get("node-1-hold")
        assert maintenance.spec.requestor == (SERVICE,)


async def test_provision_raises_when_a_dpu_already_used_the_stale_release(backend: Backend) -> None:
    async with backend.cluster() as site, site.another_client() as operator:
        await stale(site)
        await site.dpf.node("node-1").view()
        site.server.faults.watch_lag = 30.0
        joined = {"spec": {"requestor": [SERVICE, "node-1-device-1"]}}
        await operator.resource(DPUNodeMaintenance).patch("node-1-hold", joined)

        with pytest.raises(StaleRelease, match="node-1-device-1 have used it meanwhile"):
            await provision(site.dpf, HOST, reboot=nothing, timeout=60)

        maintenance = await operator.resource(DPUNodeMaintenance).get("node-1-hold")
        assert maintenance.spec.requestor == (SERVICE, "node-1-device-1")
        assert known.WAIT_FOR_EXTERNAL_NODE_EFFECT in maintenance.metadata.annotations

"""A hold that was released for a DPU that is gone: the next one does not pass on it unnoticed (dpf-facts 5)."""

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
from tests.support.timeouts import in_vain

SERVICE = "dpf-operator-system_compute_dts"
HOST = HostSpec.model_validate(
    {
        "name": "node-1",
        "devices": [{"name": "device-1", "serialNumber": "MT1", "bmcIp": "10.0.0.1"}],
    }
)


async def failed_host(sim: Simulator, dpf: DPFClient, carbide: Carbide) -> NodeView:
    """A host whose only DPU failed after the hold was released; its services still ask."""
    await sim.define_site()
    sim.trouble("install_failed")
    host = sim.host()
    with pytest.raises(DPUFailed):
        await carbide.provision(host)
    sim.repair()
    await sim.settled()
    return await dpf.node(host.name).view()


async def test_reprovisioning_a_failed_dpu_has_dpf_ask_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        carbide = Carbide(dpf)
        failed = await failed_host(sim, dpf, carbide)
        heard: list[Progress] = []

        after = await carbide.reprovision(failed.name, dict(failed.uids), progress=heard.append)

        assert after.ready
        assert carbide.times("drain") == 2, "once for the DPU that failed, once for its successor"
        assert any("has DPF ask again" in str(progress) for progress in heard)


async def test_the_plain_call_has_dpf_ask_again_too(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        failed = await failed_host(sim, dpf, Carbide(dpf))

        new = await dpf.reprovision_dpu(failed.dpus[0].name, timeout=60)

        held = await dpf.node(failed.name).until(node_effect_held, timeout=60)
        assert held.dpus[0].uid == new.uid


async def test_refused_nothing_is_deleted(backend: Backend) -> None:
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


async def test_accepted_the_new_dpu_passes_and_that_is_told(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        carbide = Carbide(dpf)
        failed = await failed_host(sim, dpf, carbide)
        heard: list[Progress] = []

        after = await carbide.reprovision(
            failed.name, dict(failed.uids), if_released="accept", progress=heard.append
        )

        assert after.ready
        assert carbide.times("drain") == 1
        assert any("will pass on it" in str(progress) for progress in heard)


async def test_a_dpu_made_anew_on_its_way_asks_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.node_waiting_for_external_reboot()
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, dict(before.uids))

        assert after.ready
        assert carbide.times("drain") == 1


async def test_a_sibling_on_its_way_shares_its_permission(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.node_waiting_for_external_reboot(2)
        old = before.dpus[0]
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, {old.name: old.uid}, if_released="refuse")

        assert after.ready
        assert carbide.times("drain") == 0


# A DPU that somebody else deleted: provision() meets its successor.


async def stale(site: Cluster[Server]) -> None:
    """A released hold that only a service uses, and a DPU that is about to join it."""
    await site.dpf.create_dpu_node(HOST.name, HOST.devices)
    await site.hold()
    patch = {"spec": {"requestor": [SERVICE]}}
    await site.dpf.resource(DPUNodeMaintenance).patch("node-1-hold", patch)
    await site.dpf.mark_dpu_node_ready_for_maintenance("node-1")
    await site.say(DPUNodeMaintenance, "node-1-hold", [condition("NodeEffectApplied", reason="Success")])
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
    """Work that is none."""


async def test_a_dpu_that_is_about_to_pass_is_seen_and_refused(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)

        with pytest.raises(StaleRelease, match="node-1-hold was released for DPUs that are gone"):
            await provision(site.dpf, HOST, reboot=nothing, if_released="refuse", timeout=60)


async def test_a_dpu_that_is_about_to_pass_is_made_to_ask(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)
        nobody: Level[ObjectState[DPUNodeMaintenance]] = Level(
            "without requestors", lambda state: not state.object.spec.requestor
        )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: provision(site.dpf, HOST, reboot=nothing, timeout=60))
            await site.dpf.handle(DPUNodeMaintenance, "node-1-hold").until(nobody, timeout=60)
            tasks.cancel_scope.cancel()

        assert await site.hold_annotation() == "false", "it is for its controller to delete it"


async def test_a_dpu_that_may_pass_is_waited_for(backend: Backend) -> None:
    async with backend.cluster() as site:
        await stale(site)

        await in_vain(
            lambda seconds: provision(site.dpf, HOST, reboot=nothing, if_released="accept", timeout=seconds),
            "node-1-device-1 Initializing",
        )

        maintenance = await site.dpf.resource(DPUNodeMaintenance).get("node-1-hold")
        assert maintenance.spec.requestor == (SERVICE,)


async def test_where_it_is_too_late_to_ask_the_flow_ends_and_says_so(backend: Backend) -> None:
    async with backend.cluster() as site, site.another_client() as operator:
        await stale(site)
        await site.dpf.node("node-1").view()
        site.server.faults.watch_lag = 30.0
        joined = {"spec": {"requestor": [SERVICE, "node-1-device-1"]}}
        await operator.resource(DPUNodeMaintenance).patch("node-1-hold", joined)

        with pytest.raises(StaleRelease, match="node-1-device-1 went past it meanwhile, without asking"):
            await provision(site.dpf, HOST, reboot=nothing, timeout=60)

        maintenance = await operator.resource(DPUNodeMaintenance).get("node-1-hold")
        assert maintenance.spec.requestor == (SERVICE, "node-1-device-1")
        assert known.WAIT_FOR_EXTERNAL_NODE_EFFECT in maintenance.metadata.annotations

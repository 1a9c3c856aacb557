"""Whole roads on the simulated site: hosts from unknown to Ready, and from Ready to Ready again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from dpf_async import DPFClient, HostSpec, NodeView, Progress, provision, reprovision
from dpf_async.errors import DPUFailed, Forbidden, WaitTimeout
from dpf_async.levels import Level, external_reboot_required, node_effect_held, services_ready
from dpf_async.models import DPUDeployment, DPUService, DPUServiceTemplate
from dpf_async.sim import Simulator
from dpf_async.sim.simulator import PASSWORD, minimal_site
from dpf_async.specs import device_name, node_name
from tests.integration.backends import Backend
from tests.support.timeouts import in_vain, longer_than, more_and_more


class Carbide:
    """What a bare-metal manager does to hosts, counted; and anything a test wants to happen in between."""

    def __init__(self, dpf: DPFClient) -> None:
        self.dpf = dpf
        self.done: list[tuple[str, str]] = []
        self.when: Callable[[str], Awaitable[object]] | None = None

    async def reboot(self, node: str) -> None:
        if self.when is not None:
            await self.when("reboot")
        self.done.append(("reboot", node))

    async def drain(self, node: str) -> None:
        if self.when is not None:
            await self.when("drain")
        self.done.append(("drain", node))

    def times(self, what: str) -> int:
        return sum(done == what for done, _ in self.done)

    async def provision(self, host: HostSpec, *, timeout: float = 60, **choices: Any) -> NodeView:
        return await provision(
            self.dpf, host, reboot=self.reboot, node_effect=self.drain, timeout=timeout, **choices
        )

    async def reprovision(
        self, node: str, replacing: dict[str, str] | None, *, timeout: float = 60, **choices: Any
    ) -> NodeView:
        return await reprovision(
            self.dpf,
            node,
            reboot=self.reboot,
            node_effect=self.drain,
            replacing=replacing,
            timeout=timeout,
            **choices,
        )


class Asked:
    """How often DPF asked its two questions of a host: counted in every state, since a reader may miss some.

    How often it asks for a reboot is its own affair where a host has several DPUs: one that comes to it after its
    sibling's was answered has the host rebooted again (dpf-facts 3.4).
    """

    def __init__(self) -> None:
        self.holds = 0
        self.reboots = 0
        self.level: Level[NodeView] = Level("asked", self._count, survives_failure=True)
        self._before = (False, False)

    def _count(self, view: NodeView) -> bool:
        now = (node_effect_held.holds(view), external_reboot_required.holds(view))
        self.holds += now[0] and not self._before[0]
        self.reboots += now[1] and not self._before[1]
        self._before = now
        return False


@asynccontextmanager
async def counted(sim: Simulator, node: str) -> AsyncIterator[Asked]:
    """What DPF asks of a host while the block runs; all of it has been seen when the block is left."""
    asked = Asked()
    async with sim.client() as watcher, watcher.node(node).observe(asked.level):
        yield asked
        await sim.settled()
        await watcher.node(node).until(~(node_effect_held | external_reboot_required), timeout=60)


@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize(
    ("troubles", "reboots"), [(["no_reboot"], 0), ([], 1), (["reboots=3"], 3)], ids=["none", "one", "three"]
)
async def test_a_host_comes_to_ready_with_as_many_reboots_as_dpf_asks_for(
    backend: Backend, devices: int, troubles: list[str], reboots: int
) -> None:
    async with backend.simulator(troubles=troubles) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=devices)

        async with counted(sim, host.name) as asked:
            view = await carbide.provision(host)

        assert view.ready
        assert len(view.dpus) == devices
        assert carbide.times("reboot") == asked.reboots
        assert reboots <= asked.reboots <= reboots * devices
        assert carbide.times("drain") == 1, "the hold of a host is shared by its DPUs"


async def test_one_power_cycle_per_request_even_when_the_watch_lags(backend: Backend) -> None:
    async with backend.simulator(troubles=["reboots=2"], watch_lag=0.05) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=2)

        async with counted(sim, host.name) as asked:
            await carbide.provision(host)

        assert (carbide.times("drain"), carbide.times("reboot")) == (1, asked.reboots)
        assert asked.reboots >= 2


async def test_two_workers_on_one_host_do_its_work_once_and_both_see_it_ready(backend: Backend) -> None:
    async with backend.simulator(troubles=["reboots=2"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=2)
        views: list[NodeView] = []

        async def worker() -> None:
            views.append(await carbide.provision(host))

        async with counted(sim, host.name) as asked, anyio.create_task_group() as tasks:
            tasks.start_soon(worker)
            tasks.start_soon(worker)

        assert [view.ready for view in views] == [True, True]
        assert (carbide.times("drain"), carbide.times("reboot")) == (1, asked.reboots)
        assert asked.reboots >= 2


async def test_a_dpu_that_comes_late_to_its_reboot_has_the_host_rebooted_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        sim.trouble("late_sibling", device=host.devices[1].name)
        carbide = Carbide(dpf)

        view = await carbide.provision(host)

        assert view.ready
        assert carbide.times("reboot") == 2


async def test_a_group_without_a_hold_is_not_drained(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        effect = {"hold": None, "noEffect": True}
        await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"nodeEffect": effect}}})
        await dpf.site_accepted(minimal_site(), timeout=60)
        carbide = Carbide(dpf)

        view = await carbide.provision(sim.host())

        assert view.ready
        assert carbide.times("drain") == 0


async def test_without_a_drain_of_its_own_the_flow_releases_the_hold(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)

        view = await provision(dpf, sim.host(), reboot=carbide.reboot, timeout=60)

        assert view.ready


async def test_provisioning_a_ready_host_again_returns_at_once_and_does_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()
        first = await carbide.provision(host)

        again = await carbide.provision(host)

        assert again.uids == first.uids
        assert len(carbide.done) == 2


async def test_a_failed_power_cycle_ends_the_flow_and_the_next_call_goes_on_from_there(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()

        async def refuse(what: str) -> None:
            if what == "reboot":
                raise OSError("the BMC does not answer")

        carbide.when = refuse
        with pytest.raises(OSError, match="BMC does not answer"):
            await carbide.provision(host)
        still_asked = await dpf.is_dpu_node_waiting_for_reboot(host.name)
        carbide.when = None
        view = await carbide.provision(host)

        assert still_asked
        assert view.ready
        assert carbide.done == [("drain", host.name), ("reboot", host.name)]


async def test_the_flows_deadline_does_not_cut_a_power_cycle_short(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()
        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await dpf.node(host.name).until(node_effect_held, timeout=60)
        expired = anyio.Event()

        async def outlast(what: str) -> None:
            await longer_than(limit)
            expired.set()

        carbide.when = outlast
        for limit in more_and_more():
            with pytest.raises(WaitTimeout):
                await carbide.provision(host, timeout=limit)
            if carbide.done:
                break

        assert expired.is_set()
        assert carbide.done == [("drain", host.name)]
        assert await dpf.mark_dpu_node_ready_for_maintenance(host.name) is False, "the answer was written"


async def test_a_dpu_in_error_ends_the_flow_with_its_name_and_the_reason(backend: Backend) -> None:
    async with backend.simulator(troubles=["install_failed"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)

        with pytest.raises(
            DPUFailed, match=r"DPU node-.* is in phase Error: BFBTransferred is False"
        ) as caught:
            await carbide.provision(sim.host())

        assert caught.value.reason == "FailToInstall"


async def test_a_host_that_gets_nowhere_is_a_timeout_that_says_where_each_dpu_is(backend: Backend) -> None:
    async with backend.simulator(troubles=["bmc_password_wrong"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide, host = Carbide(dpf), sim.host()
        stuck: Level[NodeView] = Level(
            "stuck", lambda view: any(dpu.phase == "Initialize Interface" for dpu in view.dpus)
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carbide.provision, host)
            await dpf.node(host.name).until(stuck, timeout=60)
            await sim.settled()
            tasks.cancel_scope.cancel()

        await in_vain(
            lambda seconds: carbide.provision(host, timeout=seconds),
            r"Initialize Interface \(InterfaceInitialized: DPUDeviceNotReady\)",
        )


async def test_a_phase_of_a_newer_release_on_the_way_is_no_obstacle(backend: Backend) -> None:
    async with backend.simulator(troubles=["newer_phase"]) as sim, sim.client() as dpf:
        await sim.define_site()

        assert (await Carbide(dpf).provision(sim.host())).ready


@pytest.mark.parametrize("devices", [1, 2])
async def test_reprovisioning_makes_every_dpu_anew_and_never_takes_the_old_ones_ready_for_the_new_ones(
    backend: Backend, devices: int
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node(devices)
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, dict(before.uids))

        assert after.ready
        assert after.uids.keys() == before.uids.keys()
        assert not set(after.uids.values()) & set(before.uids.values())
        assert (carbide.times("drain"), carbide.times("reboot")) == (1, 1)


async def test_one_dpu_of_a_host_can_be_made_anew_and_the_other_stays(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node(2)
        old, other = before.dpus
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, {old.name: old.uid})

        assert after.uids[other.name] == other.uid
        assert after.uids[old.name] != old.uid


async def test_reprovisioning_again_with_the_same_uids_makes_nothing_anew(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node()
        carbide = Carbide(dpf)
        first = await carbide.reprovision(before.name, dict(before.uids))

        again = await carbide.reprovision(before.name, dict(before.uids))

        assert again.uids == first.uids
        assert len(carbide.done) == 2


async def test_a_dpu_in_error_is_brought_to_ready_by_reprovisioning_it(backend: Backend) -> None:
    async with backend.simulator(troubles=["install_failed"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()
        with pytest.raises(DPUFailed):
            await carbide.provision(host)
        failed = await dpf.node(host.name).view()

        sim.repair()
        after = await carbide.reprovision(host.name, dict(failed.uids))

        assert after.ready


async def test_a_ready_host_that_asks_again_for_a_disruptive_change_is_attended_again(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        site = minimal_site()
        dts = site.services["dts"].model_copy(update={"disruptive": True})
        await dpf.create_initialization_objects(
            site.model_copy(update={"services": {"dts": dts}}), bmc_password=PASSWORD
        )
        await dpf.site_accepted(site, timeout=60)
        host, carbide = sim.host(), Carbide(dpf)
        before = await carbide.provision(host)

        chart = {"spec": {"helmChart": {"source": {"version": "2.0.0"}}}}
        await dpf.resource(DPUServiceTemplate).patch("dts", chart)
        await dpf.node(host.name).until(node_effect_held, timeout=60)
        after = await carbide.provision(host)

        assert after.ready
        assert after.uids == before.uids, "nothing is installed again"
        assert (carbide.times("drain"), carbide.times("reboot")) == (2, 1)


async def test_names_made_of_macs_are_within_every_limit(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        found = sim.host(node_name("02:00:00:00:0A:01"))
        (device,) = found.devices
        host = found.model_copy(
            update={"devices": (device.model_copy(update={"name": device_name("02:00:00:00:0B:01")}),)}
        )

        view = await Carbide(dpf).provision(host)

        assert [dpu.name for dpu in view.dpus] == ["node-02-00-00-00-0a-01-device-02-00-00-00-0b-01"]


# Services.


async def test_services_are_waited_for_if_that_is_wanted(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        view = await Carbide(dpf).provision(sim.host(devices=2), services=True)

        assert view.ready
        assert view.services_ready


async def test_a_service_that_does_not_come_up_is_named(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        ready = await sim.ready_node()
        (service,) = (await dpf.resource(DPUService).list()).items
        sim.trouble("critical_service_down")
        await dpf.node(ready.name).until(~services_ready, timeout=60)
        named = rf"DPUServiceCriticalPodsReady is False \(PodsNotReady: .*{service.name}-"
        heard: list[str] = []

        await in_vain(
            lambda seconds: dpf.node(ready.name).until(services_ready, timeout=seconds),
            f"DPUNode {ready.name}: not services ready .*{named}",
        )
        await in_vain(
            lambda seconds: Carbide(dpf).reprovision(
                ready.name, {}, services=True, timeout=seconds, progress=lambda one: heard.append(str(one))
            ),
            named,
        )

        assert re.search(named, heard[-1])
        assert (await Carbide(dpf).reprovision(ready.name, {})).ready, "they are not waited for unasked"


async def test_a_service_that_keeps_a_dpu_from_becoming_ready_is_named(backend: Backend) -> None:
    async with backend.simulator(troubles=["critical_service_down"]) as sim, sim.client() as dpf:
        await sim.define_site()
        (service,) = (await dpf.resource(DPUService).list()).items
        host = sim.host()
        who, why = f"is still needed by {dpf.namespace}_compute_{service.name}", f"0/1 Pods): {service.name}-"
        healed: list[str] = []

        def heal_once_it_is_named(progress: Progress) -> None:
            if who in str(progress) and why in str(progress):
                healed.append(str(progress))
                sim.repair()

        view = await Carbide(dpf).provision(host, progress=heal_once_it_is_named)

        assert view.ready
        assert healed


# A sibling in Error.


async def test_a_failed_dpu_is_told_with_where_its_siblings_are(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        bad, good = (device.name for device in host.devices)
        sim.trouble("install_failed", device=bad)

        with pytest.raises(DPUFailed, match=f"the host's other DPUs.*{host.name}-{good} ") as caught:
            await Carbide(dpf).provision(host)

        assert caught.value.dpu == f"{host.name}-{bad}"


async def test_the_others_are_brought_as_far_as_they_get_if_that_is_wanted(backend: Backend) -> None:
    async with backend.simulator(troubles=["reboots=2"]) as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=3)
        bad = host.devices[1].name
        sim.trouble("install_failed", device=bad)
        carbide = Carbide(dpf)

        async with counted(sim, host.name) as asked:
            with pytest.raises(DPUFailed) as caught:
                await carbide.provision(host, if_failed="finish_others")

        assert caught.value.dpu == f"{host.name}-{bad}"
        assert carbide.times("reboot") == asked.reboots >= 2
        others = [dpu for dpu in caught.value.view.dpus if dpu.device != bad]
        assert all(dpu.ready or dpu.phase == "Node Effect Removal" for dpu in others)
        sim.repair()
        failed = caught.value.view.dpu(caught.value.dpu)
        assert (await carbide.reprovision(host.name, {failed.name: failed.uid})).ready


# Progress.


async def test_a_flow_tells_what_it_does_and_what_it_waits_for(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        heard: list[Progress] = []

        await Carbide(dpf).provision(host, progress=heard.append)

        assert {progress.flow for progress in heard} == {"provision"}
        told = [str(progress) for progress in heard]
        order = [
            f"DPUDevice {host.devices[0].name}: created",
            f"DPUNode {host.name}: created",
            f"DPUNode {host.name}: is made free to be disturbed",
            f"DPUNode {host.name}: may be disturbed; releases {host.name}-hold",
            f"DPUNode {host.name}: is rebooted for {host.name}-{host.devices[0].name}",
            f"DPUNode {host.name}: was rebooted",
        ]
        assert [one for one in told if one in order] == order
        assert any("not ready yet; phases: " in one for one in told)


async def test_what_a_listener_raises_ends_the_flow(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        def refuse(progress: Progress) -> None:
            if "phases" in progress.doing:
                raise RuntimeError("nobody listens")

        with pytest.raises(RuntimeError, match="nobody listens"):
            await Carbide(dpf).provision(sim.host(), progress=refuse)


async def test_a_permission_missing_in_the_middle_leaves_the_question_standing() -> None:
    async with Simulator(tokens={"token": "carbide"}) as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        carbide = Carbide(dpf)
        sim.server.faults.deny(user="carbide", verb="patch", resource="dpunodemaintenances")

        with pytest.raises(Forbidden, match=f"DPUNodeMaintenance {host.name}-hold"):
            await carbide.provision(host)
        sim.server.faults.allow()

        assert (await carbide.provision(host)).ready


KILL_POINTS = range(1, 8)


@pytest.mark.parametrize("point", KILL_POINTS)
@pytest.mark.parametrize("flow", ["provision", "reprovision"])
async def test_a_worker_killed_at_any_point_and_started_again_answers_each_request_once_and_forgets_none(
    backend: Backend, flow: str, point: int
) -> None:
    async with backend.simulator(troubles=["reboots=2"]) as sim:
        if flow == "provision":
            await sim.define_site()
            host = sim.host(devices=2)
            replacing: dict[str, str] = {}
        else:
            ready = await sim.ready_node(2)
            host = HostSpec(name=ready.name, devices=sim.host(devices=2).devices)
            replacing = dict(ready.uids)

        async def run(carbide: Carbide) -> NodeView:
            if flow == "provision":
                return await carbide.provision(host)
            return await carbide.reprovision(host.name, replacing)

        async with counted(sim, host.name) as asked:
            async with sim.client() as dpf:
                killed = Carbide(dpf)
                await _killed(sim, lambda: run(killed), at=point * 6)
            async with sim.client() as dpf:
                restarted = Carbide(dpf)
                finished = await run(restarted)

        assert finished.ready
        assert not set(finished.uids.values()) & set(replacing.values())
        assert asked.holds == 1
        assert asked.reboots >= 2
        # Work that was killed between a reboot and its answer is done again.
        rebooted = killed.times("reboot") + restarted.times("reboot")
        assert asked.reboots <= rebooted <= asked.reboots + 1


async def _killed(sim: Simulator, worker: Callable[[], Awaitable[object]], *, at: int) -> None:
    """Run a worker, and kill it with the at-th transition of the site."""

    async def killer(*, task_status: TaskStatus[None]) -> None:
        async with sim.client() as other, other.transitions() as stream:
            task_status.started()
            seen = 0
            async for _ in stream:
                seen += 1
                if seen >= at:
                    break
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        await tasks.start(killer)
        await worker()
        pytest.fail(f"the worker was done before the site had made {at} transitions")

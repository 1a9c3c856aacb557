"""Flows on the simulated site: hosts are provisioned and reprovisioned."""

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
from tests.support.timeouts import growing_timeouts, outlast, times_out


class Carbide:
    """The work of the bare-metal manager, counted. `when` is called before each reboot or drain."""

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


class RequestCounter:
    """Counts the holds and reboots that DPF requests for a host; `observe` evaluates the level for every state.

    With several DPUs the number of reboots varies: a DPU that needs one after that of its sibling was confirmed has the
    host rebooted again (docs/dpf/reboot.md#sharing).
    """

    def __init__(self) -> None:
        self.holds = 0
        self.reboots = 0
        self.level: Level[NodeView] = Level("counted", self._count, survives_failure=True)
        self._before = (False, False)

    def _count(self, view: NodeView) -> bool:
        now = (node_effect_held.holds(view), external_reboot_required.holds(view))
        self.holds += now[0] and not self._before[0]
        self.reboots += now[1] and not self._before[1]
        self._before = now
        return False


@asynccontextmanager
async def counting(sim: Simulator, node: str) -> AsyncIterator[RequestCounter]:
    """The requests of DPF for a host while the block runs; all of them are counted when the block is left."""
    requested = RequestCounter()
    async with sim.client() as watcher, watcher.node(node).observe(requested.level):
        yield requested
        await sim.settled()
        await watcher.node(node).until(~(node_effect_held | external_reboot_required), timeout=60)


@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize(
    ("troubles", "reboots"), [(["no_reboot"], 0), ([], 1), (["reboots=3"], 3)], ids=["none", "one", "three"]
)
async def test_a_host_is_rebooted_once_per_request_until_it_is_ready(
    backend: Backend, devices: int, troubles: list[str], reboots: int
) -> None:
    async with backend.simulator(troubles=troubles) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=devices)

        async with counting(sim, host.name) as requested:
            view = await carbide.provision(host)

        assert view.ready
        assert len(view.dpus) == devices
        assert carbide.times("reboot") == requested.reboots
        assert reboots <= requested.reboots <= reboots * devices
        assert carbide.times("drain") == 1, "the hold of a host is shared by its DPUs"


async def test_the_host_is_rebooted_once_per_request_even_when_the_watch_lags(backend: Backend) -> None:
    async with backend.simulator(troubles=["reboots=2"], watch_lag=0.05) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=2)

        async with counting(sim, host.name) as requested:
            await carbide.provision(host)

        assert (carbide.times("drain"), carbide.times("reboot")) == (1, requested.reboots)
        assert requested.reboots >= 2


async def test_two_workers_for_one_host_answer_each_request_once_and_both_return_ready(
    backend: Backend,
) -> None:
    async with backend.simulator(troubles=["reboots=2"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host(devices=2)
        views: list[NodeView] = []

        async def worker() -> None:
            views.append(await carbide.provision(host))

        async with counting(sim, host.name) as requested, anyio.create_task_group() as tasks:
            tasks.start_soon(worker)
            tasks.start_soon(worker)

        assert [view.ready for view in views] == [True, True]
        assert (carbide.times("drain"), carbide.times("reboot")) == (1, requested.reboots)
        assert requested.reboots >= 2


async def test_a_dpu_that_requests_its_reboot_late_has_the_host_rebooted_again(backend: Backend) -> None:
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


async def test_without_node_effect_the_flow_releases_the_hold(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)

        view = await provision(dpf, sim.host(), reboot=carbide.reboot, timeout=60)

        assert view.ready


async def test_provisioning_a_ready_host_again_does_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()
        first = await carbide.provision(host)

        again = await carbide.provision(host)

        assert again.uids == first.uids
        assert len(carbide.done) == 2


async def test_a_failed_reboot_ends_the_flow_and_the_next_call_continues(
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
        still_pending = await dpf.is_dpu_node_waiting_for_reboot(host.name)
        carbide.when = None
        view = await carbide.provision(host)

        assert still_pending
        assert view.ready
        assert carbide.done == [("drain", host.name), ("reboot", host.name)]


async def test_the_timeout_of_a_flow_does_not_interrupt_a_drain(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)
        host = sim.host()
        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await dpf.node(host.name).until(node_effect_held, timeout=60)
        expired = anyio.Event()

        async def exceed_limit(what: str) -> None:
            await outlast(limit)
            expired.set()

        carbide.when = exceed_limit
        for limit in growing_timeouts():
            with pytest.raises(WaitTimeout):
                await carbide.provision(host, timeout=limit)
            if carbide.done:
                break

        assert expired.is_set()
        assert carbide.done == [("drain", host.name)]
        assert await dpf.mark_dpu_node_ready_for_maintenance(host.name) is False, "the answer was written"


async def test_a_dpu_in_error_fails_the_flow_with_its_name_and_the_reason(backend: Backend) -> None:
    async with backend.simulator(troubles=["install_failed"]) as sim, sim.client() as dpf:
        await sim.define_site()
        carbide = Carbide(dpf)

        with pytest.raises(
            DPUFailed, match=r"DPU node-.* is in phase Error: BFBTransferred is False"
        ) as caught:
            await carbide.provision(sim.host())

        assert caught.value.reason == "FailToInstall"


async def test_a_timeout_names_the_phase_of_each_dpu(backend: Backend) -> None:
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

        await times_out(
            lambda seconds: carbide.provision(host, timeout=seconds),
            r"Initialize Interface \(InterfaceInitialized: DPUDeviceNotReady\)",
        )


async def test_an_unknown_phase_of_a_newer_release_does_not_fail_the_flow(backend: Backend) -> None:
    async with backend.simulator(troubles=["newer_phase"]) as sim, sim.client() as dpf:
        await sim.define_site()

        assert (await Carbide(dpf).provision(sim.host())).ready


@pytest.mark.parametrize("devices", [1, 2])
async def test_reprovisioning_replaces_every_dpu_and_ignores_that_the_old_ones_are_ready(
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


async def test_one_dpu_of_a_host_can_be_reprovisioned_alone(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node(2)
        old, other = before.dpus
        carbide = Carbide(dpf)

        after = await carbide.reprovision(before.name, {old.name: old.uid})

        assert after.uids[other.name] == other.uid
        assert after.uids[old.name] != old.uid


async def test_reprovisioning_again_with_the_same_uids_replaces_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        before = await sim.ready_node()
        carbide = Carbide(dpf)
        first = await carbide.reprovision(before.name, dict(before.uids))

        again = await carbide.reprovision(before.name, dict(before.uids))

        assert again.uids == first.uids
        assert len(carbide.done) == 2


async def test_reprovisioning_brings_a_dpu_in_error_to_ready(backend: Backend) -> None:
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


async def test_the_requests_of_a_disruptive_change_to_a_ready_host_are_answered(
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


async def test_names_from_mac_addresses_are_within_every_limit(backend: Backend) -> None:
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


async def test_provisioning_waits_for_services_if_requested(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        view = await Carbide(dpf).provision(sim.host(devices=2), services=True)

        assert view.ready
        assert view.services_ready


async def test_a_timeout_names_a_service_that_is_not_ready(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        ready = await sim.ready_node()
        (service,) = (await dpf.resource(DPUService).list()).items
        sim.trouble("critical_service_down")
        await dpf.node(ready.name).until(~services_ready, timeout=60)
        named = rf"DPUServiceCriticalPodsReady is False \(PodsNotReady: .*{service.name}-"
        received: list[str] = []

        await times_out(
            lambda seconds: dpf.node(ready.name).until(services_ready, timeout=seconds),
            f"DPUNode {ready.name}: not services ready .*{named}",
        )
        await times_out(
            lambda seconds: Carbide(dpf).reprovision(
                ready.name, {}, services=True, timeout=seconds, progress=lambda one: received.append(str(one))
            ),
            named,
        )

        assert re.search(named, received[-1])
        assert (await Carbide(dpf).reprovision(ready.name, {})).ready, (
            "services are not waited for by default"
        )


async def test_progress_names_a_service_that_keeps_a_dpu_from_becoming_ready(backend: Backend) -> None:
    async with backend.simulator(troubles=["critical_service_down"]) as sim, sim.client() as dpf:
        await sim.define_site()
        (service,) = (await dpf.resource(DPUService).list()).items
        host = sim.host()
        requestor = f"is still needed by {dpf.namespace}_compute_{service.name}"
        pods = f"0/1 Pods): {service.name}-"
        named: list[str] = []

        def end_trouble_once_named(progress: Progress) -> None:
            if requestor in str(progress) and pods in str(progress):
                named.append(str(progress))
                sim.repair()

        view = await Carbide(dpf).provision(host, progress=end_trouble_once_named)

        assert view.ready
        assert named


# A sibling in Error.


async def test_the_error_of_a_failed_dpu_has_the_phases_of_the_others(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        bad, good = (device.name for device in host.devices)
        sim.trouble("install_failed", device=bad)

        with pytest.raises(DPUFailed, match=f"the host's other DPUs.*{host.name}-{good} ") as caught:
            await Carbide(dpf).provision(host)

        assert caught.value.dpu == f"{host.name}-{bad}"


async def test_the_other_dpus_are_finished_before_a_failure_is_raised_if_requested(backend: Backend) -> None:
    async with backend.simulator(troubles=["reboots=2"]) as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=3)
        bad = host.devices[1].name
        sim.trouble("install_failed", device=bad)
        carbide = Carbide(dpf)

        async with counting(sim, host.name) as requested:
            with pytest.raises(DPUFailed) as caught:
                await carbide.provision(host, if_failed="finish_others")

        assert caught.value.dpu == f"{host.name}-{bad}"
        assert carbide.times("reboot") == requested.reboots >= 2
        others = [dpu for dpu in caught.value.view.dpus if dpu.device != bad]
        assert all(dpu.ready or dpu.phase == "Node Effect Removal" for dpu in others)
        sim.repair()
        failed = caught.value.view.dpu(caught.value.dpu)
        assert (await carbide.reprovision(host.name, {failed.name: failed.uid})).ready


# Progress.


async def test_progress_reports_each_step_and_each_wait(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        received: list[Progress] = []

        await Carbide(dpf).provision(host, progress=received.append)

        assert {progress.flow for progress in received} == {"provision"}
        reported = [str(progress) for progress in received]
        order = [
            f"DPUDevice {host.devices[0].name}: created",
            f"DPUNode {host.name}: created",
            f"DPUNode {host.name}: preparing the host for disruption",
            f"DPUNode {host.name}: can be disrupted; releasing {host.name}-hold",
            f"DPUNode {host.name}: rebooting the host for {host.name}-{host.devices[0].name}",
            f"DPUNode {host.name}: was rebooted",
        ]
        assert [line for line in reported if line in order] == order
        assert any("not ready yet; phases: " in line for line in reported)


async def test_an_exception_of_the_progress_callback_ends_the_flow(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        def refuse(progress: Progress) -> None:
            if "phases" in progress.doing:
                raise RuntimeError("the listener failed")

        with pytest.raises(RuntimeError, match="the listener failed"):
            await Carbide(dpf).provision(sim.host(), progress=refuse)


async def test_after_a_missing_permission_the_request_is_still_pending() -> None:
    async with Simulator(tokens={"token": "carbide"}) as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host()
        carbide = Carbide(dpf)
        sim.server.faults.deny(user="carbide", verb="patch", resource="dpunodemaintenances")

        with pytest.raises(Forbidden, match=f"DPUNodeMaintenance {host.name}-hold"):
            await carbide.provision(host)
        sim.server.faults.allow()

        assert (await carbide.provision(host)).ready


CANCEL_POINTS = range(1, 8)


@pytest.mark.parametrize("point", CANCEL_POINTS)
@pytest.mark.parametrize("flow", ["provision", "reprovision"])
async def test_a_worker_that_is_cancelled_and_restarted_answers_each_request(
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

        async with counting(sim, host.name) as requested:
            async with sim.client() as dpf:
                cancelled = Carbide(dpf)
                await _cancelled(sim, lambda: run(cancelled), at=point * 6)
            async with sim.client() as dpf:
                restarted = Carbide(dpf)
                finished = await run(restarted)

        assert finished.ready
        assert not set(finished.uids.values()) & set(replacing.values())
        assert requested.holds == 1
        assert requested.reboots >= 2
        # A reboot that was cancelled before it was confirmed is done again.
        rebooted = cancelled.times("reboot") + restarted.times("reboot")
        assert requested.reboots <= rebooted <= requested.reboots + 1


async def _cancelled(sim: Simulator, worker: Callable[[], Awaitable[object]], *, at: int) -> None:
    """Run a worker, and cancel it at the at-th transition of the site."""

    async def cancel(*, task_status: TaskStatus[None]) -> None:
        async with sim.client() as other, other.transitions() as stream:
            task_status.started()
            seen = 0
            async for _ in stream:
                seen += 1
                if seen >= at:
                    break
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        await tasks.start(cancel)
        await worker()
        pytest.fail(f"the worker ended before {at} transitions of the site")

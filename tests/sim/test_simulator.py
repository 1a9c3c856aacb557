"""Simulator: what tests may rely on."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from dpf_async import DPFClient, HostSpec, Timeouts, provision, reprovision
from dpf_async.errors import ConnectionFailed, Forbidden, Unauthorized, UsageError
from dpf_async.levels import external_reboot_required, phase_is, ready
from dpf_async.models import (
    DPU,
    DPFOperatorConfig,
    DPUCluster,
    DPUDeployment,
    DPUNode,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.sim.operator import DEMO, INSTANT, REALISTIC
from tests.support.timeouts import times_out


async def no_work(node: str) -> None:
    """A reboot or a drain without duration."""


async def test_a_site_has_the_objects_of_a_dpf_installation() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        config = await dpf.resource(DPFOperatorConfig).get(known.OPERATOR_CONFIG_NAME)
        (cluster,) = (await dpf.resource(DPUCluster).list()).items

        interface = config.spec.provisioning_controller.install_interface
        assert interface is not None
        assert interface.install_via_redfish is not None
        assert config.condition("Ready") is not None
        assert cluster.status.phase == "Ready"


async def test_hosts_are_provisioned_and_reprovisioned_by_the_flows() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        hosts = [sim.host(), sim.host(devices=2)]
        views = [
            await provision(dpf, host, reboot=no_work, node_effect=no_work, timeout=60) for host in hosts
        ]

        again = [await reprovision(dpf, host.name, reboot=no_work, timeout=60) for host in hosts]

        assert all(view.ready for view in (*views, *again))
        for before, after in zip(views, again, strict=True):
            assert before.uids.keys() == after.uids.keys()
            assert not {*before.uids.values()} & {*after.uids.values()}


async def test_the_initial_states_match_their_names() -> None:
    async with Simulator() as sim:
        held = await sim.node_waiting_for_hold(devices=2)
        waiting = await sim.node_waiting_for_external_reboot(devices=2)
        done = await sim.ready_node(devices=2)

        assert held.hold is not None
        assert list(held.phases.values()) == ["Node Effect", "Node Effect"]
        assert external_reboot_required.holds(waiting)
        assert list(waiting.phases.values()) == ["Rebooting", "Rebooting"]
        assert ready.holds(done)
        assert done.services_ready
        assert len({held.name, waiting.name, done.name}) == 3


async def test_settled_waits_for_all_effects_of_a_write() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        host = await sim.register_host()
        await sim.settled()

        (dpu,) = (await dpf.resource(DPU).list()).items
        assert isinstance(host, HostSpec)
        assert dpu.status.phase == "Node Effect"


async def test_settled_waits_for_watches_that_lag() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        sim.trouble("watch_lag", value=0.1)

        await sim.register_host()
        await sim.settled()

        (dpu,) = (await dpf.resource(DPU).list()).items
        assert dpu.status.phase == "Node Effect"
        sim.repair("watch_lag")
        assert sim.server.faults.watch_lag == 0.0


async def test_settled_reports_the_remaining_work() -> None:
    slow = replace(INSTANT, transfer=600.0, bound_scale=1.0)
    async with Simulator(profile=slow) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold()
        await dpf.mark_dpu_node_ready_for_maintenance(node.name)

        await times_out(sim.settled, r"dpu: node-.* in 600 s", error=TimeoutError)


async def test_settled_does_not_wait_for_a_timeout_to_expire() -> None:
    profile = replace(INSTANT, bound_scale=1.0)
    async with Simulator(profile=profile, troubles=["install_timeout"]) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold()
        await dpf.mark_dpu_node_ready_for_maintenance(node.name)

        await sim.settled()

        (dpu,) = (await dpf.resource(DPU).list()).items
        assert dpu.status.phase == "OS Installing"


async def test_without_an_operator_objects_stay_as_they_are_written() -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host()
        await sim.settled()

        node = await dpf.resource(DPUNode).get(host.name)

        assert node.conditions == ()
        assert node.metadata.finalizers == ()


async def test_a_site_with_tokens_rejects_other_users() -> None:
    async with Simulator(tokens={"worker-token": "worker"}) as sim:
        node = await sim.node_waiting_for_hold()
        sim.server.faults.deny(user="worker", verb="delete")

        async with sim.client() as dpf:
            assert (await dpf.node(node.name).view()).exists
            with pytest.raises(Forbidden):
                await dpf.resource(DPUNode).delete(node.name)
        async with sim.client(token="another") as dpf:
            with pytest.raises(Unauthorized):
                await dpf.resource(DPUNode).get(node.name)


async def test_a_site_can_use_another_namespace() -> None:
    async with Simulator(namespace="elsewhere") as sim, sim.client() as dpf:
        node = await sim.ready_node()

        assert dpf.namespace == "elsewhere"
        assert (await dpf.resource(DPUNode).get(node.name)).namespace == "elsewhere"


async def test_a_written_kubeconfig_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    async with Simulator(tokens={"worker-token": "worker"}) as sim:
        sim.write_kubeconfig(path)

        async with DPFClient(kubeconfig=str(path)) as dpf:
            assert await dpf.server_version()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_leaving_stops_the_server_and_later_requests_fail() -> None:
    async with Simulator() as sim:
        kubeconfig = sim.kubeconfig()

    async with DPFClient(kubeconfig=kubeconfig, timeouts=Timeouts(connect=0.2)) as dpf:
        with pytest.raises(ConnectionFailed):
            await dpf.resource(DPUNode).get("node-1")


async def test_an_exception_in_the_block_is_raised_unchanged() -> None:
    async def fail() -> None:
        async with Simulator() as sim, sim.client() as dpf, dpf.transitions():
            await sim.register_host()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_a_cancelled_block_ends_promptly() -> None:
    with anyio.fail_after(60):
        with anyio.move_on_after(0.5) as scope:
            async with Simulator() as sim:
                await sim.define_site()
                await anyio.sleep_forever()

    assert scope.cancelled_caught


async def test_a_simulator_that_is_not_entered_raises_usage_error() -> None:
    with pytest.raises(UsageError, match="async with Simulator"):
        await Simulator().define_site()
    with pytest.raises(UsageError, match="no profile 'slow'"):
        Simulator(profile="slow")
    with pytest.raises(UsageError, match="no trouble"):
        Simulator(troubles=["unknown_trouble"])


async def test_two_sites_run_independently() -> None:
    async with Simulator() as one, Simulator() as two:
        await one.define_site()

        async with two.client() as dpf:
            assert not (await dpf.resource(DPUDeployment).list()).items


async def test_the_demo_profile_shows_each_step() -> None:
    async with Simulator(profile=replace(DEMO.at_speed(20), start_agent=2.0)) as sim, sim.client() as dpf:
        node = await sim.node_waiting_for_hold(devices=2)
        await dpf.mark_dpu_node_ready_for_maintenance(node.name)
        name = next(iter(node.phases))
        await dpf.dpu(name).until(phase_is("OS Installing"), timeout=60)

        view = await dpf.node(node.name).until(external_reboot_required, timeout=60)

        dpu = view.dpu(name)
        assert dpu is not None
        installed = dpu.condition("OSInstalled")
        assert installed is not None
        assert installed.reason == "BFBInstalled", "the agent starts after the OS"


async def test_the_realistic_profile_runs_on_a_faster_clock() -> None:
    async with Simulator(profile=REALISTIC.at_speed(2000)) as sim:
        node = await sim.ready_node(timeout=60)

        assert node.ready

"""Flow 2: a host that the site explorer found is registered and discovered, or its fault is reported."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dpf_async import HostSpec, Progress, discover
from dpf_async.errors import DeviceFailed, Forbidden, NotFound, UsageError, WaitTimeout
from dpf_async.levels import discovered
from dpf_async.models import DPU, DPUDevice, DPUNode, known
from tests.integration.backends import Backend
from tests.integration.test_flows import Carbide
from tests.support.cluster import Cluster, Server
from tests.support.states import condition
from tests.support.timeouts import times_out

HOST = HostSpec.model_validate(
    {
        "name": "node-1",
        "devices": [{"name": "device-1", "serialNumber": "MT1", "bmcIp": "10.0.0.1"}],
    }
)


async def set_conditions(site: Cluster[Server], *conditions: dict[str, Any]) -> None:
    """The conditions of the DPUDevice; the DPUNode is reconciled."""
    await site.write_conditions(DPUNode, "node-1", [condition("Ready")])
    await site.dpf.resource(DPUDevice).patch_status("device-1", {"status": {"conditions": list(conditions)}})


def refused(message: str = "the BMC answered 401 Unauthorized") -> dict[str, Any]:
    return condition("Initialized", "False", "Error", message=message)


@pytest.mark.parametrize("devices", [1, 3])
async def test_a_host_is_discovered_once_every_device_is_ready(backend: Backend, devices: int) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()

        view = await discover(dpf, sim.host(devices=devices), timeout=60)

        assert view.discovered
        assert len(view.devices) == devices
        assert view.device_faults == ()


async def test_a_host_that_waits_for_a_release_is_discovered(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        held = await sim.node_waiting_for_hold()

        view = await dpf.host_discovered(held.name, timeout=60)

        ready = view.condition(known.DPUNodeCondition.READY)
        assert ready is not None
        assert ready.status == "False", "the condition of the node is about the pending node effect only"


async def test_discovering_again_writes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        await discover(dpf, host, timeout=60)
        received: list[Progress] = []

        await discover(dpf, host, timeout=60, progress=received.append)

        assert not [
            progress for progress in received if "created" in str(progress) or "changed" in str(progress)
        ]


async def test_a_discovery_that_was_cancelled_is_completed_by_the_next_worker(backend: Backend) -> None:
    async with backend.simulator() as sim:
        await sim.define_site()
        host = sim.host(devices=2)
        async with sim.client() as first, anyio.create_task_group() as tasks:

            def cancel_after_first_device(progress: Progress) -> None:
                if "created" in progress.doing:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(lambda: discover(first, host, progress=cancel_after_first_device))

        async with sim.client() as second:
            assert (await discover(second, host, timeout=60)).discovered


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("bmc_password_wrong", "Initialized failed, Error: .*401 Unauthorized.*Secret bmc-shared-password"),
        ("serial_mismatch", "Discovered failed, Error: serial number mismatch, expected: MT.*, actual: MT"),
    ],
)
async def test_a_faulty_device_is_named_with_its_fault_and_the_next_step(
    backend: Backend, trouble: str, reason: str
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        bad = host.devices[1].name
        sim.trouble(trouble, device=bad)

        with pytest.raises(DeviceFailed, match=f"DPUDevice {bad}: {reason}") as caught:
            await discover(dpf, host, grace=0.05, timeout=60)

        assert caught.value.device == bad
        assert caught.value.reason == "Error"
        assert caught.value.detail in str(caught.value)
        assert [fault.device for fault in caught.value.view.device_faults] == [bad]


async def test_a_fault_that_ends_within_the_grace_period_fails_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await set_conditions(site, refused())
        received: list[str] = []

        async with anyio.create_task_group() as tasks:

            async def recover() -> None:
                await set_conditions(site, condition("Initialized"), condition("Ready"))

            def listen(progress: Progress) -> None:
                received.append(str(progress))
                if "401" in received[-1]:
                    tasks.start_soon(recover)

            view = await site.dpf.host_discovered("node-1", grace=60, timeout=60, progress=listen)

        assert view.discovered
        assert "DPUDevice device-1: Initialized failed, Error: the BMC answered 401" in received[0]


async def test_a_fault_is_reported_with_its_latest_message(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)

        async with anyio.create_task_group() as tasks:

            def listen(progress: Progress) -> None:
                if "timed out" in progress.doing:
                    tasks.start_soon(set_conditions, site, refused())

            async def wait_for_failure(grace: float) -> None:
                await set_conditions(site, refused("timed out"))
                await site.dpf.host_discovered("node-1", grace=grace, timeout=60, progress=listen)

            await times_out(wait_for_failure, "401", error=DeviceFailed)


@pytest.mark.parametrize("grace", [None, 60.0])
async def test_a_missing_permission_is_raised_as_itself_while_progress_is_reported(
    backend: Backend, grace: float | None
) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="watch", resource="dpus")

        with pytest.raises(Forbidden, match="cannot watch resource"):
            await site.dpf.host_discovered("node-1", grace=grace, timeout=60, progress=print)


async def test_without_a_grace_period_the_timeout_names_the_fault(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await set_conditions(site, refused())

        await times_out(
            lambda seconds: site.dpf.host_discovered("node-1", grace=None, timeout=seconds),
            "DPUNode node-1: not discovered .*DPUDevice device-1: .*401",
        )


async def test_a_pending_device_is_not_faulty(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await set_conditions(site, condition("NodeAttached", "False", "Pending", message="No DPUNode found"))

        await times_out(
            lambda seconds: site.dpf.host_discovered("node-1", grace=0, timeout=seconds),
            r"device-1 is not Ready yet \(NodeAttached: Pending\)",
        )


async def test_a_timeout_names_a_device_that_does_not_exist(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await site.dpf.resource(DPUDevice).delete("device-1")

        await times_out(
            lambda seconds: site.dpf.host_discovered("node-1", timeout=seconds),
            "there is no DPUDevice device-1",
        )


async def test_a_timeout_names_a_host_that_does_not_exist(backend: Backend) -> None:
    async with backend.cluster() as site:
        await times_out(
            lambda seconds: site.dpf.host_discovered("node-9", timeout=seconds), "there is no DPUNode node-9"
        )


async def test_discovery_waits_for_a_host_that_is_being_deleted_and_registers_it_again(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        held = await sim.node_waiting_for_hold()
        host = sim.host(held.name)
        sim.trouble("stuck_finalizer")
        await dpf.resource(DPUNode).delete(held.name)
        received: list[str] = []

        def end_trouble(progress: Progress) -> None:
            received.append(str(progress))
            if "is being deleted" in progress.doing:
                sim.repair()

        view = await discover(dpf, host, if_terminating="wait", timeout=60, progress=end_trouble)

        assert view.discovered
        assert view.uid != held.uid
        assert f"DPUNode {held.name}: is being deleted, held by {known.DPUNODE_FINALIZER}" in received[0]


async def test_provisioning_with_a_wrong_bmc_password_fails_with_that_reason(backend: Backend) -> None:
    async with backend.simulator(troubles=["bmc_password_wrong"]) as sim, sim.client() as dpf:
        await sim.define_site()

        with pytest.raises(DeviceFailed, match="401 Unauthorized"):
            await Carbide(dpf).provision(sim.host(), grace=0.05)


@pytest.mark.parametrize(
    ("phase", "raised"), [("OS Installing", WaitTimeout), ("Initialize Interface", DeviceFailed)]
)
async def test_a_fault_fails_provisioning_only_while_the_dpu_needs_its_device(
    backend: Backend, phase: str, raised: type[Exception]
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await set_conditions(site, refused())
        spec = {
            "dpuNodeName": "node-1",
            "dpuDeviceName": "device-1",
            "serialNumber": "MT1",
            "bfb": "bfb",
            "dpuFlavor": "flavor",
            "nodeEffect": {"hold": True},
        }
        dpu = DPU.model_validate({"metadata": {"name": "node-1-device-1"}, "spec": spec})
        await site.dpf.resource(DPU).create(dpu)
        await site.dpf.resource(DPU).patch_status(dpu.name, {"status": {"phase": phase}})

        with pytest.raises(raised, match=phase if raised is WaitTimeout else "401"):
            await Carbide(site.dpf).provision(HOST, grace=0, timeout=0.3)


async def test_a_name_over_the_limit_is_a_usage_error_and_nothing_is_sent(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(UsageError, match=r"DPUNode n{49}: .*48"):
            await site.dpf.create_dpu_node("n" * 49, HOST.devices)

        assert (await site.dpf.resource(DPUDevice).list()).items == ()


async def test_discovered_is_a_level_that_a_node_handle_waits_for(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = await sim.register_host()

        assert (await dpf.node(host.name).until(discovered, timeout=60)).discovered
        with pytest.raises(NotFound):
            await dpf.verify_labels(sim.host())

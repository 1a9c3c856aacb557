"""Flow 2: from what a site explorer found to devices that DPF can work with, or the reason why it cannot."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dpf_async import HostSpec, Progress, discover
from dpf_async.errors import DeviceFailed, NotFound, UsageError, WaitTimeout
from dpf_async.levels import discovered
from dpf_async.models import DPU, DPUDevice, DPUNode, known
from tests.integration.backends import Backend
from tests.integration.test_flows import Carbide
from tests.support.cluster import Cluster, Server
from tests.support.states import condition
from tests.support.timeouts import in_vain

HOST = HostSpec.model_validate(
    {
        "name": "node-1",
        "devices": [{"name": "device-1", "serialNumber": "MT1", "bmcIp": "10.0.0.1"}],
    }
)


async def device_says(site: Cluster[Server], *conditions: dict[str, Any]) -> None:
    """The operator says this of the device, and that it has taken the node up."""
    await site.say(DPUNode, "node-1", [condition("Ready")])
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


async def test_a_host_that_waits_for_a_release_is_discovered_all_the_same(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        held = await sim.node_waiting_for_hold()

        view = await dpf.host_discovered(held.name, timeout=60)

        ready = view.condition(known.DPUNodeCondition.READY)
        assert ready is not None
        assert ready.status == "False", "the node says that it is about to be disturbed, and nothing else"


async def test_discovering_again_writes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = sim.host(devices=2)
        await discover(dpf, host, timeout=60)
        heard: list[Progress] = []

        await discover(dpf, host, timeout=60, progress=heard.append)

        assert not [
            progress for progress in heard if "created" in str(progress) or "changed" in str(progress)
        ]


async def test_a_worker_that_died_on_the_way_is_followed_by_one_that_goes_on(backend: Backend) -> None:
    async with backend.simulator() as sim:
        await sim.define_site()
        host = sim.host(devices=2)
        async with sim.client() as first, anyio.create_task_group() as tasks:

            def die_with_the_first_device(progress: Progress) -> None:
                if "created" in progress.doing:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(lambda: discover(first, host, progress=die_with_the_first_device))

        async with sim.client() as second:
            assert (await discover(second, host, timeout=60)).discovered


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("bmc_password_wrong", "Initialized failed, Error: .*401 Unauthorized.*Secret bmc-shared-password"),
        ("serial_mismatch", "Discovered failed, Error: serial number mismatch, expected: MT.*, actual: MT"),
    ],
)
async def test_a_faulty_device_is_named_with_what_is_wrong_and_what_to_do(
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


async def test_a_fault_that_heals_within_the_grace_ends_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await device_says(site, refused())
        heard: list[str] = []

        async with anyio.create_task_group() as tasks:

            async def heal() -> None:
                await device_says(site, condition("Initialized"), condition("Ready"))

            def listen(progress: Progress) -> None:
                heard.append(str(progress))
                if "401" in heard[-1]:
                    tasks.start_soon(heal)

            view = await site.dpf.host_discovered("node-1", grace=60, timeout=60, progress=listen)

        assert view.discovered
        assert "DPUDevice device-1: Initialized failed, Error: the BMC answered 401" in heard[0]


async def test_a_fault_is_told_with_its_latest_words(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)

        async with anyio.create_task_group() as tasks:

            def listen(progress: Progress) -> None:
                if "timed out" in progress.doing:
                    tasks.start_soon(device_says, site, refused())

            async def find_out(grace: float) -> None:
                await device_says(site, refused("timed out"))
                await site.dpf.host_discovered("node-1", grace=grace, timeout=60, progress=listen)

            await in_vain(find_out, "401", error=DeviceFailed)


async def test_without_a_limit_to_the_grace_a_fault_is_a_timeout_that_names_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await device_says(site, refused())

        await in_vain(
            lambda seconds: site.dpf.host_discovered("node-1", grace=None, timeout=seconds),
            "DPUNode node-1: not discovered .*DPUDevice device-1: .*401",
        )


async def test_a_device_that_just_takes_its_time_is_no_fault(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await device_says(site, condition("NodeAttached", "False", "Pending", message="No DPUNode found"))

        await in_vain(
            lambda seconds: site.dpf.host_discovered("node-1", grace=0, timeout=seconds),
            r"device-1 is not Ready yet \(NodeAttached: Pending\)",
        )


async def test_a_device_that_is_not_there_is_named(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await site.dpf.resource(DPUDevice).delete("device-1")

        await in_vain(
            lambda seconds: site.dpf.host_discovered("node-1", timeout=seconds),
            "there is no DPUDevice device-1",
        )


async def test_a_host_that_is_not_there_is_waited_for_and_named(backend: Backend) -> None:
    async with backend.cluster() as site:
        await in_vain(
            lambda seconds: site.dpf.host_discovered("node-9", timeout=seconds), "there is no DPUNode node-9"
        )


async def test_a_host_that_goes_on_its_way_is_waited_for_and_registered_again(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        held = await sim.node_waiting_for_hold()
        host = sim.host(held.name)
        sim.trouble("stuck_finalizer")
        await dpf.resource(DPUNode).delete(held.name)
        heard: list[str] = []

        def heal(progress: Progress) -> None:
            heard.append(str(progress))
            if "is being deleted" in progress.doing:
                sim.repair()

        view = await discover(dpf, host, if_terminating="wait", timeout=60, progress=heal)

        assert view.discovered
        assert view.uid != held.uid
        assert f"DPUNode {held.name}: is being deleted, held by {known.DPUNODE_FINALIZER}" in heard[0]


async def test_provisioning_a_host_with_a_wrong_password_says_just_that(backend: Backend) -> None:
    async with backend.simulator(troubles=["bmc_password_wrong"]) as sim, sim.client() as dpf:
        await sim.define_site()

        with pytest.raises(DeviceFailed, match="401 Unauthorized"):
            await Carbide(dpf).provision(sim.host(), grace=0.05)


@pytest.mark.parametrize(
    ("phase", "raised"), [("OS Installing", WaitTimeout), ("Initialize Interface", DeviceFailed)]
)
async def test_a_fault_ends_provisioning_only_as_long_as_the_dpu_needs_its_device(
    backend: Backend, phase: str, raised: type[Exception]
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        await device_says(site, refused())
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


async def test_a_name_over_the_limit_is_the_callers_mistake_and_nothing_is_sent(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(UsageError, match=r"DPUNode n{49}: .*48"):
            await site.dpf.create_dpu_node("n" * 49, HOST.devices)

        assert (await site.dpf.resource(DPUDevice).list()).items == ()


async def test_discovered_is_a_level_like_any_other(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = await sim.register_host()

        assert (await dpf.node(host.name).until(discovered, timeout=60)).discovered
        with pytest.raises(NotFound):
            await dpf.verify_labels(sim.host())

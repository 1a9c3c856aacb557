"""CreateDPUNode: idempotent; changes fields that may change and refuses a difference in others."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DeviceSpec, DPFClient, Progress
from dpf_async.errors import AlreadyExists, Forbidden, Invalid, UsageError
from dpf_async.models import DPUDevice, DPUNode, known
from tests.integration.backends import Backend
from tests.support.timeouts import times_out

DEVICE = DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.0.0.1", labels={"kind": "a"})
OTHER = DeviceSpec(name="device-2", serial_number="MT2", bmc_ip="10.0.0.2")


async def versions(dpf: DPFClient) -> list[str]:
    """The resourceVersions of everything registered."""
    nodes = (await dpf.resource(DPUNode).list()).items
    devices = (await dpf.resource(DPUDevice).list()).items
    return [obj.metadata.resource_version for obj in (*nodes, *devices)]


async def test_a_host_is_registered_with_devices_labels_and_external_reboot_method(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        view = await site.dpf.create_dpu_node("node-1", [DEVICE, OTHER], labels={"group": "compute"})

        node = await site.dpf.resource(DPUNode).get("node-1")
        device = await site.dpf.resource(DPUDevice).get("device-1")
        assert [ref.name for ref in node.spec.dpus] == ["device-1", "device-2"]
        assert node.metadata.labels == {"group": "compute"}
        assert node.spec.node_reboot_method.external is not None
        assert node.spec.node_reboot_method.host_agent is None
        assert (device.spec.serial_number, device.spec.bmc_ip, device.spec.bmc_port) == (
            "MT1",
            "10.0.0.1",
            443,
        )
        assert device.metadata.labels == {"kind": "a"}
        assert [one.name for one in view.devices] == ["device-1", "device-2"]


async def test_devices_are_created_before_the_node(backend: Backend) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="create", resource="dpunodes")

        with pytest.raises(Exception, match="dpunodes"):
            await site.dpf.create_dpu_node("node-1", [DEVICE])

        assert (await site.dpf.resource(DPUDevice).get("device-1")).name == "device-1"
        site.server.faults.allow()
        assert (await site.dpf.create_dpu_node("node-1", [DEVICE])).exists, "a repeated call continues"


async def test_registering_the_same_again_writes_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})
        before = await versions(site.dpf)

        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})

        assert await versions(site.dpf) == before


async def test_labels_that_other_clients_set_are_kept(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})
        label = {known.DPUNODE_NAME_LABEL: "node-1"}
        await site.dpf.resource(DPUDevice).patch("device-1", {"metadata": {"labels": label}})

        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "storage"})

        device = await site.dpf.resource(DPUDevice).get("device-1")
        node = await site.dpf.resource(DPUNode).get("node-1")
        assert device.metadata.labels == {"kind": "a", **label}
        assert node.metadata.labels == {"group": "storage"}


async def test_fields_that_may_change_are_changed(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        moved = DEVICE.model_copy(update={"bmc_ip": OTHER.bmc_ip, "labels": {"kind": "b"}})
        other = OTHER.model_copy(update={"bmc_ip": DEVICE.bmc_ip})

        await site.dpf.create_dpu_node("node-1", [moved, other])

        device = await site.dpf.resource(DPUDevice).get("device-1")
        node = await site.dpf.resource(DPUNode).get("node-1")
        assert (device.spec.bmc_ip, device.metadata.labels) == ("10.0.0.2", {"kind": "b"})
        assert [ref.name for ref in node.spec.dpus] == ["device-1", "device-2"]


async def test_the_reboot_method_of_an_existing_node_is_changed_to_external(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.resource(DPUNode).create(
            DPUNode.model_validate({"metadata": {"name": "node-1"}, "spec": {}})
        )

        await site.dpf.create_dpu_node("node-1", [DEVICE])

        method = (await site.dpf.resource(DPUNode).get("node-1")).spec.node_reboot_method
        assert method.external is not None
        assert method.host_agent is None


async def test_a_change_of_an_immutable_field_is_refused_with_both_values(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        another = DEVICE.model_copy(update={"serial_number": "MT9"})

        with pytest.raises(Invalid) as caught:
            await site.dpf.create_dpu_node("node-1", [another])

        assert "DPUDevice device-1" in str(caught.value)
        assert "spec.serialNumber: present 'MT1', wanted 'MT9'" in str(caught.value)
        assert [cause.field for cause in caught.value.causes] == ["spec.serialNumber"]


@pytest.mark.parametrize("kind", [DPUDevice, DPUNode])
async def test_an_object_that_is_being_deleted_is_refused(
    backend: Backend, kind: type[DPUDevice | DPUNode]
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        objects = site.dpf.resource(kind)
        name = "node-1" if kind is DPUNode else "device-1"
        await objects.patch(name, {"metadata": {"finalizers": ["example.com/stays"]}})
        await objects.delete(name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name}.*is being deleted") as caught:
            await site.dpf.create_dpu_node("node-1", [DEVICE])

        assert caught.value.terminating


async def test_registration_waits_for_an_object_that_is_being_deleted_if_requested(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        devices = site.dpf.resource(DPUDevice)
        await devices.patch("device-1", {"metadata": {"finalizers": ["example.com/stays"]}})
        old = await devices.delete("device-1")
        received: list[str] = []

        async with anyio.create_task_group() as tasks:

            def remove_finalizer(progress: Progress) -> None:
                received.append(str(progress))
                if "being deleted" in received[-1]:
                    patch = {"metadata": {"finalizers": None}}
                    tasks.start_soon(devices.patch, "device-1", patch)

            await site.dpf.create_dpu_node(
                "node-1", [DEVICE], if_terminating="wait", timeout=60, progress=remove_finalizer
            )

        assert old is not None
        assert (await devices.get("device-1")).uid != old.uid
        assert received == [
            "DPUDevice device-1: is being deleted, held by example.com/stays; waiting until it is deleted",
            "DPUDevice device-1: created",
        ]


async def test_nothing_is_written_if_an_object_is_not_deleted_in_time(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [OTHER])
        nodes = site.dpf.resource(DPUNode)
        await nodes.patch("node-1", {"metadata": {"finalizers": ["example.com/stays"]}})
        await nodes.delete("node-1")

        await times_out(
            lambda seconds: site.dpf.create_dpu_node(
                "node-1", [DEVICE, OTHER], if_terminating="wait", timeout=seconds
            ),
            "DPUNode node-1: not gone .* held by example.com/stays",
        )

        assert [device.name for device in (await site.dpf.resource(DPUDevice).list()).items] == ["device-2"]


async def test_a_refused_registration_writes_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [OTHER], labels={"group": "compute"})
        before = await versions(site.dpf)
        another = OTHER.model_copy(update={"serial_number": "MT9"})

        with pytest.raises(Invalid, match="DPUDevice device-2"):
            await site.dpf.create_dpu_node("node-1", [DEVICE, another], labels={"group": "storage"})

        assert await versions(site.dpf) == before


async def test_a_device_of_another_host_is_refused_with_both_names(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        label = {known.DPUNODE_NAME_LABEL: "node-1"}
        await site.dpf.resource(DPUDevice).patch("device-1", {"metadata": {"labels": label}})

        with pytest.raises(Invalid, match=r"DPUDevice device-1 .* DPUNode: present node-1, wanted node-2"):
            await site.dpf.create_dpu_node("node-2", [DEVICE])

        assert [node.name for node in (await site.dpf.resource(DPUNode).list()).items] == ["node-1"]


async def test_two_devices_with_the_same_serial_number_are_refused(backend: Backend) -> None:
    async with backend.cluster() as site:
        twin = OTHER.model_copy(update={"serial_number": "MT1"})

        with pytest.raises(
            UsageError, match=r"devices\[1\].serialNumber: MT1 is already the serialNumber of devices"
        ):
            await site.dpf.create_dpu_node("node-1", [DEVICE, twin])


async def test_a_missing_permission_is_raised_with_what_was_created_before(backend: Backend) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="create", resource="dpunodes")

        with pytest.raises(Forbidden, match="DPUNode node-1") as caught:
            await site.dpf.create_dpu_node("node-1", [DEVICE])

        assert caught.value.__notes__ == [
            "created or changed before that: DPUDevice device-1; register again to continue"
        ]


async def test_a_concurrent_change_by_another_client_is_kept_and_causes_no_error(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        moved = DEVICE.model_copy(update={"bmc_ip": "10.0.0.9"})
        device_changed = anyio.Event()

        def listen(progress: Progress) -> None:
            if progress.subject == "DPUDevice device-1":
                device_changed.set()

        async with anyio.create_task_group() as tasks:
            with site.server.faults.stalled(verb="create", resource="dpudevices"):
                tasks.start_soon(lambda: site.dpf.create_dpu_node("node-1", [moved, OTHER], progress=listen))
                await device_changed.wait()
                await other.resource(DPUNode).patch("node-1", {"metadata": {"labels": {"theirs": "yes"}}})

        node = await site.dpf.resource(DPUNode).get("node-1")
        assert [ref.name for ref in node.spec.dpus] == ["device-1", "device-2"]
        assert node.metadata.labels["theirs"] == "yes"


async def test_two_workers_that_register_the_same_host_both_succeed(backend: Backend) -> None:
    async with backend.cluster() as site, site.another_client() as other:
        async with anyio.create_task_group() as tasks:
            for dpf in (site.dpf, other):
                tasks.start_soon(dpf.create_dpu_node, "node-1", [DEVICE, OTHER])

        assert (await site.dpf.node("node-1").view()).device_names == ("device-1", "device-2")


async def test_a_name_over_the_limit_is_refused_and_nothing_is_created(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(Exception, match="48"):
            await site.dpf.create_dpu_node("n" * 49, [])

        assert (await site.dpf.resource(DPUNode).list()).items == ()

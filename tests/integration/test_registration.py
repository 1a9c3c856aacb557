"""CreateDPUNode: idempotent, repairing what may change, refusing what may not."""

from __future__ import annotations

import pytest

from dpf_async import AlreadyExists, DeviceSpec, DPFClient, Invalid
from dpf_async.models import DPUDevice, DPUNode, known
from tests.integration.backends import Backend

DEVICE = DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.0.0.1", labels={"kind": "a"})
OTHER = DeviceSpec(name="device-2", serial_number="MT2", bmc_ip="10.0.0.2")


async def versions(dpf: DPFClient) -> list[str]:
    """The resourceVersions of everything registered."""
    nodes = (await dpf.resource(DPUNode).list()).items
    devices = (await dpf.resource(DPUDevice).list()).items
    return [obj.metadata.resource_version for obj in (*nodes, *devices)]


async def test_a_host_is_registered_with_its_devices_its_labels_and_reboots_from_outside(
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


async def test_devices_exist_before_the_node_that_starts_everything(backend: Backend) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="create", resource="dpunodes")

        with pytest.raises(Exception, match="dpunodes"):
            await site.dpf.create_dpu_node("node-1", [DEVICE])

        assert (await site.dpf.resource(DPUDevice).get("device-1")).name == "device-1"
        site.server.faults.allow()
        assert (await site.dpf.create_dpu_node("node-1", [DEVICE])).exists, "again goes on from there"


async def test_registering_the_same_again_writes_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})
        before = await versions(site.dpf)

        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})

        assert await versions(site.dpf) == before


async def test_labels_of_others_stay(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "compute"})
        label = {known.DPUNODE_NAME_LABEL: "node-1"}
        await site.dpf.resource(DPUDevice).patch("device-1", {"metadata": {"labels": label}})

        await site.dpf.create_dpu_node("node-1", [DEVICE], labels={"group": "storage"})

        device = await site.dpf.resource(DPUDevice).get("device-1")
        node = await site.dpf.resource(DPUNode).get("node-1")
        assert device.metadata.labels == {"kind": "a", **label}
        assert node.metadata.labels == {"group": "storage"}


async def test_what_may_change_is_made_so(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        moved = DEVICE.model_copy(update={"bmc_ip": OTHER.bmc_ip, "labels": {"kind": "b"}})
        other = OTHER.model_copy(update={"bmc_ip": DEVICE.bmc_ip})

        await site.dpf.create_dpu_node("node-1", [moved, other])

        device = await site.dpf.resource(DPUDevice).get("device-1")
        node = await site.dpf.resource(DPUNode).get("node-1")
        assert (device.spec.bmc_ip, device.metadata.labels) == ("10.0.0.2", {"kind": "b"})
        assert [ref.name for ref in node.spec.dpus] == ["device-1", "device-2"]


async def test_a_node_that_reboots_itself_is_made_to_ask_us(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.resource(DPUNode).create(
            DPUNode.model_validate({"metadata": {"name": "node-1"}, "spec": {}})
        )

        await site.dpf.create_dpu_node("node-1", [DEVICE])

        method = (await site.dpf.resource(DPUNode).get("node-1")).spec.node_reboot_method
        assert method.external is not None
        assert method.host_agent is None


async def test_what_may_not_change_is_refused_with_both_values(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node("node-1", [DEVICE])
        another = DEVICE.model_copy(update={"serial_number": "MT9"})

        with pytest.raises(Invalid) as caught:
            await site.dpf.create_dpu_node("node-1", [another])

        assert "DPUDevice device-1" in str(caught.value)
        assert "spec.serialNumber: it has 'MT1', asked for is 'MT9'" in str(caught.value)
        assert [cause.field for cause in caught.value.causes] == ["spec.serialNumber"]


@pytest.mark.parametrize("kind", [DPUDevice, DPUNode])
async def test_an_object_on_its_way_out_is_refused_until_it_is_gone(
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


async def test_a_name_the_server_does_not_take_is_refused_before_anything_is_sent(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(Exception, match="48"):
            await site.dpf.create_dpu_node("n" * 49, [])

        assert (await site.dpf.resource(DPUNode).list()).items == ()

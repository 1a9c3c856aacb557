"""The snapshot of a host: everything DPF knows of it at one moment, and nothing that may not be given away."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dpf_async._api.codec import Undecodable
from dpf_async._diagnostics.snapshot import HostReport, take
from dpf_async._transitions.view import NodeView
from dpf_async._watch.store import Store
from dpf_async.errors import NotFound
from dpf_async.models import DPU, DPUDevice, DPUNode, known
from tests.integration.backends import Backend
from tests.support import states


def taken(view: NodeView, *devices: str, spoilt: tuple[Undecodable, ...] = ()) -> HostReport:
    """A snapshot of a view, beside these DPUDevices."""
    store: Store[DPUDevice] = Store()
    for name in devices:
        store.apply("ADDED", states.device(name))
    store.unreadable.update({obj.name: obj for obj in spoilt})
    snapshot = take(view, store, pictures=(), namespace="dpf", now="2026-06-01T10:00:00+00:00")
    assert snapshot is not None
    return snapshot


def spoilt(kind: type[DPU | DPUDevice | DPUNode], name: str) -> Undecodable:
    """An object that cannot be read, with something in it that is nobody's business."""
    return Undecodable(
        kind=kind,
        name=name,
        namespace="dpf",
        uid=f"uid-of-{name}",
        resource_version="7",
        error="Expected `str`, got `int` - at `$.status.phase`",
        raw=b'{"spec": {"password": "hunter2"}}',
    )


async def test_a_ready_host_is_shown_with_every_object_and_waits_for_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)

        snapshot = await dpf.snapshot(view.name)

        assert snapshot.dpu_node is not None
        assert snapshot.dpu_node.uid == view.uid
        assert {dpu.name: dpu.uid for dpu in snapshot.dpus} == view.uids
        assert {device.name for device in snapshot.devices} == {dpu.device for dpu in view.dpus}
        assert {dpu.phase for dpu in snapshot.dpus} == {"Ready"}
        assert {dpu.facts["bfb"] for dpu in snapshot.dpus} == {dpu.bfb for dpu in view.dpus}
        assert all(device.facts["serial_number"] for device in snapshot.devices)
        assert (snapshot.waiting_for, snapshot.missing_devices, snapshot.troubles) == ({}, (), ())


async def test_a_held_host_says_what_each_of_its_objects_waits_for(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()

        snapshot = await dpf.snapshot(view.name)

        (held,) = snapshot.maintenances
        assert snapshot.waiting_for[f"DPUNodeMaintenance {held.name}"] == "a release of the hold"
        assert "NodeEffectInProgress" in snapshot.waiting_for[f"DPU {view.dpus[0].name}"]
        assert view.dpus[0].name in held.facts["requestors"]
        assert held.annotations[known.WAIT_FOR_EXTERNAL_NODE_EFFECT] == "true"


async def test_a_host_that_is_to_be_rebooted_says_so(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_external_reboot()

        snapshot = await dpf.snapshot(view.name)

        assert snapshot.waiting_for[f"DPUNode {view.name}"] == "an external reboot"
        assert "Rebooting" in snapshot.waiting_for[f"DPU {view.dpus[0].name}"]


async def test_a_stuck_deletion_says_what_holds_it_and_why(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        await dpf.resource(DPUNode).delete(view.name)
        await sim.settled()

        snapshot = await dpf.snapshot(view.name)

        waiting = snapshot.waiting_for[f"DPU {view.dpus[0].name}"]
        assert "DeleteNodeError" in waiting
        assert f"held by {known.DPU_FINALIZER}" in waiting
        assert snapshot.waiting_for[f"DPUNode {view.name}"].startswith("its deletion: for its DPUs")
        assert snapshot.dpus[0].deleting_since


async def test_what_this_client_wrote_is_in_it_however_late_the_watch_is(backend: Backend) -> None:
    async with backend.simulator(operator=False, watch_lag=0.2) as sim, sim.client() as dpf:
        host = await sim.register_host()
        await dpf.snapshot(host.name)

        await dpf.resource(DPUNode).patch(host.name, {"metadata": {"labels": {"mine": "now"}}})
        snapshot = await dpf.snapshot(host.name)

        assert snapshot.dpu_node is not None
        assert snapshot.dpu_node.labels["mine"] == "now"


async def test_devices_that_are_listed_and_missing_are_named(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host(devices=2)
        gone, stays = (device.name for device in host.devices)
        await dpf.resource(DPUDevice).delete(gone)

        snapshot = await dpf.snapshot(host.name)

        assert snapshot.missing_devices == (gone,)
        assert [device.name for device in snapshot.devices] == [stays]


async def test_a_host_whose_node_is_gone_is_shown_as_long_as_something_refers_to_it(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(view.name)
        await dpf.handle(DPUNode, view.name).until_gone(timeout=60)
        await sim.settled()

        stranded = await dpf.snapshot(view.name)

        assert stranded.dpu_node is None
        assert [one.name for one in stranded.maintenances] == [f"{view.name}-hold"]


async def test_a_host_that_dpf_knows_nothing_of_is_not_found(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        with pytest.raises(NotFound, match=r"DPF knows nothing of a host node-9.*look at the names"):
            await dpf.snapshot("node-9")


async def test_the_ticket_is_json_and_the_same_in_both_forms(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold(2)

        snapshot = await dpf.snapshot(view.name)
        ticket = json.loads(json.dumps(snapshot.to_dict()))

        assert ticket == snapshot.to_dict()
        fields = {field.name for field in dataclasses.fields(snapshot)}
        assert set(ticket) == fields | {"waiting_for"}
        (dpu, _) = ticket["dpus"]
        assert set(dpu) == {field.name for field in dataclasses.fields(snapshot.dpus[0])}
        assert set(ticket["versions"]) == {"DPUNode", "DPUDevice", "DPU", "DPUNodeMaintenance"}
        assert all(ticket["versions"].values())


def test_no_credentials_and_no_annotations_of_others_leave_the_house() -> None:
    told = states.condition(
        "BFBTransferred",
        "False",
        "FailToInstall",
        message='GET "https://root:hunter2@10.0.0.1/redfish/v1?token=hunter2": timed out',
    )
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": '{"password": "hunter2"}',
        "evil.example/nvidia.com/x": "hunter2",
        known.ARM_RESTART_TRACKER: "3",
    }
    dpu = states.dpu(phase="OS Installing", conditions=[told], metadata={"annotations": annotations})

    ticket = taken(states.view(states.node(annotations=annotations), dpu), "device-1").to_dict()

    assert "hunter2" not in json.dumps(ticket)
    assert "https://…@10.0.0.1/redfish/v1?…" in ticket["dpus"][0]["conditions"][0]["message"]
    shown = ticket["dpus"][0]["annotations"]
    assert shown[known.ARM_RESTART_TRACKER] == "3"
    assert shown["kubectl.kubernetes.io/last-applied-configuration"] == "(not shown: 23 characters)"


def test_objects_that_cannot_be_read_are_named_without_what_is_in_them() -> None:
    node = states.node(devices=("device-1", "device-2"))
    view = with_unreadable(states.view(node), unreadable=(spoilt(DPU, "node-1-device-1"),))

    snapshot = taken(view, "device-1", spoilt=(spoilt(DPUDevice, "device-2"), spoilt(DPUDevice, "other")))

    assert {(one.kind, one.name) for one in snapshot.unreadable} == {
        ("DPU", "node-1-device-1"),
        ("DPUDevice", "device-2"),
    }
    assert "Expected `str`" in snapshot.unreadable[0].error
    assert snapshot.missing_devices == ()
    assert "hunter2" not in json.dumps(snapshot.to_dict())


def with_unreadable(view: NodeView, *, unreadable: tuple[Undecodable, ...]) -> NodeView:
    """The same view with objects that cannot be read."""
    return NodeView(
        name=view.name,
        node=view.node,
        devices=view.devices,
        dpus=view.dpus,
        maintenances=view.maintenances,
        unreadable=unreadable,
    )


def test_a_snapshot_cannot_be_changed() -> None:
    snapshot = taken(states.view(states.node(), states.dpu()), "device-1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.taken = ""  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.dpus[0].labels["a"] = "b"  # type: ignore[index]

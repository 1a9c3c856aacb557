"""Snapshots of hosts: all objects at one moment, without confidential values."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dpf_async._api.codec import Undecodable
from dpf_async._diagnostics.snapshot import HostReport, report_of
from dpf_async._transitions.views import NodeView
from dpf_async._watch.store import Store
from dpf_async.errors import NotFound
from dpf_async.models import DPU, DPUDevice, DPUNode, known
from tests.integration.backends import Backend
from tests.support import states


def report(view: NodeView, *devices: str, unreadable: tuple[Undecodable, ...] = ()) -> HostReport:
    """The report of a view, with these DPUDevices in the cache."""
    store: Store[DPUDevice] = Store()
    for name in devices:
        store.apply("ADDED", states.device(name))
    store.unreadable.update({obj.name: obj for obj in unreadable})
    snapshot = report_of(view, store, reflectors=(), namespace="dpf", now="2026-06-01T10:00:00+00:00")
    assert snapshot is not None
    return snapshot


def undecodable(kind: type[DPU | DPUDevice | DPUNode], name: str) -> Undecodable:
    """An object that cannot be decoded, with a confidential value in it."""
    return Undecodable(
        kind=kind,
        name=name,
        namespace="dpf",
        uid=f"uid-of-{name}",
        resource_version="7",
        error="Expected `str`, got `int` - at `$.status.phase`",
        raw=b'{"spec": {"password": "hunter2"}}',
    )


async def test_a_ready_host_is_reported_with_every_object_and_waits_for_nothing(backend: Backend) -> None:
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
        assert (snapshot.waiting_for, snapshot.missing_devices, snapshot.watch_problems) == ({}, (), ())


async def test_the_report_of_a_held_host_says_what_each_object_waits_for(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()

        snapshot = await dpf.snapshot(view.name)

        (held,) = snapshot.maintenances
        assert snapshot.waiting_for[f"DPUNodeMaintenance {held.name}"] == "the release of the hold"
        assert "NodeEffectInProgress" in snapshot.waiting_for[f"DPU {view.dpus[0].name}"]
        assert view.dpus[0].name in held.facts["requestors"]
        assert held.annotations[known.WAIT_FOR_EXTERNAL_NODE_EFFECT] == "true"


async def test_the_report_of_a_host_says_that_it_waits_for_an_external_reboot(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_external_reboot()

        snapshot = await dpf.snapshot(view.name)

        assert snapshot.waiting_for[f"DPUNode {view.name}"] == "an external reboot"
        assert "Rebooting" in snapshot.waiting_for[f"DPU {view.dpus[0].name}"]


async def test_the_report_of_a_stuck_deletion_names_finalizer_and_condition(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        await dpf.resource(DPUNode).delete(view.name)
        await sim.settled()

        snapshot = await dpf.snapshot(view.name)

        waiting = snapshot.waiting_for[f"DPU {view.dpus[0].name}"]
        assert "DeleteNodeError" in waiting
        assert f"held by {known.DPU_FINALIZER}" in waiting
        assert snapshot.waiting_for[f"DPUNode {view.name}"].startswith("deletion: waits for its DPUs")
        assert snapshot.dpus[0].deleting_since


async def test_a_snapshot_includes_own_writes_when_the_watch_is_late(backend: Backend) -> None:
    async with backend.simulator(operator=False, watch_lag=0.2) as sim, sim.client() as dpf:
        host = await sim.register_host()
        await dpf.snapshot(host.name)

        await dpf.resource(DPUNode).patch(host.name, {"metadata": {"labels": {"mine": "now"}}})
        snapshot = await dpf.snapshot(host.name)

        assert snapshot.dpu_node is not None
        assert snapshot.dpu_node.labels["mine"] == "now"


async def test_listed_devices_that_do_not_exist_are_named(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host(devices=2)
        deleted, remaining = (device.name for device in host.devices)
        await dpf.resource(DPUDevice).delete(deleted)

        snapshot = await dpf.snapshot(host.name)

        assert snapshot.missing_devices == (deleted,)
        assert [device.name for device in snapshot.devices] == [remaining]


async def test_a_host_without_a_dpunode_is_reported_while_other_objects_refer_to_it(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(view.name)
        await dpf.handle(DPUNode, view.name).until_gone(timeout=60)
        await sim.settled()

        snapshot = await dpf.snapshot(view.name)

        assert snapshot.dpu_node is None
        assert [one.name for one in snapshot.maintenances] == [f"{view.name}-hold"]


async def test_a_snapshot_of_an_unknown_host_raises_not_found(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        with pytest.raises(NotFound, match=r"host node-9.*resource\(DPUNode\)\.list\(\)"):
            await dpf.snapshot("node-9")


async def test_the_json_form_has_every_field(backend: Backend) -> None:
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


def test_a_report_contains_no_credentials_and_no_values_of_foreign_annotations() -> None:
    condition = states.condition(
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
    dpu = states.dpu(phase="OS Installing", conditions=[condition], metadata={"annotations": annotations})

    ticket = report(states.view(states.node(annotations=annotations), dpu), "device-1").to_dict()

    assert "hunter2" not in json.dumps(ticket)
    assert "https://…@10.0.0.1/redfish/v1?…" in ticket["dpus"][0]["conditions"][0]["message"]
    shown = ticket["dpus"][0]["annotations"]
    assert shown[known.ARM_RESTART_TRACKER] == "3"
    assert shown["kubectl.kubernetes.io/last-applied-configuration"] == "(not shown: 23 characters)"


def test_undecodable_objects_are_named_without_their_content() -> None:
    node = states.node(devices=("device-1", "device-2"))
    view = with_unreadable(states.view(node), unreadable=(undecodable(DPU, "node-1-device-1"),))

    snapshot = report(
        view,
        "device-1",
        unreadable=(undecodable(DPUDevice, "device-2"), undecodable(DPUDevice, "other")),
    )

    assert {(one.kind, one.name) for one in snapshot.unreadable} == {
        ("DPU", "node-1-device-1"),
        ("DPUDevice", "device-2"),
    }
    assert "Expected `str`" in snapshot.unreadable[0].error
    assert snapshot.missing_devices == ()
    assert "hunter2" not in json.dumps(snapshot.to_dict())


def with_unreadable(view: NodeView, *, unreadable: tuple[Undecodable, ...]) -> NodeView:
    """The same view with undecodable objects."""
    return NodeView(
        name=view.name,
        node=view.node,
        devices=view.devices,
        dpus=view.dpus,
        maintenances=view.maintenances,
        unreadable=unreadable,
    )


def test_a_report_is_immutable() -> None:
    snapshot = report(states.view(states.node(), states.dpu()), "device-1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.taken = ""  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.dpus[0].labels["a"] = "b"  # type: ignore[index]

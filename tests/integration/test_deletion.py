"""Graceful and forced deletion of DPUs and hosts on the simulated site."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dpf_async import DPFClient, DPUView, ForcedDeletion, NodeView, Progress
from dpf_async._api.codec import ObjectState
from dpf_async._diagnostics.permissions import NEEDS
from dpf_async._hosts.deletion import delete_dpu_targets, delete_node_targets
from dpf_async._hosts.deletion_run import DeletionRun
from dpf_async._hosts.deletion_targets import DPUTargets, NodeTargets, Target
from dpf_async._readers.progress import ProgressReporter
from dpf_async.errors import Conflict, Forbidden, ServerError, UsageError
from dpf_async.levels import Level, node_effect_held, phase_is
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, DPUPhase, Resource, known
from dpf_async.sim import Simulator
from dpf_async.sim.operator import Profile
from tests.integration.backends import Backend
from tests.support import objects
from tests.support.cluster import client_of
from tests.support.proxy import Proxy
from tests.support.timeouts import times_out

LASTING = Profile("lasting", bound_scale=1.0)
"""Operations take no time, and timeouts are those of DPF: an installation that does not end takes 45 min."""

FOREIGN = "example.com/stays"
"""A finalizer that no controller of this site removes."""


async def names(dpf: DPFClient, kind: type[Resource]) -> set[str]:
    return {obj.name for obj in (await dpf.resource(kind).list()).items}


async def everything(dpf: DPFClient) -> set[str]:
    """Names of all objects of hosts."""
    return {name for _, name in await versions(dpf)}


async def versions(dpf: DPFClient) -> dict[tuple[str, str], str]:
    """The resourceVersion of each object of a host, by kind and name: any write changes it."""
    return {
        (kind.KIND, obj.name): obj.metadata.resource_version
        for kind in (DPUNode, DPUDevice, DPU, DPUNodeMaintenance)
        for obj in (await dpf.resource(kind).list()).items
    }


@asynccontextmanager
async def through_a_proxy(sim: Simulator) -> AsyncIterator[tuple[Proxy, DPFClient]]:
    """A client that is connected through a proxy; the operator is not."""
    async with Proxy(sim.kubeconfig()) as proxy, client_of(proxy, sim.namespace) as dpf:
        yield proxy, dpf


async def installing_node(sim: Simulator, dpf: DPFClient) -> NodeView:
    """A host whose DPU is in OS Installing for the next 45 min."""
    held = await sim.node_waiting_for_hold()
    await dpf.mark_dpu_node_ready_for_maintenance(held.name)
    dpu = dpf.dpu(held.dpus[0].name)
    await dpu.until(phase_is(DPUPhase.OS_INSTALLING), timeout=60)
    await sim.settled()
    return await dpf.node(held.name).view()


# DeleteDPU


async def test_deleting_a_dpu_deletes_its_device_and_its_entry_in_the_node(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        gone, stays = view.dpus

        await dpf.delete_dpu(gone.device, timeout=60)

        assert await names(dpf, DPU) == {stays.name}
        assert await names(dpf, DPUDevice) == {stays.device}
        node = await dpf.resource(DPUNode).get(view.name)
        assert [ref.name for ref in node.spec.dpus] == [stays.device]


async def test_no_dpu_is_created_again_after_its_deletion(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()

        await dpf.delete_dpu(view.dpus[0].device, timeout=60)
        await sim.settled()

        assert await names(dpf, DPU) == set()


async def test_a_timeout_for_a_device_without_a_dpu_recommends_forced_deletion_which_succeeds(
    backend: Backend,
) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        (device,) = (await sim.register_host()).devices
        await dpf.resource(DPUDevice).patch(
            device.name, {"metadata": {"finalizers": [known.DPUDEVICE_FINALIZER]}}
        )

        await times_out(
            lambda seconds: dpf.delete_dpu(device.name, timeout=seconds), "only a forced deletion"
        )
        report = await dpf.force_delete_dpu(device.name, grace_period=0)

        assert report.removed == (f"DPUDevice {device.name}: {known.DPUDEVICE_FINALIZER}",)
        assert await names(dpf, DPUDevice) == set()


@pytest.mark.parametrize("again", [False, True])
async def test_a_dpu_that_is_created_while_its_device_is_being_deleted_is_deleted(
    backend: Backend, again: bool
) -> None:
    """The test takes the part of DPF, with the worst timing.

    Source: docs/dpf/deployments.md#recreation, docs/dpf/deletion.md#dpudevice.
    """
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host()
        device, dpu = host.devices[0].name, f"{host.name}-{host.devices[0].name}"
        devices, dpus = dpf.resource(DPUDevice), dpf.resource(DPU)
        await devices.patch(device, {"metadata": {"finalizers": [known.DPUDEVICE_FINALIZER]}})
        if again:
            # The first DPU is deleted without removing the finalizer of the device, as by a forced deletion.
            await dpus.create(_dpu(host.name, device))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: dpf.delete_dpu(device, timeout=60))
            await dpf.handle(DPUDevice, device).until(Level("being deleted", _is_terminating), timeout=60)
            await dpf.handle(DPU, dpu).until_gone(timeout=60)
            await dpus.create(_dpu(host.name, device, known.DPU_FINALIZER))
            await dpf.dpu(dpu).until(Level("being deleted", _is_terminating), timeout=60)
            await devices.patch(device, {"metadata": {"finalizers": []}})
            await dpus.patch(dpu, {"metadata": {"finalizers": []}})

        assert await everything(dpf) == {host.name}


def _is_terminating(view: DPUView | ObjectState[Any]) -> bool:
    return view.terminating


def _dpu(node: str, device: str, *finalizers: str) -> DPU:
    """A DPU as a DPUSet creates it."""
    name = f"{node}-{device}"
    spec = objects.dpu(name, 0, node=node)["spec"] | {"dpuDeviceName": device}
    return DPU.model_validate({"metadata": {"name": name, "finalizers": finalizers}, "spec": spec})


async def test_deleting_a_dpu_that_does_not_exist_changes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        gone, _ = view.dpus
        await dpf.delete_dpu(gone.device, timeout=60)
        before = await versions(dpf)

        await dpf.delete_dpu(gone.device, timeout=60)
        await dpf.delete_dpu("no-such-device", timeout=60)

        assert await versions(dpf) == before


async def test_deletion_waits_for_a_dpu_that_is_already_being_deleted(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]
        await dpf.resource(DPU).delete(dpu.name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: dpf.delete_dpu(dpu.device, timeout=60))
            # The finalizer of the device was removed before the DPU got stuck, so the device is deleted at once.
            await dpf.handle(DPUDevice, dpu.device).until_gone(timeout=60)
            sim.repair()

        assert await names(dpf, DPU) == set()


async def test_a_timeout_names_the_object_and_its_finalizer(
    backend: Backend,
) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]

        await times_out(
            lambda seconds: dpf.delete_dpu(dpu.device, timeout=seconds),
            f"DPU {dpu.name}.*{known.DPU_FINALIZER}",
        )


async def test_a_device_can_be_registered_again_after_its_deletion(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        host = await sim.register_host()
        await dpf.delete_dpu(host.devices[0].name, timeout=60)

        view = await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)

        assert view.device_names == (host.devices[0].name,)


@pytest.mark.parametrize("state", ["held", "rebooting"])
async def test_deleting_the_last_dpu_of_a_host_ends_its_maintenance_and_the_next_dpu_requests_a_hold(
    backend: Backend, state: str
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        make = {"held": sim.node_waiting_for_hold, "rebooting": sim.node_waiting_for_external_reboot}
        view = await make[state]()
        await dpf.delete_dpu(view.dpus[0].device, timeout=60)
        left = await names(dpf, DPUNodeMaintenance)

        again = sim.host(view.name)
        await dpf.create_dpu_node(again.name, again.devices, labels=again.labels)
        asked = await dpf.node(again.name).until(node_effect_held, timeout=60)

        assert left == set()
        assert asked.hold is not None


async def test_a_maintenance_that_other_dpus_of_the_host_need_is_kept(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold(2)
        gone, stays = view.dpus

        await dpf.delete_dpu(gone.device, timeout=60)

        (held,) = (await dpf.resource(DPUNodeMaintenance).list()).items
        assert stays.name in held.spec.requestor
        assert gone.name not in held.spec.requestor


async def test_a_timeout_during_installation_says_how_long_the_installation_can_last(
    backend: Backend,
) -> None:
    async with (
        backend.simulator(profile=LASTING, troubles=["install_timeout"]) as sim,
        sim.client() as dpf,
    ):
        view = await installing_node(sim, dpf)
        (dpu,) = view.dpus
        received: list[Progress] = []

        error = await times_out(
            lambda seconds: dpf.delete_dpu(dpu.device, timeout=seconds, progress=received.append),
            f"DPUDevice {dpu.device}: not gone",
        )

        (line,) = [line for line in str(error).splitlines() if f"DPU {dpu.name}: not gone after" in line]
        assert "OS Installing (DPF does not delete a DPU while it installs the OS" in line
        assert "by default 45 min after 20" in line
        assert any(
            one.subject == f"DPU {dpu.name}" and "while it installs the OS" in one.doing for one in received
        )


async def test_progress_reports_each_object_from_the_request_to_its_deletion(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        received: list[Progress] = []

        await dpf.delete_dpu_node(view.name, timeout=60, progress=received.append)

        subjects = {f"DPUNode {view.name}"}
        subjects |= {f"DPU {dpu.name}" for dpu in view.dpus} | {
            f"DPUDevice {dpu.device}" for dpu in view.dpus
        }
        by_subject = {
            subject: [one.doing for one in received if one.subject == subject] for subject in subjects
        }
        assert {doing[0] for doing in by_subject.values()} == {"deletion requested"}
        assert {doing[-1] for doing in by_subject.values()} == {"deleted"}
        assert {one.flow for one in received} == {"delete_dpu_node"}


# Mistakes of the caller, failing requests and other clients


async def test_a_name_of_another_kind_is_refused_with_the_call_for_that_kind(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        (dpu,) = view.dpus
        before = await versions(dpf)

        calls: list[tuple[Callable[[str], Awaitable[object]], str, str]] = [
            (dpf.delete_dpu, dpu.name, f"name of a DPU, .*call delete_dpu.'{dpu.device}'"),
            (dpf.force_delete_dpu, dpu.name, f"name of a DPU, .*call delete_dpu.'{dpu.device}'"),
            (dpf.delete_dpu, view.name, f"name of a DPUNode, .*call delete_dpu_node.'{view.name}'"),
            (dpf.delete_dpu_node, dpu.name, f"name of a DPU, .*call delete_dpu_node.'{view.name}'"),
            (dpf.delete_dpu_node, dpu.device, f"name of a DPUDevice, .*call delete_dpu.'{dpu.device}'"),
            (dpf.force_delete_dpu_node, dpu.device, f"name of a DPUDevice, .*call delete_dpu.'{dpu.device}'"),
        ]
        for call, name, message in calls:
            with pytest.raises(UsageError, match=message):
                await call(name)

        assert await versions(dpf) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "begins and ends"), ("Device-1", "lower-case"), ("a/b", "lower-case"), ("d" * 64, "at most")],
)
async def test_an_invalid_name_is_a_usage_error_and_not_success(
    backend: Backend, name: str, why: str
) -> None:
    async with backend.cluster() as site:
        for call in (
            site.dpf.delete_dpu,
            site.dpf.force_delete_dpu,
            site.dpf.delete_dpu_node,
            site.dpf.force_delete_dpu_node,
        ):
            with pytest.raises(UsageError, match=why):
                await call(name)


@pytest.mark.parametrize(("status", "error"), [(403, Forbidden), (500, ServerError)])
@pytest.mark.parametrize("force", [False, True])
async def test_a_rejected_request_is_raised_with_what_was_done_and_the_next_call_continues(
    backend: Backend, status: int, error: type[Exception], *, force: bool
) -> None:
    async with backend.simulator() as sim, through_a_proxy(sim) as (proxy, dpf):
        view = await sim.ready_node()
        (dpu,) = view.dpus
        delete = dpf.force_delete_dpu if force else dpf.delete_dpu

        proxy.faults.answer(status, verb="delete", resource="dpus")
        with pytest.raises(error) as caught:
            await delete(dpu.device)
        await delete(dpu.device)

        (note,) = caught.value.__notes__
        assert f"DPUDevice {dpu.device}: deletion requested" in note
        assert f"DPU {dpu.name}" not in note
        assert await names(dpf, DPU) == await names(dpf, DPUDevice) == set()
        assert not (await dpf.resource(DPUNode).get(view.name)).spec.dpus


async def test_a_rejected_request_during_forced_deletion_is_raised_with_what_was_forced(
    backend: Backend,
) -> None:
    async with (
        backend.simulator(profile=LASTING, troubles=["install_timeout"]) as sim,
        sim.client() as watcher,
        through_a_proxy(sim) as (proxy, dpf),
    ):
        view = await installing_node(sim, watcher)
        (dpu,) = view.dpus

        proxy.faults.deny(verb="patch", resource="dpus")
        with pytest.raises(Forbidden) as caught:
            await dpf.force_delete_dpu(dpu.device, grace_period=3.0)
        proxy.faults.allow()
        report = await dpf.force_delete_dpu(dpu.device, grace_period=0.3)

        notes = "\n".join(caught.value.__notes__)
        assert f"removed by force before that: DPUDevice {dpu.device}: {known.DPUDEVICE_FINALIZER}" in notes
        assert "OS Installing" in notes
        assert report.removed == (f"DPU {dpu.name}: {known.DPU_FINALIZER}",)
        assert await names(dpf, DPU) == set()


async def test_conflicts_are_retried_and_the_last_one_is_raised(backend: Backend) -> None:
    async with backend.simulator() as sim, through_a_proxy(sim) as (proxy, dpf):
        view = await sim.ready_node(2)
        first, second = view.dpus

        proxy.faults.answer(409, times=4, verb="patch", resource="dpunodes")
        await dpf.delete_dpu(first.device, timeout=60)
        proxy.faults.answer(409, times=5, verb="patch", resource="dpunodes")
        with pytest.raises(Conflict) as caught:
            await dpf.delete_dpu(second.device, timeout=60)

        assert f"another client keeps changing DPUNode {view.name}" in caught.value.__notes__[0]
        assert [ref.name for ref in (await dpf.resource(DPUNode).get(view.name)).spec.dpus] == [second.device]


async def test_objects_that_were_registered_again_are_not_deleted(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host()
        device = host.devices[0].name
        before = await versions(dpf)
        run = DeletionRun(dpf, "test", timeout=60, reporter=ProgressReporter("test", None))
        old_device, old_node = (
            Target(DPUDevice, device, "an-old-uid"),
            Target(DPUNode, host.name, "an-old-uid"),
        )

        await delete_dpu_targets(run, DPUTargets(device, old_device, (), (host.name,), (host.name,)))
        await delete_node_targets(run, NodeTargets(host.name, old_node, (old_device,), (), ()))

        assert await versions(dpf) == before


@pytest.mark.parametrize(
    "operation", ["delete_dpu", "force_delete_dpu", "delete_dpu_node", "force_delete_dpu_node", "snapshot"]
)
async def test_deletion_needs_only_the_documented_permissions(backend: Backend, operation: str) -> None:
    force = "force" in operation
    async with (
        backend.simulator(troubles=["stuck_finalizer"] if force else []) as sim,
        through_a_proxy(sim) as (proxy, dpf),
    ):
        # With a maintenance, so that every request is sent.
        view = await (sim.ready_node() if force else sim.node_waiting_for_hold())
        granted = {(permission.verb, permission.resource) for permission in NEEDS[operation]}
        for kind in (DPUNode, DPUDevice, DPU, DPUNodeMaintenance):
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
                if (verb, kind.PLURAL) not in granted:
                    proxy.faults.deny(verb=verb, resource=kind.PLURAL)

        waiting: dict[str, Any] = {"grace_period": 0.3} if force else {}
        name = view.dpus[0].device if operation.endswith("dpu") else view.name
        await getattr(dpf, operation)(name, **waiting)


# ForceDeleteDPU


async def test_a_forced_deletion_reports_that_nothing_was_forced(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()

        report = await dpf.force_delete_dpu(view.dpus[0].device, grace_period=60)

        assert report == ForcedDeletion(graceful=True, removed=(), left_behind=())
        assert str(report) == "deleted within the grace period; nothing was forced"
        assert await names(dpf, DPU) == set()


async def test_a_stuck_dpu_is_deleted_by_force_and_the_report_names_what_is_left_behind(
    backend: Backend,
) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]

        report = await dpf.force_delete_dpu(dpu.device, grace_period=0.5)

        assert not report.graceful
        assert f"DPU {dpu.name}: {known.DPU_FINALIZER}" in report.removed
        assert any(dpu.name in left and "keeps running" in left for left in report.left_behind)
        assert await names(dpf, DPU) == await names(dpf, DPUDevice) == set()
        assert not (await dpf.resource(DPUNode).get(view.name)).spec.dpus


async def test_the_report_names_secrets_node_file_and_reason_and_is_immutable(
    backend: Backend,
) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node()
        (dpu,) = view.dpus
        cluster = dpu.object.spec.cluster
        assert cluster is not None

        report = await dpf.force_delete_dpu(dpu.device, grace_period=3.0)

        left = "\n".join(report.left_behind)
        assert f"Node {dpu.name} in DPUCluster {cluster.namespace}/{cluster.name}" in left
        for secret in ("dms-server-cert", "server-secret", "kubeadm-join"):
            assert f"Secret {dpu.name}-{secret} in namespace {sim.namespace}" in left
        assert f"file {dpu.object.status.bf_cfg_file}" in left
        assert "DeleteNodeError" in report.reason
        assert all(text in str(report) for text in (report.reason, *report.removed, *report.left_behind))
        with pytest.raises(dataclasses.FrozenInstanceError):
            report.graceful = True  # type: ignore[misc]


@pytest.mark.parametrize("whole", [False, True], ids=["dpu", "node"])
async def test_force_during_installation_removes_finalizers_in_an_order_in_which_no_dpu_is_created_again(
    backend: Backend, *, whole: bool
) -> None:
    async with (
        backend.simulator(profile=LASTING, troubles=["install_timeout"]) as sim,
        sim.client() as dpf,
    ):
        view = await installing_node(sim, dpf)
        (dpu,) = view.dpus
        uids: set[str] = set()

        async with dpf.node(view.name).observe(_collecting(uids)):
            if whole:
                report = await dpf.force_delete_dpu_node(view.name, grace_period=0.3)
            else:
                report = await dpf.force_delete_dpu(dpu.device, grace_period=0.3)
            await sim.settled()
            left = await dpf.node(view.name).view()

        forced = [entry.rpartition(" ")[2] for entry in report.removed]
        node_last = [known.DPUNODE_FINALIZER] if known.DPUNODE_FINALIZER in forced else []
        order = [known.DPUDEVICE_FINALIZER, known.DPU_FINALIZER]
        assert [one for one in forced if one in order] == (order[::-1] if whole else order)
        assert forced[-1:] == node_last or not node_last
        assert uids == {dpu.uid}
        assert (left.exists, left.dpus, left.maintenances) == (not whole, (), ())


def _collecting(uids: set[str]) -> Level[NodeView]:
    """Collects the uids of all DPUs of a node; never holds. `observe` evaluates it for every state."""

    def collect(view: NodeView) -> bool:
        uids.update(view.uids.values())
        return False

    return Level("collected", collect, survives_failure=True)


@pytest.mark.parametrize("kind", [DPU, DPUDevice])
async def test_force_does_not_remove_foreign_finalizers_and_names_them(
    backend: Backend, kind: type[Resource]
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        dpu = view.dpus[0]
        stuck, name = dpf.resource(kind), {DPU: dpu.name, DPUDevice: dpu.device}[kind]
        stored = await stuck.get(name)
        await stuck.patch(name, {"metadata": {"finalizers": [*stored.metadata.finalizers, FOREIGN]}})

        error = await times_out(
            lambda seconds: dpf.force_delete_dpu(dpu.device, grace_period=seconds),
            f"{kind.KIND} {name}: .*held by {FOREIGN}\\n",
        )

        assert (await stuck.get(name)).metadata.finalizers == (FOREIGN,)
        assert not any("only a forced deletion" in note for note in error.__notes__)


async def test_forced_deletion_of_a_missing_object_is_graceful(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        assert (await dpf.force_delete_dpu("no-such-device", grace_period=60)).graceful
        assert (await dpf.force_delete_dpu_node("no-such-node", grace_period=60)).graceful


# DeleteDPUNode, ForceDeleteDPUNode


async def test_a_maintenance_whose_node_another_client_deleted_is_deleted(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        await dpf.resource(DPUNode).delete(view.name)
        await dpf.handle(DPUNode, view.name).until_gone(timeout=60)
        await sim.settled()
        orphaned = await everything(dpf)

        await dpf.delete_dpu_node(view.name, timeout=60)

        assert orphaned == {f"{view.name}-hold"}
        assert await everything(dpf) == set()


@pytest.mark.parametrize("state", ["ready", "held", "rebooting"])
async def test_deleting_a_host_deletes_all_its_objects_and_none_of_other_hosts(
    backend: Backend, state: str
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await sim.define_site()
        other = await sim.register_host()
        await dpf.node(other.name).until(node_effect_held, timeout=60)
        await sim.settled()
        stays = await everything(dpf)
        make = {
            "ready": sim.ready_node,
            "held": sim.node_waiting_for_hold,
            "rebooting": sim.node_waiting_for_external_reboot,
        }
        view = await make[state](2)

        await dpf.delete_dpu_node(view.name, timeout=60)
        await sim.settled()

        assert await everything(dpf) == stays


async def test_devices_without_the_label_of_their_host_are_deleted_with_it_but_not_those_of_another_host(
    backend: Backend,
) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        host = await sim.register_host(devices=2)
        moved = host.devices[1]
        other = await sim.register_host()
        await dpf.create_dpu_node(other.name, [*other.devices, moved], labels=other.labels)

        await dpf.delete_dpu_node(host.name, timeout=60)

        assert await names(dpf, DPUNode) == {other.name}
        assert await names(dpf, DPUDevice) == {other.devices[0].name, moved.name}


async def test_the_remaining_objects_of_a_host_are_deleted_after_its_node_was_deleted_by_force(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node(2)
        await dpf.resource(DPUNode).patch(view.name, {"metadata": {"finalizers": []}})
        await dpf.resource(DPUNode).delete(view.name)

        await dpf.delete_dpu_node(view.name, timeout=60)

        assert await everything(dpf) == set()


async def test_a_node_effect_that_must_be_undone_is_dropped_only_by_force_and_reported(
    backend: Backend,
) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        drained = {
            "metadata": {"name": "node-1-k8sdrain", "finalizers": [known.DPUNODEMAINTENANCE_FINALIZER]},
            "spec": {"dpuNodeName": "node-1", "nodeEffect": {"drain": True}, "requestor": ["a-service"]},
        }
        await dpf.resource(DPUNodeMaintenance).create(DPUNodeMaintenance.model_validate(drained))

        await times_out(
            lambda seconds: dpf.delete_dpu_node("node-1", timeout=seconds),
            "node-1-k8sdrain: not gone .*no requestors left",
        )
        report = await dpf.force_delete_dpu_node("node-1", grace_period=0.3)

        assert report.removed == (
            f"DPUNodeMaintenance node-1-k8sdrain: {known.DPUNODEMAINTENANCE_FINALIZER}",
        )
        (left,) = report.left_behind
        assert "the host's Kubernetes node stays drained" in left
        assert await everything(dpf) == set()


async def test_deleting_a_host_again_changes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        await dpf.delete_dpu_node(view.name, timeout=60)
        await sim.settled()
        before = await versions(dpf)

        await dpf.delete_dpu_node(view.name, timeout=60)

        assert await versions(dpf) == before


async def test_a_host_can_be_registered_again_after_its_deletion(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first = await sim.ready_node()
        await dpf.delete_dpu_node(first.name, timeout=60)

        again = sim.host(first.name)
        await dpf.create_dpu_node(again.name, again.devices, labels=again.labels)
        view = await dpf.node(again.name).until(node_effect_held, timeout=60)

        assert not set(view.uids.values()) & set(first.uids.values())


async def test_a_stuck_host_is_deleted_by_force_with_all_its_objects(backend: Backend) -> None:
    async with backend.simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        view = await sim.ready_node(2)

        report = await dpf.force_delete_dpu_node(view.name, grace_period=0.5)

        assert not report.graceful
        forced = {entry.split(":")[0] for entry in report.removed}
        assert {f"DPU {dpu.name}" for dpu in view.dpus} <= forced
        assert await everything(dpf) == set()


async def test_force_deletes_a_host_while_no_operator_runs(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        view = await sim.node_waiting_for_hold()
        objects = await everything(dpf)

        # Objects of all kinds have finalizers now, which no controller removes in the other site.
        async with backend.simulator(operator=False) as abandoned, abandoned.client() as other:
            await _copy(dpf, other)
            report = await other.force_delete_dpu_node(view.name, grace_period=0.3)
            left = await everything(other)

        assert len(objects) == 4
        assert len(report.removed) == 4
        assert left == set()


@pytest.mark.parametrize("point", range(1, 10))
@pytest.mark.parametrize(
    "call", ["delete_dpu", "force_delete_dpu", "delete_dpu_node", "force_delete_dpu_node"]
)
async def test_a_deletion_that_was_cancelled_at_any_point_is_completed_by_the_next_call(
    backend: Backend, call: str, point: int
) -> None:
    troubles = ["stuck_finalizer"] if "force" in call else []
    waiting: dict[str, Any] = {"grace_period": 0.2} if troubles else {"timeout": 60}
    async with backend.simulator(troubles=troubles) as sim, sim.client() as dpf:
        # Ready if DPUs get stuck; otherwise in progress, with a maintenance.
        view = await (sim.ready_node() if troubles else sim.node_waiting_for_external_reboot())
        name = view.name if "node" in call else view.dpus[0].device

        await _cancelled_at(
            sim, point, lambda first, listener: getattr(first, call)(name, progress=listener, **waiting)
        )
        async with sim.client() as second:
            await getattr(second, call)(name, **waiting)
        await sim.settled()

        assert await everything(dpf) == (set() if "node" in call else {view.name})
        if "node" not in call:
            assert not (await dpf.resource(DPUNode).get(view.name)).spec.dpus


async def _cancelled_at(
    sim: Simulator,
    point: int,
    run: Callable[[DPFClient, Callable[[Progress], object]], Awaitable[object]],
) -> None:
    """Run in a client of its own, and cancel it at its point-th progress report."""
    reports = 0
    async with sim.client() as first:
        with anyio.CancelScope() as scope:

            def cancel_at_point(_: Progress) -> None:
                nonlocal reports
                reports += 1
                if reports == point:
                    scope.cancel()

            await run(first, cancel_at_point)


async def _copy(source: DPFClient, target: DPFClient) -> None:
    """Create the objects of hosts in another site, as when they are restored from a backup."""
    for kind in (DPUNode, DPUDevice, DPU, DPUNodeMaintenance):
        for obj in (await source.resource(kind).list()).items:
            metadata = {
                "name": obj.name,
                "labels": obj.metadata.labels,
                "annotations": obj.metadata.annotations,
                "finalizers": obj.metadata.finalizers,
            }
            document = obj.model_dump(mode="json", by_alias=True, exclude_unset=True)
            await target.resource(kind).create(
                kind.model_validate({"metadata": metadata, "spec": document["spec"]})
            )

"""An operation that fails for a missing permission: the notes of the error list what was done before."""

from __future__ import annotations

import pytest

from dpf_async import DeviceSpec, HostSpec, provision, reprovision
from dpf_async.errors import Forbidden
from dpf_async.models import DPU, known
from dpf_async.sim import Simulator
from dpf_async.sim.simulator import minimal_site
from tests.support.cluster import NODE, cluster

DEVICES = (
    DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.1.0.1"),
    DeviceSpec(name="device-2", serial_number="MT2", bmc_ip="10.1.0.2"),
)


def notes_of(refused: pytest.ExceptionInfo[Forbidden], verb: str, resource: str) -> list[str]:
    """The notes, after checking that the error names the permission and the next step."""
    error = refused.value
    assert (error.verb, error.resource, error.namespace) == (verb, resource, known.DPF_NAMESPACE)
    assert "deploy/rbac.yaml" in str(error)
    assert "dpf-async access" in str(error)
    return error.__notes__


async def test_a_site_with_an_object_that_may_not_be_created_is_not_begun() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="create", resource="dpuflavors")
        before = site.server.resource_version

        with pytest.raises(Forbidden) as refused:
            await site.dpf.create_initialization_objects(minimal_site(), bmc_password="secret")

        assert notes_of(refused, "create", "dpuflavors") == [
            "nothing was created or changed; repeat the call"
        ]
        assert site.server.resource_version == before


async def test_a_host_that_is_registered_in_part_names_the_registered_devices() -> None:
    async with cluster() as site:
        await site.dpf.create_dpu_node("another", DEVICES[:1])
        site.server.faults.deny(verb="create", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await site.dpf.create_dpu_node(NODE, DEVICES)

        assert notes_of(refused, "create", "dpunodes") == [
            "created or changed before that: DPUDevice device-2; register again to continue"
        ]


async def test_a_forbidden_confirmation_notes_that_the_reboot_was_done_and_is_still_requested() -> None:
    reboots: list[str] = []

    async def reboot(node: str) -> None:
        reboots.append(node)

    async with cluster() as site:
        await site.dpf.create_dpu_node(NODE, DEVICES)
        await site.request_reboot()
        site.server.faults.deny(verb="patch", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await provision(site.dpf, HostSpec(name=NODE, devices=DEVICES), reboot=reboot, timeout=60)

        answered, flow = notes_of(refused, "patch", "dpunodes")
        assert answered.startswith(f"the work for the external reboot of DPUNode {NODE} was done before that")
        assert "the request is still pending" in answered
        assert flow == f"registered before that: DPUNode {NODE}; provision it again to continue"
        assert reboots == [NODE]
        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()


async def test_a_replacement_that_cannot_be_watched_is_not_begun() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        (dpu,) = (await sim.ready_node()).dpus
        sim.server.faults.deny(verb="watch", resource="dpus")

        with pytest.raises(Forbidden, match="cannot watch resource") as refused:
            await dpf.reprovision_dpu(dpu.name)

        assert not hasattr(refused.value, "__notes__")
        assert not (await dpf.resource(DPU).get(dpu.name)).terminating


async def test_a_flow_that_is_forbidden_to_continue_after_a_deletion_notes_how_to_continue() -> None:
    async with Simulator(tokens={"token": "carbide"}) as sim, sim.client() as dpf:
        before = await sim.ready_node()
        sim.server.faults.deny(user="carbide", verb="patch", resource="dpunodemaintenances")

        async def reboot(_: str) -> None:
            """Never called."""

        with pytest.raises(Forbidden) as refused:
            await reprovision(dpf, before.name, reboot=reboot, timeout=60)

        notes = notes_of(refused, "patch", "dpunodemaintenances")
        assert notes[-1] == (
            f"deleted before that: DPU {before.dpus[0].name}; reprovision with the same uid to continue"
        )


async def test_a_note_on_one_callers_error_is_not_on_the_error_of_another() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="list", resource="dpus")
        with pytest.raises(Forbidden) as first:
            await site.dpf.dpu("dpu-1").view()
        first.value.add_note("of the first")

        with pytest.raises(Forbidden) as second:
            await site.dpf.dpu("dpu-1").view()

        assert notes_of(first, "list", "dpus") == ["of the first"]
        assert not hasattr(second.value, "__notes__")


async def test_a_deletion_that_is_forbidden_to_continue_notes_what_is_being_deleted() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        (dpu,) = view.dpus
        sim.server.faults.deny(verb="delete", resource="dpus")

        with pytest.raises(Forbidden) as of_dpu:
            await dpf.delete_dpu(dpu.device)
        with pytest.raises(Forbidden) as of_node:
            await dpf.delete_dpu_node(view.name)

        for refused, deleted in (of_dpu, f"DPUDevice {dpu.device}"), (of_node, f"DPUNode {view.name}"):
            (note,) = notes_of(refused, "delete", "dpus")
            assert note.startswith("done before that: ")
            assert deleted in note


async def test_a_forced_deletion_that_is_forbidden_to_continue_notes_removed_finalizers_and_leftovers() -> (
    None
):
    async with Simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        (dpu,) = (await sim.ready_node()).dpus
        sim.server.faults.deny(verb="patch", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await dpf.force_delete_dpu(dpu.device, grace_period=0)

        notes = notes_of(refused, "patch", "dpunodes")
        forced = f"removed by force before that: DPU {dpu.name}: {known.DPU_FINALIZER}"
        assert any(forced in note for note in notes), notes
        assert any(note.startswith("may be left behind: ") and dpu.name in note for note in notes)

"""A permission that is missing in the middle: the error names it, and its notes say what was done by then."""

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
    """Its notes, once it has been seen to name the permission and what to do about it."""
    error = refused.value
    assert (error.verb, error.resource, error.namespace) == (verb, resource, known.DPF_NAMESPACE)
    assert "deploy/rbac.yaml" in str(error)
    assert "dpf-async access" in str(error)
    return error.__notes__


async def test_a_site_of_which_one_object_may_not_be_made_is_not_begun() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="create", resource="dpuflavors")
        before = site.server.resource_version

        with pytest.raises(Forbidden) as refused:
            await site.dpf.create_initialization_objects(minimal_site(), bmc_password="secret")

        assert notes_of(refused, "create", "dpuflavors") == [
            "nothing was created or changed; repeat the call"
        ]
        assert site.server.resource_version == before


async def test_a_host_that_may_not_be_registered_as_a_whole_says_which_devices_are() -> None:
    async with cluster() as site:
        await site.dpf.create_dpu_node("another", DEVICES[:1])
        site.server.faults.deny(verb="create", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await site.dpf.create_dpu_node(NODE, DEVICES)

        assert notes_of(refused, "create", "dpunodes") == [
            "created or changed before that: DPUDevice device-2; register again to go on from there"
        ]


async def test_a_reboot_that_may_not_be_told_says_that_it_was_done_and_that_the_request_stands() -> None:
    reboots: list[str] = []

    async def reboot(node: str) -> None:
        reboots.append(node)

    async with cluster() as site:
        await site.dpf.create_dpu_node(NODE, DEVICES)
        await site.request_reboot()
        site.server.faults.deny(verb="patch", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await provision(site.dpf, HostSpec(name=NODE, devices=DEVICES), reboot=reboot, timeout=20)

        answered, flow = notes_of(refused, "patch", "dpunodes")
        assert answered.startswith(f"the work for the external reboot of DPUNode {NODE} was done before that")
        assert "the request is still pending" in answered
        assert flow == f"registered before that: DPUNode {NODE}; provision it again to go on from there"
        assert reboots == [NODE]
        assert known.EXTERNAL_REBOOT_REQUIRED in await site.annotations()


async def test_a_replacement_that_may_not_be_waited_for_is_not_begun() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        (dpu,) = (await sim.ready_node()).dpus
        sim.server.faults.deny(verb="watch", resource="dpus")

        with pytest.raises(Forbidden, match="cannot watch resource") as refused:
            await dpf.reprovision_dpu(dpu.name)

        assert not hasattr(refused.value, "__notes__")
        assert not (await dpf.resource(DPU).get(dpu.name)).terminating


async def test_a_flow_that_may_not_go_on_after_a_deletion_says_how_to() -> None:
    async with Simulator(tokens={"token": "carbide"}) as sim, sim.client() as dpf:
        before = await sim.ready_node()
        sim.server.faults.deny(user="carbide", verb="patch", resource="dpunodemaintenances")

        async def reboot(_: str) -> None:
            """It does not come to that."""

        with pytest.raises(Forbidden) as refused:
            await reprovision(dpf, before.name, reboot=reboot, timeout=20)

        notes = notes_of(refused, "patch", "dpunodemaintenances")
        assert notes[-1] == (
            f"deleted before that: DPU {before.dpus[0].name}; reprovision with the same uid to go on from there"
        )


async def test_what_one_of_several_notes_on_a_refusal_is_not_told_to_the_others() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="list", resource="dpus")
        with pytest.raises(Forbidden) as first:
            await site.dpf.dpu("dpu-1").view()
        first.value.add_note("of the first")

        with pytest.raises(Forbidden) as second:
            await site.dpf.dpu("dpu-1").view()

        assert notes_of(first, "list", "dpus") == ["of the first"]
        assert not hasattr(second.value, "__notes__")


async def test_a_deletion_that_may_not_go_on_says_what_is_on_its_way_out() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        view = await sim.ready_node()
        (dpu,) = view.dpus
        sim.server.faults.deny(verb="delete", resource="dpus")

        with pytest.raises(Forbidden) as of_dpu:
            await dpf.delete_dpu(dpu.device)
        with pytest.raises(Forbidden) as of_node:
            await dpf.delete_dpu_node(view.name)

        for refused, gone in (of_dpu, f"DPUDevice {dpu.device}"), (of_node, f"DPUNode {view.name}"):
            (note,) = notes_of(refused, "delete", "dpus")
            assert note.startswith("done before that: ")
            assert gone in note


async def test_force_that_may_not_go_on_says_what_it_took_off_and_what_is_left_behind() -> None:
    async with Simulator(troubles=["stuck_finalizer"]) as sim, sim.client() as dpf:
        (dpu,) = (await sim.ready_node()).dpus
        sim.server.faults.deny(verb="patch", resource="dpunodes")

        with pytest.raises(Forbidden) as refused:
            await dpf.force_delete_dpu(dpu.device, grace_period=0)

        notes = notes_of(refused, "patch", "dpunodes")
        forced = f"taken off by force before that: DPU {dpu.name}: {known.DPU_FINALIZER}"
        assert any(forced in note for note in notes), notes
        assert any(note.startswith("may be left behind: ") and dpu.name in note for note in notes)

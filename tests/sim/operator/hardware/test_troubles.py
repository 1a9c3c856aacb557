"""Troubles: the effect of each one on objects, and how it ends."""

from __future__ import annotations

import pytest

from dpf_async.errors import DPUFailed, SiteFailed, UsageError
from dpf_async.levels import phase_is, ready
from dpf_async.models import BFB, DPU, DPUDeployment, DPUDevice, Secret, known
from dpf_async.sim import Simulator
from dpf_async.sim.operator.hardware.troubles import KNOWN, Trouble, Troubles
from tests.sim.operator.site import (
    PHASES,
    answer_reboots,
    conditions,
    dpus,
    history,
    message,
    only_dpu,
    phases,
    register,
    release_hold,
    site_with_client,
)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("no_reboot", Trouble("no_reboot")),
        ("no_reboot@node-1", Trouble("no_reboot", None, "node-1")),
        ("reboots=3", Trouble("reboots", 3.0)),
        (" reboots=3@device-1 ", Trouble("reboots", 3.0, "device-1")),
        ("watch_lag=0.5", Trouble("watch_lag", 0.5)),
    ],
)
def test_troubles_are_parsed_from_text(text: str, trouble: Trouble) -> None:
    assert Trouble.parse(text) == trouble
    assert str(trouble) == text.strip()


@pytest.mark.parametrize(
    ("text", "expected_message"),
    [
        ("unknown_trouble", "known are: agent_silent, bfb_download_failed"),
        ("reboots", "write reboots=N"),
        ("no_reboot=1", "write no_reboot"),
        ("reboots=many", "whole number"),
        ("reboots=1.5", "whole number"),
        ("reboots=-1", "whole number"),
        ("watch_lag=nan", "number of seconds"),
        ("watch_lag=1@node-1", "no target"),
    ],
)
def test_text_that_is_not_a_trouble_is_rejected(text: str, expected_message: str) -> None:
    with pytest.raises(UsageError, match=expected_message):
        Trouble.parse(text)


def test_a_trouble_with_a_target_takes_precedence() -> None:
    troubles = Troubles(["reboots=2", "reboots=5@device-1"])

    assert troubles.find("reboots", "device-1", "node-1") == Trouble("reboots", 5.0, "device-1")
    assert troubles.find("reboots", "device-2", "node-1") == Trouble("reboots", 2.0)
    troubles.remove("reboots", "device-1")
    assert troubles.find("reboots", "device-1") == Trouble("reboots", 2.0)
    troubles.remove()
    assert list(troubles) == []


def test_every_trouble_has_a_description() -> None:
    assert all(text.startswith("=") or text[0].islower() for text in KNOWN.values())


async def test_a_wrong_password_prevents_initialization_of_the_device() -> None:
    async with site_with_client(troubles=["bmc_password_wrong"]) as (sim, dpf):
        host = await register(sim)

        device = await dpf.resource(DPUDevice).get(host.devices[0].name)

        assert conditions(device) == {"NodeAttached": ("True", "Success"), "Initialized": ("False", "Error")}
        assert message(device, "Initialized").startswith("failed to initialize password")
        assert device.metadata.labels[known.DPUNODE_NAME_LABEL] == host.name, "so its DPU is created anyway"
        assert len(await dpus(dpf, host.name)) == 1
        sim.repair("bmc_password_wrong")
        await sim.settled()
        assert conditions(await dpf.resource(DPUDevice).get(device.name))["Ready"] == ("True", "Success")


async def test_no_bmc_is_initialized_before_the_password_exists() -> None:
    async with site_with_client() as (sim, dpf):
        secret = await dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)
        await dpf.resource(Secret).delete(secret.name)
        host = await register(sim)
        device = await dpf.resource(DPUDevice).get(host.devices[0].name)
        assert "not found" in message(device, "Initialized")

        await sim.define_site()

        assert conditions(await dpf.resource(DPUDevice).get(device.name))["Ready"] == ("True", "Success")


async def test_another_serial_number_prevents_discovery_of_the_device() -> None:
    async with site_with_client() as (sim, dpf):
        host = sim.host(devices=2)
        odd, even = host.devices
        sim.trouble("serial_mismatch", device=odd.name)

        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()

        device = await dpf.resource(DPUDevice).get(odd.name)
        assert conditions(device)["Discovered"] == ("False", "Error")
        expected = f"serial number mismatch, expected: {odd.serial_number}, actual: {odd.serial_number}X"
        assert message(device, "Discovered") == expected
        assert conditions(await dpf.resource(DPUDevice).get(even.name))["Ready"] == ("True", "Success")


@pytest.mark.parametrize(
    ("trouble", "type_", "reason"),
    [
        ("install_timeout", "OSInstalled", "InstallationTimeout"),
        ("install_failed", "BFBTransferred", "FailToInstall"),
        ("agent_silent", "OSInstalled", "DPUAgentNotStarted"),
    ],
)
async def test_an_installation_that_fails_ends_in_error(trouble: str, type_: str, reason: str) -> None:
    async with site_with_client(troubles=[trouble]) as (sim, dpf):
        host = await register(sim)

        await release_hold(sim, dpf, host.name)

        dpu = await only_dpu(dpf, host.name)
        assert (dpu.status.phase, dpu.status.previous_phase) == ("Error", "OS Installing")
        assert conditions(dpu)[type_] == ("False", reason)
        assert "Error" not in conditions(dpu), "the failed phase has the cause"
        assert dpu.status.redfish_task_id is None
        with pytest.raises(DPUFailed, match=reason):
            await dpf.node(host.name).until(ready, timeout=60)


async def test_error_is_left_only_by_deletion() -> None:
    async with site_with_client(troubles=["install_failed"]) as (sim, dpf):
        host = await register(sim)
        await release_hold(sim, dpf, host.name)
        sim.repair()
        await sim.settled()
        failed = await only_dpu(dpf, host.name)
        assert failed.status.phase == "Error"

        await dpf.resource(DPU).delete(failed.name)
        assert await answer_reboots(dpf, host.name) == 1, "with the release for the failed DPU"

        sequence = phases(history(sim, DPU))
        assert sequence[sequence.index("Error") :][:2] == ["Error", "Deleting"]


async def test_a_dpu_goes_through_a_phase_of_a_newer_release() -> None:
    async with Simulator(troubles=["newer_phase"]) as sim, sim.client() as dpf:
        node = await sim.ready_node()

        sequence = phases(history(sim, DPU))

        before = PHASES.index("Prepare BFB")
        assert sequence == [*PHASES[:before], "Update Firmware", *PHASES[before:]]
        assert await dpf.is_dpu_ready((await only_dpu(dpf, node.name)).name)


async def test_newer_phase_requires_the_newer_crds_from_the_start() -> None:
    async with Simulator() as sim:
        with pytest.raises(UsageError, match="Simulator\\(troubles=…\\) at the start"):
            sim.trouble("newer_phase")


async def test_a_failed_node_does_not_change_the_phase_ready() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()

        sim.trouble("dpu_node_not_ready", node=node.name)
        await sim.settled()

        dpu = await only_dpu(dpf, node.name)
        assert dpu.status.phase == "Ready"
        assert conditions(dpu)["Ready"] == ("False", "NodeNotReady")
        assert message(dpu, "Ready") == f"DPU's Node {dpu.name} is not Ready"
        assert not await dpf.is_dpu_ready(dpu.name)


async def test_a_bfb_that_cannot_be_downloaded_is_in_error() -> None:
    async with Simulator(troubles=["bfb_download_failed"]) as sim, sim.client() as dpf:
        with pytest.raises(SiteFailed, match="could not be downloaded"):
            await sim.define_site()

        assert phases(history(sim, BFB)) == ["Initializing", "Downloading", "Error"]
        assert (await dpf.resource(BFB).get("bf-bundle")).status.phase == "Error"


async def test_secure_boot_takes_two_restarts_of_the_dpu() -> None:
    async with site_with_client() as (sim, dpf):
        await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"secureBoot": False}}})
        await sim.settled()
        host = await register(sim)
        await dpf.mark_dpu_node_ready_for_maintenance(host.name)
        await dpf.dpu((await only_dpu(dpf, host.name)).name).until(phase_is("Rebooting"), timeout=60)

        sequence = phases(history(sim, DPU))

        start = sequence.index("Initialize Interface")
        assert sequence[start : start + 3] == [
            "Initialize Interface",
            "Perform ARM Force Restart",
            "Initialize Interface",
        ]
        restarts = {c.annotations.get(known.ARM_RESTART_TRACKER) for c in history(sim, DPU)}
        assert restarts == {None, '{"count": 1}', '{"count": 2}'}
        assert conditions(await only_dpu(dpf, host.name))["ArmForceRestarted"] == (
            "True",
            "ArmForceRestarted",
        )
        device = await dpf.resource(DPUDevice).get(host.devices[0].name)
        assert device.status.secure_boot is not None
        await sim.settled()
        assert (await dpf.resource(DPUDevice).get(device.name)).status.secure_boot.enabled is False  # type: ignore[union-attr]  # above

"""The phases in which a DPU is installed: from its interface to its operating system. Pure.

Source: dpf-facts 2.3, for Redfish.
"""

from __future__ import annotations

import json
from typing import Final

from dpf_async.models import DPUPhase, find_condition, known
from dpf_async.sim.operator.hardware.hardware_view import NIC_MODE
from dpf_async.sim.operator.provisioning.reconcile_input import Annotate, ChangeSecureBoot, Draft, World
from dpf_async.sim.operator.runtime.conditions import is_true

_Condition = known.DPUCondition
_Reason = known.DPUReason

ARM_RESTARTS: Final = 2
"""Restarts of a DPU's own cores that a change of Secure Boot takes (dpf-facts 2.3)."""

BOOTING: Final = "OsBootStarted"
"""What the BMC says of an OS that boots (dpf-facts 14.7f)."""

TASK: Final = "0"
"""The BMC's name for its one installation task (dpf-facts 14.7e)."""


def initialize_interface(world: World, draft: Draft) -> None:
    """The DPUDevice must be Ready, in DPU mode, with Secure Boot as it is wanted."""
    about, device = _Condition.INTERFACE_INITIALIZED, world.device
    if device is None or not is_true(device.conditions, known.DPUDeviceCondition.READY):
        message = f'DPUDevice "{world.dpu.spec.dpu_device_name}" is not ready'
        draft.false(about, _Reason.DPU_DEVICE_NOT_READY, message)
        return
    if world.board.mode == NIC_MODE:
        if (left := world.profile.mode_change - world.board.worked) > 0:
            draft.wait(left)
            return
        draft.false(
            _Condition.HOST_POWER_CYCLE,
            _Condition.HOST_POWER_CYCLE,
            "the DPU leaves NIC mode with the next power cycle of its host",
        )
        draft.enter(DPUPhase.REBOOTING)
        return
    if find_condition(world.status.conditions, _Condition.HOST_POWER_CYCLE) is not None:
        draft.true(_Condition.HOST_POWER_CYCLE)
    wanted = world.dpu.spec.secure_boot
    if wanted is not None and wanted != world.board.secure_boot:
        draft.true(about, _Reason.SECURE_BOOT_CONFIGURATION_STAGED)
        draft.enter(DPUPhase.PERFORM_ARM_FORCE_RESTART)
        return
    draft.true(about)
    draft.enter(DPUPhase.CONFIG_FW_PARAMETERS)


def perform_arm_force_restart(world: World, draft: Draft) -> None:
    """Two restarts, some time apart; then the interface is looked at again."""
    about, gap = _Condition.ARM_FORCE_RESTARTED, world.profile.arm_restart
    done = _restarts(world.dpu.metadata.annotations.get(known.ARM_RESTART_TRACKER, ""))
    left = done * gap - world.board.worked
    if left > 0:
        draft.false(about, _Reason.IN_PROGRESS, f"restart {done} of {ARM_RESTARTS}")
        draft.wait(left)
    elif done < ARM_RESTARTS:
        draft.do(Annotate(known.ARM_RESTART_TRACKER, json.dumps({"count": done + 1})))
        draft.false(about, _Reason.RESTART_TRIGGERED, f"restart {done + 1} of {ARM_RESTARTS}")
        draft.wait(gap)
    else:
        draft.do(Annotate(known.ARM_RESTART_TRACKER, None))
        draft.do(ChangeSecureBoot(enabled=bool(world.dpu.spec.secure_boot)))
        draft.true(about)
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)


def _restarts(tracker: str) -> int:
    try:
        return int(json.loads(tracker)["count"])
    except (ValueError, TypeError, KeyError):
        return 0


def config_fw_parameters(world: World, draft: Draft) -> None:
    """Firmware parameters. Later releases have a phase of their own after this one."""
    if (left := world.profile.configure_firmware - world.board.worked) > 0:
        draft.wait(left)
        return
    draft.true(_Condition.FW_CONFIGURED)
    draft.enter(DPUPhase.UPDATE_FIRMWARE if world.board.newer else DPUPhase.PREPARE_BFB)


def update_firmware(world: World, draft: Draft) -> None:
    """A phase of releases after v26.4, for whoever wants to know what a client of v26.4 makes of it."""
    if (left := world.profile.configure_firmware - world.board.worked) > 0:
        draft.wait(left)
        return
    draft.enter(DPUPhase.PREPARE_BFB)


def prepare_bfb(world: World, draft: Draft) -> None:
    """bf.cfg. Does not look whether the DPU is being deleted (dpf-facts 2.2)."""
    if (left := world.profile.prepare_bfb - world.board.worked) > 0:
        draft.wait(left)
        return
    dpu = world.dpu
    draft.set(bf_cfg_file=f"/bfb/bfcfg/{dpu.namespace}_{dpu.name}_{dpu.uid}")
    draft.true(_Condition.BFB_PREPARED)
    draft.enter(DPUPhase.OS_INSTALLING)
    _report_progress(draft, 0)


def os_installing(world: World, draft: Draft) -> None:
    """The image goes to the DPU and boots there, until the agent on it reports.

    Deletion waits for the end of it, or for the bound.
    """
    agent = world.status.agent_status
    if agent is not None and agent.last_startup_time is not None:
        draft.set(redfish_task_id=None)
        draft.enter(DPUPhase.DPU_CONFIG)
    elif _failed(world, draft):
        draft.set(redfish_task_id=None)
        draft.enter(DPUPhase.ERROR)
    else:
        _install(world, draft)
        if world.dpu.terminating:
            message = "deletion waits until the installation is over"
            draft.true(_Condition.OS_INSTALLED, _Reason.CANNOT_DELETE_WHILE_INSTALLING, message)


def _install(world: World, draft: Draft) -> None:
    board, settings = world.board, world.settings
    draft.wait(board.next_step)
    if not board.os_running:
        draft.bound(settings.os_install_timeout - world.seconds_since(_Condition.BFB_PREPARED))
    if not (_asked_for(world) and board.transferred):
        _report_progress(draft, board.percent if _asked_for(world) else 0)
        return
    draft.set(redfish_task_id=None)
    draft.true(_Condition.BFB_TRANSFERRED)
    if board.os_reported:
        draft.true(_Condition.OS_INSTALLED, _Reason.BFB_INSTALLED)
        draft.bound(settings.agent_start_timeout - world.seconds_since(_Condition.OS_INSTALLED))
    else:
        # Written True though nothing is installed yet. Nobody may take it for done (dpf-facts 2.3).
        draft.true(_Condition.OS_INSTALLED, _Reason.OEM_LAST_STATE, BOOTING)


def _report_progress(draft: Draft, percent: int) -> None:
    draft.set(redfish_task_id=TASK)
    draft.false(_Condition.BFB_TRANSFERRED, _Reason.TASK_PROGRESS, f"install task {percent}% complete")


def _failed(world: World, draft: Draft) -> bool:
    """Write why the installation has failed, if it has."""
    board, settings = world.board, world.settings
    if not _asked_for(world):
        return False
    if board.install_failure:
        draft.false(_Condition.BFB_TRANSFERRED, _Reason.FAIL_TO_INSTALL, board.install_failure)
        return True
    if not board.os_running:
        if world.seconds_since(_Condition.BFB_PREPARED) < settings.os_install_timeout:
            return False
        message = f"the OS was not installed within {settings.os_install_timeout:g} s"
        draft.false(_Condition.OS_INSTALLED, _Reason.INSTALLATION_TIMEOUT, message)
        return True
    if not (board.os_reported and world.is_true(_Condition.OS_INSTALLED)):
        return False
    if world.seconds_since(_Condition.OS_INSTALLED) < settings.agent_start_timeout:
        return False
    message = f"the agent did not report within {settings.agent_start_timeout:g} s"
    draft.false(_Condition.OS_INSTALLED, _Reason.DPU_AGENT_NOT_STARTED, message)
    return True


def _asked_for(world: World) -> bool:
    """The BMC was told to install."""
    return find_condition(world.status.conditions, _Condition.BFB_TRANSFERRED) is not None

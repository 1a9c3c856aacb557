"""The phases of installation, from Initialize Interface to OS Installing. Pure.

Source: docs/dpf/phases.md#phase-steps, for Redfish.
"""

from __future__ import annotations

import json
from typing import Final

from dpf_async.models import DPUPhase, find_condition, known
from dpf_async.sim.operator.hardware.hardware_view import NIC_MODE
from dpf_async.sim.operator.provisioning.reconcile_input import (
    Annotate,
    ChangeSecureBoot,
    Draft,
    ReconcileInput,
)
from dpf_async.sim.operator.runtime.conditions import is_true

_Condition = known.DPUCondition
_Reason = known.DPUReason

ARM_RESTARTS: Final = 2
"""Restarts of the processors of a DPU that a change of Secure Boot requires.

Source: docs/dpf/phases.md#perform-arm-force-restart.
"""

BOOTING: Final = "OsBootStarted"
"""What the BMC reports while an OS boots (docs/dpf/timings.md#sample-values)."""

TASK: Final = "0"
"""The ID of the installation task of a BMC (docs/dpf/timings.md#sample-values)."""


def initialize_interface(inputs: ReconcileInput, draft: Draft) -> None:
    """Wait until the DPUDevice is Ready, in DPU mode, and has the specified setting of Secure Boot."""
    type_, device = _Condition.INTERFACE_INITIALIZED, inputs.device
    if device is None or not is_true(device.conditions, known.DPUDeviceCondition.READY):
        message = f'DPUDevice "{inputs.dpu.spec.dpu_device_name}" is not ready'
        draft.false(type_, _Reason.DPU_DEVICE_NOT_READY, message)
        return
    if inputs.hardware.mode == NIC_MODE:
        if (left := inputs.profile.mode_change - inputs.hardware.worked) > 0:
            draft.wait(left)
            return
        draft.false(
            _Condition.HOST_POWER_CYCLE,
            _Condition.HOST_POWER_CYCLE,
            "the DPU leaves NIC mode with the next power cycle of its host",
        )
        draft.enter(DPUPhase.REBOOTING)
        return
    if find_condition(inputs.status.conditions, _Condition.HOST_POWER_CYCLE) is not None:
        draft.true(_Condition.HOST_POWER_CYCLE)
    wanted = inputs.dpu.spec.secure_boot
    if wanted is not None and wanted != inputs.hardware.secure_boot:
        draft.true(type_, _Reason.SECURE_BOOT_CONFIGURATION_STAGED)
        draft.enter(DPUPhase.PERFORM_ARM_FORCE_RESTART)
        return
    draft.true(type_)
    draft.enter(DPUPhase.CONFIG_FW_PARAMETERS)


def perform_arm_force_restart(inputs: ReconcileInput, draft: Draft) -> None:
    """Restart the processors twice, some time apart; then return to Initialize Interface."""
    type_, gap = _Condition.ARM_FORCE_RESTARTED, inputs.profile.arm_restart
    done = _restarts(inputs.dpu.metadata.annotations.get(known.ARM_RESTART_TRACKER, ""))
    left = done * gap - inputs.hardware.worked
    if left > 0:
        draft.false(type_, _Reason.IN_PROGRESS, f"restart {done} of {ARM_RESTARTS}")
        draft.wait(left)
    elif done < ARM_RESTARTS:
        draft.do(Annotate(known.ARM_RESTART_TRACKER, json.dumps({"count": done + 1})))
        draft.false(type_, _Reason.RESTART_TRIGGERED, f"restart {done + 1} of {ARM_RESTARTS}")
        draft.wait(gap)
    else:
        draft.do(Annotate(known.ARM_RESTART_TRACKER, None))
        draft.do(ChangeSecureBoot(enabled=bool(inputs.dpu.spec.secure_boot)))
        draft.true(type_)
        draft.enter(DPUPhase.INITIALIZE_INTERFACE)


def _restarts(tracker: str) -> int:
    try:
        return int(json.loads(tracker)["count"])
    except (ValueError, TypeError, KeyError):
        return 0


def config_fw_parameters(inputs: ReconcileInput, draft: Draft) -> None:
    """Firmware parameters. Requeue releases have a phase of their own after this one."""
    if (left := inputs.profile.configure_firmware - inputs.hardware.worked) > 0:
        draft.wait(left)
        return
    draft.true(_Condition.FW_CONFIGURED)
    draft.enter(DPUPhase.UPDATE_FIRMWARE if inputs.hardware.newer else DPUPhase.PREPARE_BFB)


def update_firmware(inputs: ReconcileInput, draft: Draft) -> None:
    """A phase of releases after v26.4, for tests of clients that do not have it."""
    if (left := inputs.profile.configure_firmware - inputs.hardware.worked) > 0:
        draft.wait(left)
        return
    draft.enter(DPUPhase.PREPARE_BFB)


def prepare_bfb(inputs: ReconcileInput, draft: Draft) -> None:
    """Generate bf.cfg. DPF ignores deletion in this phase (docs/dpf/phases.md#ignored-deletion)."""
    if (left := inputs.profile.prepare_bfb - inputs.hardware.worked) > 0:
        draft.wait(left)
        return
    dpu = inputs.dpu
    draft.set(bf_cfg_file=f"/bfb/bfcfg/{dpu.namespace}_{dpu.name}_{dpu.uid}")
    draft.true(_Condition.BFB_PREPARED)
    draft.enter(DPUPhase.OS_INSTALLING)
    _report_progress(draft, 0)


def os_installing(inputs: ReconcileInput, draft: Draft) -> None:
    """Transfer the image and boot it, until the agent reports.

    Deletion waits for the end of the installation or for its timeout.
    """
    agent = inputs.status.agent_status
    if agent is not None and agent.last_startup_time is not None:
        draft.set(redfish_task_id=None)
        draft.enter(DPUPhase.DPU_CONFIG)
    elif _failed(inputs, draft):
        draft.set(redfish_task_id=None)
        draft.enter(DPUPhase.ERROR)
    else:
        _install(inputs, draft)
        if inputs.dpu.terminating:
            message = "deletion waits until the installation ends"
            draft.true(_Condition.OS_INSTALLED, _Reason.CANNOT_DELETE_WHILE_INSTALLING, message)


def _install(inputs: ReconcileInput, draft: Draft) -> None:
    hardware, settings = inputs.hardware, inputs.settings
    draft.wait(hardware.next_step)
    if not hardware.os_running:
        draft.bound(settings.os_install_timeout - inputs.seconds_since(_Condition.BFB_PREPARED))
    if not (_is_requested(inputs) and hardware.transferred):
        _report_progress(draft, hardware.percent if _is_requested(inputs) else 0)
        return
    draft.set(redfish_task_id=None)
    draft.true(_Condition.BFB_TRANSFERRED)
    if hardware.os_reported:
        draft.true(_Condition.OS_INSTALLED, _Reason.BFB_INSTALLED)
        draft.bound(settings.agent_start_timeout - inputs.seconds_since(_Condition.OS_INSTALLED))
    else:
        # DPF writes True before the OS is installed; clients must not treat it as completion
        # (docs/dpf/conditions.md#osinstalled).
        draft.true(_Condition.OS_INSTALLED, _Reason.OEM_LAST_STATE, BOOTING)


def _report_progress(draft: Draft, percent: int) -> None:
    draft.set(redfish_task_id=TASK)
    draft.false(_Condition.BFB_TRANSFERRED, _Reason.TASK_PROGRESS, f"install task {percent}% complete")


def _failed(inputs: ReconcileInput, draft: Draft) -> bool:
    """Write the reason if the installation failed; return whether it did."""
    hardware, settings = inputs.hardware, inputs.settings
    if not _is_requested(inputs):
        return False
    if hardware.install_failure:
        draft.false(_Condition.BFB_TRANSFERRED, _Reason.FAIL_TO_INSTALL, hardware.install_failure)
        return True
    if not hardware.os_running:
        if inputs.seconds_since(_Condition.BFB_PREPARED) < settings.os_install_timeout:
            return False
        message = f"the OS was not installed within {settings.os_install_timeout:g} s"
        draft.false(_Condition.OS_INSTALLED, _Reason.INSTALLATION_TIMEOUT, message)
        return True
    if not (hardware.os_reported and inputs.is_true(_Condition.OS_INSTALLED)):
        return False
    if inputs.seconds_since(_Condition.OS_INSTALLED) < settings.agent_start_timeout:
        return False
    message = f"the agent did not report within {settings.agent_start_timeout:g} s"
    draft.false(_Condition.OS_INSTALLED, _Reason.DPU_AGENT_NOT_STARTED, message)
    return True


def _is_requested(inputs: ReconcileInput) -> bool:
    """Whether the installation was requested from the BMC."""
    return find_condition(inputs.status.conditions, _Condition.BFB_TRANSFERRED) is not None

"""The agent on a DPU: what it reports next, and when. Pure.

It reports its start after the OS booted, then the required reboot, and both again after each reboot, until none is
required. Source: docs/dpf/phases.md#dpu-config, docs/dpf/conditions.md#agent-conditions,
docs/dpf/timings.md#sample-values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from dpf_async.models import DPU, AgentStatus, DPUPhase, format_time, known, parse_time
from dpf_async.sim.operator.hardware.profiles import Profile
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed

KUBELET: Final = "v1.34.0"

_BEFORE_REBOOT: Final = frozenset(
    (
        DPUPhase.INITIALIZING,
        DPUPhase.PENDING,
        DPUPhase.NODE_EFFECT,
        DPUPhase.INITIALIZE_INTERFACE,
        DPUPhase.PERFORM_ARM_FORCE_RESTART,
        DPUPhase.CONFIG_FW_PARAMETERS,
        DPUPhase.UPDATE_FIRMWARE,
        DPUPhase.PREPARE_BFB,
        DPUPhase.OS_INSTALLING,
        DPUPhase.DPU_CONFIG,
        DPUPhase.REBOOTING,
    )
)


@dataclass(frozen=True, slots=True)
class Report:
    """The agent status to write after `left` seconds."""

    left: float
    status: AgentStatus


def next_report(
    dpu: DPU, *, worked: float, reboots: int, method: str, profile: Profile, now: datetime
) -> Report | None:
    """The next report of the agent of a DPU; None if there is none until the DPU changes.

    Args:
        dpu: in its present state.
        worked: seconds it has been in its present phase.
        reboots: how many the DPU needs in all.
        method: the reboot method that it reports each time.
        profile: durations.
        now: wall clock.
    """
    status = dpu.status
    agent = status.agent_status or AgentStatus()
    if status.phase == DPUPhase.OS_INSTALLING:
        if agent.last_startup_time is not None or not _is_transferred(dpu):
            return None
        left = profile.transfer + profile.boot_os + profile.start_agent - worked
        boot_id = str(uuid5(NAMESPACE_OID, dpu.uid))
        started = changed(
            agent,
            last_startup_time=_start(agent, now),
            initial_boot_id=boot_id,
            kubelet_version=KUBELET,
        )
        return Report(left, started)
    if status.phase != DPUPhase.DPU_CONFIG or agent.last_startup_time is None:
        return None
    if agent.last_startup_time == status.agent_last_startup_time:
        # The operator has handled the last report: this is another boot.
        restarted = changed(agent, last_startup_time=_start(agent, now))
        return Report(profile.boot_again - worked, _discovered(restarted, reboots, method, now))
    if agent.reboot_method in (None, known.RebootMethod.UNKNOWN):
        return Report(profile.discover_reboot - worked, _discovered(agent, reboots, method, now))
    return None


def waits_for_sibling(siblings: list[DPU]) -> bool:
    """Whether a late DPU delays its report: another DPU of the host has not had its first reboot.

    Args:
        siblings: the other DPUs of the host.
    """
    return any(
        sibling.status.phase in _BEFORE_REBOOT
        and not conditions.is_true(sibling.status.conditions, known.DPUCondition.REBOOTED)
        for sibling in siblings
    )


def _is_transferred(dpu: DPU) -> bool:
    return conditions.is_true(dpu.status.conditions, known.DPUCondition.BFB_TRANSFERRED)


def _start(agent: AgentStatus, now: datetime) -> str:
    """A start time that differs from the previous one, although Kubernetes times have whole seconds."""
    before = parse_time(agent.last_startup_time) or datetime.min.replace(tzinfo=UTC)
    return format_time(max(now, before + timedelta(seconds=1)))


def _discovered(agent: AgentStatus, reboots: int, method: str, now: datetime) -> AgentStatus:
    """The status with the required reboot, and the count of consecutive reboots."""
    done = agent.reboot_sequence_count or 0
    needed = done < reboots
    found = method if needed else known.RebootMethod.NO_ACTION
    about = known.AgentCondition.REBOOT_METHOD_DISCOVERY
    # Replaced with each boot, so its transition time is that of the boot (docs/dpf/timings.md#sample-values).
    fresh = conditions.without(agent.conditions, about)
    return changed(
        agent,
        reboot_method=found,
        reboot_sequence_count=done + 1 if needed else 0,
        conditions=conditions.with_condition(
            fresh, about, conditions.TRUE, found, now=agent.last_startup_time or format_time(now)
        ),
    )

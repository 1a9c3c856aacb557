"""The agent on a DPU: what it reports next, and when. Pure.

It reports its start once the OS is there, then which reboot is needed, and both again after each reboot, until none is
needed any more. Source: dpf-facts 2.3 (DPU Config), 10, 14.7g.
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

_BEFORE_REBOOT_IS_DONE: Final = frozenset(
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
    """What an agent says once `left` seconds have passed."""

    left: float
    status: AgentStatus


def next_report(
    dpu: DPU, *, worked: float, reboots: int, method: str, profile: Profile, now: datetime
) -> Report | None:
    """The next report of a DPU's agent; None if it has nothing to say until something happens.

    Args:
        dpu: in its present state.
        worked: seconds it has been in its present phase.
        reboots: that it needs in all.
        method: how the host must be rebooted each time.
        profile: how long things take.
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
        # What it said last has been acted upon: this is another boot.
        again = changed(agent, last_startup_time=_start(agent, now))
        return Report(profile.boot_again - worked, _discovered(again, reboots, method, now))
    if agent.reboot_method in (None, known.RebootMethod.UNKNOWN):
        return Report(profile.discover_reboot - worked, _discovered(agent, reboots, method, now))
    return None


def waits_for_sibling(siblings: list[DPU]) -> bool:
    """Whether a late sibling still holds its report back: another DPU of the host has its first reboot before it.

    Args:
        siblings: the other DPUs of the host.
    """
    return any(
        sibling.status.phase in _BEFORE_REBOOT_IS_DONE
        and not conditions.is_true(sibling.status.conditions, known.DPUCondition.REBOOTED)
        for sibling in siblings
    )


def _is_transferred(dpu: DPU) -> bool:
    return conditions.is_true(dpu.status.conditions, known.DPUCondition.BFB_TRANSFERRED)


def _start(agent: AgentStatus, now: datetime) -> str:
    """A time of start that differs from the one before, though Kubernetes' times are whole seconds only."""
    before = parse_time(agent.last_startup_time) or datetime.min.replace(tzinfo=UTC)
    return format_time(max(now, before + timedelta(seconds=1)))


def _discovered(agent: AgentStatus, reboots: int, method: str, now: datetime) -> AgentStatus:
    """It knows which reboot is needed. It counts the rounds in a row in which one was."""
    done = agent.reboot_sequence_count or 0
    needed = done < reboots
    found = method if needed else known.RebootMethod.NO_ACTION
    about = known.AgentCondition.REBOOT_METHOD_DISCOVERY
    # Written anew with each boot, so its time is that of the boot, as in dpf-facts 14.7g and 14.7j.
    fresh = conditions.without(agent.conditions, about)
    return changed(
        agent,
        reboot_method=found,
        reboot_sequence_count=done + 1 if needed else 0,
        conditions=conditions.said(
            fresh, about, conditions.TRUE, found, now=agent.last_startup_time or format_time(now)
        ),
    )

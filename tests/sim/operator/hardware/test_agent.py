"""agent: the reports of the agent on a DPU."""

from __future__ import annotations

from typing import Any

from dpf_async.models import (
    DPU,
)
from dpf_async.sim.operator.hardware import agent
from dpf_async.sim.operator.hardware.profiles import REALISTIC
from tests.sim.operator.objects import (
    NOW,
    make_condition,
    make_dpu,
)


def report(dpu: DPU, reboots: int = 1, worked: float = 1e9) -> agent.Report | None:
    return agent.next_report(
        dpu, worked=worked, reboots=reboots, method="PowerCycle", profile=REALISTIC, now=NOW
    )


def test_an_agent_reports_its_start_after_transfer_and_boot() -> None:
    transferred = make_dpu(phase="OS Installing", conditions=[make_condition("BFBTransferred")])
    transferring = make_dpu(phase="OS Installing", conditions=[make_condition("BFBTransferred", "False")])

    first = report(transferred, worked=0.0)

    assert first is not None
    assert first.left == REALISTIC.transfer + REALISTIC.boot_os + REALISTIC.start_agent
    assert first.status.reboot_method is None
    assert report(transferring) is None


def test_an_agent_counts_consecutive_reboots() -> None:
    status: dict[str, Any] = {"lastStartupTime": "2026-06-01T10:00:00Z"}
    consumed = ""
    found: list[tuple[str | None, int | None]] = []
    for _ in range(4):
        dpu = make_dpu(
            phase="DPU Config", agentStatus=status, **({"agentLastStartupTime": consumed} if consumed else {})
        )
        next_one = report(dpu, reboots=3)
        assert next_one is not None
        status = next_one.status.to_wire()
        consumed = status["lastStartupTime"]
        found.append((next_one.status.reboot_method, next_one.status.reboot_sequence_count))

    assert found == [("PowerCycle", 1), ("PowerCycle", 2), ("PowerCycle", 3), ("NoAction", 0)]


def test_two_starts_within_one_second_have_different_times() -> None:
    booted = make_dpu(
        phase="DPU Config",
        agentStatus={"lastStartupTime": "2026-06-01T10:00:00Z", "rebootMethod": "PowerCycle"},
        agentLastStartupTime="2026-06-01T10:00:00Z",
    )

    again = report(booted)

    assert again is not None
    assert again.status.last_startup_time == "2026-06-01T10:00:01Z"

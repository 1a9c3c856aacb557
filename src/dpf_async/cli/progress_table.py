"""The live table of the demo: each DPU with its phase, the time in it, and its progress.

It is updated by transitions. It measures time with the local monotonic clock, since times in the cluster have whole
seconds and come from other clocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich import box
from rich.progress_bar import ProgressBar
from rich.table import Table

from dpf_async._transitions.phases import PHASE_ORDER, progress
from dpf_async.models import DPUPhase
from dpf_async.transitions import (
    DPUAppeared,
    DPUGone,
    DPUReplaced,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeEffectHeld,
    NodeEffectReleased,
    PhaseChanged,
    Transition,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(slots=True)
class ProvisioningRun:
    """The provisioning of one DPU object: the seconds that it spent in each phase."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    since: float
    seconds_in: dict[DPUPhase, float] = field(default_factory=dict)
    reboots: int = 0
    ended: bool = False

    def enter(self, phase: DPUPhase, now: float) -> None:
        """Record a change of phase at `now`."""
        self.seconds_in[self.phase] = self.seconds_in.get(self.phase, 0.0) + now - self.since
        self.phase, self.since = phase, now

    @property
    def title(self) -> str:
        """The name of the DPU without the name of its host."""
        return self.dpu.removeprefix(f"{self.node}-")

    @property
    def total(self) -> float:
        """Seconds from its first phase to Ready."""
        not_counted = (DPUPhase.READY, DPUPhase.DELETING)
        return sum(seconds for phase, seconds in self.seconds_in.items() if phase not in not_counted)


class ProgressTable:
    """All runs, oldest first."""

    def __init__(self) -> None:
        self.runs: list[ProvisioningRun] = []
        self.activity: dict[str, str] = {}
        """The request that is pending or the action that is in progress, by node."""
        self._reboot_requested: set[str] = set()
        """Nodes with a pending reboot request; it counts for each DPU that waits for it when it is made, or later."""

    def update(self, transition: Transition) -> str | None:
        """Apply a transition; return a line for output without a terminal, or None for a transition of no interest."""
        now = time.monotonic()
        match transition:
            case DPUAppeared(node=node, dpu=dpu, uid=uid, phase=phase):
                self.runs.append(ProvisioningRun(node, dpu, uid, phase, now))
                return f"{dpu}: {phase}"
            case DPUReplaced(node=node, dpu=dpu, new_uid=uid, phase=phase):
                self._end(dpu, now)
                self.runs.append(ProvisioningRun(node, dpu, uid, phase, now))
                return f"{dpu}: reprovisioned, {phase}"
            case DPUGone(dpu=dpu):
                self._end(dpu, now)
                return f"{dpu}: deleted"
            case PhaseChanged(node=node, uid=uid, dpu=dpu, after=after):
                for run in self._current(uid=uid):
                    run.enter(after, now)
                    run.reboots += after == DPUPhase.REBOOTING and node in self._reboot_requested
                return f"{dpu}: {after}"
            case _:
                return self._update_host(transition)

    def _update_host(self, transition: Transition) -> str | None:
        match transition:
            case ExternalRebootRequired(node=node, dpus=dpus):
                self.activity[node] = "reboot requested"
                self._reboot_requested.add(node)
                for run in self.runs:
                    run.reboots += not run.ended and run.node == node and run.dpu in dpus
                return f"{node}: DPF requests a reboot"
            case NodeEffectHeld(node=node):
                self.activity[node] = "held"
                return f"{node}: DPF holds the node effect"
            case ExternalRebootDone(node=node):
                self._reboot_requested.discard(node)
                self.activity.pop(node, None)
                return f"{node}: rebooted"
            case NodeEffectReleased(node=node):
                self.activity.pop(node, None)
                return f"{node}: hold released"
            case _:
                return None

    def live(self) -> RenderableType:
        """The table of the DPUs that exist now."""
        now = time.monotonic()
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("host", no_wrap=True)
        table.add_column("DPU", no_wrap=True)
        table.add_column("phase", no_wrap=True, min_width=22)
        table.add_column("for", justify="right", min_width=7)
        table.add_column("progress", min_width=26)
        table.add_column("", no_wrap=True, min_width=20)
        for run in sorted(self.runs, key=lambda run: run.dpu):
            if run.ended:
                continue
            done = run.phase == DPUPhase.READY
            style = "green" if done else "red" if run.phase == DPUPhase.ERROR else ""
            fraction = progress(run.phase)
            bar = ProgressBar(total=1.0, completed=fraction if fraction is not None else 0.0, width=26)
            table.add_row(
                run.node,
                run.title,
                f"[{style}]{run.phase}[/]" if style else run.phase,
                "" if done else f"{now - run.since:.1f} s",
                bar,
                f"[yellow]{self.activity.get(run.node, '')}[/]",
            )
        return table

    def summary(self, services: dict[str, str]) -> Table:
        """Phases with seconds, one column per run; `services` has the state of the services by uid of the DPU."""
        runs = sorted(self.runs, key=lambda run: run.dpu)
        table = Table(box=box.SIMPLE, header_style="bold", padding=(0, 0, 0, 2))
        table.add_column("seconds in", no_wrap=True)
        listed: set[str] = set()
        for run in runs:
            again = "again" if run.dpu in listed else ""
            table.add_column(f"{run.title[-5:]}\n{again}", justify="right", no_wrap=True)
            listed.add(run.dpu)
        seen = [phase for phase in PHASE_ORDER if any(phase in run.seconds_in for run in runs)]
        seen += sorted({phase for run in runs for phase in run.seconds_in} - set(seen))
        for phase in seen:
            if phase != DPUPhase.READY:
                table.add_row(
                    phase,
                    *(f"{run.seconds_in[phase]:.1f}" if phase in run.seconds_in else "" for run in runs),
                )
        table.add_section()
        table.add_row("until Ready", *(f"{run.total:.1f}" for run in runs), style="bold")
        table.add_row("reboots answered", *(str(run.reboots) for run in runs))
        table.add_row("services ready", *(services.get(run.uid, "") for run in runs))
        return table

    def _current(self, *, uid: str) -> list[ProvisioningRun]:
        return [run for run in self.runs if run.uid == uid and not run.ended]

    def _end(self, dpu: str, now: float) -> None:
        for run in self.runs:
            if run.dpu == dpu and not run.ended:
                run.enter(run.phase, now)
                run.ended = True

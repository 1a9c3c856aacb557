"""What a person sees while hosts are provisioned: each DPU with its phase, the time in it, and how far along it is.

Fed with transitions; keeps time by its own clock, since the cluster's clocks have whole seconds and are not ours.
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
class Run:
    """One incarnation of a DPU on its way: the seconds it spent in each phase."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    since: float
    spent: dict[DPUPhase, float] = field(default_factory=dict)
    reboots: int = 0
    over: bool = False

    def enter(self, phase: DPUPhase, now: float) -> None:
        """It is in another phase from now on."""
        self.spent[self.phase] = self.spent.get(self.phase, 0.0) + now - self.since
        self.phase, self.since = phase, now

    @property
    def title(self) -> str:
        """Which DPU it is, without its host's name."""
        return self.dpu.removeprefix(f"{self.node}-")

    @property
    def total(self) -> float:
        """Seconds from its first phase to Ready."""
        after = (DPUPhase.READY, DPUPhase.DELETING)
        return sum(seconds for phase, seconds in self.spent.items() if phase not in after)


class Board:
    """All runs, oldest first."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.doing: dict[str, str] = {}
        """What is being done to a host right now, by node."""
        self._asked: set[str] = set()
        """Nodes with a request for a reboot: it counts for every DPU that waits for it then, or joins it later."""

    def tell(self, transition: Transition) -> str | None:
        """Take a transition; return a line for those who have no screen, None if it is not worth one."""
        now = time.monotonic()
        match transition:
            case DPUAppeared(node=node, dpu=dpu, uid=uid, phase=phase):
                self.runs.append(Run(node, dpu, uid, phase, now))
                return f"{dpu}: {phase}"
            case DPUReplaced(node=node, dpu=dpu, new_uid=uid, phase=phase):
                self._end(dpu, now)
                self.runs.append(Run(node, dpu, uid, phase, now))
                return f"{dpu}: made anew, {phase}"
            case DPUGone(dpu=dpu):
                self._end(dpu, now)
                return f"{dpu}: gone"
            case PhaseChanged(node=node, uid=uid, dpu=dpu, after=after):
                for run in self._current(uid=uid):
                    run.enter(after, now)
                    run.reboots += after == DPUPhase.REBOOTING and node in self._asked
                return f"{dpu}: {after}"
            case _:
                return self._tell_of_host(transition)

    def _tell_of_host(self, transition: Transition) -> str | None:
        match transition:
            case ExternalRebootRequired(node=node, dpus=dpus):
                self.doing[node] = "reboot requested"
                self._asked.add(node)
                for run in self.runs:
                    run.reboots += not run.over and run.node == node and run.dpu in dpus
                return f"{node}: DPF asks for a reboot"
            case NodeEffectHeld(node=node):
                self.doing[node] = "held"
                return f"{node}: DPF asks whether it may be disturbed"
            case ExternalRebootDone(node=node):
                self._asked.discard(node)
                self.doing.pop(node, None)
                return f"{node}: rebooted"
            case NodeEffectReleased(node=node):
                self.doing.pop(node, None)
                return f"{node}: may be disturbed"
            case _:
                return None

    def live(self) -> RenderableType:
        """The table of DPUs that are there, as of now."""
        now = time.monotonic()
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("host", no_wrap=True)
        table.add_column("DPU", no_wrap=True)
        table.add_column("phase", no_wrap=True, min_width=22)
        table.add_column("for", justify="right", min_width=7)
        table.add_column("progress", min_width=26)
        table.add_column("", no_wrap=True, min_width=20)
        for run in sorted(self.runs, key=lambda run: run.dpu):
            if run.over:
                continue
            done = run.phase == DPUPhase.READY
            style = "green" if done else "red" if run.phase == DPUPhase.ERROR else ""
            along = progress(run.phase)
            bar = ProgressBar(total=1.0, completed=along if along is not None else 0.0, width=26)
            table.add_row(
                run.node,
                run.title,
                f"[{style}]{run.phase}[/]" if style else run.phase,
                "" if done else f"{now - run.since:.1f} s",
                bar,
                f"[yellow]{self.doing.get(run.node, '')}[/]",
            )
        return table

    def summary(self, services: dict[str, str]) -> Table:
        """Phases with seconds, one column per run; `services` says by uid what became of the services."""
        runs = sorted(self.runs, key=lambda run: run.dpu)
        table = Table(box=box.SIMPLE, header_style="bold", padding=(0, 0, 0, 2))
        table.add_column("seconds in", no_wrap=True)
        met: set[str] = set()
        for run in runs:
            again = "again" if run.dpu in met else ""
            table.add_column(f"{run.title[-5:]}\n{again}", justify="right", no_wrap=True)
            met.add(run.dpu)
        seen = [phase for phase in PHASE_ORDER if any(phase in run.spent for run in runs)]
        seen += sorted({phase for run in runs for phase in run.spent} - set(seen))
        for phase in seen:
            if phase != DPUPhase.READY:
                table.add_row(
                    phase, *(f"{run.spent[phase]:.1f}" if phase in run.spent else "" for run in runs)
                )
        table.add_section()
        table.add_row("until Ready", *(f"{run.total:.1f}" for run in runs), style="bold")
        table.add_row("reboots answered", *(str(run.reboots) for run in runs))
        table.add_row("services ready", *(services.get(run.uid, "") for run in runs))
        return table

    def _current(self, *, uid: str) -> list[Run]:
        return [run for run in self.runs if run.uid == uid and not run.over]

    def _end(self, dpu: str, now: float) -> None:
        for run in self.runs:
            if run.dpu == dpu and not run.over:
                run.enter(run.phase, now)
                run.over = True

"""The hosts of an upgrade, and the report of what was done to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from dpf_async._rollout.outdated import OutdatedDPU, References
from dpf_async._transitions.views import NodeView

Outcome = Literal["upgraded", "skipped", "failed", "not_started"]
"""upgraded: Ready and up to date; skipped: declined, or the DPUNode was deleted; failed; not_started."""


@dataclass(frozen=True, slots=True)
class HostUpgrade:
    """A host to upgrade next.

    Attributes:
        node: name of the DPUNode.
        deployment: name of the DPUDeployment that is upgraded.
        dpus: its outdated DPUs of this DPUDeployment. With OnDelete they are deleted and created again.
        failed: names of its DPUs of this DPUDeployment in phase Error; they are deleted as well, which alone ends that
            phase.
        started: an earlier call started to upgrade the host.
        view: the host now.
    """

    node: str
    deployment: str
    dpus: tuple[OutdatedDPU, ...]
    failed: tuple[str, ...]
    started: bool
    view: NodeView = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class HostOutcome:
    """The result of the upgrade of one host.

    Attributes:
        node: name of the DPUNode.
        outcome: "upgraded", "skipped", "failed" or "not_started".
        reason: why it was skipped or failed.
        error: the error with which it failed.
    """

    node: str
    outcome: Outcome
    reason: str = ""
    error: Exception | None = field(default=None, compare=False)

    @property
    def summary(self) -> str:
        """The outcome and its reason: "failed: DPU dpu-1 is in phase Error"."""
        return f"{_text(self.outcome)}{f': {self.reason}' if self.reason else ''}"

    def __str__(self) -> str:
        return f"DPUNode {self.node}: {self.summary}"


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """The result of an upgrade.

    Attributes:
        deployment: name of the DPUDeployment.
        changed: this call changed its references; False if it had them already.
        references: its references now.
        previous: its references before the last change, to which `rollback` returns; None if they are not known.
        hosts: every host that had outdated DPUs or was started before, in the order in which their upgrades ended.
        outdated: the DPUs that are still outdated.
    """

    deployment: str
    changed: bool
    references: References
    previous: References | None
    hosts: tuple[HostOutcome, ...]
    outdated: tuple[OutdatedDPU, ...]

    @property
    def upgraded(self) -> tuple[HostOutcome, ...]:
        """The hosts that are Ready and up to date now."""
        return self._with("upgraded")

    @property
    def skipped(self) -> tuple[HostOutcome, ...]:
        """The hosts that were declined, or whose DPUNode was deleted before their turn."""
        return self._with("skipped")

    @property
    def failed(self) -> tuple[HostOutcome, ...]:
        """The hosts that failed, the first failure first."""
        return self._with("failed")

    @property
    def not_started(self) -> tuple[HostOutcome, ...]:
        """The hosts that were not started."""
        return self._with("not_started")

    def _with(self, outcome: Outcome) -> tuple[HostOutcome, ...]:
        return tuple(host for host in self.hosts if host.outcome == outcome)

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(hosts)} {_text(outcome)}"
            for outcome in get_args(Outcome)
            if (hosts := self._with(outcome))
        )
        return f"DPUDeployment {self.deployment}, {self.references}: hosts: {counts or 'nothing to do'}"


def _text(outcome: Outcome) -> str:
    return outcome.replace("_", " ")

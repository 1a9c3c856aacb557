"""Transitions: a closed union of frozen values, each one difference between two views of a host.

All have `node`, the name of the DPUNode, and `contiguous`. It is False if this reader may have missed states between
the two views, because of a relist or because it read slowly; no transitions are invented for missed states.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf_async._api.records import ConditionRecord
from dpf_async.models import DPUPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAppeared:
    """A DPUNode exists that was not reported to this reader before."""

    node: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGone:
    """A DPUNode was deleted."""

    node: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUAppeared:
    """A DPU exists, in this phase, that was not reported to this reader before."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUGone:
    """A DPU was deleted, and no other DPU has its name. `phase` is the last one that this reader received."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUReplaced:
    """A DPU was deleted and re-created under its name, as by reprovisioning. Later transitions are of the new DPU."""

    node: str
    dpu: str
    old_uid: str
    new_uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUTerminating:
    """The deletionTimestamp of a DPU was set. Its phase may remain Ready for some time."""

    node: str
    dpu: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """The phase of a DPU changed; its uid did not.

    Attributes:
        phases_between: of a change that is not contiguous, the phases between `before` and `after` in the usual order,
            which the DPU may have passed; None if that order does not contain both, or if the change is contiguous.
    """

    node: str
    dpu: str
    uid: str
    before: DPUPhase
    after: DPUPhase
    contiguous: bool = True
    phases_between: tuple[DPUPhase, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChanged:
    """A condition of a DPUNode, DPU, DPUDevice or DPUNodeMaintenance changed, was added or was removed.

    A change is one of status, reason or lastTransitionTime: a condition that was False for a time that this reader
    missed shows as a change of the time only.

    Attributes:
        before: None if the condition was added, or is reported to this reader for the first time.
        after: None if the condition was removed.
    """

    node: str
    kind: str
    name: str
    uid: str
    type: str
    before: ConditionRecord | None
    after: ConditionRecord | None
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRebootRequired:
    """The operator requests an external reboot of the host. `dpus` are the DPUs in phase Rebooting."""

    node: str
    dpus: tuple[str, ...]
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRebootDone:
    """The operator's request for a reboot is not pending any more."""

    node: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEffectHeld:
    """The operator waits for the release of the hold of this maintenance before it disrupts the host."""

    node: str
    maintenance: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEffectReleased:
    """A hold does not wait any more: it was released, or its maintenance was deleted."""

    node: str
    maintenance: str
    contiguous: bool = True


Transition = (
    NodeAppeared
    | NodeGone
    | DPUAppeared
    | DPUGone
    | DPUReplaced
    | DPUTerminating
    | PhaseChanged
    | ConditionChanged
    | ExternalRebootRequired
    | ExternalRebootDone
    | NodeEffectHeld
    | NodeEffectReleased
)

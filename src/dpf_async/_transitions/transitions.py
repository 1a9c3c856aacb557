"""What a reader is told: a closed union of frozen values, each the difference between two views it can name.

All have `node`, the name of the DPUNode, and `contiguous`: False if states in between may have existed that this
reader was not shown, because a list was read again or because it read too slowly. Nothing is invented for those.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf_async._api.records import ConditionRecord
from dpf_async.models import DPUPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAppeared:
    """A DPUNode is there that this reader was not told of."""

    node: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGone:
    """A DPUNode is gone."""

    node: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUAppeared:
    """A DPU is there that this reader was not told of, in this phase."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUGone:
    """A DPU is gone, and no other one has its name. `phase` is the last one this reader was told."""

    node: str
    dpu: str
    uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUReplaced:
    """Another DPU has the name of one that is gone: it was reprovisioned. What is told next is about the new one."""

    node: str
    dpu: str
    old_uid: str
    new_uid: str
    phase: DPUPhase
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUTerminating:
    """A DPU's deletion was asked for. Its phase may still say Ready for a while."""

    node: str
    dpu: str
    uid: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """A DPU, the same one, went from one phase to another.

    Attributes:
        possibly_skipped: where the change is not contiguous, the phases that lie between on the usual road; None where
            nobody can say.
    """

    node: str
    dpu: str
    uid: str
    before: DPUPhase
    after: DPUPhase
    contiguous: bool = True
    possibly_skipped: tuple[DPUPhase, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChanged:
    """A condition of a DPUNode, DPU, DPUDevice or DPUNodeMaintenance changed its status or reason, came, or went.

    `before` is None for one that came, or that stands when the reader comes; `after` is None for one that went.
    A condition that fell and rose again unseen shows as a change whose status is the same and whose time is not.
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
    """The operator asks: reboot this host from outside. `dpus` are those in phase Rebooting."""

    node: str
    dpus: tuple[str, ...]
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRebootDone:
    """The operator's request for a reboot does not stand any more."""

    node: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEffectHeld:
    """The operator asks: may this node be disturbed? It waits for the release of this maintenance."""

    node: str
    maintenance: str
    contiguous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEffectReleased:
    """A hold does not wait any more: it was released, or it is gone."""

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

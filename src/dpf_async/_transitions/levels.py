"""Levels: questions with a yes or no, asked of every view. What `until` waits for.

A level survives a restart, an edge does not: a worker that comes late asks the same question and gets the same answer.
Levels are values; they compose with `|`, `&` and `~`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload

from dpf_async._transitions.health import health_of
from dpf_async._transitions.views import DeploymentView, DPUView, NodeView
from dpf_async.models import DPUPhase

V_contra = TypeVar("V_contra", contravariant=True)
W = TypeVar("W")


class Level(Generic[V_contra]):
    """A named yes-or-no question about a view.

    Args:
        name: in words, as they follow "waiting until": "ready".
        holds: the question. An exception it raises ends the wait that asked.
        survives_failure: waiting for it makes sense while a DPU is in phase Error.
    """

    __slots__ = ("_holds", "name", "survives_failure")

    def __init__(
        self, name: str, holds: Callable[[V_contra], bool], *, survives_failure: bool = False
    ) -> None:
        self.name: str = name
        self.survives_failure: bool = survives_failure
        self._holds = holds

    def holds(self, view: V_contra) -> bool:
        """The answer for this view."""
        return self._holds(view)

    # Two signatures, because a level about less (`ready`, of nodes and DPUs) goes with one about more, on either side.

    @overload
    def __or__(self, other: Level[V_contra]) -> Level[V_contra]: ...

    @overload
    def __or__(self, other: Level[W]) -> Level[W]: ...

    def __or__(self, other: Level[Any]) -> Level[Any]:
        return Level(
            f"{self.name} or {other.name}",
            lambda view: self.holds(view) or other.holds(view),
            survives_failure=self.survives_failure or other.survives_failure,
        )

    @overload
    def __and__(self, other: Level[V_contra]) -> Level[V_contra]: ...

    @overload
    def __and__(self, other: Level[W]) -> Level[W]: ...

    def __and__(self, other: Level[Any]) -> Level[Any]:
        return Level(
            f"{self.name} and {other.name}",
            lambda view: self.holds(view) and other.holds(view),
            survives_failure=self.survives_failure and other.survives_failure,
        )

    def __invert__(self) -> Level[V_contra]:
        return Level(f"not ({self.name})", lambda view: not self.holds(view), survives_failure=True)

    def __repr__(self) -> str:
        return f"<Level {self.name}>"


class _CanBeReady(Protocol):
    @property
    def ready(self) -> bool: ...

    @property
    def services_ready(self) -> bool: ...

    @property
    def terminating(self) -> bool: ...


ready: Level[_CanBeReady] = Level("ready", lambda view: view.ready)
"""A DPU: provisioned and up. A node: every device it lists has a DPU, and all of them are."""

services_ready: Level[_CanBeReady] = Level("services ready", lambda view: view.services_ready)
"""OperationalReady is True, for a node on all its DPUs. The phase says nothing about it (dpf-facts 11)."""

healthy: Level[NodeView | DPUView] = Level("healthy", lambda view: health_of(view).healthy)
"""Nothing is wrong and nothing is unknown: phase, Node, services, interfaces, chains; for a node on all its DPUs."""

usable: Level[NodeView | DPUView] = Level("usable", lambda view: health_of(view).usable is True)
"""Ready, with the Node and the critical services up; for a node on a DPU for every device. What is unknown is not."""
discovered: Level[NodeView] = Level("discovered", lambda view: view.discovered, survives_failure=True)
"""The operator has taken a DPUNode up and found every device of it as it was registered; whatever its DPUs do."""

terminating: Level[_CanBeReady] = Level("being deleted", lambda view: view.terminating, survives_failure=True)
"""Deletion was asked for, and finalizers still hold the object."""

external_reboot_required: Level[NodeView] = Level(
    "external reboot required", lambda view: view.external_reboot_required
)
"""The operator waits for the host to be rebooted from outside."""

node_effect_held: Level[NodeView] = Level("node effect held", lambda view: view.hold is not None)
"""The operator waits for the release of a hold."""

accepted: Level[DeploymentView] = Level("accepted", lambda view: view.accepted)
"""The operator has taken the present spec of a DPUDeployment over, and nothing stands in its way."""

any_dpu_failed: Level[NodeView] = Level(
    "a DPU failed", lambda view: bool(view.failed_dpus), survives_failure=True
)
"""A DPU of the node is in phase Error."""


def phase_is(*phases: DPUPhase | str) -> Level[DPUView]:
    """The DPU is in one of these phases right now. One that passes quickly may never be seen to hold."""
    wanted = frozenset(phases)
    return Level(
        f"phase {' or '.join(phases)}",
        lambda view: view.phase in wanted,
        survives_failure=DPUPhase.ERROR in wanted or DPUPhase.DELETING in wanted,
    )


def replaced(uid: str) -> Level[DPUView]:
    """The DPU of this name is another one than the one with that uid."""
    return Level(f"another DPU than {uid}", lambda view: view.uid != uid, survives_failure=True)

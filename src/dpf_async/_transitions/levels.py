"""Levels: named conditions on a view, which `until` evaluates for the current view and for each later one.

A level depends on the current state only: after a restart of the client it gives the same result, and a change that
happened before the wait began is not missed. Levels are values; they combine with `|`, `&` and `~`.
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
    """A named condition on a view.

    Args:
        name: the phrase that follows "waiting until" in messages: "ready".
        holds: the predicate; free of side effects. An exception that it raises ends the wait.
        survives_failure: a wait for it continues while a DPU is in phase Error.
    """

    __slots__ = ("_holds", "name", "survives_failure")

    def __init__(
        self, name: str, holds: Callable[[V_contra], bool], *, survives_failure: bool = False
    ) -> None:
        self.name: str = name
        self.survives_failure: bool = survives_failure
        self._holds = holds

    def holds(self, view: V_contra) -> bool:
        """Whether the condition is true of this view."""
        return self._holds(view)

    # Two signatures, so that a level on a wider type (`ready`, of nodes and DPUs) combines with one on a narrower type
    # in both orders.

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
"""DPU: phase Ready, condition Ready True, not being deleted. Node: every device has a DPU, and all DPUs are ready."""

services_ready: Level[_CanBeReady] = Level("services ready", lambda view: view.services_ready)
"""OperationalReady is True; for a node on all its DPUs. It is independent of the phase.

Source: docs/dpf/health.md#operational-conditions.
"""

healthy: Level[NodeView | DPUView] = Level("healthy", lambda view: health_of(view).healthy)
"""No problem and nothing unknown in phase, Node, services, interfaces and chains; for a node on all its DPUs."""

usable: Level[NodeView | DPUView] = Level("usable", lambda view: health_of(view).usable is True)
"""Ready, with Node and critical services up; for a node with a usable DPU for every device. False if unknown."""

discovered: Level[NodeView] = Level("discovered", lambda view: view.discovered, survives_failure=True)
"""The operator has reconciled the DPUNode and reports every DPUDevice of it Ready; independent of its DPUs."""

terminating: Level[_CanBeReady] = Level("being deleted", lambda view: view.terminating, survives_failure=True)
"""The deletionTimestamp is set, and finalizers remain."""

external_reboot_required: Level[NodeView] = Level(
    "external reboot required", lambda view: view.external_reboot_required
)
"""The operator waits for an external reboot of the host."""

node_effect_held: Level[NodeView] = Level("node effect held", lambda view: view.hold is not None)
"""The operator waits for the release of a hold."""

accepted: Level[DeploymentView] = Level("accepted", lambda view: view.accepted)
"""The operator has reconciled the current spec of a DPUDeployment without a failing condition."""

any_dpu_failed: Level[NodeView] = Level(
    "a DPU failed", lambda view: bool(view.failed_dpus), survives_failure=True
)
"""A DPU of the node is in phase Error and not being deleted."""


def phase_is(*phases: DPUPhase | str) -> Level[DPUView]:
    """The DPU is in one of these phases. A wait can miss a phase that the DPU leaves before it is observed."""
    wanted = frozenset(phases)
    return Level(
        f"phase {' or '.join(phases)}",
        lambda view: view.phase in wanted,
        survives_failure=DPUPhase.ERROR in wanted or DPUPhase.DELETING in wanted,
    )


def replaced(uid: str) -> Level[DPUView]:
    """The DPU of this name has another uid than this one."""
    return Level(f"another DPU than {uid}", lambda view: view.uid != uid, survives_failure=True)

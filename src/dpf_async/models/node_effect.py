"""The node effect: what DPF does to a host before it disrupts the host. Used by four kinds.

Source of the schema: DPF v26.4 CRDs; behavior of each effect: docs/dpf/hold.md#node-effects.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import Bool, format_of
from dpf_async.models.rules import Rules, exactly_one_of
from dpf_async.models.wire import ListOf, StringMap, Wire

__all__ = ["DeploymentNodeEffect", "NodeEffect", "Taint"]


class Taint(Wire):
    """A taint for the Kubernetes node of the host. Source: Kubernetes' core/v1 Taint."""

    key: str
    effect: str
    """NoSchedule, PreferNoSchedule or NoExecute."""
    value: str | None = None
    time_added: Annotated[str, format_of("date-time")] | None = None


class DeploymentNodeEffect(Wire):
    """The node effect in a DPUDeployment.

    One of taint, noEffect, customLabel, drain, customAction and hold. An invalid combination is accepted in the
    DPUDeployment, and rejected when the operator creates the DPUSet (docs/dpf/objects.md#one-node-effect).
    """

    hold: Bool | None = None
    """Wait until an external component releases the hold. The field counts as set even if it is false."""
    no_effect: Bool | None = None
    """Continue without an effect."""
    custom_action: str | None = None
    """Name of a ConfigMap with a Pod to run."""
    drain: Bool | None = None
    """Drain the host's Kubernetes node. Not with Redfish."""
    taint: Taint | None = None
    """Taint the host's Kubernetes node. Not with Redfish."""
    custom_label: StringMap = Field(default_factory=dict)
    """Label the host's Kubernetes node. Not with Redfish."""
    force: Bool = False
    """Do not wait for sibling DPUs, and ignore the limit of unavailable nodes."""


class NodeEffect(DeploymentNodeEffect):
    """The node effect in a DPU, a DPUSet and a DPUNodeMaintenance: exactly one of the six effects."""

    RULES: ClassVar[Rules] = (
        exactly_one_of("taint", "noEffect", "customLabel", "drain", "customAction", "hold"),
    )

    apply_on_label_change: Bool = False
    """Apply the node effect again when labels of a Ready DPU change (docs/dpf/services.md#disruptive-changes)."""
    node_maintenance_additional_requestors: ListOf[str] = ()
    """Services that have to release the DPUNodeMaintenance as well (docs/dpf/hold.md#requestors)."""

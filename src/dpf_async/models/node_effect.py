"""The node effect: how DPF makes sure that a host may be disturbed. Shared by four kinds.

Source of the schema: DPF v26.4 CRDs; what each effect does: dpf-facts 6.
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
    """The node effect as a DPUDeployment has it.

    One of taint, noEffect, customLabel, drain, customAction and hold. A wrong combination is accepted here,
    and refused later, when the DPUSet is made from it (dpf-facts 1.3).
    """

    hold: Bool | None = None
    """Wait until someone outside says that the host may be disturbed. It counts as chosen even if false."""
    no_effect: Bool | None = None
    """Go on at once."""
    custom_action: str | None = None
    """Name of a ConfigMap with a Pod to run."""
    drain: Bool | None = None
    """Drain the host's Kubernetes node. Not with Redfish."""
    taint: Taint | None = None
    """Taint the host's Kubernetes node. Not with Redfish."""
    custom_label: StringMap = Field(default_factory=dict)
    """Label the host's Kubernetes node. Not with Redfish."""
    force: Bool = False
    """Neither wait for sibling DPUs nor count unavailable nodes."""


class NodeEffect(DeploymentNodeEffect):
    """The node effect as a DPU, a DPUSet and a DPUNodeMaintenance have it: exactly one of the six ways."""

    RULES: ClassVar[Rules] = (
        exactly_one_of("taint", "noEffect", "customLabel", "drain", "customAction", "hold"),
    )

    apply_on_label_change: Bool = False
    """Go through the node effect again when labels of a Ready DPU change (dpf-facts 11)."""
    node_maintenance_additional_requestors: ListOf[str] = ()
    """Services that must be done, too, before the host is given back (dpf-facts 5)."""

"""DPUCluster: the Kubernetes cluster that DPUs join as nodes.

Source of the schema: DPF v26.4 dpuclusters CRD.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import REQUIRED, Int, at_least, at_most, min_length, pattern, server_default
from dpf_async.models.meta import AGE, READY, Condition, PrinterColumn, Resource
from dpf_async.models.names import PROVISIONING_GROUP
from dpf_async.models.phases import DPUClusterPhase
from dpf_async.models.rules import Rules, TransitionRule, name_at_most
from dpf_async.models.wire import ListOf, StringMap, Wire

__all__ = [
    "ClusterEndpoint",
    "DPUCluster",
    "DPUClusterSpec",
    "DPUClusterStatus",
    "Keepalived",
]

_SET_ONCE = TransitionRule(
    cel="size(oldSelf) == 0 || self == oldSelf",
    message="the kubeconfig of a DPUCluster cannot be changed after it was set",
    allows=lambda old, new: old in ("", new),
)


class Keepalived(Wire):
    """A virtual address for the cluster's API server, held by one node at a time."""

    interface: Annotated[str, min_length(1)]
    vip: str
    virtual_router_id: Annotated[Int, at_least(1), at_most(255), Field(alias="virtualRouterID")]
    node_selector: StringMap = Field(default_factory=dict)


class ClusterEndpoint(Wire):
    """The address of the cluster's API server."""

    keepalived: Keepalived | None = None


class DPUClusterSpec(Wire):
    """The desired cluster."""

    type: Annotated[str, pattern("kamaji|static|[^/]+/.*")]
    """The manager of the cluster: kamaji, static, or another one as domain/name."""
    kubeconfig: Annotated[str, _SET_ONCE] | None = None
    """Name of the Secret with the cluster's kubeconfig."""
    max_nodes: Annotated[Int, at_least(1), at_most(1000)] = 1000
    cluster_endpoint: ClusterEndpoint | None = None


class DPUClusterStatus(Wire):
    """The observed cluster."""

    phase: Annotated[DPUClusterPhase, REQUIRED] = DPUClusterPhase.PENDING
    version: str | None = None
    """Version of Kubernetes."""
    nodes_count: Annotated[Int, at_least(0)] | None = None
    """Number of DPUs assigned to this cluster."""
    conditions: ListOf[Condition] = ()


class DPUCluster(Resource):
    """A Kubernetes cluster for DPUs; the operator assigns one to a DPU in phase Initializing."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "DPUCluster"
    PLURAL: ClassVar[str] = "dpuclusters"
    SPEC_REQUIRED: ClassVar[bool] = True
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (
        READY,
        PrinterColumn("Phase", ".status.phase"),
        PrinterColumn("Type", ".spec.type"),
        PrinterColumn("MaxNodes", ".spec.maxNodes", "integer"),
        PrinterColumn("Version", ".status.version"),
        PrinterColumn("NodesCount", ".status.nodesCount", "integer"),
        AGE,
    )
    RULES: ClassVar[Rules] = (name_at_most(63),)

    spec: DPUClusterSpec
    status: Annotated[DPUClusterStatus, server_default({"phase": "Pending"})] = Field(
        default_factory=DPUClusterStatus
    )

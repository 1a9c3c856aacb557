"""The plan of an upgrade: the hosts of a DPUDeployment that are not up to date, and their order.

It is computed from the cluster: which DPUs are outdated, and which DPUNodes have the annotation of an upgrade that was
started. The annotation is set before the first DPU of a host is deleted, and removed when all its DPUs are Ready.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, Final

from dpf_async._log import log
from dpf_async._rollout.outdated import OutdatedDPU, Owners, References, compare, states_of
from dpf_async._rollout.upgrade_report import HostUpgrade
from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.errors import Conflict, NotFound
from dpf_async.models import DPU, DPUNode

if TYPE_CHECKING:
    from dpf_async._session.client import Client

STARTED_PREFIX: Final = "dpf-async/upgrade-"
"""Prefix of an annotation of a DPUNode, set by this library, before the name of the DPUDeployment: the upgrade of the
host was started."""

Order = Callable[[HostUpgrade], Any] | Sequence[str]
"""A sort key for hosts, or names of DPUNodes; hosts that are not named come last. Any: a type that can be compared."""


class UpgradePlan:
    """The hosts of one DPUDeployment, compared with the wanted references.

    Args:
        dpf: the client.
        deployment: name of the DPUDeployment.
        wanted: the references that its DPUs are to be installed with.
        order: of the hosts; by name if None.
    """

    def __init__(self, dpf: Client, deployment: str, wanted: References, order: Order | None) -> None:
        self.deployment = deployment
        self.wanted = wanted
        self._dpf = dpf
        self._annotation = f"{STARTED_PREFIX}{deployment}"
        self._sort_key = _sort_key(order)
        self._owners = Owners({})

    async def hosts(self, *, rolling: bool, without: Container[str] = ()) -> list[HostUpgrade]:
        """The hosts that are not up to date: those already started first, then in order.

        Args:
            rolling: the strategy is RollingUpdate: include hosts that are not Ready, since DPF may have deleted their
                outdated DPUs already.
            without: names of DPUNodes to leave out.
        """
        dpus = await states_of(self._dpf, DPU)
        self._owners = await Owners.of(self._dpf, dpus)
        nodes = {view.node for view in map(DPUView, dpus) if self._is_of_deployment(view)}
        nodes |= {
            str(state.name)
            for state in await states_of(self._dpf, DPUNode)
            if self._annotation in state.annotations
        }
        hosts: list[HostUpgrade] = []
        for node in sorted(nodes):
            view = await self._dpf.node(node).view()
            host = self.host(view, always=rolling and view.exists and not view.ready)
            if host is not None and node not in without:
                hosts.append(host)
        return sorted(hosts, key=self._sort_key)

    def host(self, view: NodeView, *, always: bool = False) -> HostUpgrade | None:
        """The upgrade that a host needs; None if it is up to date and was not started, unless `always`."""
        of_deployment = [dpu for dpu in view.dpus if self._is_of_deployment(dpu)]
        outdated = tuple(one for one in map(self.outdated, of_deployment) if one is not None)
        started = self._is_started(view)
        if not (outdated or started or always):
            return None
        failed = tuple(dpu.name for dpu in of_deployment if dpu.failed)
        return HostUpgrade(view.name, self.deployment, outdated, failed, started, view)

    def outdated(self, dpu: DPUView) -> OutdatedDPU | None:
        """How a DPU of the DPUDeployment differs from the wanted references; None if it does not."""
        return compare(dpu, self.deployment, self.wanted) if self._is_of_deployment(dpu) else None

    def is_current(self, view: NodeView) -> bool:
        """Whether a host is Ready and none of its DPUs is outdated."""
        return view.ready and all(self.outdated(dpu) is None for dpu in view.dpus)

    async def mark_started(self, view: NodeView) -> None:
        """Set the annotation on a DPUNode, unless it is set."""
        if view.node is not None and not self._is_started(view):
            await self._annotate(view, str(self.wanted))

    async def mark_done(self, view: NodeView) -> None:
        """Remove the annotation from a DPUNode; a DPUNode that was deleted is success."""
        try:
            await self._annotate(view, None)
        except (NotFound, Conflict):
            log.info("node_gone_after_upgrade", node=view.name)

    async def _annotate(self, view: NodeView, value: str | None) -> None:
        patch = {"metadata": {"annotations": {self._annotation: value}}}
        await self._dpf.resource(DPUNode).patch(view.name, patch, uid=view.uid)

    def _is_started(self, view: NodeView) -> bool:
        return view.node is not None and self._annotation in view.node.annotations

    def _is_of_deployment(self, dpu: DPUView) -> bool:
        return self._owners.deployment(dpu.state) == self.deployment


def _sort_key(order: Order | None) -> Callable[[HostUpgrade], Any]:  # Any: any type that can be compared
    if order is None:
        return lambda host: (not host.started, host.node)
    if callable(order):
        return lambda host: (not host.started, order(host))
    places = {node: place for place, node in enumerate(order)}
    return lambda host: (not host.started, places.get(host.node, len(places)), host.node)

"""DPUClusterController: marks DPUClusters Ready and counts their DPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async.models import DPU, DPUCluster, DPUClusterPhase, Resource
from dpf_async.sim.operator.controllers.base import BaseController, map_to_self, spec_changed
from dpf_async.sim.operator.hardware.agent import KUBELET
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue


def _map_dpu(before: DPU | None, after: DPU | None) -> Iterable[str]:
    if not spec_changed(before, after):
        return ()
    references = [dpu.spec.cluster for dpu in (before, after) if dpu is not None]
    return {cluster.name for cluster in references if cluster is not None and cluster.name}


class DPUClusterController(BaseController):
    """Sets every DPUCluster to Ready; its cluster manager is not simulated."""

    name: ClassVar[str] = "dpucluster"
    kind: ClassVar[type[Resource]] = DPUCluster

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUClusters, and the DPUs assigned to them."""
        return {DPUCluster: map_to_self, DPU: _map_dpu}

    async def reconcile(self, name: str) -> Requeue | None:
        """Write the status."""
        cluster = self.cluster.get(DPUCluster, name)
        if cluster is None or cluster.terminating:
            return None
        updated = conditions.with_condition(
            cluster.conditions, "Ready", conditions.TRUE, "HealthCheckPassed", now=self.context.now
        )
        members = sum(
            dpu.spec.cluster is not None and dpu.spec.cluster.name == name for dpu in self.cluster.all(DPU)
        )
        status = changed(
            cluster.status,
            phase=DPUClusterPhase.READY,
            version=KUBELET,
            nodes_count=members,
            conditions=updated,
        )
        await self.cluster.write_status(cluster, status)
        return None

"""DPUClusters come up, and count the DPUs that were given to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async.models import DPU, DPUCluster, DPUClusterPhase, Resource
from dpf_async.sim.operator.controllers.base import Base, itself, spec_changed
from dpf_async.sim.operator.hardware.agent import KUBELET
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper


def _of_dpu(before: DPU | None, after: DPU | None) -> Iterable[str]:
    if not spec_changed(before, after):
        return ()
    given = [dpu.spec.cluster for dpu in (before, after) if dpu is not None]
    return {cluster.name for cluster in given if cluster is not None and cluster.name}


class DPUClusterController(Base):
    """Every DPUCluster is Ready at once: what its manager does is not simulated."""

    name: ClassVar[str] = "dpucluster"
    kind: ClassVar[type[Resource]] = DPUCluster

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, and the DPUs that join."""
        return {DPUCluster: itself, DPU: _of_dpu}

    async def reconcile(self, name: str) -> Later | None:
        """Write the status."""
        cluster = self.cluster.get(DPUCluster, name)
        if cluster is None or cluster.terminating:
            return None
        said = conditions.said(
            cluster.conditions, "Ready", conditions.TRUE, "HealthCheckPassed", now=self.site.now
        )
        members = sum(
            dpu.spec.cluster is not None and dpu.spec.cluster.name == name for dpu in self.cluster.all(DPU)
        )
        status = changed(
            cluster.status,
            phase=DPUClusterPhase.READY,
            version=KUBELET,
            nodes_count=members,
            conditions=said,
        )
        await self.cluster.write_status(cluster, status)
        return None

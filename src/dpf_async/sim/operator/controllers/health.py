"""Services on hosts: what DPUs say about their health, and when services are done with a host."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from dpf_async.models import (
    DPU,
    DPUNode,
    DPUNodeMaintenance,
    DPUService,
    DPUServiceChain,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import Base, dpu_moved, spec_changed
from dpf_async.sim.operator.provisioning import hold, operational
from dpf_async.sim.operator.runtime.cluster import of_deployment, of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after
from dpf_async.sim.operator.runtime.selectors import matches


def _owner(obj: Resource) -> str:
    return obj.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "")


class DPUReadyController(Base):
    """Per host: operational conditions whatever the phase, and the removal of service requestors (dpf-facts 5, 11)."""

    name: ClassVar[str] = "dpuready"
    kind: ClassVar[type[Resource]] = DPUNode

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUs, services and chains by the node they are on, and the maintenances."""
        return {
            DPU: self._of_dpu,
            DPUNodeMaintenance: lambda before, after_: [(after_ or before).spec.dpu_node_name],
            DPUService: self._of_owned,
            DPUServiceChain: self._of_owned,
        }

    async def reconcile(self, name: str) -> Later | None:
        """Look at all DPUs of a host."""
        dpus = self.cluster.all(DPU).select(of_node(name))
        left = math.inf
        for dpu in dpus:
            left = min(left, await self._report(dpu))
        for maintenance in self.cluster.all(DPUNodeMaintenance).select(of_node(name)):
            if hold.applied(maintenance) and dpus:
                await self._release(maintenance, dpus)
        return after(left)

    async def _report(self, dpu: DPU) -> float:
        """Write the operational conditions of a DPU; return the seconds until they may change by themselves."""
        node = self.hardware.node(dpu)
        if dpu.terminating or node is None or not node.labels:
            # Without labels nothing is meant for it yet, and "all of 0 pods are ready" would be taken for an answer.
            return math.inf
        services = self.cluster.select_owned(DPUService, dpu)
        said = operational.health(
            dpu.status.operational_conditions,
            None if self.hardware.health_unknown(dpu) else self.hardware.pods(dpu, services),
            {one.name: known.CRITICAL_SERVICE_LABEL in one.metadata.labels for one in services},
            now=self.site.now,
        )
        await self.cluster.write_status(dpu, changed(dpu.status, operational_conditions=said))
        return self.hardware.pods_left(dpu, services)

    async def _release(self, maintenance: DPUNodeMaintenance, dpus: Sequence[DPU]) -> None:
        """Take the services that are done with the host off its maintenance."""
        names = {dpu.name for dpu in dpus}
        left = [one for one in maintenance.spec.requestor if one in names or not self._is_done(one, dpus)]
        if len(left) < len(maintenance.spec.requestor):
            await self.cluster.patch(maintenance, {"spec": {"requestor": left}})

    def _is_done(self, requestor: str, dpus: Sequence[DPU]) -> bool:
        """A service or chain runs on every DPU of the host that should run it, or does not exist any more."""
        for dpu in dpus:
            owner = _owner(dpu)
            if not requestor.startswith(f"{owner}_"):
                continue
            child = requestor.removeprefix(f"{owner}_")
            service = self.cluster.get(DPUService, child)
            chain = self.cluster.get(DPUServiceChain, child)
            if service is not None and not self._service_runs(service, dpu):
                return False
            if chain is not None and not self._chain_runs(chain, dpu):
                return False
        return any(requestor.startswith(f"{_owner(dpu)}_") for dpu in dpus)

    def _service_runs(self, service: DPUService, dpu: DPU) -> bool:
        if service.spec.deploy_in_cluster:
            return True
        pods = self.hardware.pods(dpu, [service])
        return bool(pods) and all(pod.ready for pod in pods)

    def _chain_runs(self, chain: DPUServiceChain, dpu: DPU) -> bool:
        node = self.hardware.node(dpu)
        selector: Any = chain.spec.template.spec.node_selector
        return node is not None and matches(selector, node.labels)

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        if not dpu_moved(before, after_):
            return ()
        return {dpu.spec.dpu_node_name for dpu in (before, after_) if dpu is not None}

    def _of_owned(self, before: Any, after_: Any) -> Iterable[str]:  # Any: a service or a chain, or None
        if not spec_changed(before, after_):
            return ()
        dpus = self.cluster.all(DPU).select(of_deployment(_owner(after_ or before)))
        return {dpu.spec.dpu_node_name for dpu in dpus}

"""DPUReadyController: reports the health of DPUs, and removes services from the requestors of maintenances."""

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
from dpf_async.sim.operator.controllers.base import BaseController, phase_changed, spec_changed
from dpf_async.sim.operator.provisioning import hold, operational
from dpf_async.sim.operator.runtime.cluster import of_deployment, of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, requeue_after
from dpf_async.sim.operator.runtime.selectors import matches


def _owner(obj: Resource) -> str:
    return obj.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "")


class DPUReadyController(BaseController):
    """Per host: writes operational conditions in every phase, and removes requestors of services.

    Source: docs/dpf/hold.md#removal, docs/dpf/health.md#operational-conditions.
    """

    name: ClassVar[str] = "dpuready"
    kind: ClassVar[type[Resource]] = DPUNode

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUs, services, chains and maintenances, each mapped to the DPUNode."""
        return {
            DPU: self._map_dpu,
            DPUNodeMaintenance: lambda before, after: [(after or before).spec.dpu_node_name],
            DPUService: self._map_owned,
            DPUServiceChain: self._map_owned,
        }

    async def reconcile(self, name: str) -> Requeue | None:
        """Report the health of all DPUs of a host and update its maintenances."""
        dpus = self.cluster.all(DPU).select(of_node(name))
        left = math.inf
        for dpu in dpus:
            left = min(left, await self._report(dpu))
        for maintenance in self.cluster.all(DPUNodeMaintenance).select(of_node(name)):
            if hold.applied(maintenance) and dpus:
                await self._release(maintenance, dpus)
        return requeue_after(left)

    async def _report(self, dpu: DPU) -> float:
        """Write the operational conditions of a DPU; return the seconds until a pod becomes ready."""
        node = self.hardware.node(dpu)
        if dpu.terminating or node is None or not node.labels:
            # Without labels no service selects the Node yet, and "all of 0 pods are ready" would be reported.
            return math.inf
        services = self.cluster.select_owned(DPUService, dpu)
        updated = operational.health(
            dpu.status.operational_conditions,
            None if self.hardware.health_unknown(dpu) else self.hardware.pods(dpu, services),
            {one.name: known.CRITICAL_SERVICE_LABEL in one.metadata.labels for one in services},
            now=self.context.now,
        )
        await self.cluster.write_status(dpu, changed(dpu.status, operational_conditions=updated))
        return self.hardware.pods_left(dpu, services)

    async def _release(self, maintenance: DPUNodeMaintenance, dpus: Sequence[DPU]) -> None:
        """Remove the services that are rolled out on the host from the requestors of its maintenance."""
        names = {dpu.name for dpu in dpus}
        left = [
            one for one in maintenance.spec.requestor if one in names or not self._is_rolled_out(one, dpus)
        ]
        if len(left) < len(maintenance.spec.requestor):
            await self.cluster.patch(maintenance, {"spec": {"requestor": left}})

    def _is_rolled_out(self, requestor: str, dpus: Sequence[DPU]) -> bool:
        """Whether the service or chain runs on every DPU of the host that selects it, or does not exist any more."""
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

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        if not phase_changed(before, after):
            return ()
        return {dpu.spec.dpu_node_name for dpu in (before, after) if dpu is not None}

    def _map_owned(self, before: Any, after: Any) -> Iterable[str]:  # Any: a service or a chain, or None
        if not spec_changed(before, after):
            return ()
        dpus = self.cluster.all(DPU).select(of_deployment(_owner(after or before)))
        return {dpu.spec.dpu_node_name for dpu in dpus}

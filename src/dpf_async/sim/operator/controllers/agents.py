"""AgentController: writes the reports of the agents on the DPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async.models import DPU, Resource, known
from dpf_async.sim.operator.controllers.base import BaseController
from dpf_async.sim.operator.hardware import agent
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, requeue_after


class AgentController(BaseController):
    """Writes status.agentStatus of each DPU, as the agent on the DPU does (docs/dpf/conditions.md#agent-conditions)."""

    name: ClassVar[str] = "agent"
    kind: ClassVar[type[Resource]] = DPU

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUs; with a late sibling, also the other DPUs of its host."""
        return {DPU: self._map_dpu}

    async def reconcile(self, name: str) -> Requeue | None:
        """Write the next report of the agent when it is due."""
        dpu = self.cluster.get(DPU, name)
        if dpu is None or self.hardware.agent_silent(dpu):
            return None
        report = agent.next_report(
            dpu,
            worked=self.hardware.worked(dpu),
            reboots=self.hardware.reboots(dpu),
            method=known.RebootMethod.POWER_CYCLE,
            profile=self.profile,
            now=self.context.clock(),
        )
        if report is None or (report.status.reboot_method is not None and self._waits_for_sibling(dpu)):
            return None
        if report.left > 0:
            return requeue_after(report.left)
        await self.cluster.write_status(dpu, changed(dpu.status, agent_status=report.status))
        return None

    def _waits_for_sibling(self, dpu: DPU) -> bool:
        host = self.cluster.all(DPU).select(of_node(dpu.spec.dpu_node_name))
        if not self._is_late(dpu, host):
            return False
        return agent.waits_for_sibling([one for one in host if not self._is_late(one, host)])

    def _is_late(self, dpu: DPU, host: list[DPU]) -> bool:
        """Whether the trouble names this DPU; if it names the host or nothing, the last DPU of a host is late."""
        trouble = self.context.troubles.find(
            "late_sibling", dpu.name, dpu.spec.dpu_device_name, dpu.spec.dpu_node_name
        )
        if trouble is None:
            return False
        by_name = trouble.target in (dpu.name, dpu.spec.dpu_device_name)
        return by_name or (len(host) > 1 and dpu.name == max(one.name for one in host))

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        dpu = after or before
        if dpu is None:
            return ()
        if not self.context.troubles.anywhere("late_sibling"):
            return [dpu.name]
        return [one.name for one in self.cluster.all(DPU).select(of_node(dpu.spec.dpu_node_name))]

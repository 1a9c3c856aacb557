"""The agents on the DPUs report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async.models import DPU, Resource, known
from dpf_async.sim.operator.controllers.base import Base
from dpf_async.sim.operator.hardware import agent
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after


class AgentController(Base):
    """The agents on the DPUs: another writer of a DPU's status than DPF's own controllers (dpf-facts 10)."""

    name: ClassVar[str] = "agent"
    kind: ClassVar[type[Resource]] = DPU

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """The DPU, and its siblings in the host."""
        return {DPU: self._of_dpu}

    async def reconcile(self, name: str) -> Later | None:
        """Report what there is to report."""
        dpu = self.cluster.get(DPU, name)
        if dpu is None or self.hardware.agent_silent(dpu):
            return None
        report = agent.next_report(
            dpu,
            worked=self.hardware.worked(dpu),
            reboots=self.hardware.reboots(dpu),
            method=known.RebootMethod.POWER_CYCLE,
            profile=self.profile,
            now=self.site.clock(),
        )
        if report is None or (report.status.reboot_method is not None and self._waits(dpu)):
            return None
        if report.left > 0:
            return after(report.left)
        await self.cluster.write_status(dpu, changed(dpu.status, agent_status=report.status))
        return None

    def _waits(self, dpu: DPU) -> bool:
        host = self.cluster.all(DPU).select(of_node(dpu.spec.dpu_node_name))
        if not self._is_late(dpu, host):
            return False
        return agent.waits_for_sibling([one for one in host if not self._is_late(one, host)])

    def _is_late(self, dpu: DPU, host: list[DPU]) -> bool:
        """Meant by name, or the last one of a host where one is meant to be late."""
        trouble = self.site.troubles.find(
            "late_sibling", dpu.name, dpu.spec.dpu_device_name, dpu.spec.dpu_node_name
        )
        if trouble is None:
            return False
        by_name = trouble.target in (dpu.name, dpu.spec.dpu_device_name)
        return by_name or (len(host) > 1 and dpu.name == max(one.name for one in host))

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        dpu = after_ or before
        if dpu is None:
            return ()
        if not self.site.troubles.anywhere("late_sibling"):
            return [dpu.name]
        return [one.name for one in self.cluster.all(DPU).select(of_node(dpu.spec.dpu_node_name))]

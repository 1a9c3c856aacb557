"""DPUNodes: taken over, rebooted, and deleted with everything that is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from dpf_async._log import log
from dpf_async.models import (
    DPU,
    DPFOperatorConfig,
    DPUDevice,
    DPUNode,
    DPUNodeMaintenance,
    DPUNodeStatus,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import Base, Site, itself, spec_changed
from dpf_async.sim.operator.provisioning import reboot
from dpf_async.sim.operator.provisioning.node_conditions import (
    with_condition,
    with_summary,
    without_condition,
)
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after, poll

_Condition = known.DPUNodeCondition
_Reason = known.DPUNodeReason


def _of_dpu(before: DPU | None, after_: DPU | None) -> Iterable[str]:
    return {dpu.spec.dpu_node_name for dpu in (before, after_) if dpu is not None}


def _of_label(before: Any, after_: Any) -> Iterable[str]:  # Any: a Resource, or None
    if not spec_changed(before, after_):
        return ()
    labels = [obj.metadata.labels for obj in (before, after_) if obj is not None]
    return {one[known.DPUNODE_NAME_LABEL] for one in labels if known.DPUNODE_NAME_LABEL in one}


class DPUNodeController(Base):
    """The node's own conditions, and the reboot of the host (dpf-facts 3)."""

    name: ClassVar[str] = "dpunode"
    kind: ClassVar[type[Resource]] = DPUNode

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._asking: set[str] = set()

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, what refers to a node, and the settings."""
        return {
            DPUNode: itself,
            DPU: _of_dpu,
            DPUDevice: _of_label,
            DPUNodeMaintenance: _of_label,
            DPFOperatorConfig: self.everything,
        }

    async def reconcile(self, name: str) -> Later | None:
        """Bring a node up to date."""
        node = self.cluster.get(DPUNode, name)
        if node is None:
            return None
        if node.terminating:
            return await self._delete(node)
        if known.DPUNODE_FINALIZER not in node.metadata.finalizers or not node.status.dpu_install_interface:
            return await self._take_over(node)
        dpus = self.cluster.all(DPU).select(of_node(name))
        if node.spec.node_reboot_method.external is None:
            return await self._reboot_by_itself(node, dpus)
        return await self._reboot_by_others(node, dpus)

    async def _take_over(self, node: DPUNode) -> Later | None:
        node = await self.cluster.add_finalizer(node, known.DPUNODE_FINALIZER)
        settings = self.site.settings
        if settings is None or settings.install_interface is None:
            log.warning(
                "node_waits", node=node.name, reason="no DPFOperatorConfig says how DPUs are installed"
            )
            return poll(self.profile.requeue)
        status = changed(node.status, dpu_install_interface=settings.install_interface)
        await self.cluster.write_status(node, status)
        return None

    async def _delete(self, node: DPUNode) -> Later | None:
        """DPUs and DPUDevices go with the node, and the node only after them (dpf-facts 8)."""
        dpus = self.cluster.all(DPU).select(of_node(node.name))
        devices = self.cluster.all(DPUDevice).select(of_node(node.name))
        for obj in (*dpus, *devices):
            if not obj.terminating:
                await self.cluster.delete(obj)
        if not dpus and not devices:
            await self.cluster.remove_finalizer(node, known.DPUNODE_FINALIZER)
        return None

    # Reboots.

    async def _reboot_by_others(self, node: DPUNode, dpus: Sequence[DPU]) -> Later | None:
        plan = reboot.plan(node, dpus, asking=node.uid in self._asking)
        if plan.deferred_by:
            log.info("reboot_deferred", node=node.name, by=[dpu.name for dpu in plan.deferred_by])
        for dpu in plan.waiting:
            reason = known.DPUReason.WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT
            await self._say_rebooted(dpu, conditions.FALSE, reason)
        for dpu in plan.rebooted:
            await self._say_rebooted(dpu, conditions.TRUE, known.DPUReason.REBOOTED)
        if plan.annotate:
            # Before the condition: if this operator stopped in between, it would ask again rather than believe that
            # the key is gone because the host was rebooted. DPF's own later releases do so, too (dpf-facts 3.4).
            annotations = {known.EXTERNAL_REBOOT_REQUIRED: "true"}
            node = await self.cluster.patch(node, {"metadata": {"annotations": annotations}})
            # Whoever answers before the condition is there has answered, and is not asked again.
            self._asking.add(node.uid)
            log.info("reboot_asked_for", node=node.name, dpus=[dpu.name for dpu in plan.waiting])
        status = node.status
        if plan.forget:
            status = without_condition(status, _Condition.REBOOT_IN_PROGRESS)
        if plan.verdict is not None:
            condition = plan.verdict
            status = with_condition(
                status, _Condition.REBOOT_IN_PROGRESS, condition.status, condition.reason, now=self.site.now
            )
        await self.cluster.write_status(node, self._summarised(node, status))
        self._asking.discard(node.uid)
        return poll(self.profile.requeue) if plan.deferred_by else None

    async def _reboot_by_itself(self, node: DPUNode, dpus: Sequence[DPU]) -> Later | None:
        """Host agent or script: nobody is asked, the host reboots in its own time (dpf-facts 3.2)."""
        scripted = node.spec.node_reboot_method.script is not None
        rebooting = reboot.by_itself(node, dpus)
        left = max((self._reboot_left(dpu) for dpu in rebooting), default=0.0)
        for dpu in rebooting:
            if left <= 0:
                await self._say_rebooted(dpu, conditions.TRUE, known.DPUReason.REBOOTED)
            elif scripted:
                reason = known.DPUReason.WAITING_FOR_SCRIPT_TO_REBOOT_NODE
                await self._say_rebooted(dpu, conditions.FALSE, reason)
        status = node.status
        if not dpus:
            status = without_condition(status, _Condition.REBOOT_IN_PROGRESS)
        elif scripted and (rebooting or conditions.is_true(status.conditions, _Condition.REBOOT_IN_PROGRESS)):
            going_on = conditions.TRUE if left > 0 else conditions.FALSE
            reason = _Reason.REBOOT_IN_PROGRESS
            status = with_condition(
                status, _Condition.REBOOT_IN_PROGRESS, going_on, reason, now=self.site.now
            )
        await self.cluster.write_status(node, self._summarised(node, status))
        return after(left) if left > 0 else None

    def _reboot_left(self, dpu: DPU) -> float:
        agent = dpu.status.agent_status
        count = agent.reboot_sequence_count if agent is not None else 0
        return self.hardware.left(dpu.uid, f"reboot {count}", self.profile.host_reboot)

    async def _say_rebooted(self, dpu: DPU, value: str, reason: str) -> None:
        about = known.DPUCondition.REBOOTED
        said = conditions.said(dpu.conditions, about, value, reason, now=self.site.now)
        await self.cluster.write_status(dpu, changed(dpu.status, conditions=said))

    def _summarised(self, node: DPUNode, status: DPUNodeStatus) -> DPUNodeStatus:
        """The status with Ready, and without the condition of a node effect that is removed."""
        if not self.cluster.all(DPUNodeMaintenance).select(of_node(node.name)):
            status = without_condition(status, _Condition.NODE_EFFECT_IN_PROGRESS)
        return with_summary(status, now=self.site.now)

"""DPUNodeController: initializes DPUNodes, requests reboots, and deletes DPUNodes with their DPUs and DPUDevices."""

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
from dpf_async.sim.operator.controllers.base import BaseController, Context, map_to_self, spec_changed
from dpf_async.sim.operator.provisioning import reboot
from dpf_async.sim.operator.provisioning.node_conditions import (
    with_condition,
    with_summary,
    without_condition,
)
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, poll, requeue_after

_Condition = known.DPUNodeCondition
_Reason = known.DPUNodeReason


def _map_dpu(before: DPU | None, after: DPU | None) -> Iterable[str]:
    return {dpu.spec.dpu_node_name for dpu in (before, after) if dpu is not None}


def _map_labelled(before: Any, after: Any) -> Iterable[str]:  # Any: a Resource, or None
    if not spec_changed(before, after):
        return ()
    labels = [obj.metadata.labels for obj in (before, after) if obj is not None]
    return {one[known.DPUNODE_NAME_LABEL] for one in labels if known.DPUNODE_NAME_LABEL in one}


class DPUNodeController(BaseController):
    """Writes the conditions of DPUNodes and handles reboots of hosts (docs/dpf/reboot.md#external-sequence)."""

    name: ClassVar[str] = "dpunode"
    kind: ClassVar[type[Resource]] = DPUNode

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._requested: set[str] = set()

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUNodes, the objects that refer to them, and the DPFOperatorConfig."""
        return {
            DPUNode: map_to_self,
            DPU: _map_dpu,
            DPUDevice: _map_labelled,
            DPUNodeMaintenance: _map_labelled,
            DPFOperatorConfig: self.map_to_all,
        }

    async def reconcile(self, name: str) -> Requeue | None:
        """Move a DPUNode closer to its desired state."""
        node = self.cluster.get(DPUNode, name)
        if node is None:
            return None
        if node.terminating:
            return await self._delete(node)
        if known.DPUNODE_FINALIZER not in node.metadata.finalizers or not node.status.dpu_install_interface:
            return await self._initialize(node)
        dpus = self.cluster.all(DPU).select(of_node(name))
        if node.spec.node_reboot_method.external is None:
            return await self._reboot_by_host(node, dpus)
        return await self._reboot_externally(node, dpus)

    async def _initialize(self, node: DPUNode) -> Requeue | None:
        node = await self.cluster.add_finalizer(node, known.DPUNODE_FINALIZER)
        settings = self.context.settings
        if settings is None or settings.install_interface is None:
            log.warning(
                "node_waiting", node=node.name, reason="no DPFOperatorConfig specifies an install interface"
            )
            return poll(self.profile.requeue)
        status = changed(node.status, dpu_install_interface=settings.install_interface)
        await self.cluster.write_status(node, status)
        return None

    async def _delete(self, node: DPUNode) -> Requeue | None:
        """Delete the DPUs and DPUDevices of the node, and release the node after them.

        Source: docs/dpf/deletion.md#dpunode.
        """
        dpus = self.cluster.all(DPU).select(of_node(node.name))
        devices = self.cluster.all(DPUDevice).select(of_node(node.name))
        for obj in (*dpus, *devices):
            if not obj.terminating:
                await self.cluster.delete(obj)
        if not dpus and not devices:
            await self.cluster.remove_finalizer(node, known.DPUNODE_FINALIZER)
        return None

    # Reboots.

    async def _reboot_externally(self, node: DPUNode, dpus: Sequence[DPU]) -> Requeue | None:
        plan = reboot.plan(node, dpus, requested=node.uid in self._requested)
        if plan.deferred_by:
            log.info("reboot_deferred", node=node.name, by=[dpu.name for dpu in plan.deferred_by])
        for dpu in plan.waiting:
            reason = known.DPUReason.WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT
            await self._set_rebooted(dpu, conditions.FALSE, reason)
        for dpu in plan.rebooted:
            await self._set_rebooted(dpu, conditions.TRUE, known.DPUReason.REBOOTED)
        if plan.annotate:
            # Written before the condition: if this operator stops in between, it requests the reboot again instead of
            # treating the absent annotation as a confirmed reboot. Later releases of DPF do the same
            # (docs/dpf/reboot.md#external-sequence).
            annotations = {known.EXTERNAL_REBOOT_REQUIRED: "true"}
            node = await self.cluster.patch(node, {"metadata": {"annotations": annotations}})
            # A client may confirm before the condition is written; the reboot must not be requested again.
            self._requested.add(node.uid)
            log.info("reboot_requested", node=node.name, dpus=[dpu.name for dpu in plan.waiting])
        status = node.status
        if plan.remove_condition:
            status = without_condition(status, _Condition.REBOOT_IN_PROGRESS)
        if plan.condition is not None:
            condition = plan.condition
            status = with_condition(
                status,
                _Condition.REBOOT_IN_PROGRESS,
                condition.status,
                condition.reason,
                now=self.context.now,
            )
        await self.cluster.write_status(node, self._with_summary(node, status))
        self._requested.discard(node.uid)
        return poll(self.profile.requeue) if plan.deferred_by else None

    async def _reboot_by_host(self, node: DPUNode, dpus: Sequence[DPU]) -> Requeue | None:
        """Reboot by host agent or script: no client is involved (docs/dpf/reboot.md#reboot-methods)."""
        scripted = node.spec.node_reboot_method.script is not None
        rebooting = reboot.rebooted_by_host(node, dpus)
        left = max((self._reboot_left(dpu) for dpu in rebooting), default=0.0)
        for dpu in rebooting:
            if left <= 0:
                await self._set_rebooted(dpu, conditions.TRUE, known.DPUReason.REBOOTED)
            elif scripted:
                reason = known.DPUReason.WAITING_FOR_SCRIPT_TO_REBOOT_NODE
                await self._set_rebooted(dpu, conditions.FALSE, reason)
        status = node.status
        if not dpus:
            status = without_condition(status, _Condition.REBOOT_IN_PROGRESS)
        elif scripted and (rebooting or conditions.is_true(status.conditions, _Condition.REBOOT_IN_PROGRESS)):
            in_progress = conditions.TRUE if left > 0 else conditions.FALSE
            reason = _Reason.REBOOT_IN_PROGRESS
            status = with_condition(
                status, _Condition.REBOOT_IN_PROGRESS, in_progress, reason, now=self.context.now
            )
        await self.cluster.write_status(node, self._with_summary(node, status))
        return requeue_after(left) if left > 0 else None

    def _reboot_left(self, dpu: DPU) -> float:
        agent = dpu.status.agent_status
        count = agent.reboot_sequence_count if agent is not None else 0
        return self.hardware.left(dpu.uid, f"reboot {count}", self.profile.host_reboot)

    async def _set_rebooted(self, dpu: DPU, value: str, reason: str) -> None:
        type_ = known.DPUCondition.REBOOTED
        updated = conditions.with_condition(dpu.conditions, type_, value, reason, now=self.context.now)
        await self.cluster.write_status(dpu, changed(dpu.status, conditions=updated))

    def _with_summary(self, node: DPUNode, status: DPUNodeStatus) -> DPUNodeStatus:
        """The status with Ready, and without the condition of a node effect that is removed."""
        if not self.cluster.all(DPUNodeMaintenance).select(of_node(node.name)):
            status = without_condition(status, _Condition.NODE_EFFECT_IN_PROGRESS)
        return with_summary(status, now=self.context.now)

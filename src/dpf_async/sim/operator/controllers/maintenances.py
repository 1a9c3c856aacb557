"""DPUNodeMaintenanceController: applies each node effect once, and removes it after the last requestor left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import anyio

from dpf_async._log import log
from dpf_async.models import DPFOperatorConfig, DPUNode, DPUNodeMaintenance, Resource, known
from dpf_async.sim.operator.controllers.base import BaseController, Context, map_to_self
from dpf_async.sim.operator.provisioning import hold
from dpf_async.sim.operator.provisioning.node_conditions import effect_in_progress
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, poll, requeue_after

_NodeCondition = known.DPUNodeCondition


class DPUNodeMaintenanceController(BaseController):
    """Applies node effects, in particular holds (docs/dpf/hold.md#hold-sequence)."""

    name: ClassVar[str] = "dpunodemaintenance"
    kind: ClassVar[type[Resource]] = DPUNodeMaintenance

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._queued: set[str] = set()
        self._limit_lock = anyio.Lock()

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUNodeMaintenances, DPUNodes, and the DPFOperatorConfig."""
        return {DPUNodeMaintenance: map_to_self, DPUNode: self._map_node, DPFOperatorConfig: self.map_to_all}

    async def reconcile(self, name: str) -> Requeue | None:
        """Apply the next step of a node effect or of its removal."""
        self._queued.discard(name)
        maintenance = self.cluster.get(DPUNodeMaintenance, name)
        if maintenance is None:
            return None
        node = self.cluster.get(DPUNode, maintenance.spec.dpu_node_name)
        if maintenance.terminating:
            return await self._remove(maintenance, node)
        if not maintenance.spec.requestor:
            await self.cluster.delete(maintenance)
            return None
        if hold.applied(maintenance):
            # Final: a released hold cannot be requested again.
            await self._protect(maintenance, {})
            return None
        if node is None:
            await self._protect(maintenance, {})
            return self._without_node(maintenance)
        return await self._apply(maintenance, node)

    async def _apply(self, maintenance: DPUNodeMaintenance, node: DPUNode) -> Requeue | None:
        settings = self.context.settings
        if settings is None:
            await self._protect(maintenance, {})
            return poll(self.profile.requeue)
        action = maintenance.spec.node_effect.custom_action if maintenance.spec.node_effect else None
        # Two concurrent reconciles must not both use the last slot of maxUnavailableDPUNodes.
        async with self._limit_lock:
            effect = hold.step(
                maintenance,
                devices=len(node.spec.dpus),
                unavailable=self._unavailable(node.name),
                action_left=(
                    self.hardware.left(maintenance.uid, "action", self.profile.custom_action)
                    if action
                    else 0.0
                ),
                settings=settings,
                now=self.context.clock(),
            )
            if effect.started:
                status = effect_in_progress(node.status, now=self.context.now)
                await self.cluster.write_status(node, status)
        annotations = {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"} if effect.annotate else {}
        maintenance = await self._protect(maintenance, annotations)
        if effect.annotate:
            log.info("node_effect_held", node=node.name, maintenance=maintenance.name)
        written = await self.cluster.write_status(maintenance, effect.status)
        if hold.applied(written):
            log.info("node_effect_applied", node=node.name, maintenance=maintenance.name)
            return None
        if not effect.started:
            self._queued.add(maintenance.name)
        return requeue_after(effect.left) or poll(self.profile.hold_requeue)

    async def _protect(
        self, maintenance: DPUNodeMaintenance, annotations: Mapping[str, str]
    ) -> DPUNodeMaintenance:
        """Add the finalizer and annotations in one write."""
        present, finalizer = maintenance.metadata.finalizers, known.DPUNODEMAINTENANCE_FINALIZER
        metadata: dict[str, Any] = {"annotations": annotations} if annotations else {}  # Any: JSON
        if finalizer not in present:
            metadata["finalizers"] = [*present, finalizer]
        return await self.cluster.patch(maintenance, {"metadata": metadata}) if metadata else maintenance

    async def _remove(self, maintenance: DPUNodeMaintenance, node: DPUNode | None) -> Requeue | None:
        if maintenance.spec.requestor:
            return None
        if node is None:
            return self._without_node(maintenance)
        await self.cluster.remove_finalizer(maintenance, known.DPUNODEMAINTENANCE_FINALIZER)
        return None

    def _without_node(self, maintenance: DPUNodeMaintenance) -> Requeue | None:
        """Wait for a DPUNode of this name: without one even the removal is blocked (docs/dpf/hold.md#hold-sequence)."""
        log.warning(
            "maintenance_without_node", maintenance=maintenance.name, node=maintenance.spec.dpu_node_name
        )
        return poll(self.profile.requeue)

    def _unavailable(self, name: str) -> int:
        return sum(
            node.name != name and conditions.is_true(node.conditions, _NodeCondition.NODE_EFFECT_IN_PROGRESS)
            for node in self.cluster.all(DPUNode)
        )

    def _map_node(self, before: DPUNode | None, after: DPUNode | None) -> Iterable[str]:
        node = after or before
        maintenances = self.cluster.all(DPUNodeMaintenance)
        names = [one.name for one in maintenances.select(of_node(node.name if node is not None else ""))]
        return {*names, *self._queued}

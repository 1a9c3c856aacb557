"""DPUNodeMaintenances: the effect is applied once, and removed with the last requestor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import anyio

from dpf_async._log import log
from dpf_async.models import DPFOperatorConfig, DPUNode, DPUNodeMaintenance, Resource, known
from dpf_async.sim.operator.controllers.base import Base, Site, itself
from dpf_async.sim.operator.provisioning import hold
from dpf_async.sim.operator.provisioning.node_conditions import effect_in_progress
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_node
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after, poll

_NodeCondition = known.DPUNodeCondition


class DPUNodeMaintenanceController(Base):
    """Node effects, holds above all (dpf-facts 5)."""

    name: ClassVar[str] = "dpunodemaintenance"
    kind: ClassVar[type[Resource]] = DPUNodeMaintenance

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._queued: set[str] = set()
        self._counting = anyio.Lock()

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, the nodes, and the settings."""
        return {DPUNodeMaintenance: itself, DPUNode: self._of_node, DPFOperatorConfig: self.everything}

    async def reconcile(self, name: str) -> Later | None:
        """Take the next step of an effect, or of its end."""
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
            # For ever: a hold that was let go cannot be armed again.
            await self._protect(maintenance, {})
            return None
        if node is None:
            await self._protect(maintenance, {})
            return self._misses_node(maintenance)
        return await self._apply(maintenance, node)

    async def _apply(self, maintenance: DPUNodeMaintenance, node: DPUNode) -> Later | None:
        settings = self.site.settings
        if settings is None:
            await self._protect(maintenance, {})
            return poll(self.profile.requeue)
        action = maintenance.spec.node_effect.custom_action if maintenance.spec.node_effect else None
        # Two that count at once would both find the same last host that may be disturbed.
        async with self._counting:
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
                now=self.site.clock(),
            )
            if effect.started:
                status = effect_in_progress(node.status, now=self.site.now)
                await self.cluster.write_status(node, status)
        annotations = {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"} if effect.ask else {}
        maintenance = await self._protect(maintenance, annotations)
        if effect.ask:
            log.info("node_effect_held", node=node.name, maintenance=maintenance.name)
        written = await self.cluster.write_status(maintenance, effect.status)
        if hold.applied(written):
            log.info("node_effect_applied", node=node.name, maintenance=maintenance.name)
            return None
        if not effect.started:
            self._queued.add(maintenance.name)
        return after(effect.left) or poll(self.profile.hold_requeue)

    async def _protect(
        self, maintenance: DPUNodeMaintenance, annotations: Mapping[str, str]
    ) -> DPUNodeMaintenance:
        """Add the finalizer and annotations in one write."""
        present, finalizer = maintenance.metadata.finalizers, known.DPUNODEMAINTENANCE_FINALIZER
        metadata: dict[str, Any] = {"annotations": annotations} if annotations else {}  # Any: JSON
        if finalizer not in present:
            metadata["finalizers"] = [*present, finalizer]
        return await self.cluster.patch(maintenance, {"metadata": metadata}) if metadata else maintenance

    async def _remove(self, maintenance: DPUNodeMaintenance, node: DPUNode | None) -> Later | None:
        if maintenance.spec.requestor:
            return None
        if node is None:
            return self._misses_node(maintenance)
        await self.cluster.remove_finalizer(maintenance, known.DPUNODEMAINTENANCE_FINALIZER)
        return None

    def _misses_node(self, maintenance: DPUNodeMaintenance) -> Later | None:
        """Without its node nothing can be done, removal included, until one of that name exists (dpf-facts 5)."""
        log.warning("maintenance_stranded", maintenance=maintenance.name, node=maintenance.spec.dpu_node_name)
        return poll(self.profile.requeue)

    def _unavailable(self, name: str) -> int:
        return sum(
            node.name != name and conditions.is_true(node.conditions, _NodeCondition.NODE_EFFECT_IN_PROGRESS)
            for node in self.cluster.all(DPUNode)
        )

    def _of_node(self, before: DPUNode | None, after_: DPUNode | None) -> Iterable[str]:
        node = after_ or before
        maintenances = self.cluster.all(DPUNodeMaintenance)
        mine = [one.name for one in maintenances.select(of_node(node.name if node is not None else ""))]
        return {*mine, *self._queued}

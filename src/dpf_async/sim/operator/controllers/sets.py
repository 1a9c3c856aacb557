"""DPUSetController: creates, updates and deletes the DPUs of DPUSets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

from dpf_async.models import (
    DPU,
    DPFOperatorConfig,
    DPUCluster,
    DPUDevice,
    DPUNode,
    DPUSet,
    DPUTemplateSpec,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import BaseController, map_to_self, phase_changed, spec_changed
from dpf_async.sim.operator.deployment import rollout
from dpf_async.sim.operator.hardware.settings import REDFISH
from dpf_async.sim.operator.provisioning import phases
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import of_node, of_set
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue

_Condition = known.DPUSetCondition


def _map_set(before: DPUSet | None, after: DPUSet | None) -> Iterable[str]:
    return map_to_self(before, after) if spec_changed(before, after) else ()


def _map_dpu(before: DPU | None, after: DPU | None) -> Iterable[str]:
    if not (
        phase_changed(before, after)
        or _generation_observed(before, after)
        or _availability_changed(before, after)
    ):
        return ()
    dpu = after or before
    name = dpu.metadata.labels.get(known.DPUSET_NAME_LABEL) if dpu is not None else None
    return [name] if name else []


def _generation_observed(before: DPU | None, after: DPU | None) -> bool:
    """Whether status.observedGeneration of the DPU changed."""
    if before is None or after is None:
        return False
    return before.status.observed_generation != after.status.observed_generation


def _availability_changed(before: DPU | None, after: DPU | None) -> bool:
    """Whether the condition Ready changed, which is written after the phase; a rolling update waits for it."""
    type_ = known.DPUCondition.READY
    if before is None or after is None:
        return False
    return conditions.is_true(before.conditions, type_) != conditions.is_true(after.conditions, type_)


class DPUSetController(BaseController):
    """Creates one DPU for each selected device (docs/dpf/deployments.md#selection)."""

    name: ClassVar[str] = "dpuset"
    kind: ClassVar[type[Resource]] = DPUSet

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUSets, their DPUs, and the objects that they select or depend on."""
        return {
            DPUSet: _map_set,
            DPU: _map_dpu,
            DPUNode: self._all_if_changed,
            DPUDevice: self._all_if_changed,
            DPUCluster: self._all_if_changed,
            DPFOperatorConfig: self._all_if_changed,
        }

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """DPUs, which the status counts by phase."""
        return (DPU,)

    async def reconcile(self, name: str) -> Requeue | None:
        """Move the DPUs of a DPUSet closer to its template."""
        dpu_set = self.cluster.get(DPUSet, name)
        if dpu_set is None:
            return None
        dpus = self.cluster.all(DPU).select(of_set(name))
        if dpu_set.terminating:
            await self._delete(dpu_set, dpus)
            return None
        template = dpu_set.spec.dpu_template.spec
        if template is None:
            return None
        dpu_set = await self._mark(dpu_set, template)
        if (problem := self._problem(template)) is not None:
            await self._write(dpu_set, dpus, reconciled=True, problem=problem)
            return None
        clusters = {cluster.name: cluster for cluster in self.cluster.all(DPUCluster)}
        plan = rollout.plan(dpu_set, template, self._pairs(dpu_set), dpus, clusters)
        await self._roll(plan)
        # Read again, so that the DPUs created and changed just now are counted.
        dpus = self.cluster.all(DPU).select(of_set(name))
        await self._write(dpu_set, dpus, reconciled=not (plan.create or plan.update), problem=None)
        return None

    async def _roll(self, plan: rollout.Rollout) -> None:
        for dpu in plan.delete:
            await self.cluster.delete(dpu)
        for dpu, patch in plan.update:
            await self.cluster.patch(dpu, patch)
        for dpu in plan.create:
            await self.cluster.create(dpu)

    async def _mark(self, dpu_set: DPUSet, template: DPUTemplateSpec) -> DPUSet:
        dpu_set = await self.cluster.add_finalizer(dpu_set, known.DPUSET_FINALIZER)
        key, value = known.DPUSET_TEMPLATE_HASH_LABEL, naming.template_hash(template.to_wire())
        if dpu_set.metadata.labels.get(key) == value:
            return dpu_set
        return await self.cluster.patch(dpu_set, {"metadata": {"labels": {key: value}}})

    async def _delete(self, dpu_set: DPUSet, dpus: Sequence[DPU]) -> None:
        for dpu in dpus:
            if not dpu.terminating:
                await self.cluster.delete(dpu)
        if not dpus:
            await self.cluster.remove_finalizer(dpu_set, known.DPUSET_FINALIZER)

    def _pairs(self, dpu_set: DPUSet) -> list[rollout.Pair]:
        devices = self.cluster.all(DPUDevice)
        nodes = list(self.cluster.all(DPUNode))
        return rollout.selected(
            dpu_set, nodes, {node.name: devices.select(of_node(node.name)) for node in nodes}
        )

    def _problem(self, template: DPUTemplateSpec) -> str | None:
        settings, effect = self.context.settings, template.node_effect
        if settings is None or settings.install_interface != REDFISH or effect is None:
            return None
        if phases.needs_kubernetes_node(effect):
            return f"taint, drain and customLabel are not supported when DPUs are installed by {REDFISH}"
        return None

    async def _write(
        self, dpu_set: DPUSet, dpus: Sequence[DPU], *, reconciled: bool, problem: str | None
    ) -> None:
        now, generation = self.context.now, dpu_set.metadata.generation or 0
        prereqs, ready = _Condition.PREREQS_RECONCILED, _Condition.READY
        updated = conditions.with_missing(
            dpu_set.conditions, (ready, prereqs), now=now, generation=generation
        )
        if problem is not None:
            error = known.CommonReason.ERROR
            updated = conditions.with_condition(
                updated, prereqs, conditions.FALSE, error, problem, now=now, generation=generation
            )
        elif conditions.status_of(updated, prereqs) == conditions.FALSE:
            # Written only when there is a problem, and when it is solved
            # (docs/dpf/conditions.md#deployment-conditions).
            updated = conditions.with_condition(
                updated, prereqs, conditions.TRUE, conditions.SUCCESS, now=now, generation=generation
            )
        if problem is None and reconciled and rollout.is_done(dpu_set, dpus):
            value, reason, message = conditions.TRUE, conditions.SUCCESS, ""
        else:
            value, reason = conditions.FALSE, conditions.PENDING
            message = "Some DPUs are not ready" if reconciled else "DPUs are being reconciled"
        updated = conditions.with_condition(
            updated, ready, value, reason, message, now=now, generation=generation
        )
        status = changed(
            dpu_set.status,
            conditions=updated,
            dpu_statistics=rollout.statistics(dpus),
            observed_generation=generation,
        )
        await self.cluster.write_conditions_first(dpu_set, status)

    def _all_if_changed(self, before: Resource | None, after: Resource | None) -> Iterable[str]:
        return self.names() if spec_changed(before, after) else ()

"""DPUSets make DPUs, and take them away."""

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
from dpf_async.sim.operator.controllers.base import Base, dpu_moved, itself, spec_changed
from dpf_async.sim.operator.deployment import rollout
from dpf_async.sim.operator.hardware.settings import REDFISH
from dpf_async.sim.operator.provisioning import phases
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import of_node, of_set
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper

_Condition = known.DPUSetCondition


def _of_set(before: DPUSet | None, after_: DPUSet | None) -> Iterable[str]:
    return itself(before, after_) if spec_changed(before, after_) else ()


def _of_dpu(before: DPU | None, after_: DPU | None) -> Iterable[str]:
    if not (dpu_moved(before, after_) or _caught_up(before, after_) or _is_available_or_not(before, after_)):
        return ()
    dpu = after_ or before
    name = dpu.metadata.labels.get(known.DPUSET_NAME_LABEL) if dpu is not None else None
    return [name] if name else []


def _caught_up(before: DPU | None, after_: DPU | None) -> bool:
    """The DPU's status speaks of another generation."""
    if before is None or after_ is None:
        return False
    return before.status.observed_generation != after_.status.observed_generation


def _is_available_or_not(before: DPU | None, after_: DPU | None) -> bool:
    """The condition Ready came or went: it may come a write later than the phase, and a rolling update waits for it."""
    about = known.DPUCondition.READY
    if before is None or after_ is None:
        return False
    return conditions.is_true(before.conditions, about) != conditions.is_true(after_.conditions, about)


class DPUSetController(Base):
    """One DPU for each device that is selected (dpf-facts 7)."""

    name: ClassVar[str] = "dpuset"
    kind: ClassVar[type[Resource]] = DPUSet

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, its DPUs, and what it selects."""
        return {
            DPUSet: _of_set,
            DPU: _of_dpu,
            DPUNode: self._all_if_changed,
            DPUDevice: self._all_if_changed,
            DPUCluster: self._all_if_changed,
            DPFOperatorConfig: self._all_if_changed,
        }

    @property
    def summarizes(self) -> Collection[type[Resource]]:
        """Its DPUs, which it counts by phase."""
        return (DPU,)

    async def reconcile(self, name: str) -> Later | None:
        """Bring the DPUs of a set closer to what they should be."""
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
        if (mistake := self._mistake(template)) is not None:
            await self._write(dpu_set, dpus, reconciled=True, mistake=mistake)
            return None
        clusters = {cluster.name: cluster for cluster in self.cluster.all(DPUCluster)}
        plan = rollout.plan(dpu_set, template, self._pairs(dpu_set), dpus, clusters)
        await self._roll(plan)
        # Of what there is by now, so that what was just made and changed counts.
        dpus = self.cluster.all(DPU).select(of_set(name))
        await self._write(dpu_set, dpus, reconciled=not (plan.create or plan.update), mistake=None)
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

    def _mistake(self, template: DPUTemplateSpec) -> str | None:
        settings, effect = self.site.settings, template.node_effect
        if settings is None or settings.install_interface != REDFISH or effect is None:
            return None
        if phases.needs_kubernetes_node(effect):
            return f"taint, drain and customLabel are not supported when DPUs are installed by {REDFISH}"
        return None

    async def _write(
        self, dpu_set: DPUSet, dpus: Sequence[DPU], *, reconciled: bool, mistake: str | None
    ) -> None:
        now, generation = self.site.now, dpu_set.metadata.generation or 0
        prereqs, about = _Condition.PREREQS_RECONCILED, _Condition.READY
        said = conditions.ensured(dpu_set.conditions, (about, prereqs), now=now, generation=generation)
        if mistake is not None:
            error = known.CommonReason.ERROR
            said = conditions.said(
                said, prereqs, conditions.FALSE, error, mistake, now=now, generation=generation
            )
        elif conditions.status_of(said, prereqs) == conditions.FALSE:
            # Only ever written to say that something is wrong, and that it is no longer (dpf-facts 14.3).
            said = conditions.said(
                said, prereqs, conditions.TRUE, conditions.SUCCESS, now=now, generation=generation
            )
        if mistake is None and reconciled and rollout.is_done(dpu_set, dpus):
            value, reason, message = conditions.TRUE, conditions.SUCCESS, ""
        else:
            value, reason = conditions.FALSE, conditions.PENDING
            message = "Some DPUs are not ready" if reconciled else "DPUs are being reconciled"
        said = conditions.said(said, about, value, reason, message, now=now, generation=generation)
        status = changed(
            dpu_set.status,
            conditions=said,
            dpu_statistics=rollout.statistics(dpus),
            observed_generation=generation,
        )
        await self.cluster.write_conditions_first(dpu_set, status)

    def _all_if_changed(self, before: Resource | None, after_: Resource | None) -> Iterable[str]:
        return self.names() if spec_changed(before, after_) else ()

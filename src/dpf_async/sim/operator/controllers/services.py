"""Controllers of DPUServiceTemplates, DPUServices, DPUServiceInterfaces and DPUServiceChains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from dpf_async.models import (
    DPU,
    DPUService,
    DPUServiceChain,
    DPUServiceInterface,
    DPUServiceTemplate,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import BaseController, Context, map_to_self, phase_changed
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_deployment
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, requeue_after

_Condition = known.DPUServiceCondition


class DPUServiceTemplateController(BaseController):
    """Fetches the Helm chart; then the template is Ready (docs/dpf/services.md#templates)."""

    name: ClassVar[str] = "dpuservicetemplate"
    kind: ClassVar[type[Resource]] = DPUServiceTemplate

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Only its own kind."""
        return {DPUServiceTemplate: map_to_self}

    async def reconcile(self, name: str) -> Requeue | None:
        """Write the status after the chart was fetched."""
        template = self.cluster.get(DPUServiceTemplate, name)
        if template is None or template.terminating:
            return None
        work = self.hardware.fetch(template)
        if not work.done:
            return requeue_after(work.left)
        generation = template.metadata.generation or 0
        updated = conditions.with_condition(
            template.conditions,
            _Condition.READY,
            conditions.TRUE,
            conditions.SUCCESS,
            now=self.context.now,
            generation=generation,
        )
        status = changed(template.status, conditions=updated, observed_generation=generation)
        await self.cluster.write_conditions_first(template, status)
        return None


class DPUServiceController(BaseController):
    """A service is Ready when its pods are ready on every selected DPU; without a DPU it is Ready."""

    name: ClassVar[str] = "dpuservice"
    kind: ClassVar[type[Resource]] = DPUService

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUServices, and the DPUs that they may run on."""
        return {DPUService: map_to_self, DPU: self._map_dpu}

    async def reconcile(self, name: str) -> Requeue | None:
        """Write the status."""
        service = self.cluster.get(DPUService, name)
        if service is None or service.terminating:
            return None
        missing, left = self._missing(service)
        generation, now = service.metadata.generation or 0, self.context.now
        updated = conditions.with_missing(
            service.conditions, [_Condition.READY], now=now, generation=generation
        )
        for type_ in (
            _Condition.APPLICATION_PREREQS_RECONCILED,
            _Condition.APPLICATIONS_RECONCILED,
            _Condition.CONFIG_PORTS_RECONCILED,
        ):
            updated = conditions.with_condition(
                updated, type_, conditions.TRUE, conditions.SUCCESS, now=now, generation=generation
            )
        value, reason = (
            (conditions.FALSE, conditions.PENDING) if missing else (conditions.TRUE, conditions.SUCCESS)
        )
        message = f"not ready on: {', '.join(missing)}" if missing else ""
        updated = conditions.with_condition(
            updated, _Condition.APPLICATIONS_READY, value, reason, message, now=now, generation=generation
        )
        updated = conditions.with_summary(updated, _Condition.READY, now=now, generation=generation)
        status = changed(service.status, conditions=updated, observed_generation=generation)
        if service.spec.service_id is not None:
            status = changed(status, service_id=service.spec.service_id)
        await self.cluster.write_conditions_first(service, status)
        return requeue_after(left)

    def _missing(self, service: DPUService) -> tuple[list[str], float]:
        """The DPUs on which a pod is not ready, and the seconds until the next pod becomes ready."""
        missing: list[str] = []
        left = math.inf
        for dpu in self.cluster.select_owned(DPU, service):
            if not dpu.terminating and any(not pod.ready for pod in self.hardware.pods(dpu, [service])):
                missing.append(dpu.name)
                left = min(left, self.hardware.pods_left(dpu, [service]))
        return missing, left

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        if not phase_changed(before, after):
            return ()
        dpu = after or before
        owner = dpu.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "") if dpu is not None else ""
        return [service.name for service in self.cluster.all(DPUService).select(of_deployment(owner))]


class _NetworkController(BaseController):
    """Sets interfaces and chains to Ready; the network inside a DPU is not simulated."""

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Only its own kind."""
        return {self.kind: map_to_self}

    async def reconcile(self, name: str) -> Requeue | None:
        """Write the status."""
        obj: Any = self.cluster.get(self.kind, name)  # Any: one of two kinds with the same status
        if obj is None or obj.terminating:
            return None
        generation = obj.metadata.generation or 0
        updated = conditions.with_condition(
            obj.conditions,
            "Ready",
            conditions.TRUE,
            conditions.SUCCESS,
            now=self.context.now,
            generation=generation,
        )
        status = changed(obj.status, conditions=updated, observed_generation=generation)
        await self.cluster.write_conditions_first(obj, status)
        return None


class DPUServiceInterfaceController(_NetworkController):
    """Sets DPUServiceInterfaces to Ready."""

    name: ClassVar[str] = "dpuserviceinterface"
    kind: ClassVar[type[Resource]] = DPUServiceInterface


class DPUServiceChainController(_NetworkController):
    """Sets DPUServiceChains to Ready."""

    name: ClassVar[str] = "dpuservicechain"
    kind: ClassVar[type[Resource]] = DPUServiceChain


def service_controllers(context: Context) -> list[BaseController]:
    """The controllers of this module."""
    return [
        DPUServiceTemplateController(context),
        DPUServiceController(context),
        DPUServiceInterfaceController(context),
        DPUServiceChainController(context),
    ]

"""Services and what connects them: DPUServiceTemplates, DPUServices, DPUServiceInterfaces, DPUServiceChains."""

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
from dpf_async.sim.operator.controllers.base import Base, Site, dpu_moved, itself
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_deployment
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after

_Condition = known.DPUServiceCondition


class DPUServiceTemplateController(Base):
    """The chart is fetched; then the template is Ready (dpf-facts 7.1)."""

    name: ClassVar[str] = "dpuservicetemplate"
    kind: ClassVar[type[Resource]] = DPUServiceTemplate

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind."""
        return {DPUServiceTemplate: itself}

    async def reconcile(self, name: str) -> Later | None:
        """Write the status once the chart is there."""
        template = self.cluster.get(DPUServiceTemplate, name)
        if template is None or template.terminating:
            return None
        work = self.hardware.fetch(template)
        if not work.done:
            return after(work.left)
        generation = template.metadata.generation or 0
        said = conditions.said(
            template.conditions,
            _Condition.READY,
            conditions.TRUE,
            conditions.SUCCESS,
            now=self.site.now,
            generation=generation,
        )
        status = changed(template.status, conditions=said, observed_generation=generation)
        await self.cluster.write_conditions_first(template, status)
        return None


class DPUServiceController(Base):
    """A service is Ready when its pods are, on every DPU it is meant for. With no DPU it is."""

    name: ClassVar[str] = "dpuservice"
    kind: ClassVar[type[Resource]] = DPUService

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, and the DPUs it may run on."""
        return {DPUService: itself, DPU: self._of_dpu}

    async def reconcile(self, name: str) -> Later | None:
        """Write the status."""
        service = self.cluster.get(DPUService, name)
        if service is None or service.terminating:
            return None
        missing, left = self._missing(service)
        generation, now = service.metadata.generation or 0, self.site.now
        said = conditions.ensured(service.conditions, [_Condition.READY], now=now, generation=generation)
        for type_ in (
            _Condition.APPLICATION_PREREQS_RECONCILED,
            _Condition.APPLICATIONS_RECONCILED,
            _Condition.CONFIG_PORTS_RECONCILED,
        ):
            said = conditions.said(
                said, type_, conditions.TRUE, conditions.SUCCESS, now=now, generation=generation
            )
        value, reason = (
            (conditions.FALSE, conditions.PENDING) if missing else (conditions.TRUE, conditions.SUCCESS)
        )
        message = f"not ready on: {', '.join(missing)}" if missing else ""
        said = conditions.said(
            said, _Condition.APPLICATIONS_READY, value, reason, message, now=now, generation=generation
        )
        said = conditions.summarised(said, _Condition.READY, now=now, generation=generation)
        status = changed(service.status, conditions=said, observed_generation=generation)
        if service.spec.service_id is not None:
            status = changed(status, service_id=service.spec.service_id)
        await self.cluster.write_conditions_first(service, status)
        return after(left)

    def _missing(self, service: DPUService) -> tuple[list[str], float]:
        """The DPUs on which a pod is not ready, and the seconds until that may change by itself."""
        missing: list[str] = []
        left = math.inf
        for dpu in self.cluster.select_owned(DPU, service):
            if not dpu.terminating and any(not pod.ready for pod in self.hardware.pods(dpu, [service])):
                missing.append(dpu.name)
                left = min(left, self.hardware.pods_left(dpu, [service]))
        return missing, left

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        if not dpu_moved(before, after_):
            return ()
        dpu = after_ or before
        owner = dpu.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "") if dpu is not None else ""
        return [service.name for service in self.cluster.all(DPUService).select(of_deployment(owner))]


class _NetworkController(Base):
    """Interfaces and chains are Ready at once: what they do inside a DPU is not simulated."""

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind."""
        return {self.kind: itself}

    async def reconcile(self, name: str) -> Later | None:
        """Write the status."""
        obj: Any = self.cluster.get(self.kind, name)  # Any: one of two kinds with the same status
        if obj is None or obj.terminating:
            return None
        generation = obj.metadata.generation or 0
        said = conditions.said(
            obj.conditions,
            "Ready",
            conditions.TRUE,
            conditions.SUCCESS,
            now=self.site.now,
            generation=generation,
        )
        status = changed(obj.status, conditions=said, observed_generation=generation)
        await self.cluster.write_conditions_first(obj, status)
        return None


class DPUServiceInterfaceController(_NetworkController):
    """DPUServiceInterfaces."""

    name: ClassVar[str] = "dpuserviceinterface"
    kind: ClassVar[type[Resource]] = DPUServiceInterface


class DPUServiceChainController(_NetworkController):
    """DPUServiceChains."""

    name: ClassVar[str] = "dpuservicechain"
    kind: ClassVar[type[Resource]] = DPUServiceChain


def service_controllers(site: Site) -> list[Base]:
    """All of this module."""
    return [
        DPUServiceTemplateController(site),
        DPUServiceController(site),
        DPUServiceInterfaceController(site),
        DPUServiceChainController(site),
    ]

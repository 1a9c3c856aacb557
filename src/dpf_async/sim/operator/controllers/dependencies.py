"""DependencyMarker: resolves the objects that a DPUDeployment references, and protects them against deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dpf_async.models import (
    BFB,
    BFBPhase,
    DPUDeployment,
    DPUFlavor,
    DPUServiceConfiguration,
    DPUServiceTemplate,
    Resource,
    known,
)
from dpf_async.sim.operator.deployment.children import ServiceParts
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import Cluster

DEPENDENCIES: Final[tuple[type[Resource], ...]] = (
    BFB,
    DPUFlavor,
    DPUServiceTemplate,
    DPUServiceConfiguration,
)
"""The kinds that a DPUDeployment references."""

_FINALIZER: Final = known.DPUDEPLOYMENT_FINALIZER


class DependencyNotReady(Exception):
    """A dependency does not exist, is not ready or does not match; the deployment waits for it.

    Attributes:
        reason: of the condition PrerequisitesReady.
        message: of that condition.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The objects that a DPUDeployment references; `parts` are its services by name."""

    bfb: BFB
    flavor: DPUFlavor
    parts: Mapping[str, ServiceParts]

    @property
    def objects(self) -> list[Resource]:
        """All referenced objects."""
        parts = [one for part in self.parts.values() for one in (part.template, part.configuration)]
        return [self.bfb, self.flavor, *parts]


class DependencyMarker:
    """Resolves, marks and releases dependencies.

    A marked object has one label for each DPUDeployment that references it, and a finalizer.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def find(self, deployment: DPUDeployment) -> Dependencies:
        """Resolve the dependencies of a DPUDeployment (docs/dpf/deployments.md#creation-order).

        Raises:
            DependencyNotReady: an object does not exist, is not ready, or belongs to another service.
        """
        dpus = deployment.spec.dpus
        bfb = self._required(BFB, dpus.bfb or "")
        if bfb.status.phase != BFBPhase.READY:
            raise DependencyNotReady(conditions.PENDING, "BFB is not ready yet")
        flavor = self._required(DPUFlavor, dpus.flavor)
        parts: dict[str, ServiceParts] = {}
        for name, refs in sorted(deployment.spec.services.items()):
            template = self._required(DPUServiceTemplate, refs.service_template)
            ready = template.condition(known.DPUServiceCondition.READY)
            if (
                ready is None
                or not ready.is_true
                or ready.observed_generation != template.metadata.generation
            ):
                raise DependencyNotReady(
                    conditions.PENDING, f"DPUServiceTemplate {template.name} is not ready yet"
                )
            configuration = self._required(DPUServiceConfiguration, refs.service_configuration)
            for obj in (template, configuration):
                if obj.spec.deployment_service_name != name:
                    other = obj.spec.deployment_service_name
                    message = f"{obj.KIND} {obj.name} is for service {other}, not {name}"
                    raise DependencyNotReady(known.CommonReason.ERROR, message)
            parts[name] = ServiceParts(template, configuration)
        return Dependencies(bfb, flavor, parts)

    async def mark(self, deployment: DPUDeployment, dependencies: Dependencies) -> None:
        """Protect the dependencies of a DPUDeployment, and release objects that it does not reference any more."""
        label = naming.consumer_label(deployment)
        depended_on = {(type(obj), obj.name) for obj in dependencies.objects}
        for obj in dependencies.objects:
            marked = obj
            if label not in obj.metadata.labels:
                marked = await self._cluster.patch(obj, {"metadata": {"labels": {label: ""}}})
            await self._cluster.add_finalizer(marked, _FINALIZER)
        for obj in self._marked(label):
            if (type(obj), obj.name) not in depended_on:
                await self._unmark(obj, label)

    async def release(self, deployment: DPUDeployment) -> None:
        """Release all dependencies of a DPUDeployment."""
        label = naming.consumer_label(deployment)
        for obj in self._marked(label):
            await self._unmark(obj, label)

    def _marked(self, label: str) -> list[Resource]:
        return [
            obj for kind in DEPENDENCIES for obj in self._cluster.all(kind) if label in obj.metadata.labels
        ]

    async def _unmark(self, obj: Resource, label: str) -> None:
        obj = await self._cluster.patch(obj, {"metadata": {"labels": {label: None}}})
        if not any(key.startswith(known.CONSUMED_BY_LABEL_PREFIX) for key in obj.metadata.labels):
            await self._cluster.remove_finalizer(obj, _FINALIZER)

    def _required(self, kind: type[Any], name: str) -> Any:  # Any: an object of that kind
        obj = self._cluster.get(kind, name)
        if obj is None:
            message = f"{kind.KIND} {self._cluster.namespace}/{name} not found"
            raise DependencyNotReady(known.CommonReason.ERROR, message)
        return obj

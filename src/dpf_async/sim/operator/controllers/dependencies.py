"""What DPUDeployments depend on: found, marked so that it cannot go, and let go of."""

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
from dpf_async.sim.operator.deployment.children import Parts
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import Cluster

DEPENDENCIES: Final[tuple[type[Resource], ...]] = (
    BFB,
    DPUFlavor,
    DPUServiceTemplate,
    DPUServiceConfiguration,
)
"""The kinds a deployment names."""

_FINALIZER: Final = known.DPUDEPLOYMENT_FINALIZER


class Missing(Exception):
    """A dependency is not as it must be: the deployment waits for it.

    Attributes:
        reason: of the condition that says so.
        message: in words.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything a deployment names; `parts` are its services."""

    bfb: BFB
    flavor: DPUFlavor
    parts: Mapping[str, Parts]

    @property
    def objects(self) -> list[Resource]:
        """All of it."""
        parts = [one for part in self.parts.values() for one in (part.template, part.configuration)]
        return [self.bfb, self.flavor, *parts]


class DependencyKeeper:
    """Finds, marks and releases dependencies. A marked one has a label for each deployment, and a finalizer."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def find(self, deployment: DPUDeployment) -> Dependencies:
        """What a deployment depends on (dpf-facts 7.1).

        Raises:
            Missing: something is not there, not ready, or for another service.
        """
        dpus = deployment.spec.dpus
        bfb = self._needed(BFB, dpus.bfb or "")
        if bfb.status.phase != BFBPhase.READY:
            raise Missing(conditions.PENDING, "BFB is not ready yet")
        flavor = self._needed(DPUFlavor, dpus.flavor)
        parts: dict[str, Parts] = {}
        for name, refs in sorted(deployment.spec.services.items()):
            template = self._needed(DPUServiceTemplate, refs.service_template)
            ready = template.condition(known.DPUServiceCondition.READY)
            if (
                ready is None
                or not ready.is_true
                or ready.observed_generation != template.metadata.generation
            ):
                raise Missing(conditions.PENDING, f"DPUServiceTemplate {template.name} is not ready yet")
            configuration = self._needed(DPUServiceConfiguration, refs.service_configuration)
            for obj in (template, configuration):
                if obj.spec.deployment_service_name != name:
                    other = obj.spec.deployment_service_name
                    message = f"{obj.KIND} {obj.name} is for service {other}, not {name}"
                    raise Missing(known.CommonReason.ERROR, message)
            parts[name] = Parts(template, configuration)
        return Dependencies(bfb, flavor, parts)

    async def mark(self, deployment: DPUDeployment, dependencies: Dependencies) -> None:
        """Keep what a deployment depends on from going, and let go of what it does not depend on any more."""
        label = naming.consumer_label(deployment)
        depended_on = {(type(obj), obj.name) for obj in dependencies.objects}
        for obj in dependencies.objects:
            marked = obj
            if label not in obj.metadata.labels:
                marked = await self._cluster.patch(obj, {"metadata": {"labels": {label: ""}}})
            await self._cluster.add_finalizer(marked, _FINALIZER)
        for obj in self._marked(label):
            if (type(obj), obj.name) not in depended_on:
                await self._let_go(obj, label)

    async def release(self, deployment: DPUDeployment) -> None:
        """Let go of everything a deployment depends on."""
        label = naming.consumer_label(deployment)
        for obj in self._marked(label):
            await self._let_go(obj, label)

    def _marked(self, label: str) -> list[Resource]:
        return [
            obj for kind in DEPENDENCIES for obj in self._cluster.all(kind) if label in obj.metadata.labels
        ]

    async def _let_go(self, obj: Resource, label: str) -> None:
        obj = await self._cluster.patch(obj, {"metadata": {"labels": {label: None}}})
        if not any(key.startswith(known.CONSUMED_BY_LABEL_PREFIX) for key in obj.metadata.labels):
            await self._cluster.remove_finalizer(obj, _FINALIZER)

    def _needed(self, kind: type[Any], name: str) -> Any:  # Any: an object of that kind
        obj = self._cluster.get(kind, name)
        if obj is None:
            message = f"{kind.KIND} {self._cluster.namespace}/{name} not found"
            raise Missing(known.CommonReason.ERROR, message)
        return obj

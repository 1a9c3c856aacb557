"""DPUDeployments: what they depend on is checked and marked, what they consist of is applied, in one fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from dpf_async._log import log
from dpf_async.errors import APIError, Invalid
from dpf_async.models import (
    DPU,
    DPUDeployment,
    DPUPhase,
    DPUService,
    DPUServiceChain,
    DPUServiceInterface,
    DPUSet,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import Base, Site, dpu_moved, itself, readiness_changed
from dpf_async.sim.operator.controllers.dependencies import DEPENDENCIES, DependencyKeeper, Missing
from dpf_async.sim.operator.deployment.children import Children, children
from dpf_async.sim.operator.deployment.resource_fitting import misfit
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import of_deployment
from dpf_async.sim.operator.runtime.conditions import Conditions
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, poll

_Condition = known.DPUDeploymentCondition
_FINALIZER: Final = known.DPUDEPLOYMENT_FINALIZER

_ORDER: Final = (
    _Condition.READY,
    _Condition.PREREQUISITES_READY,
    _Condition.RESOURCE_FITTING_READY,
    _Condition.VERSION_MATCHING_READY,
    _Condition.DPU_SETS_RECONCILED,
    _Condition.DPU_SETS_READY,
    _Condition.DPU_SERVICES_RECONCILED,
    _Condition.DPU_SERVICES_READY,
    _Condition.DPU_SERVICE_CHAINS_RECONCILED,
    _Condition.DPU_SERVICE_CHAINS_READY,
    _Condition.DPU_SERVICE_INTERFACES_RECONCILED,
    _Condition.DPU_SERVICE_INTERFACES_READY,
)
"""In which the conditions stand, as in dpf-facts 14.2a."""

_LABELLED: Final = (DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY)

_CHILDREN: Final[tuple[type[Resource], ...]] = (
    DPUService,
    DPUServiceInterface,
    DPUServiceChain,
    DPUSet,
)


class DPUDeploymentController(Base):
    """Dependencies, versions, resources, services, interfaces, chain, DPUSets: the first failure stops it (7.1)."""

    name: ClassVar[str] = "dpudeployment"
    kind: ClassVar[type[Resource]] = DPUDeployment

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._dependencies = DependencyKeeper(site.cluster)
        self._applied: dict[tuple[type[Resource], str], tuple[str, int | None, str, str]] = {}

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, what deployments depend on, and what they consist of."""
        dependencies: dict[type[Resource], Mapper] = dict.fromkeys(DEPENDENCIES, self.everything)
        made: dict[type[Resource], Mapper] = dict.fromkeys(_CHILDREN, self._of_child)
        return {DPUDeployment: itself, **dependencies, **made, DPU: self._of_dpu}

    async def reconcile(self, name: str) -> Later | None:
        """Bring a deployment closer to what it says.

        Raises:
            APIError: a part of it could not be made; its conditions say so.
        """
        deployment = self.cluster.get(DPUDeployment, name)
        if deployment is None:
            return None
        if deployment.terminating:
            return await self._delete(deployment)
        deployment = await self.cluster.add_finalizer(deployment, _FINALIZER)
        said = conditions.ensured(
            deployment.conditions, _ORDER, now=self.site.now, generation=_generation(deployment)
        )
        said, failure = await self._chain(deployment, said)
        said = self._readiness(deployment, said)
        await self._write(deployment, said)
        if failure is not None and not isinstance(failure, Invalid):
            # Looked at again, as after any error: what somebody else was faster with has been read by now, and no more
            # news will come of it. What is invalid stays so until somebody changes it.
            raise failure
        return poll(self.profile.requeue)

    # The chain.

    async def _chain(self, deployment: DPUDeployment, said: Conditions) -> tuple[Conditions, APIError | None]:
        """Go through the steps, up to the first that fails; what comes after it keeps what it said.

        Returns:
            The conditions, and what the server refused, if that is why it stopped.
        """
        say, false = self._say, conditions.FALSE
        try:
            dependencies = self._dependencies.find(deployment)
        except Missing as missing:
            log.info("deployment_waits", deployment=deployment.name, reason=missing.message)
            message = f"Error occurred: error while getting the DPUDeployment dependencies: {missing.message}"
            about = _Condition.PREREQUISITES_READY
            return say(deployment, said, about, false, reason=missing.reason, message=message), None
        await self._dependencies.mark(deployment, dependencies)
        said = say(deployment, said, _Condition.PREREQUISITES_READY)
        # No chart of the simulated site asks for versions, so they always match.
        said = say(deployment, said, _Condition.VERSION_MATCHING_READY)
        templates = [part.template for part in dependencies.parts.values()]
        if (problem := misfit(dependencies.flavor, templates)) is not None:
            failure = known.CommonReason.FAILURE
            about = _Condition.RESOURCE_FITTING_READY
            return say(deployment, said, about, false, reason=failure, message=problem), None
        said = say(deployment, said, _Condition.RESOURCE_FITTING_READY)
        wanted = children(deployment, dependencies.parts)
        for type_, make in (
            (_Condition.DPU_SERVICES_RECONCILED, self._make_services),
            (_Condition.DPU_SERVICE_INTERFACES_RECONCILED, self._make_interfaces),
            (_Condition.DPU_SERVICE_CHAINS_RECONCILED, self._make_chains),
            (_Condition.DPU_SETS_RECONCILED, self._make_sets),
        ):
            try:
                await make(deployment, wanted)
            except APIError as error:
                log.warning("deployment_failed", deployment=deployment.name, type=type_, reason=str(error))
                message = f"Error occurred: {error.server_message or error}"
                failed = known.CommonReason.ERROR
                return say(deployment, said, type_, false, reason=failed, message=message), error
            said = say(deployment, said, type_)
        return said, None

    async def _make_services(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Services. Old revisions stay as long as DPUs may still run them."""
        await self._apply(wanted.services)
        rolled_out = self._is_rolled_out(deployment, wanted)
        present = {one.spec.service_id for one in wanted.services}
        await self._prune(
            deployment,
            DPUService,
            wanted.services,
            keep=lambda old: old.spec.service_id in present and not rolled_out,
        )

    async def _make_interfaces(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Interfaces, of old revisions of services, too."""
        await self._apply(wanted.interfaces)
        in_use = {name for one in self._made(deployment, DPUService) for name in one.spec.interfaces}
        await self._prune(
            deployment, DPUServiceInterface, wanted.interfaces, keep=lambda old: old.name in in_use
        )

    async def _make_chains(self, deployment: DPUDeployment, wanted: Children) -> None:
        """The chain, and its old revisions like those of services."""
        await self._apply(wanted.chains)
        keep = bool(wanted.chains) and not self._is_rolled_out(deployment, wanted)
        await self._prune(deployment, DPUServiceChain, wanted.chains, keep=lambda _: keep)

    async def _make_sets(self, deployment: DPUDeployment, wanted: Children) -> None:
        """DPUSets, one for each group."""
        await self._apply(wanted.sets)
        await self._prune(deployment, DPUSet, wanted.sets, keep=lambda _: False)

    async def _apply(self, wanted: Iterable[Resource]) -> None:
        """Apply what is not known to be so already: nothing of it has changed, here or there, since the last time."""
        for obj in wanted:
            key, digest = (type(obj), obj.name), naming.digest(obj.to_wire(), 64)
            present = self.cluster.get(type(obj), obj.name)
            if present is not None and self._applied.get(key) == _trace(present, digest):
                continue
            self._applied[key] = _trace(await self.cluster.apply(obj), digest)

    async def _prune(
        self,
        deployment: DPUDeployment,
        kind: type[Any],
        wanted: Sequence[Resource],
        *,
        keep: Callable[[Any], bool],  # Any: an object of that kind
    ) -> None:
        """Delete what is not wanted any more, and of what is to be kept the oldest beyond the limit."""
        names = {obj.name for obj in wanted}
        old = [obj for obj in self._made(deployment, kind) if obj.name not in names and not obj.terminating]
        kept = sorted(filter(keep, old), key=lambda obj: obj.metadata.creation_timestamp or "", reverse=True)
        staying = {obj.uid for obj in kept[: deployment.spec.revision_history_limit - 1]}
        for obj in old:
            if obj.uid not in staying:
                await self.cluster.delete(obj)

    def _is_rolled_out(self, deployment: DPUDeployment, wanted: Children) -> bool:
        """No Node runs an old revision any more: what counts are the labels it has, not those it is to have."""
        labels: dict[str, str] = {}
        for one in wanted.sets:
            template = one.spec.dpu_template.spec
            if template is not None and template.cluster is not None:
                labels |= template.cluster.node_labels
        nodes = [self.hardware.node(dpu) for dpu in self._made(deployment, DPU)]
        return all(node is None or labels.items() <= node.labels.items() for node in nodes)

    # Conditions.

    def _readiness(self, deployment: DPUDeployment, said: Conditions) -> Conditions:
        """Whether what was made is ready, kind by kind; and the summary."""
        for type_, reconciled, kind in (
            (_Condition.DPU_SERVICES_READY, _Condition.DPU_SERVICES_RECONCILED, DPUService),
            (
                _Condition.DPU_SERVICE_INTERFACES_READY,
                _Condition.DPU_SERVICE_INTERFACES_RECONCILED,
                DPUServiceInterface,
            ),
            (
                _Condition.DPU_SERVICE_CHAINS_READY,
                _Condition.DPU_SERVICE_CHAINS_RECONCILED,
                DPUServiceChain,
            ),
            (_Condition.DPU_SETS_READY, _Condition.DPU_SETS_RECONCILED, DPUSet),
        ):
            if conditions.is_true(said, reconciled):
                said = self._ready_of_kind(deployment, said, type_, kind)
        said = self._outdated(deployment, said)
        return conditions.summarised(
            said, _Condition.READY, now=self.site.now, generation=_generation(deployment)
        )

    def _ready_of_kind(
        self, deployment: DPUDeployment, said: Conditions, type_: str, kind: type[Any]
    ) -> Conditions:
        waiting = [obj.name for obj in self._made(deployment, kind) if not _is_ready(obj)]
        if not waiting:
            return self._say(deployment, said, type_)
        message = f"not ready: {', '.join(waiting)}"
        pending = conditions.PENDING
        return self._say(deployment, said, type_, conditions.FALSE, reason=pending, message=message)

    def _outdated(self, deployment: DPUDeployment, said: Conditions) -> Conditions:
        """What was found out about an older generation, and not about this one, counts no more."""
        generation = _generation(deployment)
        for one in said:
            if one.observed_generation != generation and one.type != _Condition.READY:
                said = self._say(deployment, said, one.type, conditions.UNKNOWN, reason=conditions.PENDING)
        return said

    def _say(
        self,
        deployment: DPUDeployment,
        said: Conditions,
        type_: str,
        value: str = conditions.TRUE,
        *,
        reason: str = conditions.SUCCESS,
        message: str = "",
    ) -> Conditions:
        return conditions.said(
            said, type_, value, reason, message, now=self.site.now, generation=_generation(deployment)
        )

    async def _write(self, deployment: DPUDeployment, said: Conditions) -> DPUDeployment:
        status = changed(deployment.status, conditions=said, observed_generation=_generation(deployment))
        return await self.cluster.write_conditions_first(deployment, status)

    # Deletion.

    async def _delete(self, deployment: DPUDeployment) -> Later | None:
        """Chains, interfaces and services go first, then DPUSets with their DPUs; then the dependencies are free."""
        for kinds in ((DPUServiceChain, DPUServiceInterface, DPUService), (DPUSet,)):
            left = [obj for kind in kinds for obj in self._made(deployment, kind)]
            for obj in left:
                if not obj.terminating:
                    await self.cluster.delete(obj)
            if any(self.cluster.get(type(obj), obj.name) is not None for obj in left):
                await self._await_deletion(deployment, left)
                return poll(self.profile.requeue)
        await self._dependencies.release(deployment)
        await self.cluster.remove_finalizer(deployment, _FINALIZER)
        return None

    async def _await_deletion(self, deployment: DPUDeployment, left: Sequence[Resource]) -> None:
        waiting = known.CommonReason.AWAITING_DELETION
        message = f"waiting for: {', '.join(f'{obj.KIND} {obj.name}' for obj in left)}"
        said = conditions.ensured(
            deployment.conditions, _ORDER, now=self.site.now, generation=_generation(deployment)
        )
        for type_ in (_Condition.DPU_SETS_RECONCILED, _Condition.READY):
            said = self._say(deployment, said, type_, conditions.FALSE, reason=waiting, message=message)
        await self._write(deployment, said)

    # Which to look at.

    def _made(self, deployment: DPUDeployment, kind: type[Any]) -> list[Any]:  # Any: objects of that kind
        return self.cluster.all(kind).select(of_deployment(naming.owner_label(deployment)))

    def _of_child(self, before: Resource | None, after_: Resource | None) -> Iterable[str]:
        return self._owner(after_ or before) if readiness_changed(before, after_) else ()

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        """A DPU matters only when old revisions may go: when its Node has got its labels, or when it goes.

        Not only once it is Ready: it becomes that only when the old revisions among the requestors have gone.
        """
        matters = after_ is None or after_.status.phase in _LABELLED
        return self._owner(after_ or before) if matters and dpu_moved(before, after_) else ()

    def _owner(self, obj: Resource | None) -> Iterable[str]:
        owner = obj.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "") if obj is not None else ""
        return [one for one in self.names() if f"{self.cluster.namespace}_{one}" == owner]


def _trace(obj: Resource, digest: str) -> tuple[str, int | None, str, str]:
    """Changes whenever what was applied may not stand any more."""
    labels = naming.digest(dict(obj.metadata.labels), 64)
    return (obj.uid, obj.metadata.generation, labels, digest)


def _generation(deployment: DPUDeployment) -> int:
    return deployment.metadata.generation or 0


def _is_ready(obj: Any) -> bool:  # Any: a Resource with conditions
    ready = obj.condition("Ready")
    return ready is not None and ready.is_true and ready.observed_generation == obj.metadata.generation

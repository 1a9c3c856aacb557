"""DPUDeploymentController: checks and marks dependencies, then applies services, interfaces, chains and DPUSets."""

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
from dpf_async.sim.operator.controllers.base import (
    BaseController,
    Context,
    map_to_self,
    phase_changed,
    readiness_changed,
)
from dpf_async.sim.operator.controllers.dependencies import DEPENDENCIES, DependencyMarker, DependencyNotReady
from dpf_async.sim.operator.deployment.children import Children, children
from dpf_async.sim.operator.deployment.resource_fitting import misfit
from dpf_async.sim.operator.runtime import conditions, naming
from dpf_async.sim.operator.runtime.cluster import of_deployment
from dpf_async.sim.operator.runtime.conditions import Conditions
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, poll

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
"""The order of the conditions (docs/dpf/conditions.md#deployment-conditions)."""

_LABELLED: Final = (DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY)

_CHILDREN: Final[tuple[type[Resource], ...]] = (
    DPUService,
    DPUServiceInterface,
    DPUServiceChain,
    DPUSet,
)


class DPUDeploymentController(BaseController):
    """Reconciles dependencies, versions, resources, services, interfaces, chain and DPUSets in this order.

    The first failure stops a reconcile (docs/dpf/deployments.md#creation-order).
    """

    name: ClassVar[str] = "dpudeployment"
    kind: ClassVar[type[Resource]] = DPUDeployment

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._dependencies = DependencyMarker(context.cluster)
        self._applied: dict[tuple[type[Resource], str], tuple[str, int | None, str, str]] = {}

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUDeployments, their dependencies, the objects they own, and DPUs."""
        dependencies: dict[type[Resource], Mapper] = dict.fromkeys(DEPENDENCIES, self.map_to_all)
        owned: dict[type[Resource], Mapper] = dict.fromkeys(_CHILDREN, self._map_child)
        return {DPUDeployment: map_to_self, **dependencies, **owned, DPU: self._map_dpu}

    async def reconcile(self, name: str) -> Requeue | None:
        """Move a DPUDeployment closer to its spec.

        Raises:
            APIError: an owned object could not be applied; the conditions report it.
        """
        deployment = self.cluster.get(DPUDeployment, name)
        if deployment is None:
            return None
        if deployment.terminating:
            return await self._delete(deployment)
        deployment = await self.cluster.add_finalizer(deployment, _FINALIZER)
        updated = conditions.with_missing(
            deployment.conditions, _ORDER, now=self.context.now, generation=_generation(deployment)
        )
        updated, failure = await self._run_steps(deployment, updated)
        updated = self._readiness(deployment, updated)
        await self._write(deployment, updated)
        if failure is not None and not isinstance(failure, Invalid):
            # Retried like any error: after a conflict the cache already has the new state, so no event follows. An
            # invalid object stays invalid until a user changes it.
            raise failure
        return poll(self.profile.requeue)

    # The steps.

    async def _run_steps(
        self, deployment: DPUDeployment, updated: Conditions
    ) -> tuple[Conditions, APIError | None]:
        """Run the steps up to the first failure; conditions of later steps keep their state.

        Returns:
            The conditions, and the error of the API server if that ended the run.
        """
        set_condition, false = self._set_condition, conditions.FALSE
        try:
            dependencies = self._dependencies.find(deployment)
        except DependencyNotReady as missing:
            log.info("deployment_waiting", deployment=deployment.name, reason=missing.message)
            message = f"Error occurred: error while getting the DPUDeployment dependencies: {missing.message}"
            type_ = _Condition.PREREQUISITES_READY
            return set_condition(
                deployment, updated, type_, false, reason=missing.reason, message=message
            ), None
        await self._dependencies.mark(deployment, dependencies)
        updated = set_condition(deployment, updated, _Condition.PREREQUISITES_READY)
        # No chart of the simulated site requires versions, so they always match.
        updated = set_condition(deployment, updated, _Condition.VERSION_MATCHING_READY)
        templates = [part.template for part in dependencies.parts.values()]
        if (problem := misfit(dependencies.flavor, templates)) is not None:
            failure = known.CommonReason.FAILURE
            type_ = _Condition.RESOURCE_FITTING_READY
            return set_condition(deployment, updated, type_, false, reason=failure, message=problem), None
        updated = set_condition(deployment, updated, _Condition.RESOURCE_FITTING_READY)
        wanted = children(deployment, dependencies.parts)
        for type_, apply in (
            (_Condition.DPU_SERVICES_RECONCILED, self._apply_services),
            (_Condition.DPU_SERVICE_INTERFACES_RECONCILED, self._apply_interfaces),
            (_Condition.DPU_SERVICE_CHAINS_RECONCILED, self._apply_chains),
            (_Condition.DPU_SETS_RECONCILED, self._apply_sets),
        ):
            try:
                await apply(deployment, wanted)
            except APIError as error:
                log.warning("deployment_failed", deployment=deployment.name, type=type_, reason=str(error))
                message = f"Error occurred: {error.server_message or error}"
                failed = known.CommonReason.ERROR
                return set_condition(deployment, updated, type_, false, reason=failed, message=message), error
            updated = set_condition(deployment, updated, type_)
        return updated, None

    async def _apply_services(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Apply the services; keep old revisions while DPUs may still run them."""
        await self._apply(wanted.services)
        rolled_out = self._is_rolled_out(deployment, wanted)
        present = {one.spec.service_id for one in wanted.services}
        await self._prune(
            deployment,
            DPUService,
            wanted.services,
            keep=lambda old: old.spec.service_id in present and not rolled_out,
        )

    async def _apply_interfaces(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Apply the interfaces; keep those of old revisions of services."""
        await self._apply(wanted.interfaces)
        in_use = {name for one in self._owned(deployment, DPUService) for name in one.spec.interfaces}
        await self._prune(
            deployment, DPUServiceInterface, wanted.interfaces, keep=lambda old: old.name in in_use
        )

    async def _apply_chains(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Apply the chain; keep old revisions while DPUs may still run them."""
        await self._apply(wanted.chains)
        keep = bool(wanted.chains) and not self._is_rolled_out(deployment, wanted)
        await self._prune(deployment, DPUServiceChain, wanted.chains, keep=lambda _: keep)

    async def _apply_sets(self, deployment: DPUDeployment, wanted: Children) -> None:
        """Apply one DPUSet for each group."""
        await self._apply(wanted.sets)
        await self._prune(deployment, DPUSet, wanted.sets, keep=lambda _: False)

    async def _apply(self, wanted: Iterable[Resource]) -> None:
        """Apply each object unless neither the object nor the stored state changed since it was applied last."""
        for obj in wanted:
            key, digest = (type(obj), obj.name), naming.digest(obj.to_wire(), 64)
            present = self.cluster.get(type(obj), obj.name)
            if present is not None and self._applied.get(key) == _fingerprint(present, digest):
                continue
            self._applied[key] = _fingerprint(await self.cluster.apply(obj), digest)

    async def _prune(
        self,
        deployment: DPUDeployment,
        kind: type[Any],
        wanted: Sequence[Resource],
        *,
        keep: Callable[[Any], bool],  # Any: an object of that kind
    ) -> None:
        """Delete objects that are not wanted any more, except the newest of those to keep, up to the history limit."""
        names = {obj.name for obj in wanted}
        old = [obj for obj in self._owned(deployment, kind) if obj.name not in names and not obj.terminating]
        kept = sorted(filter(keep, old), key=lambda obj: obj.metadata.creation_timestamp or "", reverse=True)
        staying = {obj.uid for obj in kept[: deployment.spec.revision_history_limit - 1]}
        for obj in old:
            if obj.uid not in staying:
                await self.cluster.delete(obj)

    def _is_rolled_out(self, deployment: DPUDeployment, wanted: Children) -> bool:
        """Whether no Node runs an old revision any more, according to the labels that the Nodes have now."""
        labels: dict[str, str] = {}
        for one in wanted.sets:
            template = one.spec.dpu_template.spec
            if template is not None and template.cluster is not None:
                labels |= template.cluster.node_labels
        nodes = [self.hardware.node(dpu) for dpu in self._owned(deployment, DPU)]
        return all(node is None or labels.items() <= node.labels.items() for node in nodes)

    # Conditions.

    def _readiness(self, deployment: DPUDeployment, updated: Conditions) -> Conditions:
        """Set the readiness of the owned objects, one condition for each kind, and the summary."""
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
            if conditions.is_true(updated, reconciled):
                updated = self._ready_of_kind(deployment, updated, type_, kind)
        updated = self._invalidate_outdated(deployment, updated)
        return conditions.with_summary(
            updated, _Condition.READY, now=self.context.now, generation=_generation(deployment)
        )

    def _ready_of_kind(
        self, deployment: DPUDeployment, updated: Conditions, type_: str, kind: type[Any]
    ) -> Conditions:
        waiting = [obj.name for obj in self._owned(deployment, kind) if not _is_ready(obj)]
        if not waiting:
            return self._set_condition(deployment, updated, type_)
        message = f"not ready: {', '.join(waiting)}"
        pending = conditions.PENDING
        return self._set_condition(
            deployment, updated, type_, conditions.FALSE, reason=pending, message=message
        )

    def _invalidate_outdated(self, deployment: DPUDeployment, updated: Conditions) -> Conditions:
        """Set conditions of an older generation to Unknown."""
        generation = _generation(deployment)
        for one in updated:
            if one.observed_generation != generation and one.type != _Condition.READY:
                updated = self._set_condition(
                    deployment, updated, one.type, conditions.UNKNOWN, reason=conditions.PENDING
                )
        return updated

    def _set_condition(
        self,
        deployment: DPUDeployment,
        updated: Conditions,
        type_: str,
        value: str = conditions.TRUE,
        *,
        reason: str = conditions.SUCCESS,
        message: str = "",
    ) -> Conditions:
        return conditions.with_condition(
            updated, type_, value, reason, message, now=self.context.now, generation=_generation(deployment)
        )

    async def _write(self, deployment: DPUDeployment, updated: Conditions) -> DPUDeployment:
        status = changed(deployment.status, conditions=updated, observed_generation=_generation(deployment))
        return await self.cluster.write_conditions_first(deployment, status)

    # Deletion.

    async def _delete(self, deployment: DPUDeployment) -> Requeue | None:
        """Delete chains, interfaces and services, then DPUSets with their DPUs; then release the dependencies."""
        for kinds in ((DPUServiceChain, DPUServiceInterface, DPUService), (DPUSet,)):
            left = [obj for kind in kinds for obj in self._owned(deployment, kind)]
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
        updated = conditions.with_missing(
            deployment.conditions, _ORDER, now=self.context.now, generation=_generation(deployment)
        )
        for type_ in (_Condition.DPU_SETS_RECONCILED, _Condition.READY):
            updated = self._set_condition(
                deployment, updated, type_, conditions.FALSE, reason=waiting, message=message
            )
        await self._write(deployment, updated)

    # Mapping of events.

    def _owned(self, deployment: DPUDeployment, kind: type[Any]) -> list[Any]:  # Any: objects of that kind
        return self.cluster.all(kind).select(of_deployment(naming.owner_label(deployment)))

    def _map_child(self, before: Resource | None, after: Resource | None) -> Iterable[str]:
        return self._owner(after or before) if readiness_changed(before, after) else ()

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        """Reconcile when old revisions may be deleted: when a Node has its labels, or when a DPU is deleted.

        Ready would be too late: a DPU becomes Ready only after the old revisions are removed from the requestors.
        """
        relevant = after is None or after.status.phase in _LABELLED
        return self._owner(after or before) if relevant and phase_changed(before, after) else ()

    def _owner(self, obj: Resource | None) -> Iterable[str]:
        owner = obj.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "") if obj is not None else ""
        return [one for one in self.names() if f"{self.cluster.namespace}_{one}" == owner]


def _fingerprint(obj: Resource, digest: str) -> tuple[str, int | None, str, str]:
    """A value that changes whenever the object may differ from what was applied."""
    labels = naming.digest(dict(obj.metadata.labels), 64)
    return (obj.uid, obj.metadata.generation, labels, digest)


def _generation(deployment: DPUDeployment) -> int:
    return deployment.metadata.generation or 0


def _is_ready(obj: Any) -> bool:  # Any: a Resource with conditions
    ready = obj.condition("Ready")
    return ready is not None and ready.is_true and ready.observed_generation == obj.metadata.generation

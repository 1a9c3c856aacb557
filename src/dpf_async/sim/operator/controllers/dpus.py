"""DPUController: moves DPUs through their phases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, assert_never

from dpf_async._log import log
from dpf_async.models import (
    BFB,
    DPU,
    DPFOperatorConfig,
    DPUCluster,
    DPUClusterPhase,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    DPUNodeMaintenanceSpec,
    DPUPhase,
    DPUStatus,
    ObjectMeta,
    Resource,
    known,
)
from dpf_async.sim.operator.controllers.base import BaseController, Context, map_to_self
from dpf_async.sim.operator.hardware.settings import Settings
from dpf_async.sim.operator.provisioning import phases
from dpf_async.sim.operator.provisioning.reconcile_input import (
    Action,
    Annotate,
    ChangeMode,
    ChangeSecureBoot,
    CleanUp,
    CreateMaintenance,
    GiveCluster,
    JoinMaintenance,
    LabelNode,
    LeaveMaintenance,
    ReconcileInput,
    Release,
    ReleaseDevice,
    Step,
)
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.cluster import of_device, of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, poll, requeue_after
from dpf_async.sim.operator.runtime.selectors import matches


class DPUController(BaseController):
    """Provisions DPUs from Initializing to Ready, and deletes them (docs/dpf/phases.md#phase-order)."""

    name: ClassVar[str] = "dpu"
    kind: ClassVar[type[Resource]] = DPU

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._installing: dict[str, None] = {}

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUs, and the objects that they reference."""
        return {
            DPU: self._map_dpu,
            DPUNode: lambda before, after: self._names(of_node((after or before).name)),
            DPUDevice: lambda before, after: self._names(of_device((after or before).name)),
            DPUNodeMaintenance: lambda before, after: self._names(
                of_node((after or before).spec.dpu_node_name)
            ),
            BFB: self._map_to_pending,
            DPUFlavor: self._map_to_pending,
            DPUCluster: self._map_to_initializing,
            DPFOperatorConfig: self.map_to_all,
        }

    async def reconcile(self, name: str) -> Requeue | None:
        """Apply the next step of a DPU."""
        dpu, settings = self.cluster.get(DPU, name), self.context.settings
        if dpu is None:
            return None
        if settings is None:
            return poll(self.profile.dpu_requeue)
        device = self._device(dpu)
        if not dpu.terminating:
            dpu = await self._protect(dpu, device)
            device = self._device(dpu)
        if not phases.supports(dpu.status.phase):
            log.warning("unsupported_phase", dpu=name, phase=str(dpu.status.phase))
        inputs = self._input(dpu, device, settings)
        step = phases.step(inputs)
        self._reserve_slot(dpu, step)
        for action in step.actions:
            dpu = await self._act(dpu, inputs, action)
        if any(isinstance(action, Release) for action in step.actions):
            return None
        written = await self.cluster.write_status(dpu, step.status)
        if written.status.phase != dpu.status.phase:
            before, now = str(dpu.status.phase), str(written.status.phase)
            log.info("dpu_phase_changed", dpu=name, before=before, after=now)
        return self._requeue(step)

    async def _protect(self, dpu: DPU, device: DPUDevice | None) -> DPU:
        """Add the finalizers of the DPU and then of its device, so that a deleted DPU always releases the device.

        Source: docs/dpf/deletion.md#dpu; doca-platform, DPU controller.
        """
        dpu = await self.cluster.add_finalizer(dpu, known.DPU_FINALIZER)
        if device is not None:
            await self.cluster.add_finalizer(device, known.DPUDEVICE_FINALIZER)
        return dpu

    def _reserve_slot(self, dpu: DPU, step: Step) -> None:
        """Reserve an installation slot before anything is written, so that two DPUs do not use the same last slot."""
        if _uses_slot(step.status):
            self._installing[dpu.uid] = None
        elif not _uses_slot(dpu.status):
            self._installing.pop(dpu.uid, None)

    def _requeue(self, step: Step) -> Requeue | None:
        if step.wait <= step.bound:
            expected = requeue_after(step.wait)
            if expected is not None:
                return expected
        elif step.bound <= 0:
            return requeue_after(0)
        poll_after = min(step.bound, self.profile.dpu_requeue or math.inf)
        polls = step.status.phase != DPUPhase.ERROR and not math.isinf(poll_after)
        return poll(poll_after) if polls else None

    # Input.

    def _device(self, dpu: DPU) -> DPUDevice | None:
        return self.cluster.get(DPUDevice, dpu.spec.dpu_device_name)

    def _input(self, dpu: DPU, device: DPUDevice | None, settings: Settings) -> ReconcileInput:
        spec, cluster = dpu.spec, self.cluster
        name = (
            naming.maintenance(spec.dpu_node_name, spec.node_effect) if spec.node_effect is not None else ""
        )
        assigned = spec.cluster.name if spec.cluster is not None else None
        return ReconcileInput(
            dpu=dpu,
            node=cluster.get(DPUNode, spec.dpu_node_name),
            device=device,
            bfb=cluster.get(BFB, spec.bfb or ""),
            flavor=cluster.get(DPUFlavor, spec.dpu_flavor),
            cluster=cluster.get(DPUCluster, assigned) if assigned else None,
            free_cluster=None if assigned else self._free_cluster(dpu),
            maintenance=cluster.get(DPUNodeMaintenance, name),
            maintenance_name=name,
            hardware=self.hardware.view(dpu, device),
            installing=len(self._installing.keys() - {dpu.uid}),
            settings=settings,
            profile=self.profile,
            now=self.context.clock(),
        )

    def _free_cluster(self, dpu: DPU) -> DPUCluster | None:
        selector = dpu.spec.cluster.selector if dpu.spec.cluster is not None else None
        for cluster in self.cluster.all(DPUCluster):
            fits = matches(selector, cluster.metadata.labels)
            has_room = (cluster.status.nodes_count or 0) < cluster.spec.max_nodes
            is_ready = cluster.status.phase == DPUClusterPhase.READY and not cluster.terminating
            if fits and has_room and is_ready:
                return cluster
        return None

    # Actions.

    async def _act(self, dpu: DPU, inputs: ReconcileInput, action: Action) -> DPU:
        """Perform one action and return the resulting DPU."""
        match action:
            case GiveCluster(name, namespace):
                reference = {"name": name, "namespace": namespace}
                return await self.cluster.patch(dpu, {"spec": {"cluster": reference}})
            case Annotate(key, value):
                return await self.cluster.patch(dpu, {"metadata": {"annotations": {key: value}}})
            case Release():
                log.info("dpu_deleted", dpu=dpu.name)
                return await self.cluster.remove_finalizer(dpu, known.DPU_FINALIZER)
            case ReleaseDevice():
                if inputs.device is not None:
                    await self.cluster.remove_finalizer(inputs.device, known.DPUDEVICE_FINALIZER)
            case CreateMaintenance() | JoinMaintenance() | LeaveMaintenance():
                await self._change_maintenance(dpu, inputs, action)
            case _:
                self._change_hardware(dpu, inputs.device, action)
        return dpu

    def _change_hardware(
        self, dpu: DPU, device: DPUDevice | None, action: ChangeMode | ChangeSecureBoot | LabelNode | CleanUp
    ) -> None:
        """Perform one action on the hardware."""
        match action:
            case ChangeMode(mode):
                if device is not None:
                    self.hardware.change_mode(device, mode)
            case ChangeSecureBoot(enabled):
                if device is not None:
                    self.hardware.change_secure_boot(device, enabled=enabled)
            case LabelNode(labels):
                self.hardware.label(dpu, labels)
            case CleanUp():
                self.hardware.clean_up(dpu)
            case _:
                assert_never(action)

    async def _change_maintenance(
        self, dpu: DPU, inputs: ReconcileInput, action: CreateMaintenance | JoinMaintenance | LeaveMaintenance
    ) -> None:
        """Create, join or leave the DPUNodeMaintenance of the host."""
        maintenance, effect = inputs.maintenance, dpu.spec.node_effect
        services = list(inputs.services)
        annotations = {naming.requestors_key(dpu.name): naming.compact(services)}
        if isinstance(action, CreateMaintenance) and effect is not None:
            await self.cluster.create(
                DPUNodeMaintenance(
                    metadata=ObjectMeta(
                        name=inputs.maintenance_name,
                        labels={known.DPUNODE_NAME_LABEL: dpu.spec.dpu_node_name},
                        annotations=annotations,
                    ),
                    spec=DPUNodeMaintenanceSpec(
                        dpu_node_name=dpu.spec.dpu_node_name,
                        node_effect=changed(effect, node_maintenance_additional_requestors=()),
                        requestor=(*services, dpu.name),
                    ),
                )
            )
        elif isinstance(action, JoinMaintenance) and maintenance is not None and effect is not None:
            present = maintenance.spec.requestor
            joined = [*present, *(one for one in (*services, dpu.name) if one not in present)]
            spec: dict[str, Any] = {"requestor": joined}
            if effect.force:
                spec["nodeEffect"] = {"force": True}
            await self.cluster.patch(maintenance, {"metadata": {"annotations": annotations}, "spec": spec})
        elif isinstance(action, LeaveMaintenance) and maintenance is not None:
            left = [one for one in maintenance.spec.requestor if one != dpu.name]
            await self.cluster.patch(maintenance, {"spec": {"requestor": left}})

    # Mapping of events.

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        """The DPU, and the DPUs in Pending if it released its installation slot."""
        was = before is not None and before.uid in self._installing
        if before is not None and not (after is not None and _uses_slot(after.status)):
            self._installing.pop(before.uid, None)
        elif after is not None and _uses_slot(after.status):
            self._installing[after.uid] = None
        freed = was and before is not None and before.uid not in self._installing
        return [*map_to_self(before, after), *(self._in(DPUPhase.PENDING) if freed else ())]

    def _names(self, key: str) -> Iterable[str]:
        return [dpu.name for dpu in self.cluster.all(DPU).select(key)]

    def _map_to_pending(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        return self._in(DPUPhase.PENDING)

    def _map_to_initializing(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        return self._in(DPUPhase.INITIALIZING)

    def _in(self, phase: DPUPhase) -> Iterable[str]:
        return [dpu.name for dpu in self.cluster.all(DPU) if dpu.status.phase == phase]


def _uses_slot(status: DPUStatus) -> bool:
    return status.phase in phases.INSTALLING and not status.post_provisioning_node_effect

"""DPUs go from phase to phase."""

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
from dpf_async.sim.operator.controllers.base import Base, Site, itself
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
    Release,
    ReleaseDevice,
    Step,
    World,
)
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.cluster import of_device, of_node
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after, poll
from dpf_async.sim.operator.runtime.selectors import matches


class DPUController(Base):
    """The road from Initializing to Ready, and the one from anywhere to nothing (dpf-facts 2)."""

    name: ClassVar[str] = "dpu"
    kind: ClassVar[type[Resource]] = DPU

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._installing: dict[str, None] = {}

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, and everything a DPU refers to."""
        return {
            DPU: self._of_dpu,
            DPUNode: lambda before, after_: self._names(of_node((after_ or before).name)),
            DPUDevice: lambda before, after_: self._names(of_device((after_ or before).name)),
            DPUNodeMaintenance: lambda before, after_: self._names(
                of_node((after_ or before).spec.dpu_node_name)
            ),
            BFB: self._pending,
            DPUFlavor: self._pending,
            DPUCluster: self._initializing,
            DPFOperatorConfig: self.everything,
        }

    async def reconcile(self, name: str) -> Later | None:
        """Take the next step of a DPU."""
        dpu, settings = self.cluster.get(DPU, name), self.site.settings
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
        world = self._world(dpu, device, settings)
        step = phases.step(world)
        self._claim(dpu, step)
        for action in step.actions:
            dpu = await self._act(dpu, world, action)
        if any(isinstance(action, Release) for action in step.actions):
            return None
        written = await self.cluster.write_status(dpu, step.status)
        if written.status.phase != dpu.status.phase:
            before, now = str(dpu.status.phase), str(written.status.phase)
            log.info("dpu_phase_changed", dpu=name, before=before, after=now)
        return self._later(step)

    async def _protect(self, dpu: DPU, device: DPUDevice | None) -> DPU:
        """A live DPU holds itself and then its device, so that it never goes without letting go of the device.

        Source: dpf-facts 8; doca-platform, DPU controller.
        """
        dpu = await self.cluster.add_finalizer(dpu, known.DPU_FINALIZER)
        if device is not None:
            await self.cluster.add_finalizer(device, known.DPUDEVICE_FINALIZER)
        return dpu

    def _claim(self, dpu: DPU, step: Step) -> None:
        """Take a place before anything is written: two that wait must not find the same last one."""
        if _has_place(step.status):
            self._installing[dpu.uid] = None
        elif not _has_place(dpu.status):
            self._installing.pop(dpu.uid, None)

    def _later(self, step: Step) -> Later | None:
        if step.wait <= step.bound:
            expected = after(step.wait)
            if expected is not None:
                return expected
        elif step.bound <= 0:
            return after(0)
        second_look = min(step.bound, self.profile.dpu_requeue or math.inf)
        on_its_own = step.status.phase != DPUPhase.ERROR and not math.isinf(second_look)
        return poll(second_look) if on_its_own else None

    # What is known.

    def _device(self, dpu: DPU) -> DPUDevice | None:
        return self.cluster.get(DPUDevice, dpu.spec.dpu_device_name)

    def _world(self, dpu: DPU, device: DPUDevice | None, settings: Settings) -> World:
        spec, cluster = dpu.spec, self.cluster
        name = (
            naming.maintenance(spec.dpu_node_name, spec.node_effect) if spec.node_effect is not None else ""
        )
        given = spec.cluster.name if spec.cluster is not None else None
        return World(
            dpu=dpu,
            node=cluster.get(DPUNode, spec.dpu_node_name),
            device=device,
            bfb=cluster.get(BFB, spec.bfb or ""),
            flavor=cluster.get(DPUFlavor, spec.dpu_flavor),
            cluster=cluster.get(DPUCluster, given) if given else None,
            free_cluster=None if given else self._free_cluster(dpu),
            maintenance=cluster.get(DPUNodeMaintenance, name),
            maintenance_name=name,
            board=self.hardware.board(dpu, device),
            installing=len(self._installing.keys() - {dpu.uid}),
            settings=settings,
            profile=self.profile,
            now=self.site.clock(),
        )

    def _free_cluster(self, dpu: DPU) -> DPUCluster | None:
        selector = dpu.spec.cluster.selector if dpu.spec.cluster is not None else None
        for cluster in self.cluster.all(DPUCluster):
            fits = matches(selector, cluster.metadata.labels)
            has_room = (cluster.status.nodes_count or 0) < cluster.spec.max_nodes
            up = cluster.status.phase == DPUClusterPhase.READY and not cluster.terminating
            if fits and has_room and up:
                return cluster
        return None

    # What is done.

    async def _act(self, dpu: DPU, world: World, action: Action) -> DPU:
        """Do one thing, and return the DPU as it is after that."""
        match action:
            case GiveCluster(name, namespace):
                given = {"name": name, "namespace": namespace}
                return await self.cluster.patch(dpu, {"spec": {"cluster": given}})
            case Annotate(key, value):
                return await self.cluster.patch(dpu, {"metadata": {"annotations": {key: value}}})
            case Release():
                log.info("dpu_deleted", dpu=dpu.name)
                return await self.cluster.remove_finalizer(dpu, known.DPU_FINALIZER)
            case ReleaseDevice():
                if world.device is not None:
                    await self.cluster.remove_finalizer(world.device, known.DPUDEVICE_FINALIZER)
            case CreateMaintenance() | JoinMaintenance() | LeaveMaintenance():
                await self._maintain(dpu, world, action)
            case _:
                self._touch(dpu, world.device, action)
        return dpu

    def _touch(
        self, dpu: DPU, device: DPUDevice | None, action: ChangeMode | ChangeSecureBoot | LabelNode | CleanUp
    ) -> None:
        """Do one thing to the hardware."""
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

    async def _maintain(
        self, dpu: DPU, world: World, action: CreateMaintenance | JoinMaintenance | LeaveMaintenance
    ) -> None:
        """Take part in the maintenance of the host, or leave it."""
        maintenance, effect = world.maintenance, dpu.spec.node_effect
        services = list(world.services)
        note = {naming.requestors_key(dpu.name): naming.compact(services)}
        if isinstance(action, CreateMaintenance) and effect is not None:
            await self.cluster.create(
                DPUNodeMaintenance(
                    metadata=ObjectMeta(
                        name=world.maintenance_name,
                        labels={known.DPUNODE_NAME_LABEL: dpu.spec.dpu_node_name},
                        annotations=note,
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
            await self.cluster.patch(maintenance, {"metadata": {"annotations": note}, "spec": spec})
        elif isinstance(action, LeaveMaintenance) and maintenance is not None:
            left = [one for one in maintenance.spec.requestor if one != dpu.name]
            await self.cluster.patch(maintenance, {"spec": {"requestor": left}})

    # Which to look at.

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        """The DPU; and those that wait for a place, if it has given one back."""
        was = before is not None and before.uid in self._installing
        if before is not None and not (after_ is not None and _has_place(after_.status)):
            self._installing.pop(before.uid, None)
        elif after_ is not None and _has_place(after_.status):
            self._installing[after_.uid] = None
        freed = was and before is not None and before.uid not in self._installing
        return [*itself(before, after_), *(self._in(DPUPhase.PENDING) if freed else ())]

    def _names(self, key: str) -> Iterable[str]:
        return [dpu.name for dpu in self.cluster.all(DPU).select(key)]

    def _pending(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        return self._in(DPUPhase.PENDING)

    def _initializing(self, _before: Any, _after: Any) -> Iterable[str]:  # Any: a Resource, or None
        return self._in(DPUPhase.INITIALIZING)

    def _in(self, phase: DPUPhase) -> Iterable[str]:
        return [dpu.name for dpu in self.cluster.all(DPU) if dpu.status.phase == phase]


def _has_place(status: DPUStatus) -> bool:
    return status.phase in phases.INSTALLING and not status.post_provisioning_node_effect

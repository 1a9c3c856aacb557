"""DPUDevices are attached to their node, and their BMCs got ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async._log import log
from dpf_async.models import DPU, DPUDevice, DPUNode, Resource, Secret, known
from dpf_async.sim.operator.controllers.base import Base, dpu_moved, itself, spec_changed
from dpf_async.sim.operator.hardware.hardware_view import Work
from dpf_async.sim.operator.provisioning import discovery
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_device
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after, poll


class DPUDeviceController(Base):
    """Attach, take the address, initialise, discover, ready (dpf-facts 4)."""

    name: ClassVar[str] = "dpudevice"
    kind: ClassVar[type[Resource]] = DPUDevice

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind, the nodes that list devices, the password, and the DPUs that change a device's mode."""
        return {
            DPUDevice: itself,
            DPUNode: self._of_node,
            DPU: self._of_dpu,
            Secret: self.everything,
        }

    async def reconcile(self, name: str) -> Later | None:
        """Go as far as the device is ready for."""
        device = self.cluster.get(DPUDevice, name)
        if device is None:
            return None
        step = self._next(device)
        missing = {
            key: value for key, value in step.labels.items() if device.metadata.labels.get(key) != value
        }
        if missing:
            device = await self.cluster.patch(device, {"metadata": {"labels": missing}})
        written = await self.cluster.write_status(device, step.status)
        for failed in written.conditions:
            if failed.status == conditions.FALSE and failed not in device.conditions:
                log.info("device_waits", device=name, type=failed.type, reason=failed.message)
        return after(step.left) or poll(self.profile.requeue)

    def _next(self, device: DPUDevice) -> discovery.Step:
        nodes = self.cluster.all(DPUNode).select(of_device(device.name))
        attached = conditions.is_true(device.conditions, known.DPUDeviceCondition.NODE_ATTACHED)
        # Nothing is done about a device that no node lists.
        work = self.hardware.prepare(device, password=self._password) if attached or nodes else Work()
        node = nodes[0].name if nodes else None
        seen = discovery.Seen(node, work, self.hardware.found(device))
        return discovery.look(device, seen, now=self.site.now)

    @property
    def _password(self) -> bool:
        secret = self.cluster.get(Secret, known.BMC_PASSWORD_SECRET)
        return secret is not None and known.BMC_PASSWORD_KEY in secret.data

    def _of_node(self, before: DPUNode | None, after_: DPUNode | None) -> Iterable[str]:
        if not spec_changed(before, after_):
            return ()
        listed = {ref.name for node in (before, after_) if node is not None for ref in node.spec.dpus}
        devices = self.cluster.all(DPUDevice)
        return {device.name for name in listed for device in devices.select(of_device(name))}

    def _of_dpu(self, before: DPU | None, after_: DPU | None) -> Iterable[str]:
        if after_ is None or not dpu_moved(before, after_):
            return ()
        return [after_.spec.dpu_device_name]

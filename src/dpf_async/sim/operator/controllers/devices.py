"""DPUDeviceController: attaches DPUDevices to their DPUNode, initializes and discovers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dpf_async._log import log
from dpf_async.models import DPU, DPUDevice, DPUNode, Resource, Secret, known
from dpf_async.sim.operator.controllers.base import BaseController, map_to_self, phase_changed, spec_changed
from dpf_async.sim.operator.hardware.hardware_view import Work
from dpf_async.sim.operator.provisioning import discovery
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.cluster import of_device
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, poll, requeue_after


class DPUDeviceController(BaseController):
    """Sets NodeAttached, Initialized, Discovered and Ready in this order (docs/dpf/discovery.md#device-steps)."""

    name: ClassVar[str] = "dpudevice"
    kind: ClassVar[type[Resource]] = DPUDevice

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """DPUDevices, DPUNodes, the Secret with the BMC password, and DPUs, which change the mode of a device."""
        return {
            DPUDevice: map_to_self,
            DPUNode: self._map_node,
            DPU: self._map_dpu,
            Secret: self.map_to_all,
        }

    async def reconcile(self, name: str) -> Requeue | None:
        """Complete as many steps as the state of the device allows."""
        device = self.cluster.get(DPUDevice, name)
        if device is None:
            return None
        step = self._next_step(device)
        missing = {
            key: value for key, value in step.labels.items() if device.metadata.labels.get(key) != value
        }
        if missing:
            device = await self.cluster.patch(device, {"metadata": {"labels": missing}})
        written = await self.cluster.write_status(device, step.status)
        for failed in written.conditions:
            if failed.status == conditions.FALSE and failed not in device.conditions:
                log.info("device_waiting", device=name, type=failed.type, reason=failed.message)
        return requeue_after(step.left) or poll(self.profile.requeue)

    def _next_step(self, device: DPUDevice) -> discovery.Step:
        nodes = self.cluster.all(DPUNode).select(of_device(device.name))
        attached = conditions.is_true(device.conditions, known.DPUDeviceCondition.NODE_ATTACHED)
        # The BMC of a device that no DPUNode lists is not contacted.
        work = self.hardware.prepare(device, password=self._password) if attached or nodes else Work()
        node = nodes[0].name if nodes else None
        observed = discovery.Observed(node, work, self.hardware.found(device))
        return discovery.next_step(device, observed, now=self.context.now)

    @property
    def _password(self) -> bool:
        secret = self.cluster.get(Secret, known.BMC_PASSWORD_SECRET)
        return secret is not None and known.BMC_PASSWORD_KEY in secret.data

    def _map_node(self, before: DPUNode | None, after: DPUNode | None) -> Iterable[str]:
        if not spec_changed(before, after):
            return ()
        listed = {ref.name for node in (before, after) if node is not None for ref in node.spec.dpus}
        devices = self.cluster.all(DPUDevice)
        return {device.name for name in listed for device in devices.select(of_device(name))}

    def _map_dpu(self, before: DPU | None, after: DPU | None) -> Iterable[str]:
        if after is None or not phase_changed(before, after):
            return ()
        return [after.spec.dpu_device_name]

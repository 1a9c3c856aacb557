"""The simulated hardware: BMCs, images, DPUs, their Nodes and pods.

It runs in the process of the operator and does not use the API server. An activity starts when the operator first reads
it, and completes after the duration of the profile unless a trouble prevents it. After a restart of the operator, an
activity counts as completed where the objects show that it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

import anyio

from dpf_async.models import BFB, DPU, DPUDevice, DPUPhase, DPUService, DPUServiceTemplate, known
from dpf_async.sim.operator.hardware.hardware_view import (
    DPU_MODE,
    NEVER,
    NIC_MODE,
    ClusterNode,
    Found,
    HardwareView,
    Pod,
    Work,
)
from dpf_async.sim.operator.runtime.naming import digest
from dpf_async.sim.operator.runtime.selectors import matches_node

if TYPE_CHECKING:
    from dpf_async.sim.operator.hardware.profiles import Profile
    from dpf_async.sim.operator.hardware.troubles import Troubles

_ADDRESS_OFFSET: Final = 256
"""Offset of the address of a Node from that of its BMC: 10.0.0.11 and 10.0.1.11 (docs/dpf/timings.md#sample-values)."""

_PHASES_OF_NODES: Final = frozenset(
    (DPUPhase.DPU_CLUSTER_CONFIG, DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY)
)


@dataclass(slots=True)
class _State:
    """The state of one DPU object."""

    phase: str = ""
    since: float = 0.0
    remains: bool = True


@dataclass(slots=True)
class _Device:
    mode: str
    secure_boot: bool = True


@dataclass(slots=True)
class Hardware:
    """All hardware of the simulated site.

    Args:
        profile: durations.
        troubles: the simulated troubles.
        clock: a monotonic clock, in seconds.
    """

    profile: Profile
    troubles: Troubles
    clock: Callable[[], float] = anyio.current_time
    _begun: dict[str, dict[str, float]] = field(default_factory=dict)
    _states: dict[str, _State] = field(default_factory=dict)
    _devices: dict[str, _Device] = field(default_factory=dict)
    _nodes: dict[str, ClusterNode] = field(default_factory=dict)

    def left(self, uid: str, activity: str, seconds: float) -> float:
        """Seconds left of an activity of that duration, which starts with the first call."""
        begun = self._begun.setdefault(uid, {}).setdefault(activity, self.clock())
        return max(0.0, begun + seconds - self.clock())

    def discard(self, uid: str) -> None:
        """Discard the state of a deleted object."""
        self._begun.pop(uid, None)
        self._states.pop(uid, None)
        self._devices.pop(uid, None)

    # Images and charts.

    def download(self, bfb: BFB) -> Work:
        """The download of an image."""
        left = self.left(bfb.uid, "download", self.profile.bfb_download)
        failed = left <= 0 and self.troubles.has("bfb_download_failed", bfb.name)
        return Work(left, "the server responded with 404" if failed else "")

    def fetch(self, template: DPUServiceTemplate) -> Work:
        """The download of the Helm chart of a service, again for each generation of the template."""
        activity = f"fetch {template.metadata.generation}"
        return Work(self.left(template.uid, activity, self.profile.chart_fetch))

    # BMCs.

    def prepare(self, device: DPUDevice, *, password: bool) -> Work:
        """The login to a BMC, its initialization, and reading its data.

        Args:
            device: the device of the BMC.
            password: whether the Secret with the password exists.
        """
        if not password:
            return Work(
                NEVER, f'failed to initialize password: secrets "{known.BMC_PASSWORD_SECRET}" not found'
            )
        if self._device_has_trouble(device, "bmc_password_wrong"):
            return Work(NEVER, "failed to initialize password: the BMC responded with 401 Unauthorized")
        takes = self.profile.bmc_initialise + self.profile.bmc_discover
        return Work(self.left(device.uid, "prepare", takes))

    def found(self, device: DPUDevice) -> Found:
        """The data that the BMC reports."""
        serial = device.spec.serial_number
        state_of_device = self._device(device)
        mac = digest(device.name, 6)
        return Found(
            serial_number=f"{serial}X" if self._device_has_trouble(device, "serial_mismatch") else serial,
            opn=device.spec.opn or "900-9D3B6-00CV-AA0",
            pf0_mac=f"02:00:00:{mac[:2]}:{mac[2:4]}:{mac[4:]}",
            dpu_type="BlueField3",
            mode=state_of_device.mode,
            secure_boot=state_of_device.secure_boot,
        )

    def change_mode(self, device: DPUDevice, mode: str) -> None:
        """Apply the requested mode, as a power cycle of the host does."""
        self._device(device).mode = mode

    def change_secure_boot(self, device: DPUDevice, *, enabled: bool) -> None:
        """Apply the staged setting of Secure Boot, as restarts of the DPU do."""
        self._device(device).secure_boot = enabled

    # DPUs.

    def view(self, dpu: DPU, device: DPUDevice | None) -> HardwareView:
        """The state of the hardware of a DPU, which works on its present phase."""
        state = self._state_of(dpu)
        worked = self.clock() - state.since
        state_of_device = self._device(device) if device is not None else _Device(DPU_MODE)
        transferring = self.profile.transfer
        broken = self._dpu_has_trouble(dpu, "install_timeout")
        failed = self._dpu_has_trouble(dpu, "install_failed")
        running = transferring + self.profile.boot_os
        percent = 100 if transferring <= 0 else min(100, int(100 * worked / transferring))
        node = self.node(dpu)
        if node is not None:
            node.ready = not self._dpu_has_trouble(dpu, "dpu_node_not_ready")
        return HardwareView(
            worked=worked,
            percent=0 if broken else min(percent, 99),
            transferred=not broken and worked >= transferring,
            install_failure="failed to install BFB: the task ended with state Exception" if failed else "",
            os_running=not broken and worked >= running,
            os_reported=not broken and worked >= running and self._is_reported(dpu),
            next_step=NEVER if broken else self._next_step(worked, running),
            mode=state_of_device.mode,
            secure_boot=state_of_device.secure_boot,
            node=node,
            address=_address(device),
            remains=state.remains,
            unreachable=self._dpu_has_trouble(dpu, "stuck_finalizer"),
            newer=self._dpu_has_trouble(dpu, "newer_phase"),
        )

    def worked(self, dpu: DPU) -> float:
        """Seconds since a DPU entered its present phase."""
        # First the state: when a phase begins now, the time since then must not be negative.
        state = self._state_of(dpu)
        return self.clock() - state.since

    def reboots(self, dpu: DPU) -> int:
        """How many reboots a DPU needs."""
        if self._dpu_has_trouble(dpu, "no_reboot"):
            return 0
        trouble = self.troubles.find("reboots", *_targets(dpu))
        return 1 if trouble is None or trouble.value is None else int(trouble.value)

    def agent_silent(self, dpu: DPU) -> bool:
        """Whether the agent of a DPU never reports."""
        return self._dpu_has_trouble(dpu, "agent_silent")

    def node(self, dpu: DPU) -> ClusterNode | None:
        """The Node of the DPU with this uid in its DPUCluster."""
        node = self._nodes.get(dpu.name)
        return node if node is not None and node.uid == dpu.uid else None

    def label(self, dpu: DPU, labels: Mapping[str, str]) -> None:
        """Set the labels of the Node of a DPU."""
        node = self.node(dpu)
        if node is not None:
            node.labels = dict(labels)

    def clean_up(self, dpu: DPU) -> None:
        """Delete what remains of a DPU in its DPUCluster."""
        if self.node(dpu) is not None:
            del self._nodes[dpu.name]
        if (state := self._states.get(dpu.uid)) is not None:
            # No state: a user removed the finalizers, and the DPU is deleted.
            state.remains = False

    # Pods.

    def runs(self, service: DPUService, node: ClusterNode) -> bool:
        """Whether a service selects a Node."""
        if service.spec.deploy_in_cluster:
            return False
        daemon_set = service.spec.service_daemon_set
        return matches_node(daemon_set.node_selector if daemon_set is not None else None, node.labels)

    def pods(self, dpu: DPU, services: Iterable[DPUService]) -> list[Pod]:
        """The pods of these services on a DPU; none before it is a Node."""
        node = self.node(dpu)
        if node is None:
            return []
        selected = [service for service in services if self.runs(service, node)]
        down = self._down(dpu, selected)
        return [
            Pod(
                name=f"{service.name}-{digest(dpu.uid + service.uid, 5)}",
                service=service.name,
                ready=service.name not in down and self._pod_left(dpu, service) <= 0,
            )
            for service in selected
        ]

    def pods_left(self, dpu: DPU, services: Iterable[DPUService]) -> float:
        """Seconds until the next pod of a DPU becomes ready; NEVER if none is starting."""
        node = self.node(dpu)
        if node is None:
            return NEVER
        left = [self._pod_left(dpu, service) for service in services if self.runs(service, node)]
        return min((one for one in left if one > 0), default=NEVER)

    def health_unknown(self, dpu: DPU) -> bool:
        """Whether the pods of a DPU cannot be listed."""
        return self._dpu_has_trouble(dpu, "service_health_unknown")

    def _down(self, dpu: DPU, services: list[DPUService]) -> set[str]:
        """The services that are down because of a trouble."""
        critical = {
            service.name for service in services if known.CRITICAL_SERVICE_LABEL in service.metadata.labels
        }
        down: set[str] = set()
        if self._dpu_has_trouble(dpu, "critical_service_down"):
            # If no service is labelled as critical, the first one.
            down |= critical or {service.name for service in services[:1]}
        if self._dpu_has_trouble(dpu, "other_service_down"):
            down |= {service.name for service in services} - critical
        return down

    def _pod_left(self, dpu: DPU, service: DPUService) -> float:
        return self.left(dpu.uid, f"pod {service.uid}", self.profile.start_pods)

    # State.

    def _is_reported(self, dpu: DPU) -> bool:
        return self.profile.start_agent > 0 or self.agent_silent(dpu)

    def _state_of(self, dpu: DPU) -> _State:
        state = self._states.get(dpu.uid)
        if state is None:
            state = self._states[dpu.uid] = _State(since=self.clock())
            if _was_a_node(dpu):
                self._nodes[dpu.name] = ClusterNode(dpu.uid, dict(node_labels(dpu)))
        if state.phase != dpu.status.phase:
            state.phase, state.since = dpu.status.phase, self.clock()
        joining = dpu.status.phase == DPUPhase.DPU_CLUSTER_CONFIG and self.node(dpu) is None
        if joining and self.clock() - state.since >= self.profile.join_cluster:
            self._nodes[dpu.name] = ClusterNode(dpu.uid, {})
        elif dpu.status.phase == DPUPhase.READY and self.node(dpu) is None:
            # Its DPUDevice has the label that skips provisioning: the DPU is a Node already.
            self._nodes[dpu.name] = ClusterNode(dpu.uid, dict(node_labels(dpu)))
        return state

    def _next_step(self, worked: float, running: float) -> float:
        """Seconds until the next message about the transfer, its end, or the end of the boot."""
        moments = [self.profile.transfer, running]
        if (step := self.profile.progress_step) > 0:
            moments.append(min(step * (math.floor(worked / step) + 1), self.profile.transfer))
        return min((moment - worked for moment in moments if moment > worked), default=NEVER)

    def _device(self, device: DPUDevice) -> _Device:
        mode = NIC_MODE if self._device_has_trouble(device, "nic_mode") else DPU_MODE
        return self._devices.setdefault(device.uid, _Device(mode))

    def _device_has_trouble(self, device: DPUDevice, trouble: str) -> bool:
        node = device.metadata.labels.get(known.DPUNODE_NAME_LABEL, "")
        return self.troubles.has(trouble, device.name, *((node,) if node else ()))

    def _dpu_has_trouble(self, dpu: DPU, trouble: str) -> bool:
        return self.troubles.has(trouble, *_targets(dpu))


def node_labels(dpu: DPU) -> Mapping[str, str]:
    """The labels that the Node of a DPU must have."""
    return dpu.spec.cluster.node_labels if dpu.spec.cluster is not None else {}


def _address(device: DPUDevice | None) -> str:
    if device is None or device.spec.bmc_ip is None:
        return ""
    return str(IPv4Address((int(IPv4Address(device.spec.bmc_ip)) + _ADDRESS_OFFSET) % 2**32))


def _targets(dpu: DPU) -> tuple[str, str, str]:
    return (dpu.name, dpu.spec.dpu_device_name, dpu.spec.dpu_node_name)


def _was_a_node(dpu: DPU) -> bool:
    """Whether the phase shows that the DPU is a Node already."""
    status = dpu.status
    if status.phase == DPUPhase.DPU_CLUSTER_CONFIG:
        return status.previous_phase == DPUPhase.READY
    return status.phase in _PHASES_OF_NODES or bool(status.post_provisioning_node_effect)

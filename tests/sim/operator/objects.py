"""Objects for tests of pure functions, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dpf_async.models import (
    BFB,
    DPU,
    DPUCluster,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    Resource,
    known,
)
from dpf_async.sim.operator.hardware.hardware_view import HardwareView
from dpf_async.sim.operator.hardware.profiles import INSTANT
from dpf_async.sim.operator.hardware.settings import Settings
from dpf_async.sim.operator.provisioning.reconcile_input import ReconcileInput

NOW = datetime(2026, 6, 1, 10, 0, 0, tzinfo=UTC)

SETTINGS = Settings(
    install_interface="redfish",
    os_install_timeout=2700.0,
    agent_start_timeout=1200.0,
    node_effect_removal_timeout=None,
    sync_wait=30.0,
    sync_wait_text="30s",
    max_parallel_installations=50,
    max_unavailable_nodes=50,
)


def make_condition(
    type_: str, status: str = "True", reason: str = "", at: str = "2026-06-01T09:00:00Z"
) -> dict[str, Any]:
    """A condition as JSON."""
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": "",
        "lastTransitionTime": at,
    }


def wire(kind: type[Resource], name: str, **parts: Any) -> dict[str, Any]:
    """An object as JSON; parts are metadata, spec, status."""
    metadata = {
        "name": name,
        "namespace": known.DPF_NAMESPACE,
        "uid": f"uid-of-{name}",
        "resourceVersion": "1",
        "generation": 1,
        **parts.pop("metadata", {}),
    }
    return {"apiVersion": kind.API_VERSION, "kind": kind.KIND, "metadata": metadata, **parts}


def make_dpu(
    name: str = "node-1-device-1",
    phase: str = "Ready",
    *,
    spec: Any = None,
    metadata: Any = None,
    **status: Any,
) -> DPU:
    """A DPU of node-1."""
    fields = {
        "dpuNodeName": "node-1",
        "dpuDeviceName": "device-1",
        "serialNumber": "MT1",
        "bfb": "bfb",
        "dpuFlavor": "flavor",
        "nodeEffect": {"hold": True},
        "cluster": {"name": "cluster", "namespace": known.DPF_NAMESPACE, "nodeLabels": {"a": "b"}},
        **(spec or {}),
    }
    return DPU.from_wire(
        wire(DPU, name, metadata=metadata or {}, spec=fields, status={"phase": phase, **status})
    )


def make_node(*devices: str, metadata: Any = None, spec: Any = None, **status: Any) -> DPUNode:
    """node-1 with external reboots."""
    fields = {
        "dpus": [{"name": device} for device in devices or ("device-1",)],
        "nodeRebootMethod": {"external": {}},
        **(spec or {}),
    }
    return DPUNode.from_wire(wire(DPUNode, "node-1", metadata=metadata or {}, spec=fields, status=status))


def make_device(
    name: str = "device-1", *, metadata: Any = None, spec: Any = None, **status: Any
) -> DPUDevice:
    """A DPUDevice."""
    fields = {"serialNumber": "MT1", "bmcIp": "10.0.0.11", **(spec or {})}
    return DPUDevice.from_wire(wire(DPUDevice, name, metadata=metadata or {}, spec=fields, status=status))


def make_maintenance(
    *requestors: str, metadata: Any = None, effect: Any = None, **status: Any
) -> DPUNodeMaintenance:
    """The hold of node-1."""
    fields = {
        "dpuNodeName": "node-1",
        "nodeEffect": effect or {"hold": True},
        "requestor": list(requestors or ("node-1-device-1",)),
    }
    return DPUNodeMaintenance.from_wire(
        wire(DPUNodeMaintenance, "node-1-hold", metadata=metadata or {}, spec=fields, status=status)
    )


def make_input(dpu: DPU, **overrides: Any) -> ReconcileInput:
    """A ReconcileInput with every object that a DPU needs, unless overridden."""
    objects: dict[str, Any] = {
        "node": make_node(dpuInstallInterface="redfish"),
        "device": make_device(conditions=[make_condition("Ready")], dpuType="BlueField3"),
        "bfb": BFB.from_wire(
            wire(BFB, "bfb", spec={"url": "https://a"}, status={"phase": "Ready", "fileName": "a.bfb"})
        ),
        "flavor": DPUFlavor.from_wire(wire(DPUFlavor, "flavor", spec={})),
        "cluster": DPUCluster.from_wire(wire(DPUCluster, "cluster", spec={"type": "kamaji"})),
        "free_cluster": None,
        "maintenance": None,
        "maintenance_name": "node-1-hold",
        "hardware": HardwareView(),
        "installing": 0,
        "settings": SETTINGS,
        "profile": INSTANT,
        "now": NOW,
        **overrides,
    }
    return ReconcileInput(dpu=dpu, **objects)

"""States of objects as a watch decodes them from JSON of the API server."""

from __future__ import annotations

import itertools
import json
from typing import Any, TypeVar

from dpf_async._api.codec import Codec, ObjectState
from dpf_async._transitions.views import DPUView, MaintenanceView, NodeView
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

T = TypeVar("T", bound=Resource)

_versions = itertools.count(1000)

REBOOTING = ("DPUNodeRebootInProgress", "True", "WaitForExternalReboot")


def condition(type_: str, status: str = "True", reason: str = "", **more: Any) -> dict[str, Any]:
    """One condition; the reason is its type by default."""
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": "",
        "lastTransitionTime": "2026-06-01T10:00:00Z",
        **more,
    }


def state(kind: type[T], name: str, **parts: Any) -> ObjectState[T]:
    """An object of any kind; parts are metadata, spec and status."""
    metadata = {
        "name": name,
        "namespace": "dpf-operator-system",
        "uid": f"uid-of-{name}",
        "resourceVersion": str(next(_versions)),
        "generation": 1,
        **parts.pop("metadata", {}),
    }
    document = {"apiVersion": kind.API_VERSION, "kind": kind.KIND, "metadata": metadata, **parts}
    return Codec(kind).read_object(json.dumps(document).encode())


def dpu(
    name: str = "node-1-device-1",
    phase: str = "Ready",
    *,
    uid: str = "",
    node: str = "node-1",
    device: str = "device-1",
    conditions: list[dict[str, Any]] | None = None,
    metadata: dict[str, Any] | None = None,
    **status: Any,
) -> ObjectState[DPU]:
    """A DPU; one in phase Ready has the condition Ready too, unless conditions are given."""
    if conditions is None:
        conditions = [condition("Ready", reason="DPUReady")] if phase == "Ready" else []
    return state(
        DPU,
        name,
        metadata={"uid": uid or f"uid-of-{name}", **(metadata or {})},
        spec={
            "dpuNodeName": node,
            "dpuDeviceName": device,
            "serialNumber": "MT1",
            "bfb": "bfb",
            "dpuFlavor": "flavor",
            "nodeEffect": {"hold": True},
        },
        status={"phase": phase, "conditions": conditions, **status},
    )


def node(
    name: str = "node-1",
    devices: tuple[str, ...] = ("device-1",),
    *,
    uid: str = "",
    reboot: bool = False,
    annotations: dict[str, str] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    metadata: dict[str, Any] | None = None,
) -> ObjectState[DPUNode]:
    """A DPUNode; `reboot` makes it wait for an external reboot."""
    if reboot:
        annotations = {known.EXTERNAL_REBOOT_REQUIRED: "true", **(annotations or {})}
        conditions = [*(conditions or []), condition(*REBOOTING)]
    return state(
        DPUNode,
        name,
        metadata={"uid": uid or f"uid-of-{name}", "annotations": annotations, **(metadata or {})},
        spec={"dpus": [{"name": device} for device in devices], "nodeRebootMethod": {"external": {}}},
        status={"conditions": conditions},
    )


def device(name: str = "device-1", *, ready: bool = True) -> ObjectState[DPUDevice]:
    """A DPUDevice."""
    conditions = [condition("Ready", "True" if ready else "False", "Success" if ready else "Error")]
    return state(DPUDevice, name, spec={"serialNumber": "MT1"}, status={"conditions": conditions})


def maintenance(
    name: str = "node-1-hold",
    node: str = "node-1",
    *,
    uid: str = "",
    annotation: str | None = "true",
    applied: bool = False,
    effect: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> ObjectState[DPUNodeMaintenance]:
    """A DPUNodeMaintenance with a hold that waits, by default."""
    annotations = {} if annotation is None else {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: annotation}
    status = "True" if applied else "False"
    return state(
        DPUNodeMaintenance,
        name,
        metadata={"uid": uid or f"uid-of-{name}", "annotations": annotations, **(metadata or {})},
        spec={"dpuNodeName": node, "nodeEffect": effect or {"hold": True}, "requestor": ["node-1-device-1"]},
        status={"conditions": [condition("NodeEffectApplied", status)]},
    )


def view(
    of: ObjectState[DPUNode] | None,
    *states: ObjectState[DPU] | ObjectState[DPUNodeMaintenance] | ObjectState[DPUDevice],
    name: str = "node-1",
) -> NodeView:
    """The view of a node with the objects that refer to it."""
    return NodeView(
        name=of.name if of is not None else name,
        node=of,
        devices=tuple(s for s in states if s.kind is DPUDevice),
        dpus=tuple(DPUView(s) for s in states if s.kind is DPU),
        maintenances=tuple(MaintenanceView(s) for s in states if s.kind is DPUNodeMaintenance),
    )

"""Objects as the API server sends them, and the lines of a watch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dpf_async.models import DPU, KINDS, DPUNode, DPUNodeMaintenance, known

Obj = dict[str, Any]
"""A JSON object."""

NAMESPACE = known.DPF_NAMESPACE
API_VERSION = f"{DPU.GROUP}/{DPU.VERSION}"
SINCE = "2026-06-01T10:00:00Z"

_PLURALS = {kind.KIND: kind.PLURAL for kind in KINDS}
_KINDS = {plural: kind for kind, plural in _PLURALS.items()}


def plural_of(kind: str) -> str:
    return _PLURALS[kind]


def kind_of(plural: str) -> str:
    return _KINDS[plural]


def dpu(
    name: str,
    version: int,
    phase: str = "Pending",
    *,
    uid: str = "",
    node: str = "node-1",
    conditions: Iterable[Obj] = (),
    **metadata: object,
) -> Obj:
    """A DPU. One in phase Ready has the condition Ready, unless conditions are given."""
    if phase == "Ready" and not conditions:
        conditions = [condition("Ready", "True")]
    spec = {
        "dpuNodeName": node,
        "dpuDeviceName": f"device-of-{name}",
        "serialNumber": "MT2500XZ0001",
        "bfb": "bundle",
        "dpuFlavor": "flavor",
        "nodeEffect": {"noEffect": True},
    }
    return _object(
        DPU.KIND,
        name,
        version,
        uid,
        metadata,
        spec=spec,
        status={"phase": phase, "conditions": list(conditions)},
    )


def node(
    name: str,
    version: int,
    *,
    uid: str = "",
    devices: Iterable[str] = (),
    reboot: bool = False,
    **metadata: object,
) -> Obj:
    """A DPUNode; `reboot`: with a pending request for an external reboot."""
    conditions = [condition("Ready", "True")]
    if reboot:
        metadata.setdefault("annotations", {known.EXTERNAL_REBOOT_REQUIRED: ""})
        conditions.append(
            condition(
                known.DPUNodeCondition.REBOOT_IN_PROGRESS,
                "True",
                known.DPUNodeReason.WAIT_FOR_EXTERNAL_REBOOT,
            )
        )
    spec = {"dpus": [{"name": device} for device in devices], "nodeRebootMethod": {"external": {}}}
    return _object(DPUNode.KIND, name, version, uid, metadata, spec=spec, status={"conditions": conditions})


def maintenance(name: str, version: int, *, uid: str = "", node: str = "node-1", **metadata: object) -> Obj:
    """A DPUNodeMaintenance with a hold."""
    metadata.setdefault("annotations", {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"})
    spec = {"dpuNodeName": node, "nodeEffect": {"hold": True}, "requestor": ["dpu-1"]}
    return _object(DPUNodeMaintenance.KIND, name, version, uid, metadata, spec=spec, status={})


def condition(type_: str, status: str, reason: str = "") -> Obj:
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": "",
        "lastTransitionTime": SINCE,
    }


def _object(
    kind: str, name: str, version: int, uid: str, metadata: Mapping[str, object], **parts: Obj
) -> Obj:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid or f"uid-of-{name}",
            "resourceVersion": str(version),
            "generation": 1,
            "creationTimestamp": SINCE,
            **metadata,
        },
        **parts,
    }


# Lines of a watch.


def event(type_: str, obj: object) -> bytes:
    """One line of a watch, with unescaped UTF-8 as Go writes it."""
    return json.dumps({"type": type_, "object": obj}, ensure_ascii=False).encode() + b"\n"


def bookmark(version: int, kind: str = DPU.KIND) -> bytes:
    """A bookmark, which a server sends about once a minute."""
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return event("BOOKMARK", {"kind": kind, "apiVersion": API_VERSION, "metadata": metadata, "spec": {}})

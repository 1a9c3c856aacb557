"""Synthetic DPUs of 5.7 kB with 12 conditions, managed fields, labels and addresses, and the order of their events."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

GROUP: Final = "provisioning.dpu.nvidia.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
NAMESPACE: Final = "dpf-operator-system"
PLURAL: Final = "dpus"
KIND: Final = "DPU"
PATH: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"

STAMP_KEY: Final = "bench.local/sent-ns"
STAMP: Final = "0" * 20
"""Fixed widths, so that the load generator can insert stamp and version into encoded bytes."""
RESOURCE_VERSION: Final = "1" + "0" * 11

PHASES: Final = (
    "Initializing",
    "Pending",
    "Node Effect",
    "Initialize Interface",
    "Config FW Parameters",
    "Prepare BFB",
    "OS Installing",
    "DPU Config",
    "Rebooting",
    "DPU Config",
    "DPU Cluster Config",
    "Node Effect Removal",
    "Ready",
    "Deleting",
)
_CONDITIONS: Final = (
    "Initialized",
    "BFBReady",
    "DPUFlavorExists",
    "Pending",
    "NodeEffectReady",
    "InterfaceInitialized",
    "FWConfigured",
    "BFBPrepared",
    "OSInstalled",
    "Rebooted",
    "DPUClusterReady",
    "Ready",
)


READY: Final = PHASES.index("Ready")
"""The step at which a DPU becomes Ready for the first time."""


def at(position: int, objects: int) -> tuple[int, int]:
    """Index and step of the DPU in event number `position`: one event per DPU in turn, one DPU in 14 becomes Ready."""
    return position % objects, position // objects + position % objects


def wakes(first: int, count: int, objects: int) -> int:
    """How many of `count` events from number `first` turn a DPU Ready, which wakes the wait for it."""
    return sum(at(position, objects)[1] % len(PHASES) == READY for position in range(first, first + count))


def dpu(index: int, step: int = 0) -> dict[str, Any]:
    """DPU number `index`, `step` phase changes after its creation."""
    node, serial = f"worker-{index // 2:05d}", f"MT25{index:08d}"
    name = f"{node}-{serial.lower()}"
    position = step % len(PHASES)
    done = len(_CONDITIONS) if PHASES[position] == "Ready" else min(position, len(_CONDITIONS) - 1)
    conditions = [_condition(type_, n < done, n, step) for n, type_ in enumerate(_CONDITIONS)]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "annotations": {STAMP_KEY: STAMP},
            "creationTimestamp": "2026-11-02T09:11:04Z",
            "finalizers": [f"{GROUP}/dpu-protection"],
            "generation": 2,
            "labels": {
                f"{GROUP}/dpunode-name": node,
                f"{GROUP}/dpudevice-name": serial.lower(),
                f"{GROUP}/dpuset-name": "compute-default",
                "svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NAMESPACE}_compute",
            },
            "managedFields": [_managed("dpuset", "spec"), _managed("dpu", "status")],
            "name": name,
            "namespace": NAMESPACE,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "blockOwnerDeletion": True,
                    "controller": True,
                    "kind": "DPUSet",
                    "name": "compute-default",
                    "uid": "7f2f0b3e-52c6-4b6e-9f0e-6f8c4f6e9a11",
                }
            ],
            "resourceVersion": RESOURCE_VERSION,
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        },
        "spec": {
            "bfb": "bf-bundle-3-2-1",
            "cluster": {"name": "dpu-cluster", "namespace": NAMESPACE, "nodeLabels": {"tenant": "t1"}},
            "dpuDeviceName": serial.lower(),
            "dpuFlavor": "compute-flavor",
            "dpuNodeName": node,
            "nodeEffect": {"applyOnLabelChange": False, "hold": True, "force": False},
            "serialNumber": serial,
        },
        "status": {
            "addresses": [
                {"address": f"10.128.{index // 256 % 256}.{index % 256}", "type": "InternalIP"},
                {"address": name, "type": "Hostname"},
            ],
            "bfCFGFile": f"/bfb/bfcfg/{NAMESPACE}_{name}",
            "bfbFile": f"/bfb/{NAMESPACE}-bf-bundle-3-2-1.bfb",
            "conditions": conditions,
            "dpfVersion": "v26.4.0",
            "dpuInstallInterface": "redfish",
            "dpuMode": "dpu",
            "dpuType": "BlueField3",
            "firmware": {"bmc": "BF-25.10-9", "nic": "32.47.1026", "uefi": "4.13.0-26-g337fea6bfd"},
            "observedGeneration": 2,
            "operationalConditions": [_condition("OperationalReady", PHASES[position] == "Ready", 1, step)],
            "phase": PHASES[position],
            "previousPhase": PHASES[position - 1],
        },
    }


def encode(document: dict[str, Any]) -> bytes:
    """Compact JSON, as the API server writes it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def event(index: int, step: int) -> bytes:
    """One line of a watch."""
    return encode({"type": "MODIFIED", "object": dpu(index, step)}) + b"\n"


def name_of(index: int) -> str:
    """The name of DPU number `index`."""
    return f"worker-{index // 2:05d}-mt25{index:08d}"


def _condition(type_: str, holds: bool, position: int, step: int) -> dict[str, Any]:
    return {
        "lastTransitionTime": f"2026-11-02T09:{(11 + position) % 60:02d}:{(7 * position + step) % 60:02d}Z",
        "message": "" if holds else f"waiting for {type_}",
        "observedGeneration": 2,
        "reason": type_ if holds else "Progressing",
        "status": "True" if holds else "False",
        "type": type_,
    }


def _managed(manager: str, part: str) -> dict[str, Any]:
    names = [f"{part}Field{n:02d}" for n in range(14)]
    conditions: dict[str, Any] = {
        f'k:{{"type":"{type_}"}}': {
            ".": {},
            "f:status": {},
            "f:reason": {},
            "f:message": {},
            "f:lastTransitionTime": {},
        }
        for type_ in _CONDITIONS[:5]
    }
    fields = {f"f:{part}": {".": {}, **{f"f:{name}": {} for name in names}, "f:conditions": conditions}}
    return {
        "apiVersion": API_VERSION,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "manager": f"dpf-provisioning-{manager}-controller",
        "operation": "Update",
        "time": "2026-11-02T09:42:51Z",
    }

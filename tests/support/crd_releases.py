"""The CRDs of other releases of DPF, derived from those of this release by the known differences.

They are not upstream's files: only parts that affect a client are changed.

Source: docs/dpf/objects.md#required-fields, docs/dpf/phases.md#phase-values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from dpf_async.models import DPU, DPUDeployment, DPUSet

__all__ = ["CHANGED", "breaking", "of_v25", "of_v27"]

Manifest = dict[str, Any]  # Any: it is JSON

CHANGED: Final = (DPU.KIND, DPUDeployment.KIND, DPUSet.KIND)
"""The kinds in which these releases differ."""

_V25_PHASES: Final = (
    "Initializing",
    "Node Effect",
    "Pending",
    "DMS Deployment",
    "Config FW Parameters",
    "Prepare BFB",
    "OS Installing",
    "DPU Cluster Config",
    "Host Network Configuration",
    "Ready",
    "Error",
    "Deleting",
    "Rebooting",
    "Initialize Interface",
    "Checking Host Reboot Required",
)
"""The phases of v25.1 and v25.4 together: one cluster can have objects of both."""


def of_v25(manifest: Manifest) -> Manifest:
    """A CRD of releases up to v25.10: fewer required fields, other phases, and without later fields."""

    def older(kind: str, schema: Manifest) -> None:
        if kind == DPUDeployment.KIND:
            _no_longer(_at(schema, "spec", "dpus"), "dpuSetStrategy", "nodeEffect")
        elif kind == DPUSet.KIND:
            _no_longer(_at(schema, "spec"), "strategy")
            _no_longer(_at(schema, "spec", "dpuTemplate", "spec"), "nodeEffect")
        elif kind == DPU.KIND:
            _no_longer(_at(schema, "spec"), "nodeEffect")
            _at(schema, "spec")["properties"].pop("blueFieldSoftware", None)
            status = _at(schema, "status")["properties"]
            for absent in ("operationalConditions", "agentStatus", "previousPhase"):
                status.pop(absent, None)
            status["phase"]["enum"] = list(_V25_PHASES)

    return _changed(manifest, older)


def of_v27(manifest: Manifest) -> Manifest:
    """A CRD of a release after v26.4: more phases, a new field with a default, and one without."""

    def newer(kind: str, schema: Manifest) -> None:
        if kind == DPU.KIND:
            _at(schema, "status", "phase")["enum"] += ["Update Firmware", "Of The Future"]
            _at(schema, "spec")["properties"]["tray"] = {"type": "string", "default": "front"}
            _at(schema, "status")["properties"]["seat"] = {"type": "string"}
            _at(schema, "spec")["required"].append("tray")

    return _changed(manifest, newer)


def breaking(manifest: Manifest) -> Manifest:
    """A CRD that this version cannot write: a field that it writes was removed, and a new field is required."""

    def broken(kind: str, schema: Manifest) -> None:
        if kind == DPUDeployment.KIND:
            dpus = _at(schema, "spec", "dpus")
            del dpus["properties"]["flavor"]
            dpus["properties"]["profile"] = {"type": "string"}
            dpus["required"] = [name for name in dpus["required"] if name != "flavor"] + ["profile"]

    return _changed(manifest, broken)


def _changed(manifest: Manifest, change: Callable[[str, Manifest], None]) -> Manifest:
    changed: Manifest = json.loads(json.dumps(manifest))
    for version in changed["spec"]["versions"]:
        change(changed["spec"]["names"]["kind"], version["schema"]["openAPIV3Schema"])
    return changed


def _at(schema: Manifest, *path: str) -> Manifest:
    for name in path:
        schema = schema["properties"][name]
    return schema


def _no_longer(schema: Manifest, *names: str) -> None:
    """Remove names from the required fields."""
    required: Iterable[str] = schema["required"]
    schema["required"] = [name for name in required if name not in names]
    if not schema["required"]:
        del schema["required"]

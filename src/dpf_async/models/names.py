"""Types of names: one NewType for each kind of name, so that swapped arguments do not type-check."""

from __future__ import annotations

from typing import Final, NewType

__all__ = [
    "OPERATOR_GROUP",
    "PROVISIONING_GROUP",
    "SVC_GROUP",
    "UID",
    "DPUName",
    "DeploymentName",
    "DeviceName",
    "MaintenanceName",
    "NodeName",
    "ResourceVersion",
]

PROVISIONING_GROUP: Final = "provisioning.dpu.nvidia.com"
"""API group of the kinds for hosts and DPUs."""

SVC_GROUP: Final = "svc.dpu.nvidia.com"
"""API group of the kinds for deployments and services."""

OPERATOR_GROUP: Final = "operator.dpu.nvidia.com"
"""API group of the operator's settings."""

NodeName = NewType("NodeName", str)
"""Name of a DPUNode."""

DeviceName = NewType("DeviceName", str)
"""Name of a DPUDevice."""

DPUName = NewType("DPUName", str)
"""Name of a DPU."""

MaintenanceName = NewType("MaintenanceName", str)
"""Name of a DPUNodeMaintenance."""

DeploymentName = NewType("DeploymentName", str)
"""Name of a DPUDeployment."""

UID = NewType("UID", str)
"""Identity of an object: never reused, unlike a name."""

ResourceVersion = NewType("ResourceVersion", str)
"""Version of an object or of a list; compared for equality only."""

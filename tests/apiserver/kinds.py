"""The kinds that watches are tried on: a few are defined sooner than all."""

from __future__ import annotations

import json
from typing import Any, Final

from dpf_async import crds
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance
from tests.apiserver.admin import Admin

__all__ = ["install_kinds", "manifests"]

_KINDS: Final = (DPU, DPUDevice, DPUNode, DPUNodeMaintenance)
"""What a node's view is made of."""


def manifests() -> list[dict[str, Any]]:  # Any: it is JSON
    """Their definitions."""
    everything: list[dict[str, Any]] = json.loads(json.dumps(crds.manifests()))
    wanted = {kind.KIND for kind in _KINDS}
    return [manifest for manifest in everything if manifest["spec"]["names"]["kind"] in wanted]


async def install_kinds(cluster: Admin) -> None:
    """Define them, and wait until they are served."""
    await cluster.install_crds(manifests())

"""The kinds for the tests of watches; a few CRDs are installed faster than all."""

from __future__ import annotations

import json
from typing import Any, Final

from dpf_async import crds
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance
from tests.apiserver.admin import Admin

__all__ = ["install_kinds", "manifests"]

_KINDS: Final = (DPU, DPUDevice, DPUNode, DPUNodeMaintenance)
"""The kinds of a node's view."""


def manifests() -> list[dict[str, Any]]:  # Any: it is JSON
    """The CRDs of these kinds."""
    everything: list[dict[str, Any]] = json.loads(json.dumps(crds.manifests()))
    wanted = {kind.KIND for kind in _KINDS}
    return [manifest for manifest in everything if manifest["spec"]["names"]["kind"] in wanted]


async def install_kinds(cluster: Admin) -> None:
    """Install the CRDs, and wait until the kinds are served."""
    await cluster.install_crds(manifests())

"""The comparison with one real API server: its definitions, its connection, its compaction."""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dpf_async import crds
from tests.apiserver.admin import Admin
from tests.conformance.comparison import Difference
from tests.conformance.exchanges import Scenario
from tests.conformance.kinds import definitions
from tests.conformance.runner import compared, embedded
from tests.conformance.servers import connected

__all__ = ["compare_with"]


async def compare_with(
    cluster: Admin, scenarios: Sequence[Scenario], manifests: Sequence[dict[str, Any]] | None = None
) -> list[Difference]:
    """Play the scenarios on this cluster and on an embedded server of its release; return what differs.

    manifests: of the DPF kinds, by default those that are made from the models.
    """
    if manifests is None:
        manifests = json.loads(json.dumps(crds.manifests()))
    await cluster.install_crds([*definitions(), *manifests])
    content = cluster.kubeconfig()
    address, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    tls = ssl.create_default_context(cafile=address["certificate-authority"])
    async with (
        embedded(manifests, release=await cluster.version()) as ours,
        connected(
            "real", address["server"], token=user["token"], ssl=tls, forget=_compaction(cluster)
        ) as theirs,
    ):
        return await compared(ours, theirs, scenarios, prefix=f"conf-{secrets.token_hex(3)}")


def _compaction(cluster: Admin) -> Callable[[], Awaitable[None]] | None:
    return None

"""The comparison with one real API server: its definitions, its connection, its compaction."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from tests.apiserver.admin import Admin, Refused
from tests.apiserver.cluster import RealCluster
from tests.conformance.exchanges import Scenario
from tests.conformance.kinds import GROUP, definitions
from tests.conformance.runner import Comparison, compared, embedded
from tests.conformance.servers import connected

__all__ = ["compare_with"]

_WIDGETS: Final = f"/apis/{GROUP}/v1/widgets"
_POLL_SECONDS: Final = 0.2
_FORGET_SECONDS: Final = 60.0
"""What forgetting may take; the watch cache looks every 15 s."""


async def compare_with(cluster: Admin, scenarios: Sequence[Scenario]) -> Comparison:
    """Play the scenarios on this cluster and on an embedded server with its kinds and its release; compare."""
    await cluster.install_crds(definitions())
    manifests = [
        {**crd, "metadata": {"name": crd["metadata"]["name"]}, "status": {}} for crd in await cluster.crds()
    ]
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
    """Have the cluster forget its history, and wait until it has; None where nobody reaches its etcd."""
    if not isinstance(cluster, RealCluster):
        return None

    async def forget() -> None:
        before = (await cluster.ask("GET", _WIDGETS))["metadata"]["resourceVersion"]
        await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"generateName": "conf-later-"}})
        await cluster.compact()
        with anyio.fail_after(_FORGET_SECONDS):
            while await _shows(cluster, before):  # noqa: ASYNC110
                await anyio.sleep(_POLL_SECONDS)  # nothing tells when the watch cache forgets

    return forget


async def _shows(cluster: Admin, version: str) -> bool:
    try:
        await cluster.ask("GET", f"{_WIDGETS}?resourceVersion={version}&resourceVersionMatch=Exact&limit=1")
    except Refused:
        return False
    return True

"""The comparison with one real API server: its CRDs, its connection and its compaction."""

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
_COMPACTION_SECONDS: Final = 60.0
"""Timeout of a compaction; the watch cache checks for one every 15 s."""


async def compare_with(cluster: Admin, scenarios: Sequence[Scenario]) -> Comparison:
    """Run the scenarios on this cluster and on an embedded server with its CRDs and release; compare the answers."""
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
            "real", address["server"], token=user["token"], ssl=tls, compact=_compaction(cluster)
        ) as theirs,
    ):
        return await compared(ours, theirs, scenarios, prefix=f"conf-{secrets.token_hex(3)}")


def _compaction(cluster: Admin) -> Callable[[], Awaitable[None]] | None:
    """Return a function that compacts the history and waits for it; None if etcd is not reachable."""
    if not isinstance(cluster, RealCluster):
        return None

    async def compact() -> None:
        before = (await cluster.ask("GET", _WIDGETS))["metadata"]["resourceVersion"]
        await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"generateName": "conf-later-"}})
        await cluster.compact()
        with anyio.fail_after(_COMPACTION_SECONDS):
            while await _is_listed(cluster, before):  # noqa: ASYNC110  there is no event for it
                await anyio.sleep(_POLL_SECONDS)

    return compact


async def _is_listed(cluster: Admin, version: str) -> bool:
    try:
        await cluster.ask("GET", f"{_WIDGETS}?resourceVersion={version}&resourceVersionMatch=Exact&limit=1")
    except Refused:
        return False
    return True

"""Replaces the CRDs of a server, as an upgrade of DPF does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from dpf_async.models.differences import normal_schema, schema_differences
from tests.apiserver.admin import Admin

__all__ = ["AdminOf", "Definitions", "definitions"]

JSON = dict[str, Any]  # Any: it is JSON

_POLL_SECONDS: Final = 0.05
_EFFECT_SECONDS: Final = 60.0
"""Seconds that a server may take to publish a changed definition; on an idle machine it takes about two."""


class AdminOf(Admin):
    """The administrator of a server with a known kubeconfig."""

    def __init__(self, kubeconfig: JSON) -> None:
        self._kubeconfig = kubeconfig

    def kubeconfig(self) -> JSON:
        """The kubeconfig."""
        return self._kubeconfig


class Definitions:
    """Replaces definitions by changes of the original ones."""

    def __init__(self, admin: Admin, originals: Iterable[JSON]) -> None:
        self.admin = admin
        self._originals = list(originals)

    async def become(self, change: Callable[[JSON], JSON]) -> None:
        """Replace every definition by the changed original, and wait until they are in use."""
        await self.replace(change)
        await self.published(change)

    async def replace(self, change: Callable[[JSON], JSON]) -> None:
        """The same without waiting until they are in use."""
        for original in self._originals:
            wanted = change(original)
            present = await self.admin.ask("GET", _path(wanted))
            if present["spec"] != wanted["spec"]:
                await self.admin.replace_crd({**wanted, "metadata": present["metadata"]})

    async def published(self, change: Callable[[JSON], JSON]) -> None:
        """Wait until the server publishes the changed definitions; it applies them to objects before that."""
        with anyio.fail_after(_EFFECT_SECONDS):
            # The server does not report when a definition is in use.
            for wanted in map(change, self._originals):
                while not await self._publishes(wanted["spec"]):  # noqa: ASYNC110
                    await anyio.sleep(_POLL_SECONDS)

    async def _publishes(self, spec: JSON) -> bool:
        version = spec["versions"][0]
        document = await self.admin.ask("GET", f"/openapi/v3/apis/{spec['group']}/{version['name']}")
        wanted = version["schema"]["openAPIV3Schema"]
        for name, schema in document["components"]["schemas"].items():
            if name.rpartition(".")[2] == spec["names"]["kind"]:
                return not any(
                    True
                    for part in ("spec", "status")
                    for _ in schema_differences(_part(wanted, part), _part(schema, part))
                )
        return False


@asynccontextmanager
async def definitions(admin: Admin, kinds: Iterable[str]) -> AsyncIterator[Definitions]:
    """The definitions of these kinds, restored when the block is left."""
    kinds = frozenset(kinds)
    found = [crd for crd in await admin.crds() if crd["spec"]["names"]["kind"] in kinds]
    assert {crd["spec"]["names"]["kind"] for crd in found} == kinds
    present = Definitions(admin, found)
    try:
        yield present
    finally:
        # Other tests use the cluster afterwards: a cancelled test restores it, too.
        with anyio.move_on_after(2 * _EFFECT_SECONDS, shield=True):
            await present.become(lambda original: original)


def _part(schema: JSON, part: str) -> JSON:
    return normal_schema(schema.get("properties", {}).get(part, {}))


def _path(manifest: JSON) -> str:
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{manifest['metadata']['name']}"

"""The CRDs of a server in the hands of whoever upgrades DPF there."""

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
_EFFECT_SECONDS: Final = 30.0
"""What a server may take to publish a changed definition; alone on a machine it needs about two seconds."""


class AdminOf(Admin):
    """The administrator of a server whose kubeconfig is at hand."""

    def __init__(self, kubeconfig: JSON) -> None:
        self._kubeconfig = kubeconfig

    def kubeconfig(self) -> JSON:
        """It."""
        return self._kubeconfig


class Definitions:
    """Replaces definitions, always beginning from those that were there at first."""

    def __init__(self, admin: Admin, originals: Iterable[JSON]) -> None:
        self.admin = admin
        self._originals = list(originals)

    async def become(self, change: Callable[[JSON], JSON]) -> None:
        """Replace every definition by what `change` makes of its original; they are in use when this returns."""
        await self.replace(change)
        await self.published(change)

    async def replace(self, change: Callable[[JSON], JSON]) -> None:
        """The same without waiting for the server to act upon it."""
        for original in self._originals:
            wanted = change(original)
            present = await self.admin.ask("GET", _path(wanted))
            if present["spec"] != wanted["spec"]:
                await self.admin.replace_crd({**wanted, "metadata": present["metadata"]})

    async def published(self, change: Callable[[JSON], JSON]) -> None:
        """Wait until the server publishes what it was given: what it does with objects changes before that."""
        with anyio.fail_after(_EFFECT_SECONDS):
            # The server does not tell when it has caught up.
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
    """The definitions of these kinds; when the block is left they are what they were."""
    kinds = frozenset(kinds)
    found = [crd for crd in await admin.crds() if crd["spec"]["names"]["kind"] in kinds]
    assert {crd["spec"]["names"]["kind"] for crd in found} == kinds
    present = Definitions(admin, found)
    try:
        yield present
    finally:
        # Others use the cluster after us: a test that is cut off restores it, too.
        with anyio.move_on_after(2 * _EFFECT_SECONDS, shield=True):
            await present.become(lambda original: original)


def _part(schema: JSON, part: str) -> JSON:
    return normal_schema(schema.get("properties", {}).get(part, {}))


def _path(manifest: JSON) -> str:
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{manifest['metadata']['name']}"

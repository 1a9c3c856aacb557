"""BFBController: downloads BFBs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpf_async._log import log
from dpf_async.models import BFB, BFBPhase, BFBStatus, BFBVersionsFound, Resource, known
from dpf_async.sim.operator.controllers.base import BaseController, map_to_self
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Mapper, Requeue, requeue_after

_VERSIONS = {"bsp": "4.13.0", "doca": "3.2.0", "uefi": "4.13.0", "atf": "v2.2"}
"""The versions found in every image, unless the BFB specifies others (docs/dpf/timings.md#sample-values)."""


class BFBController(BaseController):
    """Moves BFBs through Initializing and Downloading to Ready or Error (docs/dpf/deployments.md#bfb)."""

    name: ClassVar[str] = "bfb"
    kind: ClassVar[type[Resource]] = BFB

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Only its own kind."""
        return {BFB: map_to_self}

    async def reconcile(self, name: str) -> Requeue | None:
        """Apply the next step of the download or of the deletion."""
        bfb = self.cluster.get(BFB, name)
        if bfb is None:
            return None
        status = changed(bfb.status, observed_generation=bfb.metadata.generation)
        if bfb.terminating:
            bfb = await self.cluster.write_status(bfb, changed(status, phase=BFBPhase.DELETING))
            await self.cluster.remove_finalizer(bfb, known.BFB_FINALIZER)
            return None
        bfb = await self.cluster.add_finalizer(bfb, known.BFB_FINALIZER)
        if bfb.status.phase == BFBPhase.INITIALIZING:
            await self.cluster.write_status(bfb, changed(status, phase=BFBPhase.DOWNLOADING))
        elif bfb.status.phase == BFBPhase.DOWNLOADING:
            return await self._download(bfb, status)
        return None

    async def _download(self, bfb: BFB, status: BFBStatus) -> Requeue | None:
        work = self.hardware.download(bfb)
        if work.failure:
            log.warning("bfb_download_failed", bfb=bfb.name, reason=work.failure)
            await self.cluster.write_status(bfb, changed(status, phase=BFBPhase.ERROR))
        elif not work.done:
            return requeue_after(work.left)
        else:
            specified = bfb.spec.versions
            versions = BFBVersionsFound(
                **(_VERSIONS if specified is None else specified.model_dump(exclude_unset=True))
            )
            file_name = naming.bfb_file(bfb.namespace, bfb.name, bfb.spec.file_name)
            done = changed(status, phase=BFBPhase.READY, file_name=file_name, versions=versions)
            await self.cluster.write_status(bfb, done)
        return None

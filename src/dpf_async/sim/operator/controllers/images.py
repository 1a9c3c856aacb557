"""BFBs are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpf_async._log import log
from dpf_async.models import BFB, BFBPhase, BFBStatus, BFBVersionsFound, Resource, known
from dpf_async.sim.operator.controllers.base import Base, itself
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.patches import changed
from dpf_async.sim.operator.runtime.queue import Later, Mapper, after

_VERSIONS = {"bsp": "4.13.0", "doca": "3.2.0", "uefi": "4.13.0", "atf": "v2.2"}
"""What every image turns out to have, unless its BFB says otherwise (dpf-facts 14.1)."""


class BFBController(Base):
    """Initializing, Downloading, Ready or Error (dpf-facts 7.3)."""

    name: ClassVar[str] = "bfb"
    kind: ClassVar[type[Resource]] = BFB

    @property
    def watches(self) -> Mapping[type[Resource], Mapper]:
        """Its own kind."""
        return {BFB: itself}

    async def reconcile(self, name: str) -> Later | None:
        """Take the next step of a download, or of a deletion."""
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

    async def _download(self, bfb: BFB, status: BFBStatus) -> Later | None:
        work = self.hardware.download(bfb)
        if work.failure:
            log.warning("bfb_download_failed", bfb=bfb.name, reason=work.failure)
            await self.cluster.write_status(bfb, changed(status, phase=BFBPhase.ERROR))
        elif not work.done:
            return after(work.left)
        else:
            said = bfb.spec.versions
            versions = BFBVersionsFound(
                **(_VERSIONS if said is None else said.model_dump(exclude_unset=True))
            )
            file_name = naming.bfb_file(bfb.namespace, bfb.name, bfb.spec.file_name)
            done = changed(status, phase=BFBPhase.READY, file_name=file_name, versions=versions)
            await self.cluster.write_status(bfb, done)
        return None

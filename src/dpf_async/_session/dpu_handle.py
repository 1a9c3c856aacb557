"""DPUHandle: one DPU by its name, including the DPUs that get its name later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dpf_async._readers.transition_stream import TransitionStream
from dpf_async._session.handles import ObjectHandle
from dpf_async._transitions.derive import derive_dpu
from dpf_async._transitions.health import DPUHealth, health_of
from dpf_async._transitions.hub import Hub
from dpf_async._transitions.views import DPUView

if TYPE_CHECKING:
    from dpf_async._session.resources import Resources
    from dpf_async._session.sources import Source
    from dpf_async.models import DPU


class DPUHandle(ObjectHandle[DPUView]):
    """One DPU by its name, whether it exists or not. Get one from DPFClient.dpu.

    Args:
        name: of the DPU.
        source: where its views come from.
        dpus: reads DPUs from the API server.
    """

    def __init__(self, name: str, source: Source[DPUView, DPUView | None], dpus: Resources[DPU]) -> None:
        super().__init__(name, source)
        self._dpus = dpus

    async def is_ready(self) -> bool:
        """Whether the DPU is ready according to the API server; see DPUView.ready. A DPU being deleted is not.

        Raises:
            NotFound: there is no such DPU.
        """
        return DPUView(await self._dpus.get_state(self.name)).ready

    def transitions(self) -> TransitionStream[DPUView | None, DPUView | None]:
        """The transitions of this DPU, and of the DPUs that get its name after it.

        The existing state is reported first; see NodeHandle.transitions.
        """

        @asynccontextmanager
        async def enter() -> AsyncIterator[Hub[DPUView | None]]:
            hub = await self._source.hub()
            await self._source.sync()
            yield hub

        return TransitionStream(
            enter,
            lambda _, before, after, contiguous: derive_dpu(before, after, contiguous=contiguous),
            key=self.name,
            existing=lambda: [self.name],
            matches=lambda view: view is not None,
            next_state=lambda _, view: view,
        )

    async def health(self) -> DPUHealth:
        """The current problems of this DPU, including everything that this client wrote.

        Raises:
            NotFound: there is no DPU of this name.
            DecodeError: there is one, and it cannot be decoded.
        """
        return health_of(await self.view())

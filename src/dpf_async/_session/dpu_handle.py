"""DPUHandle: one DPU, whatever incarnation has its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from dpf_async._readers.transition_stream import TransitionStream
from dpf_async._session.handles import ObjectCache, ObjectHandle
from dpf_async._session.node_handle import dpu_failed
from dpf_async._transitions.derive import derive_dpu
from dpf_async._transitions.health import DPUHealth, health_of
from dpf_async._transitions.hub import Hub
from dpf_async._transitions.levels import Level
from dpf_async._transitions.view import DPUView, describe
from dpf_async._watch.reflector import Reflector
from dpf_async.errors import DPUFailed
from dpf_async.models import DPU


class DPUHandle(ObjectHandle[DPUView]):
    """One DPU by its name, whether it exists or not. Get one from DPFClient.dpu."""

    def __init__(
        self,
        name: str,
        *,
        picture: Callable[[], Awaitable[ObjectCache[DPU, DPUView]]],
        fresh: Callable[[Reflector[Any]], Awaitable[None]],  # Any: it is fresh whatever its kind
    ) -> None:
        super().__init__(
            DPU.KIND,
            name,
            picture=picture,
            fresh=fresh,
            describe=describe,
            verdict=_verdict,
        )

    def transitions(self) -> TransitionStream[DPUView | None, DPUView | None]:
        """What happens to this DPU, and to the ones that take its name after it.

        The reader is first told of what stands; see NodeHandle.transitions.
        """

        @asynccontextmanager
        async def enter() -> AsyncIterator[Hub[DPUView | None]]:
            picture = await self._picture()
            await self._fresh(picture.reflector)
            yield picture.hub

        def keys() -> Iterable[str]:
            return [self.name]

        return TransitionStream(
            enter,
            lambda _, before, after, contiguous: derive_dpu(before, after, contiguous=contiguous),
            key=self.name,
            keys=keys,
            select=lambda view: view is not None,
            settle=lambda _, view: view,
        )

    async def health(self) -> DPUHealth:
        """What is wrong with this DPU now, everything this client wrote included.

        Raises:
            NotFound: there is no DPU of this name.
            DecodeError: there is one, and it cannot be read.
        """
        return health_of(await self.view())


def _verdict(view: DPUView, condition: Level[Any], waited: float) -> DPUFailed | None:
    if view.failed and not condition.survives_failure:
        return dpu_failed(view, condition, view, waited)
    return None

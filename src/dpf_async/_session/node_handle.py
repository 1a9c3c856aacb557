"""NodeHandle: one host by the name of its DPUNode; also answers the two requests that DPF makes about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, overload

from dpf_async._handshakes.hold import hold_applied, release_hold
from dpf_async._handshakes.reboot import confirm_reboot, is_waiting_for_reboot, reboot_accepted
from dpf_async._readers.health_stream import damping
from dpf_async._session.handles import Handle
from dpf_async._session.host_streams import health_stream, transition_stream
from dpf_async._transitions.health import NodeHealth, health_of
from dpf_async._transitions.views import NodeView
from dpf_async.models import DPUNode, DPUNodeMaintenance, Resource

if TYPE_CHECKING:
    from dpf_async._handshakes.handshakes import Handshakes
    from dpf_async._handshakes.requests import HoldRequest, RebootRequest
    from dpf_async._readers.health_stream import HealthStream
    from dpf_async._readers.transition_stream import NodeTransitionStream
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._session.host_streams import Hosts
    from dpf_async._session.sources import Source
    from dpf_async._transitions.levels import Level


class NodeHandle(Handle[NodeView, NodeView]):
    """One host by the name of its DPUNode, whether it exists or not. Get one from DPFClient.node.

    Args:
        name: of the DPUNode.
        source: where its views come from.
        hosts: this host, as streams report it.
        handshakes: of the client.
        handle: returns the handle on an object of any kind. Any: the view depends on the kind.
    """

    def __init__(
        self,
        name: str,
        source: Source[NodeView, NodeView],
        hosts: Hosts,
        handshakes: Handshakes,
        handle: Callable[[type[Resource], str], ObjectHandle[Any]],
    ) -> None:
        super().__init__(name, source)
        self._hosts = hosts
        self._handshakes = handshakes
        self._handle = handle

    async def view(self) -> NodeView:
        """The current view, including everything that this client wrote.

        A node that does not exist has a view too: `exists` is False.

        Raises:
            Unauthorized, Forbidden, KindNotServed: it cannot be read until an administrator changes that.
        """
        return await self._read()

    async def health(self) -> NodeHealth:
        """The current problems of the host's DPUs, and whether it is usable, including everything this client wrote.

        A node that does not exist has a health too: `usable` is False, and `uid` is empty.

        Raises:
            Unauthorized, Forbidden, KindNotServed: it cannot be read until an administrator changes that.
        """
        return health_of(await self.view())

    def transitions(self, *, since: Mapping[str, Any] | None = None) -> NodeTransitionStream:
        """The transitions of this node and the objects that refer to it: `async with … as s: async for … in s`.

        The existing state is reported first. A slow reader receives the newest state, and `contiguous` is False if it
        missed some; it delays no other reader.

        Args:
            since: a checkpoint of such a stream of this node: only what changed since then is reported.

        Raises:
            UsageError: since is no checkpoint of such a stream, or one of another release.
        """
        return transition_stream(self._hosts, since)

    def health_transitions(
        self, *, down_after: float = 0.0, up_after: float = 0.0, still_after: float | None = None
    ) -> HealthStream:
        """How the health of this host's DPUs changes, and whether it is usable; see DPFClient.health_transitions."""
        return health_stream(
            self._hosts, damping(down_after=down_after, up_after=up_after, still_after=still_after)
        )

    # Requests of DPF.

    @overload
    def external_reboot(
        self, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[RebootRequest]: ...

    @overload
    def external_reboot(
        self, *, unless: Level[NodeView], timeout: float | None = None
    ) -> AbstractAsyncContextManager[RebootRequest | None]: ...

    def external_reboot(
        self, *, unless: Level[NodeView] | None = None, timeout: float | None = None
    ) -> AbstractAsyncContextManager[RebootRequest | None]:
        """Wait until DPF requests a reboot of the host, reboot it in the block, and confirm it by leaving the block.

        If the block is left with an exception, or cancelled, the request stays pending and the next worker receives it.
        Within one client each request is worked on once, for any number of waiting workers. After the block was left
        without an exception, the confirmation is retried until it is accepted or rejected; if cancelled in that moment,
        for 5 s more.

        Among clients with `claims=`, one at a time works on a node, and each request is answered once. The work may be
        done twice, when a client dies or does not renew its claim while it works: see `earlier` of the request.

        Args:
            unless: stop waiting when this holds, and enter the block with None; leaving it confirms nothing.
            timeout: seconds to wait for the request; it does not bound the block.

        Raises:
            WaitTimeout: no request in time, or another worker of this client still works on it, or another client has
                the claim on the node.
            ClaimLost: on leaving the block: another client acquired the claim meanwhile. The block is not interrupted
                for that, since half a power cycle is worse than two.
            Forbidden: claims need a permission that is missing.
            ObjectReplaced, DPUFailed: as for `until`.

        Source: docs/dpf/reboot.md#external-sequence.
        """
        return self._handshakes.answering(self, self._handshakes.reboot, unless=unless, timeout=timeout)

    @overload
    def node_effect_hold(
        self, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[HoldRequest]: ...

    @overload
    def node_effect_hold(
        self, *, unless: Level[NodeView], timeout: float | None = None
    ) -> AbstractAsyncContextManager[HoldRequest | None]: ...

    def node_effect_hold(
        self, *, unless: Level[NodeView] | None = None, timeout: float | None = None
    ) -> AbstractAsyncContextManager[HoldRequest | None]:
        """Wait until DPF holds the node, drain the host in the block, and release the hold by leaving the block.

        If the block is left with an exception, or cancelled, the hold stays. The rest is as for `external_reboot`.

        Args:
            unless: stop waiting when this holds, and enter the block with None; leaving it releases nothing.
            timeout: seconds to wait for the hold; it does not bound the block.

        Raises:
            WaitTimeout: no hold in time, or another worker still works on it.
            ClaimLost, Forbidden: as for `external_reboot`.
            ObjectReplaced, DPUFailed: as for `until`.

        Source: docs/dpf/hold.md#hold-sequence.
        """
        return self._handshakes.answering(self, self._handshakes.hold, unless=unless, timeout=timeout)

    async def is_waiting_for_reboot(self) -> bool:
        """Whether DPF waits for an external reboot of this host, according to the API server.

        Raises:
            NotFound: there is no such DPUNode.
        """
        return await is_waiting_for_reboot(self._handshakes.nodes, self.name)

    async def confirm_reboot(self, *, timeout: float | None = None) -> bool:
        """Confirm that the host was rebooted, without waiting for a request; see DPFClient.mark_dpu_node_rebooted."""
        if not await confirm_reboot(self._handshakes.nodes, self.name):
            return False
        if timeout is not None:
            # A handle on the DPUNode alone, which needs fewer permissions than this one.
            await self._handle(DPUNode, self.name).until(reboot_accepted, timeout=timeout)
        return True

    async def release_hold(self, *, in_advance: bool = False, timeout: float | None = None) -> bool:
        """Release the hold, without waiting for it; see DPFClient.mark_dpu_node_ready_for_maintenance."""
        handshakes = self._handshakes
        maintenance = await release_hold(
            handshakes.nodes, handshakes.maintenances, self.name, in_advance=in_advance
        )
        if maintenance is None:
            return False
        if timeout is not None:
            await self._handle(DPUNodeMaintenance, maintenance).until(hold_applied, timeout=timeout)
        return True

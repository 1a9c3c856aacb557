"""Session: what a client has while it is entered, and the handles, resources and streams that it makes from that."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from dpf_async._base.locks import Locks
from dpf_async._handshakes.claim_acquisition import ClaimAcquisition
from dpf_async._handshakes.handshakes import Handshakes
from dpf_async._session.caches import Caches
from dpf_async._session.dpu_handle import DPUHandle
from dpf_async._session.handles import ObjectHandle
from dpf_async._session.host_streams import Hosts, MatchingHosts, health_stream, transition_stream
from dpf_async._session.node_handle import NodeHandle
from dpf_async._session.resources import Resources
from dpf_async._session.sources import NodeSource, ObjectSource
from dpf_async.models import DPU, DPUNode, DPUNodeMaintenance, Lease, Resource

if TYPE_CHECKING:
    from dpf_async._api.transport import Transport
    from dpf_async._handshakes.claims import Claims
    from dpf_async._readers.health_stream import HealthStream
    from dpf_async._readers.transition_stream import NodeTransitionStream
    from dpf_async._session.reflectors import SharedReflectors
    from dpf_async._transitions.health_transitions import Damping

T = TypeVar("T", bound=Resource)


class Session:
    """The connection, the caches and the handshakes of one entered client.

    Args:
        transport: the connection to the API server.
        reflectors: keep the caches up to date.
        stack: closed when the client is left.
        namespace: of DPF.
        field_manager: the name under which the client writes.
        claims: how nodes are claimed; None if they are not.
    """

    def __init__(
        self,
        transport: Transport,
        reflectors: SharedReflectors,
        stack: AsyncExitStack,
        namespace: str,
        *,
        field_manager: str,
        claims: Claims | None,
    ) -> None:
        self.transport = transport
        self.reflectors = reflectors
        self.namespace = namespace
        self.caches = Caches(reflectors, namespace, stack)
        self._field_manager = field_manager
        self._handshakes = Handshakes(
            self.resource(DPUNode),
            self.resource(DPUNodeMaintenance),
            Locks(),
            ClaimAcquisition(claims, self.resource(Lease), self.caches.claims) if claims else None,
        )

    def resource(self, kind: type[T]) -> Resources[T]:
        return Resources(
            self.transport, kind, self.namespace, self.reflectors, field_manager=self._field_manager
        )

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:  # Any: the view depends on the kind
        return self.dpu(name) if kind is DPU else ObjectHandle(name, ObjectSource(kind, self.caches))

    def dpu(self, name: str) -> DPUHandle:
        return DPUHandle(name, ObjectSource(DPU, self.caches), self.resource(DPU))

    def node(self, name: str) -> NodeHandle:
        return NodeHandle(
            name, NodeSource(self.caches), Hosts(self.caches, name), self._handshakes, self.handle
        )

    def transitions(self, label_selector: str, since: Mapping[str, Any] | None) -> NodeTransitionStream:
        return transition_stream(self._hosts(label_selector), since)

    def health_transitions(self, label_selector: str, damping: Damping) -> HealthStream:
        return health_stream(self._hosts(label_selector), damping)

    async def server_version(self) -> str:
        return await self.resource(DPU).server_version()

    def _hosts(self, label_selector: str) -> Hosts:
        return MatchingHosts(self.caches, label_selector) if label_selector else Hosts(self.caches)

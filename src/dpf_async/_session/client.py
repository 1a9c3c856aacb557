"""Client: what flows need of a DPFClient. They are below it, so they depend on this protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async._readers.health_stream import HealthStream
    from dpf_async._session.dpu_handle import DPUHandle
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._session.node_handle import NodeHandle
    from dpf_async._session.resources import Resources
    from dpf_async._transitions.views import DeploymentView

T = TypeVar("T", bound=Resource)


class Client(Protocol):
    """An entered DPFClient."""

    def resource(self, kind: type[T]) -> Resources[T]:
        """The typed objects of one kind."""

    def node(self, name: str) -> NodeHandle:
        """The handle on a host, by the name of its DPUNode."""

    def dpu(self, name: str) -> DPUHandle:
        """The handle on a DPU."""

    def deployment(self, name: str) -> ObjectHandle[DeploymentView]:
        """The handle on a DPUDeployment."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """The handle on an object of any kind. Any: the view depends on the kind."""

    def health_transitions(
        self,
        *,
        label_selector: str = "",
        down_after: float = 0.0,
        up_after: float = 0.0,
        still_after: float | None = None,
    ) -> HealthStream:
        """How the health of the site's hosts changes."""

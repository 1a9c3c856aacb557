"""Handles on objects, typed CRUD, and the streams of a whole site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dpf_async._base.names import validate_name
from dpf_async._readers.health_stream import damping
from dpf_async.errors import UsageError
from dpf_async.models import DPU, DPUDeployment, DPUNode, Resource

if TYPE_CHECKING:
    from dpf_async._readers.health_stream import HealthStream
    from dpf_async._readers.transition_stream import NodeTransitionStream
    from dpf_async._session.dpu_handle import DPUHandle
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._session.node_handle import NodeHandle
    from dpf_async._session.resources import Resources
    from dpf_async._session.session import Session
    from dpf_async._transitions.views import DeploymentView

T = TypeVar("T", bound=Resource)


class ObjectMethods:
    """The methods of DPFClient that give handles and streams."""

    namespace: str
    _session: Session | None = None

    def resource(self, kind: type[T]) -> Resources[T]:
        """Typed objects of any kind: get, list, create, apply, patch, delete, watch."""
        return self._entered.resource(kind)

    def node(self, name: str) -> NodeHandle:
        """The handle on a host, by the name of its DPUNode.

        Raises:
            UsageError: no object can have this name.
        """
        return self._entered.node(validate_name(DPUNode, name))

    def dpu(self, name: str) -> DPUHandle:
        """The handle on a DPU.

        Raises:
            UsageError: no object can have this name.
        """
        return self._entered.dpu(validate_name(DPU, name))

    def deployment(self, name: str) -> ObjectHandle[DeploymentView]:
        """The handle on a DPUDeployment.

        Raises:
            UsageError: no object can have this name.
        """
        return self.handle(DPUDeployment, name)

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:  # Any: the view depends on the kind
        """The handle on an object of any kind; its views are ObjectStates where the kind has no view class.

        Raises:
            UsageError: no object can have this name.
        """
        return self._entered.handle(kind, validate_name(kind, name))

    def transitions(
        self, *, label_selector: str = "", since: Mapping[str, Any] | None = None
    ) -> NodeTransitionStream:
        """Transitions of every host of the site: `async with … as stream: async for transition in stream`.

        The stream first yields the current state; see NodeHandle.transitions.

        Args:
            label_selector: only hosts whose DPUNode matches, in Kubernetes' syntax. A host that stops matching yields
                NodeGone.
            since: a checkpoint of such a stream with the same selector: the stream yields only what changed since.

        Raises:
            UsageError: since is not a checkpoint of such a stream, or comes from an incompatible release.
        """
        return self._entered.transitions(label_selector, since)

    def health_transitions(
        self,
        *,
        label_selector: str = "",
        down_after: float = 0.0,
        up_after: float = 0.0,
        still_after: float | None = None,
    ) -> HealthStream:
        """Changes of the health of DPUs and of which hosts are usable: `async with … as stream: async for … in stream`.

        The stream first yields the current problems. Then it yields each problem that begins or ends, and each change
        of whether a host is usable. Within a host, problems come before NodeUsable and NodeUnusable.

        A DPU that enters Node Effect or Error, or that is deleted, is reported at once, regardless of the arguments.
        Everything else can be damped; see docs/how-to/monitor.md.

        Args:
            label_selector: only hosts whose DPUNode matches. A host that stops matching yields its removal.
            down_after: seconds for which a problem must last before it is reported; shorter ones are only counted.
            up_after: seconds for which a problem must be absent before it counts as ended and that is reported.
            still_after: seconds after which a problem that lasts is reported again (StillUnhealthy); None never does.

        Raises:
            UsageError: a number of seconds is below 0.

        Source: docs/dpf/health.md#leaving-ready.
        """
        health_damping = damping(down_after=down_after, up_after=up_after, still_after=still_after)
        return self._entered.health_transitions(label_selector, health_damping)

    @property
    def _entered(self) -> Session:
        if self._session is None:
            raise UsageError("this DPFClient is not entered: use it with `async with DPFClient() as dpf:`")
        return self._session

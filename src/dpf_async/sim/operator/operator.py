"""Operator: the simulated DPF operator for one namespace of any API server, accessed only by HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio

from dpf_async import DPFClient, WatchPolicy
from dpf_async._api.config import Kubeconfig
from dpf_async._base.tasks import background_tasks
from dpf_async._log import log
from dpf_async.errors import ConnectionFailed, ServerError, TooManyRequests, UsageError
from dpf_async.models import Resource, known
from dpf_async.sim.operator.controllers.agents import AgentController
from dpf_async.sim.operator.controllers.base import BaseController, Context
from dpf_async.sim.operator.controllers.clusters import DPUClusterController
from dpf_async.sim.operator.controllers.deployments import DPUDeploymentController
from dpf_async.sim.operator.controllers.devices import DPUDeviceController
from dpf_async.sim.operator.controllers.dpus import DPUController
from dpf_async.sim.operator.controllers.health import DPUReadyController
from dpf_async.sim.operator.controllers.images import BFBController
from dpf_async.sim.operator.controllers.maintenances import DPUNodeMaintenanceController
from dpf_async.sim.operator.controllers.nodes import DPUNodeController
from dpf_async.sim.operator.controllers.services import service_controllers
from dpf_async.sim.operator.controllers.sets import DPUSetController
from dpf_async.sim.operator.hardware.hardware import Hardware
from dpf_async.sim.operator.hardware.profiles import INSTANT, Profile, profile_of
from dpf_async.sim.operator.hardware.troubles import Troubles
from dpf_async.sim.operator.runtime.cache import Listener
from dpf_async.sim.operator.runtime.cluster import DEPLOYMENT_FIELD_MANAGER, FIELD_MANAGER, Cluster
from dpf_async.sim.operator.runtime.queue import Mapper, Queue

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

_WATCH_POLICY = WatchPolicy(backoff_base=0.05, backoff_cap=5.0)
"""Short backoff after a watch ended: a simulated site does not share its API server."""

_RECHECK_SECONDS = 0.02
"""Seconds between two comparisons of the caches with the server."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Operator(anyio.AsyncContextManagerMixin):
    """async with Operator(kubeconfig=…): runs the simulated controllers of DPF until the block is left.

    All state is in the objects of the API server: after a restart it continues from there.

    Args:
        kubeconfig, context: as for DPFClient.
        namespace: the namespace that it manages.
        profile: the durations: "instant", "demo", "realistic", or a Profile.
        troubles: the simulated troubles, see `troubles`; they can be switched later.
        policy: backoff and timeouts of its watches.
        clock: returns the current time, which it writes to the objects; an aware datetime.

    An exception in a controller that is not a DPFError, which is a bug, ends the block.
    """

    def __init__(
        self,
        *,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
        namespace: str = known.DPF_NAMESPACE,
        profile: str | Profile = INSTANT,
        troubles: Troubles | Iterable[str] = (),
        policy: WatchPolicy = _WATCH_POLICY,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.profile: Profile = profile_of(profile)
        self.troubles: Troubles = troubles if isinstance(troubles, Troubles) else Troubles(troubles)
        self.hardware: Hardware = Hardware(self.profile, self.troubles)
        self._clock = clock
        self._clients = [
            DPFClient(
                kubeconfig=kubeconfig,
                context=context,
                namespace=namespace,
                policy=policy,
                field_manager=manager,
            )
            for manager in (FIELD_MANAGER, DEPLOYMENT_FIELD_MANAGER)
        ]
        self._cluster: Cluster | None = None
        self._queues: list[Queue] = []
        self._progress = anyio.Event()
        self._last_work = 0.0

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        dpf, applier = self._clients
        async with dpf, applier, background_tasks() as tasks:
            cluster = self._cluster = Cluster(dpf, applier)
            context = Context(cluster, self.hardware, self.profile, self.troubles, self._clock)
            self._queues = [self._queue(controller) for controller in _controllers(context)]
            for queue in self._queues:
                for kind, mapper in queue.controller.watches.items():
                    cluster.all(kind).listen(_enqueue_changes(queue, kind, mapper))
            for kind in cluster.kinds:
                cluster.all(kind).listen(self._discard_hardware)
            self.troubles.listen(self.reconcile_all)
            await cluster.start_versions()
            await self._watch_all(cluster, tasks)
            for queue in self._queues:
                tasks.start_soon(queue.run)
            log.info("operator_started", namespace=cluster.namespace, profile=self.profile.name)
            try:
                yield self
            finally:
                self._cluster, self._queues = None, []

    def reconcile_all(self) -> None:
        """Reconcile all objects, because something outside of the cluster has changed."""
        for queue in self._queues:
            for name in queue.controller.names():
                queue.add(name)

    async def settled(self, timeout: float | None = None) -> None:
        """Wait until there is nothing left to do.

        After it returns: the operator has received and handled every state of the server, no reconcile has failed, and
        none is expected, apart from periodic ones and timeouts.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: work remains; the message describes it.
        """
        cluster = self._cluster
        if cluster is None:
            raise UsageError("this Operator is not entered: use it with `async with`")
        with anyio.move_on_after(timeout):
            while True:
                await self.idle()
                if not await self._is_behind(cluster) and self._is_idle:
                    return
                with anyio.move_on_after(_RECHECK_SECONDS):
                    await self._progress.wait()
        raise TimeoutError(f"not settled after {timeout or 0:g} s: {self.activity}")

    async def idle(self) -> None:
        """Wait until all events received so far are handled. The server may have newer states."""
        while not self._is_idle:
            if not any(queue.busy for queue in self._queues):
                # The caller waits for the summaries: do not wait for a quiet moment.
                for queue in self._queues:
                    queue.add_deferred()
            await self._progress.wait()

    @property
    def activity(self) -> str:
        """Description of the pending work."""
        parts = [queue.activity for queue in self._queues if queue.activity]
        return "; ".join(parts) or "waiting for the watches to catch up with the server"

    async def _watch_all(self, cluster: Cluster, tasks: TaskGroup) -> None:
        """Start the watch of every kind, and wait until all caches are complete, before any controller runs."""
        missing = set(cluster.kinds)
        complete = anyio.Event()

        def synced(kind: type[Resource]) -> None:
            missing.discard(kind)
            if not missing:
                complete.set()

        for kind in cluster.kinds:
            tasks.start_soon(cluster.watch, kind, partial(synced, kind))
        await complete.wait()

    async def _is_behind(self, cluster: Cluster) -> bool:
        try:
            return await cluster.is_behind()
        except (ConnectionFailed, ServerError, TooManyRequests):
            # The state of a server that does not respond is unknown.
            return True

    def _discard_hardware(self, before: Resource | None, after: Resource | None) -> None:
        if before is not None and after is None:
            self.hardware.discard(before.uid)

    def _queue(self, controller: BaseController) -> Queue:
        return Queue(
            controller,
            retry_base=self.profile.retry_base,
            retry_cap=self.profile.retry_cap,
            on_change=self._on_progress,
            quiet_seconds=self._quiet_seconds,
        )

    @property
    def _is_idle(self) -> bool:
        return all(queue.idle for queue in self._queues)

    def _quiet_seconds(self) -> float:
        """Seconds since the last reconcile ended; 0 while one runs or is pending."""
        busy = any(queue.busy for queue in self._queues)
        return 0.0 if busy else anyio.current_time() - self._last_work

    def _on_progress(self) -> None:
        self._last_work = anyio.current_time()
        self._progress.set()
        self._progress = anyio.Event()


def _controllers(context: Context) -> list[BaseController]:
    return [
        BFBController(context),
        DPUClusterController(context),
        *service_controllers(context),
        DPUDeploymentController(context),
        DPUSetController(context),
        DPUNodeController(context),
        DPUDeviceController(context),
        DPUNodeMaintenanceController(context),
        DPUController(context),
        AgentController(context),
        DPUReadyController(context),
    ]


def _enqueue_changes(queue: Queue, kind: type[Resource], mapper: Mapper) -> Listener:
    summarizes = kind in queue.controller.summarizes

    def changed(before: Any, after: Any) -> None:  # Any: a Resource, or None
        # Deletions are not only counted: the controller replaces the object.
        add = queue.add_when_idle if summarizes and after is not None and not after.terminating else queue.add
        for name in mapper(before, after):
            add(name)

    return changed

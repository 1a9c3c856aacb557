"""The simulated DPF operator: controllers over one namespace of any API server, seen through HTTP alone."""

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
from dpf_async.sim.operator.controllers.base import Base, Site
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

_PATIENCE = WatchPolicy(backoff_base=0.05, backoff_cap=5.0)
"""Back at once after a watch was cut: a simulated site has a server to itself."""

_SECOND_LOOK = 0.02
"""Seconds between two comparisons with a server that has something the operator has not seen yet."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Operator(anyio.AsyncContextManagerMixin):
    """async with Operator(kubeconfig=…): DPF's controllers, simulated, until the block is left.

    It finds what it manages by watching, and keeps nothing that the objects do not say: stopped and started again, it
    goes on where things stand.

    Args:
        kubeconfig, context: as for DPFClient.
        namespace: the one it cares for.
        profile: how long things take: "instant", "demo", "realistic", or a Profile.
        troubles: what goes wrong, see `troubles`; they can be switched later.
        policy: how patient its watches are.
        clock: wall clock of the times it writes; an aware datetime.

    A bug in a controller ends the block with that exception.
    """

    def __init__(
        self,
        *,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
        namespace: str = known.DPF_NAMESPACE,
        profile: str | Profile = INSTANT,
        troubles: Troubles | Iterable[str] = (),
        policy: WatchPolicy = _PATIENCE,
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
        self._moved = anyio.Event()
        self._last_work = 0.0

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        dpf, applier = self._clients
        async with dpf, applier, background_tasks() as tasks:
            cluster = self._cluster = Cluster(dpf, applier)
            site = Site(cluster, self.hardware, self.profile, self.troubles, self._clock)
            self._queues = [self._queue(controller) for controller in _controllers(site)]
            for queue in self._queues:
                for kind, mapper in queue.controller.watches.items():
                    cluster.all(kind).listen(_feeding(queue, kind, mapper))
            for kind in cluster.kinds:
                cluster.all(kind).listen(self._forget)
            self.troubles.listen(self.look_again)
            await cluster.start_versions()
            await self._follow_all(cluster, tasks)
            for queue in self._queues:
                tasks.start_soon(queue.run)
            log.info("operator_started", namespace=cluster.namespace, profile=self.profile.name)
            try:
                yield self
            finally:
                self._cluster, self._queues = None, []

    def look_again(self) -> None:
        """Have everything looked at: something outside of the cluster has changed."""
        for queue in self._queues:
            for name in queue.controller.names():
                queue.add(name)

    async def settled(self, timeout: float | None = None) -> None:
        """Wait until there is nothing left to do for now.

        True when it returns: everything the server had was seen and acted upon, nothing failed last time, and nothing
        will happen by itself, apart from second looks and from bounds that may run out.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: it goes on; the message says what with.
        """
        cluster = self._cluster
        if cluster is None:
            raise UsageError("this operator is not entered: use it with `async with`")
        with anyio.move_on_after(timeout):
            while True:
                await self.idle()
                if not await self._lags(cluster) and self._is_idle:
                    return
                with anyio.move_on_after(_SECOND_LOOK):
                    await self._moved.wait()
        raise TimeoutError(f"not settled after {timeout or 0:g} s: {self.business}")

    async def idle(self) -> None:
        """Wait until what was seen so far has been dealt with. More may have happened than was seen."""
        while not self._is_idle:
            if not any(queue.busy for queue in self._queues):
                # The caller waits for the summaries: do not wait for a quiet moment.
                for queue in self._queues:
                    queue.add_deferred()
            await self._moved.wait()

    @property
    def business(self) -> str:
        """What the operator is busy with, in words."""
        words = [queue.business for queue in self._queues if queue.business]
        return "; ".join(words) or "waiting for the watches to catch up with the server"

    async def _follow_all(self, cluster: Cluster, tasks: TaskGroup) -> None:
        """Start watching every kind, and wait until all are there: nobody must act on half a picture."""
        missing = set(cluster.kinds)
        complete = anyio.Event()

        def synced(kind: type[Resource]) -> None:
            missing.discard(kind)
            if not missing:
                complete.set()

        for kind in cluster.kinds:
            tasks.start_soon(cluster.follow, kind, partial(synced, kind))
        await complete.wait()

    async def _lags(self, cluster: Cluster) -> bool:
        try:
            return await cluster.lags()
        except (ConnectionFailed, ServerError, TooManyRequests):
            # A server that does not answer may have anything.
            return True

    def _forget(self, before: Resource | None, after: Resource | None) -> None:
        if before is not None and after is None:
            self.hardware.forget(before.uid)

    def _queue(self, controller: Base) -> Queue:
        return Queue(
            controller,
            retry_base=self.profile.retry_base,
            retry_cap=self.profile.retry_cap,
            on_change=self._has_moved,
            quiet_seconds=self._quiet_seconds,
        )

    @property
    def _is_idle(self) -> bool:
        return all(queue.idle for queue in self._queues)

    def _quiet_seconds(self) -> float:
        """Seconds for which no controller was busy."""
        busy = any(queue.busy for queue in self._queues)
        return 0.0 if busy else anyio.current_time() - self._last_work

    def _has_moved(self) -> None:
        self._last_work = anyio.current_time()
        self._moved.set()
        self._moved = anyio.Event()


def _controllers(site: Site) -> list[Base]:
    return [
        BFBController(site),
        DPUClusterController(site),
        *service_controllers(site),
        DPUDeploymentController(site),
        DPUSetController(site),
        DPUNodeController(site),
        DPUDeviceController(site),
        DPUNodeMaintenanceController(site),
        DPUController(site),
        AgentController(site),
        DPUReadyController(site),
    ]


def _feeding(queue: Queue, kind: type[Resource], mapper: Mapper) -> Listener:
    summarizes = kind in queue.controller.summarizes

    def changed(before: Any, after: Any) -> None:  # Any: a Resource, or None
        # Deletions are not only counted: the controller replaces the object.
        add = queue.add_when_idle if summarizes and after is not None and not after.terminating else queue.add
        for name in mapper(before, after):
            add(name)

    return changed

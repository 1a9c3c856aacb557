"""The handle on one node: look, wait, follow, and answer the two questions DPF asks about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

import anyio

from dpf_async._handshakes.handshakes import HoldRequest, Question, RebootRequest, asked
from dpf_async._readers.health_stream import HealthStream, damping
from dpf_async._readers.transition_stream import NodeTransitionStream
from dpf_async._readers.view_stream import ViewStream
from dpf_async._readers.waits import wait_for
from dpf_async._transitions.health import NodeHealth, health_of
from dpf_async._transitions.hub import FailureCheck, Hub, Wait
from dpf_async._transitions.levels import Level, external_reboot_required, node_effect_held
from dpf_async._transitions.node_join import NodeJoin
from dpf_async._transitions.views import DPUView, MaintenanceView, NodeView, describe
from dpf_async.errors import Conflict, DPUFailed, NotFound, ObjectReplaced, WaitError
from dpf_async.models import DPUNode, DPUNodeMaintenance, DPUPhase, known

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._base.locks import Locks
    from dpf_async._handshakes.claim_acquisition import ClaimAcquisition
    from dpf_async._session.resources import Resources
    from dpf_async._transitions.health_transitions import Damping
    from dpf_async._watch.reflector import CacheHealth

V = TypeVar("V")


class NodeServices:
    """What node handles share: the site they look at, the client's writes, and the locks."""

    def __init__(
        self,
        *,
        site: Callable[[], Awaitable[NodeJoin]],
        fresh: Callable[[], Awaitable[None]],
        nodes: Resources[DPUNode],
        maintenances: Resources[DPUNodeMaintenance],
        locks: Locks,
        claimant: ClaimAcquisition | None,
        latest: Callable[[type[DPUNode | DPUNodeMaintenance], str, str], Awaitable[ObjectState[Any] | None]],
        health: Callable[[], Iterable[CacheHealth]],
    ) -> None:
        self.site = site
        self.fresh = fresh
        self.nodes = nodes
        self.maintenances = maintenances
        self.locks = locks
        self.claimant = claimant
        self.latest = latest
        """An object of a name and a uid as the server has it at this moment; later looks are at least as new."""
        self.health = health


class NodeHandle:
    """One host by the name of its DPUNode, whether it exists or not. Get one from DPFClient.node."""

    def __init__(self, name: str, services: NodeServices) -> None:
        self.name = name
        self._services = services

    async def view(self) -> NodeView:
        """What is true of the node now, everything this client wrote included.

        A node that does not exist has a view too: `exists` is False.

        Raises:
            Unauthorized, Forbidden, KindNotServed: it cannot be looked at until somebody repairs something.
        """
        site = await self._services.site()
        await self._services.fresh()
        return site.view(self.name)

    def views(self) -> ViewStream[NodeView]:
        """The views of this node: `async with node.views() as views: async for view in views`.

        The current view is first, then one after each change of the DPUNode or of an object that refers to it. A slow
        reader receives the newest view only. A node that does not exist has views too: `exists` is False. See
        ViewStream for what an iterator skips; `until` skips nothing.

        Raises:
            Unauthorized, Forbidden, KindNotServed: on entering, if a kind cannot be listed.
        """

        @asynccontextmanager
        async def enter() -> AsyncIterator[Hub[NodeView]]:
            site = await self._services.site()
            await self._services.fresh()
            yield site.hub

        return ViewStream(enter, self.name)

    def describe(self, view: NodeView) -> str:
        """A description of the state in a view, as error messages have it."""
        return describe(view)

    async def until(self, condition: Level[NodeView], *, timeout: float | None = None) -> NodeView:
        """Wait until condition holds for this node and return the view in which it did.

        Returns at once if it holds already. States in between may be skipped while the connection is down; a condition
        that becomes true and stays true is never missed. A node that does not exist yet is waited for.

        Args:
            condition: a level, asked of every view including the first.
            timeout: seconds from the call; None leaves it to the caller's cancel scope; 0 looks once.

        Raises:
            WaitTimeout: with the last view seen.
            ObjectReplaced: the DPUNode was deleted, or another one has its name now.
            DPUFailed: a DPU of this node is in phase Error, and the condition does not hold.
        """
        site: NodeJoin | None = None

        async def fresh() -> None:
            await self._services.fresh()

        site = await self._services.site()
        return await wait_for(
            site.hub,
            self.name,
            condition,
            fresh=fresh,
            failure_check=lambda first, began: self._objection(condition, first, began),
            timeout=timeout,
            words=lambda last, waited, looked: self._words(condition, last, waited, looked=looked),
        )

    async def health(self) -> NodeHealth:
        """What is wrong with the host's DPUs now, and whether it can be used, everything this client wrote included.

        A node that does not exist has a health too: `usable` is False, and `uid` is empty.

        Raises:
            Unauthorized, Forbidden, KindNotServed: it cannot be looked at until somebody repairs something.
        """
        return health_of(await self.view())

    def transitions(self, *, since: Mapping[str, Any] | None = None) -> NodeTransitionStream:
        """What happens to this node and everything that refers to it: `async with … as stream: async for … in stream`.

        The reader is first told of everything that stands. A slow reader is told the newest state, and that it
        missed some (`contiguous` is False); it never makes anybody wait.

        Args:
            since: a checkpoint of such a stream of this node: the reader is told what changed since, and nothing else.

        Raises:
            UsageError: since is no checkpoint of such a stream, or one of another release.
        """
        return transition_stream(self._services, Selection(key=self.name), since=since)

    def health_transitions(
        self, *, down_after: float = 0.0, up_after: float = 0.0, still_after: float | None = None
    ) -> HealthStream:
        """How the health of this host's DPUs changes, and whether it can be used; see DPFClient.health_transitions."""
        patience = damping(down_after=down_after, up_after=up_after, still_after=still_after)
        return health_stream(self._services, Selection(key=self.name), patience)

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
        """Wait until DPF asks for a reboot of the host, reboot it in the block, and tell DPF by leaving it.

        Left with an exception, or cancelled, the request stands and whoever comes next hears of it. Within one client
        each request is worked on once, whoever waits for it. Once the block was left in good order, the answer is
        written however long that takes; cancelled in that moment, it is still tried for 5 s.

        Among clients with `claims=`, one at a time works on a node, and each request is answered once. The work may be
        done twice, when a client dies or falls silent in the middle of it: the request's `earlier` tells of that.

        Args:
            unless: give up waiting when this holds, and enter the block with None; leaving it tells DPF nothing.
            timeout: seconds to wait for the request; the block itself is not bounded by it.

        Raises:
            WaitTimeout: no request in time, or another worker of this client is still busy with it, or another client
                has the claim on the node.
            ClaimLost: on leaving the block: another client took the claim over meanwhile. The block is not cut short
                for that, since half a power cycle is worse than two.
            Forbidden: claims need a permission that is missing.
            ObjectReplaced, DPUFailed: as for `until`.

        Source: dpf-facts 3.4.
        """
        question = Question(
            name="external reboot",
            stands=external_reboot_required,
            read=_read_reboot,
            withdrawn=_reboot_withdrawn,
            identity=_reboot_identity,
            latest=self._latest_reboot,
            answer=self._confirm_reboot,
        )
        services = self._services
        return asked(self, question, services.locks, services.claimant, unless=unless, timeout=timeout)

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
        """Wait until DPF asks whether the node may be disturbed, make it so in the block, and release it by leaving.

        Left with an exception, or cancelled, the hold stands. The rest is as for `external_reboot`.

        Args:
            unless: give up waiting when this holds, and enter the block with None; leaving it releases nothing.
            timeout: seconds to wait for the hold; the block itself is not bounded by it.

        Raises:
            WaitTimeout: no hold in time, or another worker is still busy with it.
            ClaimLost, Forbidden: as for `external_reboot`.
            ObjectReplaced, DPUFailed: as for `until`.

        Source: dpf-facts 5.
        """
        question = Question(
            name="node effect hold",
            stands=node_effect_held,
            read=_read_hold,
            withdrawn=_hold_withdrawn,
            identity=_hold_identity,
            latest=self._latest_hold,
            answer=self._release,
        )
        services = self._services
        return asked(self, question, services.locks, services.claimant, unless=unless, timeout=timeout)

    @asynccontextmanager
    async def observe(self, condition: Level[NodeView]) -> AsyncIterator[Wait[NodeView]]:
        """Have a level asked about every state of the node while the block runs; nothing ends the block."""
        site = await self._services.site()
        wait: Wait[NodeView] = Wait(condition, lambda _: None)
        wait.evaluate(site.view(self.name))
        site.hub.add_wait(self.name, wait)
        try:
            yield wait
        finally:
            site.hub.remove_wait(self.name, wait)

    # The answers.

    async def _confirm_reboot(self, request: RebootRequest, version: str | None) -> None:
        """Remove the annotation from this very DPUNode. Gone already, or another node by now, is as good."""
        annotations = {known.EXTERNAL_REBOOT_REQUIRED: None}
        patch = {"metadata": {"annotations": annotations, **_at(version)}}
        try:
            await self._services.nodes.patch(self.name, patch, uid=request.view.uid)
        except (NotFound, Conflict):
            if version is not None:
                raise

    async def _release(self, request: HoldRequest, version: str | None) -> None:
        """Set the annotation of this very maintenance to "false": removing it would re-arm it (dpf-facts 3.3)."""
        annotations = {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "false"}
        patch = {"metadata": {"annotations": annotations, **_at(version)}}
        try:
            await self._services.maintenances.patch(request.maintenance, patch, uid=_hold_identity(request))
        except (NotFound, Conflict):
            if version is not None:
                raise

    async def _latest_reboot(self, request: RebootRequest) -> str | None:
        uid = request.view.uid
        state = await self._services.latest(DPUNode, self.name, uid)
        if state is None or state.uid != uid or known.EXTERNAL_REBOOT_REQUIRED not in state.annotations:
            return None
        return state.resource_version

    async def _latest_hold(self, request: HoldRequest) -> str | None:
        uid = _hold_identity(request)
        state = await self._services.latest(DPUNodeMaintenance, request.maintenance, uid)
        if state is None or state.uid != uid or not MaintenanceView(state).held:
            return None
        return state.resource_version

    # Waiting.

    def _objection(self, condition: Level[NodeView], first: NodeView, began: float) -> FailureCheck[NodeView]:
        seen = first

        def object_to(view: NodeView) -> WaitError | None:
            nonlocal seen
            waited = anyio.current_time() - began
            if seen.exists and view.uid != seen.uid:
                return ObjectReplaced(
                    f"DPUNode {self.name} was {'replaced' if view.exists else 'deleted'} while waiting for"
                    f" {condition.name}",
                    old_uid=seen.uid,
                    new_uid=view.uid or None,
                    condition=condition.name,
                    view=seen,
                    waited=waited,
                )
            seen = view
            if not condition.survives_failure and view.failed_dpus:
                return dpu_failed(view.failed_dpus[0], condition, view, waited)
            return None

        return object_to

    def _words(self, condition: Level[NodeView], last: NodeView, waited: float, *, looked: bool) -> str:
        state = (
            describe(last)
            if looked or last.exists
            else "nothing is known of it: it could not be looked for yet"
        )
        troubles = sorted({health.reason for health in self._services.health() if health.reason})
        trouble = f"; the watch is interrupted: {'; '.join(troubles)}" if troubles else ""
        return f"DPUNode {self.name}: not {condition.name} after {waited:g} s; {state}{trouble}"


def dpu_failed(dpu: DPUView, condition: Level[V], view: NodeView | DPUView, waited: float) -> DPUFailed:
    """The error for a DPU in phase Error: which condition failed, and what to do."""
    failure = dpu.failure
    reason = (failure.reason or "") if failure is not None else ""
    detail = (failure.message or "") if failure is not None else ""
    cause = f"{failure.type} is False, {reason}: {detail}" if failure is not None else "no condition says why"
    return DPUFailed(
        f"DPU {dpu.name} is in phase Error: {cause}; repair the cause, then reprovision it{_siblings(dpu, view)}",
        dpu=dpu.name,
        reason=reason,
        detail=detail,
        condition=condition.name,
        view=view,
        waited=waited,
    )


def is_something(view: NodeView) -> bool:
    """There is anything to tell about the node: it exists, or something refers to it."""
    return view.exists or bool(view.dpus or view.maintenances or view.unreadable)


@dataclass(frozen=True, slots=True)
class Selection:
    """The hosts that a stream is about.

    Attributes:
        key: the only one; None for all.
        label_selector: that chooses them, as Kubernetes takes it.
        select: whether a view is one of them.
        beside: entered for as long as the stream lasts.
    """

    key: str | None = None
    label_selector: str = ""
    select: Callable[[NodeView], bool] = is_something
    beside: Callable[[NodeJoin], AbstractAsyncContextManager[None]] = lambda _: nullcontext()


def _siblings(dpu: DPUView, view: NodeView | DPUView) -> str:
    """Where the other DPUs are. The failed one's services may keep them in Node Effect Removal (dpf-facts 10)."""
    if isinstance(view, DPUView):
        return ""
    others = ", ".join(f"{other.name} {other.phase}" for other in view.dpus if other.uid != dpu.uid)
    return f"; the host's other DPUs, which may have to wait for that: {others}" if others else ""


def transition_stream(
    services: NodeServices, selection: Selection, *, since: Mapping[str, Any] | None = None
) -> NodeTransitionStream:
    """The transitions of the hosts that are chosen."""
    scope = {"namespace": services.nodes.namespace}
    if selection.key is not None:
        scope["node"] = selection.key
    if selection.label_selector:
        scope["label_selector"] = selection.label_selector
    enter, keys = _listening(services, selection)
    return NodeTransitionStream(
        enter, key=selection.key, keys=keys, select=selection.select, scope=scope, since=since
    )


def health_stream(services: NodeServices, selection: Selection, patience: Damping) -> HealthStream:
    """The health transitions of the hosts that are chosen."""
    enter, keys = _listening(services, selection)
    return HealthStream(enter, patience, key=selection.key, keys=keys, select=selection.select)


def _listening(
    services: NodeServices, selection: Selection
) -> tuple[Callable[[], AbstractAsyncContextManager[Hub[NodeView]]], Callable[[], Iterable[str]]]:
    """What a stream enters to listen, and the nodes that stand once it has."""
    entered: list[NodeJoin] = []

    @asynccontextmanager
    async def enter() -> AsyncIterator[Hub[NodeView]]:
        site = await services.site()
        await services.fresh()
        entered.append(site)
        async with selection.beside(site):
            yield site.hub

    def keys() -> Iterable[str]:
        return [selection.key] if selection.key is not None else sorted(entered[-1].names())

    return enter, keys


def _read_reboot(view: NodeView) -> RebootRequest | None:
    if not view.external_reboot_required:
        return None
    rebooting = tuple(dpu.name for dpu in view.dpus if dpu.phase == DPUPhase.REBOOTING)
    return RebootRequest(node=view.name, dpus=rebooting, view=view)


def _reboot_withdrawn(request: RebootRequest) -> Level[NodeView]:
    # Not external_reboot_required: its condition may be rewritten while the same request stands (dpf-facts 3.4).
    uid = request.view.uid
    return Level(
        "request withdrawn",
        lambda view: (
            view.uid != uid
            or (view.node is not None and known.EXTERNAL_REBOOT_REQUIRED not in view.node.annotations)
        ),
    )


def _read_hold(view: NodeView) -> HoldRequest | None:
    held = view.hold
    if held is None:
        return None
    return HoldRequest(
        node=view.name, maintenance=held.name, dpus=tuple(dpu.name for dpu in view.dpus), view=view
    )


def _reboot_identity(request: RebootRequest) -> str:
    # DPF does not number its requests; with each the condition turns True anew, to the second (dpf-facts 3.4).
    node = request.view.node
    condition = None if node is None else node.condition(known.DPUNodeCondition.REBOOT_IN_PROGRESS)
    since = "" if condition is None else condition.last_transition_time or ""
    return f"{request.view.uid} {since}"


def _hold_identity(request: HoldRequest) -> str:
    held = request.view.hold
    return held.uid if held is not None else ""


def _at(version: str | None) -> dict[str, str]:
    """The precondition that an object still has a version, as metadata of a patch."""
    return {} if version is None else {"resourceVersion": version}


def _hold_withdrawn(request: HoldRequest) -> Level[NodeView]:
    uid = _hold_identity(request)

    def withdrawn(view: NodeView) -> bool:
        return not any(held.uid == uid and held.held for held in view.maintenances) and not any(
            obj.uid == uid for obj in view.unreadable
        )

    return Level("hold withdrawn", withdrawn)

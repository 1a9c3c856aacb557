"""Handshakes: wait for a request of DPF, run the caller's block, and answer if the block succeeded.

A request is pending in the cluster and not here: if a worker fails, is cancelled or dies, it stays pending, and the
next worker receives it. Within one client a request is worked on once, for any number of waiting workers and any
delay of the watch (docs/dpf/reboot.md#answering-a-request, docs/dpf/hold.md#answering-a-hold). Among clients that
claim, in any processes, one at a time works on a node, and each request is answered once.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol

import anyio

from dpf_async._base.retry import GRACE, retry_transient
from dpf_async._handshakes.handshake import Handshake, R
from dpf_async._handshakes.hold import HoldHandshake
from dpf_async._handshakes.reboot import RebootHandshake
from dpf_async._log import log
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.views import describe
from dpf_async.errors import ClaimLost, Conflict, DPFError, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dpf_async._base.locks import Locks
    from dpf_async._handshakes.claim_acquisition import ClaimAcquisition
    from dpf_async._handshakes.claims import Claim
    from dpf_async._handshakes.handshake import Objects
    from dpf_async._handshakes.requests import HoldRequest, RebootRequest
    from dpf_async._transitions.hub import Wait
    from dpf_async._transitions.levels import Level
    from dpf_async._transitions.views import NodeView
    from dpf_async.models import DPUNode, DPUNodeMaintenance


class ObservedNode(Protocol):
    """The handle on the node that a handshake is about."""

    name: str

    async def view(self) -> NodeView:
        """The current view, including this client's own writes."""

    async def until(self, condition: Level[NodeView], *, timeout: float | None = None) -> NodeView:
        """Wait for a level."""

    def observe(self, condition: Level[NodeView]) -> AbstractAsyncContextManager[Wait[NodeView]]:
        """Evaluate a level on every state while a block runs."""


class Handshakes:
    """Answers the requests about all nodes, for one client.

    Args:
        nodes: reads and writes DPUNodes.
        maintenances: reads and writes DPUNodeMaintenances.
        locks: of the client, one per node and handshake.
        claims: acquires the claim on a node; None if this client does not claim.
    """

    def __init__(
        self,
        nodes: Objects[DPUNode],
        maintenances: Objects[DPUNodeMaintenance],
        locks: Locks,
        claims: ClaimAcquisition | None,
    ) -> None:
        self.nodes = nodes
        self.maintenances = maintenances
        self.reboot: RebootHandshake = RebootHandshake(nodes)
        self.hold: HoldHandshake = HoldHandshake(maintenances)
        self._locks = locks
        self._claims = claims

    @asynccontextmanager
    async def answering(
        self,
        node: ObservedNode,
        handshake: Handshake[R],
        *,
        unless: Level[NodeView] | None,
        timeout: float | None,
    ) -> AsyncIterator[R | None]:
        """Wait for a request, run the block, and answer if the block was left without an exception.

        Yields:
            The request; None if `unless` held while none was pending.

        Raises:
            WaitTimeout: there was no request in time, or another worker of this client, or another client that claims,
                still works on it.
            ClaimLost: the block was left without an exception, and the claim had been lost by then.
        """
        deadline = Deadline(timeout)
        level = handshake.pending if unless is None else handshake.pending | unless
        while True:
            view = await node.until(level, timeout=0 if deadline.checks_once else deadline.remaining)
            request = handshake.request(view)
            if request is None:
                yield None
                return
            async with AsyncExitStack() as stack:
                timed_out = partial(_timed_out, node.name, handshake.pending.name, view, timeout)
                with anyio.move_on_after(deadline.remaining) as scope:
                    # A claim is on the node as a whole: its two handshakes take turns.
                    lock = handshake.name if self._claims is None else "claim"
                    await stack.enter_async_context(self._locks.held(lock, node.name))
                if scope.cancelled_caught:
                    raise timed_out(f"another worker of this client still works on its {handshake.name}")
                claim: Claim | None = None
                if self._claims is not None:
                    withdrawn = await stack.enter_async_context(node.observe(handshake.withdrawn(request)))
                    acquired = await self._claims.acquire(view, withdrawn, deadline)
                    if isinstance(acquired, str):
                        raise timed_out(f"its {handshake.name} was not claimed: {acquired}")
                    if acquired is None:
                        continue
                    claim = acquired
                    await stack.enter_async_context(claim.renewing())
                # Another worker may have answered in the meantime: read again, including its write.
                with anyio.move_on_after(deadline.for_one_check) as scope:
                    request = await _begin(node, handshake, claim)
                if scope.cancelled_caught:
                    raise timed_out(f"could not confirm that its {handshake.name} is still pending")
                if request is None:
                    continue
                async with node.observe(handshake.withdrawn(request)) as withdrawn:
                    yield request
                    await _deliver(node, handshake, request, withdrawn)
                return


def _timed_out(node: str, condition: str, view: NodeView, timeout: float | None, reason: str) -> WaitTimeout:
    return WaitTimeout(
        f"DPUNode {node}: {reason}; {describe(view)}", condition=condition, view=view, waited=timeout or 0.0
    )


async def _begin(node: ObservedNode, handshake: Handshake[R], claim: Claim | None) -> R | None:
    """The request that is pending now, or None.

    With a claim, it is read past the writes of all clients, and the Lease records that work on it begins.
    """
    if claim is None:
        return handshake.request(await node.view())
    return await retry_transient(
        partial(_begin_claimed, node, handshake, claim),
        lambda error: log.warning("claim_delayed", node=node.name, reason=str(error)),
    )


async def _begin_claimed(node: ObservedNode, handshake: Handshake[R], claim: Claim) -> R | None:
    request = handshake.request(await node.view())
    while request is not None:
        # The cache may be older than the last holder's write: it may show an answered request, or an earlier one.
        if await handshake.latest(request) is None:
            break
        identity = handshake.identity(request)
        request = handshake.request(await node.view())
        if request is not None and handshake.identity(request) == identity:
            return replace(request, claim=claim) if await claim.begin(handshake.name, identity) else None
    claim.discard_record(handshake.name)
    return None


async def _deliver(
    node: ObservedNode, handshake: Handshake[R], request: R, withdrawn: Wait[NodeView]
) -> None:
    """Write the answer, retried on transient errors; if cancelled, for GRACE seconds more."""
    answer = _Answer(node, handshake, request, withdrawn)
    try:
        delivered = await answer.write()
    except DPFError as error:
        error.add_note(
            f"the work for the {handshake.name} of DPUNode {node.name} was done before that, but the answer was not"
            " written: the request is still pending, and the next worker does the work again; repair this first, or"
            " answer it manually"
        )
        raise
    except anyio.get_cancelled_exc_class():
        # The host has been rebooted (or drained) already. A pending request would have it rebooted again.
        with anyio.move_on_after(GRACE, shield=True) as grace:
            try:
                await answer.write()
            except DPFError as error:
                log.error("answer_lost", node=node.name, request=handshake.name, reason=str(error))
        if grace.cancelled_caught:
            reason = f"not accepted within {GRACE:g} s"
            log.error("answer_lost", node=node.name, request=handshake.name, reason=reason)
        raise
    if not delivered:
        raise _claim_lost(handshake.name, request)


class _Answer(Generic[R]):
    """The answer to one request, until it is written or there is nothing to answer any more."""

    def __init__(
        self, node: ObservedNode, handshake: Handshake[R], request: R, withdrawn: Wait[NodeView]
    ) -> None:
        self._node = node
        self._handshake: Handshake[R] = handshake
        self._request: R = request
        self._withdrawn = withdrawn
        self._facts = {"node": node.name, "request": handshake.name}
        self._tried = False

    async def write(self) -> bool:
        """Write it; False if the claim was lost before that."""
        written = await retry_transient(
            self._attempt, lambda error: log.warning("answer_delayed", **self._facts, reason=str(error))
        )
        if written and self._request.claim is not None:
            self._request.claim.discard_record(self._handshake.name)
        return written

    async def _attempt(self) -> bool:
        claim = self._request.claim
        version: str | None = None
        while not self._withdrawn.is_decided:
            if claim is not None:
                # In this order: the request was pending, then this client still had the claim, then nothing was written
                # since the request was pending. If this process is paused between two of these, it still answers only
                # the request that was worked on.
                version = await self._handshake.latest(self._request)
                if version is None:
                    break
                if self._tried:
                    # The failed write may have been stored, and the pending request may be another one: wait for views
                    # that include it.
                    await self._node.view()
                    if self._withdrawn.is_decided:
                        break
                if not await claim.finish(self._handshake.name):
                    return False
            self._tried = True
            try:
                await self._handshake.answer(self._request, version)
            except Conflict:
                continue
            log.info("request_answered", **self._facts)
            return True
        # Another client answered, or the object is gone. A pending request is another one, if there is any.
        log.warning("request_withdrawn", **self._facts)
        return True


def _claim_lost(name: str, request: RebootRequest | HoldRequest) -> ClaimLost:
    claim = request.claim
    assert claim is not None, "only a claim can be lost"  # noqa: S101
    taken_by = claim.taken_by or ""
    by = f" to {taken_by}" if taken_by else ""
    return ClaimLost(
        f"DPUNode {request.node}: {claim.holder} lost its claim{by} while it worked on the {name}, and did not answer;"
        " wait for the request again: the holder of the claim answers it, or it stays pending",
        node=request.node,
        holder=claim.holder,
        taken_by=taken_by,
    )

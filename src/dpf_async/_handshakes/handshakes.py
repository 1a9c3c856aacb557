"""The two questions DPF asks, each as a scope: it asks, we work, and it is told only if the work succeeded.

A request stands in the cluster, not here: a worker that fails, is cancelled or dies leaves it standing, and whoever
comes next hears of it first. Within one client a request is worked on once, however many workers wait for it and
however far the watch lags behind (dpf-facts 3.4, 5). Among clients that claim, in whatever processes, one at a time
works on a node, and each request is answered once.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from dpf_async._base.retry import GRACE, retry_transient
from dpf_async._log import log
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.views import describe
from dpf_async.errors import ClaimLost, Conflict, DPFError, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dpf_async._base.locks import Locks
    from dpf_async._handshakes.claim_acquisition import ClaimAcquisition
    from dpf_async._handshakes.claims import Attempt, Claim
    from dpf_async._transitions.hub import Wait
    from dpf_async._transitions.levels import Level
    from dpf_async._transitions.views import NodeView


@dataclass(frozen=True, slots=True)
class RebootRequest:
    """DPF asks: reboot this host from outside.

    Attributes:
        node: name of the DPUNode.
        dpus: the DPUs in phase Rebooting; the reboot completes for all of them.
        view: the view in which the request stood.
        claim: ours on the node; None if the client does not claim.
    """

    node: str
    dpus: tuple[str, ...]
    view: NodeView
    claim: Claim | None = None

    @property
    def earlier(self) -> Attempt | None:
        """The last attempt at this request: the host may have been rebooted already. Known only to those who claim."""
        return None if self.claim is None else self.claim.earlier


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """DPF asks: may this node be disturbed?

    Attributes:
        node: name of the DPUNode.
        maintenance: name of the DPUNodeMaintenance that is held.
        dpus: names of the node's DPUs.
        view: the view in which the hold stood.
        claim: ours on the node; None if the client does not claim.
    """

    node: str
    maintenance: str
    dpus: tuple[str, ...]
    view: NodeView
    claim: Claim | None = None

    @property
    def earlier(self) -> Attempt | None:
        """The last attempt at this request: the host may be drained already. Known only to those who claim."""
        return None if self.claim is None else self.claim.earlier


Q = TypeVar("Q", RebootRequest, HoldRequest)


@dataclass(frozen=True, slots=True)
class Question(Generic[Q]):
    """One of the two questions.

    Attributes:
        name: in words: "external reboot".
        stands: the level that holds while it is asked.
        read: the request in a view; None if none stands in it.
        withdrawn: given a request, the level that holds once that very request does not stand any more.
        identity: tells a request from those before it, as far as DPF does.
        latest: asks the server itself: the version of the object in which this request stands, None if it does not.
            Later looks are at least as new.
        answer: tells DPF, given a version only if nothing was written to the object since: else it raises Conflict.
            Without one, doing it twice is doing it once.
    """

    name: str
    stands: Level[NodeView]
    read: Callable[[NodeView], Q | None]
    withdrawn: Callable[[Q], Level[NodeView]]
    identity: Callable[[Q], str]
    latest: Callable[[Q], Awaitable[str | None]]
    answer: Callable[[Q, str | None], Awaitable[None]]


class Asked(Protocol):
    """What a scope needs of the node it is about."""

    name: str

    async def view(self) -> NodeView:
        """What is true now, our own writes included."""

    async def until(self, condition: Level[NodeView], *, timeout: float | None = None) -> NodeView:
        """Wait for a level."""

    def observe(self, condition: Level[NodeView]) -> AbstractAsyncContextManager[Wait[NodeView]]:
        """Have a level asked about every state while a block runs."""


@asynccontextmanager
async def asked(
    node: Asked,
    question: Question[Q],
    locks: Locks,
    claimant: ClaimAcquisition | None,
    *,
    unless: Level[NodeView] | None,
    timeout: float | None,
) -> AsyncIterator[Q | None]:
    """Wait until DPF asks, run the block, and answer if the block was left without an exception.

    Yields:
        The request; None if `unless` held while nothing was asked.

    Raises:
        WaitTimeout: nothing was asked in time, or another worker of this client, or another client that claims, is
            still at it.
        ClaimLost: the block was left in good order, and the claim had been lost by then.
    """
    deadline = Deadline(timeout)
    level = question.stands if unless is None else question.stands | unless
    while True:
        view = await node.until(level, timeout=0 if deadline.checks_once else deadline.remaining)
        request = question.read(view)
        if request is None:
            yield None
            return
        async with AsyncExitStack() as stack:
            too_late = partial(_too_late, node.name, question.stands.name, view, timeout)
            with anyio.move_on_after(deadline.remaining) as patience:
                # Whoever claims has a node as a whole: its two questions take turns.
                key = question.name if claimant is None else "claim"
                await stack.enter_async_context(locks.holding(key, node.name))
            if patience.cancelled_caught:
                raise too_late(f"another worker is still busy with its {question.name}")
            claim: Claim | None = None
            if claimant is not None:
                withdrawn = await stack.enter_async_context(node.observe(question.withdrawn(request)))
                claimed = await claimant.acquire(view, withdrawn, deadline)
                if isinstance(claimed, str):
                    raise too_late(f"its {question.name} was not claimed: {claimed}")
                if claimed is None:
                    continue
                claim = claimed
                await stack.enter_async_context(claim.kept())
            # Another worker may have answered while we waited: look again, past its write.
            with anyio.move_on_after(deadline.for_one_check) as patience:
                request = await _begun(node, question, claim)
            if patience.cancelled_caught:
                raise too_late(f"it could not be seen whether its {question.name} still stands")
            if request is None:
                continue
            async with node.observe(question.withdrawn(request)) as withdrawn:
                yield request
                await _deliver(node, question, request, withdrawn)
            return


def _too_late(node: str, condition: str, view: NodeView, timeout: float | None, what: str) -> WaitTimeout:
    return WaitTimeout(
        f"DPUNode {node}: {what}; {describe(view)}", condition=condition, view=view, waited=timeout or 0.0
    )


async def _begun(node: Asked, question: Question[Q], claim: Claim | None) -> Q | None:
    """The request that stands now, or None; if there is a claim, whoever wrote what, and that we begin is on record."""
    if claim is None:
        return question.read(await node.view())
    return await retry_transient(
        partial(_claimed, node, question, claim),
        lambda error: log.warning("claim_delayed", node=node.name, reason=str(error)),
    )


async def _claimed(node: Asked, question: Question[Q], claim: Claim) -> Q | None:
    request = question.read(await node.view())
    while request is not None:
        # The picture may be behind what the last holder wrote: it may show what was answered, or asked before.
        if await question.latest(request) is None:
            break
        identity = question.identity(request)
        request = question.read(await node.view())
        if request is not None and question.identity(request) == identity:
            return replace(request, claim=claim) if await claim.begin(question.name, identity) else None
    claim.settle(question.name)
    return None


async def _deliver(node: Asked, question: Question[Q], request: Q, withdrawn: Wait[NodeView]) -> None:
    """Write the answer, as often as it takes; cancelled, try for a moment longer."""
    answer = _Answer(node, question, request, withdrawn)
    try:
        told = await answer.write()
    except DPFError as error:
        error.add_note(
            f"the {question.name} of DPUNode {node.name} was attended to before that, and DPF could not be told: the"
            " request stands, and whoever comes next does the work again; repair this first, or tell DPF by hand"
        )
        raise
    except anyio.get_cancelled_exc_class():
        # The host has been rebooted (or drained) already. DPF would ask again, and the host would be rebooted again.
        with anyio.move_on_after(GRACE, shield=True) as grace:
            try:
                await answer.write()
            except DPFError as error:
                log.error("answer_lost", node=node.name, question=question.name, reason=str(error))
        if grace.cancelled_caught:
            log.error(
                "answer_lost", node=node.name, question=question.name, reason=f"not taken within {GRACE:g} s"
            )
        raise
    if not told:
        raise _claim_lost(question.name, request)


class _Answer(Generic[Q]):
    """The answer to one request, until it is written, or is nobody's to write any more."""

    def __init__(self, node: Asked, question: Question[Q], request: Q, withdrawn: Wait[NodeView]) -> None:
        self._node = node
        self._question: Question[Q] = question
        self._request: Q = request
        self._withdrawn = withdrawn
        self._facts = {"node": node.name, "question": question.name}
        self._tried = False

    async def write(self) -> bool:
        """Write it; False if the claim was lost before that."""
        told = await retry_transient(
            self._attempt, lambda error: log.warning("answer_delayed", **self._facts, reason=str(error))
        )
        if told and self._request.claim is not None:
            self._request.claim.settle(self._question.name)
        return told

    async def _attempt(self) -> bool:
        claim = self._request.claim
        version: str | None = None
        while not self._withdrawn.is_decided:
            if claim is not None:
                # In this order: it stood, then nobody else had the claim, then nothing was written since it stood.
                # However long we sleep between two of these, what is answered is the request that was worked on.
                version = await self._question.latest(self._request)
                if version is None:
                    break
                if self._tried:
                    # That may have been taken all the same, and what stands now may be another request: look past it.
                    await self._node.view()
                    if self._withdrawn.is_decided:
                        break
                if not await claim.finish(self._question.name):
                    return False
            self._tried = True
            try:
                await self._question.answer(self._request, version)
            except Conflict:
                continue
            log.info("question_answered", **self._facts)
            return True
        # Somebody else answered, or the object is gone. What stands now is another request, if any.
        log.warning("request_withdrawn", **self._facts)
        return True


def _claim_lost(question: str, request: RebootRequest | HoldRequest) -> ClaimLost:
    claim = request.claim
    assert claim is not None, "only a claim can be lost"  # noqa: S101
    taken_by = claim.taken_by or ""
    by = f" to {taken_by}" if taken_by else ""
    return ClaimLost(
        f"DPUNode {request.node}: {claim.holder} lost its claim{by} while it was busy with the {question}, and did not"
        " answer; look again: whoever has the claim answers, or the request stands",
        node=request.node,
        holder=claim.holder,
        taken_by=taken_by,
    )

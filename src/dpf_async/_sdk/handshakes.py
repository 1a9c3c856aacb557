"""The two questions DPF asks, each as a scope: it asks, we work, and it is told only if the work succeeded.

A request stands in the cluster, not here: a worker that fails, is cancelled or dies leaves it standing, and whoever
comes next hears of it first. Within one client a request is worked on once, however many workers wait for it and
however far the watch lags behind (dpf-facts 3.4, 5).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import anyio

from dpf_async._log import log
from dpf_async._sdk.waiting import Deadline
from dpf_async._transitions.view import describe
from dpf_async.errors import ConnectionFailed, DPFError, ServerError, TooManyRequests, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dpf_async._sdk.locks import Locks
    from dpf_async._transitions.hub import Wait
    from dpf_async._transitions.levels import Level
    from dpf_async._transitions.view import NodeView


GRACE: Final = 5.0
"""Seconds that an answer still has after its work was done and its worker was cancelled (chosen: several requests'
time, and less than the 10 s and more that supervisors wait before they kill)."""

_RETRY: Final = 0.5
"""Seconds between attempts to write an answer that the server could not take."""

_PASSING: Final = (ConnectionFailed, ServerError, TooManyRequests)
"""Errors after which the same answer may succeed."""


@dataclass(frozen=True, slots=True)
class RebootRequest:
    """DPF asks: reboot this host from outside.

    Attributes:
        node: name of the DPUNode.
        dpus: the DPUs in phase Rebooting; the reboot completes for all of them.
        view: the view in which the request stood.
    """

    node: str
    dpus: tuple[str, ...]
    view: NodeView


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """DPF asks: may this node be disturbed?

    Attributes:
        node: name of the DPUNode.
        maintenance: name of the DPUNodeMaintenance that is held.
        dpus: names of the node's DPUs.
        view: the view in which the hold stood.
    """

    node: str
    maintenance: str
    dpus: tuple[str, ...]
    view: NodeView


Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Question(Generic[Q]):
    """One of the two questions.

    Attributes:
        name: in words: "external reboot".
        stands: the level that holds while it is asked.
        read: the request in a view; None if none stands in it.
        withdrawn: given a request, the level that holds once that very request does not stand any more.
        answer: tells DPF. Doing it twice is doing it once.
    """

    name: str
    stands: Level[NodeView]
    read: Callable[[NodeView], Q | None]
    withdrawn: Callable[[Q], Level[NodeView]]
    answer: Callable[[Q], Awaitable[None]]


class Asked(Protocol):
    """What a scope needs of the node it is about."""

    name: str

    async def view(self) -> NodeView:
        """What is true now, our own writes included."""

    async def until(self, condition: Level[NodeView], *, timeout: float | None = None) -> NodeView:
        """Wait for a level."""

    def attending(self, condition: Level[NodeView]) -> AbstractAsyncContextManager[Wait[NodeView]]:
        """Have a level asked about every state while a block runs."""


@asynccontextmanager
async def asked(
    node: Asked,
    question: Question[Q],
    locks: Locks,
    *,
    unless: Level[NodeView] | None,
    timeout: float | None,
) -> AsyncIterator[Q | None]:
    """Wait until DPF asks, run the block, and answer if the block was left without an exception.

    Yields:
        The request; None if `unless` held while nothing was asked.

    Raises:
        WaitTimeout: nothing was asked in time, or another worker of this client is still at it.
    """
    deadline = Deadline(timeout)
    level = question.stands if unless is None else question.stands | unless
    while True:
        view = await node.until(level, timeout=0 if deadline.is_one_look else deadline.left)
        if question.read(view) is None:
            yield None
            return
        async with AsyncExitStack() as stack:
            with anyio.move_on_after(deadline.left) as patience:
                await stack.enter_async_context(locks.holding(question.name, node.name))
            if patience.cancelled_caught:
                raise WaitTimeout(
                    f"DPUNode {node.name}: another worker is still busy with its {question.name}; {describe(view)}",
                    condition=question.stands.name,
                    view=view,
                    waited=timeout or 0.0,
                )
            # Another worker may have answered while we waited for the lock: look again, past its write.
            request = None
            with anyio.move_on_after(deadline.for_a_look) as patience:
                request = question.read(await node.view())
            if patience.cancelled_caught:
                raise WaitTimeout(
                    f"DPUNode {node.name}: it could not be seen whether its {question.name} still stands;"
                    f" {describe(view)}",
                    condition=question.stands.name,
                    view=view,
                    waited=timeout or 0.0,
                )
            if request is None:
                continue
            async with node.attending(question.withdrawn(request)) as withdrawn:
                yield request
                if withdrawn.is_over:
                    # Somebody else answered, or the object is gone. What stands now is another request, if any.
                    log.warning("request_withdrawn", node=node.name, question=question.name)
                else:
                    await _deliver(question, request, node.name)
            return


async def _deliver(question: Question[Q], request: Q, node: str) -> None:
    """Write the answer, as often as it takes; cancelled, try for a moment longer."""
    try:
        await _write(question, request, node)
    except DPFError as error:
        error.add_note(
            f"the {question.name} of DPUNode {node} was attended to before that, and DPF could not be told: the request"
            " stands, and whoever comes next does the work again; repair this first, or tell DPF by hand"
        )
        raise
    except anyio.get_cancelled_exc_class():
        # The host has been rebooted (or drained) already. DPF would ask again, and the host would be rebooted again.
        with anyio.move_on_after(GRACE, shield=True) as grace:
            try:
                await _write(question, request, node)
            except DPFError as error:
                log.error("answer_lost", node=node, question=question.name, reason=str(error))
        if grace.cancelled_caught:
            log.error(
                "answer_lost", node=node, question=question.name, reason=f"not taken within {GRACE:g} s"
            )
        raise


async def _write(question: Question[Q], request: Q, node: str) -> None:
    while True:
        try:
            await question.answer(request)
        except _PASSING as error:
            log.warning("answer_delayed", node=node, question=question.name, reason=str(error))
            await anyio.sleep(_RETRY)
        else:
            log.info("question_answered", node=node, question=question.name)
            return

"""Health transitions, for one reader: an async iterator that ends only with its block.

A cursor, not a queue, like TransitionStream. It also wakes up by itself: damped, a problem is told when it has stood
long enough, and nothing happens in that moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import anyio

from dpf_async._readers.subscription import Subscription
from dpf_async._transitions.health import NodeHealth
from dpf_async._transitions.health_transitions import Agenda, Damping, HealthNotifier, HealthTransition
from dpf_async._transitions.hub import Hub
from dpf_async._transitions.views import NodeView
from dpf_async.errors import UsageError


def damping(*, down_after: float, up_after: float, still_after: float | None) -> Damping:
    """How patient a reader is.

    Raises:
        UsageError: a number of seconds is below 0, or not a number.
    """
    said = {"down_after": down_after, "up_after": up_after, "still_after": still_after}
    for name, seconds in said.items():
        if seconds is not None and not seconds >= 0:
            raise UsageError(f"{name}={seconds}: give a number of seconds, 0 or more")
    return Damping(down_after, up_after, math.inf if still_after is None else still_after)


class HealthStream(Subscription[NodeView]):
    """`async with … as stream: async for transition in stream`.

    A fresh reader is first told of everything that stands.
    """

    entered_with = "dpf.health_transitions()"

    def __init__(
        self,
        enter: Callable[[], AbstractAsyncContextManager[Hub[NodeView]]],
        damping: Damping,
        *,
        key: str | None,
        keys: Callable[[], Iterable[str]],
        select: Callable[[NodeView], bool],
    ) -> None:
        """For whoever makes streams.

        Args:
            enter: gives the hub to listen to for as long as it is entered.
            damping: how patient the reader is.
            key: the only node to listen to; None for all.
            keys: those that stand at the beginning.
            select: whether a view is of this reader's concern at all.
        """
        super().__init__(enter, key)
        self._keys = keys
        self._select = select
        self._reporter = HealthNotifier(damping)
        self._agenda = Agenda()
        self._turn: str | None = None
        """The host that is being told of."""

    async def __anext__(self) -> HealthTransition:
        """The next transition. It waits for as long as nothing happens; once the block was left, there is none.

        Raises:
            UsageError: the stream is not entered.
        """
        self._require_entered()
        while self._scope is not None:
            now = anyio.current_time()
            while (name := self._agenda.first(now)) is not None:
                if name != self._turn:
                    # Once per turn: a host that changes faster than its reader reads must not keep it from the others.
                    self._turn = name
                    self._look(name, now)
                # No await between asking and returning: what was taken here is with the reader.
                if (transition := self._reporter.next(name, now)) is not None:
                    return transition
                self._turn = None
                self._agenda.done(name)
                self._agenda.add(name, self._reporter.due(name))
            with anyio.CancelScope(deadline=self._agenda.next_at):
                key, _ = await self._cursor.next()
                self._agenda.add(key)
        raise StopAsyncIteration

    def health(self, node: str) -> NodeHealth | None:
        """The health of a host as this reader was told it by now; None if it was told of no such host.

        Damped as the transitions are: what is true now, whatever was told, says NodeHandle.health.
        """
        return self._reporter.reported(node)

    def _look(self, name: str, now: float) -> None:
        view: NodeView | None = self._hub.view(name)
        if view is not None and not self._select(view):
            view = None
        self._reporter.observe(name, view, now)

    def _begin(self) -> None:
        for key in self._keys():
            self._agenda.add(key)

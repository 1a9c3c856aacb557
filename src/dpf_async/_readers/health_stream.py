"""Health transitions, for one reader: an async iterator that ends only with its block.

A cursor, not a queue, like TransitionStream. It also wakes up on timers: with damping, a problem is reported when it
has lasted long enough, although nothing changes at that moment.
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
    """The damping of a reader.

    Raises:
        UsageError: a number of seconds is below 0, or not a number.
    """
    arguments = {"down_after": down_after, "up_after": up_after, "still_after": still_after}
    for name, seconds in arguments.items():
        if seconds is not None and not seconds >= 0:
            raise UsageError(f"{name}={seconds}: it must be a number of seconds, 0 or more")
    return Damping(down_after, up_after, math.inf if still_after is None else still_after)


class HealthStream(Subscription[NodeView]):
    """`async with … as stream: async for transition in stream`.

    A new reader receives the existing state first.
    """

    entered_with = "dpf.health_transitions()"

    def __init__(
        self,
        enter: Callable[[], AbstractAsyncContextManager[Hub[NodeView]]],
        damping: Damping,
        *,
        key: str | None,
        existing: Callable[[], Iterable[str]],
        matches: Callable[[NodeView], bool],
    ) -> None:
        """Not for callers: handles and the client make streams.

        Args:
            enter: returns the hub, for as long as it is entered.
            damping: of the reader.
            key: the only node that is reported; None for all.
            existing: the nodes that exist when the stream is entered.
            matches: whether this reader receives a view.
        """
        super().__init__(enter, key)
        self._existing = existing
        self._matches = matches
        self._notifier = HealthNotifier(damping)
        self._agenda = Agenda()
        self._turn: str | None = None
        """The host whose transitions are being returned."""

    async def __anext__(self) -> HealthTransition:
        """The next transition. It waits while nothing changes; after the block was left, there is none.

        Raises:
            UsageError: the stream is not entered.
        """
        self._require_entered()
        while self._scope is not None:
            now = anyio.current_time()
            while (name := self._agenda.first(now)) is not None:
                if name != self._turn:
                    # Once per turn: a host that changes faster than its reader reads must not starve the others.
                    self._turn = name
                    self._evaluate(name, now)
                # No await between here and the return: the reader receives every transition that was removed.
                if (transition := self._notifier.next(name, now)) is not None:
                    return transition
                self._turn = None
                self._agenda.done(name)
                self._agenda.add(name, self._notifier.due(name))
            with anyio.CancelScope(deadline=self._agenda.next_at):
                key, _ = await self._cursor.next()
                self._agenda.add(key)
        raise StopAsyncIteration

    def health(self, node: str) -> NodeHealth | None:
        """The health of a host according to the transitions that this reader received; None if there were none.

        It is damped as the transitions are; NodeHandle.health returns the current health.
        """
        return self._notifier.reported(node)

    def _evaluate(self, name: str, now: float) -> None:
        view: NodeView | None = self._hub.view(name)
        if view is not None and not self._matches(view):
            view = None
        self._notifier.observe(name, view, now)

    def _begin(self) -> None:
        for key in self._existing():
            self._agenda.add(key)

"""Transitions, for one reader: an async iterator that ends only with its block.

A cursor, not a queue: what is told is the difference between what this reader was last told and what is true when it
comes by. A slow reader costs memory per node, never per event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, Self, TypeVar

from dpf_async._transitions.hub import Hub
from dpf_async._transitions.transitions import Transition
from dpf_async._watch.cursor import Cursor

V = TypeVar("V")

Derive = Callable[[V | None, V | None, bool], Iterator[Transition]]
"""Before, after, and whether nothing can have been missed in between."""


class TransitionStream(Generic[V]):
    """`async with … as stream: async for transition in stream`.

    A fresh reader is first told of everything that stands.
    """

    def __init__(
        self,
        enter: Callable[[], AbstractAsyncContextManager[Hub[V]]],
        derive: Derive[V],
        *,
        key: str | None,
        keys: Callable[[], Iterable[str]],
        select: Callable[[V], bool],
        settle: Callable[[V | None, V], V],
    ) -> None:
        """For whoever makes streams.

        Args:
            enter: gives the hub to listen to for as long as it is entered.
            derive: what happened between two views.
            key: the only one to listen to; None for all.
            keys: those that stand at the beginning.
            select: whether a view is of this reader's concern at all.
            settle: the view a reader is told of, from the one it was told of before and the one there is now.
        """
        self._enter = enter
        self._derive = derive
        self._key = key
        self._keys = keys
        self._select = select
        self._settle = settle
        self._scope: AbstractAsyncContextManager[None] | None = None
        self._hub: Hub[V]
        self._cursor: Cursor[str] = Cursor()
        self._told: dict[str, V] = {}
        self._hidden: set[str] = set()
        """What could not be looked at when it changed last."""
        self._ready: deque[Transition] = deque()

    async def __aenter__(self) -> Self:
        self._scope = self._listening()
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        scope, self._scope = self._scope, None
        self._ready.clear()
        self._cursor.close()
        if scope is not None:
            await scope.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Transition:
        """The next transition. It waits for as long as nothing happens; once the block was left, there is none."""
        while not self._ready:
            key, missed = await self._cursor.next()
            if self._hub.hidden(key):
                self._hidden.add(key)
                continue
            view: V | None = self._hub.look(key)
            if view is not None and not self._select(view):
                view = None
            before = self._told.pop(key, None)
            if view is not None:
                view = self._told[key] = self._settle(before, view)
            contiguous = missed.contiguous and missed.changes == 1 and key not in self._hidden
            self._hidden.discard(key)
            self._ready.extend(self._derive(before, view, contiguous))
        return self._ready.popleft()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        async with self._enter() as hub:
            self._hub = hub
            hub.add_reader(self._key, self._cursor)
            try:
                for key in self._keys():
                    self._cursor.mark(key, "watch")
                yield
            finally:
                hub.remove_reader(self._key, self._cursor)

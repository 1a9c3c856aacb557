"""Subscription: the base of all streams over a hub. It listens while it is entered and ends with its block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar, Generic, Self, TypeVar

from dpf_async._transitions.hub import Hub
from dpf_async._watch.cursor import Cursor
from dpf_async.errors import UsageError

V = TypeVar("V")


class Subscription(Generic[V]):
    """One reader of a hub, entered with `async with`. Subclasses mark the existing keys and return the changes.

    Args:
        enter: returns the hub, for as long as it is entered.
        key: the only key to listen to; None for all.
    """

    entered_with: ClassVar[str]
    """The call that returns such a stream, for the message to a caller that did not enter it."""

    def __init__(self, enter: Callable[[], AbstractAsyncContextManager[Hub[V]]], key: str | None) -> None:
        self._enter = enter
        self._key = key
        self._scope: AbstractAsyncContextManager[None] | None = None
        self._left = False
        self._hub: Hub[V]
        self._cursor: Cursor[str] = Cursor()

    async def __aenter__(self) -> Self:
        self._scope = self._listening()
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        scope, self._scope, self._left = self._scope, None, True
        self._cursor.close()
        if scope is not None:
            await scope.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    def _begin(self) -> None:
        """Mark the keys that exist when the stream is entered."""
        raise NotImplementedError

    def _require_entered(self) -> None:
        if self._scope is None and not self._left:
            raise UsageError(
                f"this stream is not entered: use it with `async with {self.entered_with} as stream:`"
            )

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        async with self._enter() as hub:
            self._hub = hub
            hub.add_reader(self._key, self._cursor)
            try:
                self._begin()
                yield
            finally:
                hub.remove_reader(self._key, self._cursor)

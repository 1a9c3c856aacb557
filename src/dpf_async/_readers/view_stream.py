"""The views of one object, for one reader: an async iterator that ends only with its block.

A cursor, not a queue: a slow reader receives the newest view, and the states in between are skipped.
"""

from __future__ import annotations

from typing import TypeVar

from dpf_async._readers.subscription import Subscription

V = TypeVar("V")


class ViewStream(Subscription[V]):
    """`async with … as views: async for view in views`: the current view first, then one after each change.

    Each view shows everything that this client wrote before the stream was entered. Several changes between two reads
    are one view: the newest. An object that was deleted and created again in between has another uid. While an object
    cannot be decoded, there is no view of it; the next one follows when it can be decoded again, or is deleted.
    Cancelling `anext` is safe: the change is read by the next call.
    """

    entered_with = "handle.views()"

    async def __anext__(self) -> V:
        """The next view. It waits while nothing changes; after the block was left, there is none.

        Raises:
            UsageError: the stream is not entered.
        """
        self._require_entered()
        while self._scope is not None:
            key, _ = await self._cursor.next()
            # No await from here to the return: a change that was taken from the cursor reaches the reader.
            if not self._hub.is_unreadable(key):
                return self._hub.view(key)
        raise StopAsyncIteration

    def _begin(self) -> None:
        if self._key is not None:
            self._cursor.mark(self._key, "watch")

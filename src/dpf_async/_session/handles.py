"""Handles on single objects by name: read the current view, wait for a level, iterate over the views.

A wait binds to the object that it sees first: a level that holds for another object of the same name does not end it
(docs/watching.md#identity).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic

import anyio

from dpf_async._readers.view_stream import ViewStream
from dpf_async._readers.waits import wait_for
from dpf_async._session.sources import Cached, Source, View
from dpf_async._transitions.hub import Hub, Wait
from dpf_async._transitions.levels import Level
from dpf_async.errors import DecodeError, NotFound, ObjectReplaced

if TYPE_CHECKING:
    from dpf_async.errors import WaitError


class Handle(Generic[View, Cached]):
    """One object by its name, whether it exists or not.

    Args:
        name: of the object.
        source: where its views come from.
    """

    def __init__(self, name: str, source: Source[View, Cached]) -> None:
        self.name = name
        self._source = source

    @property
    def kind(self) -> str:
        """The kind of the object, such as "DPU"."""
        return self._source.kind

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.name}>"

    async def until(self, condition: Level[View], *, timeout: float | None = None) -> View:
        """Wait until condition holds for this object and return the view in which it did.

        Returns at once if it holds already. States in between may be skipped while the connection is interrupted; a
        condition that becomes true and stays true is never missed. An object that does not exist yet is waited for.

        Args:
            condition: a level, evaluated on every view including the first.
            timeout: seconds from the call; None leaves it to the caller's cancel scope; 0 or less checks once.

        Raises:
            WaitTimeout: with the last view.
            ObjectReplaced: the object was deleted, or another one has its name now.
            DPUFailed: the DPU, or a DPU of the node, entered phase Error, and condition does not hold.
        """
        level = self._on_existing(condition)
        view = self._source.existing(await self._wait(level, timeout=timeout, bound=True))
        assert view is not None, "the level holds for no absent object"  # noqa: S101
        return view

    def views(self) -> ViewStream[Cached]:
        """The views of this object: `async with handle.views() as views: async for view in views`.

        The current view is first, then one after each change. A slow reader receives the newest view only; `until`
        skips no state. While there is no object of this name, the view is None; a node has a view with `exists` False.

        Raises:
            Unauthorized, Forbidden, KindNotServed: on entering, if a kind cannot be listed.
        """

        @asynccontextmanager
        async def enter() -> AsyncIterator[Hub[Cached]]:
            hub = await self._source.hub()
            await self._source.sync()
            yield hub

        return ViewStream(enter, self.name)

    @asynccontextmanager
    async def observe(self, condition: Level[Cached]) -> AsyncIterator[Wait[Cached]]:
        """Evaluate a level on every state while the block runs; the result does not end the block."""
        hub = await self._source.hub()
        wait: Wait[Cached] = Wait(condition, lambda _: None)
        wait.evaluate(hub.view(self.name))
        hub.add_wait(self.name, wait)
        try:
            yield wait
        finally:
            hub.remove_wait(self.name, wait)

    def describe(self, view: View) -> str:
        """A description of the state in a view, as error messages have it."""
        return self._source.describe(view)

    async def _read(self) -> Cached:
        """What the cache has, including everything that this client wrote."""
        hub = await self._source.hub()
        await self._source.sync()
        if (undecodable := self._source.undecodable(self.name)) is not None:
            raise DecodeError(
                f"{self.kind} {self.name} cannot be decoded: {undecodable.error}",
                kind=self.kind,
                name=self.name,
            )
        return hub.view(self.name)

    def _on_existing(self, condition: Level[View]) -> Level[Cached]:
        """The level that holds for an existing object if condition does."""

        def holds(cached: Cached) -> bool:
            view = self._source.existing(cached)
            return view is not None and condition.holds(view)

        return Level(condition.name, holds, survives_failure=condition.survives_failure)

    async def _wait(self, level: Level[Cached], *, timeout: float | None, bound: bool) -> Cached:
        """Wait until level holds.

        Args:
            level: on views and on the absence of the object.
            timeout: seconds.
            bound: end the wait with an error if the object is replaced, or fails.
        """
        return await wait_for(
            await self._source.hub(),
            self.name,
            level,
            sync=self._source.sync,
            failure_check=lambda first, began: (
                _BoundCheck(self.name, self._source, level, first, began) if bound else lambda _: None
            ),
            timeout=timeout,
            timeout_message=lambda last, waited, checked: self._timeout_message(
                level, last, waited, checked=checked
            ),
        )

    def _timeout_message(self, level: Level[Any], last: Cached, waited: float, *, checked: bool) -> str:
        view = self._source.existing(last)
        if (undecodable := self._source.undecodable(self.name)) is not None:
            state = f"it exists but cannot be decoded: {undecodable.error}"
        elif view is not None and (checked or view.uid):
            state = self._source.describe(view)
        elif checked:
            state = f"it never existed or is gone: there is no {self.kind} of this name"
        else:
            state = "its state is unknown: the API server has not answered yet"
        interruption = self._source.interruption()
        watch = f"; the watch is {interruption}" if interruption else ""
        return f"{self.kind} {self.name}: not {level.name} after {waited:g} s; {state}{watch}"


class ObjectHandle(Handle[View, View | None]):
    """One object of a kind whose absence has no view."""

    async def view(self) -> View:
        """The current view, including everything that this client wrote.

        Raises:
            NotFound: there is no object of this name.
            DecodeError: there is one, and it cannot be decoded.
        """
        view = await self.find()
        if view is None:
            raise NotFound(
                f"there is no {self.kind} {self.name}",
                status=404,
                reason="NotFound",
                object=f"{self.kind} {self.name}",
            )
        return view

    async def find(self) -> View | None:
        """The same, and None if there is no object of this name.

        Raises:
            DecodeError: there is one, and it cannot be decoded.
        """
        return await self._read()

    async def until_gone(self, *, uid: str | None = None, timeout: float | None = None) -> None:
        """Wait until there is no object of this name, or none with this uid.

        Args:
            uid: wait only for this object; another one of its name may exist afterwards.
            timeout: as for `until`.

        Raises:
            WaitTimeout: it still exists; the message says what holds it.
        """
        level: Level[View | None] = Level(
            "gone",
            lambda view: view is None or (uid is not None and view.uid != uid),
            survives_failure=True,
        )
        await self._wait(level, timeout=timeout, bound=False)

    async def until_replaced(self, uid: str, *, timeout: float | None = None) -> View:
        """Wait until an object with another uid has the name.

        Args:
            uid: of the object that is replaced.
            timeout: as for `until`.

        Raises:
            WaitTimeout: the old object still exists, or there is no new one yet.
        """
        level: Level[View | None] = Level(
            "replaced", lambda view: view is not None and view.uid != uid, survives_failure=True
        )
        view = await self._wait(level, timeout=timeout, bound=False)
        assert view is not None, "the level holds for no absent object"  # noqa: S101
        return view


class _BoundCheck(Generic[View, Cached]):
    """Fails a wait when its object was deleted or replaced, or when the source says that the level never will hold."""

    def __init__(
        self, name: str, source: Source[View, Cached], level: Level[Any], first: Cached, began: float
    ) -> None:
        self._object = f"{source.kind} {name}"
        self._source = source
        self._level = level
        self._last = first
        self._began = began

    def __call__(self, cached: Cached) -> WaitError | None:
        waited = anyio.current_time() - self._began
        before, now = self._source.existing(self._last), self._source.existing(cached)
        new_uid = now.uid if now is not None else ""
        if before is not None and before.uid and new_uid != before.uid:
            return ObjectReplaced(
                f"{self._object} was {'replaced' if new_uid else 'deleted'} while waiting for {self._level.name};"
                f" it was {self._source.describe(before)}",
                old_uid=before.uid,
                new_uid=new_uid or None,
                condition=self._level.name,
                view=before,
                waited=waited,
            )
        self._last = cached
        return None if now is None else self._source.failure(now, self._level, waited)

"""Handles on single objects by name: look, wait, follow.

Generic over the kind. A wait binds to the object it first sees: what is true of another one that gets the same name
later is not taken for the answer (G7).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio

from dpf_async._readers.view_stream import ViewStream
from dpf_async._readers.waits import wait_for
from dpf_async._transitions.hub import FailureCheck, Hub, HubListener
from dpf_async._transitions.levels import Level
from dpf_async.errors import DecodeError, NotFound, ObjectReplaced, WaitError
from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._watch.reflector import Reflector

T = TypeVar("T", bound=Resource)


class HasIdentity(Protocol):
    """Any view of one object."""

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...


View = TypeVar("View", bound=HasIdentity)


class ObjectCache(Generic[T, View]):
    """The views of all objects of one kind, and who waits for which. Listens from the moment it is built."""

    def __init__(self, reflector: Reflector[T], view_of: Callable[[ObjectState[T]], View]) -> None:
        self.reflector = reflector
        self.hub: Hub[View | None] = Hub(self.view, self.hidden)
        self._view_of = view_of
        reflector.store.listen(HubListener(self.hub))

    def view(self, name: str) -> View | None:
        """The view of the object of this name; None if there is none."""
        state = self.reflector.store.get(name)
        return None if state is None else self._view_of(state)

    def hidden(self, name: str) -> bool:
        """An object of this name exists and cannot be read."""
        return name in self.reflector.store.unreadable


Verdict = Callable[[View, Level[Any], float], "WaitError | None"]
"""Looks at an existing object that is not yet as wanted, having waited so many seconds: will it ever be?"""


class ObjectHandle(Generic[View]):
    """One object by its name, whether it exists or not."""

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        picture: Callable[[], Awaitable[ObjectCache[Any, View]]],
        fresh: Callable[[Reflector[Any]], Awaitable[None]],
        describe: Callable[[View], str],
        verdict: Verdict[View] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self._picture = picture
        self._fresh = fresh
        self._describe = describe
        self._verdict = verdict

    async def view(self) -> View:
        """What is true of it now, everything we wrote ourselves included.

        Raises:
            NotFound: there is no object of this name.
            DecodeError: there is one, and it cannot be read.
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
            DecodeError: there is one, and it cannot be read.
        """
        picture = await self._picture()
        await self._fresh(picture.reflector)
        if (unreadable := picture.reflector.store.unreadable.get(self.name)) is not None:
            raise DecodeError(
                f"{self.kind} {self.name} cannot be read: {unreadable.error}", kind=self.kind, name=self.name
            )
        return picture.view(self.name)

    def views(self) -> ViewStream[View | None]:
        """The views of this object: `async with handle.views() as views: async for view in views`.

        The current view is first, then one after each change; None while there is no object of this name. A slow reader
        receives the newest view only. See ViewStream for what an iterator skips; `until` skips nothing.

        Raises:
            Unauthorized, Forbidden, KindNotServed: on entering, if the kind cannot be listed.
        """

        @asynccontextmanager
        async def enter() -> AsyncIterator[Hub[View | None]]:
            picture = await self._picture()
            await self._fresh(picture.reflector)
            yield picture.hub

        return ViewStream(enter, self.name)

    def describe(self, view: View) -> str:
        """A description of the state in a view, as error messages have it."""
        return self._describe(view)

    async def until(self, condition: Level[View], *, timeout: float | None = None) -> View:
        """Wait until condition holds for this object and return the view in which it did.

        Returns at once if it holds already. States in between may be skipped while the connection is down; a condition
        that becomes true and stays true is never missed. An object that does not exist yet is waited for.

        Args:
            condition: a level, asked of every state including the first.
            timeout: seconds from the call; None leaves it to the caller's cancel scope; 0 looks once.

        Raises:
            WaitTimeout: with the last view seen.
            ObjectReplaced: the object was deleted, or another one has its name now.
            DPUFailed: for a DPU: it entered phase Error, and waiting does not help any more.
        """
        level: Level[View | None] = Level(
            condition.name,
            lambda view: view is not None and condition.holds(view),
            survives_failure=condition.survives_failure,
        )
        view = await self._wait(level, timeout=timeout, bound=True)
        assert view is not None, "the level holds for no None"  # noqa: S101
        return view

    async def until_gone(
        self,
        *,
        uid: str | None = None,
        timeout: float | None = None,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Wait until there is no object of this name, or none with this uid.

        Args:
            uid: only this very object has to go; another one of its name may come.
            timeout: as for `until`.
            tell: hears, in words, of every state in which it is still there.

        Raises:
            WaitTimeout: it is still there; the message says what holds it.
        """

        def gone(view: View | None) -> bool:
            if view is None or (uid is not None and view.uid != uid):
                return True
            if tell is not None:
                tell(self._describe(view))
            return False

        level: Level[View | None] = Level("gone", gone, survives_failure=True)
        await self._wait(level, timeout=timeout, bound=False)

    async def until_replaced(
        self,
        uid: str,
        *,
        timeout: float | None = None,
        seen: Callable[[View | None], object] | None = None,
    ) -> View:
        """Wait until another object than the one with this uid has the name.

        Args:
            uid: of the object that has to make way.
            timeout: as for `until`.
            seen: is told every state in which it has not; it must not wait.

        Raises:
            WaitTimeout: there is still the old one, or none yet.
        """

        def is_replaced(view: View | None) -> bool:
            if view is not None and view.uid != uid:
                return True
            if seen is not None:
                seen(view)
            return False

        level: Level[View | None] = Level("replaced", is_replaced, survives_failure=True)
        view = await self._wait(level, timeout=timeout, bound=False)
        assert view is not None, "the level holds for no None"  # noqa: S101
        return view

    async def _wait(self, level: Level[View | None], *, timeout: float | None, bound: bool) -> View | None:
        picture: ObjectCache[Any, View] | None = None

        async def fresh() -> None:
            assert picture is not None, "asked only after the picture is known"  # noqa: S101
            await self._fresh(picture.reflector)

        picture = await self._picture()
        return await wait_for(
            picture.hub,
            self.name,
            level,
            fresh=fresh,
            failure_check=lambda first, began: self._objection(level, first, began, bound=bound),
            timeout=timeout,
            words=lambda last, waited, looked: self._words(level, last, waited, picture, looked=looked),
        )

    def _objection(
        self, level: Level[Any], first: View | None, began: float, *, bound: bool
    ) -> FailureCheck[View | None]:
        seen = first

        def object_to(view: View | None) -> WaitError | None:
            nonlocal seen
            waited = anyio.current_time() - began
            if bound and seen is not None and (view is None or view.uid != seen.uid):
                return ObjectReplaced(
                    f"{self.kind} {self.name} was {'deleted' if view is None else 'replaced'} while waiting for"
                    f" {level.name}; it was {self._describe(seen)}",
                    old_uid=seen.uid,
                    new_uid=None if view is None else view.uid,
                    condition=level.name,
                    view=seen,
                    waited=waited,
                )
            seen = view
            if view is not None and self._verdict is not None and bound:
                return self._verdict(view, level, waited)
            return None

        return object_to

    def _words(
        self,
        level: Level[Any],
        last: View | None,
        waited: float,
        picture: ObjectCache[Any, View],
        *,
        looked: bool,
    ) -> str:
        state = f"it never existed or is gone: there is no {self.kind} of this name"
        if last is not None:
            state = self._describe(last)
        elif unreadable := picture.reflector.store.unreadable.get(self.name):
            state = f"it exists but cannot be read: {unreadable.error}"
        elif not looked:
            state = "nothing is known of it: it could not be looked for yet"
        health = picture.reflector.health
        trouble = f"; the watch is {health.state}: {health.reason}" if health.reason else ""
        return f"{self.kind} {self.name}: not {level.name} after {waited:g} s; {state}{trouble}"

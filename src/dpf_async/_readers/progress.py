"""Progress: what a flow does or waits for, reported to the caller as it changes and not by the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio

from dpf_async._base.tasks import background_tasks
from dpf_async._transitions.levels import Level
from dpf_async.errors import DPFError, WaitTimeout

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a flow does at this moment.

    Attributes:
        flow: the call that is running: "provision".
        subject: the object that it is about: "DPUNode node-1".
        doing: a description: "not ready yet; phases: dpu-1 OS Installing".
        seconds: since the flow began.
    """

    flow: str
    subject: str
    doing: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.subject}: {self.doing}"


ProgressListener = Callable[[Progress], object]
"""Callback for progress. It must not wait; an exception that it raises ends the flow."""


class Waitable(Protocol[V_co]):
    """A handle, as `ProgressReporter.wait_for` uses it. Any: its views have one type, and None for an absent object."""

    async def until(self, condition: Level[Any], *, timeout: float | None = None) -> V_co: ...

    def views(self) -> AbstractAsyncContextManager[AsyncIterator[Any]]: ...


class ProgressReporter:
    """Reports the progress of one flow to one listener. A description is repeated for a subject only after another one.

    Args:
        flow: the name of the call.
        listener: the callback; None reports nothing.
    """

    def __init__(self, flow: str, listener: ProgressListener | None) -> None:
        self._flow = flow
        self._listener = listener
        self._began = anyio.current_time()
        self._reported: dict[str, str] = {}

    def report(self, subject: str, doing: str) -> None:
        """Report what the flow does, unless it is what was last reported for this subject."""
        if self._listener is None or self._reported.get(subject) == doing:
            return
        self._reported[subject] = doing
        self._listener(Progress(self._flow, subject, doing, anyio.current_time() - self._began))

    @asynccontextmanager
    async def following(
        self,
        views: AbstractAsyncContextManager[AsyncIterator[V]],
        subject: str,
        describe: Callable[[V], str | None],
    ) -> AsyncIterator[None]:
        """Report the views of an object while the block runs.

        Views that change faster than they are read are skipped, and what is true when the block is left may not have
        been reported: the block reports its result itself.

        Args:
            views: as `handle.views()` returns them.
            subject: the object that they show.
            describe: the description of a view; None reports nothing about it.
        """
        if self._listener is None:
            yield
            return
        async with background_tasks() as tasks:
            tasks.start_soon(self._follow, views, subject, describe)
            yield

    async def wait_for(
        self,
        handle: Waitable[V],
        level: Level[V],
        *,
        subject: str,
        describe: Callable[[V], str],
        timeout: float | None,
    ) -> V:
        """Wait until level holds, as `handle.until` does; report the views in which it does not hold yet.

        Args:
            handle: on the object.
            level: what is waited for.
            subject: the object.
            describe: the description of a view in which the level does not hold.
            timeout: seconds; None has no end; 0 or less checks once.

        Raises:
            WaitError: as for `handle.until`. What a timeout saw last was reported.
        """

        def waiting(view: V | None) -> str | None:
            if view is None:
                return "it does not exist yet"
            try:
                holds = level.holds(view)
            except Exception:  # noqa: BLE001  the wait itself raises it
                return None
            return None if holds else f"not {level.name} yet; {describe(view)}"

        try:
            async with self.following(handle.views(), subject, waiting):
                return await handle.until(level, timeout=timeout)
        except WaitTimeout as error:
            if error.view is not None and (doing := waiting(error.view)) is not None:
                self.report(subject, doing)
            raise

    async def _follow(
        self,
        views: AbstractAsyncContextManager[AsyncIterator[V]],
        subject: str,
        describe: Callable[[V], str | None],
    ) -> None:
        async with AsyncExitStack() as stack:
            try:
                changes = await stack.enter_async_context(views)
            except DPFError:
                # The block waits for the same object and raises the error. Raised here as well, it would be a group.
                return
            async for view in changes:
                if (doing := describe(view)) is not None:
                    self.report(subject, doing)

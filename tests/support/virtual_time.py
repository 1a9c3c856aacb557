"""Virtual time: an event loop whose clock advances to the next timer when no task can run.

Half an hour of backoff takes milliseconds over real sockets, provided that both ends run in this event loop: data that
one end sent is readable at the other before the loop selects.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")

HORIZON = 2 * 3600.0
"""Virtual seconds after which a test fails, because it waits for something that does not happen."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which time advances only while no task can run."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        super().__init__(_VirtualTimeSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


class _VirtualTimeSelector(selectors.DefaultSelector):
    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # Real time for the kernel to deliver data that was sent, more for longer steps: from 5 s on, a step may exceed
        # the timeout of a request, and on a busy machine delivery takes some milliseconds.
        grace = 0.02 if timeout > 4 else 0.002
        ready = super().select(min(0.5, max(grace, timeout / 2000)))
        if not ready:
            self._advance(timeout)
        return ready


def virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in virtual time. It fails after HORIZON, with the place where it waits."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            task = asyncio.current_task()
            assert task is not None
            waits_at = ""

            def give_up() -> None:
                nonlocal waits_at
                waits_at = _where(task.get_coro())
                task.cancel()

            asyncio.get_running_loop().call_later(HORIZON, give_up)
            try:
                await test(*args, **kwargs)
            except asyncio.CancelledError:
                assert not waits_at, f"no progress for {HORIZON:g} virtual seconds at {waits_at}"
                raise

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(bounded())

    return run


def _where(coroutine: Any) -> str:  # Any: any awaitable
    frames = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        frames.append(f"{frame.f_code.co_qualname} line {frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(frames[1:])

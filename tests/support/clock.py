"""A clock that jumps: when nobody has anything to do, it is at once as late as the next timer.

Half an hour of backoff passes in a moment over real sockets, as long as both ends live in this event loop: what one
end has sent is with the other before the loop looks for something to do.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")

HORIZON = 2 * 3600.0
"""Virtual seconds after which a test waits for something that never comes."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only when nothing else can happen."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # A moment for the kernel to hand over what was sent; the farther the jump, the surer it has to be. From 5 s on
        # whole requests may be given up for it: on a busy machine, handing over takes some milliseconds.
        surely = 0.02 if timeout > 4 else 0.002
        ready = super().select(min(0.5, max(surely, timeout / 2000)))
        if not ready:
            self._jump(timeout)
        return ready


def jumping(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test on a clock that jumps. One that waits in vain fails, and says where it waits."""

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
                assert not waits_at, f"waited in vain: {waits_at}"
                raise

        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(bounded())

    return run


def _where(coroutine: Any) -> str:  # Any: whatever is awaited
    places = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_qualname} line {frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(places[1:])

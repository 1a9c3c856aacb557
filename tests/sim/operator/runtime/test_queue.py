"""Queue: reconciles that wait for a quiet moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from dpf_async.models import Resource
from dpf_async.sim.operator.runtime.queue import Mapper, Queue, Requeue


@dataclass
class _Recorder:
    """A controller that records the names it reconciles."""

    name: str = "recorder"
    watches: Mapping[type[Resource], Mapper] = field(default_factory=dict)
    summarizes: tuple[type[Resource], ...] = ()
    reconciled: list[str] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def names(self) -> list[str]:
        return []

    async def reconcile(self, name: str) -> Requeue | None:
        self.reconciled.append(name)
        self.changed.set()
        self.changed = anyio.Event()
        return None

    async def until(self, *names: str) -> None:
        with anyio.fail_after(60):
            while self.reconciled != [*names]:
                await self.changed.wait()


@asynccontextmanager
async def _running(controller: _Recorder, quiet_seconds: float) -> AsyncIterator[Queue]:
    queue = Queue(
        controller,
        retry_base=0.005,
        retry_cap=1.0,
        on_change=lambda: None,
        quiet_seconds=lambda: quiet_seconds,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(queue.run)
        await anyio.wait_all_tasks_blocked()
        yield queue
        tasks.cancel_scope.cancel()


async def test_a_summary_is_written_in_a_quiet_moment() -> None:
    controller = _Recorder()
    async with _running(controller, quiet_seconds=60.0) as queue:
        queue.add_when_idle("a")

        assert not queue.idle
        await controller.until("a")


async def test_a_summary_is_written_even_if_controllers_are_always_busy() -> None:
    controller = _Recorder()
    async with _running(controller, quiet_seconds=0.0) as queue:
        queue.add_when_idle("a")

        await controller.until("a")


async def test_several_changes_cause_one_summary() -> None:
    controller = _Recorder()
    async with _running(controller, quiet_seconds=0.0) as queue:
        for _ in range(3):
            queue.add_when_idle("a")
        queue.add_deferred()
        await controller.until("a")

        await anyio.wait_all_tasks_blocked()
        assert controller.reconciled == ["a"]
        assert queue.idle


async def test_an_immediate_reconcile_replaces_a_pending_summary() -> None:
    controller = _Recorder()
    async with _running(controller, quiet_seconds=0.0) as queue:
        queue.add_when_idle("a")

        queue.add("a")
        await controller.until("a")

        await anyio.wait_all_tasks_blocked()
        assert queue.idle

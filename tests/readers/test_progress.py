"""Progress reports that follow the views of an object. Over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async._readers.progress import Progress, ProgressReporter
from dpf_async.errors import ObjectReplaced, WaitTimeout
from dpf_async.levels import Level, ready
from tests.support.objects import dpu
from tests.support.scripted import Scripted
from tests.support.virtual_time import virtual_time


def phase(view: object) -> str:
    return str(getattr(view, "phase", None))


@virtual_time
async def test_a_wait_reports_each_view_in_which_the_level_does_not_hold_once() -> None:
    reports: list[Progress] = []
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        reporter = ProgressReporter("provision", reports.append)

        async def wait() -> None:
            await reporter.wait_for(dpf.dpu("a"), ready, subject="DPU a", describe=phase, timeout=None)
            reporter.report("DPU a", "ready")

        tasks.start_soon(wait)
        watch = await server.watch()
        for version, state in ((101, "Pending"), (102, "Rebooting"), (103, "Ready")):
            await watch.send(server.modified(dpu("a", version, state)))
            await anyio.sleep(1)

    assert [str(one) for one in reports] == [
        "DPU a: not ready yet; Pending",
        "DPU a: not ready yet; Rebooting",
        "DPU a: ready",
    ]
    assert {one.flow for one in reports} == {"provision"}


@virtual_time
async def test_a_wait_reports_that_an_object_does_not_exist_yet() -> None:
    reports: list[Progress] = []
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(WaitTimeout):
            await ProgressReporter("f", reports.append).wait_for(
                dpf.dpu("a"), ready, subject="DPU a", describe=phase, timeout=5
            )

    assert [one.doing for one in reports] == ["it does not exist yet"]


@virtual_time
async def test_a_wait_without_time_reports_what_it_saw() -> None:
    reports: list[Progress] = []
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        with pytest.raises(WaitTimeout):
            await ProgressReporter("f", reports.append).wait_for(
                dpf.dpu("a"), ready, subject="DPU a", describe=phase, timeout=0
            )

    assert [one.doing for one in reports] == ["not ready yet; Pending"]


@virtual_time
async def test_an_error_of_the_level_is_raised_as_itself_also_with_a_listener() -> None:
    def holds(view: object) -> bool:
        raise ZeroDivisionError

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        with pytest.raises(ZeroDivisionError):
            await ProgressReporter("f", lambda _: None).wait_for(
                dpf.dpu("a"), Level("odd", holds), subject="DPU a", describe=phase, timeout=None
            )


@virtual_time
async def test_an_error_of_the_listener_ends_the_wait_as_itself() -> None:
    def listener(progress: Progress) -> None:
        raise ValueError("listener")

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        with pytest.raises(ValueError, match="listener"):
            await ProgressReporter("f", listener).wait_for(
                dpf.dpu("a"), ready, subject="DPU a", describe=phase, timeout=None
            )


@virtual_time
async def test_following_reports_while_the_block_runs_and_raises_the_error_of_the_block() -> None:
    reports: list[Progress] = []
    async with (
        Scripted(dpu("a", 10)) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        reporter = ProgressReporter("f", reports.append)
        handle = dpf.dpu("a")

        async def delete() -> None:
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101, "Deleting")))
            await anyio.sleep(1)
            await watch.send(server.deleted(dpu("a", 102)))

        async def follow() -> None:
            async with reporter.following(
                handle.views(), "DPU a", lambda view: None if view is None else handle.describe(view)
            ):
                await handle.until(ready)

        tasks.start_soon(delete)
        with pytest.raises(ObjectReplaced):
            await follow()

    assert [one.doing for one in reports] == ["Pending", "Deleting"]


@virtual_time
async def test_following_without_a_listener_sends_nothing() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        async with ProgressReporter("f", None).following(dpf.dpu("a").views(), "DPU a", lambda _: None):
            await anyio.sleep(1)
        requests = len(server.requests)

    assert requests == 0

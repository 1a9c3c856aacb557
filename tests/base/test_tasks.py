"""Background tasks: cancelled with their block; a single failure is raised as itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from dpf_async._base.tasks import background_tasks


async def running(*work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with background_tasks() as tasks:
        for each in work:
            tasks.start_soon(each)
        await anyio.sleep_forever()


async def test_one_failure_of_a_task_is_raised_as_itself() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await running(fail)


async def test_several_failures_are_raised_in_a_group() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        await running(fail, fail)

    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError] * 2


async def test_a_block_that_cancels_its_own_tasks_raises_nothing() -> None:
    async with background_tasks() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        tasks.cancel_scope.cancel()
        await anyio.sleep_forever()


async def test_leaving_the_block_cancels_its_tasks() -> None:
    async with background_tasks() as tasks:
        tasks.start_soon(anyio.sleep_forever)

"""Connection: what all handles of one client share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dpf_async import DPFClient
from tests.support.objects import dpu, node
from tests.support.scripted import Scripted
from tests.support.virtual_time import virtual_time

AT_ONCE = 300


async def read_dpu(dpf: DPFClient) -> None:
    await dpf.dpu("a").view()


async def read_node(dpf: DPFClient) -> None:
    await dpf.node("node-1").view()


@pytest.mark.parametrize("read", [read_dpu, read_node])
@virtual_time
async def test_reads_that_begin_together_do_not_queue_for_one_lock(
    read: Callable[[DPFClient], Coroutine[Any, Any, None]],
) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with Scripted(dpu("a", 10), node("node-1", 11)) as server, server.client() as dpf:
        await read(dpf)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            async with anyio.create_task_group() as reads:
                for _ in range(AT_ONCE):
                    reads.start_soon(read, dpf)
            tasks.cancel_scope.cancel()

    assert turns < AT_ONCE / 10

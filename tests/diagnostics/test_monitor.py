"""A policy that acts on the health of hosts: on the newest state, one act at a time, whatever fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from dpf_async import ObjectState, Progress, monitor
from dpf_async._readers.health_stream import damping
from dpf_async._session.node_handle import is_something
from dpf_async.health import (
    CriticalServicesDown,
    HealthPolicy,
    HealthProblem,
    HealthStream,
    NodeHealth,
)
from dpf_async.models import DPU
from tests.support.states import condition, dpu, node
from tests.support.stores import Stores, listening
from tests.support.virtual_time import virtual_time


class SiteOfStores:
    """Two hosts whose health is what the test says."""

    def __init__(self) -> None:
        self._stores = Stores()
        self._site = self._stores.site()

    def health_transitions(
        self, *, label_selector: str, down_after: float, up_after: float, still_after: float | None
    ) -> HealthStream:
        assert not label_selector
        return HealthStream(
            lambda: listening(self._site),
            damping(down_after=down_after, up_after=up_after, still_after=still_after),
            key=None,
            keys=lambda: sorted(self._site.names()),
            select=is_something,
        )

    def show(self, host: str, *, critical: str = "True", others: str = "True", uid: str = "") -> None:
        device = f"device-of-{host}"
        self._stores.show(node(host, (device,), uid=uid), self._dpu(host, device, critical, others))

    def remove(self, host: str) -> None:
        view = self._site.view(host)
        for dpu_view in view.dpus:
            self._stores.delete(dpu_view.state)
        if view.node is not None:
            self._stores.delete(view.node)

    def _dpu(self, host: str, device: str, critical: str, others: str) -> ObjectState[DPU]:
        said = [
            condition("DPUServiceCriticalPodsReady", critical),
            condition("DPUServiceNonCriticalPodsReady", others),
        ]
        return dpu(f"dpu-of-{host}", node=host, device=device, operationalConditions=said)


class Diary(HealthPolicy):
    """Writes down what it is asked to do, and does with it what the test says."""

    def __init__(self, does: Callable[[str, str], Awaitable[None]] | None = None) -> None:
        self.acts: list[str] = []
        self.at: list[float] = []
        self._does = does
        self._busy: set[str] = set()

    async def remove_from_pool(self, host: NodeHealth) -> None:
        await self._act("remove_from_pool" if host.usable is False else "wrong", host.node)

    async def return_to_pool(self, host: NodeHealth) -> None:
        await self._act("return_to_pool" if host.usable is True else "wrong", host.node)

    async def note(self, host: NodeHealth) -> None:
        await self._act(f"note {len(host.problems)}", host.node)

    async def investigate(self, host: NodeHealth, problem: HealthProblem) -> None:
        await self._act("investigate" if problem in host.problems else "wrong", host.node)

    async def forget(self, node: str) -> None:
        await self._act("forget", node)

    async def _act(self, act: str, host: str) -> None:
        # Whatever is raised here is a failure of the policy and tried again: what is wrong has to be written down.
        self.acts.append(f"{host} {act}" if host not in self._busy else f"{host} is busy already")
        self._busy.add(host)
        try:
            self.at.append(anyio.current_time())
            if self._does is not None:
                await self._does(host, act)
        finally:
            self._busy.discard(host)


async def idle() -> None:
    """Until nobody has anything to do at this time: the clock jumps a second then."""
    await anyio.sleep(1)


@virtual_time
async def test_every_host_is_told_of_once_when_a_monitor_begins() -> None:
    site, diary = SiteOfStores(), Diary()
    site.show("a")
    site.show("b", critical="False")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await idle()
        tasks.cancel_scope.cancel()

    assert sorted(diary.acts) == ["a return_to_pool", "b remove_from_pool"]


@virtual_time
async def test_a_slow_act_is_followed_by_the_newest_state_only_and_keeps_no_other_host_waiting() -> None:
    site, go = SiteOfStores(), anyio.Event()

    async def wait(host: str, act: str) -> None:
        if host == "a" and not go.is_set():
            await go.wait()

    diary = Diary(wait)
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await idle()
        for critical in ("False", "True", "False", "True", "False"):
            site.show("a", critical=critical)
            await idle()
        site.show("b")
        await idle()
        while_waiting = list(diary.acts)
        go.set()
        await idle()
        tasks.cancel_scope.cancel()

    assert while_waiting == ["a return_to_pool", "b return_to_pool"]
    assert diary.acts == [*while_waiting, "a remove_from_pool"]


@virtual_time
async def test_what_failed_is_tried_again_until_it_succeeds_and_not_too_often() -> None:
    site, repaired = SiteOfStores(), False

    async def fail(host: str, act: str) -> None:
        if not repaired:
            raise ConnectionError("the inventory is down")

    diary, told = Diary(fail), list[Progress]()
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, diary, progress=told.append)

        tasks.start_soon(run)
        await anyio.sleep(3600)
        attempts = len(diary.acts)
        repaired = True
        await anyio.sleep(61)
        tasks.cancel_scope.cancel()

    assert set(diary.acts) == {"a remove_from_pool"}
    assert 60 < attempts < 250
    assert len(diary.acts) == attempts + 1
    assert "the inventory is down" in str(told[1])
    assert str(told[-1]) == "DPUNode a: remove_from_pool done"


@virtual_time
async def test_a_failing_act_never_hides_what_is_true_by_now() -> None:
    site = SiteOfStores()

    async def fail(host: str, act: str) -> None:
        if act == "return_to_pool":
            raise ConnectionError

    diary = Diary(fail)
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await anyio.sleep(600)
        site.show("a", critical="False")
        changed = anyio.current_time()
        await idle()
        acts = len(diary.acts)
        await anyio.sleep(600)
        tasks.cancel_scope.cancel()

    assert diary.acts[-1] == "a remove_from_pool"
    assert diary.at[-1] - changed < 1
    assert len(diary.acts) == acts, "what is not true any more is not tried again"


@virtual_time
async def test_a_failing_host_keeps_no_other_from_being_served() -> None:
    site = SiteOfStores()

    async def fail(host: str, act: str) -> None:
        if host == "a":
            raise RuntimeError

    diary = Diary(fail)
    site.show("a")
    site.show("b")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await anyio.sleep(100)
        site.show("b", critical="False")
        await idle()
        tasks.cancel_scope.cancel()

    assert [act for act in diary.acts if act.startswith("b")] == ["b return_to_pool", "b remove_from_pool"]


@virtual_time
async def test_what_stays_broken_is_investigated_once_and_what_recovers_is_not() -> None:
    site, diary = SiteOfStores(), Diary()
    site.show("a", critical="False")
    site.show("b", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, diary, still_after=300)

        tasks.start_soon(run)
        await anyio.sleep(299)
        site.show("b")
        await anyio.sleep(3600)
        tasks.cancel_scope.cancel()

    assert diary.acts.count("a investigate") == 1
    assert diary.at[diary.acts.index("a investigate")] - diary.at[0] == pytest.approx(300, abs=1)
    assert "b investigate" not in diary.acts


@virtual_time
async def test_what_recovers_before_anybody_had_time_for_it_is_not_investigated() -> None:
    site, go = SiteOfStores(), anyio.Event()
    diary = Diary(lambda *_: go.wait())
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, diary, still_after=300)

        tasks.start_soon(run)
        await anyio.sleep(400)
        site.show("a")
        await idle()
        go.set()
        await idle()
        tasks.cancel_scope.cancel()

    assert diary.acts == ["a remove_from_pool", "a return_to_pool"]


@virtual_time
async def test_problems_that_leave_the_host_in_the_pool_are_noted() -> None:
    site, diary = SiteOfStores(), Diary()
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await idle()
        site.show("a", others="False")
        await idle()
        site.show("a")
        await idle()
        tasks.cancel_scope.cancel()

    assert diary.acts == ["a return_to_pool", "a note 1", "a note 0"]


@virtual_time
async def test_a_host_that_is_gone_is_forgotten_and_one_registered_again_is_a_new_one() -> None:
    site, diary = SiteOfStores(), Diary()
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await idle()
        site.show("a", uid="another")
        await idle()
        site.remove("a")
        await idle()
        tasks.cancel_scope.cancel()

    assert diary.acts == ["a return_to_pool", "a return_to_pool", "a forget"]


@virtual_time
async def test_an_act_that_is_cut_off_is_done_by_the_next_monitor() -> None:
    site, diary = SiteOfStores(), Diary(lambda *_: anyio.sleep_forever())
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, diary)
        await idle()
        tasks.cancel_scope.cancel()

    next_diary = Diary()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, next_diary)
        await idle()
        tasks.cancel_scope.cancel()

    assert diary.acts == next_diary.acts == ["a remove_from_pool"]


@virtual_time
async def test_a_damped_reader_wakes_up_by_itself_when_a_problem_has_stood_long_enough() -> None:
    site = SiteOfStores()
    site.show("a")
    stream = site.health_transitions(label_selector="", down_after=60, up_after=0, still_after=None)
    async with stream:
        await anext(stream)
        await anext(stream)
        site.show("a", critical="False")
        began = anyio.current_time()
        told = await anext(stream)

    assert isinstance(told, CriticalServicesDown)
    assert anyio.current_time() - began == pytest.approx(60, abs=1)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)

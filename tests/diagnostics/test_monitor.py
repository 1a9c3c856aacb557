"""The monitor calls a policy with the newest health of each host, one call at a time, also after failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from dpf_async import ObjectState, Progress, monitor
from dpf_async._readers.health_stream import damping
from dpf_async._session.host_streams import exists_or_is_referenced
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


class StoredSite:
    """Hosts whose objects a test writes directly into stores."""

    def __init__(self) -> None:
        self._stores = Stores()
        self._site = self._stores.join()

    def health_transitions(
        self, *, label_selector: str, down_after: float, up_after: float, still_after: float | None
    ) -> HealthStream:
        assert not label_selector
        return HealthStream(
            lambda: listening(self._site),
            damping(down_after=down_after, up_after=up_after, still_after=still_after),
            key=None,
            existing=lambda: sorted(self._site.names()),
            matches=exists_or_is_referenced,
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
        conditions = [
            condition("DPUServiceCriticalPodsReady", critical),
            condition("DPUServiceNonCriticalPodsReady", others),
        ]
        return dpu(f"dpu-of-{host}", node=host, device=device, operationalConditions=conditions)


class Recorder(HealthPolicy):
    """Records its calls, and runs the function of a test for each."""

    def __init__(self, action: Callable[[str, str], Awaitable[None]] | None = None) -> None:
        self.acts: list[str] = []
        self.at: list[float] = []
        self._action = action
        self._busy: set[str] = set()

    async def remove_from_pool(self, host: NodeHealth) -> None:
        await self._act("remove_from_pool" if host.usable is False else "wrong", host.node)

    async def return_to_pool(self, host: NodeHealth) -> None:
        await self._act("return_to_pool" if host.usable is True else "wrong", host.node)

    async def note(self, host: NodeHealth) -> None:
        await self._act(f"note {len(host.problems)}", host.node)

    async def investigate(self, host: NodeHealth, problem: HealthProblem) -> None:
        await self._act("investigate" if problem in host.problems else "wrong", host.node)

    async def discard(self, node: str) -> None:
        await self._act("discard", node)

    async def _act(self, act: str, host: str) -> None:
        # An exception would count as a failure of the policy and be retried, so errors are recorded instead.
        self.acts.append(f"{host} {act}" if host not in self._busy else f"{host} is already busy")
        self._busy.add(host)
        try:
            self.at.append(anyio.current_time())
            if self._action is not None:
                await self._action(host, act)
        finally:
            self._busy.discard(host)


async def idle() -> None:
    """Let all tasks run until they wait; the clock then jumps a second."""
    await anyio.sleep(1)


@virtual_time
async def test_a_new_monitor_calls_the_policy_once_for_every_host() -> None:
    site, recorder = StoredSite(), Recorder()
    site.show("a")
    site.show("b", critical="False")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await idle()
        tasks.cancel_scope.cancel()

    assert sorted(recorder.acts) == ["a return_to_pool", "b remove_from_pool"]


@virtual_time
async def test_after_a_slow_call_only_the_newest_state_is_handled_and_other_hosts_are_not_delayed() -> None:
    site, go = StoredSite(), anyio.Event()

    async def wait(host: str, act: str) -> None:
        if host == "a" and not go.is_set():
            await go.wait()

    recorder = Recorder(wait)
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await idle()
        for critical in ("False", "True", "False", "True", "False"):
            site.show("a", critical=critical)
            await idle()
        site.show("b")
        await idle()
        while_waiting = list(recorder.acts)
        go.set()
        await idle()
        tasks.cancel_scope.cancel()

    assert while_waiting == ["a return_to_pool", "b return_to_pool"]
    assert recorder.acts == [*while_waiting, "a remove_from_pool"]


@virtual_time
async def test_a_failed_call_is_retried_with_backoff_until_it_succeeds() -> None:
    site, repaired = StoredSite(), False

    async def fail(host: str, act: str) -> None:
        if not repaired:
            raise ConnectionError("the inventory is down")

    recorder, reported = Recorder(fail), list[Progress]()
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, recorder, progress=reported.append)

        tasks.start_soon(run)
        await anyio.sleep(3600)
        attempts = len(recorder.acts)
        repaired = True
        await anyio.sleep(61)
        tasks.cancel_scope.cancel()

    assert set(recorder.acts) == {"a remove_from_pool"}
    assert 60 < attempts < 250
    assert len(recorder.acts) == attempts + 1
    assert "the inventory is down" in str(reported[1])
    assert str(reported[-1]) == "DPUNode a: remove_from_pool done"


@virtual_time
async def test_a_failing_call_is_replaced_by_one_for_the_newest_state() -> None:
    site = StoredSite()

    async def fail(host: str, act: str) -> None:
        if act == "return_to_pool":
            raise ConnectionError

    recorder = Recorder(fail)
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await anyio.sleep(600)
        site.show("a", critical="False")
        changed = anyio.current_time()
        await idle()
        acts = len(recorder.acts)
        await anyio.sleep(600)
        tasks.cancel_scope.cancel()

    assert recorder.acts[-1] == "a remove_from_pool"
    assert recorder.at[-1] - changed < 1
    assert len(recorder.acts) == acts, "the outdated call is not retried"


@virtual_time
async def test_a_failing_host_does_not_block_other_hosts() -> None:
    site = StoredSite()

    async def fail(host: str, act: str) -> None:
        if host == "a":
            raise RuntimeError

    recorder = Recorder(fail)
    site.show("a")
    site.show("b")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await anyio.sleep(100)
        site.show("b", critical="False")
        await idle()
        tasks.cancel_scope.cancel()

    assert [act for act in recorder.acts if act.startswith("b")] == ["b return_to_pool", "b remove_from_pool"]


@virtual_time
async def test_a_lasting_problem_is_investigated_once_and_a_recovered_one_never() -> None:
    site, recorder = StoredSite(), Recorder()
    site.show("a", critical="False")
    site.show("b", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, recorder, still_after=300)

        tasks.start_soon(run)
        await anyio.sleep(299)
        site.show("b")
        await anyio.sleep(3600)
        tasks.cancel_scope.cancel()

    assert recorder.acts.count("a investigate") == 1
    assert recorder.at[recorder.acts.index("a investigate")] - recorder.at[0] == pytest.approx(300, abs=1)
    assert "b investigate" not in recorder.acts


@virtual_time
async def test_a_problem_that_recovers_during_another_call_is_not_investigated() -> None:
    site, go = StoredSite(), anyio.Event()
    recorder = Recorder(lambda *_: go.wait())
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await monitor(site, recorder, still_after=300)

        tasks.start_soon(run)
        await anyio.sleep(400)
        site.show("a")
        await idle()
        go.set()
        await idle()
        tasks.cancel_scope.cancel()

    assert recorder.acts == ["a remove_from_pool", "a return_to_pool"]


@virtual_time
async def test_problems_that_leave_the_host_in_the_pool_are_noted() -> None:
    site, recorder = StoredSite(), Recorder()
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await idle()
        site.show("a", others="False")
        await idle()
        site.show("a")
        await idle()
        tasks.cancel_scope.cancel()

    assert recorder.acts == ["a return_to_pool", "a note 1", "a note 0"]


@virtual_time
async def test_a_deleted_host_is_discarded_and_one_registered_again_is_new() -> None:
    site, recorder = StoredSite(), Recorder()
    site.show("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await idle()
        site.show("a", uid="another")
        await idle()
        site.remove("a")
        await idle()
        tasks.cancel_scope.cancel()

    assert recorder.acts == ["a return_to_pool", "a return_to_pool", "a discard"]


@virtual_time
async def test_a_cancelled_call_is_repeated_by_the_next_monitor() -> None:
    site, recorder = StoredSite(), Recorder(lambda *_: anyio.sleep_forever())
    site.show("a", critical="False")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, recorder)
        await idle()
        tasks.cancel_scope.cancel()

    next_recorder = Recorder()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor, site, next_recorder)
        await idle()
        tasks.cancel_scope.cancel()

    assert recorder.acts == next_recorder.acts == ["a remove_from_pool"]


@virtual_time
async def test_a_damped_stream_yields_a_problem_without_an_event_when_it_has_lasted_long_enough() -> None:
    site = StoredSite()
    site.show("a")
    stream = site.health_transitions(label_selector="", down_after=60, up_after=0, still_after=None)
    async with stream:
        await anext(stream)
        await anext(stream)
        site.show("a", critical="False")
        began = anyio.current_time()
        transition = await anext(stream)

    assert isinstance(transition, CriticalServicesDown)
    assert anyio.current_time() - began == pytest.approx(60, abs=1)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)

"""Waits for an object (H of the catalogue): what ends a wait and what does not. Over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from dpf_async import DPFClient, DPUView
from dpf_async.errors import DPUFailed, ObjectReplaced, WaitError, WaitTimeout
from dpf_async.levels import Level, phase_is, ready
from dpf_async.models import DPU, DPUPhase
from tests.support.objects import Obj, condition, dpu, event, node
from tests.support.scripted import Scripted, answering, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@dataclass
class Awaited:
    """A wait that runs concurrently with the test. Its result is `outcome`; None before it ended."""

    outcome: DPUView | Exception | None = None
    over: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, dpf: DPFClient, name: str, level: Level[DPUView], timeout: float | None) -> None:
        try:
            self.outcome = await dpf.dpu(name).until(level, timeout=timeout)
        except Exception as error:  # noqa: BLE001  the test checks the error
            self.outcome = error
        self.over.set()

    @property
    def view(self) -> DPUView:
        assert isinstance(self.outcome, DPUView), self.outcome
        return self.outcome

    @property
    def error(self) -> WaitError:
        assert isinstance(self.outcome, WaitError), self.outcome
        return self.outcome


@asynccontextmanager
async def waiting(
    *objects: Obj, level: Level[DPUView] = ready, name: str = "a", timeout: float | None = None
) -> AsyncIterator[tuple[Scripted, DPFClient, Awaited]]:
    """A server, a client, and a wait whose first check failed: its watch has started."""
    async with (
        Scripted(*objects) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        wait = Awaited()
        tasks.start_soon(wait.run, dpf, name, level, timeout)
        await server.until(lambda: bool(server._accepted["dpus"]))
        yield server, dpf, wait
        tasks.cancel_scope.cancel()


async def quiet() -> None:
    """Let everything happen that needs no more than a second."""
    await anyio.sleep(1)


@virtual_time
async def test_h1_a_level_that_holds_already_needs_one_list_and_no_event() -> None:
    async with Scripted(dpu("a", 10, "Ready")) as server, server.client() as dpf:
        view = await dpf.dpu("a").until(ready)
        again = await dpf.dpu("a").until(ready, timeout=0)

    assert view.state.resource_version == again.state.resource_version == "10"
    assert len(server.asked(watches=False)) == 1


@virtual_time
async def test_h2_a_change_while_disconnected_ends_the_wait_after_the_reconnect() -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        watch = await server.watch()
        server.refuse()
        watch.reset()
        line = server.modified(dpu("a", 150, "Ready"))
        await anyio.sleep(600)
        assert not wait.over.is_set()
        await server.listen()
        up_at = anyio.current_time()
        await (await server.watch()).send(line)
        await wait.over.wait()
        took = anyio.current_time() - up_at

    assert wait.view.state.resource_version == "150"
    assert took <= 61  # a step of the backoff each for the epoch and for the watch


@virtual_time
async def test_h3_a_level_that_held_for_one_state_only_ends_the_wait_with_that_state() -> None:
    async with waiting(dpu("a", 10), level=phase_is(DPUPhase.REBOOTING)) as (server, _, wait):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101, "Rebooting")), server.modified(dpu("a", 102, "Ready")))
        await wait.over.wait()

    assert (wait.view.phase, wait.view.state.resource_version) == ("Rebooting", "101")


@virtual_time
async def test_h4_a_level_that_held_only_inside_a_gap_does_not_end_the_wait() -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        watch = await server.watch()
        server.modified(dpu("a", 101, "Ready"))
        server.modified(dpu("a", 102, "Rebooting"))
        await watch.end(EXPIRED)
        again = await server.watch()
        await quiet()
        before = wait.outcome
        await again.send(server.modified(dpu("a", 103, "Ready")))
        await wait.over.wait()

    assert before is None
    assert wait.view.state.resource_version == "103"


@pytest.mark.parametrize("ending", ["end", "RST", "FIN", "410", "half a line"])
@virtual_time
async def test_h5_a_watch_that_ends_never_ends_a_wait(ending: str) -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        watch = await server.watch()
        line = server.modified(dpu("a", 101, "Ready"))
        server.objects[:] = [dpu("a", 10)]
        match ending:
            case "end":
                await watch.end()
            case "RST":
                watch.reset()
            case "FIN":
                watch.close()
            case "410":
                await watch.end(EXPIRED)
            case _:
                await watch.end(line[: len(line) // 2])
        again = await server.watch()
        await quiet()
        before = wait.outcome
        await again.send(line)
        await wait.over.wait()

    assert before is None
    assert wait.view.state.resource_version == "101"


@pytest.mark.parametrize("how", ["event", "event without a status", "found by a list"])
@virtual_time
async def test_h6_an_object_that_is_deleted_ends_the_wait_at_once(how: str) -> None:
    async with waiting(dpu("a", 10, "OS Installing")) as (server, _, wait):
        watch = await server.watch()
        last = dpu("a", 101, "Deleting")
        if how == "event without a status":
            del last["status"]
        line = server.deleted(last)
        await watch.end(EXPIRED if how == "found by a list" else line)
        await wait.over.wait()

    assert isinstance(wait.error, ObjectReplaced)
    assert (wait.error.old_uid, wait.error.new_uid) == ("uid-of-a", None)
    assert wait.error.view.phase == "OS Installing"
    assert "DPU a was deleted while waiting for ready; it was OS Installing" in str(wait.error)


@virtual_time
async def test_h6_an_object_that_does_not_exist_yet_is_waited_for() -> None:
    async with waiting() as (server, _, wait):
        watch = await server.watch()
        await watch.send(server.added(dpu("a", 101)))
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        await wait.over.wait()

    assert wait.view.state.resource_version == "102"


@virtual_time
async def test_h7_the_readiness_of_the_old_dpu_is_not_that_of_the_one_that_replaces_it() -> None:
    async with (
        Scripted(dpu("a", 10, "Ready")) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        new: list[str] = []

        async def replace() -> None:
            view = await dpf.dpu("a").until_replaced("uid-of-a")
            new.append(view.uid)
            view = await dpf.dpu("a").until(ready)
            new.append(view.state.resource_version)

        tasks.start_soon(replace)
        watch = await server.watch()
        await quiet()
        assert new == []
        await watch.send(server.modified(dpu("a", 101, "Ready", deletionTimestamp="2026-06-01T10:00:00Z")))
        await watch.send(server.deleted(dpu("a", 102, "Ready")))
        await quiet()
        assert new == []
        await watch.send(server.added(dpu("a", 103, uid="u2")))
        await quiet()
        assert new == ["u2"]
        await watch.send(server.modified(dpu("a", 104, "Ready", uid="u2")))

    assert new == ["u2", "104"]


@virtual_time
async def test_h8_a_dpu_replaced_inside_a_gap_ends_the_wait_for_its_replacement() -> None:
    async with (
        Scripted(dpu("a", 10, "Ready")) as server,
        server.client() as dpf,
        anyio.create_task_group() as tasks,
    ):
        new: list[str] = []

        async def replace() -> None:
            new.append((await dpf.dpu("a").until_replaced("uid-of-a")).uid)

        tasks.start_soon(replace)
        watch = await server.watch()
        server.deleted(dpu("a", 101))
        server.added(dpu("a", 102, uid="u2"))
        await watch.end(EXPIRED)

    assert new == ["u2"]


@virtual_time
async def test_h7_h8_a_wait_for_the_old_one_is_not_satisfied_by_the_new_one() -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        watch = await server.watch()
        server.deleted(dpu("a", 101))
        server.added(dpu("a", 102, "Ready", uid="u2"))
        await watch.end(EXPIRED)
        await wait.over.wait()

    assert isinstance(wait.error, ObjectReplaced)
    assert wait.error.old_uid == "uid-of-a"


@virtual_time
async def test_h9_the_timeout_of_a_wait_for_an_absent_object_names_the_reason() -> None:
    async with waiting(timeout=1800) as (_, _, wait):
        await wait.over.wait()

    assert isinstance(wait.error, WaitTimeout)
    assert isinstance(wait.error, TimeoutError)
    assert "DPU a: not ready after 1800 s; it never existed or is gone" in str(wait.error)
    assert (wait.error.view, wait.error.condition) == (None, "ready")
    assert wait.error.waited == pytest.approx(1800)


@virtual_time
async def test_h10_a_dpu_in_phase_error_ends_the_wait_with_the_condition_that_failed() -> None:
    failed = condition("OSInstalled", "False", "InstallationTimeout") | {"message": "no answer from the BMC"}

    async with waiting(dpu("a", 10, "OS Installing")) as (server, _, wait):
        await (await server.watch()).send(server.modified(dpu("a", 101, "Error", conditions=[failed])))
        await wait.over.wait()

    assert isinstance(wait.error, DPUFailed)
    assert (wait.error.dpu, wait.error.reason, wait.error.detail) == (
        "a",
        "InstallationTimeout",
        "no answer from the BMC",
    )
    assert wait.error.view.state.resource_version == "101"


NOT_READY: dict[str, Obj] = {
    "H11 the phase alone": dpu("a", 101, "Ready", conditions=[condition("Ready", "False")]),
    "the condition alone": dpu("a", 101, "Rebooting", conditions=[condition("Ready", "True")]),
    "being deleted": dpu("a", 101, "Ready", deletionTimestamp="2026-06-01T10:00:00Z"),
    "H12 of an older spec": dpu("a", 101, "Ready", generation=3),
}
NOT_READY["H12 of an older spec"]["status"]["observedGeneration"] = 2


@pytest.mark.parametrize("almost", NOT_READY.values(), ids=NOT_READY.keys())
@virtual_time
async def test_h11_h12_an_incomplete_ready_state_is_not_ready(almost: Obj) -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        watch = await server.watch()
        await watch.send(server.modified(almost))
        await quiet()
        before = wait.outcome
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        await wait.over.wait()

    assert before is None
    assert wait.view.state.resource_version == "102"


@virtual_time
async def test_h13_an_error_of_a_level_ends_only_the_wait_for_it() -> None:
    def raises(view: DPUView) -> bool:
        if view.phase == "Ready":
            raise ZeroDivisionError
        return False

    async with waiting(dpu("a", 10)) as (server, dpf, other), anyio.create_task_group() as tasks:
        wait = Awaited()
        tasks.start_soon(wait.run, dpf, "a", Level("odd", raises), None)
        await quiet()
        await (await server.watch()).send(server.modified(dpu("a", 101, "Ready")))
        await wait.over.wait()
        await other.over.wait()

    assert isinstance(wait.outcome, ZeroDivisionError)
    assert other.view.ready


@virtual_time
async def test_h14_500_waits_share_one_list_and_one_watch() -> None:
    async with (
        Scripted(*(dpu(f"dpu-{n}", n + 1) for n in range(500))) as server,
        server.client() as dpf,
    ):
        waits = [Awaited() for _ in range(500)]
        async with anyio.create_task_group() as tasks:
            for n, wait in enumerate(waits):
                tasks.start_soon(wait.run, dpf, f"dpu-{n}", ready, None)
            watch = await server.watch()
            for n in range(500):
                await watch.send(server.modified(dpu(f"dpu-{n}", 600 + n, "Ready")))

    assert all(wait.view.ready for wait in waits)
    assert len(server.requests) == 2


@pytest.mark.parametrize("timeout", [0, -1, -1e9])
@virtual_time
async def test_h15_a_wait_without_time_checks_once(timeout: float) -> None:
    async with Scripted(dpu("a", 10), dpu("b", 11, "Ready")) as server, server.client() as dpf:
        with pytest.raises(WaitTimeout, match="DPU a: not ready after 0 s; Pending") as over:
            await dpf.dpu("a").until(ready, timeout=timeout)
        there = await dpf.dpu("b").until(ready, timeout=timeout)

    assert over.value.view.phase == "Pending"
    assert there.ready


@virtual_time
async def test_h15_a_handshake_without_time_accepts_a_pending_request() -> None:
    async with Scripted(node("node-1", 10, reboot=True)) as server, server.client() as dpf:
        server.on_other = answering(200, node("node-1", 101))
        async with dpf.node("node-1").external_reboot(timeout=0) as request:
            asked = request.node

    assert asked == "node-1"


@virtual_time
async def test_h17_a_wait_that_is_cancelled_leaves_the_others_and_their_watch_alone() -> None:
    async with waiting(dpu("a", 10)) as (server, dpf, wait):
        watch = await server.watch()
        with anyio.move_on_after(10) as scope:
            await dpf.dpu("a").until(ready)
        await watch.send(server.modified(dpu("a", 101, "Ready")))
        await wait.over.wait()

    assert scope.cancelled_caught
    assert wait.view.ready
    assert len(server.asked(watches=True)) == 1


@virtual_time
async def test_g5_a_wait_on_a_silent_connection_ends_within_the_silence_bound() -> None:
    async with waiting(dpu("a", 10)) as (server, _, wait):
        await server.watch()  # from here on it delivers nothing
        line = server.modified(dpu("a", 101, "Ready"))
        since = anyio.current_time()
        await (await server.watch()).send(line)
        await wait.over.wait()
        took = anyio.current_time() - since

    assert wait.view.ready
    assert took <= 66


@virtual_time
async def test_g6_a_stream_that_is_not_read_hides_no_state_from_a_wait() -> None:
    async with (
        waiting(dpu("a", 10), level=phase_is("Rebooting")) as (server, dpf, wait),
        dpf.resource(DPU).watch(),
    ):
        watch = await server.watch()
        states = [
            server.modified(dpu("a", 101 + n, "Rebooting" if n == 50 else "Pending")) for n in range(100)
        ]
        await watch.send(*states)
        await wait.over.wait()

    assert wait.view.state.resource_version == "151"


@virtual_time
async def test_g17_a_timeout_names_the_problem_of_the_watch() -> None:
    async with waiting(dpu("a", 10), timeout=100) as (server, _, wait):
        server.refuse()
        (await server.watch()).reset()
        await wait.over.wait()

    assert "DPU a: not ready after 100 s; Pending; the watch is degraded" in str(wait.error)
    assert "cannot be reached" in str(wait.error)


@virtual_time
async def test_a_timeout_before_the_first_list_does_not_report_an_absent_object() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.refuse()
        with pytest.raises(WaitTimeout) as over:
            await dpf.dpu("a").until(ready, timeout=20)

    assert "cannot be reached" in str(over.value)
    assert "never existed" not in str(over.value)

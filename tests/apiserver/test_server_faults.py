"""The client during faults of a real API server: no change is lost or reported twice.

The client connects through a relay that can be disconnected; or the server itself is stopped and started again.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from dpf_async import DPFClient, DPUView
from dpf_async._watch.policy import WatchPolicy
from dpf_async.levels import ready
from dpf_async.models import DPU
from dpf_async.transitions import PhaseChanged, Transition
from dpf_async.watch import Added, Deleted, EventStream, Gap, Resumed, Synced, Updated, WatchEvent
from tests.apiserver.cluster import RealCluster
from tests.apiserver.kinds import install_kinds
from tests.apiserver.test_watch_protocol import NAMESPACE, own_server, with_other_description
from tests.apiserver.wire import Wire, become_true, settled
from tests.support.relay import Relay

QUICK = WatchPolicy(backoff_base=0.1, backoff_cap=0.5)
"""Short retries, because the server is stopped only for seconds."""

SECONDS = 60.0
"""Timeout: a starting server sends Retry-After with up to 5 s, and machines are busy."""

INSTALLING = {"phase": "OS Installing"}
READY = {
    "phase": "Ready",
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "DPUReady",
            "message": "",
            "lastTransitionTime": "2026-06-01T10:00:00Z",
        }
    ],
}

DPUs = EventStream[DPU]


@dataclass
class Setup:
    """A server, a writer, and a client that watches through a relay."""

    cluster: RealCluster
    wire: Wire
    relay: Relay
    dpf: DPFClient
    stream: DPUs

    async def events(self, count: int) -> list[str]:
        """The next events, as text."""
        with anyio.fail_after(SECONDS):
            return [described_event(await anext(self.stream)) for _ in range(count)]


def described_event(event: WatchEvent[DPU]) -> str:
    match event:
        case Added(obj, origin):
            return f"{obj.name} added ({origin})"
        case Updated(_, after, origin):
            return f"{after.name} {after.phase} ({origin})"
        case Deleted(last, origin):
            return f"{last.name} deleted ({origin})"
        case Gap():
            return "gap"
        case Resumed(_, rewound):
            return "resumed, rewound" if rewound else "resumed"
        case other:
            return str(other)


@asynccontextmanager
async def following(*names: str, flags: tuple[str, ...] = ()) -> AsyncGenerator[Setup]:
    """A server with these DPUs, after the client has received their initial events."""
    async with own_server(*flags) as (cluster, wire), Relay(cluster.url) as relay:
        for name in names:
            await wire.create(name)
            await wire.patch(name, {"status": INSTALLING}, subresource="status")
        async with (
            DPFClient(
                kubeconfig=relay.kubeconfig(cluster.kubeconfig()), namespace=NAMESPACE, policy=QUICK
            ) as dpf,
            dpf.resource(DPU).watch() as stream,
        ):
            with anyio.fail_after(SECONDS):
                while await anext(stream) != Synced():
                    pass
            yield Setup(cluster, wire, relay, dpf, stream)


async def change_objects(wire: Wire) -> None:
    """Set DPU a to Ready, delete b, leave c unchanged, create d."""
    await wire.patch("a", {"status": READY}, subresource="status")
    await wire.send("DELETE", "/b")
    await wire.create("d")


RELISTED = ["gap", "a Ready (relist)", "b deleted (relist)", "d added (relist)", "resumed"]


async def test_changes_during_a_disconnection_are_received_from_the_last_version() -> None:
    async with following("a", "b", "c") as setup:
        setup.relay.disconnect()
        await change_objects(setup.wire)
        await setup.cluster.compact()  # the history of the watch cache is not affected
        setup.relay.reconnect()
        events = await setup.events(3)

    assert events == ["a Ready (watch)", "b deleted (watch)", "d added (watch)"]


async def test_changes_around_a_restart_are_reported_once_including_deletions() -> None:
    async with following("a", "b", "c") as setup:
        setup.relay.disconnect()
        await change_objects(setup.wire)
        await setup.cluster.stop(kill=True)
        await setup.cluster.start()
        setup.relay.reconnect()
        events = await setup.events(5)
        await setup.wire.patch("c", {"status": READY}, subresource="status")
        events += await setup.events(1)

    assert [events[0], *sorted(events[1:4]), events[4]] == RELISTED
    assert events[5:] == ["c Ready (watch)"]


async def test_changes_in_compacted_history_are_recovered_by_a_list() -> None:
    async with following("a", "b", "c", flags=("--watch-cache=false",)) as setup:
        setup.relay.disconnect()
        await change_objects(setup.wire)
        await setup.wire.create("e")
        await setup.cluster.compact()
        setup.relay.reconnect()
        events = await setup.events(6)

    assert events[0] == "gap"
    assert sorted(events[1:5]) == [*RELISTED[1:4], "e added (relist)"]
    assert events[5] == "resumed"


async def test_a_wait_and_a_stream_continue_after_the_server_was_killed() -> None:
    transitions: list[Transition] = []
    outcome: list[DPUView] = []

    async def follow(stream: AsyncIterator[Transition]) -> None:
        async for transition in stream:
            transitions.append(transition)
            if isinstance(transition, PhaseChanged) and transition.after == "Ready":
                return

    async def wait(dpf: DPFClient) -> None:
        outcome.append(await dpf.dpu("a").until(ready))

    async with following("a") as setup, setup.dpf.dpu("a").transitions() as stream:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, stream)
                tasks.start_soon(wait, setup.dpf)
                await setup.cluster.stop(kill=True)
                await setup.cluster.start()
                await settled(setup.wire.list)
                await setup.wire.patch("a", {"status": {"phase": "Rebooting"}}, subresource="status")
                await setup.cluster.stop(kill=True)
                await setup.cluster.start()
                await settled(setup.wire.list)
                await setup.wire.patch("a", {"status": READY}, subresource="status")

    assert [view.phase for view in outcome] == ["Ready"]
    phases = [str(each.after) for each in transitions if isinstance(each, PhaseChanged)]
    # Rebooting may begin and end while the client is disconnected; no phase is reported twice.
    assert phases in (["Rebooting", "Ready"], ["Ready"], ["OS Installing", "Rebooting", "Ready"])


async def test_a_restored_backup_of_etcd_is_detected_and_reported() -> None:
    async with following("a") as setup:
        cluster, data = setup.cluster, setup.cluster.etcd_data
        await cluster.stop(kill=True)
        await cluster.stop_etcd()
        shutil.copytree(data, backup := data.with_name("backup"))
        await cluster.start_etcd()
        await cluster.start()
        assert await setup.events(2) == ["gap", "resumed"]  # a restart without changes
        for number in range(20):
            await setup.wire.create(f"lost-{number}")
        lost = await setup.events(20)

        await cluster.stop(kill=True)
        await cluster.stop_etcd()
        shutil.rmtree(data)
        backup.rename(data)
        await cluster.start_etcd()
        await cluster.start()
        events = await setup.events(22)
        await setup.wire.create("afterwards")
        events += await setup.events(1)

    assert lost == [f"lost-{number} added (watch)" for number in range(20)]
    assert events[0] == "gap"
    assert sorted(events[1:21]) == sorted(f"lost-{number} deleted (relist)" for number in range(20))
    assert events[21:] == ["resumed, rewound", "afterwards added (watch)"]


async def test_a_changed_description_of_a_crd_is_reported_as_a_gap_without_changes() -> None:
    async with following("a", "b") as setup:
        await setup.wire.define(
            DPU, {"spec": {"versions": with_other_description(await setup.wire.definition(DPU))}}
        )
        events = await setup.events(2)
        await setup.wire.patch("a", {"status": READY}, subresource="status")
        events += await setup.events(1)

    assert events == ["gap", "resumed", "a Ready (watch)"]


async def test_while_a_version_is_not_served_no_object_is_reported_as_deleted() -> None:
    async with following("a") as setup:
        versions = (await setup.wire.definition(DPU))["spec"]["versions"]
        old, new = versions[0], {**versions[0], "name": "v1beta1"}
        hidden = [{**old, "served": False, "storage": False}, {**new, "storage": True}]
        await setup.wire.define(DPU, {"spec": {"versions": hidden}})
        await become_true(lambda: "does not serve this kind" in _health(setup.dpf))

        await setup.wire.define(DPU, {"spec": {"versions": [{**hidden[0], "served": True}, hidden[1]]}})
        events = await setup.events(2)
        await setup.wire.patch("a", {"status": READY}, subresource="status")  # stored as v1beta1 from now on
        events += await setup.events(1)

    assert events == ["gap", "resumed", "a Ready (watch)"]


def _health(dpf: DPFClient) -> str:
    (health,) = dpf.health.values()
    return health.reason


async def test_a_crd_that_is_deleted_and_created_again_is_reported_for_each_object() -> None:
    async with following("a", "b") as setup:
        await setup.wire.send("DELETE", setup.wire.path_of_definition(DPU))
        deleted = await setup.events(2)
        await settled(lambda: setup.wire.send("GET", setup.wire.path_of_definition(DPU)), 404)
        await install_kinds(setup.cluster)
        await setup.wire.create("a")
        events = await setup.events(3)

    assert sorted(deleted) == ["a deleted (watch)", "b deleted (watch)"]
    # The new object is in the list, or in an event of the watch after it, depending on timing.
    assert events in (["gap", "a added (relist)", "resumed"], ["gap", "resumed", "a added (watch)"])


@pytest.mark.parametrize("attempt", range(3))
async def test_a_client_that_connects_while_the_server_starts_gets_no_forbidden_error(attempt: int) -> None:
    rule: dict[str, Any] = {"apiGroups": [DPU.GROUP], "resources": [DPU.PLURAL], "verbs": ["list", "watch"]}

    async with own_server() as (cluster, wire):
        await wire.create("a")
        await cluster.grant("alice", [rule], namespace=NAMESPACE)
        kubeconfig = cluster.kubeconfig(token=cluster.token_of("alice"))
        await cluster.stop(kill=True)
        await cluster.start(ready=False)
        async with (
            Wire(cluster, NAMESPACE, token=cluster.token_of("alice")) as alice,
            DPFClient(kubeconfig=kubeconfig, namespace=NAMESPACE, policy=QUICK) as dpf,
        ):
            with anyio.fail_after(SECONDS):
                await alice.listening()
                async with dpf.resource(DPU).watch() as stream:
                    first = await anext(stream)

    assert described_event(first) == "a added (initial)"

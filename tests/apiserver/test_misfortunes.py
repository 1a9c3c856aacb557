"""The client, and what happens to real API servers: nothing is lost, nothing is told twice, whatever breaks.

The client goes through a relay, so that things happen while it is cut off; or the server itself ends and begins again.
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
from tests.apiserver.test_watch_facts import NAMESPACE, described, server_of_its_own
from tests.apiserver.wire import Wire, become_true, settled
from tests.support.relay import Relay

QUICK = WatchPolicy(backoff_base=0.1, backoff_cap=0.5)
"""A server that is gone for seconds is asked again within a second."""

SECONDS = 45.0
"""A guard: a server that begins asks for five seconds of patience, and machines are busy."""

WAITS = {"phase": "OS Installing"}
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
class Story:
    """A server, who writes to it, and a client that is followed through a relay."""

    cluster: RealCluster
    wire: Wire
    relay: Relay
    dpf: DPFClient
    stream: DPUs

    async def told(self, count: int) -> list[str]:
        """The next so many events, in words."""
        with anyio.fail_after(SECONDS):
            return [words(await anext(self.stream)) for _ in range(count)]


def words(event: WatchEvent[DPU]) -> str:
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
async def following(*names: str, flags: tuple[str, ...] = ()) -> AsyncGenerator[Story]:
    """A story that begins with these DPUs, of which the reader has been told."""
    async with server_of_its_own(*flags) as (cluster, wire), Relay(cluster.url) as relay:
        for name in names:
            await wire.create(name)
            await wire.patch(name, {"status": WAITS}, subresource="status")
        async with (
            DPFClient(
                kubeconfig=relay.kubeconfig(cluster.kubeconfig()), namespace=NAMESPACE, policy=QUICK
            ) as dpf,
            dpf.resource(DPU).watch() as stream,
        ):
            with anyio.fail_after(SECONDS):
                while await anext(stream) != Synced():
                    pass
            yield Story(cluster, wire, relay, dpf, stream)


async def much_happens(wire: Wire) -> None:
    """To DPUs a, b and c: one becomes Ready, one goes, one stays; and d comes."""
    await wire.patch("a", {"status": READY}, subresource="status")
    await wire.send("DELETE", "/b")
    await wire.create("d")


RELISTED = ["gap", "a Ready (relist)", "b deleted (relist)", "d added (relist)", "resumed"]


async def test_what_happened_while_the_client_was_cut_off_is_told_from_where_it_was() -> None:
    async with following("a", "b", "c") as story:
        story.relay.disconnect()
        await much_happens(story.wire)
        await story.cluster.compact()  # which the cache's history does not mind
        story.relay.reconnect()
        told = await story.told(3)

    assert told == ["a Ready (watch)", "b deleted (watch)", "d added (watch)"]


async def test_what_happened_around_a_restart_is_told_once_deletions_included() -> None:
    async with following("a", "b", "c") as story:
        story.relay.disconnect()
        await much_happens(story.wire)
        await story.cluster.stop(kill=True)
        await story.cluster.start()
        story.relay.reconnect()
        told = await story.told(5)
        await story.wire.patch("c", {"status": READY}, subresource="status")
        told += await story.told(1)

    assert [told[0], *sorted(told[1:4]), told[4]] == RELISTED
    assert told[5:] == ["c Ready (watch)"]


async def test_history_that_etcd_has_forgotten_is_made_good_by_a_list() -> None:
    async with following("a", "b", "c", flags=("--watch-cache=false",)) as story:
        story.relay.disconnect()
        await much_happens(story.wire)
        await story.wire.create("e")
        await story.cluster.compact()
        story.relay.reconnect()
        told = await story.told(6)

    assert told[0] == "gap"
    assert sorted(told[1:5]) == [*RELISTED[1:4], "e added (relist)"]
    assert told[5] == "resumed"


async def test_a_wait_and_a_stream_outlive_a_server_that_is_killed_under_them() -> None:
    transitions: list[Transition] = []
    outcome: list[DPUView] = []

    async def follow(stream: AsyncIterator[Transition]) -> None:
        async for transition in stream:
            transitions.append(transition)
            if isinstance(transition, PhaseChanged) and transition.after == "Ready":
                return

    async def wait(dpf: DPFClient) -> None:
        outcome.append(await dpf.dpu("a").until(ready))

    async with following("a") as story, story.dpf.dpu("a").transitions() as stream:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, stream)
                tasks.start_soon(wait, story.dpf)
                await story.cluster.stop(kill=True)
                await story.cluster.start()
                await settled(story.wire.list)
                await story.wire.patch("a", {"status": {"phase": "Rebooting"}}, subresource="status")
                await story.cluster.stop(kill=True)
                await story.cluster.start()
                await settled(story.wire.list)
                await story.wire.patch("a", {"status": READY}, subresource="status")

    assert [view.phase for view in outcome] == ["Ready"]
    phases = [str(each.after) for each in transitions if isinstance(each, PhaseChanged)]
    # Rebooting may be missed, since it may begin and end while the client is cut off; nothing may come twice.
    assert phases in (["Rebooting", "Ready"], ["Ready"], ["OS Installing", "Rebooting", "Ready"])


async def test_storage_that_was_restored_from_a_backup_is_noticed_and_told() -> None:
    async with following("a") as story:
        cluster, data = story.cluster, story.cluster.etcd_data
        await cluster.stop(kill=True)
        await cluster.stop_etcd()
        shutil.copytree(data, backup := data.with_name("backup"))
        await cluster.start_etcd()
        await cluster.start()
        assert await story.told(2) == ["gap", "resumed"]  # a restart, and nothing has changed
        for number in range(20):
            await story.wire.create(f"lost-{number}")
        lost = await story.told(20)

        await cluster.stop(kill=True)
        await cluster.stop_etcd()
        shutil.rmtree(data)
        backup.rename(data)
        await cluster.start_etcd()
        await cluster.start()
        told = await story.told(22)
        await story.wire.create("afterwards")
        told += await story.told(1)

    assert lost == [f"lost-{number} added (watch)" for number in range(20)]
    assert told[0] == "gap"
    assert sorted(told[1:21]) == sorted(f"lost-{number} deleted (relist)" for number in range(20))
    assert told[21:] == ["resumed, rewound", "afterwards added (watch)"]


async def test_a_definition_in_other_words_is_told_as_a_gap_in_which_nothing_happened() -> None:
    async with following("a", "b") as story:
        await story.wire.define(DPU, {"spec": {"versions": described(await story.wire.definition(DPU))}})
        told = await story.told(2)
        await story.wire.patch("a", {"status": READY}, subresource="status")
        told += await story.told(1)

    assert told == ["gap", "resumed", "a Ready (watch)"]


async def test_a_version_that_is_not_served_for_a_while_is_waited_for_and_nothing_is_called_deleted() -> None:
    async with following("a") as story:
        versions = (await story.wire.definition(DPU))["spec"]["versions"]
        old, new = versions[0], {**versions[0], "name": "v1beta1"}
        hidden = [{**old, "served": False, "storage": False}, {**new, "storage": True}]
        await story.wire.define(DPU, {"spec": {"versions": hidden}})
        await become_true(lambda: "does not serve this kind" in _health(story.dpf))

        await story.wire.define(DPU, {"spec": {"versions": [{**hidden[0], "served": True}, hidden[1]]}})
        told = await story.told(2)
        await story.wire.patch("a", {"status": READY}, subresource="status")  # stored as v1beta1 from now on
        told += await story.told(1)

    assert told == ["gap", "resumed", "a Ready (watch)"]


def _health(dpf: DPFClient) -> str:
    (health,) = dpf.health.values()
    return health.reason


async def test_a_kind_that_is_deleted_and_defined_again_is_told_object_by_object() -> None:
    async with following("a", "b") as story:
        await story.wire.send("DELETE", story.wire.path_of_definition(DPU))
        gone = await story.told(2)
        await settled(lambda: story.wire.send("GET", story.wire.path_of_definition(DPU)), 404)
        await install_kinds(story.cluster)
        await story.wire.create("a")
        told = await story.told(3)

    assert sorted(gone) == ["a deleted (watch)", "b deleted (watch)"]
    # Reported by the list, or by the watch that follows it: whichever is first.
    assert told in (["gap", "a added (relist)", "resumed"], ["gap", "resumed", "a added (watch)"])


@pytest.mark.parametrize("attempt", range(3))
async def test_who_begins_while_a_server_does_is_not_told_to_grant_what_is_granted(attempt: int) -> None:
    rule: dict[str, Any] = {"apiGroups": [DPU.GROUP], "resources": [DPU.PLURAL], "verbs": ["list", "watch"]}

    async with server_of_its_own() as (cluster, wire):
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

    assert words(first) == "a added (initial)"

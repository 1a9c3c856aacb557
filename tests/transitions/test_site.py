"""Joining the pictures of the kinds, and waking who is concerned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dpf_async._api.codec import Snapshot
from dpf_async._transitions.hub import Wait
from dpf_async._transitions.levels import Level, ready
from dpf_async._transitions.site import Site
from dpf_async._transitions.view import NodeView
from dpf_async._watch.cursor import Cursor
from dpf_async._watch.store import Store
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource
from tests.support.states import device, dpu, maintenance, node


class Cluster:
    """Four stores with a site on top, as the watches would fill them."""

    def __init__(self) -> None:
        self.nodes: Store[DPUNode] = Store()
        self.devices: Store[DPUDevice] = Store()
        self.dpus: Store[DPU] = Store()
        self.maintenances: Store[DPUNodeMaintenance] = Store()

    def site(self) -> Site:
        return Site(self.nodes, self.devices, self.dpus, self.maintenances)

    def show(self, *states: Snapshot[Resource]) -> None:
        for state in states:
            self._store(state).apply("MODIFIED", state)

    def delete(self, state: Snapshot[Resource]) -> None:
        self._store(state).apply("DELETED", state)

    def _store(self, state: Snapshot[Resource]) -> Store[Resource]:
        stores: dict[type[Resource], object] = {
            DPUNode: self.nodes,
            DPUDevice: self.devices,
            DPU: self.dpus,
            DPUNodeMaintenance: self.maintenances,
        }
        return stores[state.kind]  # type: ignore[return-value]


def asked(view_of: list[NodeView]) -> Level[NodeView]:
    """A level that never holds, and keeps every view it was asked about."""

    def keep(view: NodeView) -> bool:
        view_of.append(view)
        return False

    return Level("never", keep)


def never(view: NodeView) -> None:
    return None


def test_a_view_has_everything_that_refers_to_the_node_whatever_came_first() -> None:
    states: list[Snapshot[Resource]] = [
        maintenance("some-name"),
        dpu("b", device="device-2"),
        dpu("a", device="device-1"),
        device("device-2"),
        node(devices=("device-1", "Device-2")),
        device("device-1"),
    ]
    early, late = Cluster(), Cluster()

    site = early.site()
    early.show(*states)
    late.show(*states)

    for view in (site.view("node-1"), late.site().view("node-1")):
        assert view.exists
        assert [one.name for one in view.dpus] == ["a", "b"]
        assert [one.name for one in view.devices] == ["device-1", "device-2"]
        assert [one.name for one in view.maintenances] == ["some-name"]


def test_names_mean_nothing_references_do() -> None:
    cluster = Cluster()
    site = cluster.site()

    cluster.show(node(), dpu("node-1-device-1", node="node-2"), maintenance("node-1-hold", node="node-2"))

    assert site.view("node-1").dpus == ()
    assert site.view("node-1").maintenances == ()
    assert not site.view("node-2").exists
    assert [one.name for one in site.view("node-2").dpus] == ["node-1-device-1"]
    assert sorted(site.names()) == ["node-1", "node-2"]


def test_an_object_that_comes_to_refer_to_another_node_leaves_the_first() -> None:
    cluster = Cluster()
    site = cluster.site()
    cluster.show(node(), maintenance("m", node="node-1"))

    cluster.show(maintenance("m", node="node-2"))

    assert site.view("node-1").maintenances == ()
    assert len(site.view("node-2").maintenances) == 1


def test_what_is_gone_is_in_no_view() -> None:
    cluster = Cluster()
    site = cluster.site()
    one, held = dpu(), maintenance()
    cluster.show(node(), one, held)

    cluster.delete(one)
    cluster.delete(held)

    assert site.view("node-1").dpus == ()
    assert site.view("node-1").maintenances == ()


def test_a_device_follows_the_list_of_its_node() -> None:
    cluster = Cluster()
    site = cluster.site()
    cluster.show(device("device-1"), node(devices=()))
    assert site.view("node-1").devices == ()

    cluster.show(node(devices=("device-1",)))

    assert [one.name for one in site.view("node-1").devices] == ["device-1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: node(reboot=True),
        lambda: dpu(phase="Rebooting"),
        lambda: maintenance(annotation="false"),
        lambda: device("device-1", ready=False),
    ],
    ids=["DPUNode", "DPU", "DPUNodeMaintenance", "DPUDevice"],
)
def test_g6_every_state_of_every_kind_is_shown_to_whoever_waits_for_the_node(
    change: Callable[[], Snapshot[Resource]],
) -> None:
    cluster = Cluster()
    site = cluster.site()
    cluster.show(node(), dpu(), maintenance(), device("device-1"))
    views: list[NodeView] = []
    site.hub.add_wait("node-1", Wait(asked(views), never))

    cluster.show(change())
    cluster.show(change())

    assert len(views) == 2


def test_a_change_of_another_node_asks_nobody() -> None:
    cluster = Cluster()
    site = cluster.site()
    views: list[NodeView] = []
    site.hub.add_wait("node-1", Wait(asked(views), never))

    cluster.show(node("node-2"), dpu("x", node="node-2"), device("device-9"))

    assert views == []


async def test_h3_a_level_that_holds_for_one_state_only_ends_the_wait() -> None:
    cluster = Cluster()
    site = cluster.site()
    cluster.show(node(), dpu(phase="DPU Config"))
    wait: Wait[NodeView] = Wait(ready, never)
    site.hub.add_wait("node-1", wait)

    cluster.show(dpu())
    cluster.show(dpu(phase="Node Effect"))

    assert (await wait.over()).ready


async def test_h13_a_level_that_raises_ends_its_own_wait_and_no_other() -> None:
    cluster = Cluster()
    site = cluster.site()
    cluster.show(node())

    def broken(view: NodeView) -> bool:
        raise ZeroDivisionError

    bad: Wait[NodeView] = Wait(Level("broken", broken), never)
    good: Wait[NodeView] = Wait(ready, never)
    site.hub.add_wait("node-1", bad)
    site.hub.add_wait("node-1", good)

    cluster.show(dpu())

    with pytest.raises(ZeroDivisionError):
        await bad.over()
    assert (await good.over()).ready


async def test_a_reader_is_marked_once_per_node_however_much_happens() -> None:
    cluster = Cluster()
    site = cluster.site()
    cursor: Cursor[str] = Cursor()
    site.hub.add_reader(None, cursor)

    cluster.show(node(), dpu(), node("node-2"))
    for _ in range(100):
        cluster.show(dpu())

    first, second = await cursor.next(), await cursor.next()
    assert (first[0], second[0]) == ("node-1", "node-2")
    assert first[1].changes == 102


def test_a_hub_keeps_nothing_of_waits_and_readers_that_left() -> None:
    cluster = Cluster()
    hub = cluster.site().hub
    wait: Wait[NodeView] = Wait(ready, never)
    cursor: Cursor[str] = Cursor()

    hub.add_wait("node-1", wait)
    hub.add_reader("node-1", cursor)
    hub.remove_wait("node-1", wait)
    hub.remove_reader("node-1", cursor)

    assert hub._waits == {}
    assert hub._readers == {}

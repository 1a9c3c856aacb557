"""NodeJoin and Hub: views of hosts, and which waits and readers are notified."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dpf_async._api.codec import ObjectState
from dpf_async._transitions.hub import Wait
from dpf_async._transitions.levels import Level, discovered, ready
from dpf_async._transitions.views import NodeView
from dpf_async._watch.cursor import Cursor
from dpf_async.models import Resource
from tests.support.states import condition, device, dpu, maintenance, node
from tests.support.stores import Stores


def recorded(views: list[NodeView]) -> Level[NodeView]:
    """A level that never holds, and records every view for which it is evaluated."""

    def keep(view: NodeView) -> bool:
        views.append(view)
        return False

    return Level("never", keep)


def never(view: NodeView) -> None:
    return None


def test_a_view_contains_every_object_that_refers_to_the_node_in_any_order_of_arrival() -> None:
    states: list[ObjectState[Resource]] = [
        maintenance("some-name"),
        dpu("b", device="device-2"),
        dpu("a", device="device-1"),
        device("device-2"),
        node(devices=("device-1", "Device-2")),
        device("device-1"),
    ]
    early, late = Stores(), Stores()

    join = early.join()
    early.show(*states)
    late.show(*states)

    for view in (join.view("node-1"), late.join().view("node-1")):
        assert view.exists
        assert [one.name for one in view.dpus] == ["a", "b"]
        assert [one.name for one in view.devices] == ["device-1", "device-2"]
        assert [one.name for one in view.maintenances] == ["some-name"]


def test_objects_are_joined_by_references_and_not_by_names() -> None:
    stores = Stores()
    join = stores.join()

    stores.show(node(), dpu("node-1-device-1", node="node-2"), maintenance("node-1-hold", node="node-2"))

    assert join.view("node-1").dpus == ()
    assert join.view("node-1").maintenances == ()
    assert not join.view("node-2").exists
    assert [one.name for one in join.view("node-2").dpus] == ["node-1-device-1"]
    assert sorted(join.names()) == ["node-1", "node-2"]


def test_an_object_whose_reference_changes_is_removed_from_the_view_of_the_old_node() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node(), maintenance("m", node="node-1"))

    stores.show(maintenance("m", node="node-2"))

    assert join.view("node-1").maintenances == ()
    assert len(join.view("node-2").maintenances) == 1


def test_a_deleted_object_is_in_no_view() -> None:
    stores = Stores()
    join = stores.join()
    one, held = dpu(), maintenance()
    stores.show(node(), one, held)

    stores.delete(one)
    stores.delete(held)

    assert join.view("node-1").dpus == ()
    assert join.view("node-1").maintenances == ()


def test_a_view_contains_the_devices_that_the_node_lists_now() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(device("device-1"), node(devices=()))
    assert join.view("node-1").devices == ()

    stores.show(node(devices=("device-1",)))

    assert [one.name for one in join.view("node-1").devices] == ["device-1"]


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
def test_g6_a_wait_for_a_node_is_evaluated_for_every_state_of_every_kind(
    change: Callable[[], ObjectState[Resource]],
) -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node(), dpu(), maintenance(), device("device-1"))
    views: list[NodeView] = []
    join.hub.add_wait("node-1", Wait(recorded(views), never))

    stores.show(change())
    stores.show(change())

    assert len(views) == 2


def test_a_change_of_another_node_evaluates_no_wait() -> None:
    stores = Stores()
    join = stores.join()
    views: list[NodeView] = []
    join.hub.add_wait("node-1", Wait(recorded(views), never))

    stores.show(node("node-2"), dpu("x", node="node-2"), device("device-9"))

    assert views == []


async def test_h3_a_level_that_holds_for_one_state_only_ends_the_wait() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node(), dpu(phase="DPU Config"))
    wait: Wait[NodeView] = Wait(ready, never)
    join.hub.add_wait("node-1", wait)

    stores.show(dpu())
    stores.show(dpu(phase="Node Effect"))

    assert (await wait.result()).ready


async def test_h13_a_level_that_raises_ends_its_own_wait_and_no_other() -> None:
    stores = Stores()
    join = stores.join()
    stores.show(node())

    def broken(view: NodeView) -> bool:
        raise ZeroDivisionError

    bad: Wait[NodeView] = Wait(Level("broken", broken), never)
    good: Wait[NodeView] = Wait(ready, never)
    join.hub.add_wait("node-1", bad)
    join.hub.add_wait("node-1", good)

    stores.show(dpu())

    with pytest.raises(ZeroDivisionError):
        await bad.result()
    assert (await good.result()).ready


async def test_a_reader_is_marked_once_per_node_for_any_number_of_changes() -> None:
    stores = Stores()
    join = stores.join()
    cursor: Cursor[str] = Cursor()
    join.hub.add_reader(None, cursor)

    stores.show(node(), dpu(), node("node-2"))
    for _ in range(100):
        stores.show(dpu())

    first, second = await cursor.next(), await cursor.next()
    assert (first[0], second[0]) == ("node-1", "node-2")
    assert first[1].changes == 102


def test_a_hub_keeps_no_reference_to_removed_waits_and_readers() -> None:
    stores = Stores()
    hub = stores.join().hub
    wait: Wait[NodeView] = Wait(ready, never)
    cursor: Cursor[str] = Cursor()

    hub.add_wait("node-1", wait)
    hub.add_reader("node-1", cursor)
    hub.remove_wait("node-1", wait)
    hub.remove_reader("node-1", cursor)

    assert hub._waits == {}
    assert hub._readers == {}


def test_a_device_that_two_nodes_list_still_notifies_one_after_the_other_is_deleted() -> None:
    stores = Stores()
    join = stores.join()
    ready_ = [condition("Ready")]
    old, new = (node(name, ("device-1",), conditions=ready_) for name in ("node-old", "node-new"))
    stores.show(device(ready=False), old, new, node("node-old", ("device-1",), conditions=ready_))
    wait = Wait(discovered, never)
    join.hub.add_wait("node-new", wait)

    stores.delete(old)
    stores.show(device(ready=True))

    assert wait.is_decided

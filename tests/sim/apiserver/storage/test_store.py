"""The store: objects, history and owners."""

from __future__ import annotations

from typing import Any

from dpf_async.sim.apiserver.storage.store import Key, Store
from dpf_async.sim.apiserver.wire.status import GroupResource

KIND = GroupResource("example.com", "widgets")


def stored(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


def put(store: Store, name: str, **spec: Any) -> int:
    store.put(KIND, ("ns", name), stored(name, **spec))
    return store.revision


def state(store: Store, at: int | None = None) -> dict[str, Any]:
    return {key[1]: obj["spec"] for key, obj in store.list(KIND, "", at=at)}


def test_every_version_in_the_history_can_be_listed() -> None:
    store = Store(history=100)
    versions = {put(store, "a", n=1): {"a": {"n": 1}}}
    versions[put(store, "b", n=1)] = {"a": {"n": 1}, "b": {"n": 1}}
    versions[put(store, "a", n=2)] = {"a": {"n": 2}, "b": {"n": 1}}
    store.delete(KIND, ("ns", "b"))
    versions[store.revision] = {"a": {"n": 2}}
    versions[put(store, "b", n=3)] = {"a": {"n": 2}, "b": {"n": 3}}

    seen = {version: state(store, version) for version in versions}

    assert seen == versions


def test_stored_objects_are_never_modified_in_place() -> None:
    store = Store(history=100)
    put(store, "a", n=1)
    before = store.get(KIND, ("ns", "a"))

    put(store, "a", n=2)
    last = store.delete(KIND, ("ns", "a"))

    assert before is not None
    assert (before["spec"], before["metadata"]["resourceVersion"]) == ({"n": 1}, "2")
    assert last["metadata"]["resourceVersion"] == "4"


def test_history_keeps_at_least_the_configured_number_of_events() -> None:
    store = Store(history=10)
    for n in range(500):
        put(store, "a", n=n)

    collection = store.collection(KIND)

    assert 10 <= len(collection.events) <= 10 + 64 + 1
    assert collection.floor == collection.events[0].version - 1
    assert collection.position_after(store.revision) == collection.end == 500


def test_listeners_and_watchers_are_notified_of_every_change() -> None:
    store = Store(history=10)
    notified: list[tuple[str, Key]] = []
    wakeups: list[int] = []
    store.listeners.append(lambda _, event: notified.append((event.type, event.key)))
    store.collection(KIND).watchers.add(lambda: wakeups.append(store.revision))

    put(store, "a")
    put(store, "a", n=1)
    store.delete(KIND, ("ns", "a"))

    assert notified == [("ADDED", ("ns", "a")), ("MODIFIED", ("ns", "a")), ("DELETED", ("ns", "a"))]
    assert wakeups == [2, 3, 4]


def test_dependents_are_found_by_the_uid_of_their_owner() -> None:
    store = Store(history=10)
    child = stored("child")
    child["metadata"]["ownerReferences"] = [{"uid": "uid-owner"}]
    store.put(KIND, ("ns", "child"), child)
    found = {uid: set(places) for uid, places in store.dependents.items()}

    store.put(KIND, ("ns", "child"), stored("child"))

    assert found == {"uid-owner": {(KIND, ("ns", "child"))}}
    assert store.dependents == {}

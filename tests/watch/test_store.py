"""The store: which states are applied, which are dropped, and which changes listeners receive. No sockets.

Listeners record each call as one line, with states as "uid@version".
"""

from __future__ import annotations

import json

import msgspec
import pytest

from dpf_async import ObjectState, Undecodable
from dpf_async._api.codec import Codec
from dpf_async._watch.store import Change, Listener, Store
from dpf_async.models import DPU
from tests.support.objects import dpu

CODEC = Codec(DPU)


def state(name: str, version: int | str, uid: str = "u1", phase: str = "Pending") -> ObjectState[DPU]:
    obj = dpu(name, 0, phase, uid=uid)
    obj["metadata"]["resourceVersion"] = str(version)
    return CODEC.read_object(json.dumps(obj).encode())


def unreadable(name: str, version: int, uid: str = "u1") -> Undecodable:
    return Undecodable(DPU, name, "dpf", uid, str(version), "phase: expected str", b"{}")


class Recorder(Listener[DPU]):
    """A listener that records each call as a line, such as "a u1@10 u1@12 watch"."""

    def __init__(self, store: Store[DPU]) -> None:
        self.lines: list[str] = []
        store.listen(self)

    def changed(self, change: Change[DPU]) -> None:
        before, after = change.before, change.after
        was = f"{before.uid}@{before.resource_version}" if before else ""
        now = (
            f"{after.uid}@{after.resource_version}"
            if after
            else f"gone@{change.last.resource_version if change.last else '?'}"
        )
        self.lines.append(" ".join(filter(None, [change.name, was, now, change.origin])))

    def undecodable(self, obj: Undecodable) -> None:
        self.lines.append(f"{obj.name} unreadable@{obj.resource_version}")

    def undecodable_deleted(self, obj: Undecodable) -> None:
        self.lines.append(f"{obj.name} unreadable@{obj.resource_version} gone")

    def interrupted(self, reason: str) -> None:
        self.lines.append("interrupted")

    def resumed(self, resource_version: str, *, rewound: bool) -> None:
        self.lines.append(f"listed@{resource_version}{' rewound' if rewound else ''}")

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


def having(*states: ObjectState[DPU]) -> tuple[Store[DPU], Recorder]:
    """A store with these objects, and a listener that was added afterwards."""
    store: Store[DPU] = Store()
    for one in states:
        store.apply("ADDED", one)
    return store, Recorder(store)


def shown(store: Store[DPU]) -> dict[str, str]:
    return {obj.name: f"{obj.uid}@{obj.resource_version}" for obj in store}


def replace(
    store: Store[DPU],
    version: int,
    *states: ObjectState[DPU],
    origin: str = "relist",
    rewound: bool = False,
    bad: tuple[Undecodable, ...] = (),
) -> None:
    store.replace(states, bad, str(version), origin=origin, rewound=rewound)


@pytest.mark.parametrize("again", [("MODIFIED", 12), ("ADDED", 12), ("MODIFIED", 11), ("ADDED", 9)])
def test_e5_e6_a_stored_or_older_state_is_dropped_and_counted(again: tuple[str, int]) -> None:
    store, recorder = having(state("a", 12))

    store.apply(again[0], state("a", again[1]))

    assert recorder.take() == []
    assert shown(store) == {"a": "u1@12"}
    assert store.duplicates == 1


def test_replayed_events_do_not_restore_a_deleted_object() -> None:
    events = [("ADDED", 11), ("MODIFIED", 12), ("MODIFIED", 13), ("DELETED", 14)]
    store, recorder = having()
    for type_, version in events:
        store.apply(type_, state("a", version))
    recorder.take()

    for type_, version in events:
        store.apply(type_, state("a", version))

    assert recorder.take() == []
    assert shown(store) == {}


def test_a_replayed_deletion_of_an_object_that_returned_to_the_selection_is_dropped() -> None:
    store, recorder = having(state("a", 10))
    store.apply("DELETED", state("a", 12))
    store.apply("ADDED", state("a", 14))
    recorder.take()

    store.apply("DELETED", state("a", 12))

    assert recorder.take() == []
    assert shown(store) == {"a": "u1@14"}


def test_an_object_that_returns_to_the_selection_is_added_again() -> None:
    store, recorder = having(state("a", 10))

    store.apply("DELETED", state("a", 12))
    store.apply("ADDED", state("a", 14))

    assert recorder.take() == ["a u1@10 gone@12 watch", "a u1@14 watch"]


def test_f1_another_uid_under_the_same_name_deletes_the_old_object_first() -> None:
    store, recorder = having(state("a", 10))

    store.apply("ADDED", state("a", 12, "u2"))
    store.apply("DELETED", state("a", 13, "u1"))

    assert recorder.take() == ["a u1@10 gone@? watch", "a u2@12 watch"]
    assert shown(store) == {"a": "u2@12"}


def test_an_object_deleted_by_an_audit_is_not_restored_by_older_events() -> None:
    store, recorder = having(state("a", 10))

    replace(store, 20, origin="audit")  # a was deleted at 14; the watch has not sent that yet
    store.apply("MODIFIED", state("a", 12))
    store.apply("DELETED", state("a", 14))

    assert recorder.take() == ["a u1@10 gone@? audit"]
    assert shown(store) == {}


def test_an_audit_that_is_behind_the_watch_changes_nothing() -> None:
    store, recorder = having(state("a", 10), state("b", 11, "u2"))
    store.apply("MODIFIED", state("a", 21))
    store.apply("ADDED", state("new", 22, "u3"))
    store.apply("DELETED", state("b", 23, "u2"))
    recorder.take()

    replace(store, 20, state("a", 10), state("b", 11, "u2"), origin="audit")

    assert recorder.take() == []
    assert shown(store) == {"a": "u1@21", "new": "u3@22"}
    assert store.repairs == 0


def test_e11_an_audit_applies_changes_without_an_event_and_counts_them() -> None:
    store, recorder = having(state("lost", 10), state("stale", 11, "u2"))

    replace(store, 30, state("stale", 25, "u2"), state("unsent", 26, "u3"), origin="audit")

    assert sorted(recorder.take()) == [
        "lost u1@10 gone@? audit",
        "stale u2@11 u2@25 audit",
        "unsent u3@26 audit",
    ]
    assert store.repairs == 3


def test_e1_a_rewind_replaces_newer_states_and_clears_the_tombstones() -> None:
    store, recorder = having(state("a", 90), state("young", 91, "u2"), state("dead", 92, "u3"))
    store.apply("DELETED", state("dead", 93, "u3"))
    recorder.take()

    replace(store, 50, state("a", 40), state("dead", 41, "u3"), rewound=True)

    assert recorder.take() == [
        "a u1@90 u1@40 relist",
        "dead u3@41 relist",
        "young u2@91 gone@? relist",
        "listed@50 rewound",
    ]


def test_a9_a_list_without_differences_reports_no_change() -> None:
    store, recorder = having(state("a", 10), state("b", 11, "u2"))

    replace(store, 30, state("a", 10), state("b", 11, "u2"))
    replace(store, 40, state("a", 10), state("b", 11, "u2"), origin="audit")

    assert recorder.take() == ["listed@30"]


def test_a11_an_inconsistent_list_is_distinguished_from_one_older_than_the_watch() -> None:
    store, _ = having(state("a", 15))

    assert store.is_ahead_of(state("a", 12), "20")  # a list of version 20 must contain 15
    assert not store.is_ahead_of(state("a", 12), "14")
    assert not store.is_ahead_of(state("a", 15), "20")
    assert not store.is_ahead_of(state("a", 12, "u2"), "20")


def test_g3_an_undecodable_state_replaces_the_last_decodable_one() -> None:
    store, recorder = having(state("a", 10))

    store.put_undecodable(unreadable("a", 12))
    store.put_undecodable(unreadable("a", 12))

    assert recorder.take() == ["a unreadable@12"]
    assert shown(store) == {}
    assert list(store.unreadable) == ["a"]


def test_g3_an_object_that_can_be_decoded_again_is_added() -> None:
    store, recorder = having(state("a", 10))
    store.put_undecodable(unreadable("a", 12))
    recorder.take()

    store.apply("MODIFIED", state("a", 13))

    assert recorder.take() == ["a u1@13 watch"]
    assert not store.unreadable


def test_g3_a_replayed_undecodable_state_does_not_replace_a_newer_decodable_one() -> None:
    store, recorder = having(state("a", 10))
    store.put_undecodable(unreadable("a", 11))
    store.apply("MODIFIED", state("a", 12))
    recorder.take()

    store.put_undecodable(unreadable("a", 11))

    assert recorder.take() == []
    assert shown(store) == {"a": "u1@12"}


def test_g3_a_replayed_undecodable_state_does_not_restore_a_deleted_object() -> None:
    store, recorder = having(state("a", 10))
    store.put_undecodable(unreadable("a", 11))
    store.apply("MODIFIED", state("a", 12))
    store.apply("DELETED", state("a", 13))
    recorder.take()

    store.put_undecodable(unreadable("a", 11))

    assert recorder.take() == []
    assert not store.unreadable


def test_g3_a_list_deletes_undecodable_objects_that_it_does_not_contain() -> None:
    store, recorder = having()
    store.put_undecodable(unreadable("a", 12))
    store.put_undecodable(unreadable("b", 13))
    store.put_undecodable(unreadable("later", 31))
    recorder.take()

    replace(store, 30, bad=(unreadable("b", 13),))

    assert recorder.take() == ["a unreadable@12 gone", "listed@30"]
    assert list(store.unreadable) == ["b", "later"]


@pytest.mark.parametrize("was_readable", [True, False])
def test_g3_a_deletion_whose_final_state_cannot_be_decoded_is_a_deletion(was_readable: bool) -> None:
    store, recorder = having(state("a", 10))
    if not was_readable:
        store.put_undecodable(unreadable("a", 11))
    recorder.take()

    store.put_undecodable(msgspec.structs.replace(unreadable("a", 12), deleted=True))
    store.put_undecodable(msgspec.structs.replace(unreadable("a", 12), deleted=True))

    assert recorder.take() == ["a u1@10 gone@? watch" if was_readable else "a unreadable@11 gone"]
    assert not store.unreadable
    assert shown(store) == {}


def test_g3_the_deletion_of_an_undecodable_object_is_reported() -> None:
    store, recorder = having(state("a", 10))
    store.put_undecodable(unreadable("a", 11))
    recorder.take()

    store.apply("DELETED", state("a", 12))
    store.apply("MODIFIED", state("a", 11))

    assert recorder.take() == ["a unreadable@11 gone"]
    assert store.duplicates == 1


def test_g3_a_rewind_deletes_undecodable_objects_that_are_not_listed() -> None:
    store, recorder = having()
    store.put_undecodable(unreadable("a", 92))
    store.put_undecodable(unreadable("b", 93))
    recorder.take()

    replace(store, 50, bad=(unreadable("b", 40),), rewound=True)

    assert recorder.take() == ["b unreadable@40", "a unreadable@92 gone", "listed@50 rewound"]
    assert list(store.unreadable) == ["b"]


def test_g3_a_replayed_decodable_state_does_not_replace_a_newer_undecodable_one() -> None:
    store, recorder = having(state("a", 10))
    store.apply("MODIFIED", state("a", 11))
    store.put_undecodable(unreadable("a", 12))
    recorder.take()

    store.apply("MODIFIED", state("a", 11))
    replace(store, 11, state("a", 11), origin="audit")

    assert recorder.take() == []
    assert shown(store) == {}
    assert list(store.unreadable) == ["a"]


@pytest.mark.parametrize("readable_now", [True, False])
def test_g3_e1_after_a_rewind_the_store_equals_the_list(readable_now: bool) -> None:
    store, _ = having(state("a", 90), state("b", 91, "u2"))
    store.put_undecodable(unreadable("a", 92))

    if readable_now:
        replace(store, 50, state("a", 40), bad=(unreadable("b", 41, "u2"),), rewound=True)
    else:
        replace(store, 50, state("b", 41, "u2"), bad=(unreadable("a", 40),), rewound=True)

    assert shown(store) == ({"a": "u1@40"} if readable_now else {"b": "u2@41"})
    assert list(store.unreadable) == (["b"] if readable_now else ["a"])


def test_e9_opaque_versions_are_compared_for_equality_only() -> None:
    store, recorder = having(state("a", "xyz"))

    store.apply("MODIFIED", state("a", "abc"))
    store.apply("MODIFIED", state("a", "abc"))
    store.apply("DELETED", state("a", "def"))

    assert recorder.take() == ["a u1@xyz u1@abc watch", "a u1@abc gone@def watch"]
    assert store.duplicates == 1


def test_the_oldest_tombstones_are_dropped_first() -> None:
    store, _ = having()
    for n in range(10_050):
        store.apply("ADDED", state(f"a-{n}", n + 1, f"u{n}"))
        store.apply("DELETED", state(f"a-{n}", n + 1, f"u{n}"))

    assert len(store._tombstones) == 10_000
    assert "u10049" in store._tombstones
    assert "u0" not in store._tombstones


def test_an_object_in_a_list_exists_despite_an_older_tombstone() -> None:
    store, recorder = having(state("a", 10))
    store.apply("DELETED", state("a", 15))
    recorder.take()

    replace(store, 14, state("a", 10), origin="audit")  # the list is older than the deletion
    assert recorder.take() == []
    replace(store, 20, state("a", 10), origin="audit")

    assert recorder.take() == ["a u1@10 audit"]
    assert shown(store) == {"a": "u1@10"}


def test_an_object_that_a_list_can_decode_again_is_not_unreadable_when_it_is_reported() -> None:
    store, _ = having(state("a", 10))
    store.put_undecodable(unreadable("a", 12))
    unreadable_then: list[bool] = []

    class UnreadableRecorder(Recorder):
        def changed(self, change: Change[DPU]) -> None:
            super().changed(change)
            unreadable_then.append(change.name in store.unreadable)

    recorder = UnreadableRecorder(store)
    replace(store, 20, state("a", 13))

    assert recorder.take() == ["a u1@13 relist", "listed@20"]
    assert unreadable_then == [False]


def test_another_object_under_the_name_of_an_undecodable_one_deletes_that_one() -> None:
    store, recorder = having(state("a", 10))
    store.put_undecodable(unreadable("a", 12))
    recorder.take()

    replace(store, 20, state("a", 15, "u2"))

    assert recorder.take() == ["a unreadable@12 gone", "a u2@15 relist", "listed@20"]
    assert store.unreadable == {}

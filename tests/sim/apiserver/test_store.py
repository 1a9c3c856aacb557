"""The store and the codec, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async.sim.apiserver.apply.fieldpaths import from_fields_v1, show, to_fields_v1
from dpf_async.sim.apiserver.storage.store import Key, Store
from dpf_async.sim.apiserver.wire.codec import DecodeError, decode_json, decode_yaml, encode
from dpf_async.sim.apiserver.wire.status import GroupResource

KIND = GroupResource("example.com", "widgets")


def stored(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


def put(store: Store, name: str, **spec: Any) -> int:
    store.put(KIND, ("ns", name), stored(name, **spec))
    return store.revision


def state(store: Store, at: int | None = None) -> dict[str, Any]:
    return {key[1]: obj["spec"] for key, obj in store.list(KIND, "", at=at)}


def test_every_moment_within_history_can_be_listed() -> None:
    store = Store(history=100)
    moments = {put(store, "a", n=1): {"a": {"n": 1}}}
    moments[put(store, "b", n=1)] = {"a": {"n": 1}, "b": {"n": 1}}
    moments[put(store, "a", n=2)] = {"a": {"n": 2}, "b": {"n": 1}}
    store.delete(KIND, ("ns", "b"))
    moments[store.revision] = {"a": {"n": 2}}
    moments[put(store, "b", n=3)] = {"a": {"n": 2}, "b": {"n": 3}}

    seen = {moment: state(store, moment) for moment in moments}

    assert seen == moments


def test_stored_objects_are_never_changed_in_place() -> None:
    store = Store(history=100)
    put(store, "a", n=1)
    before = store.get(KIND, ("ns", "a"))

    put(store, "a", n=2)
    last = store.delete(KIND, ("ns", "a"))

    assert before is not None
    assert (before["spec"], before["metadata"]["resourceVersion"]) == ({"n": 1}, "2")
    assert last["metadata"]["resourceVersion"] == "4"


def test_history_keeps_at_least_what_was_asked_for() -> None:
    store = Store(history=10)
    for n in range(500):
        put(store, "a", n=n)

    collection = store.collection(KIND)

    assert 10 <= len(collection.events) <= 10 + 64 + 1
    assert collection.floor == collection.events[0].version - 1
    assert collection.position_after(store.revision) == collection.end == 500


def test_listeners_and_watchers_hear_of_every_change() -> None:
    store = Store(history=10)
    heard: list[tuple[str, Key]] = []
    woken: list[int] = []
    store.listeners.append(lambda _, event: heard.append((event.type, event.key)))
    store.collection(KIND).watchers.add(lambda: woken.append(store.revision))

    put(store, "a")
    put(store, "a", n=1)
    store.delete(KIND, ("ns", "a"))

    assert heard == [("ADDED", ("ns", "a")), ("MODIFIED", ("ns", "a")), ("DELETED", ("ns", "a"))]
    assert woken == [2, 3, 4]


def test_dependents_are_found_by_the_uid_of_their_owner() -> None:
    store = Store(history=10)
    child = stored("child")
    child["metadata"]["ownerReferences"] = [{"uid": "uid-owner"}]
    store.put(KIND, ("ns", "child"), child)
    found = {uid: set(places) for uid, places in store.dependents.items()}

    store.put(KIND, ("ns", "child"), stored("child"))

    assert found == {"uid-owner": {(KIND, ("ns", "child"))}}
    assert store.dependents == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ('{"a": 1', "unexpected end of JSON input"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("[" * 100_000, "exceeded max depth"),
    ],
)
def test_broken_json_is_described_as_go_describes_it(text: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_json(text.encode())

    assert str(caught.value) == message


def test_duplicate_fields_are_found_where_they_are() -> None:
    document = decode_json(b'{"a": {"b": 1, "b": 2}, "l": [{"x": 1, "x": 1}], "a": 3}')

    assert document.value == {"a": 3, "l": [{"x": 1}]}
    assert document.strict_errors == [
        'duplicate field "a.b"',
        'duplicate field "l[0].x"',
        'duplicate field "a"',
    ]


def test_numbers_and_broken_text_survive_as_in_go() -> None:
    value = decode_json(
        rb'{"i": 1.0, "f": 1.5, "e": 1e3, "s": "\ud800x", "l": ["\udfff"], "big": 123456789012}'
    ).value

    assert value == {"i": 1, "f": 1.5, "e": 1000, "s": "\ufffdx", "l": ["\ufffd"], "big": 123456789012}
    assert type(value["i"]) is int
    assert encode(value).endswith(b"}\n")


def test_yaml_dates_stay_text() -> None:
    value = decode_yaml(b"at: 2020-01-01T00:00:00Z\nday: 2020-01-01\n1: true\nx: 2.0").value

    assert value == {"at": "2020-01-01T00:00:00Z", "day": "2020-01-01", "1": True, "x": 2}
    repeated = decode_yaml(b"a: 1\nb:\n  c: 1\n  c: 2\n")
    assert repeated.value == {"a": 1, "b": {"c": 2}}
    assert repeated.strict_errors == ['line 4: key "c" already set in map']
    with pytest.raises(DecodeError, match=r"^yaml: "):
        decode_yaml(b"a: [")


def test_field_sets_are_written_and_read_back_the_same() -> None:
    fields = {
        ("f:spec",),
        ("f:spec", "f:a"),
        ("f:spec", "f:l", 'k:{"n":"x","p":1}'),
        ("f:spec", "f:l", 'k:{"n":"x","p":1}', "f:n"),
        ("f:spec", "f:s", 'v:"y"'),
    }

    tree = to_fields_v1(fields)

    assert tree == {
        "f:spec": {
            ".": {},
            "f:a": {},
            "f:l": {'k:{"n":"x","p":1}': {".": {}, "f:n": {}}},
            "f:s": {'v:"y"': {}},
        }
    }
    assert from_fields_v1(tree) == fields
    assert show(("f:spec", "f:l", 'k:{"n":"x","p":1}', "f:n")) == '.spec.l[n="x",p=1].n'
    assert show(("f:spec", "f:s", 'v:"y"')) == '.spec.s[="y"]'

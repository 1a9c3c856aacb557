"""Sets of fields and their representation in managedFields."""

from __future__ import annotations

from dpf_async.sim.apiserver.apply.fieldpaths import from_fields_v1, show, to_fields_v1


def test_field_sets_survive_encoding_and_decoding() -> None:
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

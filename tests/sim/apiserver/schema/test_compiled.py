"""Compiled schemas are shared by content, and an update is validated only where it has changed."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dpf_async.sim.apiserver.schema.compiled import compiled
from dpf_async.sim.apiserver.schema.structure import compile_schema, list_type_errors
from dpf_async.sim.apiserver.schema.validation import SchemaValidator
from dpf_async.sim.apiserver.wire.codec import copy, same
from dpf_async.sim.apiserver.wire.content import Content
from tests.sim.apiserver.api import WIDGET_SCHEMA, WIDGETS, definition, serving, widget

ABSENT = object()
SHARED = SchemaValidator(WIDGET_SCHEMA, compile_schema(WIDGET_SCHEMA))
"""Of all examples, so that it remembers valid elements of earlier ones."""

# Half of the values violate the schema.
names = st.sampled_from(["a", "b", 1])
parts = st.lists(
    st.fixed_dictionaries({}, optional={"name": names, "count": st.sampled_from([1, "x"]), "note": names}),
    max_size=3,
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "size": st.sampled_from([1, True, 0, "x", None]),
                "colour": st.sampled_from(["red", "blue"]),
                "url": st.sampled_from(["https://a", "a"]),
                "parts": parts,
                "tags": st.lists(names, max_size=3),
                "order": st.one_of(st.lists(names, max_size=2), names),
                "options": st.dictionaries(st.sampled_from("ab"), names, max_size=2),
                "frozen": st.dictionaries(st.sampled_from("ab"), names, max_size=2),
            },
        ),
        "status": st.one_of(st.none(), st.fixed_dictionaries({"count": names})),
    },
)


def unchanged(field: str, new: Any, old: Any) -> bool:
    """Whether a value on the path of a field is the same in both objects, by the keys of map lists."""
    for step in re.findall(r"\w+|\[\d+\]", field):
        if step.startswith("["):
            if not isinstance(old, list) or not isinstance(new[int(step[1:-1])], dict):
                return False
            new = new[int(step[1:-1])]
            old = next((item for item in old if item.get("name") == new.get("name")), ABSENT)
        else:
            new = new.get(step, ABSENT)
            old = old.get(step, ABSENT) if isinstance(old, dict) else ABSENT
        if old is ABSENT:
            return False
        if new is ABSENT:  # the field of an error about a missing member
            return False
        if same(new, old):
            return True
    return False


@given(objects, objects)
def test_an_update_has_the_errors_of_a_create_except_for_unchanged_values(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    errors = SHARED.errors(new, old)

    every = SchemaValidator(WIDGET_SCHEMA, compile_schema(WIDGET_SCHEMA)).errors(new)
    assert errors == [error for error in every if not unchanged(error.field, new, old)]
    assert SHARED.errors(new) == every
    assert SHARED.errors(copy(new), new) == []


@given(objects, objects)
def test_list_types_of_an_update_are_checked_unless_the_old_object_violates_them(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    root = compile_schema(WIDGET_SCHEMA)

    errors = list_type_errors(new, root, old)

    assert errors == ([] if list_type_errors(old, root) else list_type_errors(new, root))


def test_equal_schemas_are_compiled_once_and_the_order_of_properties_counts() -> None:
    reordered = {**WIDGET_SCHEMA, "properties": dict(reversed(WIDGET_SCHEMA["properties"].items()))}

    first = compiled(Content.of(WIDGET_SCHEMA), minor=34)

    assert compiled(Content.of(copy(WIDGET_SCHEMA)), minor=34) is first
    assert compiled(Content.of(reordered), minor=34) is not first
    assert compiled(Content.of(WIDGET_SCHEMA), minor=35) is not first


async def test_servers_with_the_same_definition_share_its_compiled_schema_but_no_objects() -> None:
    async with serving() as first, serving(definition()) as second:
        await first.create(WIDGETS, widget("a"))

        kinds = [
            kind
            for api in (first, second)
            for kind in api.server._cluster.registry.kinds.values()
            if kind.plural == "widgets"
        ]
        listed = await second.get(WIDGETS)

    assert kinds[0].versions["v1"].rules is kinds[1].versions["v1"].rules
    assert listed.body["items"] == []

"""CEL rules of CRDs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import DEFINITIONS, INTEGER, STRING, WIDGETS, definition, serving, widget


def ruled(spec: dict[str, Any], *, root: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {"spec": {"type": "object", **spec}}}
    if root:
        schema["x-kubernetes-validations"] = root
    return definition(schema=schema, status=False)


def rule(expression: str, message: str = "broken", **more: Any) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": expression, "message": message, **more}]}


async def test_the_error_of_a_rule_has_the_type_of_the_field_and_the_message() -> None:
    crd = ruled({"properties": {"f": {**STRING, **rule("self.startsWith('a')", "must begin with a")}}})
    async with serving(crd) as api:
        refused = await api.create(WIDGETS, widget("x", {"f": "b"}))

        text = 'spec.f: Invalid value: "string": must begin with a'
        assert refused.message == f'Widget.example.com "x" is invalid: {text}'


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ({**STRING, **rule("false")}, "b", 'Invalid value: "b": broken'),
        ({**INTEGER, **rule("false")}, 7, "Invalid value: 7: broken"),
        ({"type": "object", **rule("false")}, {}, "Invalid value: broken"),
    ],
)
async def test_since_1_35_the_error_of_a_rule_has_the_value_of_a_scalar(
    field: dict[str, Any], value: Any, shown: str
) -> None:
    async with serving(ruled({"properties": {"f": field}}), minor=35) as api:
        refused = await api.create(WIDGETS, widget("x", {"f": value}))

        assert refused.causes == [("FieldValueInvalid", "spec.f", shown)]


async def test_transition_rules_run_only_for_updates() -> None:
    crd = ruled({"properties": {"f": {**STRING, **rule("self == oldSelf", "Value is immutable")}}})
    async with serving(crd) as api:
        made = await api.create(WIDGETS, widget("x", {}))
        added = await api.merge(f"{WIDGETS}/x", {"spec": {"f": "a"}})

        changed = await api.merge(f"{WIDGETS}/x", {"spec": {"f": "b"}})
        removed = await api.merge(f"{WIDGETS}/x", {"spec": {"f": None}})

        assert (made.code, added.code, changed.code, removed.code) == (201, 200, 422, 200)
        assert changed.message.endswith('spec.f: Invalid value: "string": Value is immutable')


async def test_transition_rules_match_elements_of_map_lists_by_key() -> None:
    items = {
        "type": "object",
        "properties": {"n": STRING, "v": {**INTEGER, **rule("self >= oldSelf", "cannot shrink")}},
    }
    keyed = {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["n"],
    }
    crd = ruled({"properties": {"keyed": keyed, "plain": {"type": "array", "items": items}}})
    async with serving(crd) as api:
        await api.create(
            WIDGETS,
            widget("x", {"keyed": [{"n": "a", "v": 5}, {"n": "b", "v": 5}], "plain": [{"n": "a", "v": 5}]}),
        )

        swapped = await api.merge(
            f"{WIDGETS}/x", {"spec": {"keyed": [{"n": "b", "v": 6}, {"n": "a", "v": 4}]}}
        )
        plain = await api.merge(f"{WIDGETS}/x", {"spec": {"plain": [{"n": "a", "v": 1}]}})

        assert [(field, message) for _, field, message in swapped.causes] == [
            ("spec.keyed[1].v", 'Invalid value: "integer": cannot shrink')
        ]
        assert plain.code == 200


async def test_rules_with_optional_old_self_run_for_new_values_too() -> None:
    expression = "oldSelf.hasValue() || self == 'first'"
    field = {**STRING, **rule(expression, "must begin as first", optionalOldSelf=True)}
    async with serving(ruled({"properties": {"f": field}})) as api:
        refused = await api.create(WIDGETS, widget("x", {"f": "other"}))
        await api.create(WIDGETS, widget("x", {"f": "first"}))
        changed = await api.merge(f"{WIDGETS}/x", {"spec": {"f": "other"}})

        assert (refused.code, changed.code) == (422, 200)


@pytest.mark.parametrize(
    ("more", "reason", "field", "message"),
    [
        ({"reason": "FieldValueForbidden"}, "FieldValueForbidden", "spec", "Forbidden: broken"),
        ({"reason": "FieldValueRequired"}, "FieldValueRequired", "spec", "Required value: broken"),
        ({"reason": "FieldValueDuplicate"}, "FieldValueDuplicate", "spec", 'Duplicate value: "object"'),
        ({"fieldPath": ".f"}, "FieldValueInvalid", "spec.f", 'Invalid value: "object": broken'),
        (
            {"messageExpression": "'f is ' + self.f"},
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": f is v',
        ),
        (
            {"messageExpression": "self.absent"},
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": broken',
        ),
        (
            {"messageExpression": "'two\\nlines'"},
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": broken',
        ),
        (
            {"message": ""},
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": failed rule: self.f == "x"',
        ),
    ],
)
async def test_the_error_of_a_rule_has_its_field_path_and_reason(
    more: dict[str, Any], reason: str, field: str, message: str
) -> None:
    checked = {"rule": 'self.f == "x"', "message": "broken", **more}
    crd = ruled({"properties": {"f": STRING, "absent": STRING}, "x-kubernetes-validations": [checked]})
    async with serving(crd) as api:
        refused = await api.create(WIDGETS, widget("x", {"f": "v"}))

        assert refused.causes == [(reason, field, message)]


async def test_rules_of_the_root_read_names_but_no_other_metadata() -> None:
    rules = [
        {"rule": "self.metadata.name.size() <= 3", "message": "name too long"},
        {"rule": "!has(self.metadata.labels)", "message": "labels are seen"},
    ]
    async with serving(ruled({}, root=rules)) as api:
        made = await api.create(WIDGETS, widget("abc", {}, labels={"k": "v"}))
        refused = await api.create(WIDGETS, widget("abcd", {}))

        assert made.code == 201
        assert refused.causes == [("FieldValueInvalid", "<nil>", 'Invalid value: "object": name too long')]


@pytest.mark.parametrize(
    ("field", "expression", "good", "bad"),
    [
        (STRING, "self.lowerAscii() == 'abc'", "ABC", "x"),
        (STRING, "size(self) == 1", "ü", "xx"),
        (STRING, "self == 'size(self)'", "size(self)", "x"),
        (STRING, "self.matches('^a+$')", "aa", "b"),
        (STRING, "self.find('[0-9]+') == '12'", "a12b", "a"),
        (STRING, "self.split(',').size() == 2", "a,b", "a"),
        ({"type": "array", "items": STRING}, "self.exists_one(x, x == 'a')", ["a"], ["a", "a"]),
        ({"type": "array", "items": INTEGER}, "self.sum() == 3 && self.isSorted()", [1, 2], [2, 2]),
        ({"type": "array", "items": STRING}, "self.indexOf('b') == 1", ["a", "b"], ["b"]),
        (
            {"type": "object", "additionalProperties": STRING},
            "self.all(k, k.size() < 3)",
            {"ab": ""},
            {"abc": ""},
        ),
        ({"type": "number"}, "self > 1.5", 2, 1),
        ({**STRING, "format": "duration"}, "self <= duration('1h')", "59m", "2h"),
        (
            {**STRING, "format": "date-time"},
            "self.getFullYear() == 2026",
            "2026-05-05T00:00:00Z",
            "2025-05-05T00:00:00Z",
        ),
        ({"x-kubernetes-int-or-string": True}, "type(self) == int ? self > 1 : self == 'all'", "all", 1),
        (
            {"type": "object", "properties": {"a-b": STRING}},
            "self.a__dash__b == 'x'",
            {"a-b": "x"},
            {"a-b": "y"},
        ),
        ({"type": "object", "properties": {"in": STRING}}, "self.__in__ == 'x'", {"in": "x"}, {"in": "y"}),
    ],
)
async def test_expressions_have_the_result_that_they_have_in_kubernetes(
    field: dict[str, Any], expression: str, good: Any, bad: Any
) -> None:
    async with serving(ruled({"properties": {"f": {**field, **rule(expression)}}})) as api:
        taken = await api.create(WIDGETS, widget("good", {"f": good}))
        refused = await api.create(WIDGETS, widget("bad", {"f": bad}))

        assert (taken.code, refused.code) == (201, 422)


async def test_an_expression_that_cannot_be_evaluated_fails_with_the_reason() -> None:
    crd = ruled({"properties": {"f": STRING}, **rule("self.f == 'x'", "")})
    async with serving(crd) as api:
        refused = await api.create(WIDGETS, widget("x", {}))

        assert refused.causes == [
            (
                "FieldValueInvalid",
                "spec",
                "Invalid value: \"object\": no such key: f evaluating rule: self.f == 'x'",
            )
        ]


async def test_rules_that_the_stored_object_violates_do_not_block_other_changes() -> None:
    field = {"type": "object", "properties": {"a": STRING}}
    async with serving(ruled({"properties": {"f": field, "g": STRING}})) as api:
        await api.create(WIDGETS, widget("x", {"f": {"a": "old"}}))
        crd = (await api.get(f"{DEFINITIONS}/widgets.example.com")).body
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["f"] |= rule("self.a == 'new'", "a must be new")
        await api.put(f"{DEFINITIONS}/widgets.example.com", crd)

        elsewhere = await api.merge(f"{WIDGETS}/x", {"spec": {"g": "y"}})
        there = await api.merge(f"{WIDGETS}/x", {"spec": {"f": {"a": "older"}}})

        assert (elsewhere.code, there.code) == (200, 422)


@pytest.mark.parametrize("expression", ["self.", "self.nosuch(1)", "quantity(self).isInteger()"])
async def test_a_crd_with_a_rule_that_cannot_be_compiled_is_rejected(expression: str) -> None:
    async with serving() as api:
        crd = definition("Gadget", schema={"type": "object", **rule(expression)})

        refused = await api.create(DEFINITIONS, crd)

        assert refused.code == 422
        assert "compilation failed" in refused.message


async def test_keys_of_a_map_are_not_escaped_for_rules() -> None:
    a_map = {
        "f": {"type": "object", "additionalProperties": STRING, **rule("self.all(key, size(key) <= 12)")}
    }
    async with serving(ruled({"properties": a_map})) as api:
        short = await api.create(WIDGETS, widget("x", {"f": {"dhcp-server": "1", "a.b/c-d": "2"}}))
        long = await api.create(WIDGETS, widget("y", {"f": {"a-dhcp-server": "1"}}))

        assert (short.code, long.code) == (201, 422)

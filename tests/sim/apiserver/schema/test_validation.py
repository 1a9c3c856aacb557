"""Admission of custom resources: pruning, defaulting, validation and its messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import (
    DEFINITIONS,
    INTEGER,
    STRING,
    WIDGETS,
    definition,
    serving,
    widget,
)


def of_spec(spec: dict[str, Any]) -> dict[str, Any]:
    return definition(schema={"type": "object", "properties": {"spec": spec}}, status=False)


def of_field(field: dict[str, Any]) -> dict[str, Any]:
    return of_spec({"type": "object", "properties": {"f": field}})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (STRING, 1, 'spec.f: Invalid value: "integer": spec.f in body must be of type string: "integer"'),
        (
            {**STRING, "nullable": True},
            1,
            'spec.f: Invalid value: "integer": spec.f in body must be of type string: "integer"',
        ),
        (
            {**INTEGER, "not": {"minimum": 5}},
            7,
            '<nil>: Invalid value: "": "spec.f" must not validate the schema (not)',
        ),
        (INTEGER, "x", 'spec.f: Invalid value: "string": spec.f in body must be of type integer: "string"'),
        (
            {"type": "integer", "format": "int32"},
            3_000_000_000,
            '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.f',
        ),
        (
            {"type": "number", "multipleOf": 0.5},
            2,
            "spec.f: Invalid value: 0: factor MultipleOf declared for spec.f must be positive: 0",
        ),
        (
            {"type": "number", "multipleOf": 0.5},
            0.75,
            "spec.f: Invalid value: 0.75: spec.f in body should be a multiple of 0.5",
        ),
        (
            {"type": "object"},
            [],
            'spec.f: Invalid value: "array": spec.f in body must be of type object: "array"',
        ),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            'spec.f: Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"',
        ),
        (
            {**STRING, "enum": ["a", "b"]},
            "c",
            'spec.f: Unsupported value: "c": supported values: "a", "b"',
        ),
        ({**INTEGER, "enum": [1, 2]}, 3, 'spec.f: Unsupported value: 3: supported values: "1", "2"'),
        (
            {**STRING, "pattern": "^a$"},
            'b"',
            'spec.f: Invalid value: "b\\"": spec.f in body should match \'^a$\'',
        ),
        (
            {**STRING, "minLength": 2},
            "x",
            'spec.f: Invalid value: "x": spec.f in body should be at least 2 chars long',
        ),
        ({**STRING, "maxLength": 2}, "xxx", "spec.f: Too long: may not be more than 2 bytes"),
        (
            {**INTEGER, "minimum": 2},
            1,
            "spec.f: Invalid value: 1: spec.f in body should be greater than or equal to 2",
        ),
        (
            {**INTEGER, "minimum": 2, "exclusiveMinimum": True},
            2,
            "spec.f: Invalid value: 2: spec.f in body should be greater than 2",
        ),
        (
            {**INTEGER, "maximum": 2},
            3,
            "spec.f: Invalid value: 3: spec.f in body should be less than or equal to 2",
        ),
        (
            {**INTEGER, "multipleOf": 2},
            3,
            "spec.f: Invalid value: 3: spec.f in body should be a multiple of 2",
        ),
        (
            {"type": "array", "items": STRING, "minItems": 1},
            [],
            "spec.f: Invalid value: 0: spec.f in body should have at least 1 items",
        ),
        (
            {"type": "array", "items": STRING, "maxItems": 1},
            ["a", "b"],
            "spec.f: Too many: 2: must have at most 1 item",
        ),
        (
            {"type": "object", "additionalProperties": STRING, "minProperties": 1},
            {},
            "spec.f: Invalid value: 0: spec.f in body should have at least 1 properties",
        ),
        (
            {"type": "object", "additionalProperties": STRING, "maxProperties": 1},
            {"a": "1", "b": "2"},
            "spec.f: Too many: 2: must have at most 1 item",
        ),
        (
            {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": STRING}}},
            [{}],
            "spec.f[0].n: Required value",
        ),
        (
            {"type": "object", "additionalProperties": INTEGER},
            {"k": "v"},
            'spec.f.k: Invalid value: "string": spec.f.k in body must be of type integer: "string"',
        ),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
            ["a", "b", "a"],
            'spec.f[2]: Duplicate value: "a"',
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": STRING}},
            },
            [{"n": "a"}, {"n": "a"}],
            'spec.f[1]: Duplicate value: {"n":"a"}',
        ),
        (
            {**STRING, "format": "ipv4"},
            "::1",
            'spec.f: Invalid value: "::1": spec.f in body must be of type ipv4: "::1"',
        ),
        (
            {**STRING, "format": "date-time"},
            "yesterday",
            'spec.f: Invalid value: "yesterday": spec.f in body must be of type date-time: "yesterday"',
        ),
    ],
)
async def test_a_violation_has_the_message_of_kubernetes(
    field: dict[str, Any], value: Any, expected: str
) -> None:
    async with serving(of_field(field)) as api:
        refused = await api.create(WIDGETS, widget("a", {"f": value}))

        assert refused.code == 422
        assert refused.message == f'Widget.example.com "a" is invalid: {expected}'
        path, _, body = expected.partition(": ")
        assert [(field, message) for _, field, message in refused.causes] == [(path, body)]


async def test_a_fraction_for_an_integer_has_the_wrong_type_and_is_out_of_range() -> None:
    async with serving(of_field(INTEGER)) as api:
        refused = await api.create(WIDGETS, widget("a", {"f": 1.5}))

        assert [message for _, _, message in refused.causes] == [
            'Invalid value: "number": spec.f in body must be of type integer: "number"',
            'Invalid value: "": Checked value must be of type integer (default format) in spec.f',
        ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (INTEGER, 1.0),
        ({"type": "number"}, 1),
        ({"x-kubernetes-int-or-string": True}, "80%"),
        ({**STRING, "maxLength": 2}, "üü"),
        ({**STRING, "format": "date-time"}, "2026-01-02T03:04:05.678+01:00"),
        ({**STRING, "format": "duration"}, "1h30m"),
        ({**STRING, "format": "never-heard-of"}, "anything"),
        ({**STRING, "pattern": r"\d"}, "a1b"),
        ({**STRING, "nullable": True, "enum": ["a", None]}, None),
        ({**STRING, "minLength": 2, "maxLength": 2}, "ab"),
        ({**INTEGER, "minimum": 2, "maximum": 2}, 2),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({**INTEGER, "oneOf": [{"minimum": 5}, {"maximum": 2}]}, 7),
        ({**INTEGER, "not": {"minimum": 5}}, 1),
        ({**INTEGER, "nullable": True, "not": {"minimum": 5}, "anyOf": [{"minimum": 1}]}, None),
    ],
)
async def test_a_valid_value_is_accepted(field: dict[str, Any], value: Any) -> None:
    async with serving(of_field(field)) as api:
        made = await api.create(WIDGETS, widget("a", {"f": value}))

        assert made.code == 201
        assert made.body["spec"]["f"] == value


async def test_violated_combinations_are_reported_with_the_errors_of_their_schemas() -> None:
    spec = {
        "type": "object",
        "properties": {"a": STRING, "b": STRING},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    async with serving(of_spec(spec)) as api:
        neither = await api.create(WIDGETS, widget("x", {}))
        both = await api.create(WIDGETS, widget("x", {"a": "1", "b": "2"}))

        text = '"spec" must validate one and only one schema (oneOf). '
        assert [message for _, _, message in neither.causes][:2] == [
            f'Invalid value: "": {text}Found none valid',
            "Required value",
        ]
        assert [message for _, _, message in both.causes] == [
            f'Invalid value: "": {text}Found 2 valid alternatives'
        ]


async def test_metadata_errors_come_first_and_rules_are_not_checked_on_a_malformed_object() -> None:
    rule = {"rule": "false", "message": "never"}
    spec = {
        "type": "object",
        "required": ["f"],
        "x-kubernetes-validations": [rule],
        "properties": {"f": STRING},
    }
    async with serving(of_spec(spec)) as api:
        refused = await api.create(WIDGETS, widget("UPPER", {}))

        assert [(reason, field) for reason, field, _ in refused.causes] == [
            ("FieldValueInvalid", "metadata.name"),
            ("FieldValueRequired", "spec.f"),
            ("FieldValueInvalid", "<nil>"),
        ]
        assert "some validation rules were not checked because the object was invalid" in refused.message
        assert refused.message.startswith(
            'Widget.example.com "UPPER" is invalid: [metadata.name: Invalid value: '
        )


@pytest.mark.parametrize(
    ("metadata", "field", "message"),
    [
        (
            {"labels": {"k": "a b"}},
            "metadata.labels",
            (
                'Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric characters, '
                "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                "'MyValue',  or 'my_value',  "
                "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ),
        ),
        (
            {"labels": {"k": "x" * 64}},
            "metadata.labels",
            f'Invalid value: "{"x" * 64}": must be no more than 63 bytes',
        ),
        (
            {"annotations": {"k": "x" * 300_000}},
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        ),
        (
            {"finalizers": ["a b"]},
            "metadata.finalizers",
            (
                "Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must "
                "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
                "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ),
        ),
        (
            {"labels": {"/k": "v"}},
            "metadata.labels",
            'Invalid value: "/k": prefix part must be non-empty',
        ),
        (
            {"labels": {"a/b/c": "v"}},
            "metadata.labels",
            (
                'Invalid value: "a/b/c": a valid label key must consist of alphanumeric '
                "characters, '-', '_' or '.', and "
                "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
                "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an "
                "optional DNS subdomain prefix "
                "and '/' (e.g. 'example.com/MyName')"
            ),
        ),
        (
            {"labels": {"under_score/k": "v"}},
            "metadata.labels",
            (
                'Invalid value: "under_score/k": prefix part a lowercase RFC 1123 subdomain must consist of lower case '
                "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
                "'example.com', regex used for validation is "
                "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ),
        ),
        (
            {"ownerReferences": [{"apiVersion": "", "kind": "K", "name": "n", "uid": "u"}]},
            "metadata.ownerReferences[0].apiVersion",
            "Required value: must not be empty",
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n"}]},
            "metadata.ownerReferences[0].uid",
            "Required value: must not be empty",
        ),
    ],
)
async def test_metadata_is_validated(metadata: dict[str, Any], field: str, message: str) -> None:
    async with serving() as api:
        refused = await api.create(WIDGETS, widget("a", **metadata))

        assert refused.code == 422
        assert (refused.causes[0][1], refused.causes[0][2]) == (field, message)


async def test_an_object_without_a_name_is_rejected() -> None:
    async with serving() as api:
        body = widget("")

        refused = await api.create(WIDGETS, body)

        text = "metadata.name: Required value: name or generateName is required"
        assert refused.message == f'Widget.example.com "" is invalid: {text}'


async def test_an_invalid_generate_name_is_rejected() -> None:
    async with serving() as api:
        body = widget()
        body["metadata"] = {"generateName": "UPPER-"}

        refused = await api.create(WIDGETS, body)

        assert [field for _, field, _ in refused.causes] == ["metadata.generateName", "metadata.name"]


async def test_unknown_fields_are_pruned_except_where_they_are_preserved() -> None:
    async with serving() as api:
        body = widget("a", {"size": 1, "bogus": 1, "free": {"any": {"thing": 1}}})
        body |= {"extra": True}
        body["metadata"]["unknown"] = "of"

        made = await api.create(WIDGETS, body)

        assert made.body["spec"] == {"size": 1, "colour": "red", "free": {"any": {"thing": 1}}}
        assert "extra" not in made.body
        assert "unknown" not in made.body["metadata"]
        assert made.warnings == [
            '299 - "unknown field \\"extra\\""',
            '299 - "unknown field \\"metadata.unknown\\""',
            '299 - "unknown field \\"spec.bogus\\""',
        ]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (
            widget("a", {"bogus": 1, "parts": [{"name": "x", "odd": 1}]}),
            'unknown field "spec.bogus", unknown field ',
        ),
        (
            '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":1,"size":2}}',
            'duplicate field "spec.size"',
        ),
    ],
)
async def test_strict_field_validation_rejects_what_warn_warns_of(body: Any, complaint: str) -> None:
    async with serving() as api:
        refused = await api.create(WIDGETS, body, fieldValidation="Strict")
        ignored = await api.create(WIDGETS, body, fieldValidation="Ignore")

        prefix = 'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
        assert refused.code == 400
        assert refused.message.startswith(prefix + complaint)
        assert ignored.code == 201
        assert ignored.warnings == []


async def test_defaults_replace_missing_members_and_nulls_that_are_not_allowed() -> None:
    spec = {
        "type": "object",
        "default": {"outer": {}},
        "properties": {
            "outer": {
                "type": "object",
                "properties": {
                    "inner": {**STRING, "default": "deep"},
                    "empty": {**STRING, "nullable": True, "default": "kept null"},
                    "gone": STRING,
                },
            },
            "list": {
                "type": "array",
                "items": {"type": "object", "properties": {"n": {**INTEGER, "default": 7}, "gone": STRING}},
            },
        },
    }
    async with serving(of_spec(spec)) as api:
        bare = widget("bare")
        del bare["spec"]

        absent = await api.create(WIDGETS, bare)
        nulls = {"outer": {"inner": None, "empty": None, "gone": None}, "list": [{"gone": None}]}
        given = await api.create(WIDGETS, widget("given", nulls))

        assert absent.body["spec"] == {"outer": {"inner": "deep", "empty": "kept null"}}
        assert given.body["spec"] == {"outer": {"inner": "deep", "empty": None}, "list": [{"n": 7}]}


async def test_objects_stored_before_a_default_existed_are_read_with_it() -> None:
    async with serving(of_field(STRING)) as api:
        made = await api.create(WIDGETS, widget("a", {}))
        crd = (await api.get(f"{DEFINITIONS}/widgets.example.com")).body
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["f"]["default"] = "later"

        await api.put(f"{DEFINITIONS}/widgets.example.com", crd)

        read = await api.get(f"{WIDGETS}/a")
        assert read.body["spec"] == {"f": "later"}
        assert read.version == made.version


async def test_violations_of_the_stored_object_do_not_block_other_changes() -> None:
    async with serving(of_spec({"type": "object", "properties": {"f": STRING, "g": STRING}})) as api:
        await api.create(WIDGETS, widget("a", {"f": "bad", "g": "x"}))
        crd = (await api.get(f"{DEFINITIONS}/widgets.example.com")).body
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["f"]["enum"] = ["good"]
        await api.put(f"{DEFINITIONS}/widgets.example.com", crd)

        elsewhere = await api.merge(f"{WIDGETS}/a", {"spec": {"g": "y"}})
        worse = await api.merge(f"{WIDGETS}/a", {"spec": {"f": "worse"}})

        assert elsewhere.code == 200
        assert worse.causes == [
            ("FieldValueNotSupported", "spec.f", 'Unsupported value: "worse": supported values: "good"')
        ]


async def test_repeated_elements_of_the_stored_object_do_not_block_other_changes() -> None:
    tags: dict[str, Any] = {"type": "array", "items": STRING}
    async with serving(of_spec({"type": "object", "properties": {"tags": tags, "g": STRING}})) as api:
        await api.create(WIDGETS, widget("a", {"tags": ["x", "x"]}))
        crd = (await api.get(f"{DEFINITIONS}/widgets.example.com")).body
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["tags"]["x-kubernetes-list-type"] = "set"
        await api.put(f"{DEFINITIONS}/widgets.example.com", crd)

        elsewhere = await api.merge(f"{WIDGETS}/a", {"spec": {"g": "y"}})
        repaired = await api.merge(f"{WIDGETS}/a", {"spec": {"tags": ["x"]}})
        broken = await api.merge(f"{WIDGETS}/a", {"spec": {"tags": ["y", "y"]}})

        assert [reply.code for reply in (elsewhere, repaired, broken)] == [200, 200, 422]


async def test_embedded_resources_keep_their_type_and_metadata() -> None:
    field = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"data": {"type": "object", "additionalProperties": STRING}},
    }
    async with serving(of_field(field)) as api:
        inner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {}, "odd": 1}

        made = await api.create(WIDGETS, widget("a", {"f": inner}))

        assert made.body["spec"]["f"] == {key: value for key, value in inner.items() if key != "odd"}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (
            {"type": "string", "format": "ipv4"},
            7,
            'Invalid value: "int64": spec.f in body must be of type ipv4: "int64"',
        ),
        (
            {"type": "string", "format": "ipv4"},
            True,
            'Invalid value: "": spec.f in body must be of type ipv4: ""',
        ),
        (
            {"type": "string", "format": "of-nobody"},
            7,
            'Invalid value: "integer": spec.f in body must be of type string: "integer"',
        ),
        (
            {"type": "integer", "format": "int32"},
            {},
            'Invalid value: "": spec.f in body must be of type int32: ""',
        ),
        (
            {"type": "integer", "format": "int32"},
            [],
            'Invalid value: "array": spec.f in body must be of type integer: "array"',
        ),
    ],
)
async def test_the_format_of_a_value_is_checked_before_its_type(
    field: dict[str, Any], value: Any, expected: str
) -> None:
    async with serving(of_field(field)) as api:
        refused = await api.create(WIDGETS, widget("a", {"f": value}))

        assert refused.causes[0][2] == expected


async def test_a_list_is_accepted_for_a_string_with_a_format() -> None:
    async with serving(of_field({"type": "string", "format": "ipv4"})) as api:
        assert (await api.create(WIDGETS, widget("a", {"f": []}))).code == 201


async def test_a_status_update_validates_only_the_status() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.merge(f"{WIDGETS}/a/status", {"status": {"phase": 7}})
        wrong = await api.merge(f"{WIDGETS}/a/status", {"status": []})
        missing = await api.merge(f"{WIDGETS}/a/status", {"status": {"count": 1.5}})

        text = 'Invalid value: "integer": phase in body must be of type string: "integer"'
        assert refused.causes == [("FieldValueTypeInvalid", "status.phase", text)]
        assert wrong.causes[0][1:] == (
            "status",
            'Invalid value: "array":  in body must be of type object: "array"',
        )
        assert missing.causes[1][1:] == (
            "status",
            'Invalid value: "": Checked value must be of type integer (default format) in count',
        )


async def test_all_of_reports_the_errors_of_each_schema_before_its_own() -> None:
    async with serving(of_field({"type": "string", "allOf": [{"enum": ["a", "b"]}, {"enum": ["b"]}]})) as api:
        none = await api.create(WIDGETS, widget("a", {"f": "x"}))
        one = await api.create(WIDGETS, widget("a", {"f": "a"}))

        assert [message for _, _, message in none.causes] == [
            'Unsupported value: "x": supported values: "a", "b"',
            'Unsupported value: "x": supported values: "b"',
            'Invalid value: "": "spec.f" must validate all the schemas (allOf). None validated',
        ]
        assert [message for _, _, message in one.causes] == [
            'Unsupported value: "a": supported values: "b"',
            'Invalid value: "": "spec.f" must validate all the schemas (allOf)',
        ]

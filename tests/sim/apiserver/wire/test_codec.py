"""Decoding of JSON and YAML as in Go."""

from __future__ import annotations

import pytest

from dpf_async.sim.apiserver.wire.codec import DecodeError, decode_json, decode_yaml, encode


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
def test_invalid_json_has_the_message_of_go(text: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_json(text.encode())

    assert str(caught.value) == message


def test_duplicate_fields_are_reported_with_their_paths() -> None:
    document = decode_json(b'{"a": {"b": 1, "b": 2}, "l": [{"x": 1, "x": 1}], "a": 3}')

    assert document.value == {"a": 3, "l": [{"x": 1}]}
    assert document.strict_errors == [
        'duplicate field "a.b"',
        'duplicate field "l[0].x"',
        'duplicate field "a"',
    ]


def test_numbers_and_invalid_unicode_are_decoded_as_in_go() -> None:
    value = decode_json(
        rb'{"i": 1.0, "f": 1.5, "e": 1e3, "s": "\ud800x", "l": ["\udfff"], "big": 123456789012}'
    ).value

    assert value == {"i": 1, "f": 1.5, "e": 1000, "s": "\ufffdx", "l": ["\ufffd"], "big": 123456789012}
    assert type(value["i"]) is int
    assert encode(value).endswith(b"}\n")


def test_yaml_dates_remain_strings() -> None:
    value = decode_yaml(b"at: 2020-01-01T00:00:00Z\nday: 2020-01-01\n1: true\nx: 2.0").value

    assert value == {"at": "2020-01-01T00:00:00Z", "day": "2020-01-01", "1": True, "x": 2}
    repeated = decode_yaml(b"a: 1\nb:\n  c: 1\n  c: 2\n")
    assert repeated.value == {"a": 1, "b": {"c": 2}}
    assert repeated.strict_errors == ['line 4: key "c" already set in map']
    with pytest.raises(DecodeError, match=r"^yaml: "):
        decode_yaml(b"a: [")

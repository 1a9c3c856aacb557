"""Splitting of chunks into lines, for any division into chunks."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from dpf_async._api.lines import LineSplitter

AWKWARD = '{"a":"next line \u0085, separators \u2028\u2029, \\u0000, \\r, 界"}'


def split(*chunks: bytes, limit: int = 2**20) -> list[bytes]:
    splitter = LineSplitter(limit)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert splitter.end() == b""
    return [line.rstrip(b"\n") for line in lines]


def test_b1_an_event_that_arrives_byte_by_byte_is_one_line() -> None:
    document = AWKWARD.encode() + b"\n"

    lines = split(*(document[i : i + 1] for i in range(len(document))))

    assert [json.loads(line) for line in lines] == [json.loads(AWKWARD)]


def test_b2_ten_events_in_one_chunk_and_one_event_in_forty_chunks_give_the_same_lines() -> None:
    documents = [f'{{"n":{n}}}'.encode() for n in range(10)]
    body = b"\n".join(documents) + b"\n"
    size = max(1, len(body) // 40)

    together = split(body)
    in_parts = split(*(body[i : i + size] for i in range(0, len(body), size)))

    assert together == in_parts == documents


def test_b3_only_a_line_feed_ends_a_line() -> None:
    lines = split(AWKWARD.encode() + b"\n", b'{"next":1}\n')

    assert [json.loads(line) for line in lines] == [json.loads(AWKWARD), {"next": 1}]


def test_b4_blank_lines_and_carriage_returns_between_events_are_not_events() -> None:
    lines = split(b"\n", b"\r\n", b'{"n":1}\r\n', b"\n\n", b'{"n":2}\n', b" \r\n")

    assert [json.loads(line) for line in lines] == [{"n": 1}, {"n": 2}]


def test_b5_bytes_after_the_last_line_feed_are_returned_only_at_the_end() -> None:
    splitter = LineSplitter()

    lines = splitter.feed(b'{"n":1}\n{"n":')

    assert lines == [b'{"n":1}']
    assert splitter.end() == b'{"n":'
    assert splitter.end() == b""


def test_b8_a_line_over_the_limit_is_counted_and_skipped_in_bounded_memory() -> None:
    splitter = LineSplitter(limit=100)

    for _ in range(1000):
        assert splitter.feed(b"x" * 60) == []
        assert sum(map(len, splitter._pending)) <= 100
    lines = splitter.feed(b'x\n{"n":1}\n')

    assert lines == [b'{"n":1}']
    assert splitter.oversized == 1


def test_b8_a_line_over_the_limit_in_one_chunk_is_skipped_too() -> None:
    splitter = LineSplitter(limit=10)

    assert splitter.feed(b"x" * 20 + b"\n") == []
    assert splitter.feed(b'{"n":1}\n') == [b'{"n":1}\n']
    assert splitter.oversized == 1


@given(
    documents=st.lists(st.binary(min_size=1).filter(lambda raw: b"\n" not in raw and raw.strip() != b"")),
    cuts=st.lists(st.integers(min_value=0, max_value=500)),
)
def test_b15_any_division_into_chunks_gives_the_same_lines(documents: list[bytes], cuts: list[int]) -> None:
    body = b"".join(document + b"\n" for document in documents)
    edges = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})

    lines = split(*(body[start:end] for start, end in itertools.pairwise(edges)))

    assert lines == documents

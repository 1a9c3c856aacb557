"""Parsing and formatting of timestamps and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf_async.models import duration_seconds, format_time, parse_time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T10:07:00Z", datetime(2026, 6, 1, 10, 7, tzinfo=UTC)),
        ("2026-06-01T10:07:00.5Z", datetime(2026, 6, 1, 10, 7, 0, 500000, tzinfo=UTC)),
        ("2026-06-01T10:07:00.123456789Z", datetime(2026, 6, 1, 10, 7, 0, 123456, tzinfo=UTC)),
        ("2026-06-01t10:07:00z", datetime(2026, 6, 1, 10, 7, tzinfo=UTC)),
        ("2026-06-01T12:07:00+02:00", datetime(2026, 6, 1, 10, 7, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_an_aware_datetime(text: str, moment: datetime) -> None:
    parsed = parse_time(text)

    assert parsed == moment
    assert parsed.tzinfo is not None


@pytest.mark.parametrize(
    "text", [None, "", "now", "2026-06-01", "2026-06-01T10:07:00", "2026-02-30T00:00:00Z", "20260601T100700Z"]
)
def test_other_text_is_not_a_timestamp(text: str | None) -> None:
    assert parse_time(text) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_formatted_timestamp_is_parsed_to_the_same_time(moment: datetime) -> None:
    assert parse_time(format_time(moment, microseconds=True)) == moment
    assert parse_time(format_time(moment)) == moment.replace(microsecond=0)


def test_timestamps_are_formatted_in_utc() -> None:
    moment = datetime(2026, 6, 1, 12, 7, 0, 9, tzinfo=timezone(timedelta(hours=2)))

    assert format_time(moment) == "2026-06-01T10:07:00Z"
    assert format_time(moment, microseconds=True) == "2026-06-01T10:07:00.000009Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("45m", 2700.0),
        ("1h30m", 5400.0),
        ("0s", 0.0),
        ("0", 0.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("-2m", -120.0),
        ("10us", 1e-05),
        ("10µs", 1e-05),
        ("5ns", 5e-09),
    ],
)
def test_a_duration_is_its_seconds(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "30", "s", "1d", "1h ", "h1", "1h30", "-", "one hour"])
def test_other_text_is_not_a_duration(text: str | None) -> None:
    assert duration_seconds(text) is None


@given(st.text())
def test_parsing_raises_for_no_text(text: str) -> None:
    parse_time(text)
    duration_seconds(text)

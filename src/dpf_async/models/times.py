"""Parsing and formatting of Kubernetes' timestamps and durations; parsing never raises.

Models keep timestamps and durations as text, so that a write returns them unchanged.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["duration_seconds", "format_time", "parse_time"]

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE
)
# Go's time.Duration text. Source: Go's time.ParseDuration.
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def parse_time(text: str | None) -> datetime | None:
    """The aware datetime of an RFC 3339 text, to the microsecond; None for any other text."""
    if not text or not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:  # well-formed, but not a valid date or time
        return None


def format_time(moment: datetime, *, microseconds: bool = False) -> str:
    """The RFC 3339 text in UTC of an aware datetime, in the format of Kubernetes.

    Args:
        moment: an aware datetime.
        microseconds: with six digits, as in MicroTime of a Lease; else without a fraction.
    """
    text = moment.astimezone(UTC).isoformat(timespec="microseconds" if microseconds else "seconds")
    return text.removesuffix("+00:00") + "Z"


def duration_seconds(text: str | None) -> float | None:
    """The seconds of a Go duration such as "1h30m" or "45m"; None for any other text."""
    if not text:
        return None
    if text == "0":
        return 0.0
    sign, body = (-1.0, text[1:]) if text[0] == "-" else (1.0, text.removeprefix("+"))
    parts = _DURATION_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        return None
    return sign * sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)

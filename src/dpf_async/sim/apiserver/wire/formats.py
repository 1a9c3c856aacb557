"""The string formats that the API server validates; it ignores unknown formats.

Source: kube-openapi pkg/validation/strfmt and apiextensions pkg/apiserver/validation/formats.go.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from dpf_async.sim.apiserver.wire.patterns import Pattern, compile_pattern

_TIME = compile_pattern(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_DURATION = compile_pattern(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(.*)")
_DURATION_WITH_UNIT_NAME = compile_pattern(
    r"(?i)\s*[0-9]+\s*(ns|nano(s|second(s)?)?|us|µs|micro(s|second(s)?)?|ms|milli(s|second(s)?)?|"
    r"s|sec(s|ond(s)?)?|m|min(s|ute(s)?)?|h|hr(s)?|hour(s)?|d|day(s)?|w|wk(s)?|week(s)?)\s*"
)
_MAC = compile_pattern(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5,7}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5,7}")
_UUID = compile_pattern(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_HOSTNAME = compile_pattern(
    r"([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
)
_EMAIL = compile_pattern(r"[^@\s]+@[^@\s]+")


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_date_time(text: str) -> bool:
    day, found, time = text.lower().partition("t")
    match = _TIME.fullmatch(time)
    if not found or not _is_date(day) or match is None:
        return False
    return int(match[1]) <= 23 and int(match[2]) <= 59 and int(match[3]) <= 59


def _is_duration(text: str) -> bool:
    if text in ("0", "+0", "-0"):
        return True
    rest: str = text
    signed = False
    while match := _DURATION.fullmatch(rest):
        if signed and rest[0] in "+-":
            return False
        rest, signed = match[4], True
        if not rest:
            return True
    return _DURATION_WITH_UNIT_NAME.fullmatch(text) is not None


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _matches(pattern: Pattern) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


CHECKS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "date": _is_date,
    "duration": _is_duration,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "cidr": _is_cidr,
    "mac": _matches(_MAC),
    "uuid": _matches(_UUID),
    "hostname": _matches(_HOSTNAME),
    "email": _matches(_EMAIL),
    "uri": _is_uri,
    "byte": _is_base64,
}

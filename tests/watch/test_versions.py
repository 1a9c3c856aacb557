"""Which resourceVersion is newer."""

from __future__ import annotations

import pytest

from dpf_async._watch.versions import is_older, newest


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("9", "10", True), ("10", "9", False), ("10", "10", False), ("1" * 30, "2" + "0" * 29, True)],
)
def test_e10_decimal_versions_of_any_length_are_compared_by_value(
    version: str, than: str, expected: bool
) -> None:
    assert is_older(version, than=than) is expected


@pytest.mark.parametrize(("version", "than"), [("abc", "abd"), ("abc", "10"), ("9", "1x"), ("٣", "10")])
def test_e9_an_opaque_version_is_never_older(version: str, than: str) -> None:
    assert not is_older(version, than=than)
    assert not is_older(than, than=version)


def test_a_watch_resumes_from_the_last_version_that_arrived_unless_it_is_older() -> None:
    assert newest("10", "11") == "11"
    assert newest("10", "9") == "10"
    assert newest("abc", "xyz") == "xyz"
    assert newest("", "5") == "5"

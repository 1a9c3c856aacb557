"""conditions: the transition time."""

from __future__ import annotations

from dpf_async.sim.operator.runtime import conditions


def test_last_transition_time_changes_only_with_the_status() -> None:
    first = conditions.with_condition((), "A", "False", "One", now="2026-01-01T00:00:00Z")
    again = conditions.with_condition(first, "A", "False", "Two", "a message", now="2026-01-02T00:00:00Z")
    other = conditions.with_condition(again, "A", "True", now="2026-01-03T00:00:00Z")

    assert [one[0].last_transition_time[:10] for one in (first, again, other)] == [
        "2026-01-01",
        "2026-01-01",
        "2026-01-03",
    ]
    assert (again[0].reason, other[0].reason) == ("Two", "A")

"""profiles: durations at another speed."""

from __future__ import annotations

from dataclasses import replace

from dpf_async.sim.operator.hardware.profiles import REALISTIC


def test_at_speed_divides_every_duration() -> None:
    fast = REALISTIC.at_speed(60)

    assert fast.transfer == REALISTIC.transfer / 60
    assert fast.bound_scale == 1 / 60
    assert fast.retry_cap == REALISTIC.retry_cap
    assert replace(fast, name="") != replace(REALISTIC, name="")

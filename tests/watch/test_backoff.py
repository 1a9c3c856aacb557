"""How long to wait before a request is retried."""

from __future__ import annotations

from random import Random

import pytest

from dpf_async._watch.backoff import Backoff


def backoff(jitter: Random | None = None) -> Backoff:
    return Backoff(base=0.8, cap=30.0, reset=120.0, jitter=jitter or Random(1))


class Longest(Random):
    """A jitter source that always returns the longest delay."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_k1_delays_double_from_the_base_to_the_cap() -> None:
    waits = backoff(Longest())

    assert [waits.next() for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_k1_every_delay_is_jittered_down_to_zero() -> None:
    waits = backoff()

    delays = [waits.next() for _ in range(400)][10:]

    assert min(delays) < 1.0
    assert max(delays) > 29.0
    assert 13.0 < sum(delays) / len(delays) < 17.0


def test_k2_a_connection_of_two_minutes_resets_the_attempts_and_one_of_a_second_does_not() -> None:
    waits = backoff()
    for _ in range(20):
        waits.next()

    waits.survived(1.0)
    assert waits.attempt == 20
    waits.survived(120.0)
    assert waits.attempt == 0


@pytest.mark.parametrize(("seconds", "left"), [(7.5, 10), (15.0, 9), (30.0, 8), (60.0, 7), (119.0, 7)])
def test_k2_each_doubling_of_the_duration_removes_one_attempt(seconds: float, left: int) -> None:
    waits = backoff()
    for _ in range(10):
        waits.next()

    waits.survived(seconds)

    assert waits.attempt == left


def test_c7_the_jitter_is_added_to_the_delay_that_the_server_requested() -> None:
    waits = backoff()

    delays = [waits.next(at_least=3.0) for _ in range(3)]

    assert all(3.0 <= delay <= 3.0 + 0.8 * 2**n for n, delay in enumerate(delays))

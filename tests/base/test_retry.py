"""Retries of writes that conflict with another client's writes."""

from __future__ import annotations

import pytest

from dpf_async._base.retry import TRIES, retry_on_conflict
from dpf_async.errors import APIError, Conflict, Forbidden


class Attempts:
    """Raises an error the given number of times, and then succeeds."""

    def __init__(self, times: int, error: type[APIError] = Conflict) -> None:
        self.made = 0
        self._times = times
        self._error = error

    async def __call__(self) -> str:
        self.made += 1
        if self.made <= self._times:
            raise self._error("no", status=409, reason=self._error.__name__, object="DPU a")
        return "written"


@pytest.mark.parametrize("conflicts", [0, 1, TRIES - 1])
async def test_a_write_is_attempted_until_it_does_not_conflict(conflicts: int) -> None:
    attempts = Attempts(conflicts)

    assert await retry_on_conflict(attempts) == "written"
    assert attempts.made == conflicts + 1


@pytest.mark.parametrize("tries", [1, 3])
async def test_a_write_that_always_conflicts_raises_the_conflict_with_the_note(tries: int) -> None:
    attempts = Attempts(tries)

    with pytest.raises(Conflict) as raised:
        await retry_on_conflict(attempts, tries=tries, note="find out who writes it")

    assert attempts.made == tries
    assert raised.value.__notes__ == ["find out who writes it"]


async def test_any_other_error_is_raised_at_once() -> None:
    attempts = Attempts(1, Forbidden)

    with pytest.raises(Forbidden):
        await retry_on_conflict(attempts)

    assert attempts.made == 1

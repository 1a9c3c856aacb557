"""Concurrent waits: all of them, or the first one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from dpf_async._base.concurrency import wait_all, wait_any
from dpf_async.errors import NotFound, WaitTimeout
from tests.support.virtual_time import virtual_time


async def after(seconds: float, value: str) -> str:
    await anyio.sleep(seconds)
    return value


async def fail_after(seconds: float, error: Exception) -> str:
    await anyio.sleep(seconds)
    raise error


def late(name: str) -> WaitTimeout:
    return WaitTimeout(f"{name} is late", condition="ready", view=None, waited=1.0)


@virtual_time
async def test_waits_run_concurrently_and_each_value_is_reported_in_the_given_order() -> None:
    began = anyio.current_time()

    outcomes = await wait_all({seconds: partial(after, seconds, f"{seconds}") for seconds in (30, 10, 20)})

    assert list(outcomes.values.items()) == [(30, "30"), (10, "10"), (20, "20")]
    assert outcomes.errors == {}
    assert anyio.current_time() - began == pytest.approx(30)


@virtual_time
async def test_no_waits_are_over_at_once() -> None:
    waits: dict[str, Callable[[], Awaitable[str]]] = {}

    outcomes = await wait_all(waits)

    assert (outcomes.values, outcomes.errors) == ({}, {})


@virtual_time
async def test_a_timeout_does_not_end_the_other_waits_and_all_timeouts_are_reported() -> None:
    outcomes = await wait_all(
        {
            "b": partial(fail_after, 2, late("b")),
            "a": partial(fail_after, 1, late("a")),
            "c": partial(after, 3, "done"),
        }
    )

    assert outcomes.values == {"c": "done"}
    assert [str(error) for error in outcomes.errors.values()] == ["b is late", "a is late"]


@virtual_time
async def test_another_error_ends_all_waits_and_is_raised_as_itself() -> None:
    ended: list[str] = []
    error = NotFound("gone", status=404)

    async def long() -> str:
        try:
            return await after(1000, "never")
        finally:
            ended.append("cancelled")

    waits: dict[str, Callable[[], Awaitable[str]]] = {"a": long, "b": partial(fail_after, 5, error)}
    began = anyio.current_time()
    with pytest.raises(NotFound) as raised:
        await wait_all(waits)

    assert raised.value is error
    assert ended == ["cancelled"]
    assert anyio.current_time() - began == pytest.approx(5)


@virtual_time
async def test_of_several_errors_the_first_one_is_raised() -> None:
    with pytest.raises(ValueError, match="first"):
        await wait_all(
            {
                "b": partial(fail_after, 2, KeyError("second")),
                "a": partial(fail_after, 1, ValueError("first")),
            }
        )


@virtual_time
async def test_the_expected_class_says_which_errors_are_reported_per_key() -> None:
    outcomes = await wait_all(
        {"a": partial(fail_after, 1, ValueError("a")), "b": partial(after, 2, "b")}, expected=ValueError
    )
    with pytest.raises(WaitTimeout):
        await wait_all({"a": partial(fail_after, 1, late("a"))}, expected=ValueError)

    assert outcomes.values == {"b": "b"}
    assert list(outcomes.errors) == ["a"]


@virtual_time
async def test_a_limit_bounds_how_many_waits_run_at_a_time() -> None:
    running = most = 0

    async def one() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1

    outcomes = await wait_all(dict.fromkeys(range(10), one), limit=3)

    assert len(outcomes.values) == 10
    assert most == 3


@virtual_time
async def test_cancelling_all_waits_cancels_each_of_them() -> None:
    ended: list[int] = []

    async def one(number: int) -> None:
        try:
            await anyio.sleep(1000)
        finally:
            ended.append(number)

    with anyio.move_on_after(5) as scope:
        await wait_all({number: partial(one, number) for number in range(3)})

    assert scope.cancelled_caught
    assert sorted(ended) == [0, 1, 2]


@virtual_time
async def test_the_first_wait_to_end_gives_the_value_and_cancels_the_others() -> None:
    began = anyio.current_time()

    value = await wait_any(partial(after, 1000, "slow"), partial(after, 1, "fast"))

    assert value == "fast"
    assert anyio.current_time() - began == pytest.approx(1)


@virtual_time
async def test_an_error_of_the_first_wait_to_end_is_raised_as_itself() -> None:
    error = ValueError("first")

    with pytest.raises(ValueError, match="first") as raised:
        await wait_any(partial(after, 1000, "slow"), partial(fail_after, 1, error))

    assert raised.value is error


@virtual_time
async def test_cancelling_a_wait_for_any_leaves_nothing_running() -> None:
    with anyio.move_on_after(5) as scope:
        await wait_any(partial(after, 1000, "a"), partial(after, 1000, "b"))

    assert scope.cancelled_caught

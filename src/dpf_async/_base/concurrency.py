"""Concurrent waits: all of them with one result per key, or the first one that ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import anyio

from dpf_async.errors import WaitTimeout

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[K, T, E]):
    """The results of concurrent waits. Each key is in one of the two, in the order in which the waits were given.

    Attributes:
        values: what each wait returned.
        errors: the expected error that a wait raised instead.
    """

    values: Mapping[K, T]
    errors: Mapping[K, E]


@overload
async def wait_all(
    waits: Mapping[K, Callable[[], Awaitable[T]]], *, limit: int | None = None
) -> Outcomes[K, T, WaitTimeout]: ...


@overload
async def wait_all(
    waits: Mapping[K, Callable[[], Awaitable[T]]], *, expected: type[E], limit: int | None = None
) -> Outcomes[K, T, E]: ...


async def wait_all(
    waits: Mapping[K, Callable[[], Awaitable[T]]],
    *,
    expected: type[Any] = WaitTimeout,  # Any: the overloads relate it to the result
    limit: int | None = None,
) -> Outcomes[K, T, Any]:
    """Run waits concurrently until every one of them ended.

    Args:
        waits: functions without arguments, each called once, by key.
        expected: an error of this class ends only the wait that raised it, and is returned with the others. By default
            this is WaitTimeout: one late object does not hide what is known about the others.
        limit: how many waits run at a time; None runs all of them.

    Raises:
        Exception: the first error of another class, as itself and not in a group; the other waits were cancelled.
    """
    values: dict[K, T] = {}
    errors: dict[K, Exception] = {}
    failures: list[Exception] = []
    places = nullcontext() if limit is None else anyio.CapacityLimiter(limit)

    async def run(key: K, wait: Callable[[], Awaitable[T]]) -> None:
        async with places:
            try:
                values[key] = await wait()
            except expected as error:
                errors[key] = error
            except Exception as error:  # noqa: BLE001  raised below, as itself
                failures.append(error)
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for key, wait in waits.items():
            tasks.start_soon(run, key, wait)
    if failures:
        raise failures[0]
    return Outcomes(
        {key: values[key] for key in waits if key in values},
        {key: errors[key] for key in waits if key in errors},
    )


async def wait_any(*waits: Callable[[], Awaitable[T]]) -> T:
    """Run waits concurrently until one of them ended; return its value and cancel the others.

    Args:
        waits: at least one function without arguments; each is called once.

    Raises:
        Exception: the wait that ended first raised it.
    """
    results: list[T] = []
    failures: list[Exception] = []

    async def run(wait: Callable[[], Awaitable[T]]) -> None:
        try:
            result = await wait()
        except Exception as error:  # noqa: BLE001  raised below, as itself
            if not results:
                failures.append(error)
        else:
            if not failures:
                results.append(result)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for wait in waits:
            tasks.start_soon(run, wait)
    if failures:
        raise failures[0]
    return results[0]

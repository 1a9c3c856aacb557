"""versions: whether the caches have received every version of the server."""

from __future__ import annotations

import anyio
import pytest

from dpf_async.sim.operator.runtime.versions import SeenVersions


async def _is_complete(versions: SeenVersions, until: str) -> bool:
    """Whether waiting for this version returns without any further version."""
    with anyio.move_on_after(0) as scope:
        await versions.wait_complete(until=until)
    return not scope.cancelled_caught


async def test_versions_are_complete_when_none_is_missing_in_any_order() -> None:
    versions = SeenVersions()
    versions.complete_until("10")

    versions.add("12")
    assert not await _is_complete(versions, "12")

    versions.add("11")
    assert await _is_complete(versions, "12")
    assert not await _is_complete(versions, "13")


async def test_a_comparison_of_all_objects_replaces_missing_versions() -> None:
    versions = SeenVersions()
    versions.complete_until("10")
    versions.add("12")
    versions.add("14")

    versions.complete_until("13")

    assert await _is_complete(versions, "14")


@pytest.mark.parametrize("version", ["abc", ""])
async def test_opaque_versions_are_never_complete(version: str) -> None:
    versions = SeenVersions()
    versions.complete_until("10")

    versions.add(version)

    assert not await _is_complete(versions, version)


async def test_nothing_is_complete_before_the_first_version_is_known() -> None:
    versions = SeenVersions()

    versions.add("1")

    assert not await _is_complete(versions, "1")


async def test_a_wait_ends_when_the_missing_version_arrives() -> None:
    versions = SeenVersions()
    versions.complete_until("10")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: versions.wait_complete(until="11"))
            await anyio.wait_all_tasks_blocked()
            versions.add("11")

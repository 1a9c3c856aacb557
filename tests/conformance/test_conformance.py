"""The embedded server differs from a real one only where docs/embedded-server.md says so."""

from __future__ import annotations

import pytest

from tests.apiserver.admin import Admin
from tests.conformance.differences import gone, known_differences, new
from tests.conformance.real import compare_with
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.test_comparison import MINIMUM

pytestmark = pytest.mark.apiserver


@pytest.mark.timeout(
    600
)  # all of it on one busy core: watches are read to their end, and history is forgotten
@pytest.mark.parametrize("cluster", ["generated", "upstream"], indirect=True)
async def test_the_servers_differ_where_that_is_known_and_nowhere_else(cluster: Admin) -> None:
    found = await compare_with(cluster, SCENARIOS)

    known = known_differences()
    assert not new(found.differences, known), "\n".join(map(str, new(found.differences, known)))
    assert not gone(found.differences, known)
    assert found.exchanges >= MINIMUM

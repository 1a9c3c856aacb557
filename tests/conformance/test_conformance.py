"""The embedded server differs from a real one only as listed in docs/embedded-server.md."""

from __future__ import annotations

import pytest

from tests.apiserver.admin import Admin
from tests.conformance.differences import known_differences, missing, new
from tests.conformance.real import compare_with
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.test_comparison import MINIMUM

pytestmark = pytest.mark.apiserver


# On one busy core: watches are read to their end, and the history is compacted.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("cluster", ["generated", "upstream"], indirect=True)
async def test_the_servers_have_exactly_the_known_differences(cluster: Admin) -> None:
    found = await compare_with(cluster, SCENARIOS)

    known = known_differences()
    assert not new(found.differences, known), "\n".join(map(str, new(found.differences, known)))
    assert not missing(found.differences, known)
    assert found.exchanges >= MINIMUM

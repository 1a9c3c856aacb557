"""Every test of this folder runs on both backends; on the real API server with `-m apiserver` only."""

from __future__ import annotations

from typing import Final

import pytest

from tests.integration.backends import Backend, Embedded, Real
from tests.support.crd_sets import chosen_set

BACKENDS: Final = (
    pytest.param(Embedded.name),
    pytest.param(Real.name, marks=pytest.mark.apiserver),
)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The backend of the test. A site that the test enters ends with the block of the test."""
    if request.param == Real.name:
        return Real(request.getfixturevalue("cluster"))
    return Embedded(chosen_set())

"""All scenarios of the comparison."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import Scenario
from tests.conformance.scenarios import (
    applying,
    creating,
    deleting,
    describing,
    listing,
    patching,
    provisioning,
    publishing,
    redefining,
    reviewing,
    ruling,
    tabulating,
    updating,
    validating,
    watching,
)

__all__ = ["SCENARIOS"]

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *creating.SCENARIOS,
    *validating.SCENARIOS,
    *ruling.SCENARIOS,
    *updating.SCENARIOS,
    *patching.SCENARIOS,
    *applying.SCENARIOS,
    *deleting.SCENARIOS,
    *listing.SCENARIOS,
    *watching.SCENARIOS,
    *tabulating.SCENARIOS,
    *describing.SCENARIOS,
    *reviewing.SCENARIOS,
    *redefining.SCENARIOS,
    *provisioning.SCENARIOS,
    *publishing.SCENARIOS,
)

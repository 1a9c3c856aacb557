"""resource_fitting: whether the services of a DPUDeployment fit on its DPUs."""

from __future__ import annotations

import pytest

from dpf_async.models import (
    DPUFlavor,
    DPUServiceTemplate,
)
from dpf_async.sim.operator.deployment.resource_fitting import misfit, quantity
from tests.sim.operator.objects import (
    wire,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2Gi", str(2 * 2**30)), ("1k", "1000"), (3, "3"), ("1e3", "1000"), ("?", "0")],
)
def test_quantities_are_parsed(text: str | int, number: str) -> None:
    assert quantity(text) == quantity(number)


@pytest.mark.parametrize(("needs", "fits"), [("14", True), ("15", False)])
def test_services_fit_into_resources_without_the_reserved_ones(needs: str, fits: bool) -> None:
    has = {"dpuResources": {"cpu": "16"}, "systemReservedResources": {"cpu": "2"}}
    flavor = DPUFlavor.from_wire(wire(DPUFlavor, "flavor", spec=has))
    template = DPUServiceTemplate.from_wire(
        wire(
            DPUServiceTemplate,
            "dts",
            spec={
                "deploymentServiceName": "dts",
                "helmChart": {"source": {"repoURL": "oci://a", "version": "1"}},
                "resourceRequirements": {"cpu": needs},
            },
        )
    )

    assert (misfit(flavor, [template]) is None) == fits

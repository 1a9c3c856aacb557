"""Whether the services of a deployment fit on its DPUs. Pure.

Source: docs/dpf/deployments.md#resource-fit; quantities: Kubernetes' "Quantity".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from dpf_async.models import DPUFlavor, DPUServiceTemplate

_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkKMGTPE]i?))?", re.ASCII)
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}


def misfit(flavor: DPUFlavor, templates: Iterable[DPUServiceTemplate]) -> str | None:
    """Why the services do not fit; None if they do, or if the flavor has no dpuResources."""
    has = flavor.spec.dpu_resources
    if not has:
        return None
    reserved = flavor.spec.system_reserved_resources
    needed: dict[str, Decimal] = {}
    for template in templates:
        for resource, amount in template.spec.resource_requirements.items():
            needed[resource] = needed.get(resource, Decimal(0)) + quantity(amount)
    for resource, wanted in sorted(needed.items()):
        free = quantity(has.get(resource, 0)) - quantity(reserved.get(resource, 0))
        if wanted > free:
            return (
                f"services require {wanted:f} of {resource}, and a DPU of flavor {flavor.name} has {free:f}"
            )
    return None


def quantity(text: str | float) -> Decimal:
    """The number of a quantity such as "500m" or "2Gi"; 0 if the text is not a quantity."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        return Decimal(0)
    number, exponent, suffix = found.groups()
    return Decimal(number + (exponent or "")) * _SUFFIXES.get(suffix or "", Decimal(1))

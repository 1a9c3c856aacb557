"""Names and label keys of the objects that the operator creates. Pure; clients find objects by reference instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from dpf_async.models import DPUDeployment, NodeEffect, OwnerReference, Resource, known

MAX_OBJECT_NAME: Final = 253
"""Characters of a Kubernetes name; the operator truncates the part of the node in the name of a DPU.

Source: docs/dpf/objects.md#name-limits.
"""

DPF_VERSION: Final = "v26.4.0"


def digest(value: Any, digits: int) -> str:  # Any: JSON
    """The first hex digits of the SHA-256 of a text, or of any other value as compact JSON."""
    text = value if isinstance(value, str) else compact(value)
    return sha256(text.encode()).hexdigest()[:digits]


def compact(value: Any) -> str:  # Any: JSON
    """JSON as Go encodes it: no spaces, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def dpu(node: str, device: str) -> str:
    """Name of the DPU of a device in a node (docs/dpf/deployments.md#dpu-creation)."""
    return f"{node[: MAX_OBJECT_NAME - len(device) - 1]}-{device}"


def maintenance(node: str, effect: NodeEffect) -> str:
    """Name of the DPUNodeMaintenance that all DPUs of a node share for an effect.

    Source: docs/dpf/hold.md#maintenance-name.
    """
    if effect.custom_action is not None:
        return f"{node}-custom-action-{effect.custom_action}"
    if effect.taint is not None:
        return f"{node}-taint-{digest(effect.taint.to_wire(), 8)}"
    if effect.custom_label:
        return f"{node}-cl-{digest(dict(effect.custom_label), 8)}"
    if effect.drain is not None:
        return f"{node}-k8sdrain"
    if effect.no_effect is not None:
        return f"{node}-noeffect"
    return f"{node}{known.HOLD_SUFFIX}"


def requestors_key(dpu_name: str) -> str:
    """Annotation of a DPUNodeMaintenance with the service requestors that a DPU added.

    Source: docs/dpf/keys.md#other-annotations.
    """
    return known.LAST_APPLIED_REQUESTORS_PREFIX + digest(dpu_name, 16)


def owner_label(deployment: DPUDeployment) -> str:
    """Value of the owned-by label of the objects of a DPUDeployment (docs/dpf/keys.md#reference-labels)."""
    return f"{deployment.namespace}_{deployment.name}"


def consumer_label(deployment: DPUDeployment) -> str:
    """Label key of the dependencies of a DPUDeployment (docs/dpf/keys.md#digests)."""
    return known.CONSUMED_BY_LABEL_PREFIX + digest(f"{deployment.namespace}/{deployment.name}", 10)


def requestor(deployment: DPUDeployment, child: str) -> str:
    """The requestor of a service or chain in a DPUNodeMaintenance (docs/dpf/hold.md#requestors)."""
    return f"{owner_label(deployment)}_{child}"


def template_hash(template: Any) -> str:  # Any: JSON
    """Value of the label that changes with the template of a DPUSet (docs/dpf/keys.md#digests)."""
    return digest(template, 10)


def child(parts: Iterable[str], seed: Any) -> str:  # Any: JSON
    """Name of an object of a DPUDeployment: its parts, and five characters computed from a seed.

    The suffix of DPF is random; a computed one identifies the same object after a restart.
    """
    stem = "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)
    return f"{stem[:57]}-{digest(seed, 5)}"


def controlled_by(owner: Resource) -> OwnerReference:
    """The owner reference to the object whose controller created it."""
    return OwnerReference(
        api_version=owner.API_VERSION,
        kind=owner.KIND,
        name=owner.name,
        uid=owner.uid,
        controller=True,
        block_owner_deletion=True,
    )


def bfb_file(namespace: str, name: str, chosen: str | None) -> str:
    """File name of a BFB (docs/dpf/deployments.md#bfb)."""
    return chosen or f"{namespace}-{name}.bfb"

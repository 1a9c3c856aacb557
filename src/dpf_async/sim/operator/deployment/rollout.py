"""The rollout of a DPUSet: which DPUs it creates, deletes and updates. Pure.

Source: docs/dpf/deployments.md#selection, docs/dpf/deployments.md#strategies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dpf_async.models import (
    DPU,
    ClusterRef,
    DPUCluster,
    DPUDevice,
    DPUNode,
    DPUPhase,
    DPUSet,
    DPUSpec,
    DPUTemplateSpec,
    LabelSelector,
    NodeEffect,
    ObjectMeta,
    known,
)
from dpf_async.sim.operator.runtime import naming
from dpf_async.sim.operator.runtime.conditions import is_true
from dpf_async.sim.operator.runtime.patches import changed, merge_patch
from dpf_async.sim.operator.runtime.selectors import matches

ROLLING: Final = "RollingUpdate"


@dataclass(frozen=True, slots=True)
class Pair:
    """A device and its node."""

    node: DPUNode
    device: DPUDevice


@dataclass(frozen=True, slots=True)
class Rollout:
    """The changes of one reconcile.

    Attributes:
        create: missing DPUs.
        delete: DPUs that are not selected any more, in the wrong cluster, or created from another template.
        update: patches of the other DPUs.
    """

    create: tuple[DPU, ...]
    delete: tuple[DPU, ...]
    update: tuple[tuple[DPU, dict[str, Any]], ...]


def selected(
    dpu_set: DPUSet, nodes: Iterable[DPUNode], devices_of: Mapping[str, Sequence[DPUDevice]]
) -> list[Pair]:
    """The devices that a DPUSet selects: none of a node that is being deleted; a device that is being deleted counts.

    Args:
        dpu_set: the set.
        nodes: all DPUNodes.
        devices_of: by name of a node, the devices with the label of that node.
    """
    spec = dpu_set.spec
    of_devices = spec.dpu_device_selector or LabelSelector(match_labels=spec.dpu_selector)
    return [
        Pair(node, device)
        for node in nodes
        if not node.terminating and matches(spec.dpu_node_selector, node.metadata.labels)
        for device in devices_of.get(node.name, ())
        if matches(of_devices, device.metadata.labels)
    ]


def plan(
    dpu_set: DPUSet,
    template: DPUTemplateSpec,
    pairs: Sequence[Pair],
    dpus: Sequence[DPU],
    clusters: Mapping[str, DPUCluster],
) -> Rollout:
    """Compute the changes that bring the DPUs of a DPUSet closer to its template.

    Args:
        dpu_set: the set.
        template: its template.
        pairs: the selected devices.
        dpus: the existing DPUs, including those that are being deleted.
        clusters: DPUClusters by name.
    """
    wanted = {naming.dpu(pair.node.name, pair.device.name): pair for pair in pairs}
    present = {dpu.name: dpu for dpu in dpus}
    create = tuple(_dpu(dpu_set, template, pair) for name, pair in wanted.items() if name not in present)
    live = [dpu for dpu in dpus if not dpu.terminating]
    delete = {
        dpu.name: dpu for dpu in live if dpu.name not in wanted or _in_wrong_cluster(template, dpu, clusters)
    }
    if dpu_set.spec.strategy is not None and dpu_set.spec.strategy.type == ROLLING:
        missing = len(create) + len(dpus) - len(live)
        remaining = [dpu for dpu in live if dpu.name not in delete]
        delete |= {dpu.name: dpu for dpu in _outdated(dpu_set, template, remaining, missing, len(wanted))}
    update = tuple(
        (dpu, _current_hash(template) | {"spec": patch})
        for dpu in live
        if dpu.name not in delete and (patch := _changes(template, dpu))
    )
    return Rollout(create, tuple(delete.values()), update)


def is_done(dpu_set: DPUSet, dpus: Iterable[DPU]) -> bool:
    """Whether all DPUs are Ready and have the hash of the template; those that are being deleted do not count.

    With OnDelete, a DPUSet is not Ready until outdated DPUs are deleted.
    Source: doca-platform, DPUSet controller.
    """
    key = known.DPUSET_TEMPLATE_HASH_LABEL
    wanted = dpu_set.metadata.labels.get(key)
    return all(
        dpu.status.phase == DPUPhase.READY
        and dpu.status.observed_generation == dpu.metadata.generation
        and dpu.metadata.labels.get(key, wanted) == wanted
        for dpu in dpus
        if not dpu.terminating
    )


def statistics(dpus: Iterable[DPU]) -> dict[str, int]:
    """Number of DPUs by phase, without those that are being deleted."""
    return dict(sorted(Counter(str(dpu.status.phase) for dpu in dpus if not dpu.terminating).items()))


def _dpu(dpu_set: DPUSet, template: DPUTemplateSpec, pair: Pair) -> DPU:
    """The DPU of a device, without labels of the node and without spec.bmcIP (docs/dpf/deployments.md#dpu-creation)."""
    node, device = pair.node, pair.device
    labels = {
        known.DPUSET_NAME_LABEL: dpu_set.name,
        known.DPUSET_NAMESPACE_LABEL: dpu_set.namespace,
        known.DPUDEVICE_NAME_LABEL: device.name,
        known.DPUNODE_NAME_LABEL: node.name,
        **dpu_set.metadata.labels,
        known.DPUSET_TEMPLATE_HASH_LABEL: naming.template_hash(template.to_wire()),
        **device.metadata.labels,
    }
    spec = DPUSpec.from_wire(
        {
            "dpuNodeName": node.name,
            "dpuDeviceName": device.name,
            "serialNumber": device.spec.serial_number,
            "dpuFlavor": template.dpu_flavor,
            "bfb": template.bfb.name if template.bfb is not None else None,
            "cluster": {"nodeLabels": _node_labels(template, node.name)},
        }
    )
    spec = changed(spec, node_effect=template.node_effect)
    if template.secure_boot is not None:
        spec = changed(spec, secure_boot=template.secure_boot)
    if device.status.pci_address is not None:
        spec = changed(spec, pci_address=device.status.pci_address)
    metadata = ObjectMeta(
        name=naming.dpu(node.name, device.name),
        labels=labels,
        owner_references=(naming.controlled_by(dpu_set),),
    )
    if annotations := dpu_set.spec.dpu_template.annotations:
        metadata = changed(metadata, annotations=dict(annotations))
    return DPU(metadata=metadata, spec=spec)


def _node_labels(template: DPUTemplateSpec, node: str) -> dict[str, str]:
    labels = template.cluster.node_labels if template.cluster is not None else {}
    return {**labels, known.DPUNODE_NAME_LABEL: node}


def _in_wrong_cluster(template: DPUTemplateSpec, dpu: DPU, clusters: Mapping[str, DPUCluster]) -> bool:
    """Whether its DPUCluster is not selected any more: such a DPU is deleted with every strategy."""
    selector = template.cluster.selector if template.cluster is not None else None
    assigned = dpu.spec.cluster
    cluster = clusters.get(assigned.name or "") if assigned is not None else None
    return cluster is not None and not matches(selector, cluster.metadata.labels)


def _outdated(
    dpu_set: DPUSet, template: DPUTemplateSpec, dpus: Sequence[DPU], missing: int, total: int
) -> list[DPU]:
    """Outdated DPUs to delete: all that are not Ready, and of the Ready ones as many as may be unavailable.

    Ready is the condition, not the phase. Source: doca-platform, DPUSet controller.
    """
    ready = {dpu.name for dpu in dpus if is_true(dpu.conditions, known.DPUCondition.READY)}
    differing = [dpu for dpu in dpus if _differs(template, dpu)]
    spare = _max_unavailable(dpu_set, total) - missing - (len(dpus) - len(ready))
    of_ready = [dpu for dpu in differing if dpu.name in ready]
    return [dpu for dpu in differing if dpu.name not in ready] + of_ready[: max(0, spare)]


def _differs(template: DPUTemplateSpec, dpu: DPU) -> bool:
    bfb = template.bfb.name if template.bfb is not None else None
    installed = (dpu.spec.bfb, dpu.spec.dpu_flavor, dpu.spec.secure_boot)
    return installed != (bfb, template.dpu_flavor, template.secure_boot)


def _max_unavailable(dpu_set: DPUSet, total: int) -> int:
    """maxUnavailable, at least 1; a percentage is rounded up. Source: doca-platform, DPUSet controller."""
    strategy = dpu_set.spec.strategy
    rolling = strategy.rolling_update if strategy is not None else None
    limit = rolling.max_unavailable if rolling is not None else None
    if isinstance(limit, str) and limit.endswith("%") and limit[:-1].isdigit():
        limit = math.ceil(total * int(limit[:-1]) / 100)
    return max(1, limit) if isinstance(limit, int) else 1


def _current_hash(template: DPUTemplateSpec) -> dict[str, Any]:
    """The patch of the label that marks a DPU as current without reprovisioning."""
    return {
        "metadata": {"labels": {known.DPUSET_TEMPLATE_HASH_LABEL: naming.template_hash(template.to_wire())}}
    }


def _changes(template: DPUTemplateSpec, dpu: DPU) -> dict[str, Any]:
    """The patch of an existing DPU: labels, requestors, and the node effect if it is Ready."""
    spec = dpu.spec
    cluster = spec.cluster or ClusterRef()
    labels = _node_labels(template, spec.dpu_node_name)
    wanted = changed(spec, cluster=changed(cluster, node_labels=labels))
    if template.node_effect is not None and spec.node_effect is not None:
        wanted = changed(wanted, node_effect=_effect(template.node_effect, spec.node_effect, dpu))
    return merge_patch(spec, wanted)


def _effect(template: NodeEffect, present: NodeEffect, dpu: DPU) -> NodeEffect:
    if dpu.status.phase == DPUPhase.READY:
        return template
    requestors = template.node_maintenance_additional_requestors
    if (present.apply_on_label_change, present.node_maintenance_additional_requestors) == (
        template.apply_on_label_change,
        requestors,
    ):
        return present
    return changed(
        present,
        apply_on_label_change=template.apply_on_label_change,
        node_maintenance_additional_requestors=requestors,
    )

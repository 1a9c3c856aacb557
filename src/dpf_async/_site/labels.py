"""Labels of hosts and DPUs from a labeler, selectors built from the same labels, and verification of labels.

DPF selects hosts and devices by their labels and reacts when they change: it deletes the DPUs of a host that the
selector of a group no longer matches (docs/dpf/deployments.md#stale-dpus). Therefore objects and selectors get their
labels from one source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async._base.retry import retry_on_conflict
from dpf_async.errors import NotFound, UsageError
from dpf_async.models import DPU, DPUDevice, DPUNode, Resource, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dpf_async._api.resource import ResourceClient
    from dpf_async._session.client import Client
    from dpf_async._specs import DeviceSpec, HostSpec, SiteSpec

T = TypeVar("T", bound=Resource)


class ResourceLabeler(Protocol):
    """Decides which labels objects have. Each method is a pure function of its arguments."""

    def node_labels(self, group: str) -> Mapping[str, str]:
        """Labels that all DPUNodes of a group have; the group's selector consists of them."""

    def node_context_labels(self, host: HostSpec) -> Mapping[str, str]:
        """Additional labels of one DPUNode, for its owner's use. No selector contains them."""

    def device_labels(self, host: HostSpec, device: DeviceSpec) -> Mapping[str, str]:
        """Labels of a DPUDevice. The operator copies them to the DPU when it creates it."""

    def dpu_label_selector(self) -> str:
        """A label selector for the DPUs that this labeler labelled, in Kubernetes' syntax."""

    def owns(self, key: str) -> bool:
        """Whether only this labeler or an earlier version of it sets this key, so that it may remove the label."""


@dataclass(frozen=True, slots=True)
class LabelMismatch:
    """One label that differs from the wanted one.

    Attributes:
        object: such as "DPUNode node-1".
        key: of the label.
        present: its value; None if the object does not have it.
        wanted: the value that it should have; None if the object should not have the label.
        repaired: verification has corrected it.
    """

    object: str
    key: str
    present: str | None
    wanted: str | None
    repaired: bool = False

    def __str__(self) -> str:
        done = ", repaired" if self.repaired else ""
        return f"{self.object}: label {self.key} is {_quoted(self.present)}, wanted is {_quoted(self.wanted)}{done}"


def label_host(host: HostSpec, group: str, labeler: ResourceLabeler) -> HostSpec:
    """Return the host with the labels of a labeler added.

    Args:
        host: what the site explorer found.
        group: the group it belongs to.
        labeler: decides the labels.

    Raises:
        UsageError: two sources give one label different values.
    """
    labels = _union(
        f"DPUNode {host.name}", host.labels, labeler.node_labels(group), labeler.node_context_labels(host)
    )
    devices = tuple(
        device.model_copy(
            update={
                "labels": _union(
                    f"DPUDevice {device.name}", device.labels, labeler.device_labels(host, device)
                )
            }
        )
        for device in host.devices
    )
    return host.model_copy(update={"labels": labels, "devices": devices})


def label_site(site: SiteSpec, labeler: ResourceLabeler) -> SiteSpec:
    """Return the site with selectors from a labeler: each group selects the hosts that have the labels of that group.

    Raises:
        UsageError: an existing selector has another value for one of the labels.
    """
    groups = {
        name: group.model_copy(
            update={"node_labels": _union(f"group {name}", group.node_labels, labeler.node_labels(name))}
        )
        for name, group in site.groups.items()
    }
    return site.model_copy(update={"groups": groups})


def selector_of(labels: Mapping[str, str]) -> str:
    """A label selector for objects that have all of these labels, in Kubernetes' syntax."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


async def verify_labels(
    dpf: Client, host: HostSpec, *, owned: Callable[[str], bool] | None, repair: bool
) -> tuple[LabelMismatch, ...]:
    """Compare the labels of a host's objects with the wanted ones; see DPFClient.verify_labels."""
    found: list[LabelMismatch] = []
    for device in host.devices:
        found += await _verify_object(
            dpf.resource(DPUDevice), device.name, device.labels, owned, repair=repair
        )
    # The node last: DPF creates and deletes DPUs by its labels.
    found += await _verify_object(dpf.resource(DPUNode), host.name, host.labels, owned, repair=repair)
    wanted = {device.name.lower(): device.labels for device in host.devices}
    of_host = f"{known.DPUNODE_NAME_LABEL}={host.name}"
    for dpu in (await dpf.resource(DPU).list(label_selector=of_host)).items:
        if dpu.spec.dpu_device_name.lower() in wanted:
            found += _mismatches(dpu, wanted[dpu.spec.dpu_device_name.lower()], owned)
    return tuple(found)


async def _verify_object(
    objects: ResourceClient[T],
    name: str,
    wanted: Mapping[str, str],
    owned: Callable[[str], bool] | None,
    *,
    repair: bool,
) -> list[LabelMismatch]:
    async def once() -> list[LabelMismatch]:
        try:
            present = await objects.get(name)
        except NotFound as error:
            error.add_note(
                f"{objects.kind.KIND} {name} was never registered, or was deleted: create_dpu_node creates it"
            )
            raise
        found = list(_mismatches(present, wanted, owned))
        if not repair or not found:
            return found
        labels: dict[str, Any] = {
            mismatch.key: mismatch.wanted for mismatch in found
        }  # Any: JSON, null removes
        metadata = {"labels": labels, "resourceVersion": present.metadata.resource_version}
        await objects.patch(name, {"metadata": metadata}, uid=present.uid)
        return [_as_repaired(mismatch) for mismatch in found]

    return await retry_on_conflict(once)


def _mismatches(
    present: Resource, wanted: Mapping[str, str], owned: Callable[[str], bool] | None
) -> Iterator[LabelMismatch]:
    subject, labels = f"{present.KIND} {present.name}", present.metadata.labels
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield LabelMismatch(subject, key, labels.get(key), value)
    for key in sorted(labels.keys() - wanted.keys()):
        if owned is not None and owned(key):
            yield LabelMismatch(subject, key, labels[key], None)


def _as_repaired(one: LabelMismatch) -> LabelMismatch:
    return LabelMismatch(one.object, one.key, one.present, one.wanted, repaired=True)


def _union(subject: str, *parts: Mapping[str, str]) -> dict[str, str]:
    union: dict[str, str] = {}
    for part in parts:
        for key, value in part.items():
            if union.setdefault(key, value) != value:
                raise UsageError(
                    f"{subject}: label {key} has two different values: {union[key]!r} and {value!r}"
                )
    return union


def _quoted(value: str | None) -> str:
    return "absent" if value is None else repr(value)

"""Labels: what a labeler says about hosts and DPUs, selectors made of it, and labels that are not as they should be.

DPF finds hosts and devices by their labels, and follows when they change: a host that a group's selector does not
match any more loses its DPUs (dpf-facts 7.1). So they come from one place, for the objects and for the selectors.
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
    from dpf_async._specs import DeviceSpec, HostSpec, SiteSpec

T = TypeVar("T", bound=Resource)


class ResourceLabeler(Protocol):
    """Says which labels objects have. Each answer is a pure function of its arguments."""

    def node_labels(self, group: str) -> Mapping[str, str]:
        """Labels of the DPUNodes of a group, the same for all of them: the group's selector is made of them."""

    def node_context_labels(self, host: HostSpec) -> Mapping[str, str]:
        """Labels of one DPUNode beside those: what its owner wants to know of it. No selector has them."""

    def device_labels(self, host: HostSpec, device: DeviceSpec) -> Mapping[str, str]:
        """Labels of a DPUDevice. The operator copies them to the DPU when it makes it."""

    def dpu_label_selector(self) -> str:
        """Selects, among all DPUs, those that are labelled by this labeler; as Kubernetes takes it."""

    def owns(self, key: str) -> bool:
        """Whether a label of this key can only be this labeler's, or an earlier version's: it may be taken away."""


@dataclass(frozen=True, slots=True)
class LabelMismatch:
    """One label that is not as it should be.

    Attributes:
        object: such as "DPUNode node-1".
        key: of the label.
        present: its value; None if it is not there.
        wanted: the value it should have; None if it should not be there.
        repaired: it was made as wanted.
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
    """The host with the labels that a labeler gives it, beside those it has.

    Args:
        host: what the site explorer found.
        group: the group it belongs to.
        labeler: says the labels.

    Raises:
        UsageError: two of them contradict each other.
    """
    words = f"DPUNode {host.name}"
    labels = _united(words, host.labels, labeler.node_labels(group), labeler.node_context_labels(host))
    devices = tuple(
        device.model_copy(
            update={
                "labels": _united(
                    f"DPUDevice {device.name}", device.labels, labeler.device_labels(host, device)
                )
            }
        )
        for device in host.devices
    )
    return host.model_copy(update={"labels": labels, "devices": devices})


def label_site(site: SiteSpec, labeler: ResourceLabeler) -> SiteSpec:
    """The site with selectors made of a labeler's labels: each group selects the hosts that are labelled as its own.

    Raises:
        UsageError: a selector that is there already contradicts it.
    """
    groups = {
        name: group.model_copy(
            update={"node_labels": _united(f"group {name}", group.node_labels, labeler.node_labels(name))}
        )
        for name, group in site.groups.items()
    }
    return site.model_copy(update={"groups": groups})


def selector_of(labels: Mapping[str, str]) -> str:
    """The label selector for objects that have all of these labels, as Kubernetes takes it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


class Client(Protocol):
    """What verification needs."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""


async def verify(
    dpf: Client, host: HostSpec, *, owned: Callable[[str], bool] | None, repair: bool
) -> tuple[LabelMismatch, ...]:
    """Compare the labels of a host's objects with those it should have; see DPFClient.verify_labels."""
    found: list[LabelMismatch] = []
    for device in host.devices:
        found += await _verify(dpf.resource(DPUDevice), device.name, device.labels, owned, repair=repair)
    # The node last: its labels are what has DPUs come and go.
    found += await _verify(dpf.resource(DPUNode), host.name, host.labels, owned, repair=repair)
    wanted = {device.name.lower(): device.labels for device in host.devices}
    of_host = f"{known.DPUNODE_NAME_LABEL}={host.name}"
    for dpu in (await dpf.resource(DPU).list(label_selector=of_host)).items:
        if dpu.spec.dpu_device_name.lower() in wanted:
            found += _mismatches(dpu, wanted[dpu.spec.dpu_device_name.lower()], owned)
    return tuple(found)


async def _verify(
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
                f"{objects.kind.KIND} {name} was never registered, or is gone: create_dpu_node makes it"
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
    words, labels = f"{present.KIND} {present.name}", present.metadata.labels
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield LabelMismatch(words, key, labels.get(key), value)
    for key in sorted(labels.keys() - wanted.keys()):
        if owned is not None and owned(key):
            yield LabelMismatch(words, key, labels[key], None)


def _as_repaired(one: LabelMismatch) -> LabelMismatch:
    return LabelMismatch(one.object, one.key, one.present, one.wanted, repaired=True)


def _united(words: str, *parts: Mapping[str, str]) -> dict[str, str]:
    united: dict[str, str] = {}
    for part in parts:
        for key, value in part.items():
            if united.setdefault(key, value) != value:
                raise UsageError(f"{words}: label {key} is to be both {united[key]!r} and {value!r}")
    return united


def _quoted(value: str | None) -> str:
    return "absent" if value is None else repr(value)

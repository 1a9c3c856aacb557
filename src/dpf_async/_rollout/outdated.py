"""Outdated DPUs: those installed with another BFB or DPUFlavor than their DPUDeployment refers to now.

With OnDelete such a DPU stays unchanged until it is deleted (docs/dpf/deployments.md#outdated-dpus). DPF v26.4 does not
report which DPUs these are, so the references of each DPU are compared with those of its DPUDeployment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dpf_async._transitions.views import DPUView
from dpf_async.errors import DecodeError, NotFound
from dpf_async.models import DPU, DPUDeployment, DPUSet, Resource, known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dpf_async._api.codec import ObjectState
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)


@dataclass(frozen=True, slots=True)
class References:
    """The objects with which a DPUDeployment has its DPUs installed.

    Attributes:
        bfb: name of the BFB; None if it has another kind of image, as in releases after v26.4
            (docs/dpf/objects.md#image-field).
        flavor: name of the DPUFlavor.
    """

    bfb: str | None
    flavor: str

    def __str__(self) -> str:
        return f"BFB {self.bfb}, DPUFlavor {self.flavor}"


@dataclass(frozen=True, slots=True)
class Installed:
    """The object that a DPU was installed with, and the one that its DPUDeployment refers to.

    Attributes:
        present: name of the object that it was installed with; empty if it is not known.
        wanted: name of the object that its DPUDeployment refers to.
    """

    present: str
    wanted: str

    @property
    def outdated(self) -> bool:
        """The two differ."""
        return self.present != self.wanted


@dataclass(frozen=True, slots=True)
class OutdatedDPU:
    """A DPU that was installed with other references than its DPUDeployment has now.

    A DPU that is being deleted is included until it is deleted.

    Attributes:
        name: of the DPU.
        uid: of the DPU; the one that replaces it has another.
        node: name of its DPUNode.
        deployment: name of its DPUDeployment.
        bfb: its BFB.
        flavor: its DPUFlavor.
    """

    name: str
    uid: str
    node: str
    deployment: str
    bfb: Installed
    flavor: Installed

    def __str__(self) -> str:
        installed = (("BFB", self.bfb), ("DPUFlavor", self.flavor))
        differing = [
            f"{kind} {one.present or 'unknown'}, wanted {one.wanted}"
            for kind, one in installed
            if one.outdated
        ]
        return f"DPU {self.name} of DPUNode {self.node}: {'; '.join(differing)}"


async def find_outdated(
    dpf: Client, deployments: Iterable[str] | None, *, label_selector: str = ""
) -> tuple[OutdatedDPU, ...]:
    """The outdated DPUs of these DPUDeployments, or of all; see DPFClient.outdated_dpus."""
    # DPUs first: one that is replaced between the lists was outdated when it was read. In the opposite order, a new DPU
    # could be compared with references that the DPUDeployment does not have any more.
    dpus = await states_of(dpf, DPU, label_selector=label_selector)
    wanted = await _wanted(dpf, deployments)
    owners = await Owners.of(dpf, dpus)
    found = [
        one
        for state in dpus
        if (name := owners.deployment(state)) in wanted
        and (one := compare(DPUView(state), name, wanted[name])) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.deployment, one.node, one.name)))


async def states_of(dpf: Client, kind: type[T], *, label_selector: str = "") -> tuple[ObjectState[T], ...]:
    """The states of all objects of a kind.

    Raises:
        DecodeError: an object cannot be decoded, so the list is incomplete.
    """
    page = await dpf.resource(kind).list_states(label_selector=label_selector)
    for obj in page.undecodable:
        raise DecodeError(
            f"{kind.KIND} {obj.name} cannot be decoded: {obj.error}", kind=kind.KIND, name=obj.name
        )
    return tuple(page.items)


def compare(dpu: DPUView, deployment: str, wanted: References) -> OutdatedDPU | None:
    """How a DPU differs from the wanted references; None if it does not. Pure."""
    bfb = Installed(dpu.bfb, dpu.bfb if wanted.bfb is None else wanted.bfb)
    flavor = Installed(dpu.flavor, wanted.flavor)
    if not (bfb.outdated or flavor.outdated):
        return None
    return OutdatedDPU(dpu.name, dpu.uid, dpu.node, deployment, bfb, flavor)


def references_of(deployment: DPUDeployment) -> References:
    """The references of a DPUDeployment."""
    return References(deployment.spec.dpus.bfb, deployment.spec.dpus.flavor)


class Owners:
    """The DPUDeployments that DPUs belong to: from the label of the DPU, or from the DPUSet that it names.

    Args:
        sets: names of DPUDeployments by the names of their DPUSets.
    """

    def __init__(self, sets: Mapping[str, str]) -> None:
        self._sets = sets

    @classmethod
    async def of(cls, dpf: Client, dpus: Iterable[ObjectState[DPU]]) -> Owners:
        """Read what is needed for these DPUs; DPUSets are listed only if a DPU does not have the label."""
        if all(known.OWNED_BY_DPUDEPLOYMENT_LABEL in state.labels for state in dpus):
            return cls({})
        sets = await dpf.resource(DPUSet).list()
        for obj in sets.undecodable:
            raise DecodeError(
                f"DPUSet {obj.name} cannot be decoded, so the DPUDeployment of its DPUs is not known: {obj.error}",
                kind=DPUSet.KIND,
                name=obj.name,
            )
        return cls({one.name: owner for one in sets.items if (owner := _owner_of_set(one))})

    def deployment(self, state: ObjectState[DPU]) -> str:
        """Name of the DPUDeployment; empty if the DPU belongs to none that is known."""
        label = state.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL)
        if label is None:
            return self._sets.get(state.labels.get(known.DPUSET_NAME_LABEL, ""), "")
        return _name_in_label(label, state.record.metadata.namespace or "")


def _owner_of_set(dpu_set: DPUSet) -> str:
    for owner in dpu_set.metadata.owner_references:
        if owner.kind == DPUDeployment.KIND:
            return owner.name
    label = dpu_set.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "")
    return _name_in_label(label, dpu_set.namespace or "")


def _name_in_label(label: str, namespace: str) -> str:
    """The name in a label value `<namespace>_<name>`; empty if it has another namespace.

    Source: docs/dpf/keys.md#reference-labels.
    """
    label_namespace, _, name = label.partition("_")
    return name if label_namespace == namespace else ""


async def _wanted(dpf: Client, names: Iterable[str] | None) -> dict[str, References]:
    """The references of the DPUDeployments; of all if no names are given."""
    listed = await dpf.resource(DPUDeployment).list()
    found = {one.name: references_of(one) for one in listed.items}
    selected = None if names is None else list(dict.fromkeys(names))
    for obj in listed.undecodable:
        if selected is None or obj.name in selected:
            raise DecodeError(
                f"DPUDeployment {obj.name} cannot be decoded, so its DPUs cannot be compared: {obj.error}",
                kind=DPUDeployment.KIND,
                name=obj.name,
            )
    if selected is None:
        return {str(name): references for name, references in found.items()}
    for name in selected:
        if name not in found:
            raise NotFound(
                f"there is no DPUDeployment {name}; there are {', '.join(found) or 'none'}",
                status=404,
                reason="NotFound",
                object=f"DPUDeployment {name}",
            )
    return {name: references for name, references in found.items() if name in selected}

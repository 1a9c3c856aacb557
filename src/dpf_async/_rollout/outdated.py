"""Outdated DPUs: those made with another BFB or DPUFlavor than their DPUDeployment says now.

With OnDelete such a DPU stays as it is until somebody deletes it (dpf-facts 7.2). DPF v26.4 does not tell which these
are, so what a DPU was made with is compared with what it would be made with now.
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
    """What a DPUDeployment has its DPUs made with.

    Attributes:
        bfb: name of the BFB; None if it has another kind of image, as releases after v26.4 may (dpf-facts 1.3).
        flavor: name of the DPUFlavor.
    """

    bfb: str | None
    flavor: str

    def __str__(self) -> str:
        return f"BFB {self.bfb}, DPUFlavor {self.flavor}"


@dataclass(frozen=True, slots=True)
class Installed:
    """What a DPU was made with, and what it would be made with now.

    Attributes:
        present: name of the object it was made with; empty if none is known.
        wanted: name of the one that its DPUDeployment says.
    """

    present: str
    wanted: str

    @property
    def outdated(self) -> bool:
        """The two differ."""
        return self.present != self.wanted


@dataclass(frozen=True, slots=True)
class OutdatedDPU:
    """A DPU that was made with something else than its DPUDeployment says now.

    One that is being deleted counts until it is gone.

    Attributes:
        name: of the DPU.
        uid: of this very DPU; the one that takes its place has another.
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
        parts = (("BFB", self.bfb), ("DPUFlavor", self.flavor))
        differing = [
            f"{kind} {one.present or 'unknown'}, wanted {one.wanted}" for kind, one in parts if one.outdated
        ]
        return f"DPU {self.name} of DPUNode {self.node}: {'; '.join(differing)}"


async def find_outdated(
    dpf: Client, deployments: Iterable[str] | None, *, label_selector: str = ""
) -> tuple[OutdatedDPU, ...]:
    """The outdated DPUs of these DPUDeployments, or of all; see DPFClient.outdated_dpus."""
    # DPUs first: one that is replaced in between was outdated when it was read. The other way around a new one could
    # be held against what is not wanted any more.
    dpus = await states_of(dpf, DPU, label_selector=label_selector)
    wanted = await _wanted(dpf, deployments)
    owners = await Owners.of(dpf, dpus)
    found = [
        one
        for state in dpus
        if (name := owners.deployment(state)) in wanted
        and (one := judge(DPUView(state), name, wanted[name])) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.deployment, one.node, one.name)))


async def states_of(dpf: Client, kind: type[T], *, label_selector: str = "") -> tuple[ObjectState[T], ...]:
    """All objects of a kind, as levels and views are asked about them.

    Raises:
        DecodeError: one of them cannot be read, so nothing can be said of all.
    """
    page = await dpf.resource(kind).list_states(label_selector=label_selector)
    for obj in page.undecodable:
        raise DecodeError(
            f"{kind.KIND} {obj.name} cannot be read: {obj.error}", kind=kind.KIND, name=obj.name
        )
    return tuple(page.items)


def judge(dpu: DPUView, deployment: str, wanted: References) -> OutdatedDPU | None:
    """What about a DPU is outdated; None if nothing is. Pure."""
    bfb = Installed(dpu.bfb, dpu.bfb if wanted.bfb is None else wanted.bfb)
    flavor = Installed(dpu.flavor, wanted.flavor)
    if not (bfb.outdated or flavor.outdated):
        return None
    return OutdatedDPU(dpu.name, dpu.uid, dpu.node, deployment, bfb, flavor)


def references_of(deployment: DPUDeployment) -> References:
    """What a DPUDeployment says now."""
    return References(deployment.spec.dpus.bfb, deployment.spec.dpus.flavor)


class Owners:
    """Which DPUDeployment a DPU belongs to: by the label that says so, else through the DPUSet that it names.

    Args:
        sets: DPUDeployments by the DPUSets that belong to them.
    """

    def __init__(self, sets: Mapping[str, str]) -> None:
        self._sets = sets

    @classmethod
    async def of(cls, dpf: Client, dpus: Iterable[ObjectState[DPU]]) -> Owners:
        """Find out what has to be known about these DPUs; DPUSets are read only if a DPU does not say it itself."""
        if all(known.OWNED_BY_DPUDEPLOYMENT_LABEL in state.labels for state in dpus):
            return cls({})
        sets = await dpf.resource(DPUSet).list()
        for obj in sets.undecodable:
            raise DecodeError(
                f"DPUSet {obj.name} cannot be read, so it is not known whose DPUs it makes: {obj.error}",
                kind=DPUSet.KIND,
                name=obj.name,
            )
        return cls({one.name: owner for one in sets.items if (owner := _owner_of_set(one))})

    def deployment(self, state: ObjectState[DPU]) -> str:
        """Name of the DPUDeployment; empty if the DPU belongs to none that is known."""
        said = state.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL)
        if said is None:
            return self._sets.get(state.labels.get(known.DPUSET_NAME_LABEL, ""), "")
        return _named(said, state.record.metadata.namespace or "")


def _owner_of_set(dpu_set: DPUSet) -> str:
    for owner in dpu_set.metadata.owner_references:
        if owner.kind == DPUDeployment.KIND:
            return owner.name
    said = dpu_set.metadata.labels.get(known.OWNED_BY_DPUDEPLOYMENT_LABEL, "")
    return _named(said, dpu_set.namespace or "")


def _named(label: str, namespace: str) -> str:
    """The DPUDeployment that a label's `<namespace>_<name>` is about, if it is in this namespace (dpf-facts 3.3)."""
    said, _, name = label.partition("_")
    return name if said == namespace else ""


async def _wanted(dpf: Client, names: Iterable[str] | None) -> dict[str, References]:
    """What the DPUDeployments say; all of them if no names are given."""
    listed = await dpf.resource(DPUDeployment).list()
    found = {one.name: references_of(one) for one in listed.items}
    asked = None if names is None else list(dict.fromkeys(names))
    for obj in listed.undecodable:
        if asked is None or obj.name in asked:
            raise DecodeError(
                f"DPUDeployment {obj.name} cannot be read, so its DPUs cannot be compared: {obj.error}",
                kind=DPUDeployment.KIND,
                name=obj.name,
            )
    if asked is None:
        return {str(name): references for name, references in found.items()}
    for name in asked:
        if name not in found:
            raise NotFound(
                f"there is no DPUDeployment {name}; there are {', '.join(found) or 'none'}",
                status=404,
                reason="NotFound",
                object=f"DPUDeployment {name}",
            )
    return {name: references for name, references in found.items() if name in asked}

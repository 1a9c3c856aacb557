"""The references of a DPUDeployment: methods UpdateDPUDeploymentBFB and UpdateDPUDeploymentConfiguration, and rollback.

With OnDelete, which Carbide uses, a change applies to a DPU only when it is reprovisioned
(docs/dpf/deployments.md#strategies). An annotation, written with each change, has the references before it, so that any
client can return to them.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dpf_async._base.retry import retry_on_conflict
from dpf_async._rollout.outdated import OutdatedDPU, References, find_outdated, references_of
from dpf_async._session.lookup_hints import lookup_hint
from dpf_async._site.acceptance import until_deployment_accepted
from dpf_async._transitions.views import BFBView
from dpf_async.errors import UsageError
from dpf_async.models import BFB, DPUDeployment, DPUFlavor

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.client import Client

PREVIOUS: Final = "dpf-async/previous-references"
"""Annotation of a DPUDeployment, set by this library: names of BFB and DPUFlavor before the last change, as JSON."""


@dataclass(frozen=True, slots=True)
class DeploymentChange:
    """A change of the references of a DPUDeployment, and the DPUs that are outdated by it.

    Attributes:
        deployment: its name.
        changed: False if it had these references already.
        references: its references now.
        previous: its references before the last change; None if they are not known.
        outdated: its DPUs that were installed with other references. With OnDelete they stay outdated until they are
            reprovisioned; with RollingUpdate DPF replaces them.
    """

    deployment: str
    changed: bool
    references: References
    previous: References | None
    outdated: tuple[OutdatedDPU, ...]


@dataclass(frozen=True, slots=True)
class ReferenceChange:
    """The result of a write: as in DeploymentChange, and whether the strategy is RollingUpdate."""

    changed: bool
    references: References
    previous: References | None
    rolling: bool


async def change(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    keep_previous: bool = True,
    deadline: Deadline | None,
    reporter: ProgressReporter,
) -> DeploymentChange:
    """Change the references of a DPUDeployment, wait until the operator accepted them, and find the outdated DPUs.

    Args:
        dpf: the client.
        deployment: its name.
        bfb: name of the BFB; None leaves the reference unchanged.
        flavor: name of the DPUFlavor; None leaves the reference unchanged.
        keep_previous: store the references before the change in the annotation, for a rollback.
        deadline: of the wait; None does not wait.
        reporter: receives the change and what is waited for.
    """
    written = await set_references(
        dpf, deployment, bfb=bfb, flavor=flavor, keep_previous=keep_previous, reporter=reporter
    )
    if deadline is not None:
        await until_deployment_accepted(dpf, deployment, deadline=deadline, reporter=reporter)
    outdated = await find_outdated(dpf, [deployment])
    return DeploymentChange(deployment, written.changed, written.references, written.previous, outdated)


async def set_references(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None,
    flavor: str | None,
    keep_previous: bool = True,
    reporter: ProgressReporter,
) -> ReferenceChange:
    """Write the references of a DPUDeployment; see `change`.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor.
        UsageError: the BFB is not Ready, an object is being deleted, or a name is not valid.
        Conflict: the DPUDeployment changed between each read and write.
    """
    with ExitStack() as hints:
        for kind, name in ((DPUDeployment, deployment), (BFB, bfb), (DPUFlavor, flavor)):
            if name is not None:
                hints.enter_context(lookup_hint(kind, name))
        if bfb is not None:
            await _require_usable_bfb(dpf, bfb)
        if flavor is not None:
            await _require_usable_flavor(dpf, flavor)

        async def attempt() -> ReferenceChange:
            present = await _get(dpf, deployment)
            current = references_of(present)
            wanted = References(bfb or current.bfb, flavor or current.flavor)
            strategy = present.spec.dpus.dpu_set_strategy
            rolling = strategy is not None and strategy.type == "RollingUpdate"
            if wanted == current:
                return ReferenceChange(False, current, previous_of(present), rolling)
            # With the resourceVersion that was read: the annotation has to contain the references that were replaced.
            patch = _patch(present, wanted, keep_previous=keep_previous)
            await dpf.resource(DPUDeployment).patch(deployment, patch)
            reporter.report(
                f"{DPUDeployment.KIND} {deployment}", f"references changed to {wanted}; before: {current}"
            )
            previous = current if keep_previous else previous_of(present)
            return ReferenceChange(True, wanted, previous, rolling)

        return await retry_on_conflict(attempt)


async def current_references(dpf: Client, deployment: str) -> References:
    """The references of a DPUDeployment, read from the API server.

    Raises:
        NotFound: there is no such DPUDeployment.
        UsageError: it is being deleted.
    """
    return references_of(await _get(dpf, deployment))


async def _get(dpf: Client, deployment: str) -> DPUDeployment:
    present = await dpf.resource(DPUDeployment).get(deployment)
    if present.terminating:
        raise UsageError(
            f"DPUDeployment {deployment} is being deleted with its DPUs, and cannot be changed or rolled out"
        )
    return present


async def previous_references(dpf: Client, deployment: str) -> References:
    """The references of a DPUDeployment before its last change.

    Raises:
        NotFound: there is no such DPUDeployment.
        UsageError: they are not known.
    """
    previous = previous_of(await dpf.resource(DPUDeployment).get(deployment))
    if previous is None:
        raise UsageError(
            f"DPUDeployment {deployment} has no valid annotation {PREVIOUS} with its previous references:"
            " give bfb= and flavor="
        )
    return previous


def previous_of(deployment: DPUDeployment) -> References | None:
    """The references in the annotation; None if there is none, or this library did not write it."""
    text = deployment.metadata.annotations.get(PREVIOUS, "")
    try:
        previous = json.loads(text)
        bfb, flavor = previous["bfb"], previous["flavor"]
    except (ValueError, TypeError, KeyError):
        return None
    if not (isinstance(flavor, str) and (bfb is None or isinstance(bfb, str))):
        return None
    return References(bfb, flavor)


def _patch(present: DPUDeployment, wanted: References, *, keep_previous: bool) -> dict[str, Any]:  # Any: JSON
    current = references_of(present)
    fields = {"bfb": (current.bfb, wanted.bfb), "flavor": (current.flavor, wanted.flavor)}
    dpus = {field: after for field, (before, after) in fields.items() if before != after}
    metadata: dict[str, Any] = {
        "uid": present.uid,
        "resourceVersion": present.metadata.resource_version,
    }
    if keep_previous:
        previous = json.dumps({"bfb": current.bfb, "flavor": current.flavor}, sort_keys=True)
        metadata["annotations"] = {PREVIOUS: previous}
    return {"metadata": metadata, "spec": {"dpus": dpus}}


async def _require_usable_bfb(dpf: Client, bfb: str) -> None:
    image = BFBView(await dpf.resource(BFB).get_state(bfb))
    if not image.ready:
        state = "being deleted" if image.state.terminating else f"in phase {image.phase or 'unknown'}"
        raise UsageError(f"BFB {bfb} is {state}: wait until a BFB is Ready before using it")


async def _require_usable_flavor(dpf: Client, flavor: str) -> None:
    """A DPUFlavor has no phase: it can be used if it exists and is not being deleted."""
    if (await dpf.resource(DPUFlavor).get_state(flavor)).terminating:
        raise UsageError(f"DPUFlavor {flavor} is being deleted: use another one")

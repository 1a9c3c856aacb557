"""What a DPUDeployment makes DPUs with: methods UpdateDPUDeploymentBFB and UpdateDPUDeploymentConfiguration, and back.

With OnDelete, which is what Carbide uses, a change reaches a DPU only when it is reprovisioned (dpf-facts 7.2). What a
DPUDeployment said before its last change is kept in an annotation, written together with the change: whoever comes
later, and knows nothing, can still go back.
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
"""DPUDeployment annotation, by this library: the names of BFB and DPUFlavor before the last change, as JSON."""


@dataclass(frozen=True, slots=True)
class DeploymentChange:
    """What was done about a DPUDeployment, and what comes of it.

    Attributes:
        deployment: its name.
        changed: False if it said so already.
        references: what it says now.
        previous: what it said before its last change; None if that is not known.
        outdated: its DPUs that were made with something else. With OnDelete they stay so until they are reprovisioned,
            with RollingUpdate DPF replaces them.
    """

    deployment: str
    changed: bool
    references: References
    previous: References | None
    outdated: tuple[OutdatedDPU, ...]


@dataclass(frozen=True, slots=True)
class Referred:
    """What a change did to the object."""

    changed: bool
    references: References
    previous: References | None
    rolling: bool
    """Its strategy is RollingUpdate."""


async def change(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    keep: bool = True,
    deadline: Deadline | None,
    reporter: ProgressReporter,
) -> DeploymentChange:
    """Have a DPUDeployment say this from now on, wait until that is accepted, and find the DPUs that are outdated.

    What it said before is kept for a rollback if `keep` says so. With no deadline it does not wait.
    """
    referred = await refer(dpf, deployment, bfb=bfb, flavor=flavor, keep=keep, reporter=reporter)
    if deadline is not None:
        await until_deployment_accepted(dpf, deployment, deadline=deadline, reporter=reporter)
    return DeploymentChange(
        deployment,
        referred.changed,
        referred.references,
        referred.previous,
        await find_outdated(dpf, [deployment]),
    )


async def refer(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None,
    flavor: str | None,
    keep: bool = True,
    reporter: ProgressReporter,
) -> Referred:
    """Have a DPUDeployment refer to this BFB and this DPUFlavor; None leaves a reference alone.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor.
        UsageError: the BFB is not Ready, one of them is being deleted, or a name cannot be one.
        Conflict: somebody else changes it all the time.
    """
    with ExitStack() as names:
        for kind, name in ((DPUDeployment, deployment), (BFB, bfb), (DPUFlavor, flavor)):
            if name is not None:
                names.enter_context(lookup_hint(kind, name))
        return await _refer(dpf, deployment, bfb, flavor, keep=keep, reporter=reporter)


async def _refer(
    dpf: Client,
    deployment: str,
    bfb: str | None,
    flavor: str | None,
    *,
    keep: bool,
    reporter: ProgressReporter,
) -> Referred:
    if bfb is not None:
        await _usable_bfb(dpf, bfb)
    if flavor is not None:
        await _usable_flavor(dpf, flavor)

    async def write() -> Referred:
        present = await dpf.resource(DPUDeployment).get(deployment)
        if present.terminating:
            raise UsageError(f"DPUDeployment {deployment} is being deleted: it cannot be changed any more")
        said = references_of(present)
        wanted = References(bfb or said.bfb, flavor or said.flavor)
        strategy = present.spec.dpus.dpu_set_strategy
        rolling = strategy is not None and strategy.type == "RollingUpdate"
        if wanted == said:
            return Referred(False, said, previous_of(present), rolling)
        # Of this very state: what is kept for the way back must be what was replaced.
        await dpf.resource(DPUDeployment).patch(deployment, _patch(present, wanted, keep=keep))
        reporter.report(f"{DPUDeployment.KIND} {deployment}", f"says {wanted}; before, {said}")
        return Referred(True, wanted, said if keep else previous_of(present), rolling)

    return await retry_on_conflict(write)


async def references(dpf: Client, deployment: str) -> References:
    """What a DPUDeployment says now, asked of the server itself.

    Raises:
        NotFound: there is no such DPUDeployment.
        UsageError: it is being deleted.
    """
    present = await dpf.resource(DPUDeployment).get(deployment)
    if present.terminating:
        raise UsageError(f"DPUDeployment {deployment} is being deleted, and its DPUs go with it")
    return references_of(present)


async def kept(dpf: Client, deployment: str) -> References:
    """What a DPUDeployment said before its last change.

    Raises:
        NotFound: there is no such DPUDeployment.
        UsageError: it is not known.
    """
    previous = previous_of(await dpf.resource(DPUDeployment).get(deployment))
    if previous is None:
        raise UsageError(
            f"DPUDeployment {deployment} does not say what it referred to before (annotation {PREVIOUS}):"
            " say bfb= and flavor= yourself"
        )
    return previous


def previous_of(deployment: DPUDeployment) -> References | None:
    """What the annotation says; None if there is none, or it is nothing of ours."""
    said = deployment.metadata.annotations.get(PREVIOUS, "")
    try:
        previous = json.loads(said)
        bfb, flavor = previous["bfb"], previous["flavor"]
    except (ValueError, TypeError, KeyError):
        return None
    if not (isinstance(flavor, str) and (bfb is None or isinstance(bfb, str))):
        return None
    return References(bfb, flavor)


def _patch(present: DPUDeployment, wanted: References, *, keep: bool) -> dict[str, Any]:  # Any: JSON
    said = references_of(present)
    fields = {"bfb": (said.bfb, wanted.bfb), "flavor": (said.flavor, wanted.flavor)}
    dpus = {field: after for field, (before, after) in fields.items() if before != after}
    metadata: dict[str, Any] = {
        "uid": present.uid,
        "resourceVersion": present.metadata.resource_version,
    }
    if keep:
        previous = json.dumps({"bfb": said.bfb, "flavor": said.flavor}, sort_keys=True)
        metadata["annotations"] = {PREVIOUS: previous}
    return {"metadata": metadata, "spec": {"dpus": dpus}}


async def _usable_bfb(dpf: Client, bfb: str) -> None:
    image = BFBView(await dpf.resource(BFB).get_state(bfb))
    if not image.ready:
        state = "being deleted" if image.state.terminating else f"in phase {image.phase or 'unknown'}"
        raise UsageError(f"BFB {bfb} is {state}: wait until it is Ready, then use it")


async def _usable_flavor(dpf: Client, flavor: str) -> None:
    """It has no phase: what exists, and is not going, can be used."""
    if (await dpf.resource(DPUFlavor).get_state(flavor)).terminating:
        raise UsageError(f"DPUFlavor {flavor} is being deleted: use another one")

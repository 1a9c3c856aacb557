"""Wait until the operator has accepted a site: its BFBs are downloaded and its DPUDeployments are reconciled.

A DPUDeployment is accepted when it is reconciled at its current generation; while there are no DPUNodes, the operator
reports nothing else (docs/dpf/deployments.md#empty-site, docs/dpf/operations.md#flows). The waits run concurrently, so
that a timeout reports each late object.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from dpf_async._base.concurrency import wait_all
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import BFBView, DeploymentView, describe_deployment, describe_object
from dpf_async.errors import SiteFailed, WaitTimeout
from dpf_async.models import BFB, DPUDeployment, Resource, known

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client
    from dpf_async._specs import SiteSpec

V = TypeVar("V")

_BEING_DELETED = "is being deleted: wait until it is deleted, then apply the site again"


async def until_accepted(
    dpf: Client, site: SiteSpec, *, timeout: float | None, reporter: ProgressReporter
) -> dict[str, DeploymentView]:
    """Wait for all objects of a site; see DPFClient.site_accepted."""
    began = anyio.current_time()
    deadline = Deadline(timeout)
    waits: dict[tuple[str, str], Callable[[], Awaitable[BFBView | DeploymentView]]] = {}
    for bfb in sorted({group.bfb for group in site.groups.values()}):
        waits[BFB.KIND, bfb] = partial(until_downloaded, dpf, bfb, deadline=deadline, reporter=reporter)
    for group in site.groups:
        waits[DPUDeployment.KIND, group] = partial(
            until_deployment_accepted, dpf, group, deadline=deadline, reporter=reporter
        )
    outcomes = await wait_all(waits)
    if late := [*outcomes.errors.values()]:
        raise WaitTimeout(
            "\n".join(map(str, late)),
            condition="site accepted",
            view=late[0].view,
            waited=anyio.current_time() - began,
        )
    return {name: view for (_, name), view in outcomes.values.items() if isinstance(view, DeploymentView)}


async def until_downloaded(
    dpf: Client, name: str, *, deadline: Deadline, reporter: ProgressReporter
) -> BFBView:
    """Wait until a BFB is downloaded and can be installed.

    Raises:
        WaitTimeout: it is not yet.
        SiteFailed: it is in phase Error, or is being deleted.
        ObjectReplaced: it was deleted meanwhile.
    """
    downloaded = Level[BFBView]("downloaded", lambda view: view.ready)
    return await _until(
        dpf,
        BFB,
        name,
        downloaded,
        failure_of=_bfb_failure,
        describe=lambda view: describe_object(view.state),
        deadline=deadline,
        reporter=reporter,
    )


async def until_deployment_accepted(
    dpf: Client, name: str, *, deadline: Deadline, reporter: ProgressReporter
) -> DeploymentView:
    """Wait until a DPUDeployment is reconciled at its current generation.

    Raises:
        WaitTimeout: the message says what the DPUDeployment is waiting for.
        SiteFailed: a condition reports a failure that only a change of the description ends, or it is being deleted.
        ObjectReplaced: it was deleted meanwhile.
    """
    accepted = Level[DeploymentView]("accepted", lambda view: view.accepted)
    return await _until(
        dpf,
        DPUDeployment,
        name,
        accepted,
        failure_of=_deployment_failure,
        describe=describe_deployment,
        deadline=deadline,
        reporter=reporter,
    )


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the operator cannot accept an object: the message after its name, and the fields of the error."""

    text: str
    reason: str = ""
    detail: str = ""


async def _until(
    dpf: Client,
    kind: type[Resource],
    name: str,
    level: Level[V],
    *,
    failure_of: Callable[[V], _Failure | None],
    describe: Callable[[V], str],
    deadline: Deadline,
    reporter: ProgressReporter,
) -> V:
    """Wait until the level holds; raise SiteFailed as soon as there is a failure instead."""
    subject = f"{kind.KIND} {name}"
    decided: Level[Any] = Level(  # Any: the view of a handle depends on the kind
        level.name, lambda view: level.holds(view) or failure_of(view) is not None
    )
    view: V = await reporter.wait_for(
        dpf.handle(kind, name), decided, subject=subject, describe=describe, timeout=deadline.remaining
    )
    if not level.holds(view) and (failure := failure_of(view)) is not None:
        raise SiteFailed(
            f"{subject} {failure.text}",
            kind=kind.KIND,
            name=name,
            reason=failure.reason,
            detail=failure.detail,
            condition=level.name,
            view=view,
        )
    reporter.report(subject, level.name)
    return view


def _bfb_failure(view: BFBView) -> _Failure | None:
    if view.ready or not (view.failed or view.state.terminating):
        return None
    detail = next((c.message for c in view.state.conditions if c.status == "False" and c.message), "")
    if view.state.terminating:
        return _Failure(_BEING_DELETED, str(view.phase), detail)
    cause = f" ({detail})" if detail else ""
    text = (
        f"is in phase Error: its url could not be downloaded{cause};"
        " make the url reachable and delete the BFB, or name another BFB; then apply the site again"
    )
    return _Failure(text, str(view.phase), detail)


def _deployment_failure(view: DeploymentView) -> _Failure | None:
    """A failure that ends only by a change of the description (docs/dpf/conditions.md#deployment-conditions)."""
    generation = view.state.record.metadata.generation
    failed = next(
        (
            one
            for one in view.state.conditions
            if one.status == "False"
            and one.reason == known.CommonReason.FAILURE
            and one.type != known.DPUDeploymentCondition.READY
            and one.observed_generation == generation
        ),
        None,
    )
    reason = "" if failed is None else f"{failed.type} {failed.reason}"
    detail = "" if failed is None else failed.message or ""
    if view.terminating:
        return _Failure(_BEING_DELETED, reason, detail)
    if failed is None:
        return None
    text = (
        f"cannot be accepted: {failed.type} is False ({failed.reason}: {detail});"
        " change the description and apply the site again"
    )
    return _Failure(text, reason, detail)

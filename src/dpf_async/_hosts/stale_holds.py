"""Handling of holds that were released before a DPU requested it: request again, refuse, or accept.

To have DPF request the hold again, the services are removed from the requestors of the released maintenance, which
they would otherwise keep. Its controller deletes it after the last DPU was removed as well, and the next DPU creates
another maintenance, with its services as requestors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from dpf_async._base.retry import retry_on_conflict
from dpf_async._log import log
from dpf_async._transitions.released_holds import ReleasedHold, release_left_by, stale_release
from dpf_async.errors import NotFound, StaleRelease
from dpf_async.models import DPUNodeMaintenance

if TYPE_CHECKING:
    from collections.abc import Collection

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client
    from dpf_async._transitions.views import NodeView

IfReleased = Literal["request_again", "refuse", "accept"]
"""What to do if a hold was released before a DPU requested it: have DPF request it again; raise; continue."""


async def resolve_before_deletion(
    dpf: Client, view: NodeView, deleted: Collection[str], choice: IfReleased, reporter: ProgressReporter
) -> None:
    """Handle the released hold that the deletion of DPUs would leave for the DPUs that replace them.

    Args:
        dpf: the client.
        view: of their node.
        deleted: names of the DPUs that will be deleted.
        choice: what to do.
        reporter: receives what is done.

    Raises:
        StaleRelease: a released hold would remain, and the choice is to refuse. Nothing was deleted.
    """
    await _resolve(
        dpf,
        view.name,
        release_left_by(view, deleted),
        choice,
        reporter,
        reason="was released for a DPU that will be deleted",
        consequence="would be provisioned on it without a request; nothing was deleted",
        keep=deleted,
    )


async def resolve(dpf: Client, view: NodeView, choice: IfReleased, reporter: ProgressReporter) -> None:
    """Handle the stale release in a view of a node, if there is one.

    Raises:
        StaleRelease: the choice is to refuse, or a DPU has used the release already.
    """
    stale = stale_release(view)
    await _resolve(
        dpf,
        view.name,
        stale,
        choice,
        reporter,
        reason=f"was released before {', '.join(stale.dpus) if stale else ''} requested it",
        consequence="would be provisioned on it without a request",
    )


async def _resolve(
    dpf: Client,
    node: str,
    released: ReleasedHold | None,
    choice: IfReleased,
    reporter: ProgressReporter,
    *,
    reason: str,
    consequence: str,
    keep: Collection[str] = (),
) -> None:
    if released is None:
        return
    name = released.maintenance.name
    if choice == "refuse":
        raise _stale(node, released, consequence)
    if choice == "accept":
        dpus = ", ".join(released.dpus)
        reporter.report(f"DPUNodeMaintenance {name}", f"{reason}; accepted: {dpus} are provisioned on it")
        log.warning("stale_release_accepted", node=node, maintenance=name, dpus=list(released.dpus))
        return
    reporter.report(f"DPUNodeMaintenance {name}", f"{reason}; DPF will request the hold again")
    await _request_again(dpf, node, released, keep=keep)


async def _request_again(dpf: Client, node: str, released: ReleasedHold, *, keep: Collection[str]) -> None:
    """Remove all requestors except DPUs that will be deleted, so that the maintenance ends.

    Raises:
        StaleRelease: another DPU became a requestor meanwhile.
    """
    maintenances = dpf.resource(DPUNodeMaintenance)
    name, uid = released.maintenance.name, released.maintenance.uid

    async def attempt() -> None:
        try:
            current = await maintenances.get(name)
            if current.uid != uid:
                return
            late = [dpu for dpu in released.dpus if dpu in current.spec.requestor and dpu not in keep]
            if late:
                used = "have used it meanwhile, without a request"
                raise _stale(node, ReleasedHold(released.maintenance, tuple(late)), used)
            patch: dict[str, Any] = {  # Any: JSON
                "metadata": {"resourceVersion": current.metadata.resource_version},
                "spec": {
                    "requestor": [requestor for requestor in current.spec.requestor if requestor in keep]
                },
            }
            await maintenances.patch(name, patch, uid=uid)
        except NotFound:
            return
        log.warning("stale_release_withdrawn", node=node, maintenance=name, dpus=list(released.dpus))

    await retry_on_conflict(attempt)


def _stale(node: str, released: ReleasedHold, consequence: str) -> StaleRelease:
    return StaleRelease(
        f"DPUNode {node}: the hold {released.maintenance.name} was released for DPUs that are deleted or being deleted,"
        f" and {', '.join(released.dpus)} {consequence}; make sure that the host can be disrupted, then call again with"
        ' if_released="accept" or "request_again"',
        node=node,
        maintenance=released.maintenance.name,
        dpus=released.dpus,
    )

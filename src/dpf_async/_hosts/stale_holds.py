"""What is done about a hold that was released before a DPU asked: have DPF ask again, refuse, or accept.

Having DPF ask again takes the services off the list of requestors, who would keep the released maintenance alive. Its
controller deletes it once the last DPU has left as well, and the next DPU makes another one, with its services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from dpf_async._base.retry import retry_on_conflict
from dpf_async._log import log
from dpf_async._transitions.released_holds import ReleasedHold, release_left_by, stale_release
from dpf_async.errors import NotFound, StaleRelease
from dpf_async.models import DPUNodeMaintenance, Resource

if TYPE_CHECKING:
    from collections.abc import Collection

    from dpf_async._api.resource import ResourceClient
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.node_handle import NodeHandle
    from dpf_async._transitions.views import NodeView

T = TypeVar("T", bound=Resource)

IfReleased = Literal["request_again", "refuse", "accept"]
"""What to do where a hold was released before a DPU asked: have DPF ask again; raise; go on and say so."""


class Writes(Protocol):
    """Where objects are written, and nodes looked at."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""

    def node(self, name: str) -> NodeHandle:
        """The handle on a host."""


async def before_deletion(
    dpf: Writes, view: NodeView, leaving: Collection[str], choice: IfReleased, reporter: ProgressReporter
) -> None:
    """See to it that DPUs, when they are deleted, leave no release behind for those that take their place.

    Args:
        dpf: where to write.
        view: of their node.
        leaving: names of the DPUs that are to be deleted.
        choice: what to do.
        reporter: hears of it.

    Raises:
        StaleRelease: one would be left behind, and the choice is to refuse. Nothing was deleted.
    """
    left = release_left_by(view, leaving)
    if left is None:
        return
    if choice == "refuse":
        raise _stale(view.name, left, "would be provisioned on it without asking; nothing was deleted")
    if choice == "accept":
        _accept(view.name, left, reporter)
        return
    reporter.report(_subject(left), "was released for a DPU that is to be deleted; has DPF ask again")
    await _withdraw(dpf, view.name, left, keeping=leaving)


async def on_sight(dpf: Writes, view: NodeView, choice: IfReleased, reporter: ProgressReporter) -> None:
    """Deal with the stale release that a node shows, if it does.

    Raises:
        StaleRelease: the choice is to refuse, or it is too late to have DPF ask again.
    """
    stale = stale_release(view)
    if stale is None:
        return
    if choice == "refuse":
        raise _stale(view.name, stale, "would be provisioned on it without asking")
    if choice == "accept":
        _accept(view.name, stale, reporter)
        return
    reporter.report(_subject(stale), f"was released before {', '.join(stale.dpus)} asked; has DPF ask again")
    await _withdraw(dpf, view.name, stale, keeping=())


async def _withdraw(dpf: Writes, node: str, standing: ReleasedHold, *, keeping: Collection[str]) -> None:
    """Take everybody off the list of requestors but the DPUs that are about to go; nobody who joined meanwhile."""
    maintenances = dpf.resource(DPUNodeMaintenance)
    name, uid = standing.maintenance.name, standing.maintenance.uid

    async def write() -> None:
        try:
            current = await maintenances.get(name)
            if current.uid != uid:
                return
            late = [dpu for dpu in standing.dpus if dpu in current.spec.requestor and dpu not in keeping]
            if late:
                what = "went past it meanwhile, without asking"
                raise _stale(node, ReleasedHold(standing.maintenance, tuple(late)), what)
            left = [one for one in current.spec.requestor if one in keeping]
            patch: dict[str, Any] = {  # Any: JSON
                "metadata": {"resourceVersion": current.metadata.resource_version},
                "spec": {"requestor": left},
            }
            await maintenances.patch(name, patch, uid=uid)
        except NotFound:
            return
        log.warning("stale_release_withdrawn", node=node, maintenance=name, dpus=list(standing.dpus))

    await retry_on_conflict(write)


def _accept(node: str, standing: ReleasedHold, reporter: ProgressReporter) -> None:
    reporter.report(
        _subject(standing), f"was released before {', '.join(standing.dpus)} asked; they will pass on it"
    )
    log.warning(
        "stale_release_accepted", node=node, maintenance=standing.maintenance.name, dpus=list(standing.dpus)
    )


def _subject(standing: ReleasedHold) -> str:
    return f"DPUNodeMaintenance {standing.maintenance.name}"


def _stale(node: str, standing: ReleasedHold, what: str) -> StaleRelease:
    return StaleRelease(
        f"DPUNode {node}: the hold {standing.maintenance.name} was released for DPUs that are gone or going, and"
        f" {', '.join(standing.dpus)} {what}; see to it that the host may be disturbed, and call again with"
        ' if_released="accept", or with "request_again"',
        node=node,
        maintenance=standing.maintenance.name,
        dpus=standing.dpus,
    )

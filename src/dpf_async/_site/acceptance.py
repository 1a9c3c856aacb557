"""Waiting until the operator has taken a site's definition over, all parts at a time, so that each can say its trouble.

A site is accepted when its BFBs are downloaded and every DPUDeployment is reconciled at its present generation; with no
DPUNodes yet, that is all there is to see (dpf-facts 7.1, 13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from dpf_async._base.tasks import background_tasks
from dpf_async._readers.waits import Deadline
from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import BFBView, DeploymentView, describe_deployment, describe_object
from dpf_async.errors import SiteFailed, WaitTimeout
from dpf_async.models import BFB, DPUDeployment, Resource, known

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._handshakes.plain_calls import Client
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._specs import SiteSpec


async def until_accepted(
    dpf: Client, site: SiteSpec, *, timeout: float | None, reporter: ProgressReporter
) -> dict[str, DeploymentView]:
    """Wait for all of it; see DPFClient.site_accepted."""
    began = anyio.current_time()
    waits = _Waits(dpf, Deadline(timeout), reporter)
    bfbs = sorted({group.bfb for group in site.groups.values()})
    left = len(bfbs) + len(site.groups)
    over = anyio.Event()

    async def wait(one: Callable[[str], Awaitable[None]], name: str) -> None:
        nonlocal left
        await one(name)
        left -= 1
        if not left:
            over.set()

    async with background_tasks() as tasks:
        for name in bfbs:
            tasks.start_soon(wait, waits.downloaded, name)
        for name in site.groups:
            tasks.start_soon(wait, waits.accepted, name)
        await over.wait()
    if waits.late:
        raise WaitTimeout(
            "\n".join(map(str, waits.late)),
            condition="site accepted",
            view=waits.late[0].view,
            waited=anyio.current_time() - began,
        )
    return {name: waits.views[name] for name in site.groups}


async def until_deployment_accepted(
    dpf: Client, name: str, *, deadline: Deadline, reporter: ProgressReporter
) -> DeploymentView:
    """Wait until one DPUDeployment is reconciled at its present generation.

    Raises:
        WaitTimeout: it says what the DPUDeployment is waiting for.
        SiteFailed: it has a condition that only a user can do something about, or is being deleted.
        ObjectReplaced: it was deleted meanwhile.
    """
    waits = _Waits(dpf, deadline, reporter)
    await waits.accepted(name)
    if waits.late:
        raise waits.late[0]
    return waits.views[name]


class _Waits:
    """The waits for one site: what came true, and what was late."""

    def __init__(self, dpf: Client, deadline: Deadline, reporter: ProgressReporter) -> None:
        self.views: dict[str, DeploymentView] = {}
        self.late: list[WaitTimeout] = []
        self._dpf = dpf
        self._deadline = deadline
        self._reporter = reporter

    async def downloaded(self, name: str) -> None:
        """A BFB is there and can be installed."""
        level: Level[BFBView] = Level(
            "downloaded", lambda view: view.ready or view.failed or view.state.terminating
        )
        view: BFBView | None = await self._until(BFB, name, level, lambda view: describe_object(view.state))
        if view is None:
            return
        if not view.ready:
            why = next((c.message for c in view.state.conditions if c.status == "False" and c.message), "")
            words = (
                "is being deleted: wait until it is gone, then define the site again"
                if view.state.terminating
                else f"is in phase Error: its url could not be downloaded{f' ({why})' if why else ''};"
                " make the url reachable and delete the BFB, or name another one; then define the site again"
            )
            raise SiteFailed(
                f"BFB {name} {words}",
                kind=BFB.KIND,
                name=name,
                reason=str(view.phase),
                detail=why,
                condition=level.name,
                view=view,
            )
        self._reporter.report(f"{BFB.KIND} {name}", "downloaded")

    async def accepted(self, name: str) -> None:
        """A DPUDeployment is reconciled at its present generation."""
        level: Level[DeploymentView] = Level(
            "accepted", lambda view: view.accepted or view.terminating or _failure(view) is not None
        )
        view: DeploymentView | None = await self._until(DPUDeployment, name, level, describe_deployment)
        if view is None:
            return
        if not view.accepted:
            type_, reason, detail = _failure(view) or ("", "", "")
            words = (
                "is being deleted: wait until it is gone, then define the site again"
                if view.terminating
                else f"cannot be accepted: {type_} is False ({reason}: {detail});"
                " change the description and define the site again"
            )
            raise SiteFailed(
                f"DPUDeployment {name} {words}",
                kind=DPUDeployment.KIND,
                name=name,
                reason=f"{type_} {reason}".strip(),
                detail=detail,
                condition=level.name,
                view=view,
            )
        self.views[name] = view
        self._reporter.report(f"{DPUDeployment.KIND} {name}", "accepted")

    async def _until(
        self,
        kind: type[Resource],
        name: str,
        level: Level[Any],  # Any: the view hangs on the kind
        words: Callable[[Any], str],
    ) -> Any:
        """The view in which the level held; None if it was late."""
        subject = f"{kind.KIND} {name}"
        handle = self._dpf.handle(kind, name)
        with anyio.move_on_after(self._deadline.for_one_check):
            if await handle.find() is None:
                self._reporter.report(subject, "it does not exist yet")
        try:
            return await handle.until(
                self._reporter.until(level, subject, words), timeout=self._deadline.remaining
            )
        except WaitTimeout as error:
            # The others may have more to say about why nothing goes on.
            self.late.append(error)
            return None


def _failure(view: DeploymentView) -> tuple[str, str, str] | None:
    """Type, reason and message of a condition that nobody but a user can do anything about (dpf-facts 7.3)."""
    generation = view.state.record.metadata.generation
    for one in view.state.conditions:
        if (
            one.status == "False"
            and one.reason == known.CommonReason.FAILURE
            and one.type != known.DPUDeploymentCondition.READY
            and one.observed_generation == generation
        ):
            return one.type, one.reason, one.message or ""
    return None

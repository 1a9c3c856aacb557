"""Apply a site: method CreateCarbideInitializationObjects of the requirement.

A plan by dry runs comes first, so that an invalid object is reported before any object is created. Then objects are
written in the order of their dependencies (docs/dpf/deployments.md#creation-order, docs/dpf/operations.md#methods). An
interrupted call can be repeated, because unchanged objects are not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dpf_async._base.error_notes import progress_note
from dpf_async._site.bmc_password import Password, write_password
from dpf_async._site.plan import CREATE_ONLY, SitePlan, Step, plan_existing, plan_steps
from dpf_async.errors import AlreadyExists, Conflict, DPFError, Invalid, SiteDiffers
from dpf_async.models import DPFOperatorConfig, Resource, Secret, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client
    from dpf_async._site.plan import PlannedObject
    from dpf_async._specs import SiteSpec

CREATED: Final = "created"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
WRITTEN: Final = "written"


@dataclass(frozen=True, slots=True)
class SiteObject:
    """One object of a site, and what applying the site did to it.

    `action` is "created", "changed" or "unchanged"; "written" for a Secret, which is not read first.
    """

    kind: str
    name: str
    action: str


async def apply_site(
    dpf: Client,
    site: SiteSpec,
    bmc_password: Password | None,
    *,
    update: bool = False,
    force: bool = False,
    reporter: ProgressReporter,
) -> tuple[SiteObject, ...]:
    """Create or change every object of a site as described; see DPFClient.create_initialization_objects."""
    reporter.report("site", "comparing the existing objects with the description")
    try:
        steps, left_over = await plan_steps(dpf, site)
    except DPFError as error:
        error.add_note("nothing was created or changed; repeat the call")
        raise
    plan = SitePlan((*(step.planned for step in steps), *left_over))
    _refuse(plan, update=update, force=force)
    done: list[SiteObject] = []
    changed: list[str] = []

    def record(one: SiteObject) -> None:
        done.append(one)
        if one.action != UNCHANGED:
            changed.append(f"{one.kind} {one.name}")
        reporter.report(f"{one.kind} {one.name}", one.action)

    with progress_note(changed, how="created or changed", then="repeat the call to continue from there"):
        if bmc_password is not None:
            reporter.report(f"{Secret.KIND} {known.BMC_PASSWORD_SECRET}", "being written")
            await write_password(dpf.resource(Secret), bmc_password)
            record(SiteObject(Secret.KIND, known.BMC_PASSWORD_SECRET, WRITTEN))
        for step in steps:
            # Sequential, so that the note of an error lists what was written before.
            record(await _apply_step(dpf, step, force=force))
    return tuple(done)


def _refuse(plan: SitePlan, *, update: bool, force: bool) -> None:
    """Raise if the plan cannot be applied, or has changes that the caller did not permit."""
    if refused := plan.of("refused"):
        raise _refusal(refused)
    # operator_bfcfg is an explicit request for this one change of DPF's own configuration; it needs no update=True.
    changes = [one for one in plan.of("change") if one.kind != DPFOperatorConfig.KIND]
    if changes and not update:
        raise SiteDiffers(
            "nothing was created or changed; existing objects differ from the description\n  "
            + "\n  ".join(map(_summary, changes))
            + "\ncheck plan_site(), then pass update=True to change them",
            plan=plan,
        )
    if (owned := [one for one in changes if one.owners]) and not force:
        names = ", ".join(f"{one.kind} {one.name}" for one in owned)
        raise Conflict(
            "nothing was created or changed; another field manager owns fields that would be changed\n  "
            + "\n  ".join(f"{_summary(one)} (owned by {', '.join(one.owners)})" for one in owned)
            + "\nremove those fields from its configuration, or pass force=True to take their ownership",
            status=409,
            reason="Conflict",
            object=names,
        )


def _refusal(refused: Sequence[PlannedObject]) -> AlreadyExists | Invalid:
    names = ", ".join(f"{one.kind} {one.name}" for one in refused)
    message = (
        "nothing was created or changed; these objects cannot be created or changed as described\n  "
        + "\n  ".join(map(_summary, refused))
    )
    if all(one.terminating for one in refused):
        return AlreadyExists(
            message,
            status=409,
            reason="AlreadyExists",
            object=names,
            server_message="object is being deleted",
        )
    return Invalid(
        message,
        status=422,
        reason="Invalid",
        object=names,
        causes=[cause for one in refused for cause in one.causes],
    )


def _summary(one: PlannedObject) -> str:
    reason = f" {one.reason}" if one.reason else ""
    differences = "; ".join(map(str, one.differences))
    return f"{one.kind} {one.name}:{reason}{' ' if reason and differences else ''}" + (
        f"({differences})" if reason and differences else f" {differences}" if differences else ""
    )


async def _apply_step(dpf: Client, step: Step, *, force: bool) -> SiteObject:
    wanted, planned = step.wanted, step.planned
    action = {"create": CREATED, "change": CHANGED}.get(planned.action, UNCHANGED)
    if action == UNCHANGED:
        pass
    elif isinstance(wanted, DPFOperatorConfig):
        await dpf.resource(DPFOperatorConfig).patch(
            wanted.name, {"spec": {"provisioningController": {"bfCFGTemplateConfigMap": None}}}
        )
    elif isinstance(wanted, CREATE_ONLY):
        action = await _create(dpf, wanted)
    else:
        # Without force by default: a client that became the owner of a field after the plan is not overwritten.
        await dpf.resource(type(wanted)).apply(wanted, force=force or step.force)
    return SiteObject(wanted.KIND, wanted.name, action)


async def _create(dpf: Client, wanted: Resource) -> str:
    objects = dpf.resource(type(wanted))
    try:
        await objects.create(wanted)
    except AlreadyExists:
        # A concurrent replica of the caller created it, or it belongs to another site.
        present = await objects.get(wanted.name)
        planned = plan_existing(wanted, present)
        if planned.action != "unchanged":
            raise _refusal([planned]) from None
        return UNCHANGED
    return CREATED

"""The definition of a site: method CreateCarbideInitializationObjects of the requirement.

First there is a plan, of which nothing is stored, so that a mistake in the last object is known before the first one
exists. Then objects are made so in the order in which they are needed (dpf-facts 7.1, 13). What is so already is left
alone, so a call that was cut off is simply made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dpf_async._base.error_notes import progress_note
from dpf_async._site.bmc_password import Password, write_password
from dpf_async._site.plan import CREATE_ONLY, SitePlan, Step, compared, steps_of
from dpf_async.errors import AlreadyExists, Conflict, DPFError, Invalid, SiteDiffers
from dpf_async.models import DPFOperatorConfig, Resource, Secret, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dpf_async._hosts.registration import Writes
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._site.plan import PlannedObject
    from dpf_async._specs import SiteSpec

CREATED: Final = "created"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
WRITTEN: Final = "written"


@dataclass(frozen=True, slots=True)
class SiteObject:
    """One object of a site's definition, and what was done about it.

    `action` is "created", "changed" or "unchanged"; "written" for a Secret, which is not read first.
    """

    kind: str
    name: str
    action: str


async def define(
    to: Writes,
    site: SiteSpec,
    bmc_password: Password | None,
    *,
    update: bool = False,
    force: bool = False,
    reporter: ProgressReporter,
) -> tuple[SiteObject, ...]:
    """Make every object of the site's definition exist as described; see DPFClient.create_initialization_objects."""
    reporter.report("site", "comparing what is there with the description")
    try:
        steps, left_over = await steps_of(to, site)
    except DPFError as error:
        error.add_note("nothing was created or changed; run it again")
        raise
    plan = SitePlan((*(step.planned for step in steps), *left_over))
    _refuse(plan, update=update, force=force)
    done: list[SiteObject] = []
    changed: list[str] = []

    def note(one: SiteObject) -> None:
        done.append(one)
        if one.action != UNCHANGED:
            changed.append(f"{one.kind} {one.name}")
        reporter.report(f"{one.kind} {one.name}", one.action)

    with progress_note(changed, how="created or changed", then="run it again to go on from there"):
        if bmc_password is not None:
            reporter.report(f"{Secret.KIND} {known.BMC_PASSWORD_SECRET}", "being written")
            await write_password(to.resource(Secret), bmc_password)
            note(SiteObject(Secret.KIND, known.BMC_PASSWORD_SECRET, WRITTEN))
        for step in steps:
            # One by one: on the way, the note has to know how far it got.
            note(await _take(to, step, force=force))
    return tuple(done)


def _refuse(plan: SitePlan, *, update: bool, force: bool) -> None:
    """Nothing is done of a plan that cannot be done, or that somebody has not agreed to."""
    if refused := plan.of("refused"):
        raise _refusal(refused)
    # The one setting of DPF's own is not part of the definition: whoever says operator_bfcfg has asked for it.
    changes = [one for one in plan.of("change") if one.kind != DPFOperatorConfig.KIND]
    if changes and not update:
        raise SiteDiffers(
            "nothing was created or changed; what is there differs from the description\n  "
            + "\n  ".join(map(_told, changes))
            + "\nlook at plan_site() and pass update=True to have it changed",
            plan=plan,
        )
    if (owned := [one for one in changes if one.owners]) and not force:
        names = ", ".join(f"{one.kind} {one.name}" for one in owned)
        raise Conflict(
            "nothing was created or changed; another field manager owns what would be changed\n  "
            + "\n  ".join(f"{_told(one)} (owned by {', '.join(one.owners)})" for one in owned)
            + "\nhave it let go of those fields, or pass force=True to take them over",
            status=409,
            reason="Conflict",
            object=names,
        )


def _refusal(refused: Sequence[PlannedObject]) -> AlreadyExists | Invalid:
    names = ", ".join(f"{one.kind} {one.name}" for one in refused)
    message = "nothing was created or changed; these objects cannot be made so\n  " + "\n  ".join(
        map(_told, refused)
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


def _told(one: PlannedObject) -> str:
    reason = f" {one.reason}" if one.reason else ""
    differences = "; ".join(map(str, one.differences))
    return f"{one.kind} {one.name}:{reason}{' ' if reason and differences else ''}" + (
        f"({differences})" if reason and differences else f" {differences}" if differences else ""
    )


async def _take(to: Writes, step: Step, *, force: bool) -> SiteObject:
    wanted, planned = step.wanted, step.planned
    action = {"create": CREATED, "change": CHANGED}.get(planned.action, UNCHANGED)
    if action == UNCHANGED:
        pass
    elif isinstance(wanted, DPFOperatorConfig):
        await to.resource(DPFOperatorConfig).patch(
            wanted.name, {"spec": {"provisioningController": {"bfCFGTemplateConfigMap": None}}}
        )
    elif isinstance(wanted, CREATE_ONLY):
        action = await _create(to, wanted)
    else:
        # Unless it was asked for, without force: whoever took a field since the plan was made is not overwritten.
        await to.resource(type(wanted)).apply(wanted, force=force or step.takes_back)
    return SiteObject(wanted.KIND, wanted.name, action)


async def _create(to: Writes, wanted: Resource) -> str:
    objects = to.resource(type(wanted))
    try:
        await objects.create(wanted)
    except AlreadyExists:
        # Another replica of the caller was quicker. What it has made is what we wanted, or it is another site's.
        present = await objects.get(wanted.name)
        planned = compared(wanted, present)
        if planned.action != "unchanged":
            raise _refusal([planned]) from None
        return UNCHANGED
    return CREATED

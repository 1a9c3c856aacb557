"""The initial definition of a site: method CreateCarbideInitializationObjects of the requirement.

First everything is checked against the server without being stored, so that a mistake in the last object is known
before the first one exists. Then objects are made so in the order in which they are needed (dpf-facts 7.1, 13).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dpf_async._sdk import build
from dpf_async.errors import AlreadyExists, APIError, DPFError, Invalid, NotFound
from dpf_async.models import DPFOperatorConfig, Resource, Secret, as_stored, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dpf_async._sdk.registration import Writes
    from dpf_async._sdk.specs import SiteSpec

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


async def define(to: Writes, site: SiteSpec, bmc_password: str | None) -> tuple[SiteObject, ...]:
    """Make every object of the site's definition exist as described.

    Raises:
        Invalid: the server refuses one or more of them, or a BFB or DPUFlavor of that name is another one; nothing
            was created. The message has all of them.
        APIError, ConnectionFailed: it failed on the way; a note of the exception says what exists by now.
    """
    applied = build.applied_objects(site)
    secret: list[Resource] = [build.bmc_secret(bmc_password)] if bmc_password is not None else []
    immutable = build.immutable_objects(site)
    await _refuse_mistakes(to, immutable, [*secret, *applied])
    done: list[SiteObject] = []
    try:
        steps = [(_apply, obj) for obj in secret]
        steps += [(_create, obj) for obj in immutable]
        steps += [(_apply, obj) for obj in applied]
        for make, obj in steps:
            # One by one: on the way, the note below has to know how far it got.
            done.append(await make(to, obj))
        if site.operator_bfcfg is False:
            done.append(await _use_own_bfcfg(to))
    except DPFError as error:
        exists = ", ".join(f"{one.kind} {one.name}" for one in done if one.action != UNCHANGED)
        error.add_note(
            f"created or changed before that: {exists or 'nothing'}; run it again to go on from there"
        )
        raise
    return tuple(done)


async def _refuse_mistakes(to: Writes, immutable: Sequence[Resource], applied: Sequence[Resource]) -> None:
    problems: list[str] = []
    refusals: list[APIError] = []
    for obj in immutable:
        try:
            await _create(to, obj, dry_run=True)
        except Invalid as error:
            problems.append(str(error))
            refusals.append(error)
    for obj in applied:
        try:
            await to.resource(type(obj)).apply(obj, dry_run=True)
        except Invalid as error:
            problems.append(str(error))
            refusals.append(error)
    if refusals:
        first = refusals[0]
        raise Invalid(
            "nothing was created; the server refuses\n  " + "\n  ".join(problems),
            status=first.status,
            reason=first.reason,
            method=first.method,
            path=first.path,
            object=", ".join(refusal.object for refusal in refusals),
            server_message=first.server_message,
            causes=[cause for refusal in refusals for cause in refusal.causes],
        )


async def _create(to: Writes, obj: Resource, *, dry_run: bool = False) -> SiteObject:
    objects = to.resource(type(obj))
    try:
        await objects.create(obj, dry_run=dry_run)
    except AlreadyExists as error:
        present = await objects.get(obj.name)
        if present.terminating:
            raise AlreadyExists(
                f"{obj.KIND} {obj.name} is being deleted: wait until it is gone, or use another name",
                status=409,
                reason="AlreadyExists",
                object=f"{obj.KIND} {obj.name}",
                server_message="object is being deleted",
            ) from error
        _refuse_difference(present, obj)
        return SiteObject(obj.KIND, obj.name, UNCHANGED)
    return SiteObject(obj.KIND, obj.name, CREATED)


def _refuse_difference(present: Resource, wanted: Resource) -> None:
    """What is asked for must be there; what the server or another hand added beside it does not matter."""
    there, asked = as_stored(present)["spec"], as_stored(wanted)["spec"]
    different = sorted(key for key in asked if there.get(key) != asked[key])
    if different:
        both = "; ".join(
            f"spec.{key}: it has {_brief(there.get(key))}, asked for is {_brief(asked[key])}"
            for key in different
        )
        raise Invalid(
            f"{wanted.KIND} {wanted.name} exists, cannot be changed, and differs: {both}; use another name",
            status=422,
            reason="Invalid",
            object=f"{wanted.KIND} {wanted.name}",
        )


def _brief(value: object) -> str:
    # A BFB's url tells what it is; a flavor's settings may hold passwords (dpf-facts, bfcfgParameters).
    text = json.dumps(value, sort_keys=True)
    return text if isinstance(value, str) and len(text) < 200 else "something else" if value else "nothing"


async def _apply(to: Writes, obj: Resource) -> SiteObject:
    objects = to.resource(type(obj))
    if isinstance(obj, Secret):
        # Not read first: whoever may write a Secret need not be allowed to read it (reliability 7.1).
        await objects.apply(obj)
        return SiteObject(obj.KIND, obj.name, WRITTEN)
    before = await _version(to, obj)
    stored = await objects.apply(obj)
    if before is None:
        return SiteObject(obj.KIND, obj.name, CREATED)
    return SiteObject(
        obj.KIND, obj.name, UNCHANGED if before == stored.metadata.resource_version else CHANGED
    )


async def _version(to: Writes, obj: Resource) -> str | None:
    try:
        return (await to.resource(type(obj)).get(obj.name)).metadata.resource_version
    except NotFound:
        return None


async def _use_own_bfcfg(to: Writes) -> SiteObject:
    """Have the operator use its own bf.cfg template, as Carbide does (dpf-facts 12.1)."""
    configs = to.resource(DPFOperatorConfig)
    before = (await configs.get(known.OPERATOR_CONFIG_NAME)).metadata.resource_version
    after = await configs.patch(
        known.OPERATOR_CONFIG_NAME, {"spec": {"provisioningController": {"bfCFGTemplateConfigMap": None}}}
    )
    action = UNCHANGED if before == after.metadata.resource_version else CHANGED
    return SiteObject(DPFOperatorConfig.KIND, known.OPERATOR_CONFIG_NAME, action)


def bfbs_of(site: SiteSpec) -> list[str]:
    """The BFBs a site needs before anything else can happen."""
    return sorted({group.bfb for group in site.groups.values()})

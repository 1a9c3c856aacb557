"""The plan of a site: what defining it would do to each object, found out without changing anything.

The server itself says what would come of it: everything is sent as a dry run, so that its defaults, its rules and the
ownership of fields count as they will when it is done (Kubernetes API concepts, "Dry-run" and "Server-Side Apply").
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from dpf_async._site import manifests
from dpf_async._site.diff import FieldDifference, field_differences
from dpf_async.errors import Cause, Conflict, DecodeError, Invalid
from dpf_async.models import (
    BFB,
    DPFOperatorConfig,
    DPUDeployment,
    DPUFlavor,
    DPUServiceConfiguration,
    DPUServiceInterface,
    DPUServiceNAD,
    DPUServiceTemplate,
    Resource,
    known,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dpf_async._hosts.registration import Writes
    from dpf_async._specs import SiteSpec

PlannedAction = Literal["create", "change", "unchanged", "refused", "left over"]
"""What would happen to an object."""

ACTIONS: Final[tuple[PlannedAction, ...]] = get_args(PlannedAction)
_TO: Final = {"create": "to create", "change": "to change"}

CREATE_ONLY: Final[tuple[type[Resource], ...]] = (BFB, DPUFlavor)
"""What is there is used, and must be what was asked for: these never change (dpf-facts 1.3, 13)."""

KINDS: Final[tuple[type[Resource], ...]] = (
    *CREATE_ONLY,
    DPUServiceNAD,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUServiceConfiguration,
    DPUDeployment,
)
"""What a site's definition consists of."""

_OWNER: Final = re.compile(r'conflicts? with "([^"]+)"')
"""Source: Kubernetes' structured-merge-diff, the message of a conflict's cause."""

Key = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of a site, and what would happen to it.

    Attributes:
        kind: such as "DPUDeployment".
        name: metadata.name.
        action: "create"; "change": the differences would be made so; "unchanged"; "refused": it cannot be made so, and
            `reason` says why; "left over": an earlier definition made it, and this one does not name it. It stays.
        differences: the fields that are not as described.
        reason: why it is refused.
        owners: other field managers, such as "kubectl", that own fields which differ.
        terminating: it is being deleted.
        causes: the single rules that refuse it, as the server told them.
    """

    kind: str
    name: str
    action: PlannedAction
    differences: tuple[FieldDifference, ...] = ()
    reason: str = ""
    owners: tuple[str, ...] = ()
    terminating: bool = False
    causes: tuple[Cause, ...] = ()

    def __str__(self) -> str:
        return "\n    ".join(self._lines())

    def _lines(self) -> Iterator[str]:
        why = f": {self.reason}" if self.reason else ""
        yield f"{self.action:10} {self.kind} {self.name}{why}"
        yield from map(str, self.differences)
        if self.owners:
            yield f"owned by field manager {', '.join(self.owners)}"


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What `create_initialization_objects` would do with a site. Its text is for a person, `to_dict` for a program.

    Attributes:
        objects: every object of the definition, in the order in which they are made, then those left over.
    """

    objects: tuple[PlannedObject, ...]

    def of(self, *actions: PlannedAction) -> tuple[PlannedObject, ...]:
        """The objects to which this would happen: `plan.of("create", "change")`."""
        return tuple(one for one in self.objects if one.action in actions)

    @property
    def changes_nothing(self) -> bool:
        """Everything is there as described."""
        return not self.of("create", "change", "refused")

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The plan as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [str(one) for one in self.objects if one.action != "unchanged"]
        counts = ", ".join(
            f"{len(found)} {_TO.get(action, action)}" for action in ACTIONS if (found := self.of(action))
        )
        return "\n".join([*lines, counts])


@dataclass(frozen=True, slots=True)
class Step:
    """An object as it is to be, and the plan for it.

    Attributes:
        wanted: the object.
        planned: the plan.
        takes_back: a field is owned by another method of ours, such as update_dpu_deployment_bfb: a manager of our name
            all the same, but not the one that applies (Kubernetes, "Server-Side Apply", managers).
    """

    wanted: Resource
    planned: PlannedObject
    takes_back: bool = False


async def steps_of(to: Writes, site: SiteSpec) -> tuple[list[Step], tuple[PlannedObject, ...]]:
    """The steps that define a site, in the order in which objects are needed; and what is left over.

    Raises:
        DecodeError: an object of the site's is there and cannot be read.
        NotFound: the site has a wish about DPF's own configuration, and there is none.
        APIError, ConnectionFailed: it could not be found out.
    """
    objects = [*manifests.immutable_objects(site), *manifests.applied_objects(site)]
    named = {(wanted.KIND, wanted.name) for wanted in objects}
    present = await _present(to, named)
    steps = [await _step(to, wanted, present.get((wanted.KIND, wanted.name))) for wanted in objects]
    if site.operator_bfcfg is False:
        steps.append(await _own_bfcfg(to))
    return steps, tuple(_left_over(to, (obj for key, obj in present.items() if key not in named)))


async def plan_of(to: Writes, site: SiteSpec) -> SitePlan:
    """The plan of a site; see DPFClient.plan_site."""
    steps, left_over = await steps_of(to, site)
    return SitePlan((*(step.planned for step in steps), *left_over))


async def _present(to: Writes, named: set[Key]) -> dict[Key, Resource]:
    """Everything of a site's kinds that is there."""
    present: dict[Key, Resource] = {}
    for kind in KINDS:
        found = await to.resource(kind).list()
        for broken in found.undecodable:
            if (kind.KIND, broken.name) in named:
                raise DecodeError(
                    f"{kind.KIND} {broken.name} cannot be read, so it cannot be compared: {broken.error};"
                    " repair or delete it first",
                    kind=kind.KIND,
                    name=broken.name,
                )
        present.update({(kind.KIND, obj.name): obj for obj in found.items})
    return present


async def _step(to: Writes, wanted: Resource, present: Resource | None) -> Step:
    if present is not None and present.terminating:
        words = "it is being deleted: wait until it is gone, or use another name"
        planned = PlannedObject(wanted.KIND, wanted.name, "refused", reason=words, terminating=True)
        return Step(wanted, planned)
    if isinstance(wanted, CREATE_ONLY):
        return Step(wanted, await _planned_creation(to, wanted, present))
    return await _applied(to, wanted, present)


async def _planned_creation(to: Writes, wanted: Resource, present: Resource | None) -> PlannedObject:
    if present is not None:
        return compared(wanted, present)
    try:
        await to.resource(type(wanted)).create(wanted, dry_run=True)
    except Invalid as error:
        return _refused(wanted, error)
    return PlannedObject(wanted.KIND, wanted.name, "create")


def compared(wanted: Resource, present: Resource) -> PlannedObject:
    """The plan for an object that never changes, and is there already."""
    # The operator may complete a BFB, as older ones did its fileName; nobody can complete a DPUFlavor.
    differences = field_differences(present, wanted, additions=not isinstance(wanted, BFB))
    if not differences:
        return PlannedObject(wanted.KIND, wanted.name, "unchanged")
    return PlannedObject(
        wanted.KIND,
        wanted.name,
        "refused",
        differences,
        reason="it exists, cannot be changed, and differs: use another name",
    )


async def _applied(to: Writes, wanted: Resource, present: Resource | None) -> Step:
    objects = to.resource(type(wanted))
    owners: tuple[str, ...] = ()
    try:
        try:
            result = await objects.apply(wanted, force=False, dry_run=True)
        except Conflict as error:
            owners = _owners(error)
            result = await objects.apply(wanted, dry_run=True)
    except Invalid as error:
        return Step(wanted, _refused(wanted, error, present))
    if present is None:
        return Step(wanted, PlannedObject(wanted.KIND, wanted.name, "create"))
    differences = field_differences(present, result)
    if not differences:
        return Step(wanted, PlannedObject(wanted.KIND, wanted.name, "unchanged"))
    others = tuple(owner for owner in owners if owner != objects.field_manager)
    planned = PlannedObject(wanted.KIND, wanted.name, "change", differences, owners=others)
    return Step(wanted, planned, takes_back=bool(owners) and not others)


def _owners(error: Conflict) -> tuple[str, ...]:
    found = [match[1] for cause in error.causes if (match := _OWNER.search(cause.message))]
    return tuple(dict.fromkeys(found or ["of somebody else"]))


def _refused(wanted: Resource, error: Invalid, present: Resource | None = None) -> PlannedObject:
    differences: tuple[FieldDifference, ...] = ()
    if present is not None:
        fields = tuple(cause.field for cause in error.causes if cause.field)
        differences = tuple(
            one
            for one in field_differences(present, wanted, additions=False)
            if one.path.startswith(fields) or any(field.startswith(one.path) for field in fields)
        )
    why = "; ".join(map(str, error.causes)) or error.server_message or str(error)
    return PlannedObject(
        wanted.KIND, wanted.name, "refused", differences, reason=why, causes=tuple(error.causes)
    )


async def _own_bfcfg(to: Writes) -> Step:
    """Have the operator use its own bf.cfg template, as Carbide does (dpf-facts 12.1)."""
    config = await to.resource(DPFOperatorConfig).get(known.OPERATOR_CONFIG_NAME)
    template = config.spec.provisioning_controller.bf_cfg_template_config_map
    if not template:
        return Step(config, PlannedObject(config.KIND, config.name, "unchanged"))
    path = "spec.provisioningController.bfCFGTemplateConfigMap"
    difference = FieldDifference(path, template, None)
    return Step(config, PlannedObject(config.KIND, config.name, "change", (difference,)))


def _left_over(to: Writes, others: Iterable[Resource]) -> Iterator[PlannedObject]:
    """Those that we have made: the server remembers who wrote an object; there is no other trace (dpf-facts 7.1)."""
    for obj in others:
        if obj.metadata.owner_references or known.OWNED_BY_DPUDEPLOYMENT_LABEL in obj.metadata.labels:
            continue  # made of a DPUDeployment, by DPF
        ours = to.resource(type(obj)).field_manager
        fields: list[dict[str, Any]] = (obj.metadata.model_extra or {}).get("managedFields", [])
        if any(entry.get("manager") == ours and not entry.get("subresource") for entry in fields):
            yield PlannedObject(obj.KIND, obj.name, "left over", terminating=obj.terminating)

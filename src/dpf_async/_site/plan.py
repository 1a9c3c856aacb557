"""The plan of a site: what applying the site file would do to each object, computed without changing anything.

Every write is sent to the API server as a dry run, so that the plan accounts for its defaulting, its validation and
the ownership of fields (Kubernetes API concepts, "Dry-run" and "Server-Side Apply").
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

    from dpf_async._session.client import Client
    from dpf_async._specs import SiteSpec

PlannedAction = Literal["create", "change", "unchanged", "refused", "left over"]
"""What applying the site would do to an object."""

ACTIONS: Final[tuple[PlannedAction, ...]] = get_args(PlannedAction)
_TO: Final = {"create": "to create", "change": "to change"}

CREATE_ONLY: Final[tuple[type[Resource], ...]] = (BFB, DPUFlavor)
"""Kinds that cannot change: an existing object is used, and must be equal to its description.

Source: docs/dpf/objects.md#immutable-fields.
"""

KINDS: Final[tuple[type[Resource], ...]] = (
    *CREATE_ONLY,
    DPUServiceNAD,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUServiceConfiguration,
    DPUDeployment,
)
"""The kinds of objects that describe a site."""

_OWNER: Final = re.compile(r'conflicts? with "([^"]+)"')
"""Source: Kubernetes' structured-merge-diff, the message of a conflict's cause."""

Key = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of a site, and what applying the site would do to it.

    Attributes:
        kind: such as "DPUDeployment".
        name: metadata.name.
        action: "create"; "change": the differing fields would be written; "unchanged"; "refused": the object cannot get
            the described values, for `reason`; "left over": an earlier version of the site created it, and this one
            does not name it. A left-over object is not modified.
        differences: the fields that differ from the description.
        reason: why the change is refused.
        owners: other field managers, such as "kubectl", that own differing fields.
        terminating: it is being deleted.
        causes: the rules that the object violates, as reported by the server.
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
        reason = f": {self.reason}" if self.reason else ""
        yield f"{self.action:10} {self.kind} {self.name}{reason}"
        yield from map(str, self.differences)
        if self.owners:
            yield f"owned by field manager {', '.join(self.owners)}"


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What `create_initialization_objects` would do for a site. `str()` is for people, `to_dict` for programs.

    Attributes:
        objects: every object of the site in the order of creation, then the left-over objects.
    """

    objects: tuple[PlannedObject, ...]

    def of(self, *actions: PlannedAction) -> tuple[PlannedObject, ...]:
        """The objects with one of these actions: `plan.of("create", "change")`."""
        return tuple(one for one in self.objects if one.action in actions)

    @property
    def changes_nothing(self) -> bool:
        """Whether every object exists as described."""
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
    """A described object and the plan for it.

    Attributes:
        wanted: the object as described.
        planned: the plan.
        force: apply with force, because another method of this client owns a differing field, such as
            update_dpu_deployment_bfb: the manager has this client's name but another operation than Apply (Kubernetes,
            "Server-Side Apply", managers).
    """

    wanted: Resource
    planned: PlannedObject
    force: bool = False


async def plan_steps(dpf: Client, site: SiteSpec) -> tuple[list[Step], tuple[PlannedObject, ...]]:
    """Return the steps that apply a site, in the order of dependencies, and the left-over objects.

    Raises:
        DecodeError: an object of the site exists and cannot be decoded.
        NotFound: the site sets operator_bfcfg, and there is no DPFOperatorConfig.
        APIError, ConnectionFailed: a read or a dry run failed.
    """
    objects = [*manifests.immutable_objects(site), *manifests.applied_objects(site)]
    named = {(wanted.KIND, wanted.name) for wanted in objects}
    present = await _existing(dpf, named)
    steps = [await _step(dpf, wanted, present.get((wanted.KIND, wanted.name))) for wanted in objects]
    if site.operator_bfcfg is False:
        steps.append(await _bfcfg_step(dpf))
    return steps, tuple(_left_over(dpf, (obj for key, obj in present.items() if key not in named)))


async def plan_site(dpf: Client, site: SiteSpec) -> SitePlan:
    """Plan a site; see DPFClient.plan_site."""
    steps, left_over = await plan_steps(dpf, site)
    return SitePlan((*(step.planned for step in steps), *left_over))


async def _existing(dpf: Client, named: set[Key]) -> dict[Key, Resource]:
    """All existing objects of the kinds of a site."""
    present: dict[Key, Resource] = {}
    for kind in KINDS:
        found = await dpf.resource(kind).list()
        for broken in found.undecodable:
            if (kind.KIND, broken.name) in named:
                raise DecodeError(
                    f"{kind.KIND} {broken.name} cannot be decoded, so it cannot be compared: {broken.error};"
                    " repair or delete it first",
                    kind=kind.KIND,
                    name=broken.name,
                )
        present.update({(kind.KIND, obj.name): obj for obj in found.items})
    return present


async def _step(dpf: Client, wanted: Resource, present: Resource | None) -> Step:
    if present is not None and present.terminating:
        reason = "it is being deleted: wait until it is deleted, or use another name"
        planned = PlannedObject(wanted.KIND, wanted.name, "refused", reason=reason, terminating=True)
        return Step(wanted, planned)
    if isinstance(wanted, CREATE_ONLY):
        return Step(wanted, await _plan_creation(dpf, wanted, present))
    return await _apply_step(dpf, wanted, present)


async def _plan_creation(dpf: Client, wanted: Resource, present: Resource | None) -> PlannedObject:
    if present is not None:
        return plan_existing(wanted, present)
    try:
        await dpf.resource(type(wanted)).create(wanted, dry_run=True)
    except Invalid as error:
        return _refused(wanted, error)
    return PlannedObject(wanted.KIND, wanted.name, "create")


def plan_existing(wanted: Resource, present: Resource) -> PlannedObject:
    """The plan for an existing object of a kind that cannot change."""
    # The operator may complete a BFB, as older releases did with fileName; a DPUFlavor is never completed.
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


async def _apply_step(dpf: Client, wanted: Resource, present: Resource | None) -> Step:
    objects = dpf.resource(type(wanted))
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
    return Step(wanted, planned, force=bool(owners) and not others)


def _owners(error: Conflict) -> tuple[str, ...]:
    found = [match[1] for cause in error.causes if (match := _OWNER.search(cause.message))]
    return tuple(dict.fromkeys(found or ["unknown"]))


def _refused(wanted: Resource, error: Invalid, present: Resource | None = None) -> PlannedObject:
    differences: tuple[FieldDifference, ...] = ()
    if present is not None:
        fields = tuple(cause.field for cause in error.causes if cause.field)
        differences = tuple(
            one
            for one in field_differences(present, wanted, additions=False)
            if one.path.startswith(fields) or any(field.startswith(one.path) for field in fields)
        )
    reason = "; ".join(map(str, error.causes)) or error.server_message or str(error)
    return PlannedObject(
        wanted.KIND, wanted.name, "refused", differences, reason=reason, causes=tuple(error.causes)
    )


async def _bfcfg_step(dpf: Client) -> Step:
    """Make the operator use its own bf.cfg template, as Carbide does (docs/dpf/carbide.md#set-up)."""
    config = await dpf.resource(DPFOperatorConfig).get(known.OPERATOR_CONFIG_NAME)
    template = config.spec.provisioning_controller.bf_cfg_template_config_map
    if not template:
        return Step(config, PlannedObject(config.KIND, config.name, "unchanged"))
    path = "spec.provisioningController.bfCFGTemplateConfigMap"
    difference = FieldDifference(path, template, None)
    return Step(config, PlannedObject(config.KIND, config.name, "change", (difference,)))


def _left_over(dpf: Client, others: Iterable[Resource]) -> Iterator[PlannedObject]:
    """Objects that this client created; only the managed fields record that (docs/dpf/deployments.md#dpusets)."""
    for obj in others:
        if obj.metadata.owner_references or known.OWNED_BY_DPUDEPLOYMENT_LABEL in obj.metadata.labels:
            continue  # created by DPF for a DPUDeployment
        ours = dpf.resource(type(obj)).field_manager
        fields: list[dict[str, Any]] = (obj.metadata.model_extra or {}).get("managedFields", [])
        if any(entry.get("manager") == ours and not entry.get("subresource") for entry in fields):
            yield PlannedObject(obj.KIND, obj.name, "left over", terminating=obj.terminating)

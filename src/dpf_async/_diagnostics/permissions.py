"""Access: the permissions that each operation needs, and which of them the server has not granted us.

NEEDS is the one place that says what is needed. The Roles in deploy/rbac.yaml say the same, and a test holds them
against it. All of it is in one namespace: nothing here asks for anything of the whole cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

import anyio

from dpf_async._api.reviews import Permission, review
from dpf_async._base.tasks import background_tasks
from dpf_async.errors import DPFError, UsageError
from dpf_async.models import (
    BFB,
    DPU,
    DPFOperatorConfig,
    DPUDeployment,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    DPUServiceConfiguration,
    DPUServiceInterface,
    DPUServiceNAD,
    DPUServiceTemplate,
    DPUSet,
    Lease,
    Resource,
    Secret,
    known,
)

if TYPE_CHECKING:
    from dpf_async._api.transport import Transport

Needs = frozenset[Permission]

Role = Literal["observer", "operator"]
"""What somebody does here: look on, or everything that this library does."""

_AT_ONCE: Final = 8
"""Reviews on their way at a time (chosen: all that an operator needs is known after a few round trips)."""


def _may(kind: type[Resource], *verbs: str, name: str = "") -> Needs:
    return frozenset(Permission(kind.GROUP, kind.PLURAL, verb, name) for verb in verbs)


def _follow(*kinds: type[Resource]) -> Needs:
    """What a picture of all objects takes; "get" is not part of it (reliability 7.1)."""
    return _all(_may(kind, "list", "watch") for kind in kinds)


def _all(needs: Iterable[Needs]) -> Needs:
    return frozenset[Permission]().union(*needs)


_SITE: Final = _follow(DPUNode, DPUDevice, DPU, DPUNodeMaintenance)
"""What a host consists of, and what is true of it."""

_APPLIED: Final = (
    DPUServiceNAD,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUServiceConfiguration,
    DPUDeployment,
)
"""What a site's definition has beside BFBs and DPUFlavors, which are created once and never changed."""

_PLAN: Final = _all(
    [
        # What is there is compared, and what is left over is found. Dry runs take the same verbs as the real thing.
        *(_may(kind, "list", "create") for kind in (BFB, DPUFlavor)),
        # Server-side apply: it is a patch, and also a create where there is nothing yet.
        *(_may(kind, "list", "create", "patch") for kind in _APPLIED),
        _may(DPFOperatorConfig, "get", name=known.OPERATOR_CONFIG_NAME),
    ]
)
_PASSWORD: Final = _may(Secret, "create", "patch", name=known.BMC_PASSWORD_SECRET)
"""Written, never read. A Role cannot limit the creation by POST to a name; that by apply it can."""

_DEFINITION: Final = _all(
    [
        _PLAN,
        # Another replica of the caller may have been quicker: what it made is compared.
        _may(BFB, "get"),
        _may(DPUFlavor, "get"),
        _PASSWORD,
        _may(DPFOperatorConfig, "patch", name=known.OPERATOR_CONFIG_NAME),
    ]
)
_REGISTRATION: Final = (
    _SITE | _may(DPUDevice, "get", "create", "patch") | _may(DPUNode, "get", "create", "patch")
)
_OUTDATED: Final = _all(_may(kind, "list") for kind in (DPU, DPUDeployment, DPUSet))
_CHANGE: Final = _OUTDATED | _may(DPUDeployment, "get", "patch") | _follow(DPUDeployment)
_REBOOT: Final = _SITE | _may(DPUNode, "patch")
_RELEASE: Final = _SITE | _may(DPUNodeMaintenance, "patch")
_REPLACEMENT: Final = (
    _SITE | _may(DPU, "get", "delete") | _may(DPUNodeMaintenance, "get", "patch")  # a release left over
)
_DPU_DELETION: Final = _all(
    [
        _SITE,  # a DPU that is made meanwhile goes as well
        _may(DPUDevice, "get", "delete"),
        _may(DPU, "delete"),
        _may(DPUNode, "get", "patch"),  # the node forgets the device
        _may(DPUNodeMaintenance, "get", "patch", "delete"),  # the last DPU's is not left behind
    ]
)
_NODE_DELETION: Final = _all(
    [
        _SITE,
        _may(DPUNode, "delete"),
        _may(DPUDevice, "delete"),
        _may(DPU, "delete"),
        _may(DPUNodeMaintenance, "get", "patch", "delete"),  # nobody asks for it any more
    ]
)
_FORCE: Final = _all(
    [
        # Reading what it takes a finalizer off, and taking it off.
        _may(DPU, "get", "patch"),
        _may(DPUDevice, "get", "patch"),
        _may(DPUNodeMaintenance, "list", "get", "patch"),
    ]
)

NEEDS: Final[Mapping[str, Needs]] = MappingProxyType(
    {
        # To look on: the handles, their views, waits and streams.
        "node": _SITE,
        "transitions": _SITE,
        "health_transitions": _SITE,
        "monitor": _SITE,
        "snapshot": _SITE,
        "dpu": _follow(DPU),
        "deployment": _follow(DPUDeployment),
        "site_accepted": _follow(BFB, DPUDeployment),
        # The methods of the requirement.
        "plan_site": _PLAN,
        "create_initialization_objects": _DEFINITION,
        "bmc_password": _PASSWORD,
        "create_dpu_node": _REGISTRATION,
        "host_discovered": _SITE,
        "verify_labels": _may(DPUNode, "get", "patch") | _may(DPUDevice, "get", "patch") | _may(DPU, "list"),
        "mark_dpu_node_ready_for_maintenance": _follow(DPUNodeMaintenance)
        | _may(DPUNodeMaintenance, "get", "patch")
        | _may(DPUNode, "get"),
        "mark_dpu_node_rebooted": _follow(DPUNode) | _may(DPUNode, "get", "patch"),
        "reprovision_dpu": _REPLACEMENT,
        "is_dpu_node_waiting_for_reboot": _may(DPUNode, "get"),
        "is_dpu_ready": _may(DPU, "get"),
        "update_dpu_deployment_bfb": _CHANGE | _may(BFB, "get"),
        "update_dpu_deployment_configuration": _CHANGE | _may(DPUFlavor, "get"),
        "outdated_dpus": _OUTDATED,
        "service_versions": _may(DPUDeployment, "list") | _may(DPUServiceTemplate, "list"),
        "delete_dpu": _DPU_DELETION,
        "force_delete_dpu": _DPU_DELETION | _FORCE,
        "delete_dpu_node": _NODE_DELETION,
        "force_delete_dpu_node": _NODE_DELETION | _FORCE | _may(DPUNode, "get", "patch"),
        # The handshakes, and the flows.
        "external_reboot": _REBOOT,
        "node_effect_hold": _RELEASE,
        "discover": _REGISTRATION,
        "provision": _REGISTRATION | _REBOOT | _RELEASE | _may(DPUNodeMaintenance, "get"),
        "reprovision": _REPLACEMENT | _REBOOT | _RELEASE,
        # The handshakes of a client that claims.
        "claims": _REBOOT
        | _RELEASE
        | _may(Lease, "get", "list", "watch", "create", "patch")
        | _may(DPUNode, "get")
        | _may(DPUNodeMaintenance, "get"),
        "upgrade": _REPLACEMENT | _REBOOT | _RELEASE | _CHANGE | _may(BFB, "get") | _may(DPUFlavor, "get"),
        "rollback": _CHANGE | _may(BFB, "get") | _may(DPUFlavor, "get"),
    }
)
"""Operations, under the names that they have in the public API, and what they need at most."""

ROLES: Final[Mapping[Role, tuple[str, ...]]] = MappingProxyType(
    {
        "observer": (
            "node",
            "transitions",
            "snapshot",
            "host_discovered",
            "health_transitions",
            "monitor",
            "dpu",
            "deployment",
            "site_accepted",
            "outdated_dpus",
            "service_versions",
        ),
        "operator": tuple(NEEDS),
    }
)
"""The operations of each role."""


@dataclass(frozen=True, slots=True)
class Access:
    """What we may do in a namespace, and what we may not.

    Attributes:
        namespace: that was asked about.
        operations: each operation that was asked about, and the permissions it lacks; none if it may be done.
        missing: all permissions that are lacking, each once.
        reason: why, as far as the server told; a Role that is bound but does not exist, for instance. Often empty.
    """

    namespace: str
    operations: Mapping[str, tuple[Permission, ...]]
    missing: tuple[Permission, ...]
    reason: str = ""

    @property
    def denied(self) -> tuple[str, ...]:
        """The operations that would fail, or may fail at some point."""
        return tuple(operation for operation, lacks in self.operations.items() if lacks)

    def __str__(self) -> str:
        if not self.missing:
            return f"namespace {self.namespace}: nothing is missing for {', '.join(self.operations)}"
        because = f" ({self.reason})" if self.reason else ""
        return (
            f"namespace {self.namespace}: missing are {', '.join(map(str, self.missing))}{because};"
            f" needed for {', '.join(self.denied)}; grant them with a Role and a RoleBinding, see deploy/rbac.yaml"
        )


def needs_of(role: Role) -> Needs:
    """Everything that a role needs.

    Raises:
        UsageError: there is no such role.
    """
    if role not in ROLES:
        raise UsageError(f"there is no role {role!r}; there are {' and '.join(get_args(Role))}")
    return _all(NEEDS[operation] for operation in ROLES[role])


async def check(transport: Transport, namespace: str, role: Role, operations: Iterable[str] | None) -> Access:
    """Ask the server about everything that the operations need, or those of the role; see DPFClient.check_access."""
    needs_of(role)
    asked = ROLES[role] if operations is None else tuple(operations)
    if unknown := [operation for operation in asked if operation not in NEEDS]:
        raise UsageError(f"there is no operation {unknown[0]!r}; there are {', '.join(NEEDS)}")
    rulings = await _rulings(transport, namespace, _all(NEEDS[operation] for operation in asked))
    missing = tuple(sorted(permission for permission, why in rulings.items() if why is not None))
    reasons = sorted({why for why in rulings.values() if why})
    return Access(
        namespace=namespace,
        operations={
            operation: tuple(permission for permission in missing if permission in NEEDS[operation])
            for operation in asked
        },
        missing=missing,
        reason="; ".join(reasons),
    )


async def _rulings(transport: Transport, namespace: str, needs: Needs) -> dict[Permission, str | None]:
    """For each permission None if it is granted, else why it is not."""
    rulings: dict[Permission, str | None] = {}
    failures: list[DPFError] = []
    over = anyio.Event()
    at_once = anyio.CapacityLimiter(_AT_ONCE)

    async def rule(permission: Permission) -> None:
        async with at_once:
            try:
                ruling = await review(transport, permission, namespace)
            except DPFError as error:
                # When the server is gone, several fail at a time; a group of errors would say no more than one.
                failures.append(error)
                over.set()
                return
        rulings[permission] = None if ruling.allowed else ruling.reason
        if len(rulings) == len(needs):
            over.set()

    async with background_tasks() as tasks:
        for permission in sorted(needs):
            tasks.start_soon(rule, permission)
        if needs:
            await over.wait()
    if failures:
        raise failures[0]
    return rulings

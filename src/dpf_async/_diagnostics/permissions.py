"""Permissions: what each operation requires, and which of it the API server has not granted to this client.

A test records the requests of every operation and compares them with NEEDS; another compares the Roles in
deploy/rbac.yaml with NEEDS. All permissions are in one namespace; none is for the whole cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

from dpf_async._api.reviews import Permission, review
from dpf_async._base.concurrency import wait_all
from dpf_async.errors import UsageError
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
"""observer: reads only. operator: every operation of this library."""

_CONCURRENT_REVIEWS: Final = 8
"""Access reviews in flight (chosen: the permissions of an operator are checked in a few round trips)."""


def _may(kind: type[Resource], *verbs: str, name: str = "") -> Needs:
    return frozenset(Permission(kind.GROUP, kind.PLURAL, verb, name) for verb in verbs)


def _cache(*kinds: type[Resource]) -> Needs:
    """What a cache of all objects requires; "get" is not part of it (docs/watching.md#permissions)."""
    return _union(_may(kind, "list", "watch") for kind in kinds)


def _union(needs: Iterable[Needs]) -> Needs:
    return frozenset[Permission]().union(*needs)


_HOSTS: Final = _cache(DPUNode, DPUDevice, DPU, DPUNodeMaintenance)
"""The objects of a host."""

_APPLIED: Final = (
    DPUServiceNAD,
    DPUServiceInterface,
    DPUServiceTemplate,
    DPUServiceConfiguration,
    DPUDeployment,
)
"""The kinds of a site that are written by server-side apply; BFBs and DPUFlavors cannot change and are created."""

_PLAN: Final = _union(
    [
        # Existing objects are listed for comparison. A dry run requires the verbs of the write.
        *(_may(kind, "list", "create") for kind in (BFB, DPUFlavor)),
        # Server-side apply requires patch, and create as well if the object does not exist.
        *(_may(kind, "list", "create", "patch") for kind in _APPLIED),
        _may(DPFOperatorConfig, "get", name=known.OPERATOR_CONFIG_NAME),
    ]
)
_PASSWORD: Final = _may(Secret, "create", "patch", name=known.BMC_PASSWORD_SECRET)
"""Written, never read. A Role can limit create to a name for server-side apply, but not for POST."""

_APPLICATION: Final = _union(
    [
        _PLAN,
        # An object that another replica of the caller created concurrently is compared.
        _may(BFB, "get"),
        _may(DPUFlavor, "get"),
        _PASSWORD,
        _may(DPFOperatorConfig, "patch", name=known.OPERATOR_CONFIG_NAME),
    ]
)
_REGISTRATION: Final = (
    _HOSTS | _may(DPUDevice, "get", "create", "patch") | _may(DPUNode, "get", "create", "patch")
)
_OUTDATED: Final = _union(_may(kind, "list") for kind in (DPU, DPUDeployment, DPUSet))
_CHANGE: Final = _OUTDATED | _may(DPUDeployment, "get", "patch") | _cache(DPUDeployment)
_REBOOT: Final = _HOSTS | _may(DPUNode, "patch")
_RELEASE: Final = _HOSTS | _may(DPUNodeMaintenance, "patch")
_REPLACEMENT: Final = (
    _HOSTS
    | _may(DPU, "get", "delete")
    | _may(DPUNodeMaintenance, "get", "patch")  # withdraws a stale release of the hold
)
_DPU_DELETION: Final = _union(
    [
        _HOSTS,  # finds a DPU that the operator creates meanwhile
        _may(DPUDevice, "get", "delete"),
        _may(DPU, "delete"),
        _may(DPUNode, "get", "patch"),  # removes the device from spec.dpus
        _may(DPUNodeMaintenance, "get", "patch", "delete"),  # removes the maintenance of the last DPU
    ]
)
_NODE_DELETION: Final = _union(
    [
        _HOSTS,
        _may(DPUNode, "delete"),
        _may(DPUDevice, "delete"),
        _may(DPU, "delete"),
        _may(DPUNodeMaintenance, "get", "patch", "delete"),  # removes a maintenance without requestors
    ]
)
_FORCE: Final = _union(
    [
        # Reads objects and removes their finalizers.
        _may(DPU, "get", "patch"),
        _may(DPUDevice, "get", "patch"),
        _may(DPUNodeMaintenance, "list", "get", "patch"),
    ]
)

NEEDS: Final[Mapping[str, Needs]] = MappingProxyType(
    {
        # Read-only: handles with their views and waits, streams, and reports.
        "node": _HOSTS,
        "transitions": _HOSTS,
        "health_transitions": _HOSTS,
        "monitor": _HOSTS,
        "snapshot": _HOSTS,
        "dpu": _cache(DPU),
        "deployment": _cache(DPUDeployment),
        "site_accepted": _cache(BFB, DPUDeployment),
        # The methods of the requirement.
        "plan_site": _PLAN,
        "create_initialization_objects": _APPLICATION,
        "bmc_password": _PASSWORD,
        "create_dpu_node": _REGISTRATION,
        "host_discovered": _HOSTS,
        "verify_labels": _may(DPUNode, "get", "patch") | _may(DPUDevice, "get", "patch") | _may(DPU, "list"),
        "mark_dpu_node_ready_for_maintenance": _cache(DPUNodeMaintenance)
        | _may(DPUNodeMaintenance, "get", "patch")
        | _may(DPUNode, "get"),
        "mark_dpu_node_rebooted": _cache(DPUNode) | _may(DPUNode, "get", "patch"),
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
        # Handshakes and flows.
        "external_reboot": _REBOOT,
        "node_effect_hold": _RELEASE,
        "discover": _REGISTRATION,
        "provision": _REGISTRATION | _REBOOT | _RELEASE | _may(DPUNodeMaintenance, "get"),
        "reprovision": _REPLACEMENT | _REBOOT | _RELEASE,
        # Handshakes of a client with claims.
        "claims": _REBOOT
        | _RELEASE
        | _may(Lease, "get", "list", "watch", "create", "patch")
        | _may(DPUNode, "get")
        | _may(DPUNodeMaintenance, "get"),
        "upgrade": _REPLACEMENT | _REBOOT | _RELEASE | _CHANGE | _may(BFB, "get") | _may(DPUFlavor, "get"),
        "rollback": _CHANGE | _may(BFB, "get") | _may(DPUFlavor, "get"),
    }
)
"""The permissions that each operation requires at most, by its name in the public API."""

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
    """The permissions that the client lacks in a namespace.

    Attributes:
        namespace: the namespace of DPF.
        operations: for each checked operation the permissions that it lacks; empty if it is permitted.
        missing: all missing permissions, each once.
        reason: the reason that the server gave, such as a RoleBinding to a Role that does not exist. Often empty.
    """

    namespace: str
    operations: Mapping[str, tuple[Permission, ...]]
    missing: tuple[Permission, ...]
    reason: str = ""

    @property
    def denied(self) -> tuple[str, ...]:
        """The operations that lack a permission, so that they fail at some point."""
        return tuple(operation for operation, lacks in self.operations.items() if lacks)

    def __str__(self) -> str:
        if not self.missing:
            return f"namespace {self.namespace}: no permission is missing for {', '.join(self.operations)}"
        because = f" ({self.reason})" if self.reason else ""
        return (
            f"namespace {self.namespace}: missing permissions: {', '.join(map(str, self.missing))}{because};"
            f" required by {', '.join(self.denied)}; grant them with a Role and a RoleBinding, see deploy/rbac.yaml"
        )


def permissions_of_role(role: Role) -> Needs:
    """The permissions that all operations of a role require.

    Raises:
        UsageError: the role does not exist.
    """
    if role not in ROLES:
        raise UsageError(f"role {role!r} does not exist; use {' or '.join(get_args(Role))}")
    return _union(NEEDS[operation] for operation in ROLES[role])


async def check_access(
    transport: Transport, namespace: str, role: Role, operations: Iterable[str] | None
) -> Access:
    """Review every permission that the operations, or those of the role, require; see DPFClient.check_access."""
    permissions_of_role(role)
    checked = ROLES[role] if operations is None else tuple(operations)
    if unknown := [operation for operation in checked if operation not in NEEDS]:
        raise UsageError(f"operation {unknown[0]!r} does not exist; known are {', '.join(NEEDS)}")
    needed = sorted(_union(NEEDS[operation] for operation in checked))
    reviews = {permission: partial(review, transport, permission, namespace) for permission in needed}
    rulings = (await wait_all(reviews, limit=_CONCURRENT_REVIEWS)).values
    missing = tuple(permission for permission, ruling in rulings.items() if not ruling.allowed)
    return Access(
        namespace=namespace,
        operations={
            operation: tuple(permission for permission in missing if permission in NEEDS[operation])
            for operation in checked
        },
        missing=missing,
        reason="; ".join(sorted({rulings[one].reason for one in missing if rulings[one].reason})),
    )

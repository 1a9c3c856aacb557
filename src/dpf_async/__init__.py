"""Asyncio client for NVIDIA DPF: typed DPUs, transitions, and awaits that never poll and never lie.

    async with DPFClient() as dpf:
        await provision(dpf, host, reboot=bmc.power_cycle, node_effect=tenants.drain)

Everything public is here; the kinds and the vocabulary of DPF are in `dpf_async.models`, a simulated site in
`dpf_async.sim`.
"""

from __future__ import annotations

from dpf_async._api.codec import Snapshot, Undecodable
from dpf_async._api.records import ConditionRecord
from dpf_async._api.resource import ResourceList
from dpf_async._api.reviews import Permission
from dpf_async._api.transport import Timeouts
from dpf_async._sdk.access import Access, Role
from dpf_async._sdk.bmc_password import BMCPassword, PasswordHealth, PasswordProvider
from dpf_async._sdk.claims import Attempt, Claim, Claims
from dpf_async._sdk.client import DPFClient
from dpf_async._sdk.compare import FieldDifference
from dpf_async._sdk.compatibility import Compatibility, Effect, Finding
from dpf_async._sdk.deployments import DeploymentChange
from dpf_async._sdk.dpus import DPUHandle
from dpf_async._sdk.files import load_hosts, load_site
from dpf_async._sdk.flows import discover, provision, reprovision
from dpf_async._sdk.forced_deletion import ForcedDeletion
from dpf_async._sdk.handshakes import HoldRequest, RebootRequest
from dpf_async._sdk.health import HealthStream
from dpf_async._sdk.labels import LabelMismatch, ResourceLabeler, label_host, label_site, selector_of
from dpf_async._sdk.monitoring import HealthPolicy, monitor
from dpf_async._sdk.nodes import NodeHandle
from dpf_async._sdk.objects import ObjectHandle
from dpf_async._sdk.outdated import Installed, OutdatedDPU, References
from dpf_async._sdk.plan import PlannedObject, SitePlan
from dpf_async._sdk.progress import Progress, ProgressListener
from dpf_async._sdk.resources import Resources
from dpf_async._sdk.service_versions import ServiceVersion
from dpf_async._sdk.setup import SiteObject
from dpf_async._sdk.snapshot import HostSnapshot, ObjectSummary, UnreadableObject
from dpf_async._sdk.specs import (
    DeviceSpec,
    GroupSpec,
    HostSpec,
    InterfaceSpec,
    PortSpec,
    ServiceSpec,
    SiteSpec,
    SwitchSpec,
    bmc_mac_of,
    device_name,
    node_name,
)
from dpf_async._sdk.streams import NodeTransitionStream, TransitionStream
from dpf_async._sdk.upgrade import HostOutcome, HostUpgrade, UpgradeReport, rollback, upgrade
from dpf_async._transitions.checkpoint import Checkpoint
from dpf_async._transitions.health import (
    CriticalServicesDown,
    DPUHealth,
    DPUNotReady,
    HealthProblem,
    HealthUnknown,
    KubeNodeNotReady,
    NodeHealth,
    NonCriticalServicesDown,
    NotReadyBecause,
    OperationalConditionFalse,
)
from dpf_async._transitions.health_transitions import (
    DPUHealthy,
    HealthTransition,
    NodeUnusable,
    NodeUsable,
    Recovered,
    StillUnhealthy,
)
from dpf_async._transitions.levels import (
    Level,
    accepted,
    any_dpu_failed,
    discovered,
    external_reboot_required,
    healthy,
    node_effect_held,
    phase_is,
    ready,
    services_ready,
    terminating,
    usable,
)
from dpf_async._transitions.transitions import (
    ConditionChanged,
    DPUAppeared,
    DPUGone,
    DPUReplaced,
    DPUTerminating,
    ExternalRebootDone,
    ExternalRebootRequired,
    NodeAppeared,
    NodeEffectHeld,
    NodeEffectReleased,
    NodeGone,
    PhaseChanged,
    Transition,
)
from dpf_async._transitions.view import (
    BFBView,
    DeploymentView,
    DeviceFault,
    DPUView,
    MaintenanceView,
    NodeView,
)
from dpf_async._watch.events import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from dpf_async._watch.policy import WatchPolicy
from dpf_async._watch.reflector import Health
from dpf_async._watch.stream import EventStream
from dpf_async.errors import (
    AlreadyExists,
    APIError,
    BadRequest,
    Cause,
    ClaimLost,
    Conflict,
    ConnectionFailed,
    DecodeError,
    DeviceFailed,
    DPFError,
    DPUFailed,
    DPUInstalling,
    Forbidden,
    Gone,
    Invalid,
    KindNotServed,
    NotFound,
    ObjectReplaced,
    PasswordUnavailable,
    ServerError,
    SiteDiffers,
    SiteFailed,
    SpecError,
    StaleRelease,
    TooManyRequests,
    Unauthorized,
    UpgradeFailed,
    UsageError,
    WaitError,
    WaitTimeout,
)
from dpf_async.models import DPUPhase

__all__ = [
    "APIError",
    "Access",
    "Added",
    "AlreadyExists",
    "Attempt",
    "BFBView",
    "BMCPassword",
    "BadRequest",
    "Cause",
    "Checkpoint",
    "Claim",
    "ClaimLost",
    "Claims",
    "Compatibility",
    "ConditionChanged",
    "ConditionRecord",
    "Conflict",
    "ConnectionFailed",
    "CriticalServicesDown",
    "DPFClient",
    "DPFError",
    "DPUAppeared",
    "DPUFailed",
    "DPUGone",
    "DPUHandle",
    "DPUHealth",
    "DPUHealthy",
    "DPUInstalling",
    "DPUNotReady",
    "DPUPhase",
    "DPUReplaced",
    "DPUTerminating",
    "DPUView",
    "DecodeError",
    "Deleted",
    "DeploymentChange",
    "DeploymentView",
    "DeviceFailed",
    "DeviceFault",
    "DeviceSpec",
    "Effect",
    "EventStream",
    "ExternalRebootDone",
    "ExternalRebootRequired",
    "FieldDifference",
    "Finding",
    "Forbidden",
    "ForcedDeletion",
    "Gap",
    "Gone",
    "GroupSpec",
    "Health",
    "HealthPolicy",
    "HealthProblem",
    "HealthStream",
    "HealthTransition",
    "HealthUnknown",
    "HoldRequest",
    "HostOutcome",
    "HostSnapshot",
    "HostSpec",
    "HostUpgrade",
    "Installed",
    "InterfaceSpec",
    "Invalid",
    "KindNotServed",
    "KubeNodeNotReady",
    "LabelMismatch",
    "Level",
    "MaintenanceView",
    "NodeAppeared",
    "NodeEffectHeld",
    "NodeEffectReleased",
    "NodeGone",
    "NodeHandle",
    "NodeHealth",
    "NodeTransitionStream",
    "NodeUnusable",
    "NodeUsable",
    "NodeView",
    "NonCriticalServicesDown",
    "NotFound",
    "NotReadyBecause",
    "ObjectHandle",
    "ObjectReplaced",
    "ObjectSummary",
    "OperationalConditionFalse",
    "OutdatedDPU",
    "PasswordHealth",
    "PasswordProvider",
    "PasswordUnavailable",
    "Permission",
    "PhaseChanged",
    "PlannedObject",
    "PortSpec",
    "Progress",
    "ProgressListener",
    "RebootRequest",
    "Recovered",
    "References",
    "ResourceLabeler",
    "ResourceList",
    "Resources",
    "Resumed",
    "Role",
    "ServerError",
    "ServiceSpec",
    "ServiceVersion",
    "SiteDiffers",
    "SiteFailed",
    "SiteObject",
    "SitePlan",
    "SiteSpec",
    "Snapshot",
    "SpecError",
    "StaleRelease",
    "StillUnhealthy",
    "SwitchSpec",
    "Synced",
    "Timeouts",
    "TooManyRequests",
    "Transition",
    "TransitionStream",
    "Unauthorized",
    "Undecodable",
    "UnreadableObject",
    "Updated",
    "UpgradeFailed",
    "UpgradeReport",
    "UsageError",
    "WaitError",
    "WaitTimeout",
    "WatchEvent",
    "WatchPolicy",
    "__version__",
    "accepted",
    "any_dpu_failed",
    "bmc_mac_of",
    "device_name",
    "discover",
    "discovered",
    "external_reboot_required",
    "healthy",
    "label_host",
    "label_site",
    "load_hosts",
    "load_site",
    "monitor",
    "node_effect_held",
    "node_name",
    "phase_is",
    "provision",
    "ready",
    "reprovision",
    "rollback",
    "selector_of",
    "services_ready",
    "terminating",
    "upgrade",
    "usable",
]

__version__ = "0.1.0"

"""Asyncio client for NVIDIA DPF: typed DPUs, transitions, and waits that never poll.

    async with DPFClient() as dpf:
        await provision(dpf, host, reboot=bmc.power_cycle, node_effect=tenants.drain)

The names that most programs need are here. Every other public name is in exactly one of these modules:

- `dpf_async.errors`: what is raised, drawn as a tree;
- `dpf_async.levels`: conditions on a view that `until` waits for;
- `dpf_async.transitions`, `dpf_async.health`, `dpf_async.watch`: what the streams yield;
- `dpf_async.specs`, `dpf_async.presets`: the parts of a site description;
- `dpf_async.models`: the kinds of DPF and their enumerations;
- `dpf_async.sim`: a simulated site (needs the extra `dpf-async[sim]`).
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, get_type_hints

from dpf_async import errors, health, levels, models, presets, specs, transitions, watch
from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async._api.records import ConditionRecord
from dpf_async._api.resource import ResourceList
from dpf_async._api.reviews import Permission
from dpf_async._api.transport import Timeouts
from dpf_async._client import DPFClient
from dpf_async._diagnostics.compatibility import Compatibility, Effect, Finding
from dpf_async._diagnostics.monitor import monitor
from dpf_async._diagnostics.permissions import Access, Role
from dpf_async._diagnostics.snapshot import HostReport, ObjectSummary, UnreadableObject
from dpf_async._handshakes.claims import Attempt, Claim, Claims
from dpf_async._handshakes.requests import HoldRequest, RebootRequest
from dpf_async._hosts.forced_deletion import ForcedDeletion
from dpf_async._hosts.provisioning import discover, provision, reprovision
from dpf_async._readers.progress import Progress, ProgressListener
from dpf_async._readers.transition_stream import NodeTransitionStream, TransitionStream
from dpf_async._readers.view_stream import ViewStream
from dpf_async._rollout.deployments import DeploymentChange
from dpf_async._rollout.outdated import Installed, OutdatedDPU, References
from dpf_async._rollout.upgrade import rollback, upgrade
from dpf_async._rollout.upgrade_report import HostOutcome, HostUpgrade, UpgradeReport
from dpf_async._session.dpu_handle import DPUHandle
from dpf_async._session.handles import ObjectHandle
from dpf_async._session.node_handle import NodeHandle
from dpf_async._session.resources import Resources
from dpf_async._site.apply import SiteObject
from dpf_async._site.bmc_password import BMCPassword, PasswordHealth, PasswordProvider
from dpf_async._site.diff import FieldDifference
from dpf_async._site.files import load_hosts, load_site
from dpf_async._site.labels import LabelMismatch
from dpf_async._site.plan import PlannedObject, SitePlan
from dpf_async._site.service_versions import ServiceVersion
from dpf_async._specs import DeviceSpec, HostSpec, SiteSpec
from dpf_async._transitions.checkpoint import Checkpoint
from dpf_async._transitions.views import (
    BFBView,
    DeploymentView,
    DeviceFault,
    DPUView,
    MaintenanceView,
    NodeView,
)
from dpf_async._watch.policy import WatchPolicy
from dpf_async._watch.reflector import CacheHealth

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Access",
    "Attempt",
    "BFBView",
    "BMCPassword",
    "CacheHealth",
    "Checkpoint",
    "Claim",
    "Claims",
    "Compatibility",
    "ConditionRecord",
    "DPFClient",
    "DPUHandle",
    "DPUView",
    "DeploymentChange",
    "DeploymentView",
    "DeviceFault",
    "DeviceSpec",
    "Effect",
    "FieldDifference",
    "Finding",
    "ForcedDeletion",
    "HoldRequest",
    "HostOutcome",
    "HostReport",
    "HostSpec",
    "HostUpgrade",
    "Installed",
    "LabelMismatch",
    "MaintenanceView",
    "NodeHandle",
    "NodeTransitionStream",
    "NodeView",
    "ObjectHandle",
    "ObjectState",
    "ObjectSummary",
    "OutdatedDPU",
    "PasswordHealth",
    "PasswordProvider",
    "Permission",
    "PlannedObject",
    "Progress",
    "ProgressListener",
    "RebootRequest",
    "References",
    "ResourceList",
    "Resources",
    "Role",
    "ServiceVersion",
    "SiteObject",
    "SitePlan",
    "SiteSpec",
    "Timeouts",
    "TransitionStream",
    "Undecodable",
    "UnreadableObject",
    "UpgradeReport",
    "ViewStream",
    "WatchPolicy",
    "__version__",
    "discover",
    "load_hosts",
    "load_site",
    "monitor",
    "provision",
    "reprovision",
    "rollback",
    "upgrade",
]

__version__ = "0.1.0"


def _publish(*modules: ModuleType) -> None:
    """Set `__module__` of every public class and function to its public path, for tracebacks, reprs and pickles."""
    names = {name: getattr(module, name) for module in modules for name in module.__all__}
    for module in modules:
        for name in module.__all__:
            public = names[name]
            if isinstance(public, type | FunctionType) and public.__module__.startswith("dpf_async._"):
                _evaluate_annotations(public, names)
                public.__module__ = module.__name__


def _evaluate_annotations(public: type | FunctionType, names: Mapping[str, object]) -> None:
    """Replace annotations that are text by the types that they name.

    `typing.get_type_hints`, pydantic and msgspec evaluate text in the module that `__module__` names. After
    `_publish` that is the public module, which does not import what the private one does. Annotations of methods
    stay text: Python evaluates them in the module that defines the method.
    """
    own = vars(public).get("__annotations__", {}) if isinstance(public, type) else public.__annotations__
    if not own:
        return
    # Public names as well: some modules import them for type checkers only.
    namespace = {**names, **vars(sys.modules[public.__module__])}
    hints = get_type_hints(public, localns=namespace, include_extras=True)
    public.__annotations__ = {name: hints[name] for name in own}
    for field in getattr(public, "__dataclass_fields__", {}).values():
        field.type = public.__annotations__.get(field.name, field.type)


_publish(sys.modules[__name__], errors, health, levels, models, presets, specs, transitions, watch)
